"""The Data API's routes about wallets: trades, activity, positions, value.

It knows of things late, its edge answers the same URL with the same words for a while, and
``taker_only`` is on unless it is switched off.
"""

import base64
import binascii
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from polybot.sandbox.data_api import MAX_LIMIT, BadParameterError
from polybot.sandbox.leaders.edge_cache import EdgeCache
from polybot.sandbox.leaders.events import ActivityType, Entry, WalletTrade
from polybot.sandbox.leaders.positions import DUST, position_row, positions_of, value_of
from polybot.sandbox.leaders.stage import LeaderStage
from polybot.sandbox.leaders.wording import Json, activity_row, shown, trade_row
from polybot.sandbox.wire import json_answer, query_int

_WALLET: Final = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
_YEARS_S: Final = 3 * 365 * 86_400
Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Query:
    """What is asked for, as far as trades and activity have it in common."""

    wallet: str
    limit: int
    before: int | None
    """Only entries with a smaller number."""
    start_s: int
    end_s: int
    conditions: frozenset[str]
    side: str


class WalletRoutes:
    """Handlers over one stage."""

    def __init__(self, stage: LeaderStage, by_condition: Handler) -> None:
        """Take whose wallets, and who answers about trades of nobody in particular."""
        self._stage = stage
        self._by_condition = by_condition
        self._cache = EdgeCache()

    def routes(self) -> list[Route]:
        """Return every route."""
        return [
            Route("/v2/trades", self.trades, methods=["GET"]),
            Route("/v2/activity", self.activity, methods=["GET"]),
            Route("/v2/positions", self.positions, methods=["GET"]),
            Route("/v2/value", self.value, methods=["GET"]),
        ]

    async def trades(self, request: Request) -> Response:
        """Answer ``GET /v2/trades?user=…``, newest first; without a user, by condition."""
        if "user" not in request.query_params:
            return await self._by_condition(request)
        return self._answer(request, self._stage.options.cache_s, self._trades)

    async def activity(self, request: Request) -> Response:
        """Answer ``GET /v2/activity?user=…``, newest first."""
        return self._answer(request, self._stage.options.activity_cache_s, self._activity)

    async def positions(self, request: Request) -> Response:
        """Answer ``GET /v2/positions?user=…``, the one that changed last first."""
        return self._answer(request, 0, self._positions)

    async def value(self, request: Request) -> Response:
        """Answer ``GET /v2/value?user=…``; its fields are unverified."""
        return self._answer(request, 0, self._value)

    def _answer(
        self, request: Request, max_age_s: int, build: Callable[[Request, int], Json]
    ) -> Response:
        now_ms, url = self._stage.advance(), str(request.url)
        known = self._cache.find(url, now_ms, max_age_s)
        if known is not None:
            return known
        try:
            payload = build(request, now_ms)
        except (BadParameterError, ValueError) as error:
            return _bad_parameter(error)
        return self._cache.keep(url, now_ms, max_age_s, msgspec.json.encode(payload))

    def _trades(self, request: Request, now_ms: int) -> Json:
        query = _read(request, now_ms)
        takers_only = _flag(request, "taker_only", default=True)

        def fits(entry: Entry) -> bool:
            event = entry.event
            return isinstance(event, WalletTrade) and (event.is_taker or not takers_only)

        entries = self._matching(query, now_ms, fits)
        return _page(query.limit, entries, lambda one: trade_row(_trade(one)))

    def _activity(self, request: Request, now_ms: int) -> Json:
        query = _read(request, now_ms)
        text = request.query_params.get("type", "")
        try:
            kinds = {ActivityType(one) for one in text.split(",") if one and one not in _UNPLAYED}
        except ValueError as error:
            raise BadParameterError(str(error), "type") from error

        def fits(entry: Entry) -> bool:
            event = entry.event
            kind = ActivityType.TRADE if isinstance(event, WalletTrade) else event.kind
            return not text or kind in kinds

        entries = self._matching(query, now_ms, fits)
        return _page(query.limit, entries, lambda one: activity_row(one.event))

    def _positions(self, request: Request, now_ms: int) -> Json:
        wallet, stage = _wallet(request), self._stage
        limit = query_int(request, "limit", default=100, largest=MAX_LIMIT) or 100
        first = _cursor_number(request.query_params.get("cursor")) or 0
        wanted = frozenset(filter(None, request.query_params.get("status", "").split(",")))
        conditions = _conditions(request)
        behind_ms = max(0, stage.options.positions_lag_ms - stage.options.index_lag_ms)
        found = positions_of(
            stage.venue,
            (one for one in stage.of_wallet(wallet) if one.is_indexed(now_ms - behind_ms)),
        )
        siblings = {(one.token.condition_id, one.token.outcome_index): one for one in found}
        rows = []
        for one in found:
            other = siblings.get((one.token.condition_id, 1 - one.token.outcome_index))
            opposite = "" if other is None else other.token.token_id
            row = position_row(stage.venue, wallet, one, now_ms // 1000, opposite)
            row["mergeable"] = other is not None and min(one.size, other.size) >= DUST
            is_dust = 0 < one.size < DUST
            fits = not conditions or one.token.condition_id.lower() in conditions
            if fits and not is_dust and (not wanted or row["status"] in wanted):
                rows.append(row)
        page = rows[first : first + limit]
        has_more = first + limit < len(rows)
        return _envelope(page, limit, _write_cursor(first + limit) if has_more else None)

    def _value(self, request: Request, now_ms: int) -> Json:
        wallet, stage = _wallet(request), self._stage
        found = positions_of(
            stage.venue, (one for one in stage.of_wallet(wallet) if one.is_indexed(now_ms))
        )
        value = sum(
            (one.size * value_of(stage.venue, one, now_ms // 1000) for one in found),
            Decimal(0),
        )
        return {"data": [{"proxy_wallet": wallet, "value": shown(value)}]}

    def _matching(self, query: _Query, now_ms: int, fits: Callable[[Entry], bool]) -> list[Entry]:
        """Return one more entry than asked for, newest first."""
        found: list[Entry] = []
        for entry in reversed(self._stage.of_wallet(query.wallet)):
            if query.before is not None and entry.number >= query.before:
                continue
            if entry.event.timestamp < query.start_s:
                break
            if entry.event.timestamp > query.end_s:
                continue
            if entry.is_indexed(now_ms) and _is_of(entry, query) and fits(entry):
                found.append(entry)
                if len(found) > query.limit:
                    break
        return found


_UNPLAYED: Final = frozenset(
    {
        "REWARD",
        "CONVERSION",
        "MIGRATION",
        "DEPOSIT",
        "WITHDRAWAL",
        "YIELD",
        "TAKER_REBATE",
        "REFERRAL_REWARD",
        "TIP",
    }
)
"""Types that the venue knows and nobody here does."""


def _is_of(entry: Entry, query: _Query) -> bool:
    event = entry.event
    if isinstance(event, WalletTrade):
        condition, side = event.token.condition_id, event.side
    else:
        condition, side = event.condition_id, ""
    if query.conditions and condition.lower() not in query.conditions:
        return False
    return query.side in ("", side)


def _trade(entry: Entry) -> WalletTrade:
    assert isinstance(entry.event, WalletTrade)  # noqa: S101 - whoever asks has looked
    return entry.event


def _read(request: Request, now_ms: int) -> _Query:
    query = request.query_params
    if "offset" in query:
        raise BadParameterError("there is no offset paging", "offset")
    limit = query_int(request, "limit", default=100, largest=MAX_LIMIT)
    start_s = query_int(request, "start", default=now_ms // 1000 - _YEARS_S)
    end_s = query_int(request, "end", default=1 << 40)
    side = query.get("side", "").upper()
    if side not in ("", "BUY", "SELL"):
        raise BadParameterError("side must be BUY or SELL", "side")
    return _Query(
        wallet=_wallet(request),
        limit=limit or 100,
        before=_cursor_number(query.get("cursor")),
        start_s=start_s or 0,
        end_s=end_s or 0,
        conditions=_conditions(request),
        side=side,
    )


def _conditions(request: Request) -> frozenset[str]:
    query = request.query_params
    text = query.get("condition") or query.get("condition_id") or query.get("market") or ""
    return frozenset(one.lower() for one in text.split(",") if one)


def _wallet(request: Request) -> str:
    text = request.query_params.get("user", "")
    if not _WALLET.fullmatch(text):
        raise BadParameterError(f"invalid user address: {text[:80]!r}", "user")
    return text.lower()


def _flag(request: Request, name: str, *, default: bool) -> bool:
    text = request.query_params.get(name, "").lower()
    if text not in ("", "true", "false"):
        raise BadParameterError(f"{name} must be true or false", name)
    return default if not text else text == "true"


def _page(limit: int, entries: Sequence[Entry], row_of: Callable[[Entry], Json]) -> Json:
    page = entries[:limit]
    cursor = _write_cursor(page[-1].number) if len(entries) > limit else None
    return _envelope([row_of(one) for one in page], limit, cursor)


def _envelope(rows: list[Json], limit: int, cursor: str | None) -> Json:
    return {
        "data": rows,
        "pagination": {
            "limit": limit,
            "offset": 0,
            "has_more": cursor is not None,
            "next_cursor": cursor,
        },
    }


def _write_cursor(number: int) -> str:
    return base64.urlsafe_b64encode(f"wallet.{number}".encode()).decode()


def _cursor_number(cursor: str | None) -> int | None:
    if not cursor:
        return None
    try:
        kind, number = base64.urlsafe_b64decode(cursor).decode("ascii").split(".")
        if kind != "wallet":
            raise ValueError(kind)
        return int(number)
    except (binascii.Error, ValueError) as error:
        raise BadParameterError("invalid cursor", "cursor") from error


def _bad_parameter(error: Exception) -> Response:
    parameter = error.parameter if isinstance(error, BadParameterError) else "limit"
    body = {
        "error": str(error),
        "code": "bad_request",
        "retryable": False,
        "trace_id": "0",
        "parameter": parameter,
    }
    return json_answer(body, 400)
