"""When each leader is read from the Data API, so that all together stay below its limits.

Every leader has its turn every so often, and at once after a gap of the stream. What a turn has
proved moves the leader's position forward; what failed leaves it where it was.
"""

import asyncio
import heapq
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Final

from polybot.adapters.polymarket.leader_feed.tally import Pace, SourceTally
from polybot.adapters.polymarket.leader_feed.walks import Walk, WalkReader
from polybot.adapters.sockets import Backoff
from polybot.domain.leaders import LeaderAddress
from polybot.errors import (
    DataError,
    PermanentError,
    PolybotError,
    RateLimitedError,
    TransientError,
)

# What happened longer ago is listed by now: the slowest row of two studies took 23 s.
_INDEXING: Final = timedelta(seconds=60)
# Now and then further back, for rows that were listed later than that.
_SWEEP_EVERY: Final = timedelta(minutes=5)
SWEEP_BACK: Final = timedelta(hours=1)
"""What is listed so late is read still: a sweep begins so long before the one before it."""
_SHORTEST_SPAN: Final = timedelta(seconds=60)
_WORKERS: Final = 4


@dataclass(slots=True, kw_only=True)
class _Turn:
    """How far one leader is read, and when it is read next."""

    until: datetime
    swept_at: datetime
    due: float
    backoff: Backoff
    is_running: bool = False
    is_asked: bool = False
    span: timedelta | None = None
    """Only so much at once, where all of it were too many pages."""
    not_taken: Counter[str] | None = None


class LeaderPoller:
    """Reads one endpoint for every leader."""

    def __init__(
        self,
        reader: WalkReader,
        *,
        take: Callable[[Walk], None],
        tally: SourceTally,
        every_s: float,
        pace: Pace,
        overlap_s: float,
        now: Callable[[], datetime],
        random: Random,
    ) -> None:
        """Keep how to read; nobody is read yet.

        Args:
            reader: Of the endpoint.
            take: Hears of every complete walk.
            tally: Counts.
            every_s: Between two reads of one leader [s].
            pace: Of all requests to the endpoint, the reader's own.
            overlap_s: How far before its position a read starts [s].
            now: The clock.
            random: Spreads the turns.
        """
        self._reader = reader
        self._take = take
        self._tally = tally
        self._every_s = every_s
        self._overlap = timedelta(seconds=overlap_s)
        self._now = now
        self._random = random
        self._pace = pace
        self._turns: dict[LeaderAddress, _Turn] = {}
        self._heap: list[tuple[float, LeaderAddress]] = []
        self._changed = asyncio.Event()

    def follow(self, watermarks: dict[LeaderAddress, datetime]) -> None:
        """Set whom to read; who is read already keeps its position."""
        for leader in self._turns.keys() - watermarks.keys():
            del self._turns[leader]
        for leader, watermark in watermarks.items():
            if leader not in self._turns:
                self._turns[leader] = _Turn(
                    until=watermark,
                    # The first read is a sweep, and follows on the last one before a restart:
                    # that was no longer before the watermark than sweeps are apart.
                    swept_at=min(self._now(), watermark) - _SWEEP_EVERY,
                    due=0.0,
                    backoff=Backoff(
                        first_s=self._every_s,
                        longest_s=max(60.0, self._every_s),
                        random=self._random,
                    ),
                )
                self._put(leader, 0.0)

    def read_until(self) -> dict[LeaderAddress, datetime]:
        """Return up to which instant each leader's rows have been taken for certain."""
        return {leader: turn.until for leader, turn in self._turns.items()}

    def ask_now(self) -> None:
        """Read everybody at once: something may have been missed."""
        for leader, turn in self._turns.items():
            turn.is_asked = turn.is_running
            if not turn.is_running:
                self._put(leader, 0.0)

    async def run(self) -> None:
        """Read until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(_WORKERS):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            leader, turn = await self._next()
            turn.is_running, turn.is_asked = True, False
            pause_s = self._every_s * self._random.uniform(0.9, 1.0)
            try:
                await self._read(leader, turn)
            except PolybotError as error:
                pause_s = self._note_failure(error, turn)
            finally:
                turn.is_running = False
            if self._turns.get(leader) is turn:
                loop = asyncio.get_running_loop()
                self._put(leader, 0.0 if turn.is_asked else loop.time() + pause_s)

    async def _next(self) -> tuple[LeaderAddress, _Turn]:
        """Wait for the turn that is due first."""
        loop = asyncio.get_running_loop()
        while True:
            while self._heap and self._heap[0][0] <= loop.time():
                due, leader = heapq.heappop(self._heap)
                turn = self._turns.get(leader)
                if turn is not None and turn.due == due and not turn.is_running:
                    return leader, turn
            self._changed.clear()
            wait_s = self._heap[0][0] - loop.time() if self._heap else None
            try:
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _put(self, leader: LeaderAddress, due: float) -> None:
        self._turns[leader].due = due
        heapq.heappush(self._heap, (due, leader))
        self._changed.set()

    async def _read(self, leader: LeaderAddress, turn: _Turn) -> None:
        """Read one leader from its position on."""
        began = self._now()
        position = turn.until
        is_sweep = began - turn.swept_at >= _SWEEP_EVERY
        if is_sweep:
            # Not from now: what was listed since the last sweep may have happened before.
            position = min(position, turn.swept_at - SWEEP_BACK)
        start = position - self._overlap
        end = None if turn.span is None else position + turn.span
        try:
            walk = await self._reader.walk(leader, start=start, end=end)
        except DataError as error:
            if error.reason == "leader-pages-endless":
                turn.span = max(((end or began) - start) / 2, _SHORTEST_SPAN)
            raise
        self._tally.messages += 1
        self._tally.is_connected = True
        self._tally.last_heard_at = self._now()
        turn.backoff.succeed()
        self._count_new(walk, turn)
        if self._turns.get(leader) is not turn:
            return
        self._take(walk)
        turn.swept_at = began if is_sweep else turn.swept_at
        reached = began - _INDEXING if end is None else min(end, began - _INDEXING)
        turn.until = max(turn.until, reached)
        if end is not None:
            turn.span = None if end >= began else (turn.span or _SHORTEST_SPAN) * 2
            turn.is_asked = True

    def _count_new(self, walk: Walk, turn: _Turn) -> None:
        """Count rows that could not be taken once, though every walk shows them again."""
        self._tally.rejected.update(walk.not_taken - (turn.not_taken or Counter()))
        self._tally.followed += len(walk.trades) + len(walk.conversions)
        turn.not_taken = walk.not_taken

    def _note_failure(self, error: PolybotError, turn: _Turn) -> float:
        """Count a failed read and return how long the leader waits [s]."""
        match error:
            case RateLimitedError():
                self._tally.rejected["rate-limited"] += 1
                self._pace.rest(error.retry_after)
            case TransientError():
                self._tally.rejected["data-api-unreachable"] += 1
                self._tally.is_connected = False
            case PermanentError():
                self._tally.rejected["data-api-refused"] += 1
                self._tally.is_connected = False
            case DataError():
                self._tally.rejected[error.reason] += 1
            case _:
                self._tally.rejected["data-api-failed"] += 1
        return turn.backoff.next_s()
