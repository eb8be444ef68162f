"""What is handed on of a copy's decision: order, decision and record, all with their reason."""

from decimal import Decimal
from typing import Final

from polybot.copy_trading.guards import Refusal
from polybot.copy_trading.reasons import ReasonCode
from polybot.copy_trading.situation import CopyOrder, CopySituation, CopySkip
from polybot.copy_trading.sizing import has_lapsed
from polybot.domain.decisions import Decision, Verdict, summarise_book
from polybot.domain.leaders import (
    CopyRecord,
    CopyVerdict,
    LeaderHolding,
    LeaderTrade,
    Sizing,
    SmallCopies,
)
from polybot.domain.orders import ApprovedOrder, Order, RiskCheck, Side

ZERO: Final = Decimal(0)


def place(
    trade: LeaderTrade,
    situation: CopySituation,
    order: Order,
    checks: tuple[RiskCheck, ...],
    *,
    follows_conversion: bool = False,
) -> CopyOrder:
    """Return the order with the record and the decision that go with it."""
    market, book = order.market, situation.book
    reason = _sentence(trade, order, situation)
    decision = Decision(
        key=order.decision_key,
        strategy=f"copy:{trade.leader}",
        window=market.window,
        verdict=Verdict.PLACED,
        reason=reason,
        decided_at=situation.now,
        run_name=situation.run_name,
        condition_id=market.condition_id,
        question=market.question,
        checks=checks,
        book=None if book is None else summarise_book(book, limit_price=order.limit_price),
    )
    record = CopyRecord(
        trade=trade,
        verdict=CopyVerdict.PLACED,
        reason_code="",
        reason=reason,
        decided_at=situation.now,
        decision_key=order.decision_key,
        follows_conversion=follows_conversion,
    )
    approved = ApprovedOrder(order=order, checks=checks)
    return CopyOrder(approved=approved, decision=decision, record=record)


def _sentence(trade: LeaderTrade, order: Order, situation: CopySituation) -> str:
    ours = f"{order.budget_usdc!s} USDC" if order.side is Side.BUY else f"{order.size!s} shares"
    return (
        f"{situation.leader.name}: {trade.side} {trade.size!s} at {trade.price!s}; ours: "
        f"{order.side} {ours} at {order.limit_price!s} or better"
    )


def wait_for_more(
    trade: LeaderTrade,
    situation: CopySituation,
    sentence: str,
    *,
    stake: Decimal = ZERO,
    size: Decimal = ZERO,
    follows_conversion: bool = False,
) -> CopySkip:
    """Return the record of a copy too small alone, which waits or not, as the policy says."""
    policy, holding = situation.leader.policy, situation.holding
    if policy.small_copies is SmallCopies.SKIP:
        refusal = ReasonCode.BELOW_MINIMUM, sentence
        return skip(trade, situation, refusal, follows_conversion=follows_conversion)
    lapsed = holding is not None and has_lapsed(holding, situation)
    record = CopyRecord(
        trade=trade,
        verdict=CopyVerdict.ACCUMULATED,
        reason_code=ReasonCode.ACCUMULATED,
        reason=sentence,
        decided_at=situation.now,
        # A position target remembers by itself what is missing.
        accumulate_usdc=ZERO if policy.sizing is Sizing.POSITION_TARGET else stake,
        accumulate_size=size,
        clears_pending=lapsed or _turns_round(trade, holding),
        follows_conversion=follows_conversion,
    )
    return CopySkip(record=record)


def skip(
    trade: LeaderTrade,
    situation: CopySituation,
    refusal: Refusal,
    *,
    follows_conversion: bool = False,
) -> CopySkip:
    """Return the record of a trade that is not copied."""
    code, sentence = refusal
    record = CopyRecord(
        trade=trade,
        verdict=CopyVerdict.SKIPPED,
        reason_code=code,
        reason=sentence,
        decided_at=situation.now,
        clears_pending=_turns_round(trade, situation.holding),
        follows_conversion=follows_conversion,
    )
    return CopySkip(record=record, must_throttle=code is ReasonCode.THROTTLED)


def _turns_round(trade: LeaderTrade, holding: LeaderHolding | None) -> bool:
    """Return whether the trade is the opposite of what is pending."""
    if holding is None:
        return False
    pending = holding.pending_usdc if trade.side is Side.SELL else holding.pending_size
    return pending > 0


def age_check(trade: LeaderTrade, situation: CopySituation) -> RiskCheck:
    """Return how late the copy is, which was within the limit."""
    age_s = (situation.now - trade.traded_at).total_seconds()
    return passed("age", f"{age_s:.3f} s since the leader's fill")


def passed(name: str, detail: str) -> RiskCheck:
    """Return a check that passed; those that fail never come this far."""
    return RiskCheck(name=name, passed=True, detail=detail)
