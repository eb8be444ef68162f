"""Orders that the strategy would not make, and limits that bind: more for the bot to get wrong."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any, Final

from polybot import limits
from polybot.domain.markets import Market, Outcome
from polybot.domain.money import ZERO_USDC, Price, Shares, Usdc
from polybot.domain.orders import (
    ApprovedOrder,
    DecisionKey,
    ExpectedFill,
    Order,
    Side,
    TimeInForce,
)

LIMITS: Final = limits.RiskLimits(
    stake_usdc=Decimal(5),
    max_stake_usdc=Decimal(6),
    min_cash_usdc=Decimal(20),
    max_trades_per_day=30,
    max_daily_loss_usdc=Decimal(45),
    max_window_exposure_usdc=Decimal("10.5"),
    max_exposure_usdc=Decimal("17.5"),
    max_spread=Decimal("0.3"),
    max_slippage=Decimal("0.05"),
    min_time_left_s=30,
)


def other_order(
    random: Random,
    market: Market,
    outcome: Outcome,
    *,
    near: Decimal,
    held: Decimal,
    key: DecisionKey,
) -> Order | None:
    """Return an order that the strategy would not make: resting, post-only, or a sale."""
    price = near.quantize(market.tick_size)
    if not market.tick_size <= price <= 1 - market.tick_size:
        return None
    kind = random.choice((TimeInForce.GTC, TimeInForce.GTC, TimeInForce.GTD, TimeInForce.FAK))
    is_sale = held >= 5 and random.random() < 0.6
    size = Decimal(5) if price > Decimal("0.9") else (Decimal(4) / price).quantize(Decimal("0.01"))
    size = max(size, Decimal(5))
    size = min(size, held.quantize(Decimal("0.01"), "ROUND_FLOOR")) if is_sale else size
    if kind is TimeInForce.FAK and not is_sale:
        kind = TimeInForce.GTC
    return Order(
        decision_key=key,
        market=market,
        outcome=outcome,
        side=Side.SELL if is_sale else Side.BUY,
        time_in_force=kind,
        limit_price=Price(price),
        size=Shares(size),
        budget_usdc=ZERO_USDC if is_sale else Usdc(size * price),
        expires_at=market.window.end + timedelta(seconds=120) if kind is TimeInForce.GTD else None,
        is_post_only=kind.rests and random.random() < 0.4,
    )


def limits_of(random: Random) -> limits.RiskLimits:
    """Return limits of which some bind in most hours."""
    return replace(
        LIMITS,
        max_trades_per_day=random.choice((6, 30)),
        max_daily_loss_usdc=Decimal(random.choice((12, 45))),
        min_cash_usdc=Decimal(random.choice((20, 20, 105))),
    )


def approved_order(
    order: Order, own: limits.RiskLimits, totals: Any, exposure: Any, now: datetime
) -> ApprovedOrder | None:
    checks = limits.check_account(limits.demand_of(order), own, totals, exposure, now=now)
    if any(not check.passed for check in checks):
        return None
    expected = ExpectedFill(
        size=order.size,
        average_price=order.limit_price,
        cost_usdc=order.budget_usdc,
        fee_usdc=ZERO_USDC,
        half_spread_usdc=ZERO_USDC,
        break_even=Decimal(order.limit_price),
    )
    return ApprovedOrder(order=order, checks=checks, expected=expected)
