"""Leader trades: recorded once each, together with the order that copies them."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import func, select, update

from polybot.adapters.storage.books import Books, Store
from polybot.adapters.storage.columns import micros_at, micros_down, usdc_of
from polybot.adapters.storage.copy_events import holds_lease, insert_trade, look_at_leader
from polybot.adapters.storage.copy_standing import CopyStanding, look_before_copy
from polybot.adapters.storage.copy_tables import LEADER_EVENTS
from polybot.adapters.storage.decisions import insert_decision, remember_market
from polybot.adapters.storage.intents import Intent, follow_trade, intent_row, write_intent
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
    CopyLatency,
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
        SELL must be of shares that were bought through this leader. SELLs of a throttled leader
        pass: they sell no more than that.
        """
        order = prepared.order
        if not decision.key == record.decision_key == order.decision_key:
            raise ValueError(f"order is of {order.decision_key}, decision is {decision.key}")
        row = intent_row(Intent(prepared, decision, record))
        with self._database.writing_before_sending() as transaction:
            standing = look_before_copy(transaction, record.trade, order.market, lease)
            books = Books(transaction, prepared.created_at, loaded=standing.account)
            if not standing.is_lease_ours:
                answer = _LOST
            elif standing.leader is None:
                answer = _of_stranger(record.trade)
            elif standing.is_known:
                answer = _KNOWN
            else:
                copy = _Copy(books, order, standing, standing.leader)
                failed = copy.failed(checks, caps)
                if not failed:
                    write_intent(transaction, row)
                    return _RECORDED
                copy.refuse(record, decision, failed)
                answer = CopyRecorded(answer=CopyAnswer.REFUSED, failed=failed)
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

    def record_latencies(self, latencies: Iterable[CopyLatency]) -> None:
        """Note when copies left and when they were answered."""
        with self._database.writing_lean() as transaction:
            for latency in latencies:
                transaction.change(
                    _LATENCY,
                    {
                        "of_key": latency.key,
                        "sent_at": micros_at(latency.sent_at),
                        "acknowledged_at": micros_at(latency.acknowledged_at),
                    },
                )


class _Copy:
    """Everything that may stop one copy, inside its transaction."""

    def __init__(
        self, books: Books, order: Order, standing: CopyStanding, leader: dict[str, Any]
    ) -> None:
        self._books = books
        self._order = order
        self._standing = standing
        self._leader = leader

    def failed(self, checks: LimitChecks, caps: CapChecks) -> tuple[RiskCheck, ...]:
        """Return the checks that failed."""
        books, order, has = self._books, self._order, self._standing.has
        transaction, state = books.transaction, books.trading_state
        totals = account_totals(transaction, books.account, books.day, state, has=has)
        looked = [
            *_state_checks(self._leader, state, order.side),
            *checks(totals, exposure_of(transaction, order.market.condition_id, has=has)),
            *caps(self._spending()),
        ]
        if order.side is Side.SELL:
            looked.append(self._position_check(transaction))
        return tuple([check for check in looked if not check.passed])

    def refuse(self, record: CopyRecord, decision: Decision, failed: tuple[RiskCheck, ...]) -> None:
        """Record the trade as not copied, with the decision that says why."""
        transaction, leader_id = self._books.transaction, self._leader["id"]
        reason = "; ".join([check.detail for check in failed])
        refused = replace(decision, checks=(*decision.checks, *failed), reason=reason)
        remember_market(transaction, self._order.market)
        insert_decision(transaction, refused, verdict=Verdict.REFUSED, order_id=None)
        insert_trade(
            transaction,
            leader_id,
            record,
            key=record.trade.key,
            verdict=CopyVerdict.REFUSED,
            reason_code=failed[0].name,
            reason=reason,
            order_id=None,
        )
        follow_trade(transaction, leader_id, record, CopyVerdict.REFUSED)

    def _spending(self) -> LeaderSpending:
        leader, market = self._leader, self._order.market
        is_today = leader["day"] == self._books.day_number
        in_market = sum([one.our_cost + one.in_flight for one in self._standing.ours])
        return LeaderSpending(
            leader=self._standing.address,
            day_usdc=usdc_of(leader["day_spent"] if is_today else 0),
            open_usdc=usdc_of(leader["open_spent"]),
            market_usdc={market.condition_id: usdc_of(in_market)},
        )

    def _position_check(self, transaction: Transaction) -> RiskCheck:
        order = self._order
        ((selling,),) = transaction.rows(
            _SELLING,
            {
                "condition_id": order.market.condition_id,
                "token_id": order.token_id,
                "leader_id": self._leader["id"],
            },
        )
        held = sum([one.our_size for one in self._standing.ours if one.token_id == order.token_id])
        free = held - int(selling)
        return RiskCheck(
            name="leader-position",
            passed=micros_down(order.size) <= free,
            detail=f"sells {text_of(order.size)} of {text_of(from_micro(max(free, 0)))} shares "
            "bought through this leader and not promised",
        )


def _state_checks(leader: dict[str, Any], state: TradingState, side: Side) -> list[RiskCheck]:
    checks = []
    is_exit_of_throttled = side is Side.SELL and leader["state"] == LeaderState.THROTTLED
    if leader["state"] != LeaderState.ACTIVE and not is_exit_of_throttled:
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
    follow_trade(transaction, leader["id"], record, record.verdict)
    return _RECORDED


def _of_stranger(trade: LeaderTrade) -> CopyRecorded:
    detail = f"wallet {trade.leader} is not followed"
    check = RiskCheck(name="leader-state", passed=False, detail=detail)
    return CopyRecorded(answer=CopyAnswer.REFUSED, failed=(check,))
