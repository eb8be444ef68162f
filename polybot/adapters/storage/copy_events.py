"""Rows of leader events: how a trade or a conversion is written, and how it is read again."""

from decimal import Decimal
from typing import Any, Final

from sqlalchemy import RowMapping, exists, insert, select

from polybot.adapters.storage.columns import (
    clean_text,
    instant_at,
    micros_at,
    micros_down,
    shares_of,
)
from polybot.adapters.storage.copy_tables import LEADER_EVENTS, LEADERS, LEASES
from polybot.adapters.storage.statements import (
    Statement,
    Transaction,
    Values,
    parameter,
    parameters,
)
from polybot.domain.leaders import (
    CopyRecord,
    CopyVerdict,
    FeedSource,
    LeaderAddress,
    LeaderConversion,
    LeaderTrade,
    LeaderTradeKey,
    Lease,
)
from polybot.domain.markets import ConditionId, OutcomeTokenId
from polybot.domain.money import from_micro, text_of
from polybot.domain.orders import DecisionKey, OrderId, Side

TRADE: Final = "trade"
"""The kind of an event that is a trade."""

_LEASE: Final = Statement(
    select(LEASES.c.epoch, LEASES.c.holder).where(LEASES.c.name == parameter("name"))
)
_LOOK: Final = Statement(
    select(
        LEADERS.c.id,
        LEADERS.c.state,
        LEADERS.c.state_reason,
        LEADERS.c.open_spent,
        LEADERS.c.day,
        LEADERS.c.day_spent,
        exists().where(LEADER_EVENTS.c.key == parameter("key")).label("is_known"),
    ).where(LEADERS.c.address == parameter("address"))
)
_INSERT: Final = Statement(
    insert(LEADER_EVENTS).values(
        parameters(column.name for column in LEADER_EVENTS.columns if column.name != "id")
    )
)


def holds_lease(transaction: Transaction, lease: Lease) -> bool:
    """Return whether nobody took a lease since, and it was not given back."""
    found = transaction.rows(_LEASE, {"name": lease.name})
    return found == [(lease.epoch, lease.holder)]


def look_at_leader(
    transaction: Transaction, address: LeaderAddress, key: LeaderTradeKey
) -> dict[str, Any] | None:
    """Return a leader's totals and whether an event is known; ``None`` for a stranger."""
    found = transaction.rows(_LOOK, {"address": address, "key": key})
    return _LOOK.named(found[0]) if found else None


def insert_trade(
    transaction: Transaction,
    leader_id: int,
    record: CopyRecord,
    *,
    key: LeaderTradeKey,
    reason_code: str,
    reason: str,
    verdict: CopyVerdict,
    order_id: OrderId | None,
) -> None:
    """Write a trade with what was made of it."""
    trade = record.trade
    transaction.change(
        _INSERT,
        {
            "key": key,
            "leader_id": leader_id,
            "kind": TRADE,
            "transaction_hash": trade.transaction_hash,
            "token_id": trade.token_id,
            "condition_id": trade.condition_id,
            "slug": clean_text(trade.slug),
            "side": trade.side.value,
            "price": text_of(trade.price),
            "size": micros_down(trade.size),
            "occurrence": trade.occurrence,
            "happened_at": micros_at(trade.traded_at),
            "received_at": micros_at(trade.received_at),
            "source": trade.source.value,
            "verdict": verdict.value,
            "reason_code": reason_code,
            "reason": clean_text(reason),
            "decided_at": micros_at(record.decided_at),
            "decision_key": record.decision_key,
            "order_id": order_id,
            "sent_at": None if record.sent_at is None else micros_at(record.sent_at),
            "acknowledged_at": None
            if record.acknowledged_at is None
            else micros_at(record.acknowledged_at),
            "accumulated": micros_down(record.accumulate_usdc),
            "accumulated_size": micros_down(record.accumulate_size),
            "clears_pending": int(record.clears_pending),
            "follows_conversion": int(record.follows_conversion),
            "is_voided": int(record.is_voided),
        },
    )


def insert_conversion(
    transaction: Transaction,
    leader_id: int,
    conversion: LeaderConversion,
    *,
    tokens: tuple[str, ...],
    reason: str,
) -> None:
    """Write a conversion with the tokens whose holding it changed."""
    happened_at = micros_at(conversion.happened_at)
    received_at = micros_at(conversion.received_at)
    transaction.change(
        _INSERT,
        {
            "key": conversion.key,
            "leader_id": leader_id,
            "kind": conversion.kind.value,
            "transaction_hash": conversion.transaction_hash,
            "token_id": " ".join(tokens),
            "condition_id": conversion.condition_id,
            "slug": clean_text(conversion.slug),
            "side": "",
            "price": "",
            "size": micros_down(conversion.size),
            "occurrence": conversion.occurrence,
            "happened_at": happened_at,
            "received_at": received_at,
            "source": FeedSource.DATA_API.value,
            "verdict": "",
            "reason_code": "",
            "reason": clean_text(reason),
            "decided_at": received_at,
            "decision_key": None,
            "order_id": None,
            "sent_at": None,
            "acknowledged_at": None,
            "accumulated": 0,
            "accumulated_size": 0,
            "clears_pending": 0,
            "follows_conversion": 0,
            "is_voided": 0,
        },
    )


def record_of(row: RowMapping | Values) -> CopyRecord:
    """Return the record of a row that has its leader's address."""
    decision_key, order_id = row["decision_key"], row["order_id"]
    sent_at, acknowledged_at = row["sent_at"], row["acknowledged_at"]
    return CopyRecord(
        trade=LeaderTrade(
            leader=LeaderAddress(row["address"]),
            transaction_hash=row["transaction_hash"],
            token_id=OutcomeTokenId(row["token_id"]),
            condition_id=ConditionId(row["condition_id"]),
            slug=row["slug"],
            side=Side(row["side"]),
            price=Decimal(row["price"]),
            size=shares_of(row["size"]),
            occurrence=row["occurrence"],
            traded_at=instant_at(row["happened_at"]),
            received_at=instant_at(row["received_at"]),
            source=FeedSource(row["source"]),
        ),
        verdict=CopyVerdict(row["verdict"]),
        reason_code=row["reason_code"],
        reason=row["reason"],
        decided_at=instant_at(row["decided_at"]),
        decision_key=None if decision_key is None else DecisionKey(decision_key),
        order_id=None if order_id is None else OrderId(order_id),
        sent_at=None if sent_at is None else instant_at(sent_at),
        acknowledged_at=None if acknowledged_at is None else instant_at(acknowledged_at),
        accumulate_usdc=from_micro(row["accumulated"]),
        accumulate_size=from_micro(row["accumulated_size"]),
        clears_pending=bool(row["clears_pending"]),
        follows_conversion=bool(row["follows_conversion"]),
        is_voided=bool(row["is_voided"]),
    )
