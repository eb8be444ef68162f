"""Intents: one durable row before an order leaves, booked into the ledger's tables afterwards.

An order waits for its intent, so that is one INSERT into a table that is nearly always empty: a
page or two for the disk. Everything else that an order changes (its own row, its decision, the
market, what is held back, its leader's trade, totals and holding) follows from it and is written
by the next transaction, whosever it is, before that one does anything of its own. Between the two
nobody else can have read or written, so booking meets exactly the ledger that the limits were
looked at in, and no step of it can be refused.
"""

import json
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import delete, exists, insert, select

from polybot.adapters.storage.books import Books
from polybot.adapters.storage.columns import json_text, micros_at
from polybot.adapters.storage.copy_books import (
    TokenOfMarket,
    begin_holding,
    follow_leader,
    load_holding,
    set_spent,
    store_holding,
)
from polybot.adapters.storage.copy_events import insert_trade, look_at_leader
from polybot.adapters.storage.decisions import insert_decision, place_decision, remember_market
from polybot.adapters.storage.order_rows import insert_intent
from polybot.adapters.storage.statements import (
    Statement,
    Transaction,
    parameter,
    parameters,
)
from polybot.adapters.storage.tables import INTENTS
from polybot.domain.decisions import Decision, Verdict
from polybot.domain.leaders import CopyRecord, CopyVerdict, LeaderTrade, begins_holding
from polybot.domain.money import to_micro
from polybot.domain.orders import PreparedOrder
from polybot.errors import PermanentError

IS_WAITING: Final = exists(select(INTENTS.c.id)).label("is_waiting")
"""Whether an intent is not booked yet: whoever reads it before writing must book first."""

_WAITING: Final = Statement(select(IS_WAITING))
_ALL: Final = Statement(select(INTENTS.c.id, INTENTS.c.body).order_by(INTENTS.c.id))
_INSERT: Final = Statement(
    insert(INTENTS).values(
        parameters(column.name for column in INTENTS.columns if column.name != "id")
    )
)
_DELETE: Final = Statement(delete(INTENTS).where(INTENTS.c.id == parameter("of_id")))


@dataclass(frozen=True, slots=True)
class Intent:
    """What a row says: an older version's must still be read, so fields here only ever join."""

    prepared: PreparedOrder
    decision: Decision
    copy: CopyRecord | None = None
    """The leader's trade that the order copies."""


_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(Intent)


def intent_row(intent: Intent) -> dict[str, Any]:
    """Return an intent as it is stored; put together before the transaction begins."""
    prepared = intent.prepared
    order = prepared.order
    try:
        body = _ENCODER.encode(intent).decode()
    except UnicodeEncodeError:
        # Lone surrogates in a text of the venue's; escaped they are plain ASCII.
        body = json_text(msgspec.to_builtins(intent))
    return {
        "order_id": prepared.order_id,
        "decision_key": order.decision_key,
        "condition_id": order.market.condition_id,
        "outlay": to_micro(order.max_outlay_usdc),
        "created_at": micros_at(prepared.created_at),
        "body": body,
    }


def write_intent(transaction: Transaction, row: dict[str, Any]) -> None:
    """Make an order durable that is about to be sent; every limit holds, and nothing waits."""
    transaction.change(_INSERT, row)


class IntentBacklog:
    """The intents that are not booked yet."""

    def waits(self, transaction: Transaction) -> bool:
        """Return whether there is one."""
        ((is_waiting,),) = transaction.rows(_WAITING)
        return bool(is_waiting)

    def clear(self, transaction: Transaction) -> None:
        """Book every intent, oldest first."""
        for row_id, body in transaction.rows(_ALL):
            _book(transaction, _read(row_id, body))
            transaction.change(_DELETE, {"of_id": row_id})


def _read(row_id: int, body: str) -> Intent:
    try:
        if "\\ud" not in body:
            return _DECODER.decode(body)
        # Text that UTF-8 cannot carry: msgspec reads no lone surrogates, escaped or not.
        return msgspec.convert(json.loads(body), Intent)
    except (msgspec.MsgspecError, ValueError) as error:
        raise PermanentError(
            f"intent {row_id} of the ledger cannot be read ({error}); use the version that wrote it"
        ) from error


def _book(transaction: Transaction, intent: Intent) -> None:
    prepared, decision = intent.prepared, intent.decision
    books = Books(transaction, prepared.created_at)
    remember_market(transaction, prepared.order.market)
    if intent.copy is None:
        outlay = insert_intent(transaction, prepared, decision, day=books.day_number)
        place_decision(transaction, decision, prepared.order_id)
    else:
        outlay = _book_copy(books, intent, intent.copy)
    books.place_order(outlay)


def _book_copy(books: Books, intent: Intent, record: CopyRecord) -> int:
    transaction, prepared, trade = books.transaction, intent.prepared, record.trade
    leader = look_at_leader(transaction, trade.leader, trade.key)
    if leader is None:
        raise PermanentError(f"the ledger lost leader {trade.leader} after an intent of his copy")
    insert_decision(
        transaction, intent.decision, verdict=Verdict.PLACED, order_id=prepared.order_id
    )
    outlay = insert_intent(
        transaction, prepared, intent.decision, day=books.day_number, leader_id=leader["id"]
    )
    insert_trade(
        transaction,
        leader["id"],
        record,
        key=trade.key,
        verdict=CopyVerdict.PLACED,
        reason_code=record.reason_code,
        reason=record.reason,
        order_id=prepared.order_id,
    )
    follow_trade(transaction, leader["id"], record, CopyVerdict.PLACED)
    token_id = prepared.order.token_id
    ours = load_holding(transaction, leader["id"], token_id) or _begin(
        transaction, leader["id"], trade, token_id
    )
    ours["in_flight"] += outlay
    store_holding(transaction, ours)
    set_spent(transaction, leader, books.day_number, outlay)
    return outlay


def follow_trade(
    transaction: Transaction, leader_id: int, record: CopyRecord, verdict: CopyVerdict
) -> None:
    """Change what a leader holds by his trade, which is recorded, and what waits for company."""
    trade = record.trade
    holding = load_holding(transaction, leader_id, trade.token_id)
    if holding is None:
        if not begins_holding(trade, verdict):
            return
        holding = _begin(transaction, leader_id, trade, trade.token_id)
    follow_leader(holding, record, verdict)
    store_holding(transaction, holding)


def _begin(
    transaction: Transaction, leader_id: int, trade: LeaderTrade, token_id: str
) -> dict[str, Any]:
    token = TokenOfMarket(
        token_id=token_id,
        condition_id=trade.condition_id,
        slug=trade.slug,
        seen_at=micros_at(trade.traded_at),
    )
    return begin_holding(transaction, leader_id, token)
