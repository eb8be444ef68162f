"""Placing an order once, and finding out later what became of it.

The intent is durable before the request leaves, so whatever happens in between (a crash, a
cancelled run, an answer that never comes) leaves an order that is SENDING or UNKNOWN, holds its
reservation, and is reconciled by its id. Nothing here ever sends a second time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, assert_never

from polybot.domain.accounts import OrderRecord, TradingStateChange
from polybot.domain.alerts import Alert, AlertKind
from polybot.domain.decisions import Decision
from polybot.domain.modes import TradingState
from polybot.domain.orders import (
    Accepted,
    ApprovedOrder,
    Fill,
    OrderId,
    OrderReport,
    OrderStatus,
    PreparedOrder,
    RefusedOrder,
    Rejected,
    RiskCheck,
    SubmitResult,
    Unknown,
)
from polybot.errors import DataError, PermanentError, TransientError
from polybot.limits import RiskLimits, ledger_checks
from polybot.look_ups import look_up_each
from polybot.ports import AccountExchange, Clock, Exchange, Ledger

# A run that is placing an order has it SENDING for as long as the request may take: seconds. A
# minute later nobody is working on it any more.
SENDING_GRACE_S: Final = 60.0
# So few orders are asked for one by one: the lists that tell of many would cost as much.
FEW_ORDERS: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedOrder:
    """An order that was sent, as far as the answer tells."""

    order: OrderRecord
    fills: tuple[Fill, ...]
    """Fills that the answer proved."""
    halt: TradingStateChange | None = None
    """Set where trading was halted: the answer was about another order, or says that every
    further order would be refused until a person acts."""


async def place(
    approved: ApprovedOrder,
    decision: Decision,
    *,
    exchange: Exchange,
    ledger: Ledger,
    clock: Clock,
    limits: RiskLimits,
    alert_for: Callable[[Fill], Alert] | None = None,
) -> PlacedOrder | RefusedOrder:
    """Make an order durable, send it exactly once and record what the answer proves.

    Args:
        approved: An order that risk has approved a moment ago.
        decision: Its PENDING decision; recording the intent finishes it as PLACED.
        exchange: Where the order goes.
        ledger: Where the intent is recorded; it looks at its limits again.
        clock: Read once, before the intent.
        limits: The operator's limits.
        alert_for: Builds the alert of a new fill.

    Returns:
        The order with its fills, or the refusal where a limit was reached since ``approved``.

    Raises:
        ValueError: The decision is of another order.
        TransientError: The intent could not be recorded; nothing was sent.
    """
    if approved.order.decision_key != decision.key:
        raise ValueError(
            f"order of {approved.order.decision_key} cannot carry out decision {decision.key}"
        )
    now = await clock.now()
    prepared = exchange.prepare(approved, created_at=now)
    checks = ledger_checks(approved.order, limits, now=now)
    failed = ledger.record_intent(prepared, decision, checks=checks)
    if failed:
        return _refused(approved, failed)
    return await send_recorded(prepared, exchange=exchange, ledger=ledger, alert_for=alert_for)


async def send_recorded(
    prepared: PreparedOrder,
    *,
    exchange: Exchange,
    ledger: Ledger,
    alert_for: Callable[[Fill], Alert] | None = None,
) -> PlacedOrder:
    """Send an order whose intent was just recorded, exactly once, and record what is proved.

    Args:
        prepared: The order; whoever recorded its intent calls this once and nobody else does.
        exchange: Where the order goes.
        ledger: Holds the intent.
        alert_for: Builds the alert of a new fill.

    Raises:
        TransientError: The answer could not be recorded; the order stays SENDING there.
    """
    now = prepared.created_at
    result = await _submit_once(prepared, exchange, ledger)
    mismatch = _mismatch(prepared, result)
    if mismatch is not None:
        result = Unknown(order_id=prepared.order_id, reason=mismatch)
    # The clock is not read again: nothing may come between the answer and its record.
    at = max((fill.filled_at for fill in _fills(result)), default=now)
    fills = ledger.record_report(
        prepared.order_id, report_of(result), at=max(at, now), alert_for=alert_for
    )
    halt = _halt_for(result, mismatch, ledger, at=now)
    return PlacedOrder(order=_recorded(ledger, prepared.order_id), fills=fills, halt=halt)


def report_of(result: SubmitResult) -> OrderReport:
    """Return what an answer to a submission proves.

    An accepted order that neither rests nor proves a fill has matched something, or nothing: only
    its trades tell. It stays UNKNOWN, with its reservation, until they do.
    """
    match result:
        case Accepted(is_resting=True, fills=fills):
            return OrderReport(status=OrderStatus.RESTING, fills=fills)
        case Accepted(fills=()):
            reason = "accepted; its trades are not known yet"
            return OrderReport(status=OrderStatus.UNKNOWN, reason=reason)
        case Accepted(fills=fills):
            return OrderReport(status=OrderStatus.FILLED, fills=fills)
        case Rejected(reason=reason):
            return OrderReport(status=OrderStatus.REJECTED, reason=reason)
        case Unknown(reason=reason):
            return OrderReport(status=OrderStatus.UNKNOWN, reason=reason)
        case _ as never:
            assert_never(never)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileResult:
    """What one round of looking up open orders has found."""

    asked_count: int
    """Orders that were looked up."""
    waiting_count: int
    """Orders that a run may still be sending; they were left alone."""
    new_fills: tuple[Fill, ...]
    closed: tuple[OrderId, ...]
    """Orders whose fate is known now."""
    problems: tuple[str, ...]
    """One sentence for each order that could not be looked up; it stays as it is."""


async def reconcile(
    ledger: Ledger,
    exchange: AccountExchange,
    clock: Clock,
    *,
    alert_for: Callable[[Fill, OrderRecord], Alert] | None = None,
    grace_s: float = SENDING_GRACE_S,
) -> ReconcileResult:
    """Ask the venue about every order whose fate is open, and record what it proves.

    Args:
        ledger: Knows the open orders.
        exchange: Knows their fate.
        clock: Read once for the whole round.
        alert_for: Builds the alert of a new fill.
        grace_s: A SENDING order younger than this may be in a run's hands [s].

    Raises:
        PermanentError: The venue refuses to be asked; a person must mend that.
    """
    now = await clock.now()
    records = ledger.open_orders()
    due = [record for record in records if not _is_in_flight(record, now, grace_s)]
    fills: list[Fill] = []
    closed: list[OrderId] = []
    problems: list[str] = []
    if len(due) > FEW_ORDERS:
        reports = await exchange.look_up_many(due)
    else:
        reports = await look_up_each(exchange, due)
    for record, report in zip(due, reports, strict=True):
        if isinstance(report, TransientError | DataError):
            problems.append(f"{record.order_id}: {report}")
            continue
        if _is_no_news(record, report):
            continue
        alert = _alert_of(record, alert_for)
        fills += ledger.record_report(record.order_id, report, at=now, alert_for=alert)
        if not report.status.is_open:
            closed.append(record.order_id)
    return ReconcileResult(
        asked_count=len(due),
        waiting_count=len(records) - len(due),
        new_fills=tuple(fills),
        closed=tuple(closed),
        problems=tuple(problems),
    )


def _is_no_news(record: OrderRecord, report: OrderReport) -> bool:
    """Whether recording a report would change nothing; a thousand resting orders take seconds."""
    return (report.status, report.reason, report.fills) == (record.status, record.reason, ())


async def _submit_once(prepared: PreparedOrder, exchange: Exchange, ledger: Ledger) -> SubmitResult:
    result: SubmitResult | None = None
    try:
        result = await exchange.submit(prepared)
    finally:
        # Cancelled, or a defect: the request may have left. Nothing is awaited on the way out, so
        # a second cancellation cannot lose this record.
        if result is None:
            reason = "sending was interrupted before the answer"
            report = OrderReport(status=OrderStatus.UNKNOWN, reason=reason)
            ledger.record_report(prepared.order_id, report, at=prepared.created_at)
    return result


def _mismatch(prepared: PreparedOrder, result: SubmitResult) -> str | None:
    """Return why an answer cannot be about our order; such an answer proves nothing about it."""
    named = {result.order_id, *(fill.order_id for fill in _fills(result))}
    others = sorted(named - {prepared.order_id})
    if not others:
        return None
    return f"order {prepared.order_id} was answered with order {others[0][:80]}"


def _fills(result: SubmitResult) -> tuple[Fill, ...]:
    return result.fills if isinstance(result, Accepted) else ()


def _halt_for(
    result: SubmitResult, mismatch: str | None, ledger: Ledger, *, at: datetime
) -> TradingStateChange | None:
    if mismatch is not None:
        then = "The order is looked up by its own id; resume by hand once it is known."
        return _halt(ledger, mismatch, then, at=at)
    if isinstance(result, Rejected) and result.must_halt:
        reason = f"the venue refuses our orders: {result.reason}"
        then = "Every further order would be refused the same way; mend it, then resume by hand."
        return _halt(ledger, reason, then, at=at)
    return None


def _halt(ledger: Ledger, reason: str, then: str, *, at: datetime) -> TradingStateChange:
    change = TradingStateChange(
        state=TradingState.HALTED, reason=reason, by="execution", changed_at=at
    )
    alert = Alert(
        kind=AlertKind.TRADING_STATE,
        dedupe_key=f"halt:{at.isoformat()}",
        title="Trading halted",
        body=f"{reason}. {then}",
    )
    ledger.set_trading_state(change, alert=alert)
    return change


def _refused(approved: ApprovedOrder, failed: tuple[RiskCheck, ...]) -> RefusedOrder:
    answers = {check.name: check for check in (*approved.checks, *failed)}
    return RefusedOrder(
        reason="; ".join(check.detail for check in failed),
        checks=tuple(answers.values()),
        order=approved.order,
        expected=approved.expected,
    )


def _recorded(ledger: Ledger, order_id: OrderId) -> OrderRecord:
    record = ledger.order(order_id)
    if record is None:
        raise PermanentError(f"the ledger lost order {order_id} after recording its intent")
    return record


def _is_in_flight(record: OrderRecord, now: datetime, grace_s: float) -> bool:
    age = now - record.created_at
    return record.status is OrderStatus.SENDING and age < timedelta(seconds=grace_s)


def _alert_of(
    record: OrderRecord, alert_for: Callable[[Fill, OrderRecord], Alert] | None
) -> Callable[[Fill], Alert] | None:
    if alert_for is None:
        return None
    return lambda fill: alert_for(fill, record)
