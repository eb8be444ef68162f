"""The exchanges' candles over HTTP."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from polybot.sandbox import exchanges
from polybot.sandbox.venue import SandboxVenue
from polybot.sandbox.wire import json_answer, query_int


class CandleRoutes:
    """Handlers over one venue's prices; each reads the clock exactly once."""

    def __init__(self, venue: SandboxVenue) -> None:
        """Take the venue whose prices are shown."""
        self._venue = venue

    def routes(self) -> list[Route]:
        """Return one route an exchange."""
        gets = {
            "/api/v3/klines": self.binance,
            "/api/v3/brokerage/market/products/{symbol}/candles": self.coinbase,
            "/0/public/OHLC": self.kraken,
        }
        return [Route(path, handler, methods=["GET"]) for path, handler in gets.items()]

    async def binance(self, request: Request) -> Response:
        """Answer Binance's klines."""
        at_s = self._venue.now_s()
        asset = exchanges.asset_of(self._venue, request.query_params.get("symbol", ""))
        timeframe_s = exchanges.BINANCE_INTERVALS.get(request.query_params.get("interval", ""))
        if asset is None:
            return json_answer({"code": -1121, "msg": "Invalid symbol."}, 400)
        if timeframe_s is None:
            return json_answer({"code": -1120, "msg": "Invalid interval."}, 400)
        try:
            start_ms, end_ms = query_int(request, "startTime"), query_int(request, "endTime")
            limit = query_int(request, "limit", default=500) or 500
        except ValueError as error:
            return json_answer({"code": -1100, "msg": str(error)}, 400)
        rows = exchanges.binance_klines(
            self._venue,
            asset,
            timeframe_s=timeframe_s,
            start_ms=start_ms,
            end_ms=end_ms,
            limit=min(limit, exchanges.BINANCE_LIMIT),
            at_s=at_s,
        )
        return json_answer(rows)

    async def coinbase(self, request: Request) -> Response:
        """Answer Coinbase's candles."""
        at_s = self._venue.now_s()
        asset = exchanges.asset_of(self._venue, request.path_params["symbol"])
        granularity = request.query_params.get("granularity", "")
        timeframe_s = exchanges.COINBASE_GRANULARITIES.get(granularity)
        if asset is None:
            return json_answer({"error": "NOT_FOUND", "message": "product not found"}, 404)
        try:
            start_s, end_s = query_int(request, "start"), query_int(request, "end")
        except ValueError as error:
            return json_answer({"error": "INVALID_ARGUMENT", "message": str(error)}, 400)
        if timeframe_s is None:
            return json_answer({"error": "INVALID_ARGUMENT", "message": "granularity"}, 400)
        return json_answer(
            exchanges.coinbase_candles(
                self._venue, asset, timeframe_s=timeframe_s, start_s=start_s, end_s=end_s, at_s=at_s
            )
        )

    async def kraken(self, request: Request) -> Response:
        """Answer Kraken's OHLC; errors come with status 200, as Kraken sends them."""
        at_s = self._venue.now_s()
        pair = request.query_params.get("pair", "")
        asset = exchanges.asset_of(self._venue, pair)
        timeframe_s = exchanges.KRAKEN_INTERVALS.get(request.query_params.get("interval", "1"))
        if asset is None:
            return json_answer({"error": ["EQuery:Unknown asset pair"]})
        try:
            since_s = query_int(request, "since")
        except ValueError:
            timeframe_s = None
            since_s = None
        if timeframe_s is None:
            return json_answer({"error": ["EGeneral:Invalid arguments"]})
        return json_answer(
            exchanges.kraken_ohlc(
                self._venue, asset, pair, timeframe_s=timeframe_s, since_s=since_s, at_s=at_s
            )
        )
