"""Candles of any length, put together from the minutes of a price source."""

from collections.abc import Iterator

from polybot.domain.candles import Candle
from polybot.sandbox.prices import MINUTE_S, PriceSource


def candle_at(
    prices: PriceSource, asset: str, open_s: int, timeframe_s: int, at_s: int
) -> Candle | None:
    """Return one candle as an exchange shows it at ``at_s``; ``None`` where there was no trade."""
    minutes = [
        minute
        for start_s in range(open_s, min(open_s + timeframe_s, at_s + 1), MINUTE_S)
        if (minute := prices.minute_candle(asset, start_s, at_s)) is not None
    ]
    if not minutes:
        return None
    return Candle(
        open_s=open_s,
        open=minutes[0].open,
        high=max(minute.high for minute in minutes),
        low=min(minute.low for minute in minutes),
        close=minutes[-1].close,
        volume=round(sum(minute.volume for minute in minutes), 5),
    )


def candles_from(
    prices: PriceSource, asset: str, *, timeframe_s: int, first_s: int, last_s: int, at_s: int
) -> Iterator[Candle]:
    """Yield candles that open in ``[first_s, last_s]`` and not after ``at_s``, oldest first."""
    start = -(-first_s // timeframe_s) * timeframe_s
    for open_s in range(start, min(last_s, at_s) + 1, timeframe_s):
        candle = candle_at(prices, asset, open_s, timeframe_s, at_s)
        if candle is not None:
            yield candle
