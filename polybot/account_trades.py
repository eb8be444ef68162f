"""Recording the account's trades: ours as fills, once and forwards only; others as foreign.

Any batch will do, in any order, any number of times, from REST or from the user stream: a fill is
keyed by trade, order and leg, and its status never goes back.
"""

from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from polybot.alerts import contradiction_alert, recorded_fill_alert, trading_state_alert
from polybot.domain.accounts import OrderRecord, TradingStateChange
from polybot.domain.modes import Mode, TradingState
from polybot.domain.orders import Fill, FillStatus, OrderId, OrderReport
from polybot.domain.reconciliation import ForeignTrade
from polybot.domain.venue_account import VenueTrade, VenueTrades
from polybot.ports import Ledger

# A trade is confirmed or failed for good; before that it may only go forward.
_ORDER: Final = (FillStatus.MATCHED, FillStatus.MINED, FillStatus.CONFIRMED, FillStatus.FAILED)
_FINAL: Final = (FillStatus.CONFIRMED, FillStatus.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedTrades:
    """What a batch of the account's trades brought into our record."""

    new_fills: tuple[Fill, ...] = ()
    voided_fills: tuple[Fill, ...] = ()
    foreign: tuple[ForeignTrade, ...] = ()
    """By orders that are not ours, known before or not."""
    waiting: tuple[str, ...] = ()
    """Trades that the venue has not told in full."""
    differences: tuple[str, ...] = ()
    """Trades that name an order of ours and cannot be its; they are not booked."""


def record_trades(ledger: Ledger, seen: VenueTrades, *, at: datetime, mode: Mode) -> RecordedTrades:
    """Bring a batch of trades into our record.

    A fill of an order that counted as refused or not filled is booked like any other: it happened.
    A trade that is told otherwise than before alerts once, keeps its size and price in our record,
    and halts trading where it was final: the balances then show which of the two is true.

    Args:
        ledger: Our record.
        seen: The trades, in any order.
        at: When they were seen.
        mode: For the alerts.
    """
    by_order: dict[OrderId, list[VenueTrade]] = defaultdict(list)
    for trade in seen.trades:
        by_order[trade.order_id].append(trade)
    found = RecordedTrades(
        waiting=tuple(
            f"order {order_id}: a trade's makers are not told yet"
            for order_id in sorted(seen.incomplete)
        )
    )
    for order_id, trades in by_order.items():
        record = ledger.order(order_id)
        if record is None:
            foreign = tuple(_foreign_trade(trade) for trade in trades)
            found = replace(found, foreign=found.foreign + foreign)
            continue
        own = _record_own(ledger, record, trades, at=at, mode=mode)
        found = replace(
            found,
            new_fills=found.new_fills + own.new_fills,
            voided_fills=found.voided_fills + own.voided_fills,
            differences=found.differences + own.differences,
        )
    if found.foreign:
        ledger.record_foreign_trades(found.foreign, at=at)
    return found


def _record_own(
    ledger: Ledger, record: OrderRecord, trades: list[VenueTrade], *, at: datetime, mode: Mode
) -> RecordedTrades:
    objections = tuple(said for trade in trades if (said := _objection(record, trade)))
    if objections or record.fees is None:
        without_fees = f"order {record.order_id}: its market's fees were not kept"
        return RecordedTrades(differences=objections or (without_fees,))
    recorded = {_key(fill): fill for fill in ledger.fills_of(record.order_id)}
    known = {key: fill.status for key, fill in recorded.items()}
    fills = [trade.fill(record.fees) for trade in trades]
    for fill in fills:
        if (before := recorded.get(_key(fill))) is not None:
            _contradict(ledger, before, fill, at=at, mode=mode)
    changed = tuple(fill for fill in fills if _is_news(fill, known.get(_key(fill))))
    if not changed:
        return RecordedTrades()
    new_fills = ledger.record_report(
        record.order_id,
        # Trades prove fills; what else becomes of the order is for its look-up to say.
        OrderReport(status=record.status, fills=changed),
        at=at,
        alert_for=lambda fill: recorded_fill_alert(fill, record, mode=mode),
    )
    voided = tuple(
        fill
        for fill in changed
        if fill.status is FillStatus.FAILED
        and known.get(_key(fill), FillStatus.FAILED) is not FillStatus.FAILED
    )
    return RecordedTrades(new_fills=new_fills, voided_fills=voided)


def _objection(record: OrderRecord, trade: VenueTrade) -> str | None:
    if trade.token_id == record.token_id and trade.side is record.side:
        return None
    return (
        f"trade {trade.trade_id} names our order {record.order_id}, but is a {trade.side} of "
        f"token {trade.token_id[:20]} where we have a {record.side} of {record.token_id[:20]}"
    )


def _contradict(ledger: Ledger, before: Fill, fill: Fill, *, at: datetime, mode: Mode) -> None:
    """Tell of a trade that is not what it was; halt where it had come to its end."""
    is_reversed = (
        before.status in _FINAL and fill.status in _FINAL and before.status is not fill.status
    )
    is_changed = (before.size, before.price) != (fill.size, fill.price)
    if not (is_reversed or is_changed):
        return
    is_new = ledger.add_alert(contradiction_alert(before, fill, at=at, mode=mode), at=at)
    if not is_reversed or not (is_new or _is_news(fill, before.status)):
        # A person has looked; it is told again for as long as the trade is read again.
        return
    if ledger.trading_state().state is TradingState.HALTED:
        return
    change = TradingStateChange(
        state=TradingState.HALTED,
        reason=f"trade {fill.trade_id} was {before.status} and is {fill.status} now",
        by="reconcile",
        changed_at=at,
    )
    ledger.set_trading_state(change, alert=trading_state_alert(change, mode=mode))


def _is_news(fill: Fill, known: FillStatus | None) -> bool:
    return known is None or _ORDER.index(fill.status) > _ORDER.index(known)


def _key(fill: Fill) -> tuple[str, int]:
    return fill.trade_id, fill.leg


def _foreign_trade(trade: VenueTrade) -> ForeignTrade:
    return ForeignTrade(
        trade_id=trade.trade_id,
        order_id=trade.order_id,
        leg=trade.leg,
        condition_id=trade.condition_id,
        token_id=trade.token_id,
        side=trade.side,
        price=trade.price,
        size=trade.size,
        status=trade.status.as_fill,
        traded_at=trade.matched_at,
    )
