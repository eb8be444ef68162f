"""Moves what is due to its sockets, as virtual time passes or is moved."""

import asyncio
from collections.abc import Callable
from typing import Final

from polybot.sandbox.clock import RunningClock, SteppedClock
from polybot.sandbox.leaders.stage import LeaderStage

# What is due between two looks waits for the second one [s, real].
_LONGEST_S: Final = 0.05


class Pump:
    """Calls a turn whenever there may be something to send."""

    def __init__(
        self,
        stage: LeaderStage,
        turn: Callable[[], None],
        next_due_ms: Callable[[], int | None],
        *,
        look_s: Callable[[], float] = lambda: _LONGEST_S,
    ) -> None:
        """Take what to call and who knows when.

        Args:
            stage: Whose clock counts.
            turn: Sends what is due.
            next_due_ms: When the next frame is due, if one is known [epoch ms].
            look_s: How long to wait at most between two turns [s, real].
        """
        self._stage = stage
        self._turn = turn
        self._next_due_ms = next_due_ms
        self._look_s = look_s
        self._woken = asyncio.Event()
        self._users = 0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Turn for one user more."""
        self._users += 1
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        self._woken.set()

    def stop(self) -> None:
        """Turn for one user less; stands still without any."""
        self._users -= 1
        if self._users == 0 and self._task is not None:
            self._task.cancel()
            self._task = None

    def wake(self) -> None:
        """Turn now."""
        self._woken.set()

    async def _run(self) -> None:
        loop, clock = asyncio.get_running_loop(), self._stage.venue.clock

        def wake() -> None:
            # Clocks are moved and leaders act in other threads, too.
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._woken.set)

        self._stage.add_listener(wake)
        if isinstance(clock, SteppedClock):
            clock.add_listener(wake)
        try:
            while True:
                self._woken.clear()
                self._turn()
                await self._wait()
        finally:
            self._stage.remove_listener(wake)
            if isinstance(clock, SteppedClock):
                clock.remove_listener(wake)

    async def _wait(self) -> None:
        clock = self._stage.venue.clock
        if not isinstance(clock, RunningClock):
            await self._woken.wait()
            return
        due = self._stage.next_due_ms()
        framed = self._next_due_ms()
        due = due if framed is None else min(due, framed)
        # One millisecond more, so that rounding never comes early.
        wait_s = min(self._look_s(), clock.real_seconds_until(due) + 0.001)
        try:
            async with asyncio.timeout(wait_s):
                await self._woken.wait()
        except TimeoutError:
            return
