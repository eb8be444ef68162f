"""Books from the market socket: told only while they are known to be right, and how long ago."""

import asyncio
import gzip
import json
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from polybot.adapters.polymarket.book_feed import MAX_TOKENS, PolymarketBookFeed
from polybot.adapters.polymarket.book_feed_frames import (
    BookShown,
    LevelsChanged,
    NotTaken,
    TickChanged,
    Traded,
    read_frame,
)
from polybot.domain.markets import OutcomeTokenId
from tests.book_desk import CALM, DOWN, START, UP, Desk, book_row, change_row, desk, stamp
from tests.scripted_server import scripted_server
from tests.shared_data import require

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
        (gzip.compress(b"0" * 100, mtime=0), "answer-encoding"),
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
