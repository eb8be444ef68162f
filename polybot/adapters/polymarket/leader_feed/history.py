"""What the venue knows of a wallet's past: for people who choose whom to follow."""

from collections.abc import Callable
from datetime import datetime
from typing import Final, Self
from uuid import uuid4

from polybot.adapters.polymarket.leader_feed.pages import (
    read_leader_page,
    read_position_page,
)
from polybot.adapters.web import WebClient
from polybot.domain.leaders import LeaderAddress, LeaderPosition, LeaderTrade
from polybot.errors import DataError, PermanentError

_ROWS_PER_PAGE: Final = 500
_MAX_PAGES: Final = 20


class PolymarketLeaderHistory:
    """Reads wallets from the Data API, a page at a time and without retries."""

    def __init__(self, data_url: str, *, timeout_s: float, now: Callable[[], datetime]) -> None:
        """Keep where the Data API is; nothing is opened yet.

        Args:
            data_url: ``https://…``
            timeout_s: Total time of one request [s].
            now: The clock.
        """
        self._base = data_url.rstrip("/")
        self._now = now
        self._web = WebClient(timeout_s=timeout_s)

    async def __aenter__(self) -> Self:
        """Return the reader itself."""
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Close the connection."""
        await self._web.aclose()

    async def recent_trades(self, leader: LeaderAddress, *, limit: int) -> tuple[LeaderTrade, ...]:
        """Return a wallet's newest trades, newest first; at most 10,000.

        Rows that tell of no trade are left out.

        Raises:
            TransientError: The Data API did not answer.
            PermanentError: It refuses.
            DataError: A page cannot be read, or pages repeat.
        """
        found: list[LeaderTrade] = []
        query = {"user": leader, "taker_only": "false"}
        query["limit"] = str(max(1, min(limit, _ROWS_PER_PAGE)))
        seen: set[str] = set()
        while len(found) < limit and len(seen) < _MAX_PAGES:
            body = await self._get("/v2/trades", query)
            page = await read_leader_page(body, leader, received_at=self._now())
            found += page.trades
            if page.next_cursor is None:
                break
            _go_on(page.next_cursor, seen, query)
        return tuple(found[:limit])

    async def leader_positions(self, leader: LeaderAddress) -> tuple[LeaderPosition, ...]:
        """Return a wallet's positions, in the venue's order; at most 10,000; errors as above."""
        found: list[LeaderPosition] = []
        query = {"user": leader, "limit": str(_ROWS_PER_PAGE)}
        seen: set[str] = set()
        while len(seen) < _MAX_PAGES:
            page = await read_position_page(await self._get("/v2/positions", query), leader)
            found += page.positions
            if page.next_cursor is None:
                break
            _go_on(page.next_cursor, seen, query)
        return tuple(found)

    async def _get(self, path: str, query: dict[str, str]) -> bytes:
        # The edge caches an address for minutes; a value of its own makes each unique.
        body = await self._web.get(f"{self._base}{path}", {**query, "_": uuid4().hex})
        if body is None:
            raise PermanentError(f"the Data API has no {path}")
        return body


def _go_on(cursor: str, seen: set[str], query: dict[str, str]) -> None:
    if cursor in seen:
        raise DataError("pages of a leader repeat", reason="leader-pages-endless")
    seen.add(cursor)
    query["cursor"] = cursor
