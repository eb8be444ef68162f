"""A leader's own caps: how much of a stake they leave, and the checks inside the transaction.

Boundaries: a cap may be reached but not passed. Fees count: caps bound what can leave us.
"""

from collections.abc import Sequence
from decimal import Decimal

from polybot.domain.leaders import CopyPolicy, LeaderSpending
from polybot.domain.money import text_of
from polybot.domain.orders import Order, RiskCheck, Side
from polybot.ports import CapChecks


def caps_of(policy: CopyPolicy, order: Order) -> CapChecks:
    """Return the leader's caps on an order, for the transaction that records its copy.

    A SELL spends nothing: no cap stops one.
    """
    condition_id, outlay, side = order.market.condition_id, order.max_outlay_usdc, order.side

    def look_again(spending: LeaderSpending) -> Sequence[RiskCheck]:
        if side is Side.SELL:
            return (RiskCheck(name="cap-trade", passed=True, detail="a SELL spends nothing"),)
        market = spending.market_usdc.get(condition_id, Decimal(0))
        return (
            _at_most("cap-trade", Decimal(0), order.budget_usdc, policy.max_trade_usdc),
            _at_most("cap-market", market, outlay, policy.max_market_usdc),
            _at_most("cap-leader", spending.open_usdc, outlay, policy.max_leader_usdc),
            _at_most("cap-day", spending.day_usdc, outlay, policy.max_day_usdc),
        )

    return look_again


def _at_most(name: str, spent: Decimal, outlay: Decimal, cap: Decimal) -> RiskCheck:
    return RiskCheck(
        name=name,
        passed=spent + outlay <= cap,
        detail=f"{name}: {text_of(spent)} + {text_of(outlay)} of at most {text_of(cap)} USDC",
    )
