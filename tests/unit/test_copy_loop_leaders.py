"""The copy loop on a real ledger: leaders who come, go, are paused, throttled, or follow us."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from polybot.copy_trading.echoes import MOST_TURNS, Echo
from polybot.domain.alerts import AlertKind
from polybot.domain.leaders import (
    CopyVerdict,
    LeaderState,
)
from polybot.domain.orders import (
    Side,
)
from polybot.domain.reconciliation import ReconcileTiming
from polybot.errors import PermanentError
from tests.builders import DOWN_TOKEN, NOW, UP_TOKEN, build_book
from tests.copy_builders import LEADER, build_position
from tests.copy_desk import CASH, WIDE, World
from tests.copy_loop_steps import ours, set_state, trade_number
from tests.fakes_live import FakeVenueAccount, Venue


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(path=tmp_path / "paper.db", limits=WIDE)


async def test_leader_added_while_running_is_followed(world: World) -> None:
    """After a look at what he holds."""
    world.history.positions = (build_position("1000"),)
    async with world.looping() as running:
        await running.trading()
        assert world.feed.watermarks == {}
        world.follow(added_at=NOW - timedelta(seconds=5), watermark=NOW - timedelta(seconds=5))
        await running.until(lambda: LEADER in world.feed.watermarks)
        (holding,) = running.ledger.holdings(LEADER)
        assert holding.leader_size == 1000
        await running.until(lambda: running.status.known_markets == 1)
        await running.tell(trade_number(1))
        assert [record.verdict for record in running.log()] == [CopyVerdict.PLACED]


async def test_leader_who_could_not_be_welcomed_is_tried_again(world: World) -> None:
    """A failure in between must not leave him unheard."""
    world.history.positions = PermanentError("the Data API refuses")
    async with world.looping() as running:
        await running.trading()
        world.follow(added_at=NOW - timedelta(seconds=5), watermark=NOW - timedelta(seconds=5))
        await running.until(lambda: "leaders" in [one.part for one in running.status.troubles])
        world.history.positions = ()
        await running.until(lambda: LEADER in world.feed.watermarks)


async def test_paused_leader_is_recorded_and_not_copied(world: World) -> None:
    """Until he is resumed."""
    world.follow()
    async with world.looping() as running:
        await running.trading()
        await set_state(running, LeaderState.PAUSED)
        await running.tell(trade_number(1))
        await set_state(running, LeaderState.ACTIVE)
        await running.tell(trade_number(2))
        paused, resumed = running.log()
        assert (paused.verdict, paused.reason_code) == (CopyVerdict.SKIPPED, "leader-paused")
        assert resumed.verdict is CopyVerdict.PLACED


async def test_exits_alone_are_mirrored_where_only_sales_are_allowed(world: World) -> None:
    """What an owner does who wants no more entries, and wants to leave with him."""
    leader = world.follow()
    async with world.looping() as running:
        await running.trading()
        await running.tell(trade_number(1, size="400"))
        held = ours(running)
        assert held > 0
        running.ledger.set_policy(
            LEADER, replace(leader.policy, sides=frozenset({Side.SELL})), at=NOW
        )
        await running.until(
            lambda: running.loop._parts.roster.leaders[LEADER].policy.sides == {Side.SELL}
        )
        await running.tell(trade_number(2, size="400"))
        assert running.log()[-1].reason_code == "side"
        assert ours(running) == held
        await running.tell(trade_number(3, Side.SELL, size="800"))
        assert running.log()[-1].verdict is CopyVerdict.PLACED
        assert ours(running) < 1


async def test_one_copy_too_many_throttles_until_a_person_lifts_it(world: World) -> None:
    """At once, durably, with an alert."""
    world.follow(max_repeats=2, max_market_usdc=Decimal(200))
    async with world.looping() as running:
        await running.trading()
        await running.tell(*(trade_number(n) for n in range(4)))
        assert [record.reason_code for record in running.log()] == [
            "",
            "",
            "throttled",
            "leader-throttled",
        ]
        (leader,) = running.ledger.leaders()
        assert leader.state is LeaderState.THROTTLED
        alerts = [one.alert for one in running.ledger.due_alerts(at=NOW, limit=9)]
        assert AlertKind.COPYING in [alert.kind for alert in alerts]
        await set_state(running, LeaderState.ACTIVE)
        await running.tell(trade_number(9))
        assert running.log()[-1].verdict is CopyVerdict.PLACED


async def test_throttled_leader_is_followed_out_and_not_in(world: World) -> None:
    """What he sells is sold, also after a restart; what he buys is not bought."""
    world.follow(max_repeats=1, max_market_usdc=Decimal(200))
    async with world.looping() as running:
        await running.trading()
        await running.tell(trade_number(1, size="400"), trade_number(2))
        assert running.status.leaders[0].state is LeaderState.THROTTLED
        held = ours(running)
        assert held > 0
        await running.tell(trade_number(3, Side.SELL, size="300"))
        assert running.log()[-1].verdict is CopyVerdict.PLACED
        half = ours(running)
        assert 0 < half < held
    async with world.looping() as running:
        await running.trading()
        assert running.status.leaders[0].state is LeaderState.THROTTLED
        await running.tell(trade_number(4))
        assert running.log()[-1].reason_code == "leader-throttled"
        assert ours(running) == half
        await running.tell(trade_number(5, Side.SELL, size="900"))
        assert ours(running) < 1
        # What the venue's grid has left of it is too little to be sold.
        await running.tell(trade_number(6, Side.SELL, size="900"))
        assert running.log()[-1].verdict is not CopyVerdict.PLACED


async def test_leader_who_follows_us_is_throttled(world: World) -> None:
    """Each would copy the other for ever."""
    caps: dict[str, Any] = {
        name: Decimal(500) for name in ("max_market_usdc", "max_leader_usdc", "max_day_usdc")
    }
    world.follow(max_repeats=100, **caps)
    async with world.looping() as running:
        await running.trading()
        suspected = 0
        for number in range(2 * MOST_TURNS + 4):
            await running.tell(trade_number(number, traded_at=world.clock.at))
            before, suspected = suspected, running.status.counts.skipped.get("follower-loop", 0)
            # Where he was not copied there is nothing to answer: he falls silent.
            world.clock.move(1 if suspected == before else 60)
            world.books.books = {UP_TOKEN: build_book(as_of=world.clock.at)}
        codes = [record.reason_code for record in running.log()]
        assert (codes.count("follower-loop"), codes.count("follows-us")) == (2, 1)
        assert codes[-1] == "leader-throttled"
        (leader,) = running.ledger.leaders()
        assert leader.state is LeaderState.THROTTLED


@pytest.mark.parametrize("restart_every", [4, MOST_TURNS, MOST_TURNS + 1])
async def test_leader_who_follows_us_is_seen_across_restarts(
    world: World, restart_every: int
) -> None:
    """The watch begins with what the ledger has of his turns and ours."""
    caps: dict[str, Any] = {
        name: Decimal(500) for name in ("max_market_usdc", "max_leader_usdc", "max_day_usdc")
    }
    world.follow(max_repeats=100, **caps)
    turns, number, suspected = 2 * MOST_TURNS + 4, 0, 0
    codes: list[str] = []
    while number < turns:
        async with world.looping() as running:
            await running.trading()
            for _ in range(min(restart_every, turns - number)):
                await running.tell(trade_number(number, traded_at=world.clock.at))
                number += 1
                codes = [record.reason_code for record in running.log()]
                before, suspected = suspected, codes.count("follower-loop")
                world.clock.move(1 if suspected == before else 60)
                world.books.books = {
                    token: build_book(token_id=token, as_of=world.clock.at)
                    for token in (UP_TOKEN, DOWN_TOKEN)
                }
    assert (codes.count("follower-loop"), codes.count("follows-us")) == (2, 1)
    assert codes[-1] == "leader-throttled"


async def test_exit_is_mirrored_also_where_it_shows_a_follower(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """He is throttled, and entries are what a throttle stops; our exits are nobody's bait."""
    world.follow(max_market_usdc=Decimal(200))
    async with world.looping() as running:
        await running.trading()
        await running.tell(trade_number(1, size="400"))
        held = ours(running)
        echoes = running.loop._parts.desk._placing.echoes
        monkeypatch.setattr(echoes, "hear", lambda _trade: Echo.LOOP)
        await running.tell(trade_number(2, Side.SELL, size="200"))
        assert running.log()[-1].verdict is CopyVerdict.PLACED
        assert 0 < ours(running) < held
        assert [side for _, _, side in echoes._last] == [Side.BUY]
        (leader,) = running.ledger.leaders()
        assert leader.state is LeaderState.THROTTLED
        assert "follow us" in leader.state_reason


async def test_our_own_wallet_is_refused(world: World) -> None:
    """Also where a person resumes it."""
    world.follow()
    async with world.looping(own_addresses=frozenset({LEADER})) as running:
        await running.trading()
        (leader,) = running.ledger.leaders()
        assert leader.state is LeaderState.PAUSED
        assert "our own" in leader.state_reason
        await running.tell(trade_number(1))
        assert [record.reason_code for record in running.log()] == ["leader-paused"]
        running.ledger.set_leader_state(LEADER, LeaderState.ACTIVE, reason="please", at=NOW)
        await running.until(lambda: running.ledger.leaders()[0].state is LeaderState.PAUSED)


async def test_loop_reconciles_by_the_operators_waiting_times(world: World) -> None:
    """How far back trades are read again is his to say, here as in every other reconciliation."""
    venue = Venue(cash=CASH, now=world.clock.at)
    world.account = FakeVenueAccount(venue)
    timing = ReconcileTiming(overlap=timedelta(hours=9))
    async with world.looping(reconcile_timing=timing) as running:
        await running.trading()
        assert venue.asked_after[0] == world.clock.at - timedelta(hours=9)
