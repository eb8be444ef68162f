"""The forecast: an EMA crossover that is fresh, not exhausted (RSI) and confirmed (MACD).

Pure and total: the same values always give the same signal, and every input gives one.
"""

from polybot.domain.signals import Direction, IndicatorValues, Signal, StrategyParams


def decide_signal(values: IndicatorValues, params: StrategyParams) -> Signal:
    """Return UP, DOWN or HOLD with the sentence that justifies it.

    UP needs all of: the fast EMA above the slow one, having crossed at most
    ``params.cross_max_age`` closed candles ago; RSI at most ``params.rsi_upper``; MACD above its
    signal line. DOWN is the mirror image. Everything else is HOLD, and so is a value that is not
    a number.
    """
    if values.ema_fast > values.ema_slow:
        return _side(values, params, Direction.UP)
    if values.ema_fast < values.ema_slow:
        return _side(values, params, Direction.DOWN)
    return Signal(
        direction=Direction.HOLD,
        reason=f"no trend: EMA {params.fast} {_number(values.ema_fast)} is not apart from "
        f"EMA {params.slow} {_number(values.ema_slow)}",
    )


def _side(values: IndicatorValues, params: StrategyParams, side: Direction) -> Signal:
    is_up = side is Direction.UP
    trend = (
        f"EMA {params.fast} {_number(values.ema_fast)} {'above' if is_up else 'below'} "
        f"EMA {params.slow} {_number(values.ema_slow)}"
    )
    looks = (_age(values, params), _rsi(values, params, side), _macd(values, side))
    objections = tuple(text for text in looks if text)
    if objections:
        return Signal(direction=Direction.HOLD, reason=f"{trend}, but {' and '.join(objections)}")
    bound = f"at most {params.rsi_upper:g}" if is_up else f"at least {params.rsi_lower:g}"
    return Signal(
        direction=side,
        reason=f"{trend}, crossed {_ago(values.bars_since_cross or 0)}, "
        f"RSI {values.rsi:.1f} is {bound}, "
        f"MACD histogram {_number(values.macd_histogram, signed=True)}",
    )


def _age(values: IndicatorValues, params: StrategyParams) -> str:
    age = values.bars_since_cross
    if age is None:
        return f"no crossover in {values.candle_count} candles"
    if age > params.cross_max_age:
        return f"crossed {_ago(age)}, more than {params.cross_max_age}"
    return ""


def _rsi(values: IndicatorValues, params: StrategyParams, side: Direction) -> str:
    # Written so that NaN fails: a comparison with it is always false.
    if side is Direction.UP:
        if values.rsi <= params.rsi_upper:
            return ""
        return f"RSI {values.rsi:.1f} is not at most {params.rsi_upper:g}"
    if values.rsi >= params.rsi_lower:
        return ""
    return f"RSI {values.rsi:.1f} is not at least {params.rsi_lower:g}"


def _macd(values: IndicatorValues, side: Direction) -> str:
    histogram = values.macd_histogram
    if (histogram > 0) if side is Direction.UP else (histogram < 0):
        return ""
    wanted = "above" if side is Direction.UP else "below"
    return f"MACD histogram {_number(histogram, signed=True)} is not {wanted} 0"


def _ago(count: int) -> str:
    if count == 0:
        return "at the last candle"
    return "1 candle ago" if count == 1 else f"{count} candles ago"


def _number(value: float, *, signed: bool = False) -> str:
    # Cents for a BTC of 100,000 USD, six significant digits for an XRP of 0.5 USD.
    sign = "+" if signed else ""
    return f"{value:{sign}.2f}" if abs(value) >= 1000 else f"{value:{sign}.6g}"
