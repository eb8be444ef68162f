"""Resolutions and public trades as the Data API v2 words them."""

import base64
import binascii
import re
from itertools import islice
from typing import Final

from polybot.domain.markets import Outcome
from polybot.sandbox.gamma import Json, iso, title_of
from polybot.sandbox.listing import VenueMarket
from polybot.sandbox.seeds import digest
from polybot.sandbox.tape import Print
from polybot.sandbox.venue import SandboxVenue

MAX_LIMIT: Final = 1_000
_CONDITION: Final = re.compile(r"0x[0-9a-fA-F]{64}", re.ASCII)
# Any block will do, as long as later resolutions have higher ones.
_FIRST_BLOCK: Final = 95_000_000


class BadParameterError(ValueError):
    """Report a parameter that the Data API answers with 400."""

    def __init__(self, message: str, parameter: str) -> None:
        """Keep which parameter it was."""
        super().__init__(message)
        self.parameter = parameter


def check_condition(condition_id: str) -> str:
    """Return a well-formed condition id, or raise :class:`BadParameterError`."""
    if not _CONDITION.fullmatch(condition_id):
        raise BadParameterError(f"invalid condition id: {condition_id[:80]!r}", "condition")
    return condition_id


def build_resolutions(venue: SandboxVenue, conditions: list[str], at_s: int) -> Json:
    """Return ``GET /v2/resolutions``: one row per decided market, none for the others."""
    rows = []
    for condition_id in conditions:
        market = venue.market_of_condition(check_condition(condition_id), at_s)
        winner = venue.winner(market, at_s) if market is not None else None
        if market is not None and winner is not None:
            rows.append(_resolution_row(market, winner))
    return {"data": rows}


def build_trades(
    venue: SandboxVenue, condition_id: str, at_s: int, *, limit: int, cursor: str | None
) -> Json:
    """Return a page of ``GET /v2/trades`` by condition, newest first.

    A cursor carries the page size and the last trade served, as the venue's does; so pages stay
    stable while new trades arrive.
    """
    market = venue.market_of_condition(check_condition(condition_id), at_s)
    before = None
    if cursor is not None:
        limit, before = _read_cursor(cursor)
    found = venue.trades(market, at_s) if market is not None else iter(())
    page = list(islice((one for one in found if before is None or _place(one) < before), limit + 1))
    has_more = len(page) > limit
    page = page[:limit]
    return {
        "data": [_trade_row(market, one) for one in page if market is not None],
        "pagination": {
            "limit": limit,
            "offset": 0,
            "has_more": has_more,
            "next_cursor": _write_cursor(limit, page[-1]) if has_more else None,
        },
    }


def _resolution_row(market: VenueMarket, winner: Outcome) -> Json:
    won = 1_000_000
    return {
        "condition_id": market.condition_id,
        "status": "resolved",
        "extended_review": False,
        "was_disputed": False,
        "new_version_q": False,
        "transaction_hash": "0x" + digest("resolution", market.condition_id).hex(),
        "log_index": "993",
        "last_update_timestamp": iso(market.resolved_s),
        "payouts": [won, 0] if winner is Outcome.UP else [0, won],
        "resolution_source": "reported",
        "resolved_block": _FIRST_BLOCK + market.resolved_s // 2 % 10_000_000,
        "resolved_at": iso(market.resolved_s),
    }


def _trade_row(market: VenueMarket, one: Print) -> Json:
    is_up = one.outcome is Outcome.UP
    return {
        "proxy_wallet": one.wallet,
        "side": one.side,
        "token_id": market.up_token_id if is_up else market.down_token_id,
        "condition_id": market.condition_id,
        "size": float(one.size),
        "price": float(one.price),
        "timestamp": one.traded_s,
        "title": title_of(market),
        "slug": market.window.slug,
        "icon": "",
        "event_slug": market.window.slug,
        "outcome": one.outcome.value,
        "outcome_index": 0 if is_up else 1,
        "name": "",
        "pseudonym": "",
        "bio": "",
        "profile_image": "",
        "profile_image_optimized": "",
        "transaction_hash": one.transaction_hash,
    }


def _place(one: Print) -> tuple[int, int]:
    return one.traded_s, one.number


def _write_cursor(limit: int, last: Print) -> str:
    return base64.urlsafe_b64encode(f"{limit}.{last.traded_s}.{last.number}".encode()).decode()


def _read_cursor(cursor: str) -> tuple[int, tuple[int, int]]:
    try:
        limit, traded_s, number = base64.urlsafe_b64decode(cursor).decode("ascii").split(".")
        return min(int(limit), MAX_LIMIT), (int(traded_s), int(number))
    except (binascii.Error, ValueError) as error:
        raise BadParameterError("invalid cursor", "cursor") from error
