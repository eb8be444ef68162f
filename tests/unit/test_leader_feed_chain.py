"""Leaders from a node: logs that are trades, those that were missed, and those that are none."""

import pytest

from polybot.domain.leaders import FeedSource, LeaderAddress
from polybot.domain.markets import ConditionId
from tests.leader_listening import WATERMARK, listening
from tests.leader_rows import (
    CONDITION,
    STRANGER,
    TOKEN,
    TRADED_S,
    WALLET,
    frame,
    stream_row,
    transaction,
)
from tests.leader_venue import LeaderVenue, filled_log, leader_venue, notify


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
