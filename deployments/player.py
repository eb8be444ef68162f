"""Play runs in virtual time: submit ahead, and move the clock only when everybody waits for it.

The result does not depend on how fast the machine is. Runs are submitted in the order of their
due times, so whatever the clock passes has been submitted; and the clock only moves while every
unfinished run waits at the sandbox, to the earliest instant that one of them waits for.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self

import httpx
import msgspec

from polybot.errors import PermanentError

_POLL_S = 0.1
# A flow run is a fresh process of some seconds; on a busy machine it may need many times that.
STALL_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRun:
    """One flow run to be played."""

    flow: str
    due: datetime
    """In virtual time."""
    parameters: dict[str, object]


class Waiting(msgspec.Struct, frozen=True):
    """Somebody who sleeps until an instant of virtual time."""

    id: str
    until_ms: int


class ClockState(msgspec.Struct, frozen=True):
    """What the sandbox says about its clock."""

    now_ms: int
    mode: str
    waiting: tuple[Waiting, ...]


class StepClock(Protocol):
    """A virtual clock that stands still until it is moved."""

    async def waiting_until_ms(self) -> Sequence[int]:
        """Return the instants that somebody waits for [epoch ms]."""
        ...

    async def move_to_ms(self, now_ms: int) -> None:
        """Move forward to an instant [epoch ms]."""
        ...


class SandboxStepClock:
    """The stepped clock of a sandbox server."""

    def __init__(self, url: str) -> None:
        """Talk to the sandbox at an address."""
        self._http = httpx.AsyncClient(base_url=url, timeout=30.0, trust_env=False)

    async def __aenter__(self) -> Self:
        """Use it with ``async with``."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connection."""
        await self._http.aclose()

    async def state(self) -> ClockState:
        """Return the clock and who waits for it."""
        answer = await self._http.get("/sandbox/clock")
        answer.raise_for_status()
        return msgspec.json.decode(answer.content, type=ClockState)

    async def waiting_until_ms(self) -> Sequence[int]:
        """Return the instants still to come that somebody waits for [epoch ms]."""
        state = await self.state()
        # Just after a move, those it woke are still listed.
        return [entry.until_ms for entry in state.waiting if entry.until_ms > state.now_ms]

    async def move_to_ms(self, now_ms: int) -> None:
        """Move forward to an instant [epoch ms]."""
        answer = await self._http.post("/sandbox/clock", json={"now_ms": now_ms})
        answer.raise_for_status()


RunFlow = Callable[[PlannedRun], Awaitable[str]]
"""Runs one flow to its end and returns the name of its final state."""
Ended = Callable[[PlannedRun, str], None]


async def play(
    plan: Iterable[PlannedRun],
    *,
    clock: StepClock,
    run_flow: RunFlow,
    ahead: int,
    ended: Ended,
    check: Callable[[], None] = lambda: None,
) -> dict[str, int]:
    """Play a plan and return how many runs ended in which state.

    Args:
        plan: The runs; they are played in the order of their due times.
        clock: The virtual clock they wait for.
        run_flow: Called when a run is submitted; it returns when the run is over.
        ahead: How many runs may be under way at a time, ≥ 1.
        ended: Called for each run that is over.
        check: Called all the while; it raises to stop the play.

    Raises:
        PermanentError: Nobody came to wait and no run ended for ``STALL_TIMEOUT_S``.
    """
    queue = sorted(plan, key=lambda run: run.due)[::-1]
    under_way: dict[asyncio.Task[str], PlannedRun] = {}
    counts: dict[str, int] = {}
    last_count, last_move = 0, time.monotonic()
    try:
        while queue or under_way:
            check()
            while queue and len(under_way) < ahead:
                run = queue.pop()
                under_way[asyncio.ensure_future(run_flow(run))] = run
            done, _ = await asyncio.wait(
                under_way, timeout=_POLL_S, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                state = task.result()
                counts[state] = counts.get(state, 0) + 1
                ended(under_way.pop(task), state)
            waiting = await clock.waiting_until_ms()
            if under_way and len(waiting) >= len(under_way):
                await clock.move_to_ms(min(waiting))
            if done or len(waiting) != last_count:
                last_count, last_move = len(waiting), time.monotonic()
            elif time.monotonic() - last_move > STALL_TIMEOUT_S:
                names = ", ".join(f"{run.flow} due {run.due:%H:%M}" for run in under_way.values())
                raise PermanentError(f"nothing moved for {STALL_TIMEOUT_S:.0f} s; open: {names}")
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
    return counts
