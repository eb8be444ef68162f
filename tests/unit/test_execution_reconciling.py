"""Orders that are open or unknown become what the venue says, each fill booked and told once."""

from datetime import timedelta
from pathlib import Path

import pytest

from polybot.domain.accounts import OrderRecord
from polybot.domain.alerts import Alert
from polybot.domain.money import ZERO_USDC
from polybot.domain.orders import Fill, Liquidity, OrderId, OrderReport, OrderStatus
from polybot.errors import DataError, PermanentError, TransientError
from tests.builders import NOW, build_approved, build_resting_order
from tests.execution_desk import Desk, fill_alert, fill_of, next_window_order, rests, times_out


async def test_unknown_order_becomes_what_the_venue_says(tmp_path: Path) -> None:
    """Found by the id that was durable before it left."""
    desk = Desk(tmp_path, times_out)
    order_id = (await desk.placed()).order.order_id
    fill = fill_of(order_id)
    desk.exchange.reports[order_id] = OrderReport(status=OrderStatus.FILLED, fills=(fill,))
    alerted: list[tuple[Fill, OrderRecord]] = []

    def alert_for(fill: Fill, record: OrderRecord) -> Alert:
        alerted.append((fill, record))
        return fill_alert(fill)

    result = await desk.reconcile(alert_for=alert_for)
    assert (result.asked_count, result.waiting_count, result.problems) == (1, 0, ())
    assert result.new_fills == (fill,)
    assert result.closed == (order_id,)
    assert [(fill.trade_id, record.order_id) for fill, record in alerted] == [("trade-1", order_id)]
    assert desk.alerts == ["fill:trade-1"]
    assert desk.reserved == 0
    assert len(desk.exchange.submitted) == 1
    again = await desk.reconcile(alert_for=alert_for)
    assert again.asked_count == 0
    assert desk.ledger.violations() == ()


async def test_order_that_never_arrived_gives_its_money_back(tmp_path: Path) -> None:
    """Proof of absence releases the reservation and the day's trade."""
    desk = Desk(tmp_path, times_out)
    order_id = (await desk.placed()).order.order_id
    desk.exchange.reports[order_id] = OrderReport(status=OrderStatus.NEVER_ARRIVED)
    assert (await desk.reconcile()).closed == (order_id,)
    assert desk.reserved == 0
    assert desk.ledger.totals(at=NOW).day_trade_count == 0


@pytest.mark.parametrize(("age_s", "is_asked"), [(59.999999, False), (60.0, True)])
async def test_order_in_a_runs_hands_is_left_alone(
    tmp_path: Path, age_s: float, is_asked: bool
) -> None:
    """SENDING and young: somebody waits for the answer right now."""
    desk = Desk(tmp_path, times_out)
    order_id = await leave_sending(desk)
    desk.exchange.reports[order_id] = OrderReport(status=OrderStatus.NEVER_ARRIVED)
    result = await desk.reconcile(at=NOW + timedelta(seconds=age_s))
    assert (result.asked_count, result.waiting_count) == ((1, 0) if is_asked else (0, 1))
    assert bool(desk.exchange.looked_up) is is_asked
    assert bool(desk.ledger.open_orders()) is not is_asked


async def leave_sending(desk: Desk) -> OrderId:
    """Record an intent and die before anything else."""
    approved = build_approved()
    decision = desk.claim(approved)
    prepared = desk.exchange.prepare(approved, created_at=NOW)
    assert desk.ledger.record_intent(prepared, decision, checks=lambda _t, _e: ()) == ()
    return prepared.order_id


async def test_young_unknown_and_resting_orders_are_asked_about_at_once(tmp_path: Path) -> None:
    """Nobody works on them; the grace is for SENDING alone."""
    desk = Desk(tmp_path, times_out)
    order_id = (await desk.placed()).order.order_id
    desk.exchange.reports[order_id] = OrderReport(status=OrderStatus.RESTING)
    result = await desk.reconcile(at=NOW)
    assert (result.asked_count, result.closed) == (1, ())
    (record,) = desk.ledger.open_orders()
    assert record.status is OrderStatus.RESTING
    assert (await desk.reconcile(at=NOW)).asked_count == 1


async def test_grace_can_be_waived(tmp_path: Path) -> None:
    """An operator who knows that no run is alive need not wait."""
    desk = Desk(tmp_path)
    desk.exchange.reports[await leave_sending(desk)] = OrderReport(status=OrderStatus.REJECTED)
    assert (await desk.reconcile(at=NOW, grace_s=0)).asked_count == 1


@pytest.mark.parametrize(
    "problem", [TransientError("away"), DataError("garbled", reason="trades-malformed")]
)
async def test_order_that_cannot_be_looked_up_stays_and_does_not_stop_the_others(
    tmp_path: Path, problem: Exception
) -> None:
    """One silent market leaves its own order as it was."""
    desk = Desk(tmp_path, times_out)
    first = (await desk.placed()).order.order_id
    second = (await desk.placed(next_window_order())).order.order_id
    desk.exchange.reports = {
        first: problem,
        second: OrderReport(status=OrderStatus.NEVER_ARRIVED),
    }
    result = await desk.reconcile()
    assert (result.asked_count, result.closed) == (2, (second,))
    (sentence,) = result.problems
    assert first in sentence
    assert str(problem) in sentence
    assert [record.status for record in desk.ledger.open_orders()] == [OrderStatus.UNKNOWN]


async def test_venue_that_refuses_to_be_asked_is_not_hidden(tmp_path: Path) -> None:
    """A person must mend it."""
    desk = Desk(tmp_path, times_out)
    order_id = (await desk.placed()).order.order_id
    desk.exchange.reports[order_id] = PermanentError("key revoked")
    with pytest.raises(PermanentError):
        await desk.reconcile()


async def test_resting_order_fills_bit_by_bit_and_each_fill_once(tmp_path: Path) -> None:
    """A report repeats what is known; only what is new is booked and told."""
    desk = Desk(tmp_path, rests)
    order_id = (await desk.placed(build_resting_order())).order.order_id
    parts = [
        fill_of(order_id, "4", number, liquidity=Liquidity.MAKER, fee_usdc=ZERO_USDC)
        for number in (1, 2)
    ]
    desk.exchange.reports[order_id] = OrderReport(status=OrderStatus.RESTING, fills=(parts[0],))
    assert (await desk.reconcile()).new_fills == (parts[0],)
    assert (await desk.reconcile()).new_fills == ()
    desk.exchange.reports[order_id] = OrderReport(status=OrderStatus.FILLED, fills=tuple(parts))
    result = await desk.reconcile()
    assert (result.new_fills, result.closed) == ((parts[1],), (order_id,))
    record = desk.ledger.order(order_id)
    assert record is not None
    assert record.filled_size == 8
    assert desk.reserved == 0
    assert desk.ledger.violations() == ()
