"""Candles through ccxt against a real server that speaks as the three exchanges do."""

from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web

from polybot.adapters.prices import CcxtPrices
from polybot.errors import (
    ConfigurationError,
    DataError,
    PermanentError,
    PolybotError,
    TransientError,
)
from tests.fakes import FixedClock
from tests.prices_steps import (
    BINANCE,
    END,
    END_S,
    binance_candles,
    fetch,
    kline,
    klines,
    open_prices,
)
from tests.scripted_server import Answer, ScriptedServer, body, cut_off, hang_up, silence

COINBASE = "/api/v3/brokerage/market/products/BTC-USD/candles"
KRAKEN = "/0/public/OHLC"
ALL = ("binance", "coinbase", "kraken")


async def test_binance_gives_exactly_the_closed_candles(server: ScriptedServer) -> None:
    """One request, no market list, and the candle that opens at the end is not among them."""
    server.on(BINANCE, [*klines(5), kline(END_S)])
    async with open_prices(server) as prices:
        series = await fetch(prices)
    assert series.end == END
    assert len(series.candles) == 5
    assert (series.symbol, series.source, series.timeframe_s) == ("BTC/USDT", "binance", 60)
    assert series.closes == (77000.5,) * 5
    assert [one.path for one in server.requests] == [BINANCE]
    assert server.asked(BINANCE)[0]["symbol"] == "BTCUSDT"


async def test_coinbase_gives_the_same(server: ScriptedServer) -> None:
    """Newest first on the wire, oldest first in our types."""
    rows = [
        {
            "start": str(END_S - place * 60),
            "open": "1",
            "high": "2",
            "low": "1",
            "close": "1.5",
            "volume": "0",
        }
        for place in range(6)
    ]
    server.on(COINBASE, {"candles": rows})
    async with open_prices(server, "coinbase") as prices:
        series = await fetch(prices)
    assert (series.end, len(series.candles), series.symbol) == (END, 5, "BTC/USD")
    assert [one.path for one in server.requests] == [COINBASE]


async def test_kraken_gives_the_same(server: ScriptedServer) -> None:
    """Its answer holds the candle before the first, and the unfinished one."""
    rows = [[END_S + place * 60, "1", "2", "1", "1.5", "1.2", "3", 9] for place in range(-6, 1)]
    server.on(KRAKEN, {"error": [], "result": {"XBTUSDT": rows, "last": END_S}})
    async with open_prices(server, "kraken") as prices:
        series = await fetch(prices)
    assert (series.end, len(series.candles), series.symbol) == (END, 5, "BTC/USDT")


async def test_long_series_are_read_in_pages(server: ScriptedServer) -> None:
    """Coinbase gives 300 at once, so 700 take three requests without hole or repeat."""

    async def answer(request: web.Request) -> web.StreamResponse:
        first, last = int(request.query["start"]), int(request.query["end"])
        rows = [
            {"start": str(one), "open": 1, "high": 1, "low": 1, "close": 1, "volume": 1}
            for one in range(first - first % -60, last + 1, 60)
        ]
        return web.json_response({"candles": rows[::-1]})

    server.on(COINBASE, answer)
    async with open_prices(server, "coinbase") as prices:
        series = await fetch(prices, count=700)
    assert len(series.candles) == 700
    assert len(server.requests) == 3


async def test_thousand_candles_are_one_request_to_binance(server: ScriptedServer) -> None:
    """The largest count fits one page."""
    server.on(BINANCE, binance_candles())
    async with open_prices(server) as prices:
        assert len((await fetch(prices, count=1000)).candles) == 1000
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("asset", "symbol"), [("eth", "ETHUSDT"), ("sol", "SOLUSDT"), ("xrp", "XRPUSDT")]
)
async def test_every_asset_has_its_market(server: ScriptedServer, asset: str, symbol: str) -> None:
    """All listed coins are known without asking for a list."""
    server.on(BINANCE, klines(5))
    async with open_prices(server) as prices:
        assert (await fetch(prices, asset=asset)).symbol == f"{asset.upper()}/USDT"
    assert server.asked(BINANCE)[0]["symbol"] == symbol


FAILURES: dict[str, tuple[Answer, type[PolybotError]]] = {
    "500": (body(b"oops", status=500), TransientError),
    "503": (body(b"", status=503), TransientError),
    "429": (body(b"{}", status=429), TransientError),
    "418": (body(b"{}", status=418), TransientError),
    "451-blocked-country": (body(b"restricted location", status=451), TransientError),
    "403-html": (body(b"<html>", status=403), TransientError),
    "cut-off": (cut_off(b"[["), TransientError),
    "hung-up": (hang_up(), TransientError),
    "redirect": (body(b"", status=302, headers={"Location": "/y"}), TransientError),
    "html-200": (body(b"<html>just a moment</html>"), DataError),
    "empty-200": (body(b""), DataError),
    "truncated-200": (body(b'[[1791241140000,"770'), DataError),
    "no-rows": (body(b"[]"), DataError),
    "object": (body(b'{"a": 1}'), DataError),
    "oversize": (body(b" " * (1 << 20) + b"[]"), DataError),
}


@pytest.mark.parametrize("name", list(FAILURES))
async def test_only_exchange_failing_is_told_by_name(server: ScriptedServer, name: str) -> None:
    """With nobody else to ask: try again, or do not decide."""
    answer, kind = FAILURES[name]
    server.on(BINANCE, answer)
    async with open_prices(server) as prices:
        with pytest.raises(kind, match="binance: ") as caught:
            await fetch(prices)
    assert type(caught.value) is kind
    assert "<html>" not in str(caught.value)
    assert server.asked("/y") == []


@pytest.mark.parametrize("name", list(FAILURES))
async def test_next_exchange_answers_instead(server: ScriptedServer, name: str) -> None:
    """Any failure at all passes the turn."""
    server.on(BINANCE, FAILURES[name][0])
    rows = [[END_S + place * 60, "1", "2", "1", "1.5", "1.2", "3", 9] for place in range(-6, 1)]
    server.on(KRAKEN, {"error": [], "result": {"XBTUSDT": rows, "last": END_S}})
    async with open_prices(server, *ALL) as prices:
        assert (await fetch(prices)).source == "kraken"


async def test_silent_exchange_costs_the_time_out(server: ScriptedServer) -> None:
    """No exchange can hold up the run."""
    server.on(BINANCE, silence(server))
    async with open_prices(server, timeout_s=0.05) as prices:
        with pytest.raises(TransientError, match="binance: it could not be reached"):
            await fetch(prices)


async def test_all_failures_are_named(server: ScriptedServer) -> None:
    """The operator reads which exchange said what."""
    server.on(BINANCE, body(b"{}", status=451))
    server.on(COINBASE, body(b"", status=500))
    server.on(KRAKEN, {"error": ["EGeneral:Internal error"]})
    async with open_prices(server, *ALL) as prices:
        with pytest.raises(TransientError) as caught:
            await fetch(prices)
    message = str(caught.value)
    assert "binance: it refused (HTTP 451)" in message
    assert "coinbase: it answered 500" in message
    assert "kraken: " in message


async def test_bad_candles_beside_a_blocked_exchange_are_bad_data(server: ScriptedServer) -> None:
    """A country does not get unblocked by another try, and a hole does not close."""
    server.on(BINANCE, body(b"{}", status=451))
    server.on(COINBASE, {"candles": []})
    async with open_prices(server, "binance", "coinbase") as prices:
        with pytest.raises(DataError) as caught:
            await fetch(prices)
    assert caught.value.reason == "candles-stale"


@pytest.mark.parametrize(
    "wrong",
    [
        {"timeframe_s": 61, "end": END, "count": 5},
        {"timeframe_s": 60, "end": END + timedelta(seconds=1), "count": 5},
        {"timeframe_s": 60, "end": END, "count": 0},
        {"timeframe_s": 60, "end": END, "count": 1001},
    ],
    ids=["timeframe", "end-off-grid", "none", "too-many"],
)
async def test_impossible_questions_are_permanent(
    server: ScriptedServer, wrong: dict[str, Any]
) -> None:
    """A question that has no answer is not sent."""
    async with open_prices(server) as prices:
        with pytest.raises(PermanentError):
            await prices.closed_candles("btc", **wrong)
    assert server.requests == []


async def test_kraken_is_passed_over_where_it_cannot_reach(server: ScriptedServer) -> None:
    """It gives the newest 720 candles and no more."""
    server.on(BINANCE, binance_candles())
    async with open_prices(server, "kraken", "binance") as prices:
        assert (await fetch(prices, count=721)).source == "binance"


@pytest.mark.parametrize("exchanges", [(), ("mtgox",), ("binance", "ftx")])
def test_unknown_exchange_is_a_setting_to_change(exchanges: tuple[str, ...]) -> None:
    """Said at once, with the names that are known."""
    with pytest.raises(ConfigurationError, match="binance, coinbase, kraken"):
        CcxtPrices(exchanges=exchanges, timeout_s=1, clock=FixedClock(END))
