"""Candles: closed bars of a reference price, for signals only and never for settlements.

Floats are right here: nothing in this module is money.
"""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Candle:
    """One closed bar; prices in USD(T) per coin, volume in coins."""

    open_s: int
    """Epoch second at which the bar opens."""
    open: float
    high: float
    low: float
    close: float
    volume: float

    def __post_init__(self) -> None:
        """Refuse impossible candles."""
        values = (self.open, self.high, self.low, self.close, self.volume)
        if not all(math.isfinite(value) for value in values):
            raise ValueError(f"candle {self.open_s} has a value that is not finite: {values}")
        if min(values[:4]) <= 0 or self.volume < 0:
            raise ValueError(f"candle {self.open_s} has a price that is not positive: {values}")
        if self.high < max(self.open, self.close) or self.low > min(self.open, self.close):
            raise ValueError(f"candle {self.open_s} has high or low inside its body: {values}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CandleSeries:
    """Consecutive closed candles, oldest first, without a gap."""

    symbol: str
    """ccxt's symbol, e.g. ``BTC/USDT``."""
    timeframe_s: int
    source: str
    """The exchange that answered."""
    candles: tuple[Candle, ...]

    def __post_init__(self) -> None:
        """Refuse gaps, duplicates and disorder."""
        if not self.candles:
            raise ValueError(f"no candles of {self.symbol}")
        start = self.candles[0].open_s
        for index, candle in enumerate(self.candles):
            if candle.open_s != start + index * self.timeframe_s:
                raise ValueError(
                    f"candles of {self.symbol} have a gap or a duplicate at {candle.open_s}"
                )

    @property
    def end(self) -> datetime:
        """The instant at which the last candle closed."""
        last = datetime.fromtimestamp(self.candles[-1].open_s, UTC)
        return last + timedelta(seconds=self.timeframe_s)

    @property
    def closes(self) -> tuple[float, ...]:
        """Closing prices, oldest first."""
        return tuple(candle.close for candle in self.candles)
