"""What a long run must know about itself: whether it may go on, and why not.

Prefect alone cannot be asked to stop a run: its worker's watcher gives up when the server was away
for a while, and a Cancel then frees the slot without ending the process. So the run looks itself.
"""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from enum import StrEnum
from types import FrameType
from typing import Any
from uuid import UUID

import structlog
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterEndTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import TERMINAL_STATES, FlowRun, State, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.events import emit_event

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 5.0
# With the pause above, a Cancel is acted upon well within ten seconds.
_ANSWER_WITHIN_S = 3.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
# The server's largest page. After an outage, late ticks of hours are cancelled at once.
_LOOK_BACK = 200
# What Prefect (3.8.8 to 3.9.1) says when it cancels a run because another one goes on.
_NOT_BY_A_PERSON = frozenset({"Deployment concurrency limit reached."})
# Ends of our own that came before anything could be cancelled.
_NEVER_BEGAN = frozenset({"NotWanted", "NotLive"})


class Ending(StrEnum):
    """Why a run has to end."""

    CANCELLED = "cancelled"
    """A person cancelled it."""
    TERMINATED = "terminated"
    """The process was told to end: its worker or its machine goes down."""
    OVER = "over"
    """Prefect believes that it has ended; another one may have been started."""
    HANDED_OVER = "handed-over"
    """It ran for as long as one run should."""


class RunWatch:
    """Sets ``stop`` once the run has to end; ``ending`` says why."""

    def __init__(self, client: PrefectClient, run_id: UUID) -> None:
        """Watch a run through an open client."""
        self._client = client
        self._run_id = run_id
        self.stop = asyncio.Event()
        self.ending: Ending | None = None

    def end(self, ending: Ending) -> None:
        """Ask the run to end; the first reason stays."""
        if self.ending is None:
            self.ending = ending
            self.stop.set()

    async def wait(self, seconds: float) -> None:
        """Wait for a while [s], or until the run has to end."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.stop.wait()

    async def conclude(self) -> Ending | None:
        """Return why the run ends; a Cancel may have come as a SIGTERM, or in the last seconds."""
        asks = self.ending in (Ending.TERMINATED, Ending.HANDED_OVER)
        if asks and (state := await self._state()) is not None:
            return ending_of(state) or self.ending
        return self.ending

    async def look_for_ever(self) -> None:
        """Look at the run's own state; while the server is away the run goes on."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            state = await self._state()
            if state is not None and (ending := ending_of(state)):
                self.end(ending)

    async def end_after(self, seconds: float) -> None:
        """Hand over after a while [s]."""
        await asyncio.sleep(seconds)
        self.end(Ending.HANDED_OVER)

    async def _state(self) -> State[Any] | None:
        try:
            async with asyncio.timeout(_ANSWER_WITHIN_S):
                return (await self._client.read_flow_run(self._run_id)).state
        # Whatever is wrong with the server, it is no reason to stop trading.
        except Exception as problem:
            log.debug("own state not known", problem=f"{type(problem).__name__}: {problem}")
            return None


def ending_of(state: State[Any]) -> Ending | None:
    """Return what a run's state says about going on."""
    if state.type in {StateType.CANCELLING, StateType.CANCELLED}:
        return Ending.CANCELLED
    return Ending.OVER if state.is_final() else None


@asynccontextmanager
async def watch_run(
    client: PrefectClient, run_id: UUID, *, hand_over_s: float
) -> AsyncIterator[RunWatch]:
    """Watch the run: its state, signals, and how long it has lasted.

    Args:
        client: An open client of the server.
        run_id: Of this run.
        hand_over_s: How long one run lasts [s].
    """
    watch = RunWatch(client, run_id)
    tasks = [
        asyncio.create_task(watch.look_for_ever()),
        asyncio.create_task(watch.end_after(hand_over_s)),
    ]
    try:
        with _on_signals(lambda: watch.end(Ending.TERMINATED)):
            yield watch
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.contextmanager
def _on_signals(act: Callable[[], None]) -> Iterator[None]:
    """Act on SIGTERM and SIGINT in place of Prefect's handlers, which raise wherever we are."""
    loop = asyncio.get_running_loop()
    before: dict[signal.Signals, Callable[[int, FrameType | None], Any] | int | None] = {}
    for number in _SIGNALS:
        handler = signal.getsignal(number)
        # Outside the main thread there are no signals to handle.
        with contextlib.suppress(ValueError, RuntimeError):
            loop.add_signal_handler(number, act)
            before[number] = handler
    try:
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)


async def newest_cancel(
    client: PrefectClient, deployment_id: UUID, *, named: str, since: datetime | None
) -> datetime | None:
    """Return when a person last cancelled a run of a deployment that had begun.

    Prefect itself cancels each run that comes while another one goes on; it never says Cancelling
    first, as a person does to whatever has a process. So the history of a run tells, also where
    its process was killed on the way and it ended as Crashed, or had no name yet.

    Args:
        client: An open client of the server.
        deployment_id: Whose runs.
        named: What names of runs that have begun start with: one of these that was cancelled
            outright was cancelled by a person, too.
        since: Runs that ended before are of no interest; ``None``: all are.
    """
    runs = await client.read_flow_runs(
        flow_run_filter=FlowRunFilter(
            deployment_id=FlowRunFilterDeploymentId(any_=[deployment_id]),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=sorted(TERMINAL_STATES))),
            end_time=None if since is None else FlowRunFilterEndTime(after_=since),
        ),
        sort=FlowRunSort.END_TIME_DESC,
        limit=_LOOK_BACK,
    )
    # One that was cancelled before its process had begun is not ended by anybody for a while.
    unended = await client.read_flow_runs(
        flow_run_filter=FlowRunFilter(
            deployment_id=FlowRunFilterDeploymentId(any_=[deployment_id]),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.CANCELLING])),
        ),
        limit=_LOOK_BACK,
    )
    for run in (*unended, *runs):
        state = run.state
        if state is None or state.message in _NOT_BY_A_PERSON or state.name in _NEVER_BEGAN:
            continue
        if (said_at := await _cancelled_at(client, run, named)) is not None:
            return said_at
    return None


async def _cancelled_at(client: PrefectClient, run: FlowRun, named: str) -> datetime | None:
    states = await client.read_flow_run_states(run.id)
    said = [state.timestamp for state in states if state.type is StateType.CANCELLING]
    if not said and run.name.startswith(named):
        said = [state.timestamp for state in states if state.type is StateType.CANCELLED]
    return max(said, default=None)


async def tell_missing_event(client: PrefectClient, run: FlowRun) -> None:
    """Tell the server of a run's first state, where its scheduler did not.

    Events of a young run say which one they follow, and wait up to 15 minutes for that one. The
    scheduler never tells of the runs it creates, so the crash of a run that was scheduled minutes
    before (just after a deployment) would start nothing until then (Prefect 3.8.8 and 3.9.1).
    """
    if not run.auto_scheduled:
        return
    states = await client.read_flow_run_states(run.id)
    first = min(states, key=lambda state: state.timestamp)
    emit_event(
        f"prefect.flow-run.{first.name}",
        resource={"prefect.resource.id": f"prefect.flow-run.{run.id}"},
        occurred=first.timestamp,
        id=first.id,
    )
