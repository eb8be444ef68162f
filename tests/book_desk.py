"""A venue on loopback and a feed of books that listens to it, for one test."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from aiohttp import WSMsgType, web

from polybot.adapters.polymarket.book_feed import PolymarketBookFeed
from polybot.adapters.polymarket.book_feed_check import BookTiming
from polybot.adapters.polymarket.market_data import PolymarketData
from polybot.domain.markets import OutcomeTokenId
from tests.fakes_copying import SetClock
from tests.scripted_server import ScriptedServer, scripted_server

UP, DOWN = OutcomeTokenId("1111"), OutcomeTokenId("2222")
START = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
PATIENCE_S = 10
# Watchdogs far away; a test that is about one brings it near.
CALM = BookTiming(
    ping_s=0.01,
    quiet_s=20,
    silence_s=60,
    compare_s=60,
    recover_s=60,
    settle_s=0.02,
    look_s=0.005,
    first_pause_s=0.001,
    longest_pause_s=0.002,
)


def stamp(after_s: float = 0) -> str:
    """Return the venue's stamp of an instant after the start [ms]."""
    return str(int((START + timedelta(seconds=after_s)).timestamp() * 1000))


def levels(text: str) -> list[dict[str, str]]:
    """Return ``0.49:100 0.50:20`` as the venue words it."""
    return [dict(zip(("price", "size"), one.split(":"), strict=True)) for one in text.split()]


def book_row(
    token: str = UP, bids: str = "0.49:100 0.50:20", asks: str = "0.52:90 0.51:30", **changes: Any
) -> dict[str, Any]:
    """Return a ``book`` event; the best level is the last."""
    return {
        "market": "0x" + "c0" * 32,
        "asset_id": token,
        "timestamp": stamp(),
        "hash": "aa",
        "bids": levels(bids),
        "asks": levels(asks),
        "tick_size": "0.01",
        "event_type": "book",
        "last_trade_price": "",
    } | changes


def change_row(
    *changes: tuple[str, str, str], token: str = UP, touch: tuple[str, str] | None = None, at: float
) -> dict[str, Any]:
    """Return a ``price_change`` event of one token: side, price and size each."""
    best = {} if touch is None else {"best_bid": touch[0], "best_ask": touch[1]}
    return {
        "event_type": "price_change",
        "market": "0x" + "c0" * 32,
        "price_changes": [
            {"asset_id": token, "side": side, "price": price, "size": size, "hash": "bb"} | best
            for side, price, size in changes
        ],
        "timestamp": stamp(at),
    }


class Desk:
    """A venue on loopback, a feed that listens to it, and a clock that the test moves."""

    def __init__(self, server: ScriptedServer, timing: BookTiming, **options: Any) -> None:
        self.clock = SetClock(START + timedelta(seconds=1))
        self.rest: dict[str, dict[str, Any] | bytes] = {}
        self.opening: list[Any] = []
        """Frames that every connection begins with."""
        self.heard: list[dict[str, Any]] = []
        self.counts: Counter[str] = Counter()
        self._socket: web.WebSocketResponse | None = None
        server.on("/ws/market", self._serve)
        server.on("/book", self._answer)
        self.reader = PolymarketData(
            gamma_url=server.url,
            clob_url=server.url,
            data_url=server.url,
            timeout_s=5,
            clock=self.clock,
            max_book_age=timedelta(days=30),
        )
        self.feed = PolymarketBookFeed(
            server.url.replace("http", "ws") + "/ws/market",
            read_book=self.reader.order_book,
            now=self.clock.instant,
            timing=timing,
            random=Random(7),
            **options,
        )

    async def send(self, frame: Any) -> None:
        """Send a frame on the open connection."""
        await self.until(lambda: self._socket is not None)
        assert self._socket is not None
        await _send(self._socket, frame)

    async def hang_up(self) -> None:
        """Close the open connection from the venue's side."""
        await self.until(lambda: self._socket is not None)
        assert self._socket is not None
        await self._socket.close(code=1013)

    async def until(self, is_true: Callable[[], bool]) -> None:
        """Wait for something that has no event."""
        async with asyncio.timeout(PATIENCE_S):
            while not is_true():  # noqa: ASYNC110 - the feed has no event to wait for
                await asyncio.sleep(0.002)

    async def known(self, token: OutcomeTokenId = UP) -> None:
        """Wait for a book."""
        await self.until(lambda: self.feed.book(token) is not None)

    async def unknown(self, token: OutcomeTokenId = UP) -> None:
        """Wait until there is no book."""
        await self.until(lambda: self.feed.book(token) is None)

    def touch(self, token: OutcomeTokenId = UP) -> tuple[Decimal | None, Decimal | None]:
        """Return best bid and best ask."""
        book = self.feed.book(token)
        assert book is not None
        return book.best_bid, book.best_ask

    @property
    def rejected(self) -> Counter[str]:
        """Return what was rejected of the stream: a token without an answer is not of it."""
        return self.feed.counts.rejected - Counter({"book-missing": 1_000_000})

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        response = web.WebSocketResponse(max_msg_size=1 << 22)
        await response.prepare(request)
        self.heard.append(json.loads(await response.receive_str()))
        self.counts["connections"] += 1
        for frame in self.opening:
            await _send(response, frame)
        self._socket = response
        async for message in response:
            if message.type is not WSMsgType.TEXT:
                continue
            if message.data == "PING":
                self.counts["pings"] += 1
                await response.send_str("PONG")
            else:
                self.heard.append(json.loads(message.data))
        if self._socket is response:
            self._socket = None
        return response

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.counts["reads"] += 1
        row = self.rest.get(request.query["token_id"])
        if row is None:
            return web.Response(status=404)
        if isinstance(row, bytes):
            return web.Response(body=row)
        return web.json_response({"min_order_size": "5", **row})


async def _send(socket: web.WebSocketResponse, frame: Any) -> None:
    if isinstance(frame, bytes):
        await socket.send_bytes(frame)
    else:
        await socket.send_str(frame if isinstance(frame, str) else json.dumps(frame) + "\n")


@asynccontextmanager
async def desk(
    timing: BookTiming = CALM, opening: list[Any] | None = None, **options: Any
) -> AsyncIterator[Desk]:
    """Run a feed that watches the Up token; the connection begins with its book."""
    async with scripted_server() as server:
        found = Desk(server, timing, **options)
        found.opening = [[book_row()]] if opening is None else opening
        found.feed.watch([UP])
        running = asyncio.create_task(found.feed.run())
        try:
            async with found.reader:
                yield found
                assert not running.done(), running.exception()
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
