"""Rows of orders: how an intent is written, and how a record of it is read."""

from decimal import Decimal
from typing import Any, Final

from sqlalchemy import insert, select

from polybot.adapters.storage.columns import (
    bid_micro,
    instant_at,
    json_text,
    micros_at,
    price_of,
    shares_of,
    usdc_of,
)
from polybot.adapters.storage.statements import (
    Statement,
    Transaction,
    Values,
    is_one_of,
    parameter,
    parameters,
)
from polybot.adapters.storage.tables import MARKETS, ORDERS
from polybot.adapters.storage.totals import IS_OPEN
from polybot.domain.accounts import OrderRecord
from polybot.domain.decisions import Decision
from polybot.domain.markets import ConditionId, FeeSchedule, MarketWindow, Outcome, OutcomeTokenId
from polybot.domain.money import to_micro
from polybot.domain.orders import (
    DecisionKey,
    OrderId,
    OrderStatus,
    PreparedOrder,
    Side,
    TimeInForce,
)

NOT_FILLED: Final = is_one_of(
    ORDERS.c.status,
    (OrderStatus.REJECTED.value, OrderStatus.UNFILLED.value, OrderStatus.NEVER_ARRIVED.value),
)
"""Whether an order ended without a fill; in the words of the index over such orders."""

_SENDING: Final = OrderStatus.SENDING.value
_WITH_MARKET: Final = select(
    ORDERS, MARKETS.c.slug, MARKETS.c.fee_rate, MARKETS.c.fee_exponent
).join(MARKETS, MARKETS.c.condition_id == ORDERS.c.condition_id)
_INSERT: Final = Statement(
    insert(ORDERS).values(
        parameters(column.name for column in ORDERS.columns if column.name != "id")
    )
)
_BY_ID: Final = Statement(_WITH_MARKET.where(ORDERS.c.order_id == parameter("order_id")))
# Not by id alone: SQLite would rather read all orders than sort the few that the index gives.
_OPEN: Final = Statement(_WITH_MARKET.where(IS_OPEN).order_by(ORDERS.c.created_at, ORDERS.c.id))
_UNFILLED: Final = Statement(
    _WITH_MARKET.where(NOT_FILLED, ORDERS.c.updated_at >= parameter("since")).order_by(
        ORDERS.c.created_at, ORDERS.c.id
    )
)


def load_order(transaction: Transaction, order_id: OrderId) -> OrderRecord | None:
    """Return one order, inside a transaction."""
    found = transaction.rows(_BY_ID, {"order_id": order_id})
    return _record_of(_BY_ID.named(found[0])) if found else None


def load_open_orders(transaction: Transaction) -> tuple[OrderRecord, ...]:
    """Return orders that are SENDING, UNKNOWN or RESTING, oldest first."""
    return tuple(_record_of(row) for row in _OPEN.named_rows(transaction))


def load_unfilled_orders(transaction: Transaction, since_micros: int) -> tuple[OrderRecord, ...]:
    """Return orders that were closed without any fill since an instant, oldest first."""
    rows = _UNFILLED.named_rows(transaction, {"since": since_micros})
    return tuple(_record_of(row) for row in rows)


def insert_intent(
    transaction: Transaction,
    prepared: PreparedOrder,
    decision: Decision,
    *,
    day: int,
    leader_id: int | None = None,
) -> int:
    """Write a new order that is about to be sent; return what it holds back [micro-USDC]."""
    columns = _intent_columns(prepared, decision)
    columns["day"] = day
    columns["leader_id"] = leader_id
    transaction.change(_INSERT, columns)
    return int(columns["reserved"])


def _intent_columns(prepared: PreparedOrder, decision: Decision) -> dict[str, Any]:
    order = prepared.order
    created_at = micros_at(prepared.created_at)
    outlay = to_micro(order.max_outlay_usdc)
    return {
        "order_id": prepared.order_id,
        "decision_key": order.decision_key,
        "condition_id": order.market.condition_id,
        "token_id": order.token_id,
        "outcome": order.outcome.value,
        "side": order.side.value,
        "time_in_force": order.time_in_force.value,
        "limit_price": to_micro(order.limit_price),
        "size": to_micro(order.size),
        "budget": to_micro(order.budget_usdc),
        "max_outlay": outlay,
        "reserved": outlay,
        "filled_size": 0,
        "filled_cost": 0,
        "fee": 0,
        "status": _SENDING,
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
