"""Candles as Binance, Coinbase and Kraken word them, the last one always unfinished."""

import re
from typing import Final

from polybot.domain.candles import Candle
from polybot.sandbox.venue import SandboxVenue

BINANCE_INTERVALS: Final = {"1m": 60, "5m": 300, "15m": 900, "1h": 3_600}
COINBASE_GRANULARITIES: Final = {
    "ONE_MINUTE": 60,
    "FIVE_MINUTE": 300,
    "FIFTEEN_MINUTE": 900,
    "ONE_HOUR": 3_600,
}
KRAKEN_INTERVALS: Final = {"1": 60, "5": 300, "15": 900, "60": 3_600}
# What each exchange gives at most in one answer.
BINANCE_LIMIT: Final = 1_000
COINBASE_LIMIT: Final = 350
KRAKEN_LIMIT: Final = 720
_SYMBOL: Final = re.compile(r"([A-Z]{3})[-/]?(USDT|USDC|USD)", re.ASCII)


def asset_of(venue: SandboxVenue, symbol: str) -> str | None:
    """Return the asset of an exchange's symbol (``BTCUSDT``, ``BTC-USD``, ``XBTUSDT``)."""
    match = _SYMBOL.fullmatch(symbol.upper())
    if match is None:
        return None
    asset = "btc" if match[1] == "XBT" else match[1].lower()
    return asset if asset in venue.prices.assets else None


def binance_klines(
    venue: SandboxVenue,
    asset: str,
    *,
    timeframe_s: int,
    start_ms: int | None,
    end_ms: int | None,
    limit: int,
    at_s: int,
) -> list[list[object]]:
    """Return ``/api/v3/klines``: from ``start_ms`` on, or else the newest ``limit``."""
    last_s = at_s if end_ms is None else min(at_s, end_ms // 1000)
    if start_ms is None:
        first_s = last_s - last_s % timeframe_s - (limit - 1) * timeframe_s
    else:
        first_s = -(-start_ms // 1000)
        aligned_s = -(-first_s // timeframe_s) * timeframe_s
        last_s = min(last_s, aligned_s + (limit - 1) * timeframe_s)
    found = venue.candles(asset, timeframe_s=timeframe_s, first_s=first_s, last_s=last_s, at_s=at_s)
    return [_kline(candle, timeframe_s) for candle in found]


def coinbase_candles(
    venue: SandboxVenue,
    asset: str,
    *,
    timeframe_s: int,
    start_s: int | None,
    end_s: int | None,
    at_s: int,
) -> dict[str, object]:
    """Return ``/api/v3/brokerage/market/products/{id}/candles``, newest first."""
    last_s = at_s if end_s is None else min(at_s, end_s)
    oldest_s = last_s - last_s % timeframe_s - (COINBASE_LIMIT - 1) * timeframe_s
    first_s = oldest_s if start_s is None else max(start_s, oldest_s)
    found = venue.candles(asset, timeframe_s=timeframe_s, first_s=first_s, last_s=last_s, at_s=at_s)
    rows = [
        {
            "start": str(candle.open_s),
            "low": str(candle.low),
            "high": str(candle.high),
            "open": str(candle.open),
            "close": str(candle.close),
            "volume": str(candle.volume),
        }
        for candle in reversed(found)
    ]
    return {"candles": rows}


def kraken_ohlc(
    venue: SandboxVenue, asset: str, pair: str, *, timeframe_s: int, since_s: int | None, at_s: int
) -> dict[str, object]:
    """Return ``/0/public/OHLC``: never more than the newest 720."""
    oldest_s = at_s - at_s % timeframe_s - (KRAKEN_LIMIT - 1) * timeframe_s
    # Kraken's "since" is exclusive.
    first_s = oldest_s if since_s is None else max(oldest_s, since_s + 1)
    found = venue.candles(asset, timeframe_s=timeframe_s, first_s=first_s, last_s=at_s, at_s=at_s)
    rows = [
        [
            candle.open_s,
            str(candle.open),
            str(candle.high),
            str(candle.low),
            str(candle.close),
            str(round((candle.high + candle.low + candle.close) / 3, 6)),
            str(candle.volume),
            _trade_count(candle),
        ]
        for candle in found
    ]
    last_closed_s = found[-2].open_s if len(found) > 1 else oldest_s
    return {"error": [], "result": {pair: rows, "last": last_closed_s}}


def _kline(candle: Candle, timeframe_s: int) -> list[object]:
    quote = candle.volume * (candle.high + candle.low) / 2
    return [
        candle.open_s * 1000,
        f"{candle.open:.8f}",
        f"{candle.high:.8f}",
        f"{candle.low:.8f}",
        f"{candle.close:.8f}",
        f"{candle.volume:.8f}",
        (candle.open_s + timeframe_s) * 1000 - 1,
        f"{quote:.8f}",
        _trade_count(candle),
        f"{candle.volume / 2:.8f}",
        f"{quote / 2:.8f}",
        "0",
    ]


def _trade_count(candle: Candle) -> int:
    """Return a plausible number of trades; nobody decides by it."""
    return 1 + int(candle.volume * 10) % 5_000
