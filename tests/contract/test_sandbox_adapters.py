"""The adapters that trade for real, against the sandbox: one life of a market, start to end."""

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from polybot.adapters.clock import SandboxClock
from polybot.adapters.polymarket.market_data import PolymarketData
from polybot.adapters.prices import CcxtPrices
from polybot.domain.markets import MarketWindow, Outcome
from polybot.errors import DataError, TransientError
from polybot.sandbox.clock import SteppedClock
from polybot.sandbox.venue import SandboxVenue
from tests.sandbox_server import serve_in_thread

WINDOW = MarketWindow.parse_slug("btc-updown-15m-1791241200")


class Play:
    """A served sandbox with the adapters that read it."""

    def __init__(self, url: str, clock: SteppedClock, reader: SandboxClock) -> None:
        self.url = url
        self._clock = clock
        self.clock = reader
        self.data = PolymarketData(
            gamma_url=url, clob_url=url, data_url=url, timeout_s=5, clock=reader
        )

    def at(self, seconds: float) -> None:
        """Move to an instant after the window's start."""
        self._clock.move_to(int((WINDOW.start_s + seconds) * 1000))


@pytest.fixture
async def play() -> AsyncIterator[Play]:
    clock = SteppedClock((WINDOW.start_s - 100_000) * 1000)
    with serve_in_thread(SandboxVenue(seed=7, clock=clock)) as url:
        async with SandboxClock(url) as reader:
            played = Play(url, clock, reader)
            async with played.data:
                yield played


async def test_market_lives_from_listing_to_resolution(play: Play) -> None:
    """Not listed, listed, trading, ended, resolved: each as the port describes it."""
    with pytest.raises(TransientError):
        await play.data.find_market(WINDOW)
    play.at(3)
    market = await play.data.find_market(WINDOW)
    assert market.is_accepting_orders
    assert market.price_to_beat is None
    assert await play.data.server_time() == WINDOW.start + timedelta(seconds=3)
    up = await play.data.order_book(market.token_ids[Outcome.UP])
    down = await play.data.order_book(market.token_ids[Outcome.DOWN])
    assert up.midpoint is not None
    assert down.midpoint is not None
    assert up.midpoint + down.midpoint == 1
    assert up.as_of == WINDOW.start + timedelta(seconds=3)
    assert await play.data.resolution(WINDOW) is None
    play.at(300)
    assert (await play.data.find_market(WINDOW)).price_to_beat is not None
    play.at(901)
    assert not (await play.data.find_market(WINDOW)).is_accepting_orders
    assert await play.data.resolution(WINDOW) is None
    play.at(901 + 153)
    found = await play.data.resolution(WINDOW)
    assert found is not None
    assert found.condition_id == market.condition_id
    assert found.resolved_at > WINDOW.end
    assert sorted(found.payouts.values()) == [Decimal(0), Decimal(1)]
    with pytest.raises(DataError) as caught:
        await play.data.order_book(market.token_ids[Outcome.UP])
    assert caught.value.reason == "book-missing"


async def test_trades_are_complete_ordered_and_of_this_market(play: Play) -> None:
    """Reading from the middle gives exactly the tail of reading from the start."""
    play.at(600)
    market = await play.data.find_market(WINDOW)
    trades = await play.data.trades_since(market.condition_id, WINDOW.start)
    assert len(trades) > 50
    assert [one.traded_at for one in trades] == sorted(one.traded_at for one in trades)
    assert {one.token_id for one in trades} <= set(market.token_ids.values())
    middle = WINDOW.start + timedelta(seconds=300)
    tail = await play.data.trades_since(market.condition_id, middle)
    assert tail == tuple(one for one in trades if one.traded_at >= middle)


@pytest.mark.parametrize("exchange", ["binance", "coinbase", "kraken"])
async def test_every_exchange_tells_the_same_prices(
    play: Play, exchange: str, tmp_path: Path
) -> None:
    """300 closed candles that end at the window's start, from each of the three protocols."""
    play.at(3)
    async with CcxtPrices(
        exchanges=(exchange,),
        timeout_s=5,
        base_url=play.url,
        cache_dir=tmp_path,
        clock=play.clock,
    ) as prices:
        for asset in ("btc", "eth", "sol", "xrp"):
            series = await prices.closed_candles(asset, timeframe_s=60, end=WINDOW.start, count=300)
            assert series.end == WINDOW.start
            assert len(series.candles) == 300
            assert series.source == exchange
        quarter_hours = await prices.closed_candles(
            "btc", timeframe_s=900, end=WINDOW.start, count=30
        )
        minutes = await prices.closed_candles("btc", timeframe_s=60, end=WINDOW.start, count=300)
    assert quarter_hours.closes[-1] == minutes.closes[-1]


async def test_all_series_of_the_venue_are_read(play: Play) -> None:
    """Four assets, three durations."""
    play.at(3)
    for asset in ("btc", "eth", "sol", "xrp"):
        for duration in ("5m", "15m", "4h"):
            seconds = {"5m": 300, "15m": 900, "4h": 14_400}[duration]
            start_s = WINDOW.start_s - WINDOW.start_s % seconds
            window = MarketWindow.parse_slug(f"{asset}-updown-{duration}-{start_s}")
            market = await play.data.find_market(window)
            assert market.window == window
            assert market.is_accepting_orders
