"""A window's candles are fetched once, and what is kept is checked like any answer."""

from datetime import timedelta
from pathlib import Path

import pytest

from polybot.errors import TransientError
from tests.prices_steps import BINANCE, END, binance_candles, fetch, klines, open_prices
from tests.scripted_server import ScriptedServer, body


def files_in(folder: Path) -> list[Path]:
    """Return what lies in a folder."""
    return list(folder.iterdir())


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
