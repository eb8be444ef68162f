"""The copy loop on a real ledger: being the only one, stopping, and when something breaks."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from polybot.copy_trading.desk import MOST_HELD
from polybot.copy_trading.parts import LEASE_NAME
from polybot.copy_trading.status import CopyEnd, CopyPhase
from polybot.copy_trading.wanted import start_copying, stop_copying
from polybot.domain.alerts import AlertKind
from polybot.domain.leaders import (
    CopyVerdict,
)
from polybot.domain.orders import (
    OrderReport,
    OrderStatus,
    Unknown,
)
from polybot.errors import TransientError
from tests.builders import NOW
from tests.copy_builders import LEADER, build_position
from tests.copy_desk import PATIENCE_S, WIDE, World
from tests.copy_loop_steps import FullDisk, filled, left_in_flight, rain, trade_number
from tests.fakes import ScriptedExchange


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(path=tmp_path / "paper.db", limits=WIDE)


# Being the only one, and stopping ---------------------------------------------------------------


async def test_second_loop_waits_and_takes_over(world: World) -> None:
    """Never do two trade at once."""
    world.follow()
    second = World(path=world.path, limits=WIDE)
    async with world.looping() as first:
        await first.trading()
        async with second.looping(holder="second") as waiting:
            await waiting.until(lambda: waiting.status.phase is CopyPhase.WAITING)
            assert not second.feed.running.is_set()
            first.stop.set()
            await waiting.trading()
            lease = waiting.ledger.lease(LEASE_NAME)
            assert lease is not None
            assert lease.holder == "second"
            assert first.status.phase is CopyPhase.STOPPED


async def test_lost_lease_ends_the_loop_before_anything_is_recorded(world: World) -> None:
    """The ledger refuses the copy, whatever the loop believes."""
    world.follow()
    async with world.looping() as running:
        await running.trading()
        ours_now = running.status.lease
        assert ours_now is not None
        running.ledger.release_lease(ours_now)
        taken = running.ledger.acquire_lease(
            LEASE_NAME, "thief", ttl_s=60, at=ours_now.expires_at + timedelta(seconds=1)
        )
        assert taken is not None
        world.feed.tell(trade_number(1))
        assert running.task is not None
        status = await asyncio.wait_for(running.task, PATIENCE_S)
        assert status.end is CopyEnd.LEASE_LOST
        assert running.log() == ()
        assert running.ledger.open_orders() == ()
        held = running.ledger.lease(LEASE_NAME)
        assert held is not None
        assert held.holder == "thief"


async def test_nobody_wants_copies_any_more(world: World) -> None:
    """A wish in the ledger ends the loop, whoever runs it; a new wish lets the next one run."""
    async with world.looping() as running:
        await running.trading()
        stop_copying(running.ledger, by="owner", reason="holiday", at=NOW)
        assert running.task is not None
        status = await asyncio.wait_for(running.task, PATIENCE_S)
        assert status.end is CopyEnd.NOT_WANTED
        start_copying(running.ledger, by="owner", reason="back", at=NOW)
    async with world.looping() as again:
        await again.trading()


async def test_stop_records_what_is_in_flight(world: World) -> None:
    """An answer that does not come in time leaves the order UNKNOWN, and the lease is free."""
    world.follow()
    world.exchange = ScriptedExchange()
    async with world.looping(stop_within_s=0.05) as running:
        await left_in_flight(running, trade_number(1))
        running.stop.set()
        assert running.task is not None
        status = await asyncio.wait_for(running.task, PATIENCE_S)
        assert (status.end, status.phase) == (CopyEnd.STOP, CopyPhase.STOPPED)
        (order,) = running.ledger.open_orders()
        assert order.status is OrderStatus.UNKNOWN
        later = running.ledger.acquire_lease(LEASE_NAME, "next", ttl_s=9, at=datetime.now(UTC))
        assert later is not None


async def test_cancelled_loop_leaves_nothing_unrecorded(world: World) -> None:
    """As Prefect ends a run whose slot it lost."""
    world.follow()
    world.exchange = ScriptedExchange()
    async with world.looping() as running:
        await left_in_flight(running, trade_number(1), rain(2))
        assert running.task is not None
        running.task.cancel()
        await asyncio.wait({running.task}, timeout=PATIENCE_S)
        assert running.task.cancelled()
        (order,) = running.ledger.open_orders()
        assert order.status is OrderStatus.UNKNOWN
        assert len(running.log()) == 2


async def test_order_left_behind_is_looked_up_and_never_sent_again(world: World) -> None:
    """The market waits until its end is known; then the leader's next trade is copied."""
    world.follow()
    world.exchange = ScriptedExchange()
    async with world.looping(stop_within_s=0.05) as running:
        await left_in_flight(running, trade_number(1))
    second = ScriptedExchange(filled)
    world.exchange = second
    with_order = world.exchange.reports
    async with world.looping() as running:
        (order,) = running.ledger.open_orders()
        with_order[order.order_id] = TransientError("the venue does not answer")
        await running.trading()
        world.feed.tell(trade_number(1), trade_number(2))
        await running.until(lambda: running.status.orders.waiting_trades == 1)
        assert second.submitted == []
        with_order[order.order_id] = OrderReport(status=OrderStatus.NEVER_ARRIVED, reason="gone")
        await running.settled()
        assert [one.order.decision_key for one in second.submitted] == [
            f"copy:{trade_number(2).key}"
        ]
        assert len(running.log()) == 2


async def test_unknown_answer_holds_its_market_until_it_is_known(world: World) -> None:
    """Looked up at once, by its id."""
    exchange = ScriptedExchange(
        lambda prepared: Unknown(order_id=prepared.order_id, reason="no answer")
    )
    world.exchange = exchange
    world.follow()
    async with world.looping() as running:
        await running.trading()
        exchange.on_submit = lambda prepared: exchange.reports.update(
            {prepared.order_id: OrderReport(status=OrderStatus.UNFILLED, reason="killed")}
        )
        await running.tell(trade_number(1), trade_number(2))
        assert len(exchange.submitted) == 2
        assert exchange.looked_up == [one.order_id for one in exchange.submitted]
        assert running.status.orders.unfilled == 2
        assert running.ledger.open_orders() == ()


async def test_defect_of_the_exchange_does_not_block_its_market(world: World) -> None:
    """The order is looked up, as after any answer that nobody heard."""
    exchange = ScriptedExchange(ZeroDivisionError("a defect"))
    exchange.on_submit = lambda prepared: exchange.reports.update(
        {prepared.order_id: OrderReport(status=OrderStatus.NEVER_ARRIVED, reason="not there")}
    )
    world.exchange = exchange
    world.follow()
    async with world.looping() as running:
        await running.trading()
        await running.tell(trade_number(1), trade_number(2))
        assert len(exchange.submitted) == 2
        assert running.ledger.open_orders() == ()


async def test_trade_that_waits_too_long_is_skipped_as_too_old(world: World) -> None:
    """It does not hang on an order whose end nobody knows."""
    world.follow(max_age_s=10.0)
    exchange = ScriptedExchange(
        lambda prepared: Unknown(order_id=prepared.order_id, reason="no answer")
    )
    exchange.on_submit = lambda prepared: exchange.reports.update(
        {prepared.order_id: TransientError("still no answer")}
    )
    world.exchange = exchange
    async with world.looping() as running:
        await running.trading()
        world.feed.tell(trade_number(1), trade_number(2))
        world.clock.move(11)
        await running.until(lambda: running.status.orders.waiting_trades == 0)
        await running.until(lambda: len(running.log()) == 2)
        assert running.log()[-1].reason_code == "too-old"


# When something does not work -------------------------------------------------------------------


async def test_ledger_that_cannot_be_written_stops_copying_and_loses_nothing(world: World) -> None:
    """One alert, past the ledger; every trade is recorded once it can be written again."""
    world.follow()
    async with world.looping() as running:
        await running.trading()
        full = FullDisk(running)
        await running.until(lambda: not running.status.orders.in_flight)
        world.feed.tell(trade_number(1), rain(2))
        await running.until(lambda: running.status.phase is CopyPhase.BROKEN)
        assert "full" in running.status.reason
        world.feed.tell(trade_number(3))
        await running.until(lambda: len(world.alerts.sent) == 1)
        assert running.ledger.copy_log() == ()
        full.empty()
        world.clock.move(30)
        await running.until(lambda: running.status.phase is CopyPhase.TRADING)
        await running.until(lambda: len(running.log()) == 3)
        assert {record.verdict for record in running.log()} == {CopyVerdict.SKIPPED}
        assert len(world.alerts.sent) == 1


async def test_feed_that_breaks_is_started_again(world: World) -> None:
    """And the page says what was wrong."""
    world.feed.failures = [TransientError("the stream broke")]
    async with world.looping() as running:
        await running.until(lambda: running.status.phase is CopyPhase.BROKEN)
        assert "the stream broke" in running.status.reason
        await running.trading()
        assert world.feed.starts == 2


async def test_start_is_tried_until_it_works(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A venue that does not answer at the start is no reason to give up."""
    monkeypatch.setattr("polybot.copy_trading.engine._RETRY_START_S", 0.01)
    world.follow()
    async with world.looping() as running:
        totals = running.ledger.totals
        tries: list[int] = []

        def fails_twice(**at: object) -> object:
            tries.append(1)
            if len(tries) <= 2:
                raise TransientError("locked")
            return totals(**at)  # type: ignore[arg-type]

        running.ledger.totals = fails_twice  # type: ignore[assignment]
        await running.trading()
        assert len(tries) >= 3


async def test_too_many_waiting_trades_end_the_loop(world: World) -> None:
    """The next loop reads them again from the watermark on; memory stays bounded."""
    world.follow(max_age_s=3600.0, max_repeats=1000)
    world.exchange = ScriptedExchange()
    async with world.looping(stop_within_s=0.05) as running:
        await running.trading()
        world.feed.tell(*(trade_number(n) for n in range(MOST_HELD + 2)))
        assert running.task is not None
        with pytest.raises(TransientError, match="too many"):
            await asyncio.wait_for(running.task, PATIENCE_S)


# How far, and how far off -----------------------------------------------------------------------


async def test_watermark_stops_before_what_is_not_recorded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash then hears it again."""
    monkeypatch.setattr("polybot.copy_trading.engine._WATERMARKS_EVERY_S", 0.02)
    world.follow()
    world.exchange = ScriptedExchange()
    async with world.looping(stop_within_s=0.05) as running:
        await running.trading()
        waiting = trade_number(2, traded_at=NOW - timedelta(seconds=1))
        world.feed.tell(trade_number(1), waiting)
        world.feed.told_until = {LEADER: NOW + timedelta(seconds=60)}
        await running.until(lambda: running.ledger.leaders()[0].watermark == waiting.traded_at)


async def test_drift_is_shown_and_never_traded_on(world: World) -> None:
    """What we believe of him is mended once he is quiet."""
    world.follow()
    world.history.positions = (build_position("900"),)
    async with world.looping(drift_every_s=0.05) as running:
        await running.trading()
        await running.tell(trade_number(1, size="400"))
        await running.until(
            lambda: [one.recorded_leader_size for one in running.status.drift] == [400]
        )
        (drift,) = running.status.drift
        assert drift.leader_size == 900
        assert drift.difference == drift.our_size - 90
        world.clock.move(200)
        await running.until(lambda: running.ledger.holdings(LEADER)[0].leader_size == 900)
        await running.until(lambda: running.status.drift[0].recorded_leader_size == 900)
        assert len(running.log()) == 1


async def test_trade_that_failed_later_is_flagged(world: World) -> None:
    """The copy stands alone, and the owner is told."""
    world.follow()
    async with world.looping() as running:
        await running.trading()
        trade = trade_number(1)
        await running.tell(trade)
        running.loop.void(trade.key)
        await running.until(lambda: running.log()[0].is_voided)
        kinds = [one.alert.kind for one in running.ledger.due_alerts(at=NOW, limit=9)]
        assert AlertKind.COPYING in kinds
        assert running.status.counts.voided == 1
