"""Leader trades: recorded once each, together with the order that copies them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import func, select, update

from polybot.adapters.storage.books import Books, Store
from polybot.adapters.storage.columns import micros_at, micros_down, usdc_of
from polybot.adapters.storage.copy_books import (
    TokenOfMarket,
    follow_leader,
    load_holding,
    new_holding,
    store_holding,
)
from polybot.adapters.storage.copy_events import holds_lease, insert_trade, look_at_leader
from polybot.adapters.storage.copy_standing import CopyStanding, look_before_copy
from polybot.adapters.storage.copy_tables import LEADER_EVENTS, LEADERS
from polybot.adapters.storage.decisions import insert_decision, remember_market
from polybot.adapters.storage.order_rows import insert_intent
from polybot.adapters.storage.statements import (
    Statement,
    Transaction,
    constant,
    parameter,
    parameters,
)
from polybot.adapters.storage.tables import ORDERS
from polybot.adapters.storage.totals import IS_OPEN, account_totals, exposure_of
from polybot.domain.decisions import Decision, Verdict
from polybot.domain.leaders import (
    CopyAnswer,
    CopyRecord,
    CopyRecorded,
    CopyVerdict,
    LeaderSpending,
    LeaderState,
    LeaderTrade,
    LeaderTradeKey,
    Lease,
)
from polybot.domain.modes import TradingState
from polybot.domain.money import from_micro, text_of
from polybot.domain.orders import Order, PreparedOrder, RiskCheck, Side
from polybot.ports import CapChecks, LimitChecks

_LOST: Final = CopyRecorded(answer=CopyAnswer.LEASE_LOST)
_KNOWN: Final = CopyRecorded(answer=CopyAnswer.ALREADY_SEEN)
_RECORDED: Final = CopyRecorded(answer=CopyAnswer.RECORDED)

_SPENT: Final = Statement(
    update(LEADERS)
    .where(LEADERS.c.id == parameter("of_leader"))
    .values(parameters(("open_spent", "day", "day_spent")))
)
_SELLING: Final = Statement(
    select(func.coalesce(func.sum(ORDERS.c.size - ORDERS.c.filled_size), 0).label("size")).where(
        ORDERS.c.condition_id == parameter("condition_id"),
        IS_OPEN,
        ORDERS.c.token_id == parameter("token_id"),
        ORDERS.c.leader_id == parameter("leader_id"),
        ORDERS.c.side == constant(Side.SELL.value),
    )
)
_LATENCY: Final = Statement(
    update(LEADER_EVENTS)
    .where(LEADER_EVENTS.c.key == parameter("of_key"))
    .values(parameters(("sent_at", "acknowledged_at")))
)


class CopyStore(Store):
    """The ledger's copies."""

    def record_copy(
        self,
        record: CopyRecord,
        prepared: PreparedOrder,
        decision: Decision,
        *,
        checks: LimitChecks,
        caps: CapChecks,
        lease: Lease,
    ) -> CopyRecorded:
        """Make a leader trade and the order that copies it durable.

        See ``CopyLedger.record_copy``. Whatever ``checks`` allow, a halt refuses the order, and a
        SELL must be of shares that were bought through this leader.
        """
        order = prepared.order
        if not decision.key == record.decision_key == order.decision_key:
            raise ValueError(f"order is of {order.decision_key}, decision is {decision.key}")
        with self._database.writing_before_sending() as transaction:
            standing = look_before_copy(transaction, record.trade, order.market, lease)
            books = Books(transaction, prepared.created_at, loaded=standing.account)
            leader = standing.leader
            if not standing.is_lease_ours:
                answer = _LOST
            elif leader is None:
                answer = _of_stranger(record.trade)
            elif standing.is_known:
                answer = _KNOWN
            else:
                if leader["day"] != books.day_number:
                    leader["day"], leader["day_spent"] = books.day_number, 0
                copy = _Copy(record, prepared, decision, leader, standing)
                answer = copy.record(books, checks, caps)
            if answer is not _RECORDED:
                books.save()
        return answer

    def record_leader_trades(
        self, records: Sequence[CopyRecord], *, lease: Lease
    ) -> dict[LeaderTradeKey, CopyRecorded]:
        """Record trades that are not copied; see ``CopyLedger.record_leader_trades``.

        A trade of a wallet that was never followed is refused, and not recorded.
        """
        if any(record.verdict is CopyVerdict.PLACED for record in records):
            raise ValueError("a trade that is copied is recorded together with its order")
        with self._database.writing_lean() as transaction:
            if not holds_lease(transaction, lease):
                return {record.trade.key: _LOST for record in records}
            return {
                record.trade.key: _record_trade(transaction, record, record.trade.key)
                for record in records
            }

    def record_latency(
        self, key: LeaderTradeKey, *, sent_at: datetime, acknowledged_at: datetime
    ) -> None:
        """Note when a copy left and when it was answered."""
        with self._database.writing_lean() as transaction:
            transaction.change(
                _LATENCY,
                {
                    "of_key": key,
                    "sent_at": micros_at(sent_at),
                    "acknowledged_at": micros_at(acknowledged_at),
                },
            )


class _Copy:
    """One copy inside its transaction."""

    def __init__(
        self,
        record: CopyRecord,
        prepared: PreparedOrder,
        decision: Decision,
        leader: dict[str, Any],
        standing: CopyStanding,
    ) -> None:
        self._record = record
        self._key = standing.key
        self._prepared = prepared
        self._decision = decision
        self._leader = leader
        self._has = standing.has
        self._known_market = standing.market
        self._holdings = standing.holdings

    def record(self, books: Books, checks: LimitChecks, caps: CapChecks) -> CopyRecorded:
        """Look at everything that may stop the order, then write the trade with or without it."""
        failed = self._failed(books, checks, caps)
        remember_market(books.transaction, self._prepared.order.market, self._known_market)
        if failed:
            self._refuse(books.transaction, failed)
            return CopyRecorded(answer=CopyAnswer.REFUSED, failed=failed)
        self._place(books)
        return _RECORDED

    def _failed(self, books: Books, checks: LimitChecks, caps: CapChecks) -> tuple[RiskCheck, ...]:
        transaction, order, has = books.transaction, self._prepared.order, self._has
        totals = account_totals(transaction, books.account, books.day, books.trading_state, has=has)
        looked = [
            *_state_checks(self._leader, books.trading_state),
            *checks(totals, exposure_of(transaction, order.market.condition_id, has=has)),
            *caps(self._spending()),
        ]
        if order.side is Side.SELL:
            looked.append(self._position_check(transaction, order))
        return tuple([check for check in looked if not check.passed])

    def _place(self, books: Books) -> None:
        transaction, prepared, leader = books.transaction, self._prepared, self._leader
        insert_decision(
            transaction, self._decision, verdict=Verdict.PLACED, order_id=prepared.order_id
        )
        outlay = insert_intent(
            transaction, prepared, self._decision, day=books.day_number, leader_id=leader["id"]
        )
        record = self._record
        self._insert_event(
            transaction,
            verdict=CopyVerdict.PLACED,
            reason_code=record.reason_code,
            reason=record.reason,
        )
        self._holding(prepared.order.token_id)["in_flight"] += outlay
        self._follow(transaction, CopyVerdict.PLACED)
        transaction.change(
            _SPENT,
            {
                "of_leader": leader["id"],
                "open_spent": leader["open_spent"] + outlay,
                "day": leader["day"],
                "day_spent": leader["day_spent"] + outlay,
            },
        )
        books.place_order(outlay)

    def _refuse(self, transaction: Transaction, failed: tuple[RiskCheck, ...]) -> None:
        reason = "; ".join(check.detail for check in failed)
        decision = replace(self._decision, checks=(*self._decision.checks, *failed), reason=reason)
        insert_decision(transaction, decision, verdict=Verdict.REFUSED, order_id=None)
        self._insert_event(
            transaction, verdict=CopyVerdict.REFUSED, reason_code=failed[0].name, reason=reason
        )
        self._follow(transaction, CopyVerdict.REFUSED)

    def _insert_event(
        self, transaction: Transaction, *, verdict: CopyVerdict, reason_code: str, reason: str
    ) -> None:
        is_placed = verdict is CopyVerdict.PLACED
        insert_trade(
            transaction,
            self._leader["id"],
            self._record,
            key=self._key,
            verdict=verdict,
            reason_code=reason_code,
            reason=reason,
            order_id=self._prepared.order_id if is_placed else None,
        )

    def _follow(self, transaction: Transaction, verdict: CopyVerdict) -> None:
        follow_leader(self._holding(self._record.trade.token_id), self._record, verdict)
        tokens = {self._record.trade.token_id, self._prepared.order.token_id}
        for token_id in tokens & self._holdings.keys():
            store_holding(transaction, self._holdings[token_id])

    def _holding(self, token_id: str) -> dict[str, Any]:
        if token_id not in self._holdings:
            token = _token_of(self._record.trade, token_id)
            self._holdings[token_id] = new_holding(self._leader["id"], token)
        return self._holdings[token_id]

    def _spending(self) -> LeaderSpending:
        leader, held = self._leader, self._holdings.values()
        in_market = sum(one["our_cost"] + one["in_flight"] for one in held)
        return LeaderSpending(
            leader=self._record.trade.leader,
            day_usdc=usdc_of(leader["day_spent"]),
            open_usdc=usdc_of(leader["open_spent"]),
            market_usdc={self._prepared.order.market.condition_id: usdc_of(in_market)},
        )

    def _position_check(self, transaction: Transaction, order: Order) -> RiskCheck:
        ((selling,),) = transaction.rows(
            _SELLING,
            {
                "condition_id": order.market.condition_id,
                "token_id": order.token_id,
                "leader_id": self._leader["id"],
            },
        )
        held = self._holdings.get(order.token_id)
        free = (0 if held is None else held["our_size"]) - int(selling)
        return RiskCheck(
            name="leader-position",
            passed=micros_down(order.size) <= free,
            detail=f"sells {text_of(order.size)} of {text_of(from_micro(max(free, 0)))} shares "
            "bought through this leader and not promised",
        )


def _state_checks(leader: dict[str, Any], state: TradingState) -> list[RiskCheck]:
    checks = []
    if leader["state"] != LeaderState.ACTIVE:
        detail = f"leader is {leader['state']}: {leader['state_reason']}".removesuffix(": ")
        checks.append(RiskCheck(name="leader-state", passed=False, detail=detail))
    if state is TradingState.HALTED:
        checks.append(RiskCheck(name="trading-state", passed=False, detail="trading is halted"))
    return checks


def _record_trade(
    transaction: Transaction, record: CopyRecord, key: LeaderTradeKey
) -> CopyRecorded:
    trade = record.trade
    leader = look_at_leader(transaction, trade.leader, key)
    if leader is None:
        return _of_stranger(trade)
    if leader["is_known"]:
        return _KNOWN
    insert_trade(
        transaction,
        leader["id"],
        record,
        key=key,
        verdict=record.verdict,
        reason_code=record.reason_code,
        reason=record.reason,
        order_id=record.order_id,
    )
    holding = load_holding(transaction, leader["id"], trade.token_id)
    if holding is None:
        holding = new_holding(leader["id"], _token_of(trade, trade.token_id))
    follow_leader(holding, record, record.verdict)
    store_holding(transaction, holding)
    return _RECORDED


def _of_stranger(trade: LeaderTrade) -> CopyRecorded:
    detail = f"wallet {trade.leader} is not followed"
    check = RiskCheck(name="leader-state", passed=False, detail=detail)
    return CopyRecorded(answer=CopyAnswer.REFUSED, failed=(check,))


def _token_of(trade: LeaderTrade, token_id: str) -> TokenOfMarket:
    return TokenOfMarket(
        token_id=token_id,
        condition_id=trade.condition_id,
        slug=trade.slug,
        seen_at=micros_at(trade.traded_at),
    )
