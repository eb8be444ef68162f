"""What goes wrong with the telling of leaders' trades: seeded, counted, never with the truth."""

from collections import Counter

import aiohttp
import pytest

from polybot.sandbox.fault_plan import PlannedFault
from polybot.sandbox.leaders.wallets import LeaderOptions
from tests.sandbox.conftest import SLUG, START_S
from tests.sandbox.leader_wire import (
    QUIET,
    SUBSCRIBE,
    Wire,
    name_of,
    open_stage,
    serve_stage,
    stream,
)

PROMPT = LeaderOptions(leaders=1, crowd=0, noise=10, behaviour=QUIET, stream_lag_ms=0)
BUSY = LeaderOptions(leaders=1, crowd=0, noise=0, rate=30, stream_lag_ms=0)


def _truth(wire: Wire) -> Counter[tuple[object, ...]]:
    return Counter(
        name_of(row)
        for row in wire.truth(everybody="true")
        if row["type"] == "TRADE" and row["at_ms"] > (START_S - 10) * 1000
    )


async def _told(*rules: PlannedFault) -> tuple[list[str], Counter[str]]:
    """Return what one connection has heard under some faults, and what fired."""
    stage = open_stage(BUSY)
    with serve_stage(stage, *rules) as wire:
        async with stream(wire.url) as client:
            wire.advance(600)
            heard = await client.heard()
        fired = Counter(wire.fired())
    return [str(name_of(one)) for one in heard], fired


async def test_lost_doubled_and_late_frames_are_counted_and_seeded() -> None:
    """A tenth lost, a tenth twice, a twentieth late: the counters tell exactly how many."""
    rules = (
        PlannedFault(kind="event-lost", route="WS /rtds", probability=0.1, count=0),
        PlannedFault(kind="event-duplicated", route="WS /rtds", probability=0.1, count=0),
        PlannedFault(
            kind="event-late",
            route="WS /rtds",
            probability=0.05,
            count=0,
            delay_ms=1_000,
            delay_max_ms=60_000,
        ),
    )
    told, fired = await _told(*rules)
    whole, none = await _told()
    assert not none
    assert min(fired.values()) > 5
    missing = Counter(whole) - Counter(told)
    # Late frames of the last minute are still to come.
    assert fired["event-lost"] <= missing.total() <= fired["event-lost"] + fired["event-late"]
    assert (Counter(told) - Counter(whole)).total() == fired["event-duplicated"]
    assert [one for one in told if one in set(whole)] != whole, "nothing came out of order"
    again, fired_again = await _told(*rules)
    assert (again, fired_again) == (told, fired)


async def test_reordered_frames_come_after_later_ones() -> None:
    rule = PlannedFault(kind="event-reordered", route="WS /rtds", count=1, delay_ms=30_000)
    told, fired = await _told(rule)
    whole, _ = await _told()
    assert fired == {"event-reordered": 1}
    assert told != whole
    assert sorted(told) == sorted(whole)
    assert told.index(whole[0]) > 0


async def test_a_frozen_stream_answers_pings_and_loses_what_happens() -> None:
    """No noise either; after it everything is told again, and nothing of before."""
    with serve_stage(open_stage(PROMPT)) as wire:
        async with stream(wire.url) as client:
            wire.advance(1)
            assert len(await client.heard()) == 10
            answer = wire.http.post(
                "/sandbox/leaders/stream", json={"action": "freeze", "duration_s": 60}
            )
            assert answer.json() == {"connections": 1}
            wire.act(slug=SLUG)
            wire.advance(59)
            assert await client.heard() == []
            wire.advance(10)
            after = wire.act(slug=SLUG)
            heard = await client.heard()
            async with stream(wire.url) as fresh:
                wire.act(slug=SLUG)
                assert len(await fresh.heard()) == 2
    hashes = {one["payload"]["transactionHash"] for one in heard}
    assert after[0]["transaction_hash"] in hashes
    assert len([one for one in heard if one["connection_id"] != "NoBodyInParticular="]) == 2


async def test_a_freeze_of_the_plan_begins_with_a_trade() -> None:
    with serve_stage(open_stage(PROMPT)) as wire:
        wire.arm(kind="socket-frozen", route="WS /rtds", duration_s=30, skip=2)
        async with stream(wire.url) as client:
            first = wire.act(slug=SLUG)
            wire.act(slug=SLUG)
            wire.advance(29)
            heard = await client.heard()
        assert wire.fired() == {"socket-frozen": 1}
    assert {one["payload"]["transactionHash"] for one in heard} == {first[0]["transaction_hash"]}


@pytest.mark.parametrize("by_plan", [True, False])
async def test_a_lapsed_subscription_speaks_again_once_it_is_renewed(by_plan: bool) -> None:
    """Pings alone do not help; a new subscription does."""
    with serve_stage(open_stage(PROMPT)) as wire:
        async with stream(wire.url) as client:
            if by_plan:
                wire.arm(kind="subscription-lapsed", route="WS /rtds")
            else:
                wire.http.post("/sandbox/leaders/stream", json={"action": "lapse"})
            wire.act(slug=SLUG)
            wire.advance(600)
            assert await client.heard() == []
            await client.subscribe(SUBSCRIBE)
            wire.act(slug=SLUG)
            wire.advance(1)
            assert len(await client.heard()) == 12
        assert wire.fired() == ({"subscription-lapsed": 1} if by_plan else {})


@pytest.mark.parametrize("by_plan", [True, False])
async def test_a_closed_stream_can_be_connected_anew(by_plan: bool) -> None:
    with serve_stage(open_stage(PROMPT)) as wire:
        async with stream(wire.url) as client:
            if by_plan:
                wire.arm(kind="socket-closed", route="WS /rtds")
                wire.act(slug=SLUG)
            else:
                wire.http.post("/sandbox/leaders/stream", json={"action": "close"})
            message = await client.socket.receive(timeout=5)
            while message.type is aiohttp.WSMsgType.TEXT:
                message = await client.socket.receive(timeout=5)
            assert message.type is aiohttp.WSMsgType.CLOSE
        async with stream(wire.url) as client:
            wire.act(slug=SLUG)
            assert len(await client.heard()) == 2


async def test_an_unheard_trade_is_only_in_the_data_api() -> None:
    """No connection of the stream ever tells of it."""
    with serve_stage(open_stage(PROMPT)) as wire:
        wire.arm(kind="trade-unheard", route=f"LEADER {wire.leader}")
        async with stream(wire.url) as client, stream(wire.url) as other:
            made = wire.act(slug=SLUG)
            wire.advance(6)
            names = [one["connection_id"] for one in await client.heard() + await other.heard()]
        assert set(names) == {"NoBodyInParticular="}
        assert [one["transaction_hash"] for one in wire.rows()] == [made[0]["transaction_hash"]]
        assert wire.fired() == {"trade-unheard": 1}


async def test_a_late_index_hides_a_trade_among_older_ones() -> None:
    with serve_stage(open_stage(PROMPT)) as wire:
        wire.arm(kind="index-late", route="LEADER", delay_ms=100_000)
        late = wire.act(slug=SLUG)
        wire.advance(1)
        prompt = wire.act(slug=SLUG)
        wire.advance(60)
        assert [one["transaction_hash"] for one in wire.rows()] == [prompt[0]["transaction_hash"]]
        wire.advance(60)
        assert [one["transaction_hash"] for one in wire.rows()] == [
            prompt[0]["transaction_hash"],
            late[0]["transaction_hash"],
        ]


async def test_faults_never_change_what_has_happened() -> None:
    """The truth is the same with every fault and with none."""
    kinds = ("event-lost", "trade-unheard", "index-late", "leader-trade-failed", "chain-reorg")
    rules = [PlannedFault(kind=kind, probability=0.3, count=0) for kind in kinds]
    truths = []
    for chosen in ((), rules):
        with serve_stage(open_stage(BUSY), *chosen) as wire:
            async with stream(wire.url) as client:
                wire.advance(300)
                await client.heard()
            truths.append(_truth(wire))
    assert truths[0] == truths[1]
    assert truths[0].total() > 100
