"""Reading what a decision needs."""

import asyncio
from dataclasses import dataclass

from prefect import task

from polybot.bootstrap import Bot
from polybot.domain.books import OrderBook
from polybot.domain.candles import CandleSeries
from polybot.domain.markets import Market, MarketWindow, Outcome
from polybot.domain.signals import Signal
from polybot.settlement import mark_open_positions
from tasks.policies import READ


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowFacts:
    """What was known when a window was decided."""

    candles: CandleSeries
    market: Market
    books: dict[Outcome, OrderBook]

    def book_for(self, forecast: Signal) -> OrderBook:
        """Return the book of the token that the forecast would buy."""
        outcome = forecast.direction.outcome
        if outcome is None:
            raise ValueError("a HOLD buys nothing")
        return self.books[outcome]


@task(name="fetch", task_run_name="fetch {window.slug}", **READ)
async def fetch(bot: Bot, window: MarketWindow) -> WindowFacts:
    """Read the closed candles that end at the window's start, its market and both books."""
    candles, market = await asyncio.gather(
        bot.prices.closed_candles(
            window.series.asset,
            timeframe_s=bot.strategy.timeframe_s,
            end=window.start,
            count=bot.strategy.candle_count,
        ),
        bot.market_data.find_market(window),
    )
    up, down, _ = await asyncio.gather(
        bot.market_data.order_book(market.token_ids[Outcome.UP]),
        bot.market_data.order_book(market.token_ids[Outcome.DOWN]),
        mark_open_positions(bot.ledger, bot.market_data, at=await bot.clock.now()),
    )
    return WindowFacts(candles=candles, market=market, books={Outcome.UP: up, Outcome.DOWN: down})
