"""A leader's own caps: how much of a stake they leave, and the checks inside the transaction.

Boundaries: a cap may be reached but not passed. Fees count: caps bound what can leave us.
"""

from collections.abc import Sequence
from decimal import ROUND_FLOOR, Decimal
from typing import Final

from polybot.copy_trading.reasons import ReasonCode
from polybot.domain.leaders import CopyPolicy, LeaderSpending
from polybot.domain.markets import Market
from polybot.domain.money import MICRO, text_of
from polybot.domain.orders import Order, RiskCheck, Side
from polybot.limits import RiskLimits
from polybot.ports import CapChecks

ZERO: Final = Decimal(0)
# What ``max_buy_fee`` adds for the rounding of fees [USDC].
FEE_MARGIN: Final = Decimal("0.01")


def caps_of(policy: CopyPolicy, order: Order) -> CapChecks:
    """Return the leader's caps on an order, for the transaction that records its copy.

    A SELL spends nothing: no cap stops one. The answer is the failed checks alone: the order
    waits for it, and sentences take time.
    """

    def look_again(spending: LeaderSpending) -> Sequence[RiskCheck]:
        if order.side is Side.SELL:
            return ()
        outlay = order.max_outlay_usdc
        market = spending.market_usdc.get(order.market.condition_id, ZERO)
        looks = (
            ("cap-trade", ZERO, order.budget_usdc, policy.max_trade_usdc),
            ("cap-market", market, outlay, policy.max_market_usdc),
            ("cap-leader", spending.open_usdc, outlay, policy.max_leader_usdc),
            ("cap-day", spending.day_usdc, outlay, policy.max_day_usdc),
        )
        return [_passed_by(*look) for look in looks if look[1] + look[2] > look[3]]

    return look_again


def room_for(
    market: Market, policy: CopyPolicy, limits: RiskLimits, spending: LeaderSpending | None
) -> tuple[Decimal, ReasonCode, Decimal]:
    """Return the largest budget that the caps leave for a BUY, without its fee [USDC].

    Args:
        market: What is bought; its fee schedule tells what must be kept for the fee.
        policy: The leader's policy.
        limits: The operator's limits, of which the one on a single order's stake is a cap too.
        spending: The leader's totals; ``None``: only the caps on one order are known here.

    Returns:
        The budget, not rounded and perhaps below 0; the tightest cap's name; and that cap.
    """
    room, code, cap = policy.max_trade_usdc, ReasonCode.CAP_TRADE, policy.max_trade_usdc
    if limits.max_stake_usdc < room:
        room, code, cap = limits.max_stake_usdc, ReasonCode.CAP_STAKE, limits.max_stake_usdc
    if spending is None:
        return room, code, cap
    spent_in_market = spending.market_usdc.get(market.condition_id, ZERO)
    for spent, limit, name in (
        (spent_in_market, policy.max_market_usdc, ReasonCode.CAP_MARKET),
        (spending.open_usdc, policy.max_leader_usdc, ReasonCode.CAP_LEADER),
        (spending.day_usdc, policy.max_day_usdc, ReasonCode.CAP_DAY),
    ):
        # Rates are at most 1: where twice the room is left, so is the room with its fee.
        if limit - spent < 2 * room + FEE_MARGIN:
            left = _without_fee(limit - spent, market)
            if left < room:
                room, code, cap = left, name, limit
    return room, code, cap


def _without_fee(outlay: Decimal, market: Market) -> Decimal:
    # The inverse of ``max_buy_fee``; the division may round up, the cent grid takes it back.
    rate = market.fees.rate
    if rate == 0:
        return outlay
    return ((outlay - FEE_MARGIN) / (1 + rate)).quantize(MICRO, ROUND_FLOOR)


def _passed_by(name: str, spent: Decimal, outlay: Decimal, cap: Decimal) -> RiskCheck:
    return RiskCheck(
        name=name,
        passed=False,
        detail=f"{name}: {text_of(spent)} + {text_of(outlay)} of at most {text_of(cap)} USDC",
    )
