"""Orders: durable before they are sent, changed only by what is proved about them."""

from collections.abc import Callable
from datetime import datetime
from enum import Enum, auto
from typing import Any, Final

from sqlalchemy import exists, select, update

from polybot.accounting import shrink_reservation
from polybot.adapters.storage.books import Books, Store
from polybot.adapters.storage.columns import clean_text
from polybot.adapters.storage.copy_books import follow_order
from polybot.adapters.storage.fills import (
    amounts_in,
    book_new_fill,
    fill_of,
    find_fill,
    update_known_fill,
)
from polybot.adapters.storage.intents import (
    IS_WAITING,
    Intent,
    IntentBacklog,
    intent_row,
    write_intent,
)
from polybot.adapters.storage.order_rows import load_open_orders, load_order
from polybot.adapters.storage.outbox import insert_alert
from polybot.adapters.storage.statements import (
    Statement,
    Transaction,
    parameter,
    parameters,
)
from polybot.adapters.storage.tables import DECISIONS, FILLS, ORDERS
from polybot.adapters.storage.totals import (
    ACCOUNT_AND_DAY,
    HAS_ANY,
    WITH_DAY,
    HasAny,
    account_in,
    account_totals,
    exposure_of,
)
from polybot.domain.accounts import OrderRecord
from polybot.domain.alerts import Alert
from polybot.domain.decisions import Decision, Verdict
from polybot.domain.modes import TradingState
from polybot.domain.orders import (
    Fill,
    FillStatus,
    OrderId,
    OrderReport,
    OrderStatus,
    PreparedOrder,
    RiskCheck,
)
from polybot.errors import DataError
from polybot.ports import LimitChecks

_RANKS: Final = {OrderStatus.SENDING: 0, OrderStatus.UNKNOWN: 1, OrderStatus.RESTING: 2}
_FINAL_RANK: Final = 3
# These prove that the venue never had the order, so the day's trade is given back.
_ABSENT: Final = (OrderStatus.REJECTED, OrderStatus.NEVER_ARRIVED)

# One statement: an order waits for each statement as long as for many looks inside of one.
_STANDING: Final = Statement(
    select(
        *ACCOUNT_AND_DAY,
        *HAS_ANY,
        IS_WAITING,
        DECISIONS.c.verdict,
        exists().where(ORDERS.c.decision_key == parameter("key")).label("key_has_order"),
        exists().where(ORDERS.c.order_id == parameter("order_id")).label("order_is_known"),
    ).select_from(WITH_DAY.outerjoin(DECISIONS, DECISIONS.c.key == parameter("key")))
)
_ACCOUNT_END: Final = len(ACCOUNT_AND_DAY)
_HAS_END: Final = _ACCOUNT_END + len(HAS_ANY)
_FILLS_OF: Final = Statement(
    select(FILLS).where(FILLS.c.order_id == parameter("of_order")).order_by(FILLS.c.id)
)
_BY_ID: Final = Statement(select(ORDERS).where(ORDERS.c.order_id == parameter("order_id")))
# What an order asks for never changes.
_CHANGING: Final = (
    "reserved", "filled_size", "filled_cost", "fee", "status", "reason", "is_counted", "updated_at",
)  # fmt: skip
_STORE: Final = Statement(
    update(ORDERS).where(ORDERS.c.order_id == parameter("of_order")).values(parameters(_CHANGING))
)


class _Change(Enum):
    """What a reported fill did to the books."""

    NOTHING = auto()
    BOOKED = auto()
    VOIDED = auto()


class OrderStore(Store):
    """The ledger's orders and fills."""

    def record_intent(
        self, prepared: PreparedOrder, decision: Decision, *, checks: LimitChecks
    ) -> tuple[RiskCheck, ...]:
        """Make an order durable before it is sent; see ``Ledger.record_intent``.

        Whatever ``checks`` allow, a halt refuses the order.
        """
        order = prepared.order
        if decision.key != order.decision_key:
            raise ValueError(f"order is of {order.decision_key}, decision is {decision.key}")
        row = intent_row(Intent(prepared, decision))
        with self._database.writing_before_sending() as transaction:
            books, failed = _look(transaction, prepared, checks)
            if failed:
                books.save()
            else:
                write_intent(transaction, row)
        return failed

    def record_report(
        self,
        order_id: OrderId,
        report: OrderReport,
        *,
        at: datetime,
        alert_for: Callable[[Fill], Alert] | None = None,
    ) -> tuple[Fill, ...]:
        """Apply what was proved about an order; see ``Ledger.record_report``.

        A fill that is void when it is first heard of is recorded, but moves no money and is not
        returned. A new fill of an order that counted as unfilled makes it FILLED.

        Raises:
            DataError: The ledger has no such order.
        """
        with self._lean_books(at) as books:
            order = _load_for_change(books.transaction, order_id)
            before = order.copy()
            changes = [(fill, _apply_fill_report(books, order, fill)) for fill in report.fills]
            new_fills = tuple(fill for fill, change in changes if change is _Change.BOOKED)
            _apply_status(books, order, report)
            order["reason"] = clean_text(report.reason) or order["reason"]
            order["updated_at"] = books.at_micros
            books.transaction.change(_STORE, {**order, "of_order": order_id})
            if order["leader_id"] is not None:
                _tell_leader(books.transaction, before, order, changes)
            if alert_for is not None:
                for fill, change in changes:
                    if change is _Change.NOTHING:
                        continue
                    insert_alert(books.transaction, alert_for(fill), at_micros=books.at_micros)
        return new_fills

    def order(self, order_id: OrderId) -> OrderRecord | None:
        """Return an order of ours."""
        with self._database.reading_lean() as transaction:
            return load_order(transaction, order_id)

    def open_orders(self) -> tuple[OrderRecord, ...]:
        """Return orders that are SENDING, UNKNOWN or RESTING, oldest first."""
        with self._database.reading_lean() as transaction:
            return load_open_orders(transaction)

    def fills_of(self, order_id: OrderId) -> tuple[Fill, ...]:
        """Return an order's fills in the order in which they were recorded."""
        with self._database.reading_lean() as transaction:
            rows = _FILLS_OF.named_rows(transaction, {"of_order": order_id})
            return tuple(fill_of(row) for row in rows)


def _look(
    transaction: Transaction, prepared: PreparedOrder, checks: LimitChecks
) -> tuple[Books, tuple[RiskCheck, ...]]:
    """Return the books as they are, and what stops an order now."""
    order = prepared.order
    condition_id = order.market.condition_id
    keys = {
        "key": order.decision_key,
        "order_id": prepared.order_id,
        "condition_id": condition_id,
    }
    (row,) = transaction.rows(_STANDING, keys)
    if row[_HAS_END]:
        IntentBacklog().clear(transaction)
        (row,) = transaction.rows(_STANDING, keys)
    _, verdict, key_has_order, order_is_known = row[_HAS_END:]
    books = Books(transaction, prepared.created_at, loaded=account_in(row[:_ACCOUNT_END]))
    refusal = _decided_once(prepared, verdict, has_order=key_has_order or order_is_known)
    if refusal is not None:
        return books, (refusal,)
    has = HasAny._make(row[_ACCOUNT_END:_HAS_END])
    return books, _failed(books, condition_id, has, checks)


def _failed(
    books: Books, condition_id: str, has: HasAny, checks: LimitChecks
) -> tuple[RiskCheck, ...]:
    transaction, state = books.transaction, books.trading_state
    totals = account_totals(transaction, books.account, books.day, state, has=has)
    exposure = exposure_of(transaction, condition_id, has=has)
    failed = tuple([check for check in checks(totals, exposure) if not check.passed])
    if not failed and state is TradingState.HALTED:
        return (RiskCheck(name="trading-state", passed=False, detail="trading is halted"),)
    return failed


def _decided_once(
    prepared: PreparedOrder, verdict: str | None, *, has_order: bool
) -> RiskCheck | None:
    key = prepared.order.decision_key
    if verdict is None:
        detail = f"decision {key} was not claimed"
    elif verdict != Verdict.PENDING:
        detail = f"decision {key} is {verdict} already"
    elif has_order:
        detail = f"decision {key} or order {prepared.order_id} has an order already"
    else:
        return None
    return RiskCheck(name="decided-once", passed=False, detail=detail)


def _load_for_change(transaction: Transaction, order_id: OrderId) -> dict[str, Any]:
    found = transaction.rows(_BY_ID, {"order_id": order_id})
    if not found:
        raise DataError(f"order {order_id} is not in the ledger", reason="order-unknown")
    return _BY_ID.named(found[0])


def _apply_fill_report(books: Books, order: dict[str, Any], fill: Fill) -> _Change:
    """Record one reported fill; what that did to the money."""
    if fill.order_id != order["order_id"]:
        raise ValueError(f"fill {fill.trade_id} is of order {fill.order_id}")
    known = find_fill(books.transaction, fill)
    if known is None:
        amounts = book_new_fill(books, order, fill)
        if fill.status is FillStatus.FAILED:
            return _Change.NOTHING
        order["filled_size"] += amounts.size
        order["filled_cost"] += amounts.gross
        order["fee"] += amounts.fee
        left = shrink_reservation(order["reserved"], amounts)
        books.reserve(left - order["reserved"])
        order["reserved"] = left
        return _Change.BOOKED
    voided = update_known_fill(books, order, known, fill.status)
    if voided is None:
        return _Change.NOTHING
    order["filled_size"] -= voided.size
    order["filled_cost"] -= voided.gross
    order["fee"] -= voided.fee
    return _Change.VOIDED


def _tell_leader(
    transaction: Transaction,
    before: dict[str, Any],
    order: dict[str, Any],
    changes: list[tuple[Fill, _Change]],
) -> None:
    booked = [amounts_in(order, fill) for fill, change in changes if change is _Change.BOOKED]
    has_voided = any(change is _Change.VOIDED for _, change in changes)
    follow_order(transaction, before, order, booked, has_voided=has_voided)


def _apply_status(books: Books, order: dict[str, Any], report: OrderReport) -> None:
    status = _next_status(OrderStatus(order["status"]), report.status, order["filled_size"] > 0)
    order["status"] = status.value
    if not status.is_open:
        books.reserve(-order["reserved"])
        order["reserved"] = 0
    is_counted = status not in _ABSENT
    if is_counted != order["is_counted"]:
        books.count_trade(order["day"], 1 if is_counted else -1)
        order["is_counted"] = is_counted


def _next_status(current: OrderStatus, reported: OrderStatus, has_fills: bool) -> OrderStatus:
    """Return the later of two statuses; a final one that says "nothing filled" must be true."""
    rank = _RANKS.get(reported, _FINAL_RANK)
    later = reported if current.is_open and rank >= _RANKS[current] else current
    return OrderStatus.FILLED if has_fills and not later.is_open else later
