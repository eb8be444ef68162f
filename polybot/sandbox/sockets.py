"""The user and market sockets over the wire: subscriptions, pings, frames."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

import msgspec
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from polybot.sandbox.exchange.gateway import PrivateGateway
from polybot.sandbox.exchange.views import Json
from polybot.sandbox.feeds import MarketFeed, UserFeed
from polybot.sandbox.injector import FaultInjector

_Wanted = TypeVar("_Wanted", bound=msgspec.Struct)
# How often a socket looks whether virtual time has brought something [s, real].
_LOOK_S = 0.02


class _Auth(msgspec.Struct):
    apiKey: str  # noqa: N815 - the venue's spelling
    secret: str
    passphrase: str


class _UserSubscription(msgspec.Struct):
    auth: _Auth
    type: str = "user"
    markets: list[str] = []


class _MarketSubscription(msgspec.Struct):
    type: str = ""
    operation: str = ""
    assets_ids: list[str] = []
    custom_feature_enabled: bool = False


class SocketRoutes:
    """Sockets over one gateway's exchange."""

    def __init__(self, gateway: PrivateGateway, injector: FaultInjector) -> None:
        """Take whose events are told, and what goes wrong with them."""
        self._exchange = gateway.exchange
        self._injector = injector
        self._closing = asyncio.Event()

    def routes(self) -> list[WebSocketRoute]:
        """Return both sockets."""
        return [
            WebSocketRoute("/ws/user", self.user),
            WebSocketRoute("/ws/market", self.market),
        ]

    def close(self) -> None:
        """End every socket, so that the server can stop."""
        self._closing.set()

    async def user(self, socket: WebSocket) -> None:
        """Tell an API key's owner of its orders and trades."""
        await socket.accept()
        subscription = await _first(socket, _UserSubscription)
        if subscription is None:
            return
        auth = subscription.auth
        key = self._exchange.keys.by_credentials(auth.apiKey, auth.secret, auth.passphrase)
        if key is None:
            await socket.close(1008, "invalid credentials")
            return
        feed = UserFeed(
            self._exchange,
            key.key,
            condition_ids=frozenset(one.lower() for one in subscription.markets),
            injector=self._injector,
        )
        try:
            await self._run(socket, feed.take, lambda: feed.is_closed, lambda _: None)
        finally:
            feed.close()

    async def market(self, socket: WebSocket) -> None:
        """Tell anybody of the books of some tokens."""
        await socket.accept()
        subscription = await _first(socket, _MarketSubscription)
        if subscription is None:
            return
        feed = MarketFeed(
            self._exchange,
            has_custom_features=subscription.custom_feature_enabled,
            injector=self._injector,
        )
        await _send_books(socket, feed.subscribe(subscription.assets_ids))
        more: list[Json] = []

        def change(text: str) -> None:
            wanted = _decoded(text, _MarketSubscription)
            if wanted is not None and wanted.operation == "unsubscribe":
                feed.unsubscribe(wanted.assets_ids)
            elif wanted is not None:
                more.extend(feed.subscribe(wanted.assets_ids))

        def take() -> list[Json]:
            frames, books = feed.take(), list(more)
            more.clear()
            return books + frames

        await self._run(socket, take, lambda: feed.is_closed, change)

    async def _run(
        self,
        socket: WebSocket,
        take: Callable[[], list[Json]],
        is_closed: Callable[[], bool],
        on_text: Callable[[str], None],
    ) -> None:
        reader = asyncio.ensure_future(_read(socket, on_text))
        try:
            while not reader.done() and not self._closing.is_set():
                for frame in take():
                    await socket.send_text(msgspec.json.encode(frame).decode())
                if is_closed():
                    break
                await asyncio.wait([reader], timeout=_LOOK_S)
            if not reader.done():
                await socket.close(1001)
        except (WebSocketDisconnect, RuntimeError):
            # The client went away between two frames.
            return
        finally:
            reader.cancel()


async def _read(socket: WebSocket, on_text: Callable[[str], None]) -> None:
    try:
        while True:
            text = await socket.receive_text()
            if text == "PING":
                await socket.send_text("PONG")
            else:
                on_text(text)
    except (WebSocketDisconnect, RuntimeError):
        return


async def _first(socket: WebSocket, kind: type[_Wanted]) -> _Wanted | None:
    """Return the subscription, which must come first; close on anything else."""
    try:
        while (text := await socket.receive_text()) == "PING":
            await socket.send_text("PONG")
    except WebSocketDisconnect:
        return None
    found = _decoded(text, kind)
    if found is None:
        await socket.close(1008, "invalid subscription")
    return found


def _decoded(text: str, kind: type[_Wanted]) -> _Wanted | None:
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.DecodeError:
        return None


async def _send_books(socket: WebSocket, books: list[Json]) -> None:
    await socket.send_text(msgspec.json.encode(books).decode() + "\n")
