"""Candles, read by the real ccxt over the wire."""

import re
from typing import Any

import pytest

from polybot.sandbox.venue import SandboxVenue
from tests.sandbox.conftest import START_S, Served

ccxt = pytest.importorskip("ccxt")

EXCHANGES = [("binance", "BTCUSDT"), ("coinbase", "BTC-USDT"), ("kraken", "XBTUSDT")]


def _exchange(name: str, symbol: str, base_url: str) -> Any:
    """Return a ccxt exchange that talks to the sandbox alone."""

    def rebase(url: Any) -> Any:
        if isinstance(url, str):
            return re.sub(r"^https?://[^/]+", base_url, url)
        return {key: rebase(value) for key, value in url.items()}

    exchange = getattr(ccxt, name)({"enableRateLimit": False, "timeout": 5000})
    exchange.urls["api"] = rebase(exchange.urls["api"])
    exchange.session.trust_env = False
    exchange.set_markets(
        [
            exchange.safe_market_structure(
                {
                    "id": symbol,
                    "symbol": "BTC/USDT",
                    "base": "BTC",
                    "quote": "USDT",
                    "spot": True,
                    "type": "spot",
                    "option": False,
                    "contract": False,
                    "inverse": False,
                    "linear": None,
                    "precision": {"amount": 1e-8, "price": 0.01},
                }
            )
        ]
    )
    return exchange


def _expected(venue: SandboxVenue, timeframe_s: int, first_s: int, at_s: int) -> list[list[float]]:
    return [
        [c.open_s * 1000, c.open, c.high, c.low, c.close, c.volume]
        for c in venue.candles(
            "btc", timeframe_s=timeframe_s, first_s=first_s, last_s=at_s, at_s=at_s
        )
    ]


@pytest.mark.parametrize(("name", "symbol"), EXCHANGES)
def test_ccxt_reads_the_venues_own_candles(served: Served, name: str, symbol: str) -> None:
    """299 closed minutes and the unfinished one, oldest first, equal to the in-process candles."""
    served.at(20)
    exchange = _exchange(name, symbol, str(served.http.base_url).rstrip("/"))
    first_s, now_s = START_S - 299 * 60, START_S + 20
    rows = exchange.fetch_ohlcv("BTC/USDT", "1m", since=first_s * 1000, limit=300)

    assert rows == _expected(served.venue, 60, first_s, now_s)
    assert len(rows) == 300
    assert rows[-1][0] == START_S * 1000


@pytest.mark.parametrize(("name", "symbol"), EXCHANGES)
@pytest.mark.parametrize("timeframe", ["5m", "15m", "1h"])
def test_ccxt_reads_every_timeframe(served: Served, name: str, symbol: str, timeframe: str) -> None:
    """Fifty candles of each length, the last one unfinished."""
    exchange = _exchange(name, symbol, str(served.http.base_url).rstrip("/"))
    length_s = exchange.parse_timeframe(timeframe)
    current_s = (START_S - 10) // length_s * length_s
    first_s = current_s - 49 * length_s
    rows = exchange.fetch_ohlcv("BTC/USDT", timeframe, since=first_s * 1000, limit=50)

    assert len(rows) == 50
    assert rows == _expected(served.venue, length_s, first_s, START_S - 10)


def test_each_exchange_cuts_to_what_it_gives_at_most(served: Served) -> None:
    """Asked for more, the newest remain where no start is given."""
    newest_ms = (START_S - 60) * 1000
    klines = served.get("/api/v3/klines", symbol="BTCUSDT", interval="1m", limit=5000).json()
    assert (len(klines), klines[-1][0]) == (1000, newest_ms)
    ohlc = served.get("/0/public/OHLC", pair="XBTUSD", interval=1).json()["result"]["XBTUSD"]
    assert (len(ohlc), ohlc[-1][0]) == (720, newest_ms // 1000)
    path = "/api/v3/brokerage/market/products/BTC-USD/candles"
    candles = served.get(path, granularity="ONE_MINUTE").json()["candles"]
    assert (len(candles), candles[0]["start"]) == (350, str(newest_ms // 1000))


def test_no_exchange_tells_the_future(served: Served) -> None:
    """Asked for later candles, each gives those that exist."""
    for path, query in (
        ("/api/v3/klines", {"symbol": "BTCUSDT", "interval": "1m", "startTime": START_S * 1000}),
        (
            "/api/v3/brokerage/market/products/BTC-USD/candles",
            {"granularity": "ONE_MINUTE", "start": START_S, "end": START_S + 600},
        ),
    ):
        body = served.get(path, **query).json()
        assert body in ([], {"candles": []})
    since = {"pair": "XBTUSD", "interval": 1, "since": START_S}
    assert served.get("/0/public/OHLC", **since).json()["result"]["XBTUSD"] == []


def test_history_before_the_walk_begins_is_empty(served: Served) -> None:
    """The epoch's first candles do not exist, and asking for them costs nothing."""
    answer = served.get("/api/v3/klines", symbol="BTCUSDT", interval="1h", startTime=0, limit=1000)
    assert answer.json() == []
