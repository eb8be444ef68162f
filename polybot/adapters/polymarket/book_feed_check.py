"""Whether the books of the market socket are right: compared with the venue's own answers.

The stream may lose an event, or freeze while its socket still answers pings. A token whose book
is known is compared with ``GET /book`` every few seconds; one whose book is not known is learnt
from there, with the changes that came while the answer was on its way laid over it.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from polybot.adapters.polymarket.book_feed_state import TokenBook
from polybot.domain.books import OrderBook
from polybot.domain.markets import OutcomeTokenId
from polybot.errors import DataError, PolybotError

ReadBook = Callable[[OutcomeTokenId], Awaitable[OrderBook]]

_AT_ONCE: Final = 8
# How often it is looked whether the stream has caught up with an answer.
_LOOKS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class BookTiming:
    """How the socket is kept alive, checked, and given up [s]."""

    ping_s: float = 10.0
    quiet_s: float = 25.0
    """Not even a PONG for so long: the connection is dead."""
    silence_s: float = 15.0
    """Neither data nor an agreement with ``GET /book`` for so long: it may be frozen."""
    compare_s: float = 5.0
    """Between two comparisons of a token whose book is known."""
    recover_s: float = 1.0
    """Between two attempts to learn a book that is not known."""
    settle_s: float = 1.0
    """So long may the stream be behind an answer before they are compared."""
    look_s: float = 0.25
    """Between two looks for what is due."""
    first_pause_s: float = 0.5
    longest_pause_s: float = 30.0


@dataclass(slots=True, kw_only=True)
class BookCounts:
    """What the feed has seen since its start."""

    is_connected: bool = False
    connects: int = 0
    frames: int = 0
    agreements: int = 0
    """Comparisons with ``GET /book`` that found the same."""
    gaps: int = 0
    """Books that turned out to be wrong, or incomplete, although the connection held."""
    freezes: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    """Rows and answers that were not taken, by reason."""


@dataclass(slots=True, kw_only=True)
class Life:
    """The signs of life of one connection."""

    heard_at: datetime | None = None
    """The newest event, by the venue's clock and not later than ours."""
    events: int = 0
    alive_s: float = 0.0
    """When there was last an event or an agreement, by the event loop's clock."""


class Watched:
    """A token with what is known about its book, and when that was last looked at."""

    __slots__ = ("book", "compared_at_s", "is_compared", "proved_at")

    def __init__(self, token_id: OutcomeTokenId) -> None:
        """Know nothing yet."""
        self.book = TokenBook(token_id)
        self.proved_at: datetime | None = None
        """As of when the book was last proved right by itself."""
        self.compared_at_s = float("-inf")
        self.is_compared = False


class BookCheck:
    """Compares books for as long as a connection lasts."""

    def __init__(
        self,
        read_book: ReadBook,
        *,
        now: Callable[[], datetime],
        timing: BookTiming,
        counts: BookCounts,
    ) -> None:
        """Keep where the answers come from, and where it is counted what was found."""
        self._read_book = read_book
        self._now = now
        self._timing = timing
        self._counts = counts
        self._at_once = asyncio.Semaphore(_AT_ONCE)

    async def run(self, watched: Callable[[], Iterable[Watched]], life: Life) -> None:
        """Compare what is due until the connection turns out to be frozen."""
        loop = asyncio.get_running_loop()
        frozen = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            running: set[asyncio.Task[None]] = set()
            while not frozen.is_set():
                if loop.time() - life.alive_s > self._timing.silence_s:
                    break
                for one in watched():
                    if not one.is_compared and loop.time() - one.compared_at_s >= self._pause(one):
                        one.is_compared = True
                        task = group.create_task(self._compare(one, life, frozen))
                        running.add(task)
                        task.add_done_callback(running.discard)
                await asyncio.sleep(self._timing.look_s)
            for task in running:
                task.cancel()

    def _pause(self, one: Watched) -> float:
        return self._timing.compare_s if one.book.is_known else self._timing.recover_s

    async def _compare(self, one: Watched, life: Life, frozen: asyncio.Event) -> None:
        """Compare one book, or learn it."""
        try:
            async with self._at_once:
                known_to, asked_at, events = one.book.stamped_at, self._now(), life.events
                one.book.start_recording()
                snapshot = await self._read_book(one.book.token_id)
            if known_to is not None and snapshot.as_of < known_to:
                # Older than what the stream had told before we asked.
                return
            for _ in range(_LOOKS):
                if not one.book.is_behind(snapshot):
                    break
                await asyncio.sleep(self._timing.settle_s / _LOOKS)
            if self._was_wrong(one, snapshot, asked_at, life) and life.events == events:
                frozen.set()
        except PolybotError as error:
            reason = error.reason if isinstance(error, DataError) else "book-not-read"
            self._counts.rejected[reason] += 1
        finally:
            one.is_compared = False
            one.compared_at_s = asyncio.get_running_loop().time()

    def _was_wrong(self, one: Watched, snapshot: OrderBook, asked_at: datetime, life: Life) -> bool:
        """Draw the conclusion; whether a book that was taken for right was not."""
        was_known = one.book.is_known
        differs = one.book.differs_from(snapshot) if was_known else True
        if differs is None or (differs and not one.book.install(snapshot)):
            return False
        if one.proved_at is None or asked_at > one.proved_at:
            one.proved_at = asked_at
        one.book.min_order_size = snapshot.min_order_size
        if differs and was_known:
            self._counts.gaps += 1
            return True
        if was_known:
            self._counts.agreements += 1
            life.alive_s = asyncio.get_running_loop().time()
        return False
