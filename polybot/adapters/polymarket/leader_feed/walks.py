"""Complete walks through a wallet's rows in the Data API: from now back to an instant.

A walk is taken whole or not at all: repeats inside it are true repeats, so a list that changed
while it was read, a cursor that comes again and pages without end must not be believed.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import uuid4

from polybot.adapters.polymarket.leader_feed.pages import LeaderPage, read_leader_page
from polybot.adapters.polymarket.leader_feed.tally import Pace
from polybot.adapters.web import WebClient
from polybot.domain.leaders import LeaderAddress, LeaderConversion, LeaderTrade
from polybot.errors import DataError, PermanentError

# A row is about 1 kB with the texts that traders choose; a page stays well below 1 MiB.
_ROWS_PER_PAGE: Final = 500
_FEWEST_ROWS: Final = 50
# 20,000 rows: more than anybody trades between two reads.
_MAX_PAGES: Final = 40
# Another page length, so that rows which two pages share fall into one.
_LIMIT_STEP: Final = 7
_TRIES: Final = 3
CONVERSION_TYPES: Final = "SPLIT,MERGE,REDEEM,CONVERSION"


@dataclass(slots=True, kw_only=True)
class Walk:
    """Everything between two instants, each row as often as it happened."""

    leader: LeaderAddress
    start: datetime
    end: datetime | None
    """``None``: until it was read."""
    trades: list[LeaderTrade] = field(default_factory=list)
    conversions: list[LeaderConversion] = field(default_factory=list)
    not_taken: Counter[str] = field(default_factory=Counter)


class WalkReader:
    """Reads one endpoint of the Data API."""

    def __init__(
        self,
        url: str,
        params: dict[str, str],
        *,
        web: WebClient,
        pace: Pace,
        now: Callable[[], datetime],
    ) -> None:
        """Keep what to ask for.

        Args:
            url: The endpoint.
            params: Beside wallet, start, limit and cursor.
            web: One warm session.
            pace: Of all requests to the endpoint.
            now: The clock.
        """
        self._url = url
        self._params = params
        self._web = web
        self._pace = pace
        self._now = now
        self._limit = _ROWS_PER_PAGE

    async def walk(
        self, leader: LeaderAddress, *, start: datetime, end: datetime | None = None
    ) -> Walk:
        """Return a wallet's rows from the second of ``start`` on.

        Args:
            leader: The wallet.
            start: First second.
            end: Last second; ``None``: until now.

        Raises:
            TransientError: The Data API did not answer.
            RateLimitedError: It asks for rest.
            PermanentError: It refuses.
            DataError: ``leader-pages-endless`` where pages repeat or do not end,
                ``leader-walk-unsettled`` where rows move while they are read, or a page's reason.
        """
        limit = self._limit
        for _ in range(_TRIES):
            pages = await self._pages(leader, start, end, limit)
            if not _shares_rows(pages):
                return _joined(leader, pages, start, end)
            limit -= _LIMIT_STEP
        raise DataError("rows move while they are read", reason="leader-walk-unsettled")

    async def _pages(
        self, leader: LeaderAddress, start: datetime, end: datetime | None, limit: int
    ) -> list[LeaderPage]:
        query = {**self._params, "user": leader, "limit": str(limit)}
        query["start"] = str(int(start.timestamp()))
        if end is not None:
            query["end"] = str(int(end.timestamp()))
        pages: list[LeaderPage] = []
        seen: set[str] = set()
        while len(pages) < _MAX_PAGES:
            page = await self._page(leader, query)
            pages.append(page)
            cursor = page.next_cursor
            if cursor is None or _is_before(page, start):
                return pages
            # An honest page that is not the last one holds something.
            if cursor in seen or page.row_count == 0:
                break
            seen.add(cursor)
            query["cursor"] = cursor
        raise DataError(
            f"rows of a leader did not end after {len(pages)} pages", reason="leader-pages-endless"
        )

    async def _page(self, leader: LeaderAddress, query: dict[str, str]) -> LeaderPage:
        await self._pace.wait()
        # The edge caches an address for up to five minutes; a value of its own makes each unique.
        try:
            body = await self._web.get(self._url, {**query, "_": uuid4().hex})
        except DataError as error:
            if error.reason == "answer-too-large" and self._limit > _FEWEST_ROWS:
                self._limit //= 2
            raise
        if body is None:
            raise PermanentError("the Data API has no such endpoint")
        return await read_leader_page(body, leader, received_at=self._now())


def _shares_rows(pages: list[LeaderPage]) -> bool:
    """Whether two pages hold an equal row: a true repeat, or one row that moved."""
    seen: set[str] = set()
    for page in pages:
        keys: set[str] = {one.key for one in page.trades}
        keys.update(one.key for one in page.conversions)
        if seen & keys:
            return True
        seen |= keys
    return False


def _is_before(page: LeaderPage, start: datetime) -> bool:
    """Whether a page lies wholly before the start: newest first, so nothing follows."""
    instants = [trade.traded_at for trade in page.trades]
    instants += [one.happened_at for one in page.conversions]
    return bool(instants) and max(instants) < start.replace(microsecond=0)


def _joined(
    leader: LeaderAddress, pages: list[LeaderPage], start: datetime, end: datetime | None
) -> Walk:
    first = start.replace(microsecond=0)
    walk = Walk(leader=leader, start=first, end=end)
    for page in pages:
        walk.trades += [
            one
            for one in page.trades
            if one.traded_at >= first and (end is None or one.traded_at <= end)
        ]
        walk.conversions += [
            one
            for one in page.conversions
            if one.happened_at >= first and (end is None or one.happened_at <= end)
        ]
        walk.not_taken += page.not_taken
    # Newest first on the wire; told oldest first.
    walk.trades.reverse()
    walk.conversions.reverse()
    return walk
