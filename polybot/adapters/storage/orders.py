"""Orders: durable before they are sent, changed only by what is proved about them."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from enum import Enum, auto
from typing import Any, Final

from sqlalchemy import Connection, insert, or_, select, update

from polybot.accounting import shrink_reservation
from polybot.adapters.storage.books import (
    OPEN_STATUSES,
    Books,
    Store,
    account_totals,
    exposure_of,
)
from polybot.adapters.storage.columns import (
    bid_micro,
    clean_text,
    day_number,
    instant_at,
    json_text,
    micros_at,
    price_of,
    shares_of,
    usdc_of,
)
from polybot.adapters.storage.decisions import load_verdict, place_decision, remember_market
from polybot.adapters.storage.fills import book_new_fill, fill_of, find_fill, update_known_fill
from polybot.adapters.storage.outbox import insert_alert
from polybot.adapters.storage.statements import Statement, Values, parameter, parameters
from polybot.adapters.storage.tables import FILLS, MARKETS, ORDERS
from polybot.domain.accounts import OrderRecord
from polybot.domain.alerts import Alert
from polybot.domain.decisions import Decision, Verdict
from polybot.domain.markets import ConditionId, FeeSchedule, MarketWindow, Outcome, OutcomeTokenId
from polybot.domain.modes import TradingState
from polybot.domain.money import to_micro
from polybot.domain.orders import (
    DecisionKey,
    Fill,
    FillStatus,
    OrderId,
    OrderReport,
    OrderStatus,
    PreparedOrder,
    RiskCheck,
    Side,
    TimeInForce,
)
from polybot.errors import DataError
from polybot.ports import LimitChecks

_RANKS: Final = {OrderStatus.SENDING: 0, OrderStatus.UNKNOWN: 1, OrderStatus.RESTING: 2}
_FINAL_RANK: Final = 3
_NOT_FILLED: Final = (OrderStatus.REJECTED, OrderStatus.UNFILLED, OrderStatus.NEVER_ARRIVED)
# These prove that the venue never had the order, so the day's trade is given back.
_ABSENT: Final = (OrderStatus.REJECTED, OrderStatus.NEVER_ARRIVED)

_SAME_ORDER: Final = Statement(
    select(ORDERS.c.id).where(
        or_(
            ORDERS.c.decision_key == parameter("decision_key"),
            ORDERS.c.order_id == parameter("order_id"),
        )
    )
)
_WITH_SLUG: Final = select(ORDERS, MARKETS.c.slug, MARKETS.c.fee_rate, MARKETS.c.fee_exponent).join(
    MARKETS, MARKETS.c.condition_id == ORDERS.c.condition_id
)
_ONE: Final = Statement(_WITH_SLUG.where(ORDERS.c.order_id == parameter("of_order")))
_OPEN: Final = Statement(_WITH_SLUG.where(ORDERS.c.status.in_(OPEN_STATUSES)).order_by(ORDERS.c.id))
_UNFILLED: Final = Statement(
    _WITH_SLUG.where(
        ORDERS.c.status.in_(_NOT_FILLED), ORDERS.c.updated_at >= parameter("since")
    ).order_by(ORDERS.c.id)
)
_FILLS_OF: Final = Statement(
    select(FILLS).where(FILLS.c.order_id == parameter("of_order")).order_by(FILLS.c.id)
)
_INSERT: Final = Statement(
    insert(ORDERS).values(
        parameters(column.name for column in ORDERS.columns if column.name != "id")
    )
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
        with self._books(prepared.created_at) as books:
            refusal = _decided_once(books.connection, prepared)
            if refusal is not None:
                return (refusal,)
            totals = account_totals(books.connection, books.account, books.day, books.trading_state)
            exposure = exposure_of(books.connection, order.market.condition_id)
            failed = tuple(check for check in checks(totals, exposure) if not check.passed)
            if not failed and books.trading_state is TradingState.HALTED:
                failed = (
                    RiskCheck(name="trading-state", passed=False, detail="trading is halted"),
                )
            if failed:
                return failed
            remember_market(books.connection, order.market)
            _INSERT.change(
                books.connection,
                {**_columns_of(prepared, decision), "day": day_number(books.day.day)},
            )
            place_decision(books.connection, decision, prepared.order_id)
            books.reserve(to_micro(order.max_outlay_usdc))
            books.count_trade(day_number(books.day.day), 1)
        return ()

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
        with self._books(at) as books:
            order = _load_for_change(books.connection, order_id)
            changes = [(fill, _apply_fill_report(books, order, fill)) for fill in report.fills]
            new_fills = tuple(fill for fill, change in changes if change is _Change.BOOKED)
            _apply_status(books, order, report)
            books.connection.execute(
                update(ORDERS)
                .where(ORDERS.c.order_id == order_id)
                .values(
                    reserved=order["reserved"],
                    filled_size=order["filled_size"],
                    filled_cost=order["filled_cost"],
                    fee=order["fee"],
                    status=order["status"],
                    reason=clean_text(report.reason) or order["reason"],
                    is_counted=order["is_counted"],
                    updated_at=books.at_micros,
                )
            )
            if alert_for is not None:
                for fill, change in changes:
                    if change is _Change.NOTHING:
                        continue
                    insert_alert(books.connection, alert_for(fill), at_micros=books.at_micros)
        return new_fills

    def order(self, order_id: OrderId) -> OrderRecord | None:
        """Return an order of ours."""
        with self._database.reading() as connection:
            rows = _ONE.rows(connection, {"of_order": order_id})
            return _record_of(rows[0]) if rows else None

    def open_orders(self) -> tuple[OrderRecord, ...]:
        """Return orders that are SENDING, UNKNOWN or RESTING, oldest first."""
        with self._database.reading() as connection:
            return load_open_orders(connection)

    def fills_of(self, order_id: OrderId) -> tuple[Fill, ...]:
        """Return an order's fills in the order in which they were recorded."""
        with self._database.reading() as connection:
            rows = _FILLS_OF.rows(connection, {"of_order": order_id})
            return tuple(fill_of(row) for row in rows)


def load_open_orders(connection: Connection) -> tuple[OrderRecord, ...]:
    """Return orders that are SENDING, UNKNOWN or RESTING, oldest first."""
    return tuple(_record_of(row) for row in _OPEN.rows(connection))


def load_unfilled_orders(connection: Connection, since_micros: int) -> tuple[OrderRecord, ...]:
    """Return orders that were closed without any fill since an instant, oldest first."""
    rows = _UNFILLED.rows(connection, {"since": since_micros})
    return tuple(_record_of(row) for row in rows)


def _decided_once(connection: Connection, prepared: PreparedOrder) -> RiskCheck | None:
    key = prepared.order.decision_key
    verdict = load_verdict(connection, key)
    if verdict is None:
        detail = f"decision {key} was not claimed"
    elif verdict is not Verdict.PENDING:
        detail = f"decision {key} is {verdict} already"
    elif _SAME_ORDER.rows(connection, {"decision_key": key, "order_id": prepared.order_id}):
        detail = f"decision {key} or order {prepared.order_id} has an order already"
    else:
        return None
    return RiskCheck(name="decided-once", passed=False, detail=detail)


def _load_for_change(connection: Connection, order_id: OrderId) -> dict[str, Any]:
    row = (
        connection.execute(select(ORDERS).where(ORDERS.c.order_id == order_id))
        .mappings()
        .one_or_none()
    )
    if row is None:
        raise DataError(f"order {order_id} is not in the ledger", reason="order-unknown")
    return dict(row)


def _apply_fill_report(books: Books, order: dict[str, Any], fill: Fill) -> _Change:
    """Record one reported fill; what that did to the money."""
    if fill.order_id != order["order_id"]:
        raise ValueError(f"fill {fill.trade_id} is of order {fill.order_id}")
    known = find_fill(books.connection, fill)
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


def _apply_status(books: Books, order: dict[str, Any], report: OrderReport) -> None:
    status = _next_status(OrderStatus(order["status"]), report.status, order["filled_size"] > 0)
    order["status"] = status
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


def _columns_of(prepared: PreparedOrder, decision: Decision) -> dict[str, Any]:
    order = prepared.order
    created_at = micros_at(prepared.created_at)
    return {
        "order_id": prepared.order_id,
        "decision_key": order.decision_key,
        "condition_id": order.market.condition_id,
        "token_id": order.token_id,
        "outcome": order.outcome,
        "side": order.side,
        "time_in_force": order.time_in_force,
        "limit_price": to_micro(order.limit_price),
        "size": to_micro(order.size),
        "budget": to_micro(order.budget_usdc),
        "max_outlay": to_micro(order.max_outlay_usdc),
        "reserved": to_micro(order.max_outlay_usdc),
        "filled_size": 0,
        "filled_cost": 0,
        "fee": 0,
        "status": OrderStatus.SENDING,
        "reason": "",
        "created_at": created_at,
        "updated_at": created_at,
        "expires_at": None if order.expires_at is None else micros_at(order.expires_at),
        "is_counted": True,
        "seen_bid": None if decision.book is None else bid_micro(decision.book.best_bid),
        "wire": json_text(prepared.wire),
    }


def _record_of(row: Values) -> OrderRecord:
    return OrderRecord(
        order_id=OrderId(row["order_id"]),
        decision_key=DecisionKey(row["decision_key"]),
        condition_id=ConditionId(row["condition_id"]),
        token_id=OutcomeTokenId(row["token_id"]),
        outcome=Outcome(row["outcome"]),
        window=MarketWindow.parse_slug(row["slug"]),
        side=Side(row["side"]),
        time_in_force=TimeInForce(row["time_in_force"]),
        limit_price=price_of(row["limit_price"]),
        size=shares_of(row["size"]),
        budget_usdc=usdc_of(row["budget"]),
        reserved_usdc=usdc_of(row["reserved"]),
        filled_size=shares_of(row["filled_size"]),
        filled_cost_usdc=usdc_of(row["filled_cost"]),
        fee_usdc=usdc_of(row["fee"]),
        status=OrderStatus(row["status"]),
        reason=row["reason"],
        created_at=instant_at(row["created_at"]),
        expires_at=None if row["expires_at"] is None else instant_at(row["expires_at"]),
        fees=None
        if row["fee_rate"] is None
        else FeeSchedule(rate=Decimal(row["fee_rate"]), exponent=row["fee_exponent"]),
    )
