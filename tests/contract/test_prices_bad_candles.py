"""Candles that are broken, late or not closed make no signal, and the reason says how."""

from datetime import timedelta
from typing import Any

import pytest

from polybot.errors import DataError, PolybotError, TransientError
from tests.prices_steps import BINANCE, END, END_S, fetch, kline, klines, open_prices
from tests.scripted_server import ScriptedServer


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
