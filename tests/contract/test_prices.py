"""Candles through ccxt against a real server that speaks as the three exchanges do."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
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
from tests.scripted_server import (
    Answer,
    ScriptedServer,
    body,
    cut_off,
    hang_up,
    scripted_server,
    silence,
)

END = datetime(2026, 10, 5, 23, 0, tzinfo=UTC)
END_S = int(END.timestamp())
BINANCE = "/api/v3/klines"
COINBASE = "/api/v3/brokerage/market/products/BTC-USD/candles"
KRAKEN = "/0/public/OHLC"
ALL = ("binance", "coinbase", "kraken")


def kline(open_s: int, close: Any = "77000.5", **changes: Any) -> list[Any]:
    """Return a row as Binance gives it."""
    values = {"open": "77000.5", "high": "78000", "low": "76000", "volume": "1.5"} | changes
    row = [values["open"], values["high"], values["low"], close, values["volume"]]
    return [open_s * 1000, *row, open_s * 1000 + 59_999, "0", 7, "0", "0", "0"]


def klines(count: int, *, end_s: int = END_S) -> list[list[Any]]:
    """Return closed rows that end at ``end_s``, oldest first."""
    return [kline(end_s - (count - place) * 60) for place in range(count)]


def binance_candles(open_s: int = END_S + 60) -> Answer:
    """Answer as Binance does from a series that never ends, the last candle unfinished."""

    async def answer(request: web.Request) -> web.StreamResponse:
        start_s = int(request.query["startTime"]) // 1000
        last_s = min(int(request.query["endTime"]) // 1000, open_s)
        limit = int(request.query["limit"])
        opens = range(start_s, last_s + 1, 60)[:limit]
        return web.json_response([kline(one) for one in opens])

    return answer


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as running:
        yield running


def open_prices(server: ScriptedServer, *exchanges: str, **more: Any) -> CcxtPrices:
    """Return a feed whose exchanges all live on the scripted server; 11 s have passed."""
    return CcxtPrices(
        exchanges=exchanges or ("binance",),
        timeout_s=more.pop("timeout_s", 2),
        clock=FixedClock(more.pop("at", END + timedelta(seconds=11))),
        base_url=more.pop("base_url", server.url),
        **more,
    )


async def fetch(prices: CcxtPrices, count: int = 5, **more: Any) -> Any:
    return await prices.closed_candles(
        more.pop("asset", "btc"), timeframe_s=60, end=more.pop("end", END), count=count
    )


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


def files_in(folder: Path) -> list[Path]:
    """Return what lies in a folder."""
    return list(folder.iterdir())


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


def broken(name: str) -> list[Any]:
    """Return five candles with one thing wrong."""
    rows: list[Any] = klines(5)
    if name == "gap":
        del rows[2]
    elif name == "gap-at-the-start":
        del rows[0]
    elif name == "twice":
        rows[2] = rows[1]
    elif name == "off-grid":
        rows[2][0] += 1000
    elif name == "off-grid-by-a-millisecond":
        rows[2][0] += 1
    elif name == "time-null":
        rows[2][0] = None
    elif name == "row-of-null":
        rows[2] = [None] * 12
    elif name == "row-short":
        rows[2] = rows[2][:3]
    elif name == "row-text":
        rows[2] = "candle"
    else:
        field, value = BROKEN_VALUES[name]
        rows[2][field] = value
    return rows


BROKEN_VALUES: dict[str, tuple[int, Any]] = {
    "open-zero": (1, "0"),
    "open-negative": (1, "-77000"),
    "high-below-close": (2, "77000"),
    "low-above-open": (3, "77001"),
    "close-null": (4, None),
    "close-text": (4, "soon"),
    "close-nan": (4, "NaN"),
    "close-infinity": (4, "Infinity"),
    "close-1e400": (4, "1e400"),
    "volume-negative": (5, "-1"),
    "volume-null": (5, None),
}
BROKEN: dict[str, str] = {
    "gap": "candles-gap",
    "gap-at-the-start": "candles-gap",
    "twice": "candles-gap",
    "off-grid": "candles-gap",
    "off-grid-by-a-millisecond": "candles-malformed",
    # ccxt drops rows that have no time; the hole remains.
    "time-null": "candles-gap",
    "row-of-null": "candles-gap",
    "row-short": "candles-malformed",
    "row-text": "candles-gap",
    "open-zero": "candles-implausible",
    "open-negative": "candles-implausible",
    "high-below-close": "candles-implausible",
    "low-above-open": "candles-implausible",
    "close-null": "candles-malformed",
    "close-text": "candles-malformed",
    "close-nan": "candles-implausible",
    "close-infinity": "candles-implausible",
    "close-1e400": "candles-implausible",
    "volume-negative": "candles-implausible",
    "volume-null": "candles-malformed",
}


@pytest.mark.parametrize("name", list(BROKEN))
async def test_broken_candles_make_no_signal(server: ScriptedServer, name: str) -> None:
    """One bad candle spoils the series, and the reason says how."""
    server.on(BINANCE, broken(name))
    async with open_prices(server) as prices:
        with pytest.raises(DataError) as caught:
            await fetch(prices)
    assert caught.value.reason == BROKEN[name]


@pytest.mark.parametrize(
    ("factor", "is_refused"), [(10, True), (0.1, True), (1.31, True), (1.29, False), (0.71, False)]
)
async def test_close_that_jumps_is_implausible(
    server: ScriptedServer, factor: float, is_refused: bool
) -> None:
    """Thirty per cent in one candle is a typing error, not a market."""
    rows = klines(5)
    rows[4] = kline(END_S - 60, 77000.5 * factor, high="999999", low="1")
    server.on(BINANCE, rows)
    async with open_prices(server) as prices:
        if is_refused:
            with pytest.raises(DataError) as caught:
                await fetch(prices)
            assert caught.value.reason == "candles-implausible"
        else:
            assert len((await fetch(prices)).candles) == 5


@pytest.mark.parametrize(
    ("after_s", "kind"), [(0, TransientError), (9.9, TransientError), (10, DataError)]
)
async def test_missing_last_candle_is_waited_for_ten_seconds(
    server: ScriptedServer, after_s: float, kind: type[PolybotError]
) -> None:
    """At first it is late, then it is stale."""
    server.on(BINANCE, klines(5)[:-1])
    async with open_prices(server, at=END + timedelta(seconds=after_s)) as prices:
        with pytest.raises(kind) as caught:
            await fetch(prices)
    assert type(caught.value) is kind
    if isinstance(caught.value, DataError):
        assert caught.value.reason == "candles-stale"


async def test_candles_that_are_not_closed_are_not_asked_for(server: ScriptedServer) -> None:
    """Nobody can know them yet."""
    async with open_prices(server, at=END - timedelta(milliseconds=1)) as prices:
        with pytest.raises(TransientError):
            await fetch(prices)
    assert server.requests == []


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


async def test_window_is_fetched_once(server: ScriptedServer, tmp_path: Path) -> None:
    """Another process with the same folder does not ask again, and gets the same floats."""
    server.on(BINANCE, klines(5))
    async with open_prices(server, cache_dir=tmp_path / "new") as prices:
        first = await fetch(prices)
    async with open_prices(server, cache_dir=tmp_path / "new") as prices:
        assert await fetch(prices) == first
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"[" * 50_000,
        b'{"symbol": "BTC/USDT", "source": "x", "rows": []}',
        b"\xff",
        b"x" * (1 << 21),
    ],
    ids=["empty", "half", "null", "deep", "no-rows", "not-utf-8", "huge"],
)
async def test_corrupt_cache_is_fetched_again(
    server: ScriptedServer, tmp_path: Path, content: bytes
) -> None:
    """A broken file costs one request and is replaced."""
    server.on(BINANCE, klines(5))
    async with open_prices(server, cache_dir=tmp_path) as prices:
        first = await fetch(prices)
        (file,) = files_in(tmp_path)
        file.write_bytes(content)
        assert await fetch(prices) == first
        assert await fetch(prices) == first
    assert len(server.requests) == 2


async def test_tampered_cache_is_checked_like_an_answer(
    server: ScriptedServer, tmp_path: Path
) -> None:
    """Candles from the disk pass the same checks as candles from an exchange."""
    server.on(BINANCE, klines(5))
    async with open_prices(server, cache_dir=tmp_path) as prices:
        await fetch(prices)
        (file,) = files_in(tmp_path)
        file.write_text(file.read_text().replace("77000.5", "NaN"))
        assert set((await fetch(prices)).closes) == {77000.5}


async def test_cache_never_mixes_sources(server: ScriptedServer, tmp_path: Path) -> None:
    """Another exchange, another address, another window or count is another file."""
    server.on(BINANCE, binance_candles())
    server.on("/other" + BINANCE, binance_candles())
    async with open_prices(server, cache_dir=tmp_path) as prices:
        await fetch(prices)
        await fetch(prices, count=4)
        await fetch(prices, end=END - timedelta(seconds=60))
        await fetch(prices, asset="eth")
    async with open_prices(server, "binance", "kraken", cache_dir=tmp_path) as prices:
        await fetch(prices)
    async with open_prices(server, cache_dir=tmp_path, base_url=server.url + "/other/") as prices:
        await fetch(prices)
    assert len(server.requests) == 6
    assert server.requests[-1].path == "/other" + BINANCE


async def test_failures_are_not_kept(server: ScriptedServer, tmp_path: Path) -> None:
    """The next try asks again."""
    server.on(BINANCE, body(b"", status=500), klines(5))
    async with open_prices(server, cache_dir=tmp_path) as prices:
        with pytest.raises(TransientError):
            await fetch(prices)
        assert len((await fetch(prices)).candles) == 5


async def test_cache_keeps_the_newest_fifty(server: ScriptedServer, tmp_path: Path) -> None:
    """The folder does not grow for ever."""
    server.on(BINANCE, binance_candles())
    async with open_prices(server, cache_dir=tmp_path) as prices:
        for minute in range(55):
            await fetch(prices, end=END - timedelta(minutes=60 - minute))
        assert len(files_in(tmp_path)) == 50
        await fetch(prices, end=END - timedelta(minutes=6))
    assert len(server.requests) == 55


async def test_unwritable_cache_costs_only_requests(server: ScriptedServer, tmp_path: Path) -> None:
    """A folder that cannot be made is no reason not to trade."""
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    server.on(BINANCE, klines(5))
    async with open_prices(server, cache_dir=blocked / "cache") as prices:
        assert await fetch(prices) == await fetch(prices)
    assert len(server.requests) == 2
