"""Indicators of the closed candles."""

from prefect import task

from polybot.bootstrap import Bot
from polybot.domain.candles import CandleSeries
from polybot.domain.signals import IndicatorValues
from polybot.indicators import compute_indicators
from tasks.policies import PURE


@task(name="indicators", **PURE)
async def indicators(bot: Bot, candles: CandleSeries) -> IndicatorValues:
    """Compute EMA, RSI and MACD at the last closed candle."""
    return compute_indicators(candles, bot.strategy)
