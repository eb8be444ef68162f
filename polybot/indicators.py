"""EMA, RSI and MACD of closed candles, by the ``ta`` package.

Every smoothing is recursive from the first candle given (pandas' ``ewm(adjust=False)``): the
EMAs start at the first close, RSI's averages start at zero change, and the MACD's signal line
starts at the first MACD value that is defined. Libraries that seed with a simple average (TA-Lib,
ChartSchool) differ at the beginning and agree once the warm-up has passed, which is why fewer
candles than ``StrategyParams.warm_up_count`` are refused. Nothing here is filled in: an undefined
value is an error, never a default.

pandas and ta take half a second to import, so they are imported where they are used.
"""

import math

from polybot.domain.candles import CandleSeries
from polybot.domain.signals import IndicatorValues, StrategyParams
from polybot.errors import DataError

__all__ = ["StrategyParams", "compute_indicators"]

Columns = dict[str, list[float]]
"""Indicator values by name, one per candle, oldest first; NaN where not yet defined."""

# Two EMAs that meet on a quiet market differ by rounding only (10⁻¹⁶ of the price each); so
# small a difference has no sign.
TIE: float = 1e-12


def compute_indicators(candles: CandleSeries, params: StrategyParams) -> IndicatorValues:
    """Return the indicators at the last closed candle.

    Args:
        candles: Closed candles, oldest first; at least ``params.warm_up_count`` of them.
        params: Periods [candles].

    Raises:
        DataError: Reason ``candles-timeframe`` (candles of another length than configured),
            ``warm-up`` (too few), ``candles-flat`` (all closes are equal: RSI would be 0/0) or
            ``indicators-undefined`` (a value is not finite).
    """
    closes = candles.closes
    _require_usable(candles, params)
    columns = indicator_columns(closes, params)
    last = {name: values[-1] for name, values in columns.items()}
    if not all(math.isfinite(value) for value in last.values()):
        raise DataError(
            f"indicators of {candles.symbol} are not finite: {last}", reason="indicators-undefined"
        )
    return IndicatorValues(
        close=closes[-1],
        ema_fast=last["ema_fast"],
        ema_slow=last["ema_slow"],
        rsi=last["rsi"],
        macd=last["macd"],
        macd_signal=last["macd_signal"],
        macd_histogram=last["macd_histogram"],
        bars_since_cross=bars_since_cross(columns["ema_fast"], columns["ema_slow"]),
        candle_count=len(closes),
        last_close_s=candles.candles[-1].open_s + candles.timeframe_s,
    )


def indicator_columns(closes: tuple[float, ...], params: StrategyParams) -> Columns:
    """Return every indicator at every candle, oldest first.

    A value depends only on the closes up to its own candle. The lead-in is NaN: the first
    ``slow − 1`` of an EMA, ``macd_slow + macd_signal − 2`` of the histogram.

    Source: ta 0.11.0, ``ta.trend`` and ``ta.momentum`` (2026-11-22).
    """
    import pandas as pd  # noqa: PLC0415 - see the module's docstring
    from ta.momentum import RSIIndicator  # noqa: PLC0415
    from ta.trend import MACD, EMAIndicator  # noqa: PLC0415

    close = pd.Series(closes, dtype="float64")
    # fillna=True would invent an RSI of 100 and a MACD of 0 at the start.
    macd = MACD(
        close,
        window_slow=params.macd_slow,
        window_fast=params.macd_fast,
        window_sign=params.macd_signal,
        fillna=False,
    )
    series = {
        "ema_fast": EMAIndicator(close, window=params.fast, fillna=False).ema_indicator(),
        "ema_slow": EMAIndicator(close, window=params.slow, fillna=False).ema_indicator(),
        "rsi": RSIIndicator(close, window=params.rsi_period, fillna=False).rsi(),
        "macd": macd.macd(),
        "macd_signal": macd.macd_signal(),
        "macd_histogram": macd.macd_diff(),
    }
    return {name: [float(value) for value in values] for name, values in series.items()}


def bars_since_cross(fast: list[float], slow: list[float]) -> int | None:
    """Return how many closed candles ago the fast EMA changed its side of the slow one.

    0 means at the last candle, ``None`` never. A tie is no cross: while it lasts the side before
    it counts, and a return to that side is no cross either.
    """
    side = 0
    crossed_at: int | None = None
    for index, (a, b) in enumerate(zip(fast, slow, strict=True)):
        if math.isnan(a) or math.isnan(b) or abs(a - b) <= TIE * abs(b):
            continue
        now = 1 if a > b else -1
        if side and now != side:
            crossed_at = index
        side = now
    return None if crossed_at is None else len(fast) - 1 - crossed_at


def _require_usable(candles: CandleSeries, params: StrategyParams) -> None:
    closes = candles.closes
    if candles.timeframe_s != params.timeframe_s:
        raise DataError(
            f"candles of {candles.symbol} last {candles.timeframe_s} s, "
            f"the strategy needs {params.timeframe_s} s",
            reason="candles-timeframe",
        )
    if len(closes) < params.warm_up_count:
        raise DataError(
            f"{len(closes)} closed candles of {candles.symbol}, "
            f"the indicators need {params.warm_up_count} to warm up",
            reason="warm-up",
        )
    if min(closes) == max(closes):
        raise DataError(
            f"all {len(closes)} closes of {candles.symbol} are {closes[0]:g}: no trend is defined",
            reason="candles-flat",
        )
