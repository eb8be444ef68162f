"""Candles as Binance writes them, and a feed of prices whose exchanges are a scripted server."""

from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from polybot.adapters.prices import CcxtPrices
from tests.fakes import FixedClock
from tests.scripted_server import Answer, ScriptedServer

END = datetime(2026, 10, 5, 23, 0, tzinfo=UTC)
END_S = int(END.timestamp())
BINANCE = "/api/v3/klines"


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
