"""The generated walk, and the rule that turns it into outcomes."""

import math
import statistics
from collections.abc import Sequence
from itertools import pairwise

import pytest

from polybot.domain.candles import Candle
from polybot.domain.markets import Outcome
from polybot.sandbox.prices import ASSET_MODELS, DAY_S, ORIGIN_S, GeneratedPrices
from polybot.sandbox.venue import SandboxVenue
from tests.sandbox.conftest import SLUG, START_S


class StepPrices:
    """A price source whose opening and closing averages the test chooses."""

    def __init__(self, opening: float, closing: float) -> None:
        """Take the price before and from the window's start."""
        self.opening, self.closing = opening, closing

    @property
    def assets(self) -> Sequence[str]:
        return ("btc",)

    def known_at(self, at_s: int) -> int:
        return at_s

    def spot(self, asset: str, second: int) -> float:
        return self.opening if second < START_S else self.closing

    def mean(self, asset: str, start_s: int, end_s: int) -> float:
        return math.fsum(self.spot(asset, second) for second in range(start_s, end_s)) / (
            end_s - start_s
        )

    def volatility(self, asset: str, at_s: int) -> float:
        return 1e-4

    def minute_candle(self, asset: str, open_s: int, at_s: int) -> Candle | None:
        return None


def _winner(opening: float, closing: float) -> Outcome | None:
    venue = SandboxVenue(seed=7, prices=StepPrices(opening, closing))
    market = venue.market(SLUG, START_S)
    assert market is not None
    return venue.winner(market, START_S + 1100)


@pytest.mark.parametrize(
    ("opening", "closing", "winner"),
    [
        (90_000.0, 90_000.01, Outcome.UP),
        (90_000.0, 89_999.99, Outcome.DOWN),
        (90_000.0, 90_000.0, Outcome.UP),
    ],
)
def test_up_wins_exactly_where_the_closing_average_is_at_least_the_opening_one(
    opening: float, closing: float, winner: Outcome
) -> None:
    """A tie is Up."""
    assert _winner(opening, closing) is winner


def test_generated_outcome_follows_the_averages_of_the_seconds() -> None:
    """The rule, recomputed here from single seconds, over a hundred windows of each asset."""
    venue = SandboxVenue(seed=11)
    for asset in venue.prices.assets:
        for start_s in range(START_S, START_S + 100 * 300, 300):
            market = venue.market(f"{asset}-updown-5m-{start_s}", start_s)
            assert market is not None
            opening, closing = (
                round(
                    statistics.fmean(venue.prices.spot(asset, end - 60 + i) for i in range(60)), 8
                )
                for end in (start_s, start_s + 300)
            )
            expected = Outcome.UP if closing >= opening else Outcome.DOWN
            assert venue.winner(market, start_s + 300 + 152) is expected


def test_a_windows_final_price_is_the_next_ones_price_to_beat() -> None:
    """Consecutive windows share an average, as on the venue."""
    venue = SandboxVenue(seed=7)
    first = venue.market(SLUG, START_S)
    second = venue.market(f"btc-updown-15m-{START_S + 900}", START_S)
    assert first is not None
    assert second is not None
    one, other = venue.reference_prices(first), venue.reference_prices(second)
    assert one is not None
    assert other is not None

    assert one.final_price == other.price_to_beat


@pytest.mark.parametrize("asset", sorted(ASSET_MODELS))
def test_walk_has_its_volatility_at_every_scale_and_no_drift(asset: str) -> None:
    """Steps over a second, a minute and an hour are N(0, σ²t), across block borders too."""
    prices = GeneratedPrices(3)
    sigma = ASSET_MODELS[asset].volatility
    for step_s, count in ((1, 4_000), (60, 2_000), (3_600, 600)):
        start_s = ORIGIN_S + 200 * DAY_S + 17
        logs = [math.log(prices.spot(asset, start_s + i * step_s)) for i in range(count + 1)]
        scaled = [(after - before) / sigma / math.sqrt(step_s) for before, after in pairwise(logs)]
        assert abs(statistics.fmean(scaled)) < 4 / math.sqrt(count)
        assert abs(statistics.pvariance(scaled) - 1) < 4 * math.sqrt(2 / count)
        neighbours = statistics.fmean(a * b for a, b in pairwise(scaled))
        assert abs(neighbours) < 4 / math.sqrt(count)


def test_unfinished_candle_shows_the_seconds_so_far_and_the_closed_one_all() -> None:
    """A candle never holds a second that has not come."""
    prices = GeneratedPrices(3)
    seconds = [round(prices.spot("btc", START_S + i), 2) for i in range(60)]
    for elapsed in (1, 2, 37, 60):
        candle = prices.minute_candle("btc", START_S, START_S + elapsed - 1)
        assert candle is not None
        assert (candle.open, candle.close) == (seconds[0], seconds[elapsed - 1])
        assert (candle.high, candle.low) == (max(seconds[:elapsed]), min(seconds[:elapsed]))
    assert prices.minute_candle("btc", START_S, START_S - 1) is None


def test_longer_candles_are_made_of_minutes() -> None:
    """A 15-minute candle covers its 15 minutes."""
    venue = SandboxVenue(seed=3)
    span = {"first_s": START_S, "last_s": START_S + 899, "at_s": START_S + 900}
    minutes = venue.candles("btc", timeframe_s=60, **span)
    (quarter,) = venue.candles("btc", timeframe_s=900, **span)

    assert len(minutes) == 15
    assert quarter.open == minutes[0].open
    assert quarter.close == minutes[-1].close
    assert quarter.high == max(minute.high for minute in minutes)
    assert quarter.low == min(minute.low for minute in minutes)
    assert quarter.volume == pytest.approx(sum(minute.volume for minute in minutes))
