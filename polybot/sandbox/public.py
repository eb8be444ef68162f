"""The venue's public routes, all its hosts merged into one."""

from collections.abc import Awaitable, Callable

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from polybot.sandbox import clob, data_api, gamma
from polybot.sandbox.listing import VenueMarket
from polybot.sandbox.venue import SandboxVenue
from polybot.sandbox.wire import json_answer, query_int

Handler = Callable[[Request], Awaitable[Response]]
_MAX_BOOKS = 500


class _TokenRequest(msgspec.Struct):
    token_id: str


class PublicRoutes:
    """Handlers over one venue; each reads the clock exactly once."""

    def __init__(self, venue: SandboxVenue) -> None:
        """Take the venue that answers."""
        self._venue = venue

    def routes(self) -> list[Route]:
        """Return every public route."""
        gets: dict[str, Handler] = {
            "/markets/slug/{slug}": self.market_by_slug,
            "/events/slug/{slug}": self.event_by_slug,
            "/markets": self.markets,
            "/markets/keyset": self.markets_keyset,
            "/time": self.time,
            "/book": self.book,
            "/clob-markets/{condition_id}": self.clob_market,
            "/markets-by-token/{token_id}": self.market_by_token,
            "/version": self.version,
            "/midpoint": self.midpoint,
            "/price": self.price,
            "/tick-size": self.tick_size,
            "/neg-risk": self.neg_risk,
            "/v2/resolutions": self.resolutions,
            "/v2/trades": self.trades,
            "/api/geoblock": self.geoblock,
        }
        routes = [Route(path, handler, methods=["GET"]) for path, handler in gets.items()]
        return [*routes, Route("/books", self.books, methods=["POST"])]

    # Gamma --------------------------------------------------------------------------------------
    async def market_by_slug(self, request: Request) -> Response:
        """Answer ``GET /markets/slug/{slug}``."""
        at_s = self._venue.now_s()
        market = self._venue.market(request.path_params["slug"], at_s)
        if market is None:
            return _no_slug()
        return json_answer(gamma.build_market(self._venue, market, at_s))

    async def event_by_slug(self, request: Request) -> Response:
        """Answer ``GET /events/slug/{slug}``."""
        at_s = self._venue.now_s()
        market = self._venue.market(request.path_params["slug"], at_s)
        if market is None:
            return _no_slug()
        return json_answer(gamma.build_event(self._venue, market, at_s))

    async def markets(self, request: Request) -> Response:
        """Answer ``GET /markets``: open markets unless ``closed=true``, by slug, id or token."""
        return json_answer(self._markets(request))

    async def markets_keyset(self, request: Request) -> Response:
        """Answer ``GET /markets/keyset``: the same, in pages of which there is one."""
        return json_answer({"markets": self._markets(request)})

    def _markets(self, request: Request) -> list[gamma.Json]:
        at_s = self._venue.now_s()
        is_closed = request.query_params.get("closed", "false") == "true"
        finders: dict[str, Callable[[str, int], VenueMarket | None]] = {
            "slug": self._venue.market,
            "condition_ids": self._market_of_any_condition,
            "clob_token_ids": self._venue.market_of_token,
            "position_ids": self._venue.market_of_token,
        }
        found: dict[str, VenueMarket] = {}
        for name, find in finders.items():
            for value in request.query_params.getlist(name)[:50]:
                market = find(value, at_s)
                if market is not None and (
                    market.is_resolved(at_s - self._venue.gamma_late_s) is is_closed
                ):
                    found[market.condition_id] = market
        return [gamma.build_market(self._venue, market, at_s) for market in found.values()]

    # CLOB ---------------------------------------------------------------------------------------
    async def time(self, request: Request) -> Response:
        """Answer ``GET /time`` with the virtual second."""
        now_ms = self._venue.clock.now_ms() + self._venue.clock_skew_ms
        return json_answer(now_ms // 1000)

    async def book(self, request: Request) -> Response:
        """Answer ``GET /book``."""
        book = self._book_of(request)
        return json_answer(book) if book is not None else _no_book()

    async def books(self, request: Request) -> Response:
        """Answer ``POST /books``; tokens without a book are left out."""
        try:
            wanted = msgspec.json.decode(await request.body(), type=list[_TokenRequest])
        except msgspec.DecodeError:
            return json_answer({"error": "Invalid payload"}, 400)
        at_s = self._venue.now_s()
        built = (clob.build_book(self._venue, one.token_id, at_s) for one in wanted[:_MAX_BOOKS])
        return json_answer([book for book in built if book is not None])

    async def clob_market(self, request: Request) -> Response:
        """Answer ``GET /clob-markets/{condition_id}``."""
        at_s = self._venue.now_s()
        market = self._venue.market_of_condition(request.path_params["condition_id"], at_s)
        if market is None:
            return json_answer({"error": "market not found"}, 404)
        return json_answer(clob.build_clob_market(self._venue, market, at_s))

    async def market_by_token(self, request: Request) -> Response:
        """Answer ``GET /markets-by-token/{token_id}``: tokens in numeric order, not Up and Down."""
        at_s = self._venue.now_s()
        market = self._venue.market_of_token(request.path_params["token_id"], at_s)
        if market is None:
            return json_answer({"error": "market not found"}, 404)
        return json_answer(clob.build_market_by_token(market))

    async def version(self, request: Request) -> Response:
        """Answer ``GET /version``: 2 whatever the versions of the markets."""
        return json_answer({"version": 2})

    async def midpoint(self, request: Request) -> Response:
        """Answer ``GET /midpoint``."""
        at_s = self._venue.now_s()
        book = self._venue.book(request.query_params.get("token_id", ""), at_s)
        if book is None or book.midpoint is None:
            return _no_book()
        return json_answer({"mid": str(book.midpoint.normalize())})

    async def price(self, request: Request) -> Response:
        """Answer ``GET /price``: the best bid for BUY, the best ask for SELL."""
        side = request.query_params.get("side", "").upper()
        if side not in ("BUY", "SELL"):
            return json_answer({"error": "Invalid side"}, 400)
        book = self._book_of(request)
        if book is None:
            return _no_book()
        bid, ask = clob.best_prices(book)
        return json_answer({"price": (bid if side == "BUY" else ask) or "0"})

    async def tick_size(self, request: Request) -> Response:
        """Answer ``GET /tick-size``."""
        return self._fact(
            request, lambda market: {"minimum_tick_size": float(self._venue.tick_size(market))}
        )

    async def neg_risk(self, request: Request) -> Response:
        """Answer ``GET /neg-risk``."""
        return self._fact(request, lambda market: {"neg_risk": market.is_negative_risk})

    # Data API -----------------------------------------------------------------------------------
    async def resolutions(self, request: Request) -> Response:
        """Answer ``GET /v2/resolutions?condition=…``."""
        at_s = self._venue.now_s()
        try:
            return json_answer(data_api.build_resolutions(self._venue, _conditions(request), at_s))
        except data_api.BadParameterError as error:
            return _bad_parameter(error)

    async def trades(self, request: Request) -> Response:
        """Answer ``GET /v2/trades?condition=…``, newest first, by cursor."""
        at_s = self._venue.now_s()
        try:
            if "offset" in request.query_params:
                raise data_api.BadParameterError("there is no offset paging", "offset")
            conditions = _conditions(request)
            if len(conditions) != 1:
                raise data_api.BadParameterError("give exactly one condition", "condition")
            limit = query_int(request, "limit", default=100, largest=data_api.MAX_LIMIT)
            payload = data_api.build_trades(
                self._venue,
                conditions[0],
                at_s,
                limit=limit or 100,
                cursor=request.query_params.get("cursor"),
            )
        except data_api.BadParameterError as error:
            return _bad_parameter(error)
        except ValueError as error:
            return _bad_parameter(data_api.BadParameterError(str(error), "limit"))
        return json_answer(payload)

    # Site ---------------------------------------------------------------------------------------
    async def geoblock(self, request: Request) -> Response:
        """Answer ``GET /api/geoblock``: a machine may always trade with itself."""
        place = {"ip": "127.0.0.1", "country": "CH", "region": "ZH"}
        return json_answer({"blocked": False, **place})

    def _market_of_any_condition(self, condition_id: str, at_s: int) -> VenueMarket | None:
        # Gamma shows 31 bytes for v2 markets and takes them back.
        padded = condition_id + "00" if len(condition_id) == 64 else condition_id
        return self._venue.market_of_condition(padded, at_s)

    def _book_of(self, request: Request) -> gamma.Json | None:
        token_id = request.query_params.get("token_id", "")
        return clob.build_book(self._venue, token_id, self._venue.now_s())

    def _fact(self, request: Request, fact_of: Callable[[VenueMarket], gamma.Json]) -> Response:
        at_s = self._venue.now_s()
        market = self._venue.market_of_token(request.query_params.get("token_id", ""), at_s)
        if market is None or market.is_resolved(at_s):
            return json_answer({"error": "market not found"}, 404)
        return json_answer(fact_of(market))


def _conditions(request: Request) -> list[str]:
    query = request.query_params
    text = query.get("condition") or query.get("condition_id") or query.get("conditionId") or ""
    if not text:
        raise data_api.BadParameterError("condition is required", "condition")
    return text.split(",")[:20]


def _bad_parameter(error: data_api.BadParameterError) -> Response:
    return json_answer(
        {
            "error": str(error),
            "code": "bad_request",
            "retryable": False,
            "trace_id": "0",
            "parameter": error.parameter,
        },
        400,
    )


def _no_book() -> Response:
    return json_answer({"error": clob.NO_BOOK}, 404)


def _no_slug() -> Response:
    return json_answer({"type": "not found error", "error": "slug not found"}, 404)
