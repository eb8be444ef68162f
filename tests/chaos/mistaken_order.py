"""An order that our record holds for refused while it rests at the venue.

It comes about by a venue that answers falsely. Reconciling finds it among the open orders and
cancels it; that is what people are killed at.
"""

from datetime import datetime
from decimal import Decimal

from polybot.bootstrap import Bot
from polybot.domain.markets import MarketSeries, MarketWindow, Outcome
from polybot.domain.money import price, shares, usdc
from polybot.domain.orders import DecisionKey, Order, Side, TimeInForce
from polybot.execution import place
from polybot.reconciliation import reconcile_account
from tests.builders import build_approved, build_decision

_PRICE, _SIZE = Decimal("0.05"), Decimal(5)


async def place_mistaken_order(bot: Bot, series: str, start: datetime) -> None:
    """Rest a small bid far below the market, and hear that it was refused."""
    window = MarketWindow(series=MarketSeries.parse(series), start_s=int(start.timestamp()))
    await reconcile_account(bot.ledger, bot.exchange, bot.account, bot.clock, mode=bot.mode)
    market = await bot.market_data.find_market(window)
    key = DecisionKey(f"mistake:{window.slug}")
    decision = build_decision(
        key=key,
        window=window,
        condition_id=market.condition_id,
        decided_at=await bot.clock.now(),
    )
    bot.ledger.claim_decision(decision)
    order = Order(
        decision_key=key,
        market=market,
        outcome=Outcome.UP,
        side=Side.BUY,
        time_in_force=TimeInForce.GTC,
        limit_price=price(str(_PRICE)),
        size=shares(str(_SIZE)),
        budget_usdc=usdc(str(_PRICE * _SIZE)),
    )
    await place(
        build_approved(order),
        decision,
        exchange=bot.exchange,
        ledger=bot.ledger,
        clock=bot.clock,
        limits=bot.limits,
    )
