"""Our orders and fills as they happen, from the user socket.

An accelerator and nothing more: the socket replays nothing, may freeze while it still answers
pings, and may leave fields out. So every event says "look now" and what it shows is checked by
reading; each (re)connection and each frame that cannot be read ask for a complete re-read.

Source: docs.polymarket.com/market-data/websocket/user-channel (2026-11-22);
github.com/Polymarket/py-clob-client/issues/292 (frozen sockets that still answer).
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from random import Random
from typing import Any, Final

import aiohttp

from polybot.adapters.polymarket.auth import ApiCredentials
from polybot.adapters.polymarket.clob_client import ClobClient
from polybot.adapters.polymarket.wire.orders import MALFORMED, OrderWire, venue_order
from polybot.adapters.polymarket.wire.own_trades import own_trades
from polybot.adapters.polymarket.wire.strict import decode_text, shaped
from polybot.adapters.sockets import Backoff, keep_pinging
from polybot.adapters.web import open_session
from polybot.domain.markets import ConditionId
from polybot.domain.venue_account import (
    OrderSeen,
    Reconnected,
    TradesSeen,
    Unreadable,
    UserEvent,
)
from polybot.errors import DataError, PermanentError, PolybotError

MAX_FRAME_BYTES: Final = 1 << 20
# Closes that mean "not you": policy violation, and the venue's own code for it.
_REFUSED_CODES: Final = frozenset({1008, 4001})
_CONNECT_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamTiming:
    """How the socket is kept alive, and when it is given up [s]."""

    ping_s: float = 10.0
    silence_s: float = 25.0
    """Not even a PONG for so long: the connection is dead."""
    data_silence_s: float = 300.0
    """No event for so long: it may be frozen, so it is opened anew, which re-reads everything."""
    first_pause_s: float = 0.5
    longest_pause_s: float = 30.0


class UserStream:
    """One user socket that reconnects by itself until its reader stops."""

    def __init__(
        self,
        url: str,
        client: ClobClient,
        *,
        funder: str,
        condition_ids: Sequence[ConditionId] = (),
        timing: StreamTiming | None = None,
        random: Random | None = None,
    ) -> None:
        """Keep where the socket is; nothing is opened yet.

        Args:
            url: ``wss://…/ws/user``.
            client: Has the API credentials.
            funder: The account's wallet.
            condition_ids: Markets to hear of; empty: all.
            timing: Pings, watchdogs and pauses.
            random: Spreads the pauses, so that many bots do not return at once.
        """
        self._url = url
        self._client = client
        self._funder = funder
        self._condition_ids = tuple(condition_ids)
        self._timing = timing or StreamTiming()
        self._backoff = Backoff(
            first_s=self._timing.first_pause_s,
            longest_s=self._timing.longest_pause_s,
            random=random or Random(),  # noqa: S311 - spreads load, hides nothing
        )
        self._is_first = True

    async def events(self) -> AsyncGenerator[UserEvent, None]:
        """Yield events for as long as they are read; close the iterator to stop.

        Raises:
            PermanentError: The venue refuses the credentials, also after they were derived again.
        """
        timeout_s = self._timing.silence_s
        async with open_session(timeout_s=timeout_s) as session:
            while True:
                with suppress(aiohttp.ClientError, OSError, TimeoutError):
                    async with aclosing(self._connection(session)) as events:
                        async for event in events:
                            yield event
                await asyncio.sleep(self._backoff.next_s())

    async def _connection(self, session: aiohttp.ClientSession) -> AsyncGenerator[UserEvent, None]:
        """Yield the events of one connection until it ends or a watchdog ends it."""
        try:
            credentials = await self._client.credentials()
        except PermanentError:
            raise
        except PolybotError:
            return
        async with asyncio.timeout(_CONNECT_TIMEOUT_S):
            socket = await session.ws_connect(self._url, max_msg_size=MAX_FRAME_BYTES)
        async with socket:
            # The only frame that carries the secrets; it is never bound to a name.
            await socket.send_str(self._subscription(credentials))
            pinger = asyncio.create_task(keep_pinging(socket, self._timing.ping_s))
            try:
                is_heard = False
                async with aclosing(self._frames(socket)) as frames:
                    async for text in frames:
                        if not is_heard:
                            # Refused credentials close the socket before anything is heard.
                            is_heard = True
                            yield self._connected()
                        for event in self._read(text):
                            yield event
            finally:
                pinger.cancel()
            if socket.close_code in _REFUSED_CODES and not self._client.refuse(credentials):
                raise PermanentError("the user socket refused the API credentials twice")

    def _subscription(self, credentials: ApiCredentials) -> str:
        markets = {"markets": list(self._condition_ids)} if self._condition_ids else {}
        return json.dumps({"type": "user", "auth": credentials.socket_login(), **markets})

    def _connected(self) -> Reconnected:
        event = Reconnected(is_first=self._is_first)
        self._is_first = False
        self._backoff.succeed()
        return event

    async def _frames(self, socket: aiohttp.ClientWebSocketResponse) -> AsyncGenerator[str, None]:
        """Yield the text frames, ``PONG`` as empty text, until either watchdog has had enough."""
        loop = asyncio.get_running_loop()
        last_data = loop.time()
        while loop.time() < last_data + self._timing.data_silence_s:
            message = await socket.receive(timeout=self._timing.silence_s)
            if message.type is aiohttp.WSMsgType.TEXT:
                is_data = message.data.strip() not in ("", "PONG")
                if is_data:
                    last_data = loop.time()
                yield message.data if is_data else ""
            elif message.type is aiohttp.WSMsgType.BINARY:
                yield "binary frame"
            else:
                return

    def _read(self, text: str) -> list[UserEvent]:
        if not text:
            return []
        try:
            found = decode_text(text)
            rows = found if isinstance(found, list) else [found]
            return [event for row in rows for event in self._event(row)]
        except DataError as error:
            return [Unreadable(reason=str(error))]

    def _event(self, row: Any) -> list[UserEvent]:
        kind = _kind(row)
        if kind == "order":
            return [OrderSeen(order=venue_order(shaped(row, OrderWire, reason=MALFORMED)))]
        if kind == "trade":
            return [TradesSeen(found=own_trades(row, funder=self._funder))]
        return []


def _kind(row: Any) -> str:
    """Return which event a row is; events of other kinds are not ours to read."""
    if not isinstance(row, dict):
        raise DataError("a frame is no event", reason="user-event-malformed")
    named = row.get("event_type") or row.get("type")
    if named in ("trade", "TRADE"):
        return "trade"
    if named in ("order", "PLACEMENT", "UPDATE", "CANCELLATION"):
        return "order"
    return ""
