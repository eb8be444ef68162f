"""Leaders from the Data API: what is read, page by page, and read again; and their history."""

from datetime import timedelta

import pytest

from polybot.adapters.polymarket.leader_feed import PolymarketLeaderHistory
from polybot.domain.leaders import ConversionKind
from polybot.errors import DataError, TransientError
from tests.leader_listening import LEADER, WATERMARK, listening
from tests.leader_rows import (
    CONDITION,
    NOW,
    TOKEN,
    TRADED_S,
    WALLET,
    activity_row,
    api_row,
    frame,
    page,
    stream_row,
    transaction,
)
from tests.leader_venue import leader_venue
from tests.scripted_server import body, hang_up


async def test_true_repeats_come_from_the_data_api() -> None:
    async with leader_venue() as venue:
        venue.trades += [api_row(1)] * 3
        async with listening(venue) as ear:
            await venue.send(frame(stream_row(1)))
            await venue.send(frame(stream_row(1)))
            await ear.count(3)
    assert sorted(one.occurrence for one in ear.trades) == [0, 1, 2]


async def test_restart_reads_from_the_watermark_and_tells_only_what_is_new() -> None:
    async with leader_venue() as venue:
        venue.trades += [api_row(1), api_row(1), api_row(2), api_row(3, timestamp=TRADED_S - 9000)]
        venue.activity += [activity_row("MERGE", 4)]
        async with listening(venue, stream=False) as before:
            await before.count(4)
        keys = tuple(one.key for one in before.told)
        venue.trades.append(api_row(5))
        async with listening(venue, stream=False, known=keys) as after:
            await after.count(1)
            await venue.signals.count("activity", 2)
    assert [one.transaction_hash for one in after.trades] == [transaction(5)]
    assert after.conversions == []
    # What was listed late since the last sweep before the restart is read, too.
    (first, *_) = venue.asked("trades")
    assert int(first["start"]) == int(
        (WATERMARK - timedelta(hours=1, minutes=5, seconds=120)).timestamp()
    )
    assert first["taker_only"] == "false"


async def test_every_question_is_unlike_all_others() -> None:
    """The edge would answer the same question from its cache."""
    async with leader_venue() as venue, listening(venue, stream=False, every_s=0.01):
        await venue.signals.count("trades", 5)
    values = [query["_"] for _, query in venue.queries]
    assert len(values) == len(set(values))


async def test_conversions_are_told_once() -> None:
    async with leader_venue() as venue:
        venue.activity += [
            activity_row("MERGE", 1),
            activity_row("REDEEM", 2, size=0),
            activity_row("SPLIT", 3),
            activity_row("REWARD", 4),
            api_row(5, type="TRADE"),
        ]
        async with listening(venue, stream=False, every_s=0.01) as ear:
            await ear.count(3)
            await venue.signals.count("activity", 5)
            rejected = ear.health("data-api").rejected
    assert {one.kind for one in ear.conversions} == {
        ConversionKind.MERGE,
        ConversionKind.REDEEM,
        ConversionKind.SPLIT,
    }
    assert ear.trades == []
    assert rejected == {"no-trade": 1}


async def test_pages_are_read_to_the_end() -> None:
    async with leader_venue() as venue:
        venue.rows_per_page = 3
        venue.trades += [api_row(number, timestamp=TRADED_S - number) for number in range(20)]
        async with listening(venue, stream=False) as ear:
            await ear.count(20)
    assert [one.transaction_hash for one in ear.trades] == [
        transaction(number) for number in reversed(range(20))
    ]


async def test_row_that_moved_to_the_next_page_is_no_repeat() -> None:
    """A trade that happens while pages are read shifts the others."""
    rows = [api_row(number, timestamp=TRADED_S - number) for number in range(6)]
    shifted = [body(page(rows[:3], next_cursor="3")), body(page(rows[2:5], next_cursor=None))]
    async with leader_venue() as venue:
        venue.trades += rows
        venue.answers["trades"] = [*shifted]
        async with listening(venue, stream=False) as ear:
            await ear.count(6)
    assert [one.occurrence for one in ear.trades] == [0] * 6
    assert len({query["limit"] for query in venue.asked("trades")}) == 2


async def test_read_until_moves_only_with_both_endpoints() -> None:
    async with leader_venue() as venue:
        venue.answers["activity"] = [hang_up()]
        async with listening(venue, stream=False, every_s=0.05) as ear:
            assert ear.feed.read_until() == {LEADER: WATERMARK}
            await venue.signals.count("activity", 3)
            reached = ear.feed.read_until()[LEADER]
    assert reached == NOW - timedelta(seconds=60)


async def test_without_the_data_api_nothing_is_certain() -> None:
    async with leader_venue() as venue, listening(venue, data=False) as ear:
        await venue.send(frame(stream_row(1)))
        await ear.count(1)
        assert ear.feed.read_until() == {LEADER: WATERMARK}


async def test_failing_data_api_does_not_hurt_the_stream() -> None:
    async with leader_venue() as venue:
        venue.answers["trades"] = [body(b"no", status=500), body(b"no", status=403), hang_up()]
        async with listening(venue, every_s=0.01) as ear:
            await venue.send(frame(stream_row(1)))
            await ear.count(1)
            await ear.rejected("data-api", "data-api-refused")
            await ear.rejected("data-api", "data-api-unreachable")
            await venue.signals.count("trades", 4)
            venue.trades.append(api_row(2))
            await ear.count(2)
            await ear.looked(lambda: ear.health("data-api").is_connected)


@pytest.mark.parametrize("wait", ["-1", "NaN", "0", "Wed, 21 Oct 2015 07:28:00 GMT"])
async def test_request_for_rest_is_heeded_within_reason(wait: str) -> None:
    """Row 23: an absurd Retry-After neither stops us for ever nor is an error."""
    async with leader_venue() as venue:
        headers = {"Retry-After": wait, "Date": "Wed, 21 Oct 2026 07:28:00 GMT"}
        venue.answers["activity"] = [body(b"", status=429, headers=headers)]
        async with listening(venue, stream=False, every_s=0.01) as ear:
            await ear.rejected("data-api", "rate-limited")


async def test_history_gives_the_newest_trades_first_and_positions() -> None:
    position = {
        "proxy_wallet": WALLET,
        "token_id": TOKEN,
        "condition_id": CONDITION,
        "current_size": 3,
        "status": "OPEN",
    }
    async with leader_venue() as venue:
        venue.rows_per_page = 2
        venue.trades += [api_row(number, timestamp=TRADED_S - number) for number in range(7)]
        venue.positions += [position] * 5
        async with PolymarketLeaderHistory(venue.url, timeout_s=5, now=lambda: NOW) as history:
            trades = await history.recent_trades(LEADER, limit=5)
            positions = await history.leader_positions(LEADER)
    assert [one.transaction_hash for one in trades] == [transaction(number) for number in range(5)]
    assert len(positions) == 5


async def test_history_says_what_went_wrong() -> None:
    async with leader_venue() as venue:
        loop_page = page([api_row(1)], next_cursor="same")
        venue.answers["trades"] = [body(b"", status=500), *[body(loop_page)] * 2]
        async with PolymarketLeaderHistory(venue.url, timeout_s=5, now=lambda: NOW) as history:
            with pytest.raises(TransientError):
                await history.recent_trades(LEADER, limit=5)
            with pytest.raises(DataError, match="repeat"):
                await history.recent_trades(LEADER, limit=5)
