"""Time that passes only when nobody has anything left to do: an event loop without a clock.

Several loops may share one ``VirtualTime``, each in a thread of its own; ``Turns`` lets exactly
one of them run and chooses who is next from a seed.
"""

import asyncio
import heapq
import selectors
from collections import deque
from collections.abc import Callable
from contextvars import Context
from datetime import UTC, datetime, timedelta
from typing import Any


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
        super().__init__(selectors.SelectSelector())
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self.virtual.elapsed_s

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        self._check_closed()  # type: ignore[attr-defined]
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)  # type: ignore[attr-defined]
        return handle

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        self._check_closed()  # type: ignore[attr-defined]
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._scheduled, timer)  # type: ignore[attr-defined]
        timer._scheduled = True  # type: ignore[attr-defined]
        return timer

    def _run_once(self) -> None:
        """Do one turn as asyncio does, without asking the world for what it never has."""
        ready: deque[Any] = self._ready  # type: ignore[attr-defined]
        timers: list[Any] = self._scheduled  # type: ignore[attr-defined]
        while timers and timers[0]._cancelled:
            heapq.heappop(timers)._scheduled = False
        if not ready and not self._stopping:  # type: ignore[attr-defined]
            if not timers:
                raise RuntimeError("nothing will ever happen: every task waits for another")
            # The very instant of the next timer: sums of floats would end just before it.
            if timers[0]._when > self.virtual.elapsed_s:
                self._wait_for(timers[0]._when)
        end_s = self.virtual.elapsed_s + self._clock_resolution
        while timers and timers[0]._when < end_s:
            timer = heapq.heappop(timers)
            timer._scheduled = False
            ready.append(timer)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:
                handle._run()

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
