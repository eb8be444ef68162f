"""A scripted copy loop for tests of the copy-trading flow, and what a person does to its runs.

The loop follows the stop signal and the wish in the ledger as the real one does.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from polybot.copy_trading.status import (
    CopyCounts,
    CopyEnd,
    CopyPhase,
    CopyStatus,
    LatencySummary,
    OrderCounts,
)
from polybot.copy_trading.wanted import is_wanted
from polybot.domain.modes import TradingState
from tests.flows.conftest import Desk

AT = datetime(2026, 10, 5, 9, 0, tzinfo=UTC)
STILL = LatencySummary()


@dataclass
class Script:
    """What every loop of a test does, and what the test waits for."""

    ledger: Any
    counts: CopyCounts = field(default_factory=CopyCounts)
    problem: Exception | None = None
    started: list["ScriptedLoop"] = field(default_factory=list)
    ended: list[CopyEnd] = field(default_factory=list)
    runs: asyncio.Event = field(default_factory=asyncio.Event)


class ScriptedLoop:
    """Runs until it is stopped or not wanted, as the real loop does."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._end: CopyEnd | None = None

    async def run(self, stop: asyncio.Event) -> CopyStatus:
        self._script.started.append(self)
        self._script.runs.set()
        if self._script.problem is not None:
            raise self._script.problem
        while self._end is None:
            if stop.is_set():
                self._end = CopyEnd.STOP
            elif not is_wanted(self._script.ledger):
                self._end = CopyEnd.NOT_WANTED
            await asyncio.sleep(0.005)
        self._script.ended.append(self._end)
        self._script.runs.clear()
        return self.status()

    def status(self) -> CopyStatus:
        counts = self._script.counts
        # A trade a look, so that no two pages are the same.
        self._script.counts = replace(counts, seen=counts.seen + 1)
        return CopyStatus(
            phase=CopyPhase.TRADING,
            at=AT,
            started_at=AT,
            end=self._end,
            reason="",
            holder="scripted",
            lease=None,
            trading_state=TradingState.ACTIVE,
            leaders=(),
            counts=counts,
            orders=OrderCounts(),
            feed_lag=STILL,
            own_time=STILL,
            venue_time=STILL,
            sources=(),
            known_markets=0,
            drift=(),
            drift_at=None,
            troubles=(),
        )


@contextmanager
def scripted_loops(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Iterator[Script]:
    """Put a scripted loop in place of the real one; waits are cut to what a test can bear."""
    import flows.copy_trading as module
    from flows import watch
    from polybot.bootstrap import open_bot

    with desk.ledger() as ledger:
        found = Script(ledger=ledger)

        @asynccontextmanager
        async def open_scripted(**_: object) -> AsyncIterator[Any]:
            async with open_bot() as bot:
                yield SimpleNamespace(bot=bot, ledger=bot.ledger, loop=ScriptedLoop(found))

        monkeypatch.setattr(module, "open_copier", open_scripted)
        monkeypatch.setattr(module, "_BRAKE_S", 0.05)
        monkeypatch.setattr(module, "_LOOK_FOR_WISHES_S", 0.01)
        monkeypatch.setattr(watch, "LOOK_EVERY_S", 0.05)
        yield found


def begin(**parameters: Any) -> "asyncio.Task[Any]":
    """Run the flow beside the test; the task gives its final state."""
    from flows.copy_trading import copy_trading

    return asyncio.create_task(copy_trading(**parameters, return_state=True))


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what the flow does beside the test; the suite's time-out bounds it."""
    while not condition():  # noqa: ASYNC110 - the condition belongs to the product
        await asyncio.sleep(0.01)


async def own_run() -> Any:
    """Return the newest run of the flow."""
    from prefect import get_client
    from prefect.client.schemas.filters import FlowFilter, FlowFilterName
    from prefect.client.schemas.sorting import FlowRunSort

    async with get_client() as client:
        (run,) = await client.read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=["copy-trading"])),
            sort=FlowRunSort.START_TIME_DESC,
            limit=1,
        )
    return run


async def cancel(run_id: UUID) -> None:
    """Press Cancel."""
    from prefect import get_client
    from prefect.states import Cancelling

    async with get_client() as client:
        await client.set_flow_run_state(run_id, Cancelling())
