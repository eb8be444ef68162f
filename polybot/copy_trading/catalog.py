"""The markets that can be copied, known before a leader trades in them.

Current and next windows of every series that some leader's policy allows are fetched in the
background; the hot path only looks them up.
"""

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Final

from polybot.copy_trading.background import Troubles
from polybot.domain.markets import Market, MarketSeries, MarketWindow, OutcomeTokenId
from polybot.errors import DataError, TransientError
from polybot.ports import InstantClock, MarketData

# What decides about a market may change while it runs (tick, fees, whether it takes orders).
REFRESH_S: Final = 60.0
RETRY_S: Final = 5.0
# Trades in a window that has ended are still told for a while, to be recorded under its market.
KEPT_AFTER_END: Final = timedelta(minutes=10)
_LOOK_EVERY_S: Final = 0.25
_AT_ONCE: Final = 4
_MOST_ASKED: Final = 64


class MarketCatalog:
    """Known markets by their tokens."""

    def __init__(
        self,
        market_data: MarketData,
        clock: InstantClock,
        troubles: Troubles,
        *,
        on_change: Callable[[tuple[OutcomeTokenId, ...]], None],
    ) -> None:
        """Take where markets are found.

        Args:
            market_data: The venue.
            clock: Tells which windows are current.
            troubles: Shows what could not be fetched.
            on_change: Told which tokens are known, whenever that changes.
        """
        self._market_data = market_data
        self._clock = clock
        self._troubles = troubles
        self._on_change = on_change
        self._series: tuple[MarketSeries, ...] = ()
        self._markets: dict[MarketWindow, Market] = {}
        self._by_token: dict[OutcomeTokenId, Market] = {}
        self._due: dict[MarketWindow, float] = {}
        self._asked: dict[MarketWindow, None] = {}
        self._failing: dict[MarketWindow, Exception] = {}

    def __len__(self) -> int:
        """Return how many markets are known."""
        return len(self._markets)

    def market_of(self, token_id: OutcomeTokenId) -> Market | None:
        """Return the market of a token, where it is known."""
        return self._by_token.get(token_id)

    def current_tokens(self) -> tuple[OutcomeTokenId, ...]:
        """Return the tokens of the known windows that run now."""
        now = self._clock.instant()
        return tuple(
            token_id
            for window, market in self._markets.items()
            if window.start <= now < window.end
            for token_id in market.token_ids.values()
        )

    def cover(self, series: Iterable[MarketSeries]) -> None:
        """Set which series to know."""
        self._series = tuple(series)

    def ask_for(self, slug: str) -> None:
        """Fetch a market soon that a leader traded in and nobody knew; others are ignored."""
        try:
            window = MarketWindow.parse_slug(slug)
        except ValueError:
            return
        if window.end + KEPT_AFTER_END > self._clock.instant() and len(self._asked) < _MOST_ASKED:
            self._asked[window] = None

    async def refresh(self) -> None:
        """Fetch what is due, and forget what has ended."""
        now = self._clock.instant()
        clock = asyncio.get_running_loop().time
        wanted = self._wanted(now)
        for window in [window for window in self._due if window not in wanted]:
            del self._due[window]
        due = [window for window in wanted if self._due.get(window, 0.0) <= clock()]
        changed = self._forget_ended(now)
        gate = asyncio.Semaphore(_AT_ONCE)

        async def fetch(window: MarketWindow) -> bool:
            async with gate:
                return await self._fetch(window)

        found = await asyncio.gather(*(fetch(window) for window in due))
        if changed or any(found):
            self._on_change(tuple(self._by_token))
        self._show_troubles(wanted)

    async def run(self) -> None:
        """Keep the catalog until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(_LOOK_EVERY_S)

    def _wanted(self, now: datetime) -> dict[MarketWindow, None]:
        wanted: dict[MarketWindow, None] = {}
        for series in self._series:
            current = series.window_at(now)
            wanted[current] = None
            wanted[series.window_at(current.end)] = None
        for window in [window for window in self._asked if window.end + KEPT_AFTER_END <= now]:
            del self._asked[window]
        return wanted | self._asked

    async def _fetch(self, window: MarketWindow) -> bool:
        """Fetch one market; whether it was not known."""
        clock = asyncio.get_running_loop().time
        try:
            market = await self._market_data.find_market(window)
        except (TransientError, DataError) as problem:
            self._due[window] = clock() + RETRY_S
            self._failing[window] = problem
            return False
        self._failing.pop(window, None)
        self._due[window] = clock() + REFRESH_S
        is_new = window not in self._markets
        self._markets[window] = market
        for token_id in market.token_ids.values():
            self._by_token[token_id] = market
        return is_new

    def _forget_ended(self, now: datetime) -> bool:
        ended = [window for window in self._markets if window.end + KEPT_AFTER_END <= now]
        for window in ended:
            for token_id in self._markets.pop(window).token_ids.values():
                self._by_token.pop(token_id, None)
        return bool(ended)

    def _show_troubles(self, wanted: Iterable[MarketWindow]) -> None:
        self._failing = {one: self._failing[one] for one in wanted if one in self._failing}
        now = self._clock.instant()
        # The next window may just not be listed yet.
        running = [error for window, error in self._failing.items() if window.start <= now]
        if running:
            self._troubles.note("catalog", running[0])
        else:
            self._troubles.clear("catalog")
