"""Generated reference prices: a random walk without drift, addressable at any second.

A day is a step of the walk, a minute a step of a Brownian bridge over its day, a second a step
of a bridge over its minute. So any second costs one day and one minute block, in whichever order
seconds are asked for, and the whole is an exact geometric Brownian motion on the 1-second grid.
The price is a martingale: the best forecast of any later price is the present one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, Protocol

from polybot.domain.candles import Candle
from polybot.sandbox.seeds import stream

MINUTE_S: Final = 60
TWAP_S: Final = 60
"""Averaging span of the prices that decide a market [s]."""
DAY_S: Final = 86_400
# 2026-01-01: near enough to the present that prices have not wandered far from the base.
ORIGIN_S: Final = 1_767_225_600
# 2020-01-01: nothing earlier is offered, so that no request can ask for decades of steps.
EARLIEST_S: Final = 1_577_836_800
_CACHED_MINUTES: Final = 20_000
_CACHED_DAYS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetModel:
    """How one asset's price behaves."""

    base_usd: float
    """Price at the origin [USD/coin]."""
    yearly_volatility: float
    """Standard deviation of the log price over a year."""
    decimals: int
    """Decimals that exchanges quote."""
    minute_volume: float
    """Typical volume [coins/minute]."""

    @property
    def volatility(self) -> float:
        """Standard deviation of the log price over a second."""
        return self.yearly_volatility / math.sqrt(365.25 * DAY_S)


# Rounded from exchange quotes and realised volatility of 2025-2026.
ASSET_MODELS: Final = {
    "btc": AssetModel(base_usd=90_000, yearly_volatility=0.45, decimals=2, minute_volume=12),
    "eth": AssetModel(base_usd=3_000, yearly_volatility=0.65, decimals=2, minute_volume=180),
    "sol": AssetModel(base_usd=130, yearly_volatility=0.80, decimals=2, minute_volume=2_500),
    "xrp": AssetModel(base_usd=2, yearly_volatility=0.75, decimals=4, minute_volume=90_000),
}


class PriceSource(Protocol):
    """Where the sandbox takes its prices from; no method looks past its ``at_s``."""

    @property
    def assets(self) -> Sequence[str]:
        """Assets that have prices."""
        ...

    def known_at(self, at_s: int) -> int:
        """Return the last second, ≤ ``at_s``, whose price is known at ``at_s``."""
        ...

    def spot(self, asset: str, second: int) -> float:
        """Return the price at a second [USD/coin]."""
        ...

    def mean(self, asset: str, start_s: int, end_s: int) -> float:
        """Return the average price over the seconds ``[start_s, end_s)`` [USD/coin]."""
        ...

    def volatility(self, asset: str, at_s: int) -> float:
        """Return the standard deviation of the log price over one second."""
        ...

    def minute_candle(self, asset: str, open_s: int, at_s: int) -> Candle | None:
        """Return the 1-minute candle as an exchange shows it at ``at_s``, unfinished or closed."""
        ...


class GeneratedPrices:
    """The seeded random walk of every asset."""

    def __init__(self, seed: int) -> None:
        """Take the seed; nothing is generated before it is asked for."""
        self._seed = seed
        self._day_closes: dict[str, tuple[list[float], list[float]]] = {}
        self._days: dict[tuple[str, int], list[float]] = {}
        self._minutes: dict[tuple[str, int], tuple[list[float], float]] = {}

    @property
    def assets(self) -> Sequence[str]:
        """Assets that have prices."""
        return tuple(ASSET_MODELS)

    def known_at(self, at_s: int) -> int:
        """Return ``at_s``: a generated price is known at its second."""
        return at_s

    def spot(self, asset: str, second: int) -> float:
        """Return the price at a second [USD/coin]."""
        return self._minute(asset, second // MINUTE_S)[0][second % MINUTE_S]

    def mean(self, asset: str, start_s: int, end_s: int) -> float:
        """Return the average price over the seconds ``[start_s, end_s)`` [USD/coin]."""
        return math.fsum(self.spot(asset, second) for second in range(start_s, end_s)) / (
            end_s - start_s
        )

    def volatility(self, asset: str, at_s: int) -> float:
        """Return the standard deviation of the log price over one second."""
        return ASSET_MODELS[asset].volatility

    def minute_candle(self, asset: str, open_s: int, at_s: int) -> Candle | None:
        """Return the candle that opens at ``open_s``, from the seconds up to ``at_s`` only."""
        if open_s > at_s or open_s < EARLIEST_S:
            return None
        model = ASSET_MODELS[asset]
        seconds, volume = self._minute(asset, open_s // MINUTE_S)
        elapsed = min(MINUTE_S, at_s - open_s + 1)
        shown = [round(price, model.decimals) for price in seconds[:elapsed]]
        return Candle(
            open_s=open_s,
            open=shown[0],
            high=max(shown),
            low=min(shown),
            close=shown[-1],
            volume=round(volume * elapsed / MINUTE_S, 5),
        )

    def _minute(self, asset: str, minute: int) -> tuple[list[float], float]:
        """Return the 60 prices of a minute and its whole volume."""
        block = self._minutes.get((asset, minute))
        if block is None:
            block = self._generate_minute(asset, minute)
            if len(self._minutes) >= _CACHED_MINUTES:
                self._minutes.clear()
            self._minutes[asset, minute] = block
        return block

    def _generate_minute(self, asset: str, minute: int) -> tuple[list[float], float]:
        model = ASSET_MODELS[asset]
        sigma = model.volatility
        day = self._day(asset, minute * MINUTE_S // DAY_S)
        index = minute % (DAY_S // MINUTE_S)
        rng = stream("minute", self._seed, asset, minute)
        walk = bridge(rng, MINUTE_S, sigma, day[index + 1] - day[index])
        base, first_s = day[index], minute * MINUTE_S
        # The log of a martingale drifts by −σ²/2.
        sag = sigma * sigma / 2
        seconds = [
            model.base_usd * math.exp(base + step - sag * (first_s + offset - ORIGIN_S))
            for offset, step in enumerate(walk[:MINUTE_S])
        ]
        return seconds, model.minute_volume * rng.lognormvariate(-0.32, 0.8)

    def _day(self, asset: str, day: int) -> list[float]:
        """Return the walk at the 1441 minute marks of a day, without the drift of the log."""
        marks = self._days.get((asset, day))
        if marks is None:
            sigma = ASSET_MODELS[asset].volatility * math.sqrt(MINUTE_S)
            start = self._at_midnight(asset, day)
            rng = stream("day", self._seed, asset, day)
            total = self._at_midnight(asset, day + 1) - start
            marks = [start + step for step in bridge(rng, DAY_S // MINUTE_S, sigma, total)]
            if len(self._days) >= _CACHED_DAYS:
                self._days.clear()
            self._days[asset, day] = marks
        return marks

    def _at_midnight(self, asset: str, day: int) -> float:
        """Return the walk at the start of a day; it is 0 at the origin and runs both ways."""
        forward, backward = self._day_closes.setdefault(asset, ([0.0], [0.0]))
        offset = day - ORIGIN_S // DAY_S
        closes, sign = (forward, 1) if offset >= 0 else (backward, -1)
        sigma = ASSET_MODELS[asset].volatility * math.sqrt(DAY_S)
        while len(closes) <= abs(offset):
            number = sign * len(closes)
            closes.append(closes[-1] + stream("step", self._seed, asset, number).gauss(0, sigma))
        return closes[abs(offset)]


def bridge(rng: Random, steps: int, step_deviation: float, total: float) -> list[float]:
    """Return ``steps + 1`` points of a random walk from 0 that ends at ``total``.

    Together with a ``total`` drawn from N(0, steps × step_deviation²) the points are an
    unconditioned random walk.
    """
    walk = [0.0]
    for _ in range(steps):
        walk.append(walk[-1] + rng.gauss(0, step_deviation))
    error = (walk[-1] - total) / steps
    return [value - error * index for index, value in enumerate(walk)]
