"""The null test: on prices without drift, trading earns exactly minus its costs.

The real indicators, signal, risk and paper matching play thousands of generated windows in
process. Whatever they earn beyond minus fee and half spread is a defect: something peeks ahead,
or a cost is not charged. Two companions that do just that show that the test bites.
"""

import asyncio
import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from polybot.adapters.paper import PaperExchange
from polybot.domain.books import OrderBook
from polybot.domain.candles import Candle, CandleSeries
from polybot.domain.decisions import trend_key
from polybot.domain.markets import (
    ConditionId,
    FeeSchedule,
    Market,
    MarketSeries,
    MarketTrade,
    MarketWindow,
    Outcome,
    OutcomeTokenId,
    Resolution,
)
from polybot.domain.orders import Accepted, ApprovedOrder
from polybot.domain.signals import Direction, Signal, StrategyParams
from polybot.errors import DataError, TransientError
from polybot.indicators import compute_indicators
from polybot.risk import assess
from polybot.sandbox.clock import SteppedClock
from polybot.sandbox.venue import SandboxVenue
from polybot.signals import decide_signal
from tests.builders import CRYPTO_FEES, build_exposure, build_limits, build_market, build_totals
from tests.fakes import FixedClock

FIRST_S = 1_791_241_200
# Trades on a crossover at the very last candle: a leak of the next one could hardly pay more.
NERVOUS = StrategyParams(
    name="nervous",
    fast=2,
    slow=5,
    cross_max_age=0,
    rsi_upper=100,
    rsi_lower=0,
    macd_fast=2,
    macd_slow=5,
    macd_signal=3,
    candle_count=150,
)
# Decided three seconds into the window, as the flow does.
DELAY_S = 3
RATE = Decimal("0.07")
Forecasts = list[tuple[MarketWindow, Signal]]
NO_FEES = FeeSchedule(rate=Decimal(0), exponent=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """One filled window, all in USDC a share."""

    pnl: float
    """Payout minus price and fee, as booked."""
    fair: float
    """The venue's probability of winning when the order was sent."""
    payout: float
    half_spread: float
    """What the decision card announced."""
    due_fee: float
    """What the venue's published formula charges at the fill price."""

    @property
    def excess(self) -> float:
        """Earned beyond minus the costs."""
        return self.pnl + self.due_fee + self.half_spread

    @property
    def excess_without_luck(self) -> float:
        """The same, with the outcome replaced by its probability."""
        return self.excess - (self.payout - self.fair)


class VenueInProcess:
    """The sandbox venue as the market data port, without HTTP."""

    def __init__(self, venue: SandboxVenue, clock: FixedClock) -> None:
        self.venue, self.clock = venue, clock

    async def order_book(self, token_id: OutcomeTokenId) -> OrderBook:
        book = self.venue.book(token_id, int(self.clock.instant.timestamp()))
        if book is None:
            raise DataError(f"no book of {token_id[:20]}", reason="book-missing")
        return book

    async def find_market(self, window: MarketWindow) -> Market:
        raise TransientError(f"{window.slug} is not asked for here")

    async def resolution(self, window: MarketWindow) -> Resolution | None:
        market = self.venue.listing.by_slug(window.slug)
        return self.venue.resolution(market, market.resolved_s) if market else None

    async def trades_since(
        self, condition_id: ConditionId, since: datetime
    ) -> tuple[MarketTrade, ...]:
        return ()


def _closed_candles(
    venue: SandboxVenue, asset: str, ends: range, count: int
) -> Iterator[CandleSeries]:
    """Yield the ``count`` minutes that close at each end; each minute is asked for once."""
    known: list[Candle] = []
    for end_s in ends:
        first_s = known[-1].open_s + 60 if known else end_s - 60 * count
        known += venue.candles(
            asset, timeframe_s=60, first_s=first_s, last_s=end_s - 60, at_s=end_s
        )
        known = known[-count:]
        yield CandleSeries(
            symbol=f"{asset.upper()}/USDT", timeframe_s=60, source="sandbox", candles=tuple(known)
        )


def _forecasts(
    venue: SandboxVenue, params: StrategyParams, windows: int, *, peek_s: int = 0
) -> Forecasts:
    """Return a strategy's signals for consecutive 5-minute windows, HOLD left out."""
    forecasts = []
    for asset in ("btc", "sol"):
        series = MarketSeries(asset=asset, duration="5m")
        ends = range(FIRST_S + peek_s, FIRST_S + peek_s + 300 * windows, 300)
        for candles in _closed_candles(venue, asset, ends, params.candle_count):
            signal = decide_signal(compute_indicators(candles, params), params)
            if signal.direction is not Direction.HOLD:
                start_s = int(candles.end.timestamp()) - peek_s
                forecasts.append((MarketWindow(series=series, start_s=start_s), signal))
    return forecasts


async def _trade(
    venue: SandboxVenue, window: MarketWindow, signal: Signal, fees: FeeSchedule
) -> Played:
    """Size, check, fill and settle one order as the trend and settle flows do."""
    known = venue.market(window.slug, window.start_s)
    assert known is not None
    market = build_market(
        condition_id=known.condition_id,
        window=window,
        token_ids={Outcome.UP: known.up_token_id, Outcome.DOWN: known.down_token_id},
        fees=fees,
    )
    clock = FixedClock(window.start + timedelta(seconds=DELAY_S))
    data = VenueInProcess(venue, clock)
    outcome = signal.direction.outcome
    assert outcome is not None
    approved = assess(
        signal,
        market,
        await data.order_book(market.token_ids[outcome]),
        totals=build_totals(day=clock.instant.date()),
        exposure=build_exposure(),
        limits=build_limits(min_time_left_s=0),
        now=clock.instant,
        decision_key=trend_key("null", window),
    )
    assert isinstance(approved, ApprovedOrder), approved
    exchange = PaperExchange(data, clock, delay_s=0.25)
    answer = await exchange.submit(exchange.prepare(approved, created_at=clock.instant))
    assert isinstance(answer, Accepted), answer
    resolution = await data.resolution(window)
    assert resolution is not None
    fair_up = venue.fair_up(known, int(clock.instant.timestamp()))
    size = sum(fill.size for fill in answer.fills)
    cost = sum(fill.size * fill.price for fill in answer.fills)
    charged = sum(fill.fee_usdc for fill in answer.fills)
    due = sum(fill.size * fill.price * (1 - fill.price) for fill in answer.fills) * RATE
    payout = resolution.payouts[outcome]
    return Played(
        pnl=float(payout - (cost + charged) / size),
        fair=fair_up if outcome is Outcome.UP else 1 - fair_up,
        payout=float(payout),
        half_spread=float(approved.expected.half_spread_usdc / approved.expected.size),
        due_fee=float(due / size),
    )


def _play(venue: SandboxVenue, forecasts: Forecasts, fees: FeeSchedule) -> list[Played]:
    async def play() -> list[Played]:
        return [await _trade(venue, window, signal, fees) for window, signal in forecasts]

    return asyncio.run(play())


def _mean(values: list[float]) -> tuple[float, float]:
    """Return the mean and half the width of its interval of four standard errors."""
    return statistics.fmean(values), 4 * statistics.stdev(values) / math.sqrt(len(values))


@pytest.fixture(scope="module")
def venue() -> SandboxVenue:
    """Generate the same prices for every test of this module."""
    return SandboxVenue(seed=20_261_122, clock=SteppedClock(FIRST_S * 1000))


@pytest.fixture(scope="module")
def forecasts(venue: SandboxVenue) -> Forecasts:
    """Forecast 2,400 windows with the default strategy."""
    return _forecasts(venue, StrategyParams(), 1_200)


def test_default_strategy_earns_minus_fee_and_half_spread(
    venue: SandboxVenue, forecasts: Forecasts
) -> None:
    """Nothing peeks: with real outcomes, the mean lies within its interval around the costs."""
    played = _play(venue, forecasts, CRYPTO_FEES)
    excess, width = _mean([one.excess for one in played])

    assert len(played) > 600
    assert width < 0.08
    assert abs(excess) <= width


def test_costs_are_charged_to_a_tenth_of_a_cent(venue: SandboxVenue, forecasts: Forecasts) -> None:
    """With each outcome replaced by its probability the interval is a tenth of the fee or less."""
    played = _play(venue, forecasts, CRYPTO_FEES)
    excess, width = _mean([one.excess_without_luck for one in played])

    assert width < 0.001
    assert abs(excess) <= width
    assert statistics.fmean(one.pnl - one.payout + one.fair for one in played) < -0.02


def test_forgotten_fees_are_caught(venue: SandboxVenue, forecasts: Forecasts) -> None:
    """The same orders on markets that charge nothing fall far outside the interval."""
    played = _play(venue, forecasts[:300], NO_FEES)
    excess, width = _mean([one.excess_without_luck for one in played])

    assert excess > 5 * width


def test_strategy_that_hangs_on_the_last_candle_earns_minus_its_costs(
    venue: SandboxVenue,
) -> None:
    """The honest half of the next test: the same strategy on closed candles earns nothing."""
    played = _play(venue, _forecasts(venue, NERVOUS, 800), CRYPTO_FEES)
    excess, width = _mean([one.excess for one in played])

    assert width < 0.13
    assert abs(excess) <= width


def test_peeking_at_the_next_candle_is_caught(venue: SandboxVenue) -> None:
    """One minute of the future, in the hands of that strategy, falls outside the interval."""
    played = _play(venue, _forecasts(venue, NERVOUS, 800, peek_s=60), CRYPTO_FEES)
    excess, width = _mean([one.excess for one in played])

    assert excess > 1.2 * width
