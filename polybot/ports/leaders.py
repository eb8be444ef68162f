"""What copying needs from the outside world: leaders' trades, books that are read at once."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final, Protocol

from polybot.domain.books import BookFeedHealth, OrderBook
from polybot.domain.leaders import (
    FeedSource,
    LeaderAddress,
    LeaderEvent,
    LeaderPosition,
    LeaderTrade,
    LeaderTradeKey,
    SourceHealth,
)
from polybot.domain.markets import (
    OutcomeTokenId,
)

LAG_BUCKETS_S: Final = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""Upper ends of the histogram of how much later a source was [s]; the last count is for more."""


class LeaderFeed(Protocol):
    """What leaders do, merged from every source and told once each.

    ``run`` calls its sink from the event loop, straight from the frame's handler: between the
    frame and the decision there is no queue and no task switch. The sink must not block for long
    and must not raise. The first sighting of a trade is told at once; a true repeat (the same
    transaction, token, side, price and size again) only once the Data API or the chain proves it.
    The memory of what was told is bounded; the ledger's keys decide across restarts.
    """

    def follow(self, watermarks: dict[LeaderAddress, datetime]) -> None:
        """Set whom to follow, also while running; the instants say from where to re-read.

        Reading may begin an hour and the overlap earlier, for what the venue listed late: events
        from before may be told, and told again after a restart.
        """
        ...

    def remember(self, keys: Iterable[LeaderTradeKey]) -> None:
        """Take over keys that the ledger holds, so that they are not told again."""
        ...

    async def run(self, sink: Callable[[LeaderEvent], None]) -> None:
        """Tell every event until cancelled; reconnects and fills gaps by itself."""
        ...

    def read_until(self) -> dict[LeaderAddress, datetime]:
        """Return up to which instant every trade of a leader has been told for certain."""
        ...

    def health(self) -> tuple[SourceHealth, ...]:
        """Return how each source is doing."""
        ...

    def lags(self) -> dict[FeedSource, tuple[int, ...]]:
        """Return how much later than the first each source told a trade, by ``LAG_BUCKETS_S``."""
        ...


class BookFeed(Protocol):
    """Order books of watched tokens, kept current, read without leaving the process."""

    def watch(self, token_ids: Iterable[OutcomeTokenId]) -> None:
        """Set which tokens to watch, also while running."""
        ...

    def book(self, token_id: OutcomeTokenId) -> OrderBook | None:
        """Return the newest book, ``None`` where none is known; ``as_of`` tells how fresh."""
        ...

    async def run(self) -> None:
        """Keep the books until cancelled; reconnects by itself."""
        ...

    def health(self) -> BookFeedHealth:
        """Return how the feed is doing."""
        ...


class LeaderHistory(Protocol):
    """What the venue knows of a wallet's past: for people, never for the hot path."""

    async def recent_trades(self, leader: LeaderAddress, *, limit: int) -> tuple[LeaderTrade, ...]:
        """Return a wallet's newest trades, newest first."""
        ...

    async def leader_positions(self, leader: LeaderAddress) -> tuple[LeaderPosition, ...]:
        """Return everything a wallet holds or has closed, as far as the venue shows it."""
        ...
