"""Indicators: equal to reference vectors, blind to the future, undefined rather than invented."""

import csv
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polybot.domain.candles import Candle, CandleSeries
from polybot.domain.signals import StrategyParams
from polybot.errors import DataError
from polybot.indicators import bars_since_cross, compute_indicators, indicator_columns
from tests.shared_data import require

PARAMS = StrategyParams()
START_S = 1_791_241_200


def series_of(closes: list[float], *, timeframe_s: int = 60) -> CandleSeries:
    return CandleSeries(
        symbol="BTC/USDT",
        timeframe_s=timeframe_s,
        source="test",
        candles=tuple(
            Candle(
                open_s=START_S + index * timeframe_s,
                open=close,
                high=close,
                low=close,
                close=close,
                volume=1.0,
            )
            for index, close in enumerate(closes)
        ),
    )


def waves(count: int = 300) -> list[float]:
    return [100 + 5 * math.sin(index / 17) + 2 * math.sin(index / 5) for index in range(count)]


def rows_of(name: str) -> list[dict[str, str]]:
    with require("vectors", name).open(newline="") as file:
        return list(csv.DictReader(file))


def test_rsi_equals_the_reference_with_the_recursive_seed() -> None:
    """Every published value of the recursive seed, to the vector's last digit."""
    rows = rows_of("rsi_chartschool.csv")
    rsi = indicator_columns(tuple(float(row["close"]) for row in rows), PARAMS)["rsi"]
    expected = {
        i: float(row["rsi14_ewm_seed"]) for i, row in enumerate(rows) if row["rsi14_ewm_seed"]
    }
    assert len(expected) == 19
    assert {i: rsi[i] for i in expected} == pytest.approx(expected, abs=1e-6)


def test_macd_equals_the_reference() -> None:
    """The MACD line everywhere; its signal line once the lead-in of the vector has died away.

    The vector's signal line begins at the second close, ours at the first MACD that is defined
    (bar 26): 0.8 per bar takes the difference below 1e-6 by bar 85.
    """
    rows = rows_of("macd_reference.csv")
    columns = indicator_columns(tuple(float(row["close"]) for row in rows), PARAMS)
    line = {i: float(rows[i]["macd_ewm_seed"]) for i in range(25, len(rows))}
    assert {i: columns["macd"][i] for i in line} == pytest.approx(line, abs=1e-6)
    settled = range(85, len(rows))
    for name, column in (("macd_signal", "signal_ewm_seed"), ("macd_histogram", "hist_ewm_seed")):
        expected = {i: float(rows[i][column]) for i in settled}
        assert {i: columns[name][i] for i in settled} == pytest.approx(expected, abs=1e-6), name


def test_seeds_are_forgotten_after_the_warm_up() -> None:
    """TA-Lib seeds with a simple average; from the warm-up on the two agree on real candles.

    Tolerances: 1e-7 of the price for EMA and MACD (a cent at 100,000 USD), 1e-3 points of RSI.
    """
    rows = rows_of("talib_btc_15m_2024-12-01_03.csv")
    columns = indicator_columns(tuple(float(row["close"]) for row in rows), PARAMS)
    names = {
        "ema_fast": "ema9",
        "ema_slow": "ema21",
        "macd": "macd",
        "macd_signal": "macd_signal",
        "macd_histogram": "macd_hist",
    }
    settled = range(PARAMS.warm_up_count - 1, len(rows))
    assert len(settled) > 100
    for i in settled:
        close = float(rows[i]["close"])
        for ours, theirs in names.items():
            assert columns[ours][i] == pytest.approx(float(rows[i][theirs]), abs=1e-7 * close), ours
        assert columns["rsi"][i] == pytest.approx(float(rows[i]["rsi14"]), abs=1e-3)


def test_the_lead_in_is_undefined_not_invented() -> None:
    """No value is made up before there are enough candles for it."""
    columns = indicator_columns(tuple(waves(60)), PARAMS)
    first = {
        name: next(i for i, value in enumerate(values) if not math.isnan(value))
        for name, values in columns.items()
    }
    assert first["ema_fast"] == 8
    assert first["ema_slow"] == 20
    assert first["macd"] == 25
    assert first["macd_signal"] == 33
    assert first["macd_histogram"] == 33


def test_the_last_candle_is_what_is_reported() -> None:
    """Close, count and closing time are those of the newest candle."""
    values = compute_indicators(series_of(waves()), PARAMS)
    columns = indicator_columns(tuple(waves()), PARAMS)
    assert values.close == waves()[-1]
    assert values.candle_count == 300
    assert values.last_close_s == START_S + 300 * 60
    assert values.rsi == columns["rsi"][-1]
    assert values.macd_histogram == pytest.approx(values.macd - values.macd_signal)


def test_flat_candles_are_refused() -> None:
    """RSI of equal closes is 0/0; nothing is decided on it."""
    with pytest.raises(DataError) as caught:
        compute_indicators(series_of([100.0] * 300), PARAMS)
    assert caught.value.reason == "candles-flat"


def test_too_few_candles_are_refused() -> None:
    """One candle short of the warm-up is too few, the warm-up itself is enough."""
    with pytest.raises(DataError) as caught:
        compute_indicators(series_of(waves(PARAMS.warm_up_count - 1)), PARAMS)
    assert caught.value.reason == "warm-up"
    assert compute_indicators(series_of(waves(PARAMS.warm_up_count)), PARAMS).candle_count == 175


def test_candles_of_another_length_are_refused() -> None:
    """Five-minute candles never feed a one-minute strategy."""
    with pytest.raises(DataError) as caught:
        compute_indicators(series_of(waves(), timeframe_s=300), PARAMS)
    assert caught.value.reason == "candles-timeframe"


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_are_refused(
    bad: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the library returns, only numbers leave the module."""

    def broken(closes: tuple[float, ...], params: StrategyParams) -> dict[str, list[float]]:
        return indicator_columns(closes, params) | {"macd_signal": [bad] * len(closes)}

    monkeypatch.setattr("polybot.indicators.indicator_columns", broken)
    with pytest.raises(DataError) as caught:
        compute_indicators(series_of(waves()), PARAMS)
    assert caught.value.reason == "indicators-undefined"


@pytest.mark.parametrize("size", [1e-300, 1e300])
def test_absurd_magnitudes_stay_finite(size: float) -> None:
    """Prices at the edges of floating point neither overflow nor crash."""
    closes = [size * (1 + (index % 7) / 10) for index in range(300)]
    values = compute_indicators(series_of(closes), PARAMS)
    numbers = [value for value in values.as_dict().values() if value is not None]
    assert all(math.isfinite(value) for value in numbers)


def test_only_rises_give_an_rsi_of_100() -> None:
    """No loss at all is the strongest rise, not an undefined one."""
    values = compute_indicators(series_of([100.0 + index for index in range(300)]), PARAMS)
    assert values.rsi == 100
    assert values.bars_since_cross is None


@pytest.mark.parametrize(
    ("fast", "slow", "expected"),
    [
        ([1, 3], [2, 2], 0),
        ([1, 3, 3], [2, 2, 2], 1),
        ([3, 3, 3], [2, 2, 2], None),
        ([3, 2, 3], [2, 2, 2], None),
        ([1, 2, 3], [2, 2, 2], 0),
        ([1, 3, 2], [2, 2, 2], 1),
        ([1, 2, 2], [2, 2, 2], None),
        ([2, 2, 3], [2, 2, 2], None),
        ([math.nan, 3, 1, 1, 1], [math.nan, 2, 2, 2, 2], 2),
        ([1, 3, 2.0000000000000004], [2, 2, 2], 1),
        ([1, 3, 1.9999999999999998], [2, 2, 2], 1),
    ],
)
def test_a_cross_is_a_change_of_side(
    fast: list[float], slow: list[float], expected: int | None
) -> None:
    """Ties and rounding noise are no crosses; the side before them counts."""
    assert bars_since_cross(fast, slow) == expected


closes_lists = st.lists(
    st.floats(min_value=90, max_value=110, allow_nan=False), min_size=60, max_size=120
)


@settings(max_examples=40, deadline=None)
@given(closes=closes_lists, more=closes_lists)
def test_later_candles_change_no_earlier_value(closes: list[float], more: list[float]) -> None:
    """No look-ahead: the past is the same whether or not the future is known."""
    alone = indicator_columns(tuple(closes), PARAMS)
    followed = indicator_columns(tuple(closes + more), PARAMS)
    for name, values in alone.items():
        assert followed[name][: len(closes)] == pytest.approx(values, abs=1e-9, nan_ok=True), name


@settings(max_examples=40, deadline=None)
@given(closes=closes_lists, factor=st.sampled_from([0.001, 0.5, 1000.0]))
def test_the_price_unit_does_not_matter(closes: list[float], factor: float) -> None:
    """A coin quoted in cents gives the same RSI, and everything else in cents."""
    plain = indicator_columns(tuple(closes), PARAMS)
    scaled = indicator_columns(tuple(close * factor for close in closes), PARAMS)
    assert scaled["rsi"] == pytest.approx(plain["rsi"], abs=1e-6, nan_ok=True)
    expected = [value * factor for value in plain["macd"]]
    assert scaled["macd"] == pytest.approx(expected, abs=1e-9 * factor, nan_ok=True)
