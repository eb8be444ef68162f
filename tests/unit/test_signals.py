"""The forecast: symmetric, total, explained."""

import math
import random
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from polybot.domain.signals import Direction, IndicatorValues, StrategyParams
from polybot.indicators import bars_since_cross, compute_indicators, indicator_columns
from polybot.signals import decide_signal
from tests.unit.test_indicators import series_of

PARAMS = StrategyParams()
RISING = IndicatorValues(
    close=96_500.0,
    ema_fast=96_420.5,
    ema_slow=96_400.25,
    rsi=61.2,
    macd=14.0,
    macd_signal=8.0,
    macd_histogram=6.0,
    bars_since_cross=3,
    candle_count=300,
    last_close_s=1_791_241_200,
)
FALLING = replace(
    RISING, ema_fast=96_380.0, rsi=38.8, macd=-14.0, macd_signal=-8.0, macd_histogram=-6.0
)
MIRROR = {
    Direction.UP: Direction.DOWN,
    Direction.DOWN: Direction.UP,
    Direction.HOLD: Direction.HOLD,
}


def test_a_fresh_confirmed_cross_decides() -> None:
    """All three conditions together, in either direction."""
    assert decide_signal(RISING, PARAMS).direction is Direction.UP
    assert decide_signal(FALLING, PARAMS).direction is Direction.DOWN


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"bars_since_cross": 11}, "11 candles ago"),
        ({"bars_since_cross": None}, "no crossover"),
        ({"macd_histogram": 0.0}, "MACD histogram +0"),
        ({"ema_fast": RISING.ema_slow}, "no trend"),
        ({"rsi": math.nan}, "RSI nan"),
        ({"macd_histogram": math.nan}, "MACD histogram +nan"),
        ({"ema_fast": math.nan}, "no trend"),
    ],
)
@pytest.mark.parametrize("values", [RISING, FALLING], ids=["rising", "falling"])
def test_one_missing_condition_holds(
    values: IndicatorValues, change: dict[str, float | None], named: str
) -> None:
    """Nothing decides alone, and the reason names what is missing."""
    signal = decide_signal(replace(values, **change), PARAMS)  # type: ignore[arg-type]
    assert signal.direction is Direction.HOLD
    assert named in signal.reason


def test_an_exhausted_move_holds() -> None:
    """RSI at its bound still decides, beyond it does not."""
    assert decide_signal(replace(RISING, rsi=70.0), PARAMS).direction is Direction.UP
    assert decide_signal(replace(RISING, rsi=70.01), PARAMS).direction is Direction.HOLD
    assert decide_signal(replace(FALLING, rsi=30.0), PARAMS).direction is Direction.DOWN
    assert decide_signal(replace(FALLING, rsi=29.99), PARAMS).direction is Direction.HOLD


def test_an_opposite_confirmation_holds() -> None:
    """A MACD that points the other way never confirms."""
    assert decide_signal(replace(RISING, macd_histogram=-6.0), PARAMS).direction is Direction.HOLD
    assert decide_signal(replace(FALLING, macd_histogram=6.0), PARAMS).direction is Direction.HOLD


def test_the_age_bound_is_inclusive() -> None:
    """A cross of exactly the allowed age counts; age 0 is the last candle itself."""
    assert decide_signal(replace(RISING, bars_since_cross=10), PARAMS).direction is Direction.UP
    strict = replace(PARAMS, cross_max_age=0)
    assert decide_signal(replace(RISING, bars_since_cross=0), strict).direction is Direction.UP
    assert decide_signal(replace(RISING, bars_since_cross=1), strict).direction is Direction.HOLD


def test_the_reason_names_the_values() -> None:
    """A person can check the sentence against the chart."""
    reason = decide_signal(RISING, PARAMS).reason
    for part in ("EMA 9 96420.50", "EMA 21 96400.25", "3 candles ago", "RSI 61.2", "+6"):
        assert part in reason


any_float = st.floats(allow_nan=True, allow_infinity=True)


@settings(max_examples=200, deadline=None)
@given(
    values=st.builds(
        IndicatorValues,
        close=any_float,
        ema_fast=any_float,
        ema_slow=any_float,
        rsi=any_float,
        macd=any_float,
        macd_signal=any_float,
        macd_histogram=any_float,
        bars_since_cross=st.none() | st.integers(min_value=0, max_value=1000),
        candle_count=st.integers(min_value=0, max_value=1000),
        last_close_s=st.integers(min_value=0, max_value=2**33),
    )
)
def test_every_input_gives_a_signal_and_only_true_conditions_trade(values: IndicatorValues) -> None:
    """Total: no value raises, and no value that is not a number trades."""
    signal = decide_signal(values, PARAMS)
    assert signal.reason
    if signal.direction is not Direction.HOLD:
        sign = 1 if signal.direction is Direction.UP else -1
        assert sign * values.macd_histogram > 0
        assert sign * (values.ema_fast - values.ema_slow) > 0
        assert values.rsi <= 70 if sign > 0 else values.rsi >= 30
        assert values.bars_since_cross is not None
        assert values.bars_since_cross <= 10


def random_walk(seed: int) -> list[float]:
    source = random.Random(seed)
    closes = [100.0]
    while len(closes) < 200:
        # Held above 60 so that the reflection around 100 stays positive.
        closes.append(min(140.0, max(60.0, closes[-1] + source.gauss(0, 0.5))))
    return closes


@settings(max_examples=120, deadline=None)
@given(seed=st.integers(min_value=0, max_value=2**32))
def test_mirrored_prices_mirror_the_direction(seed: int) -> None:
    """Reflecting the closes around their first value swaps UP and DOWN."""
    closes = random_walk(seed)
    values = compute_indicators(series_of(closes), PARAMS)
    mirrored = compute_indicators(series_of([2 * closes[0] - close for close in closes]), PARAMS)
    # On the very edge of a condition rounding decides, not the market.
    assume(abs(values.macd_histogram) > 1e-9)
    assume(abs(values.ema_fast - values.ema_slow) > 1e-9)
    assume(min(abs(values.rsi - 70), abs(values.rsi - 30)) > 1e-9)
    assert mirrored.bars_since_cross == values.bars_since_cross
    assert mirrored.rsi == pytest.approx(100 - values.rsi)
    direction = decide_signal(values, PARAMS).direction
    assert decide_signal(mirrored, PARAMS).direction is MIRROR[direction]


def test_random_walks_trade_both_ways() -> None:
    """The mirror test above is not satisfied by holding always."""
    seen = {
        decide_signal(compute_indicators(series_of(random_walk(seed)), PARAMS), PARAMS).direction
        for seed in range(40)
    }
    assert seen == set(Direction)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(min_value=0, max_value=2**32), later=st.integers(1, 20))
def test_the_future_does_not_reach_the_signal(seed: int, later: int) -> None:
    """A candle's signal is the same in a series that ends there and in one that goes on."""
    closes = random_walk(seed)
    then = compute_indicators(series_of(closes[:-later]), PARAMS)
    columns = indicator_columns(tuple(closes), PARAMS)
    known = {name: values[:-later] for name, values in columns.items()}
    looking_back = replace(
        then,
        bars_since_cross=bars_since_cross(known["ema_fast"], known["ema_slow"]),
        **{name: values[-1] for name, values in known.items()},
    )
    assert decide_signal(looking_back, PARAMS) == decide_signal(then, PARAMS)
