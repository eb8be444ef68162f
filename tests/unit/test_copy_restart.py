"""A restart lifts no throttle and hides no flip: what was copied a moment ago is counted again."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from polybot.adapters.storage.ledger import open_ledger
from polybot.copy_trading.echoes import Echo
from polybot.domain.leaders import CopyVerdict, LeaderState, LeaderTrade
from polybot.domain.modes import Mode
from polybot.domain.money import Shares
from polybot.domain.orders import Side
from tests.builders import NOW
from tests.copy_builders import LEADER, build_trade
from tests.copy_desk import WIDE, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(path=tmp_path / "paper.db", limits=WIDE)


def trade_number(world: World, number: int, side: Side = Side.BUY) -> LeaderTrade:
    """Return one of many different trades, a second old by the world's clock."""
    return build_trade(
        side,
        transaction_hash=f"0x{number:064x}",
        traded_at=world.clock.at - timedelta(seconds=1),
        received_at=world.clock.at,
    )


async def told(world: World, *numbers: int, side: Side = Side.BUY) -> list[tuple[str, str]]:
    """Run a loop, tell trades, stop it; return the verdicts and reasons of all that is recorded."""
    async with world.looping() as running:
        await running.trading()
        await running.tell(*(trade_number(world, number, side) for number in numbers))
        return [(record.verdict.value, record.reason_code) for record in running.log()]


@pytest.mark.parametrize("restarts", [1, 3])
async def test_copies_of_earlier_runs_count_toward_the_throttle(
    world: World, restarts: int
) -> None:
    """Three are allowed in a minute; the fourth throttles, whoever is running by then."""
    world.follow(max_repeats=3, repeat_window_s=60.0, max_market_usdc=Decimal(200))
    numbers = iter(range(1, 9))
    for _ in range(restarts):
        await told(world, next(numbers))
        world.clock.move(1)
    rest = [next(numbers) for _ in range(4 - restarts)]
    *copied, last = await told(world, *rest)
    assert copied == [("placed", "")] * 3
    assert last == ("skipped", "throttled")
    async with world.looping() as running:
        await running.trading()
        (leader,) = running.ledger.leaders()
        assert leader.state is LeaderState.THROTTLED


async def test_copies_from_before_the_window_do_not_count(world: World) -> None:
    """Boundary: a copy of exactly the window's length ago counts, a microsecond more does not."""
    world.follow(max_repeats=1, repeat_window_s=4.0, max_market_usdc=Decimal(200))
    await told(world, 1)
    world.clock.at = NOW + timedelta(seconds=4, microseconds=1)
    assert (await told(world, 2))[-1] == ("placed", "")
    world.clock.at += timedelta(seconds=4)
    assert (await told(world, 3))[-1] == ("skipped", "throttled")


@pytest.mark.parametrize("is_running", [True, False])
async def test_throttle_is_lifted_once(world: World, is_running: bool) -> None:
    """Copies from before the lift are forgiven, whether or not a loop saw it."""
    world.follow(max_repeats=2, repeat_window_s=60.0, max_market_usdc=Decimal(200))

    def lift() -> None:
        with open_ledger(world.path, mode=Mode.PAPER) as ledger:
            ledger.set_leader_state(LEADER, LeaderState.ACTIVE, reason="seen", at=NOW)

    async with world.looping() as running:
        await running.trading()
        await running.tell(*(trade_number(world, number) for number in range(1, 5)))
        if is_running:
            lift()
    if not is_running:
        lift()
    # Two are allowed again, and the third is one too many again.
    assert await told(world, 11, 12, 13) == [
        ("placed", ""),
        ("placed", ""),
        ("skipped", "throttled"),
        ("skipped", "leader-throttled"),
        ("placed", ""),
        ("placed", ""),
        ("skipped", "throttled"),
    ]


async def test_exits_of_a_throttled_leader_do_not_count_after_the_lift(world: World) -> None:
    """He sells three times while he is throttled; two entries are allowed after the lift."""
    world.follow(max_repeats=2, repeat_window_s=60.0, max_market_usdc=Decimal(200))
    async with world.looping() as running:
        await running.trading()
        await running.tell(*(trade_number(world, number) for number in range(1, 4)))
        for number in range(4, 7):
            sale = replace(trade_number(world, number, Side.SELL), size=Shares(Decimal(100)))
            await running.tell(sale)
            assert running.log()[-1].verdict is CopyVerdict.PLACED
        running.ledger.set_leader_state(LEADER, LeaderState.ACTIVE, reason="seen", at=NOW)
    world.clock.move(7)
    assert (await told(world, 11, 12, 13))[-3:] == [
        ("placed", ""),
        ("placed", ""),
        ("skipped", "throttled"),
    ]


async def test_throttle_of_a_follower_is_lifted_once(world: World) -> None:
    """It has a reason of its own, so that what led to it is forgiven, as with any other."""
    world.follow(max_repeats=2, repeat_window_s=60.0, max_market_usdc=Decimal(200))
    async with world.looping() as running:
        await running.trading()
        await running.tell(trade_number(world, 1), trade_number(world, 2))
        running.loop._parts.desk._placing.echoes.hear = lambda _trade: Echo.LOOP  # type: ignore[method-assign]
        await running.tell(trade_number(world, 3))
        assert running.log()[-1].reason_code == "follows-us"
        running.ledger.set_leader_state(LEADER, LeaderState.ACTIVE, reason="seen", at=NOW)
    assert [code for _, code in (await told(world, 11, 12, 13))[-3:]] == ["", "", "throttled"]


async def test_leader_who_is_still_throttled_stays_so_after_a_restart(world: World) -> None:
    world.follow(max_repeats=1, repeat_window_s=60.0, max_market_usdc=Decimal(200))
    await told(world, 1, 2)
    assert (await told(world, 3))[-1] == ("skipped", "leader-throttled")


async def test_flip_is_seen_across_a_restart(world: World) -> None:
    """He sells, we start anew, he buys the same token within seconds: not copied."""
    world.follow(flip_s=5.0, max_market_usdc=Decimal(200))
    await told(world, 1, side=Side.SELL)
    world.clock.move(3)
    assert (await told(world, 2))[-1] == ("skipped", "flip")
    world.clock.move(6)
    assert (await told(world, 3))[-1] == ("placed", "")


async def test_sale_that_follows_a_conversion_is_no_sale_of_his(world: World) -> None:
    """Our own exits after a merge are recorded as sales, and are no half of a flip."""
    world.follow(flip_s=5.0, max_market_usdc=Decimal(200))
    async with world.looping() as running:
        await running.trading()
        await running.tell(trade_number(world, 1))
        sale = trade_number(world, 2, Side.SELL)
        (bought,) = running.log()
        lease = running.status.lease
        assert lease is not None
        record = replace(
            bought,
            trade=sale,
            verdict=CopyVerdict.SKIPPED,
            reason_code="nothing-held",
            decision_key=None,
            order_id=None,
            sent_at=None,
            acknowledged_at=None,
            follows_conversion=True,
        )
        running.ledger.record_leader_trades([record], lease=lease)
    world.clock.move(1)
    assert (await told(world, 3))[-1] == ("placed", "")


async def test_copies_are_counted_once_however_often_he_is_welcomed(world: World) -> None:
    """Removed and added again while the loop runs: his two copies are still two."""
    leader = world.follow(max_repeats=3, max_market_usdc=Decimal(200))
    async with world.looping() as running:
        await running.trading()
        await running.tell(trade_number(world, 1), trade_number(world, 2))
        parts = running.loop._parts
        running.ledger.set_leader_state(LEADER, LeaderState.REMOVED, reason="test", at=NOW)
        world.follow(replace(leader, added_at=leader.added_at + timedelta(seconds=1)))
        await running.until(lambda: parts.roster.leaders[LEADER].added_at > leader.added_at)
        assert parts.roster.recent.copies_since(LEADER, NOW - timedelta(minutes=1)) == 2
