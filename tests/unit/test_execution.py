"""An order is durable before it leaves, leaves once, and is only ever what was proved about it."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from polybot import execution
from polybot.adapters.storage.ledger import open_ledger
from polybot.domain.accounts import TradingStateChange
from polybot.domain.alerts import AlertKind
from polybot.domain.decisions import Verdict, trend_key
from polybot.domain.modes import Mode, TradingState
from polybot.domain.money import usdc
from polybot.domain.orders import (
    Accepted,
    OrderId,
    OrderReport,
    OrderStatus,
    PreparedOrder,
    RefusedOrder,
    Rejected,
    SubmitResult,
    Unknown,
)
from polybot.errors import PermanentError
from tests.builders import NOW, WINDOW, build_approved, build_limits, build_order
from tests.execution_desk import (
    LATER,
    Desk,
    fill_of,
    fills,
    next_window_order,
    rejects,
    rests,
    times_out,
)


async def test_filled_order_is_recorded_with_its_fill_and_alert(tmp_path: Path) -> None:
    """The answer's fills are in the books when place returns."""
    desk = Desk(tmp_path, fills)
    placed = await desk.placed()
    assert placed.order.status is OrderStatus.FILLED
    assert placed.order.filled_size == 9
    assert [fill.size for fill in placed.fills] == [9]
    assert placed.halt is None
    assert desk.reserved == 0
    assert desk.ledger.totals(at=NOW).cash_usdc == 1000 - Decimal("4.75")
    assert desk.alerts == ["fill:trade-1"]
    decision = desk.ledger.decision(placed.order.decision_key)
    assert decision is not None
    assert (decision.verdict, decision.order_id) == (Verdict.PLACED, placed.order.order_id)
    assert desk.ledger.violations() == ()


async def test_intent_is_durable_before_the_order_leaves(tmp_path: Path) -> None:
    """Another process sees the order SENDING, with its money reserved, while it is on its way."""
    seen: list[tuple[OrderStatus, Decimal]] = []

    def look(prepared: PreparedOrder) -> None:
        with open_ledger(tmp_path / "paper.db", mode=Mode.PAPER) as other:
            record = other.order(prepared.order_id)
            assert record is not None
            seen.append((record.status, other.totals(at=NOW).reserved_usdc))

    desk = Desk(tmp_path, fills)
    desk.exchange.on_submit = look
    await desk.placed()
    assert seen == [(OrderStatus.SENDING, Decimal("5.36"))]


@pytest.mark.parametrize(
    ("answer", "status", "reserved"),
    [
        (rests, OrderStatus.RESTING, "5.36"),
        (rejects, OrderStatus.REJECTED, "0"),
        (times_out, OrderStatus.UNKNOWN, "5.36"),
    ],
)
async def test_answer_decides_the_status_and_the_reservation(
    tmp_path: Path,
    answer: Callable[[PreparedOrder], SubmitResult],
    status: OrderStatus,
    reserved: str,
) -> None:
    """Only proof releases money."""
    desk = Desk(tmp_path, answer)
    placed = await desk.placed()
    assert placed.order.status is status
    assert desk.reserved == Decimal(reserved)
    assert placed.fills == ()
    assert len(desk.exchange.submitted) == 1


def test_every_answer_has_its_report() -> None:
    """Accepted without a resting rest and without fills proves nothing about fills."""
    order_id = OrderId("0xab")
    fill = fill_of(order_id)
    report = execution.report_of
    assert report(Accepted(order_id=order_id, is_resting=True, fills=(fill,))) == OrderReport(
        status=OrderStatus.RESTING, fills=(fill,)
    )
    assert report(Accepted(order_id=order_id, is_resting=False, fills=(fill,))) == OrderReport(
        status=OrderStatus.FILLED, fills=(fill,)
    )
    assert report(Accepted(order_id=order_id, is_resting=False)).status is OrderStatus.UNKNOWN
    assert report(Rejected(order_id=order_id, reason="no")) == OrderReport(
        status=OrderStatus.REJECTED, reason="no"
    )
    assert report(Unknown(order_id=order_id, reason="late")) == OrderReport(
        status=OrderStatus.UNKNOWN, reason="late"
    )
    with pytest.raises(AssertionError):
        report("maybe")  # type: ignore[arg-type]


async def test_limit_reached_since_the_approval_refuses_without_sending(tmp_path: Path) -> None:
    """The ledger looks again inside the transaction; the first approval was of the past."""
    desk = Desk(tmp_path, fills)
    refusal = await desk.place(min_cash_usdc=Decimal("994.640001"))
    assert isinstance(refusal, RefusedOrder)
    assert desk.exchange.submitted == []
    assert desk.reserved == 0
    assert [check.name for check in refusal.checks if not check.passed] == ["cash-threshold"]
    assert refusal.order is not None
    assert refusal.expected is not None
    assert "994.640001" in refusal.reason
    assert desk.ledger.order(OrderId("0x")) is None
    assert desk.ledger.open_orders() == ()


async def test_halt_by_another_process_stops_the_next_order(tmp_path: Path) -> None:
    """Whoever sets it, the next intent anywhere obeys."""
    desk = Desk(tmp_path, fills)
    halt = TradingStateChange(
        state=TradingState.HALTED, reason="lunch", by="operator", changed_at=NOW
    )
    with open_ledger(tmp_path / "paper.db", mode=Mode.PAPER) as other:
        other.set_trading_state(halt)
    refusal = await desk.place()
    assert isinstance(refusal, RefusedOrder)
    assert desk.exchange.submitted == []


async def test_failed_check_replaces_the_one_that_passed(tmp_path: Path) -> None:
    """A refusal has one answer for each check, and it is the later one."""
    order = build_order(budget_usdc=usdc(999))
    refusal = await Desk(tmp_path, fills).place(order, max_exposure_usdc=Decimal(2000))
    assert isinstance(refusal, RefusedOrder)
    names = [check.name for check in refusal.checks]
    assert len(names) == len(set(names))
    assert {check.name for check in refusal.checks if not check.passed} >= {"cash"}
    assert refusal.reason.count("; ") == sum(not check.passed for check in refusal.checks) - 1


async def test_second_placement_of_a_decision_sends_nothing(tmp_path: Path) -> None:
    """A scheduler that fires twice trades once."""
    desk = Desk(tmp_path, fills)
    await desk.placed()
    again = await desk.place()
    assert isinstance(again, RefusedOrder)
    assert [check.name for check in again.checks if not check.passed] == ["decided-once"]
    assert len(desk.exchange.submitted) == 1


async def test_order_of_another_decision_is_a_defect(tmp_path: Path) -> None:
    """What leaves is what was decided."""
    desk = Desk(tmp_path, fills)
    approved = build_approved()
    other = replace(desk.claim(approved), key=trend_key("other", WINDOW))
    with pytest.raises(ValueError, match="cannot carry out"):
        await execution.place(
            approved,
            other,
            exchange=desk.exchange,
            ledger=desk.ledger,
            clock=desk.clock,
            limits=build_limits(),
        )
    assert desk.exchange.submitted == []


async def test_cancelled_submission_leaves_the_order_unknown(tmp_path: Path) -> None:
    """The request may have left: the reservation stays and the cancellation goes on."""
    desk = Desk(tmp_path)
    sending = asyncio.Event()
    desk.exchange.on_submit = lambda _: sending.set()
    task = asyncio.create_task(desk.place())
    await sending.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (record,) = desk.ledger.open_orders()
    assert record.status is OrderStatus.UNKNOWN
    assert "interrupted" in record.reason
    assert desk.reserved == Decimal("5.36")


async def test_defect_in_the_exchange_leaves_the_order_unknown(tmp_path: Path) -> None:
    """An adapter that raises has proved nothing."""
    desk = Desk(tmp_path, RuntimeError("defect"))
    with pytest.raises(RuntimeError):
        await desk.place()
    (record,) = desk.ledger.open_orders()
    assert record.status is OrderStatus.UNKNOWN


async def test_answer_about_another_order_halts_trading(tmp_path: Path) -> None:
    """Our id is the venue's id; where it is not, nothing we compute can be trusted."""

    def answer(_: PreparedOrder) -> SubmitResult:
        return Accepted(order_id=OrderId("0xother"), is_resting=False)

    desk = Desk(tmp_path, answer)
    placed = await desk.placed()
    assert placed.order.status is OrderStatus.UNKNOWN
    assert placed.halt is not None
    assert "0xother" in placed.halt.reason
    assert placed.order.order_id in placed.halt.reason
    assert desk.ledger.trading_state() == placed.halt
    assert placed.halt.state is TradingState.HALTED
    (row,) = desk.ledger.due_alerts(at=LATER, limit=10)
    assert row.alert.kind is AlertKind.TRADING_STATE
    assert desk.reserved == Decimal("5.36")


async def test_refusal_that_every_order_would_meet_halts_trading(tmp_path: Path) -> None:
    """Another window would be refused the same way; a refusal of this order alone halts nothing."""

    def answer(prepared: PreparedOrder) -> SubmitResult:
        return Rejected(order_id=prepared.order_id, reason="key is not ours", must_halt=True)

    desk = Desk(tmp_path, answer)
    placed = await desk.placed()
    assert placed.order.status is OrderStatus.REJECTED
    assert placed.halt is not None
    assert "key is not ours" in placed.halt.reason
    assert desk.ledger.trading_state() == placed.halt
    assert desk.reserved == 0

    (tmp_path / "other").mkdir()
    other = Desk(
        tmp_path / "other",
        lambda prepared: Rejected(order_id=prepared.order_id, reason="not filled"),
    )
    assert (await other.placed()).halt is None
    assert other.ledger.trading_state().state is TradingState.ACTIVE


@pytest.mark.parametrize("kind", ["accepted", "rejected", "fill"])
async def test_no_part_of_an_answer_may_name_another_order(tmp_path: Path, kind: str) -> None:
    """A rejection of another order does not prove that ours is not there."""
    other = OrderId("0xother")

    def answer(prepared: PreparedOrder) -> SubmitResult:
        if kind == "rejected":
            return Rejected(order_id=other, reason="no")
        own = prepared.order_id if kind == "fill" else other
        return Accepted(order_id=own, is_resting=False, fills=(fill_of(other),))

    desk = Desk(tmp_path, answer)
    placed = await desk.placed()
    assert placed.order.status is OrderStatus.UNKNOWN
    assert placed.fills == ()
    assert placed.halt is not None
    assert desk.ledger.totals(at=NOW).cash_usdc == 1000


async def test_ledger_that_loses_an_order_is_not_believed(tmp_path: Path) -> None:
    """A record that vanished after its intent is a defect that nobody may trade on."""
    desk = Desk(tmp_path, rejects)
    desk.ledger.order = lambda _: None  # type: ignore[method-assign]
    with pytest.raises(PermanentError, match="lost order"):
        await desk.place()


async def test_halted_trading_refuses_the_next_window(tmp_path: Path) -> None:
    """The halt of one order holds for all."""
    desk = Desk(tmp_path, lambda _: Accepted(order_id=OrderId("0xother"), is_resting=True))
    await desk.placed()
    assert isinstance(await desk.place(next_window_order()), RefusedOrder)
    assert len(desk.exchange.submitted) == 1
