"""Time that passes only when nobody has anything left to do: an event loop without a clock.

Several loops may share one ``VirtualTime``, each in a thread of its own; ``Turns`` lets exactly
one of them run and chooses who is next from a seed.
"""

import asyncio
import selectors
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class VirtualTime:
    """Seconds since the simulation began, for everybody in it."""

    def __init__(self, start_s: int) -> None:
        self.start_s = start_s
        self.elapsed_s = 0.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.start_s, UTC) + timedelta(
            microseconds=round(self.elapsed_s * 1_000_000)
        )

    def now_ms(self) -> int:
        return self.start_s * 1000 + int(self.elapsed_s * 1000 + 1e-6)


class _NoSockets(selectors.SelectSelector):
    """Watches nothing: where asyncio would wait for the world, virtual time passes."""

    def __init__(self, wait: Callable[[float | None], None]) -> None:
        super().__init__()
        self._wait = wait

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout > 0:
            self._wait(timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose waits cost nothing and always end in the same order."""

    def __init__(self, time: VirtualTime, wait: Callable[[float], None] | None = None) -> None:
        """Take the time to run on.

        Args:
            time: What this loop's timers count.
            wait: Makes it an instant [elapsed s]; default: by moving the time there.
        """
        self.virtual = time
        self._wait_for = wait or self._jump
        super().__init__(_NoSockets(self._idle))
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self.virtual.elapsed_s

    def _idle(self, timeout: float | None) -> None:
        if timeout is None:
            raise RuntimeError("nothing will ever happen: every task waits for another")
        # The very instant of the next timer: sums of floats would end just before it.
        self._wait_for(self._scheduled[0]._when)  # type: ignore[attr-defined]

    def _jump(self, until_s: float) -> None:
        self.virtual.elapsed_s = max(self.virtual.elapsed_s, until_s)


class VirtualClock:
    """The bot's clock on virtual time."""

    def __init__(self, time: VirtualTime) -> None:
        self._time = time

    async def now(self) -> datetime:
        return self._time.now()

    async def sleep_until(self, instant: datetime) -> None:
        await asyncio.sleep(max(0.0, (instant - self._time.now()).total_seconds()))

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class VenueTime:
    """The venue's clock on the same virtual time."""

    mode = "virtual"
    speed = 0.0

    def __init__(self, time: VirtualTime) -> None:
        self._time = time

    def now_ms(self) -> int:
        return self._time.now_ms()
