"""Leaders over real sockets: what is heard, missed, filled in, repeated, and told once."""

import asyncio
from datetime import timedelta

import pytest
from aiohttp import web

from polybot.adapters.polymarket.leader_feed import PolymarketLeaderHistory
from polybot.domain.leaders import ConversionKind, FeedSource, LeaderAddress
from polybot.domain.markets import ConditionId
from polybot.errors import DataError, TransientError
from tests.leader_listening import LEADER, NERVOUS, WATERMARK, listening
from tests.leader_rows import (
    CONDITION,
    NOW,
    STRANGER,
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
from tests.leader_venue import LeaderVenue, filled_log, leader_venue, notify
from tests.scripted_server import body, hang_up


async def test_followed_trade_is_told_from_the_frame_and_strangers_are_not() -> None:
    async with leader_venue() as venue, listening(venue, data=False) as ear:
        for number in range(100):
            await venue.send(frame(stream_row(number, proxyWallet=STRANGER)))
        await venue.send(frame(stream_row(1)))
        await ear.count(1)
        (told,) = ear.trades
        health = ear.health("stream-1")
    assert (told.leader, told.source) == (WALLET, FeedSource.STREAM)
    assert (health.followed, health.first, health.rejected) == (1, 1, {})
    assert health.messages >= 101
    assert health.is_connected


async def test_two_connections_tell_once_and_count_who_was_first() -> None:
    async with leader_venue() as venue, listening(venue, data=False, connections=2) as ear:
        for number in range(1, 11):
            await venue.send(frame(stream_row(number)), to=number % 2)
            await ear.count(number)
            await venue.send(frame(stream_row(number)), to=1 - number % 2)
        await venue.send(frame(stream_row(99)))
        await ear.count(11)
        firsts = [one.first for one in ear.feed.health()]
        await ear.looked(lambda: sum(one.followed for one in ear.feed.health()) == 22)
    assert len(ear.told) == 11
    assert sum(firsts) == 11
    assert min(firsts) >= 5


async def test_connection_that_ends_is_opened_again_and_the_gap_is_filled() -> None:
    """Whatever happened in between comes from the Data API, at once."""
    async with leader_venue() as venue, listening(venue) as ear:
        await venue.send(frame(stream_row(1)))
        await ear.count(1)
        venue.trades += [api_row(1), api_row(2)]
        await venue.hang_up()
        await ear.count(2)
        await venue.signals.count("subscribed", 2)
        await ear.looked(lambda: ear.health("stream-1").reconnects == 1)
    assert [one.source for one in ear.trades] == [FeedSource.STREAM, FeedSource.DATA_API]


async def test_gap_while_a_read_is_under_way_is_read_again() -> None:
    """What the read has seen by then may be older than the gap."""
    released = asyncio.Event()

    async def slowly(request: web.Request) -> web.StreamResponse:
        await released.wait()
        return await body(page([]))(request)

    async with leader_venue() as venue:
        venue.answers["trades"] = [slowly]
        async with listening(venue) as ear:
            await venue.signals.count("trades", 1)
            await venue.hang_up()
            await venue.signals.count("subscribed", 2)
            await ear.looked(lambda: ear.health("stream-1").reconnects == 1)
            venue.trades.append(api_row(1))
            released.set()
            await ear.count(1)


async def test_venue_that_is_away_is_tried_until_it_is_back() -> None:
    async with leader_venue() as venue:
        venue.answers["rtds"] = [body(b"<html>", status=code) for code in (502, 403, 200)]
        async with listening(venue, data=False) as ear:
            await venue.send(frame(stream_row(1)))
            await ear.count(1)
            assert ear.health("stream-1").rejected == {"connection-failed": 3}


async def test_redirect_of_the_stream_leads_nowhere() -> None:
    async with leader_venue() as venue:
        away = body(b"", status=302, headers={"Location": "http://127.0.0.1:1/rtds"})
        venue.answers["rtds"] = [away]
        async with listening(venue, data=False) as ear:
            assert ear.health("stream-1").rejected == {"connection-failed": 1}


async def test_silence_is_noticed_subscribed_again_and_its_gap_filled() -> None:
    """The socket still answers pings, which says nothing."""
    async with leader_venue() as venue, listening(venue, stream_timing=NERVOUS) as ear:
        venue.is_mute = True
        venue.trades.append(api_row(5))
        await venue.signals.count("subscribed", 2)
        await ear.count(1)
        assert ear.health("stream-1").freezes >= 1
        assert venue.signals.counts["ping"] > 1
        venue.is_mute = False
        await ear.looked(lambda: len(venue.sockets) == 1)
        await venue.send(frame(stream_row(6)))
        await ear.count(2)


async def test_silence_after_subscribing_again_opens_the_connection_anew() -> None:
    async with leader_venue() as venue, listening(venue, data=False, stream_timing=NERVOUS) as ear:
        await venue.signals.count("connected", 2)
        await venue.signals.count("subscribed", 3)
        assert ear.health("stream-1").freezes >= 2


async def test_frames_that_cannot_be_read_are_no_sign_of_life() -> None:
    """A subscription that lapsed may still send other things."""
    async with leader_venue() as venue, listening(venue, data=False, stream_timing=NERVOUS) as ear:

        async def chatter() -> None:
            while True:
                await venue.send(frame({"symbol": "btcusdt"}, topic="crypto_prices"))
                await asyncio.sleep(0.01)

        talking = asyncio.create_task(chatter())
        await venue.signals.count("subscribed", 2)
        talking.cancel()
        assert ear.health("stream-1").rejected["other-topic"] > 0


async def test_frames_late_twice_and_in_any_order_are_each_told_once() -> None:
    async with leader_venue() as venue, listening(venue) as ear:
        venue.trades += [api_row(number) for number in range(1, 6)]
        for number in (3, 1, 3, 2, 9, 1, 9):
            await venue.send(frame(stream_row(number)))
        await venue.hang_up()
        await venue.signals.count("subscribed", 2)
        for number in (5, 4, 3, 2, 1, 10):
            await venue.send(frame(stream_row(number)))
        await ear.looked(lambda: len(ear.told) >= 7)
        await venue.send(frame(stream_row(11)))
        await ear.looked(lambda: any(one.transaction_hash == transaction(11) for one in ear.trades))
    assert sorted(int(one.transaction_hash, 16) for one in ear.trades) == [1, 2, 3, 4, 5, 9, 10, 11]


async def test_frame_from_before_anything_is_remembered_is_left_to_the_data_api() -> None:
    """It cannot be compared any more with what was told of it."""
    old = stream_row(1, timestamp=TRADED_S - 3 * 3600)
    async with leader_venue() as venue, listening(venue) as ear:
        await venue.send(frame(old))
        await venue.send(frame(stream_row(2)))
        await ear.count(1)
        assert ear.health("stream-1").rejected == {"older-than-memory": 1}
    async with leader_venue() as venue, listening(venue, data=False) as alone:
        await venue.send(frame(old))
        await alone.count(1)
    assert [one.transaction_hash for one in ear.trades] == [transaction(2)]


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


async def test_who_is_followed_can_change_while_it_listens() -> None:
    other = LeaderAddress(STRANGER)
    async with leader_venue() as venue, listening(venue) as ear:
        venue.trades.append(api_row(7, proxy_wallet=STRANGER))
        ear.feed.follow({other: WATERMARK})
        await ear.count(1)
        await venue.send(frame(stream_row(8)))
        await venue.send(frame(stream_row(9, proxyWallet=STRANGER)))
        await ear.count(2)
    assert {one.leader for one in ear.trades} == {STRANGER}
    assert list(ear.feed.read_until()) == [other]


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


# The chain --------------------------------------------------------------------------------------


def market_of(token: str) -> tuple[ConditionId, str] | None:
    return (ConditionId(CONDITION), "btc-updown-5m-1785027300") if token == TOKEN else None


async def test_log_is_a_trade_and_joins_the_other_sources() -> None:
    async with (
        leader_venue() as venue,
        listening(venue, data=False, node=True, market_of=market_of) as ear,
    ):
        await venue.signals.count("filtered", 1)
        await venue.send_log(filled_log(WALLET, TOKEN))
        await ear.count(1)
        await venue.send(frame(stream_row(1)))
        await venue.send_log(filled_log(WALLET, TOKEN, index=1))
        await ear.count(2)
    heads, logs = venue.filters
    assert heads == ["newHeads"]
    assert logs[1]["topics"][2] == ["0x" + WALLET[2:].rjust(64, "0")]
    assert len(logs[1]["address"]) == 3
    assert [(one.source, one.occurrence) for one in ear.trades] == [
        (FeedSource.CHAIN, 0),
        (FeedSource.CHAIN, 1),
    ]
    assert {(str(one.price), str(one.size)) for one in ear.trades} == {("0.450000", "4.330000")}


async def test_block_header_tells_when_the_fill_was() -> None:
    async with (
        leader_venue() as venue,
        listening(venue, stream=False, data=False, node=True, market_of=market_of) as ear,
    ):
        await venue.signals.count("filtered", 1)
        await notify(venue.nodes[0], {"hash": "0x" + 64 * "b", "timestamp": hex(TRADED_S)})
        await venue.send_log(filled_log(WALLET, TOKEN, blockHash="0x" + 64 * "b"))
        await venue.send_log(filled_log(WALLET, TOKEN, number=2, blockTimestamp=hex(TRADED_S - 5)))
        await ear.count(2)
    assert [int(one.traded_at.timestamp()) for one in ear.trades] == [TRADED_S, TRADED_S - 5]


async def test_removed_log_is_reported_and_its_return_is_not_told() -> None:
    async with (
        leader_venue() as venue,
        listening(venue, stream=False, data=False, node=True, market_of=market_of) as ear,
    ):
        await venue.signals.count("filtered", 1)
        await venue.send_log(filled_log(WALLET, TOKEN))
        await venue.send_log(filled_log(WALLET, TOKEN, removed=True))
        await venue.send_log(filled_log(WALLET, TOKEN, index=5))
        await venue.send_log(filled_log(WALLET, TOKEN, number=2))
        await ear.count(2)
    assert ear.removed == [ear.trades[0].key]
    assert [one.transaction_hash for one in ear.trades] == [transaction(1), transaction(2)]


async def lose_node(venue: LeaderVenue, *, block: int, at_s: int) -> None:
    """Tell of a block, cut the node off, and wait until it is asked anew."""
    header = {"hash": "0x" + 64 * "b", "number": hex(block), "timestamp": hex(at_s)}
    await notify(venue.nodes[0], header)
    await venue.nodes.pop(0).close()
    await venue.signals.count("filtered", 2)


async def test_gap_of_the_node_is_filled_from_its_logs() -> None:
    """Asked from a little before the last block on; what was told already is not told again."""
    async with (
        leader_venue() as venue,
        listening(venue, stream=False, data=False, node=True, market_of=market_of) as ear,
    ):
        await venue.signals.count("filtered", 1)
        await venue.send_log(filled_log(WALLET, TOKEN))
        await ear.count(1)
        missed = filled_log(WALLET, TOKEN, number=2, blockTimestamp=hex(TRADED_S + 3))
        bad = filled_log(STRANGER, TOKEN)
        venue.gap_answer = {"result": [filled_log(WALLET, TOKEN), bad, "x", missed]}
        await lose_node(venue, block=100, at_s=TRADED_S)
        await ear.count(2)
        health = ear.health("chain")
    assert [one.transaction_hash for one in ear.trades] == [transaction(1), transaction(2)]
    assert int(ear.trades[1].traded_at.timestamp()) == TRADED_S + 3
    (asked,) = venue.gaps
    assert (asked["fromBlock"], asked["toBlock"]) == (hex(84), "latest")
    assert asked["topics"][2] == ["0x" + WALLET[2:].rjust(64, "0")]
    assert health.rejected == {"log-not-asked": 1, "log-malformed": 1}
    assert health.reconnects == 1


async def test_missed_fill_of_an_unknown_time_is_as_old_as_it_can_be() -> None:
    """It must not look fresh: it happened after the last block that was heard of, or long after."""
    async with (
        leader_venue() as venue,
        listening(venue, stream=False, data=False, node=True, market_of=market_of) as ear,
    ):
        await venue.signals.count("filtered", 1)
        venue.gap_answer = {"result": [filled_log(WALLET, TOKEN)]}
        await lose_node(venue, block=3, at_s=TRADED_S - 40)
        await ear.count(1)
    assert int(ear.trades[0].traded_at.timestamp()) == TRADED_S - 40
    assert venue.gaps[0]["fromBlock"] == "0x0"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"error": {"code": -32005, "message": "range too long"}}, "gap-refused"),
        ({"result": None}, "log-malformed"),
        ({"result": {"0": "x"}}, "log-malformed"),
    ],
)
async def test_node_that_cannot_tell_of_the_gap_is_listened_to_all_the_same(
    answer: dict[str, object], reason: str
) -> None:
    async with (
        leader_venue() as venue,
        listening(venue, stream=False, data=False, node=True, market_of=market_of) as ear,
    ):
        await venue.signals.count("filtered", 1)
        venue.gap_answer = answer
        await lose_node(venue, block=100, at_s=TRADED_S)
        await venue.send_log(filled_log(WALLET, TOKEN))
        await ear.count(1)
        health = ear.health("chain")
    assert health.rejected == {reason: 1}
    assert health.reconnects == 1


BAD_LOGS = {
    "log-not-asked": [{"address": "0x" + 40 * "1"}],
    "log-malformed": [
        {"data": "0x"},
        {"data": "0x" + 448 * "f"},
        {"topics": []},
        {"transactionHash": None},
        {"logIndex": 7},
        {"blockTimestamp": "0x0"},
        {"blockTimestamp": "0xffffffff"},
    ],
}


async def test_bad_logs_are_counted_and_the_socket_goes_on() -> None:
    bad = [change for changes in BAD_LOGS.values() for change in changes]
    async with (
        leader_venue() as venue,
        listening(venue, stream=False, data=False, node=True, market_of=market_of) as ear,
    ):
        await venue.signals.count("filtered", 1)
        for change in bad:
            await venue.send_log(filled_log(WALLET, TOKEN, **change))
        await venue.send_log(filled_log(STRANGER, TOKEN))
        await venue.send_log(filled_log(WALLET, "5"))
        for text in ("[1]", "{", '{"error":{"code":1}}', '{"method":"eth_subscription"}'):
            await venue.nodes[0].send_str(text)
        await venue.send_log(filled_log(WALLET, TOKEN))
        await ear.count(1)
        health = ear.health("chain")
    assert health.reconnects == 0
    assert health.rejected == {
        "log-not-asked": 2,
        "log-malformed": len(BAD_LOGS["log-malformed"]) + 2,
        "token-unknown": 1,
        "answer-not-json": 1,
        "subscription-refused": 1,
    }


async def test_node_hears_of_new_leaders() -> None:
    async with (
        leader_venue() as venue,
        listening(venue, stream=False, data=False, node=True, market_of=market_of) as ear,
    ):
        await venue.signals.count("filtered", 1)
        ear.feed.follow({LeaderAddress(STRANGER): WATERMARK})
        await venue.signals.count("filtered", 2)
    assert venue.filters[-1][1]["topics"][2] == ["0x" + STRANGER[2:].rjust(64, "0")]


# History ----------------------------------------------------------------------------------------


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
