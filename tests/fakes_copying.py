"""The outside world of the copy loop as a test writes it: feed, books, history, clock."""

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from polybot.domain.alerts import Alert
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
from polybot.domain.markets import OutcomeTokenId


class SetClock:
    """A clock that moves only when the test moves it; nobody waits on it."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def instant(self) -> datetime:
        return self.at

    async def now(self) -> datetime:
        return self.at

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)

    async def sleep_until(self, instant: datetime) -> None:
        await asyncio.sleep(0)

    def move(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


class ScriptedFeed:
    """Tells what the test tells it, while it runs."""

    def __init__(self) -> None:
        self.watermarks: dict[LeaderAddress, datetime] = {}
        self.told_until: dict[LeaderAddress, datetime] = {}
        self.remembered: set[LeaderTradeKey] = set()
        self.running = asyncio.Event()
        self.failures: list[Exception] = []
        self.starts = 0
        self.sources: tuple[SourceHealth, ...] = ()
        self.later: dict[FeedSource, tuple[int, ...]] = {}
        self._sink: Callable[[LeaderEvent], None] | None = None

    def follow(self, watermarks: dict[LeaderAddress, datetime]) -> None:
        self.watermarks = dict(watermarks)

    def remember(self, keys: Iterable[LeaderTradeKey]) -> None:
        self.remembered |= set(keys)

    async def run(self, sink: Callable[[LeaderEvent], None]) -> None:
        self.starts += 1
        if self.failures:
            raise self.failures.pop(0)
        self._sink = sink
        self.running.set()
        try:
            await asyncio.Event().wait()
        finally:
            self._sink = None
            self.running.clear()

    def read_until(self) -> dict[LeaderAddress, datetime]:
        return dict(self.told_until)

    def health(self) -> tuple[SourceHealth, ...]:
        return self.sources

    def lags(self) -> dict[FeedSource, tuple[int, ...]]:
        return self.later

    def tell(self, *events: LeaderEvent) -> None:
        """Call the sink, as a frame's handler does."""
        assert self._sink is not None, "the loop does not listen"
        for event in events:
            self._sink(event)


class ScriptedBooks:
    """Books as the test set them."""

    def __init__(self, *books: OrderBook) -> None:
        self.books = {book.token_id: book for book in books}
        self.watched: tuple[OutcomeTokenId, ...] = ()
        self.state = BookFeedHealth()

    def watch(self, token_ids: Iterable[OutcomeTokenId]) -> None:
        self.watched = tuple(token_ids)

    def book(self, token_id: OutcomeTokenId) -> OrderBook | None:
        return self.books.get(token_id)

    async def run(self) -> None:
        await asyncio.Event().wait()

    def health(self) -> BookFeedHealth:
        return self.state


class ScriptedHistory:
    """What the venue says that leaders hold; an error in place of data is raised."""

    def __init__(self) -> None:
        self.positions: tuple[LeaderPosition, ...] | Exception = ()
        self.reads = 0

    async def recent_trades(self, leader: LeaderAddress, *, limit: int) -> tuple[LeaderTrade, ...]:
        return ()

    async def leader_positions(self, leader: LeaderAddress) -> tuple[LeaderPosition, ...]:
        self.reads += 1
        if isinstance(self.positions, Exception):
            raise self.positions
        return self.positions


class KeptAlerts:
    """A notifier that keeps what it is given."""

    is_configured = True

    def __init__(self) -> None:
        self.sent: list[Alert] = []

    async def send(self, alert: Alert) -> bool:
        self.sent.append(alert)
        return True
