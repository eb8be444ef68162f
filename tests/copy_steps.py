"""Steps that tests take on a ledger's copies: follow, copy, skip; a test names what matters."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from polybot.domain.decisions import Decision, Verdict
from polybot.domain.leaders import (
    CopyRecord,
    CopyRecorded,
    CopyVerdict,
    LeaderAddress,
    LeaderHolding,
    LeaderSpending,
    LeaderTrade,
    Lease,
)
from polybot.domain.markets import Outcome
from polybot.domain.orders import DecisionKey, OrderId, PreparedOrder, RiskCheck, Side
from polybot.ports import CapChecks, CopyLedger, LimitChecks
from tests.builders import NOW, build_order
from tests.copy_builders import LEADER, build_leader, build_trade
from tests.ledger_steps import allow_all, market_number

LEASE_NAME = "copy-trading"
OTHER_LEADER = LeaderAddress("0x" + "12" * 20)
OUTLAY = Decimal("5.36")
"""5 USDC, 7 % of it and a cent for the fee."""


def no_caps(_spending: LeaderSpending) -> Sequence[RiskCheck]:
    """Let every copy pass its leader's caps."""
    return ()


def take_lease(
    ledger: CopyLedger, holder: str = "loop-1", *, at: datetime = NOW, ttl_s: float = 30
) -> Lease:
    """Take the lease of copy trading, which must be free."""
    lease = ledger.acquire_lease(LEASE_NAME, holder, ttl_s=ttl_s, at=at)
    assert lease is not None
    return lease


def follow(ledger: CopyLedger, leader: LeaderAddress = LEADER, **changes: Any) -> Lease:
    """Follow a leader and take the lease."""
    assert ledger.add_leader(build_leader(address=leader, **changes))
    return take_lease(ledger)


def leader_trade(
    number: int = 0,
    side: Side = Side.BUY,
    size: str = "200",
    *,
    outcome: Outcome = Outcome.UP,
    tx: int = 0,
    **changes: Any,
) -> LeaderTrade:
    """Return a leader's trade in a numbered market; ``tx`` tells several apart."""
    market = market_number(number)
    values: dict[str, Any] = {
        "transaction_hash": f"0x{tx:064x}",
        "token_id": market.token_ids[outcome],
        "condition_id": market.condition_id,
        "slug": market.slug,
    }
    return build_trade(side, size=size, **{**values, **changes})


def a_record(
    trade: LeaderTrade, verdict: CopyVerdict = CopyVerdict.SKIPPED, **changes: Any
) -> CopyRecord:
    """Return a record of a trade that is not copied."""
    values: dict[str, Any] = {
        "trade": trade,
        "verdict": verdict,
        "reason_code": "too-old",
        "reason": "12.5 s old of at most 10 s",
        "decided_at": NOW,
    }
    return CopyRecord(**{**values, **changes})


def a_copy(
    trade: LeaderTrade, number: int = 0, **order_changes: Any
) -> tuple[CopyRecord, PreparedOrder, Decision]:
    """Return a trade's record with its order, by default for 5 USDC or 10 shares."""
    market = market_number(number)
    key = DecisionKey(f"copy:{trade.key}")
    order = build_order(
        trade.side,
        market=market,
        decision_key=key,
        outcome=market.outcome_of(trade.token_id),
        **order_changes,
    )
    order_id = OrderId(f"id:{key}")
    prepared = PreparedOrder(order_id=order_id, order=order, created_at=NOW)
    record = CopyRecord(
        trade=trade,
        verdict=CopyVerdict.PLACED,
        reason_code="",
        reason="whale bought; so do we",
        decided_at=NOW,
        decision_key=key,
        order_id=order_id,
    )
    decision = Decision(
        key=key,
        strategy=f"copy:{trade.leader}",
        window=market.window,
        verdict=Verdict.PLACED,
        reason=record.reason,
        decided_at=NOW,
        run_name="copy-trading",
        condition_id=market.condition_id,
        question=market.question,
    )
    return record, prepared, decision


def copy(
    ledger: CopyLedger,
    lease: Lease,
    trade: LeaderTrade,
    number: int = 0,
    *,
    checks: LimitChecks = allow_all,
    caps: CapChecks = no_caps,
    at: datetime = NOW,
    **order_changes: Any,
) -> tuple[CopyRecorded, OrderId]:
    """Record a trade with the order that copies it."""
    record, prepared, decision = a_copy(trade, number, **order_changes)
    prepared = replace(prepared, created_at=at)
    recorded = ledger.record_copy(record, prepared, decision, checks=checks, caps=caps, lease=lease)
    return recorded, prepared.order_id


def held(
    ledger: CopyLedger, trade: LeaderTrade, leader: LeaderAddress | None = None
) -> LeaderHolding | None:
    """Return the holding that a trade is about."""
    found = ledger.holdings(leader or trade.leader)
    return next((one for one in found if one.token_id == trade.token_id), None)
