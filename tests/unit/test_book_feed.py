"""Books from the market socket: told only while they are known to be right, and how long ago."""

import asyncio
import gzip
import json
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from aiohttp import WSMsgType, web

from polybot.adapters.polymarket.book_feed import MAX_TOKENS, PolymarketBookFeed
from polybot.adapters.polymarket.book_feed_check import BookTiming
from polybot.adapters.polymarket.book_feed_frames import (
    BookShown,
    LevelsChanged,
    NotTaken,
    TickChanged,
    Traded,
    read_frame,
)
from polybot.adapters.polymarket.market_data import PolymarketData
from polybot.domain.markets import OutcomeTokenId
from tests.fakes_copying import SetClock
from tests.scripted_server import ScriptedServer, scripted_server
from tests.shared_data import require

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


# Following -------------------------------------------------------------------------------------


async def test_first_frame_is_a_list_of_books_and_the_best_level_is_its_last() -> None:
    async with desk() as venue:
        await venue.known()
        book = venue.feed.book(UP)
        assert book is not None
        assert [(str(one.price), str(one.size)) for one in book.bids] == [
            ("0.50", "20.000000"),
            ("0.49", "100.000000"),
        ]
        assert (book.best_ask, book.tick_size, book.min_order_size) == (
            Decimal("0.51"),
            Decimal("0.01"),
            Decimal(5),
        )
        assert venue.heard[0] == {"type": "market", "assets_ids": [UP]}


async def test_changes_are_totals_and_nothing_removes_a_level() -> None:
    async with desk() as venue:
        await venue.known()
        changes = [("BUY", "0.50", "0"), ("SELL", "0.51", "7"), ("SELL", "0.515", "0")]
        await venue.send(change_row(*changes[:2], touch=("0.49", "0.51"), at=0.5))
        await venue.until(lambda: venue.touch() == (Decimal("0.49"), Decimal("0.51")))
        book = venue.feed.book(UP)
        assert book is not None
        assert book.asks[0].size == 7


async def test_changes_of_both_tokens_may_come_in_one_frame() -> None:
    opening = [[book_row(), book_row(DOWN, "0.48:30 0.49:30", "0.51:20 0.50:20")]]
    async with desk(opening=opening) as venue:
        venue.feed.watch([UP, DOWN])
        await venue.send([book_row(DOWN, "0.48:30 0.49:30", "0.51:20 0.50:20")])
        await venue.known(DOWN)
        frame = change_row(("BUY", "0.50", "0"), at=0.5)
        mirrored = change_row(("SELL", "0.50", "0"), token=DOWN, at=0.5)
        frame["price_changes"] += mirrored["price_changes"]
        await venue.send(frame)
        await venue.until(lambda: venue.touch()[0] == Decimal("0.49"))
        assert venue.touch(DOWN)[1] == Decimal("0.51")


async def test_tick_change_lets_finer_prices_in() -> None:
    async with desk() as venue:
        await venue.known()
        await venue.send(
            {
                "event_type": "tick_size_change",
                "asset_id": UP,
                "old_tick_size": "0.01",
                "new_tick_size": "0.001",
                "timestamp": stamp(0.5),
            }
        )
        await venue.send(change_row(("BUY", "0.505", "9"), touch=("0.505", "0.51"), at=0.6))
        await venue.until(lambda: venue.touch()[0] == Decimal("0.505"))
        book = venue.feed.book(UP)
        assert book is not None
        assert book.tick_size == Decimal("0.001")


async def test_book_is_as_fresh_as_the_newest_event_and_no_fresher() -> None:
    """Another token's event proves that the connection lives; a late one proves it for then."""
    async with desk(opening=[[book_row(timestamp=stamp(-3600))]]) as venue:
        await venue.known()
        book = venue.feed.book(UP)
        assert book is not None
        assert book.as_of == START + timedelta(seconds=1)
        venue.clock.at = START + timedelta(seconds=100)
        venue.feed.watch([UP, DOWN])
        trade = {"event_type": "last_trade_price", "asset_id": DOWN, "timestamp": stamp(70)}
        await venue.send(trade)
        late = START + timedelta(seconds=70)
        await venue.until(lambda: (venue.feed.book(UP) or book).as_of == late)
        venue.clock.at = START + timedelta(seconds=70)
        await venue.send(trade | {"timestamp": stamp(75)})
        await venue.send("PONG")
        await venue.until(lambda: venue.feed.counts.frames >= 4)
        assert (venue.feed.book(UP) or book).as_of == late


async def test_watched_tokens_can_change_while_running() -> None:
    async with desk() as venue:
        await venue.known()
        venue.feed.watch([DOWN])
        assert venue.feed.book(UP) is None
        await venue.until(lambda: len(venue.heard) == 3)
        assert venue.heard[1:] == [
            {"operation": "unsubscribe", "assets_ids": [UP]},
            {"operation": "subscribe", "assets_ids": [DOWN]},
        ]
        await venue.send(change_row(("BUY", "0.50", "0"), at=0.5))
        await venue.until(lambda: venue.feed.counts.rejected["token-not-watched"] == 1)


async def test_feed_without_tokens_waits_without_a_connection() -> None:
    async with scripted_server() as server:
        found = Desk(server, CALM)
        running = asyncio.create_task(found.feed.run())
        found.opening = [[book_row()]]
        async with found.reader:
            found.feed.watch([])
            found.feed.watch([UP])
            await found.known()
        assert found.counts["connections"] == 1
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


def test_more_tokens_than_the_venue_serves_are_refused() -> None:
    async def read(_: OutcomeTokenId) -> Any:
        raise AssertionError

    feed = PolymarketBookFeed("ws://127.0.0.1:1", read_book=read, now=lambda: START)
    tokens = [OutcomeTokenId(str(number)) for number in range(1, MAX_TOKENS + 2)]
    feed.watch(tokens[:-1])
    with pytest.raises(ValueError, match="at most 499 tokens"):
        feed.watch(tokens)


# Missing something -----------------------------------------------------------------------------

GAPS: dict[str, tuple[Any, str]] = {
    "another touch than the venue's": (
        change_row(("BUY", "0.49", "50"), touch=("0.48", "0.51"), at=0.5),
        "touch-differs",
    ),
    "crossed": (change_row(("BUY", "0.52", "50"), at=0.5), "book-crossed"),
    "off the tick": (change_row(("BUY", "0.495", "50"), at=0.5), "book-off-tick"),
    "older than the last event": (change_row(("BUY", "0.49", "50"), at=-0.5), "out-of-order"),
    "older whole book": (book_row(timestamp=stamp(-5)), "out-of-order"),
    "whole book that is crossed": (book_row(bids="0.60:5", asks="0.55:5"), "book-crossed"),
    "whole book off its tick": (book_row(bids="0.495:5"), "book-off-tick"),
    "size of seven decimals": (change_row(("BUY", "0.49", "1.0000001"), at=0.5), "book-malformed"),
    "price of 1": (change_row(("BUY", "1", "5"), at=0.5), "event-malformed"),
    "price of 0": (change_row(("BUY", "0", "5"), at=0.5), "event-malformed"),
    "NaN as text": (change_row(("BUY", "NaN", "5"), at=0.5), "event-malformed"),
    "negative size": (change_row(("BUY", "0.49", "-1"), at=0.5), "event-malformed"),
    "absurd size": (change_row(("BUY", "0.49", "1e30"), at=0.5), "event-malformed"),
    "side in lower case": (change_row(("buy", "0.49", "5"), at=0.5), "event-malformed"),
    "digits that are not ASCII": (change_row(("BUY", "0.４9", "5"), at=0.5), "event-malformed"),
    "missing price": (
        {
            "event_type": "price_change",
            "price_changes": [{"asset_id": UP, "side": "BUY", "size": "5"}],
            "timestamp": stamp(0.5),
        },
        "event-malformed",
    ),
    "unknown tick": (
        {
            "event_type": "tick_size_change",
            "asset_id": UP,
            "new_tick_size": "0.03",
            "timestamp": stamp(0.5),
        },
        "event-malformed",
    ),
    "coarser tick than its prices": (
        {
            "event_type": "tick_size_change",
            "asset_id": UP,
            "new_tick_size": "0.1",
            "timestamp": stamp(0.5),
        },
        "book-off-tick",
    ),
    "stamp in seconds": (
        change_row(("BUY", "0.49", "5"), at=0) | {"timestamp": "1795348800"},
        "event-malformed",
    ),
    "stamp of the future": (change_row(("BUY", "0.49", "5"), at=120), "event-from-the-future"),
    "repeated price": (book_row(bids="0.49:5 0.49:6"), "event-malformed"),
    "empty level": (book_row(bids="0.49:0"), "event-malformed"),
    "bids that are no list": (book_row() | {"bids": {"price": "0.5"}}, "event-malformed"),
}


@pytest.mark.parametrize("name", GAPS)
async def test_book_is_unknown_once_something_was_missed(name: str) -> None:
    """Counted by reason; the connection stays, and the other token's book with it."""
    frame, reason = GAPS[name]
    opening = [[book_row(), book_row(DOWN, "0.40:5", "0.60:5")]]
    async with desk(opening=opening) as venue:
        venue.feed.watch([UP, DOWN])
        await venue.send([book_row(DOWN, "0.40:5", "0.60:5")])
        await venue.known(DOWN)
        await venue.send(frame)
        await venue.unknown()
        row = frame.get("price_changes", [frame])[0]
        counted = reason
        if row.get("asset_id") is None:
            counted = "event-malformed"
        assert venue.rejected == Counter({counted: 1})
        assert venue.feed.book(DOWN) is not None
        await venue.send([book_row(timestamp=stamp(0.9))])
        await venue.known()
        assert venue.counts["connections"] == 1


NOISE: dict[str, tuple[Any, str]] = {
    "html": ("<html><body>502 Bad Gateway</body></html>", "answer-not-json"),
    "no JSON": ("{", "answer-not-json"),
    "NaN": ('{"event_type": "book", "asset_id": NaN}', "answer-not-json"),
    "repeated keys": ('{"event_type": "book", "event_type": "x"}', "answer-duplicate-keys"),
    "half a surrogate": ('{"event_type": "\\ud800"}', "event-unknown"),
    "deep nesting": ("[" * 100_000, "answer-not-json"),
    "a number": ("42", "event-unknown"),
    "an event of another kind": (
        '{"event_type": "new_market", "slug": "x"}',
        "event-of-other-kind",
    ),
    "a kind that is no text": ('{"event_type": ["book"]}', "event-unknown"),
    "a token beyond 2^256": (
        json.dumps(book_row("9" * 78)),
        "event-malformed",
    ),
    "a token never watched": (json.dumps(book_row("3333")), "token-not-watched"),
    "binary": (b"\x00\xff", "frame-binary"),
}


@pytest.mark.parametrize("name", NOISE)
async def test_noise_is_counted_and_changes_nothing(name: str) -> None:
    frame, reason = NOISE[name]
    async with desk() as venue:
        await venue.known()
        before = venue.feed.book(UP)
        await venue.send(frame)
        await venue.until(lambda: venue.feed.counts.rejected[reason] == 1)
        assert venue.rejected == Counter({reason: 1})
        assert venue.feed.book(UP) == before
        assert venue.counts["connections"] == 1


@pytest.mark.parametrize("text", ["", "PONG", "pong", "[]", " \n"])
def test_small_talk_is_no_event(text: str) -> None:
    assert read_frame(text) == ()


async def test_million_elements_are_read_and_rejected_as_one_frame() -> None:
    """A list of numbers within the frame's bound: each is an unknown event, and life goes on."""
    async with desk() as venue:
        await venue.known()
        await venue.send("[" + ",".join("1" for _ in range(100_000)) + "]")
        await venue.until(lambda: venue.feed.counts.rejected["event-unknown"] == 100_000)
        assert venue.feed.book(UP) is not None


async def test_flood_of_small_frames_hides_no_change_and_starves_nobody() -> None:
    """Each is counted, the change among them is seen, and pings still go out."""
    async with desk() as venue:
        await venue.known()
        for number in range(20_000):
            await venue.send("{}")
            if number == 10_000:
                await venue.send(change_row(("BUY", "0.50", "0"), at=0.5))
        pings = venue.counts["pings"]
        await venue.until(lambda: venue.feed.counts.rejected["event-unknown"] == 20_000)
        assert venue.touch()[0] == Decimal("0.49")
        await venue.until(lambda: venue.counts["pings"] > pings)
        assert venue.counts["connections"] == 1


async def test_oversize_frame_ends_the_connection_and_the_next_one_begins_anew() -> None:
    async with desk(max_frame_bytes=1 << 16) as venue:
        await venue.known()
        await venue.send("x" * (1 << 17))
        await venue.until(lambda: venue.counts["connections"] == 2)
        assert venue.feed.counts.rejected["frame-too-big"] == 1
        await venue.known()


async def test_compressed_bomb_is_never_unpacked() -> None:
    """No compression is agreed on, so a frame that says it is compressed breaks the rules."""
    async with desk(max_frame_bytes=1 << 16) as venue:
        await venue.known()
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        bomb = packer.compress(b"0" * (1 << 26)) + packer.flush(zlib.Z_SYNC_FLUSH)
        assert venue._socket is not None
        transport = venue._socket._req.transport  # type: ignore[union-attr]
        assert transport is not None
        # Final frame, RSV1 (compressed), text, 64-bit length.
        transport.write(b"\xc1\x7f" + len(bomb).to_bytes(8, "big") + bomb)
        await venue.until(lambda: venue.counts["connections"] == 2)
        await venue.known()


# Connections -----------------------------------------------------------------------------------


async def test_books_are_unknown_while_there_is_no_connection() -> None:
    async with desk() as venue:
        await venue.known()
        venue.opening = []
        await venue.hang_up()
        await venue.until(lambda: venue.counts["connections"] == 2)
        assert venue.feed.book(UP) is None
        assert venue.heard[-1] == {"type": "market", "assets_ids": [UP]}
        await venue.send([book_row(timestamp=stamp(0.9))])
        await venue.known()


async def test_connection_is_kept_alive_by_pings() -> None:
    async with desk() as venue:
        await venue.until(lambda: venue.counts["pings"] >= 3)
        assert venue.counts["connections"] == 1


async def test_pongs_alone_do_not_keep_a_frozen_connection() -> None:
    """Neither data nor an agreement: the socket is opened anew."""
    async with desk(replace(CALM, silence_s=0.05)) as venue:
        await venue.until(lambda: venue.counts["connections"] >= 2)
        assert venue.feed.counts.freezes >= 1


async def test_quiet_connection_is_kept_while_the_venue_agrees() -> None:
    """And the agreement says as of when the book is right."""
    timing = replace(CALM, silence_s=0.5, compare_s=0.01)
    async with desk(timing, opening=[[book_row(timestamp=stamp(-3000))]]) as venue:
        venue.rest[UP] = book_row(timestamp=stamp(-3000), min_order_size="15")
        await venue.known()
        venue.clock.at = START + timedelta(seconds=50)
        await venue.until(lambda: venue.feed.counts.agreements >= 100)
        assert venue.counts["connections"] == 1
        book = venue.feed.book(UP)
        assert book is not None
        assert book.as_of == START + timedelta(seconds=50)
        assert book.min_order_size == 15


async def test_frozen_stream_is_found_by_comparing() -> None:
    """The venue's book has moved on and nothing was told of it."""
    async with desk(replace(CALM, compare_s=0.01)) as venue:
        await venue.known()
        venue.rest[UP] = book_row(bids="0.40:5", timestamp=stamp(0.5))
        venue.opening = [[book_row(bids="0.40:5", timestamp=stamp(0.5))]]
        await venue.until(lambda: venue.counts["connections"] == 2)
        assert venue.feed.counts.freezes == 1
        await venue.until(lambda: venue.feed.book(UP) is not None)
        assert venue.touch()[0] == Decimal("0.40")


async def test_lost_event_is_found_by_comparing_and_the_connection_kept() -> None:
    """Other tokens are told of, so the connection is not frozen; the book is put right."""
    opening = [[book_row(), book_row(DOWN, "0.40:5", "0.60:5")]]
    async with desk(replace(CALM, compare_s=0.01, settle_s=0.05), opening=opening) as venue:
        venue.feed.watch([UP, DOWN])
        await venue.known()
        alive, number = True, 0

        async def keep_telling() -> None:
            nonlocal number
            while alive:
                number += 1
                await venue.send(
                    {"event_type": "last_trade_price", "asset_id": DOWN, "timestamp": stamp(0.6)}
                )
                await asyncio.sleep(0.001)

        telling = asyncio.create_task(keep_telling())
        await venue.until(lambda: number > 5)
        venue.rest[UP] = book_row(bids="0.40:5", timestamp=stamp(0.5))
        await venue.until(lambda: venue.feed.counts.gaps == 1)
        assert venue.touch()[0] == Decimal("0.40")
        assert venue.counts["connections"] == 1
        alive = False
        await telling


async def test_unknown_book_is_learnt_from_the_venue_with_what_came_meanwhile() -> None:
    """A change that the answer holds already, and one that it does not."""
    gate = asyncio.Event()
    async with desk(replace(CALM, recover_s=0.01, compare_s=60), opening=[]) as venue:
        plain = venue.feed._check._read_book

        async def slowly(token: OutcomeTokenId) -> Any:
            answer = await plain(token)
            await gate.wait()
            return answer

        venue.feed._check._read_book = slowly
        venue.rest[UP] = book_row(timestamp=stamp(0.5))
        await venue.until(lambda: venue.counts["reads"] == 1)
        await venue.send(change_row(("BUY", "0.30", "1"), at=0.4))
        await venue.send(change_row(("BUY", "0.50", "0"), ("BUY", "0.45", "3"), at=0.7))
        await venue.until(lambda: venue.feed.counts.frames >= 2)
        gate.set()
        await venue.known()
        book = venue.feed.book(UP)
        assert book is not None
        assert [str(one.price) for one in book.bids] == ["0.49", "0.45"]
        # Told late, but held by the answer: neither applied nor taken for a gap.
        await venue.send(change_row(("SELL", "0.51", "0"), at=0.7))
        await venue.until(lambda: venue.touch()[1] == Decimal("0.52"))


async def test_answer_older_than_the_stream_proves_nothing() -> None:
    async with desk(replace(CALM, compare_s=0.01)) as venue:
        await venue.known()
        await venue.send(change_row(("BUY", "0.50", "0"), at=0.5))
        await venue.until(lambda: venue.touch()[0] == Decimal("0.49"))
        venue.rest[UP] = book_row(timestamp=stamp(0.2))
        reads = venue.counts["reads"]
        await venue.until(lambda: venue.counts["reads"] > reads + 5)
        assert venue.touch()[0] == Decimal("0.49")
        assert (venue.feed.counts.gaps, venue.feed.counts.agreements) == (0, 0)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"<html>", "answer-not-json"),
        (b"", "answer-not-json"),
        (json.dumps(book_row(DOWN) | {"min_order_size": "5"}).encode(), "book-mismatch"),
        (gzip.compress(b"0" * 100), "answer-encoding"),
    ],
)
async def test_bad_answers_are_counted_and_prove_nothing(answer: bytes, reason: str) -> None:
    async with desk(replace(CALM, compare_s=0.01)) as venue:
        venue.rest[UP] = answer
        await venue.known()
        await venue.until(lambda: venue.feed.counts.rejected[reason] >= 2)
        assert venue.feed.book(UP) is not None
        assert venue.feed.counts.agreements == 0


async def test_book_without_a_market_any_more_stays_unknown() -> None:
    async with desk(replace(CALM, recover_s=0.01), opening=[]) as venue:
        await venue.until(lambda: venue.feed.counts.rejected["book-missing"] >= 2)
        assert venue.feed.book(UP) is None


# Recorded frames -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "clob_rtds_binance_raw_2026-04-28.jsonl.gz",
            {
                "BookShown": 102,
                "LevelsChanged": 82,
                "event-of-other-kind": 27,
                # Answers of ``GET /book`` that the recorder put among the frames.
                "event-unknown": 144,
            },
        ),
        (
            "clob_rtds_current_window_2026-04-29T0312.jsonl.gz",
            {"BookShown": 6, "LevelsChanged": 4, "event-unknown": 12},
        ),
    ],
)
def test_recorded_frames_are_read_completely(name: str, expected: dict[str, int]) -> None:
    """Every row is a typed event or a named, counted skip; none is malformed."""
    counts: Counter[str] = Counter()
    with gzip.open(require("ws", name), "rt") as lines:
        for line in lines:
            row = json.loads(line)
            if row["source"] != "polymarket_clob":
                continue
            for event in read_frame(row["payload"]):
                is_skip = isinstance(event, NotTaken)
                counts[event.reason if is_skip else type(event).__name__] += 1
    assert counts == expected


def test_recorded_book_and_its_change_fit_together() -> None:
    """The change names the touch that the level gives, for both tokens."""
    message = json.loads(require("ws", "clob_ws_price_change_2026-08-25.json").read_text())
    down, up = read_frame(json.dumps(message["message"]))
    assert isinstance(down, LevelsChanged)
    assert isinstance(up, LevelsChanged)
    assert (down.bids, down.touch) == (
        {Decimal("0.63"): Decimal(206)},
        (Decimal("0.63"), Decimal("0.64")),
    )
    assert (up.asks, up.touch) == (
        {Decimal("0.37"): Decimal(206)},
        (Decimal("0.36"), Decimal("0.37")),
    )


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ws_market_book_msg", BookShown),
        ("ws_market_price_change_msg", LevelsChanged),
        ("ws_market_tick_size_msg", TickChanged),
        ("ws_market_last_trade_msg", Traded),
        ("ws_market_best_bid_ask_msg", NotTaken),
        ("ws_market_resolved_msg", NotTaken),
        ("ws_market_new_market_msg", NotTaken),
    ],
)
def test_fixtures_of_others_are_read(name: str, kind: type) -> None:
    fixtures = json.loads(require("ws", "nautilus_polymarket_fixtures.json").read_text())
    fixture = next(value for key, value in fixtures.items() if key.removesuffix(".json") == name)
    (event,) = read_frame(json.dumps(fixture))
    assert isinstance(event, kind)
