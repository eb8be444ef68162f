"""What the venue's order and trades, taken together, prove about an order of ours. Pure.

Whether ``GET /data/order/{id}`` shows orders that are killed, cancelled or matched is documented
one way and reported the other, so both are handled: an order that is not shown proves nothing
until time has passed and the trades agree.

Sources: docs.polymarket.com/api-reference/trade/get-single-order-by-id (2026-11-22); the
nautilus_trader project's adapter (July 2026).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from polybot.adapters.polymarket.order_wire import PlacedState
from polybot.domain.accounts import OrderRecord
from polybot.domain.markets import FeeSchedule
from polybot.domain.orders import FillStatus, OrderReport, OrderStatus, Side
from polybot.domain.venue_account import (
    LATE_FILL_WATCH,
    VenueOrder,
    VenueOrderStatus,
    VenueTrade,
)

# A request may reach the venue late; it refuses time stamps older than about a minute (reported,
# not documented). Twice that.
ARRIVAL_GRACE: Final = timedelta(seconds=120)
# Trades show some seconds after the match.
TRADES_LAG: Final = timedelta(seconds=30)
# Budgets of market orders are whole cents.
CENT: Final = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything the venue shows of one order."""

    order: VenueOrder | None
    """``None`` where the venue does not show it."""
    trades: tuple[VenueTrade, ...]
    """Its executions, and no other order's."""
    is_incomplete: bool
    """Whether the venue has not told all about one of its trades."""
    absent_since: datetime | None
    """Since when an order that rested is not shown."""
    taken: PlacedState | None = None
    """What the venue answered when it took the order; ``None`` where that answer is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long silence proves nothing."""

    arrival: timedelta = ARRIVAL_GRACE
    """An order that never showed may still arrive so long after it was made."""
    trades: timedelta = TRADES_LAG
    """A match may show in the trades so much later."""
    matched: timedelta = LATE_FILL_WATCH
    """Where the venue itself answered that the order matched, its trades must show; wait longer."""


def judge(
    record: OrderRecord,
    evidence: Evidence,
    fees: FeeSchedule,
    *,
    now: datetime,
    patience: Patience,
) -> OrderReport:
    """Return what is proved about an order; whatever is not proved leaves it open.

    Args:
        record: The order as our ledger has it.
        evidence: What the venue shows.
        fees: Of its market, for the fills.
        now: The instant of the look.
        patience: How long silence proves nothing.
    """
    fills = tuple(trade.fill(fees) for trade in evidence.trades)
    status, reason = (
        _not_shown(record, evidence, now, patience)
        if evidence.order is None
        else _shown(record, evidence.order, evidence, now, patience)
    )
    return OrderReport(status=status, fills=fills, reason=reason)


def _shown(
    record: OrderRecord,
    order: VenueOrder,
    evidence: Evidence,
    now: datetime,
    patience: Patience,
) -> tuple[OrderStatus, str]:
    if order.status is VenueOrderStatus.LIVE and record.time_in_force.rests:
        return OrderStatus.RESTING, ""
    if not order.status.is_dead:
        return OrderStatus.UNKNOWN, f"the venue shows it as {order.status}"
    if not _has_all_trades(record, order, evidence, now, patience):
        return _open(record), f"{order.status}; its trades are not all known yet"
    return _over(evidence, f"the venue shows it as {order.status}")


def _not_shown(
    record: OrderRecord, evidence: Evidence, now: datetime, patience: Patience
) -> tuple[OrderStatus, str]:
    if evidence.is_incomplete:
        return _open(record), "the venue has not told all about its trades yet"
    proved_at, status, reason = _conclusion(record, evidence, now, patience)
    if now < proved_at:
        return _open(record), f"not shown; from {proved_at:%FT%TZ} on that means: {reason}"
    return status, reason


def _conclusion(
    record: OrderRecord, evidence: Evidence, now: datetime, patience: Patience
) -> tuple[datetime, OrderStatus, str]:
    """Return what silence will have proved, and from when on."""
    if _is_used_up(record, evidence):
        return record.created_at, *_over(evidence, "its trades use it up")
    if record.status is OrderStatus.RESTING:
        since = max(evidence.absent_since or now, _last_match(evidence, record))
        return since + patience.trades, *_over(evidence, "it left the book")
    if evidence.trades:
        proved_at = _last_match(evidence, record) + patience.trades
        return proved_at, *_over(evidence, "its trades show it, the book does not")
    if evidence.taken is None:
        reason = "the venue knows neither the order nor a trade of it"
        return record.created_at + patience.arrival, OrderStatus.NEVER_ARRIVED, reason
    is_matched = evidence.taken is PlacedState.MATCHED
    proved_at = record.created_at + (patience.matched if is_matched else patience.arrival)
    return proved_at, *_over(evidence, f"taken as {evidence.taken}, and no trade shows it")


def _is_used_up(record: OrderRecord, evidence: Evidence) -> bool:
    """Return whether the trades leave nothing that could still match: no other one can come."""
    trades = evidence.trades
    if record.time_in_force.rests:
        # A match that failed may bring an order back into the book.
        trades = tuple(one for one in trades if one.status.as_fill is not FillStatus.FAILED)
    if record.side is Side.SELL or record.time_in_force.rests:
        return sum((trade.size for trade in trades), Decimal()) >= record.size
    # A market BUY spends its budget; what is left of it is less than the venue's own grid.
    spent = sum((trade.size * trade.price for trade in trades), Decimal())
    return record.budget_usdc - spent < CENT


def _has_all_trades(
    record: OrderRecord,
    order: VenueOrder,
    evidence: Evidence,
    now: datetime,
    patience: Patience,
) -> bool:
    if evidence.is_incomplete or order.trade_ids - {trade.trade_id for trade in evidence.trades}:
        return False
    # Trades that failed count: they were matched, too.
    matched = sum((trade.size for trade in evidence.trades), Decimal())
    if order.matched_size is not None and matched < order.matched_size:
        return False
    is_told = bool(order.matched_size) or (
        order.matched_size == 0 and order.status is not VenueOrderStatus.MATCHED
    )
    return is_told or now >= _last_match(evidence, record) + patience.arrival


def _over(evidence: Evidence, reason: str) -> tuple[OrderStatus, str]:
    is_filled = any(trade.status.as_fill is not FillStatus.FAILED for trade in evidence.trades)
    return (OrderStatus.FILLED if is_filled else OrderStatus.UNFILLED), reason


def _open(record: OrderRecord) -> OrderStatus:
    is_resting = record.status is OrderStatus.RESTING
    return OrderStatus.RESTING if is_resting else OrderStatus.UNKNOWN


def _last_match(evidence: Evidence, record: OrderRecord) -> datetime:
    return max((trade.matched_at for trade in evidence.trades), default=record.created_at)
