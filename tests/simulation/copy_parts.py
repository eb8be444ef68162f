"""What a simulated day of copying gives the loop in place of the world, and what goes wrong."""

import asyncio
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from polybot.domain.books import BookFeedHealth, OrderBook
from polybot.domain.markets import OutcomeTokenId
from polybot.sandbox.clock import RunningClock
from polybot.sandbox.fault_plan import PlannedFault
from polybot.sandbox.venue import SandboxVenue
from tests.simulation.virtual import VirtualClock, VirtualTime


class VenueClock(RunningClock):
    """The venue's clock, running by the virtual time."""

    def __init__(self, time: VirtualTime) -> None:
        super().__init__(0)
        self._time = time

    def now_ms(self) -> int:
        return self._time.now_ms()

    def real_seconds_until(self, until_ms: int) -> float:
        return max(0.0, (until_ms - self.now_ms()) / 1000)


class InstantClock(VirtualClock):
    """The bot's clock, which also answers at once."""

    def instant(self) -> datetime:
        return self._time.now()


class VenueBooks:
    """The ``BookFeed`` port on the venue's own books."""

    def __init__(self, venue: SandboxVenue) -> None:
        self._venue = venue

    def watch(self, token_ids: Iterable[OutcomeTokenId]) -> None:
        """Everything is watched."""

    def book(self, token_id: OutcomeTokenId) -> OrderBook | None:
        return self._venue.book(token_id, self._venue.now_s())

    async def run(self) -> None:
        await asyncio.Event().wait()

    def health(self) -> BookFeedHealth:
        return BookFeedHealth()


class Killed(BaseException):
    """The process is gone: nothing that it does on the way out happens."""


class MortalLedger:
    """A ledger whose process can die: from then on it writes and reads nothing."""

    def __init__(self, ledger: Any) -> None:
        self._ledger = ledger
        self.is_dead = False

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._ledger, name)

        def call(*args: Any, **named: Any) -> Any:
            if self.is_dead:
                raise Killed
            return found(*args, **named)

        return call


def stream_faults(latest_s: int) -> list[PlannedFault]:
    """Return what goes wrong with every event: shares of all, without end."""
    stream: Any = {"route": "WS /rtds", "count": 0}
    late = [
        PlannedFault(kind="index-late", probability=0.017, count=0, delay_ms=delay_s * 1000)
        for delay_s in (latest_s // 30, latest_s // 3, latest_s - 60)
    ]
    return [
        PlannedFault(kind="event-lost", probability=0.1, **stream),
        PlannedFault(kind="event-duplicated", probability=0.1, **stream),
        PlannedFault(
            kind="event-late",
            probability=0.05,
            delay_ms=1_000,
            delay_max_ms=latest_s * 1000,
            **stream,
        ),
        # Each connection loses its own; these are told on neither.
        PlannedFault(kind="trade-unheard", probability=0.1, count=0),
        *late,
    ]
