"""The copy-trading flow under Prefect's own engine: who may start it, what ends it, what it leaves.

The loop is scripted, so that these tests are about supervision alone.
"""

import asyncio
import os
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest
from sqlalchemy.engine import make_url

from polybot.copy_trading.parts import LEASE_NAME
from polybot.copy_trading.status import CopyEnd
from polybot.copy_trading.wanted import is_wanted, start_copying, stop_copying
from tests.flows.conftest import Desk
from tests.flows.scripted_copying import AT, Script, begin, cancel, own_run, scripted_loops, until


@pytest.fixture
def script(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Iterator[Script]:
    with scripted_loops(desk, monkeypatch) as found:
        yield found


def unwish(script: Script) -> None:
    stop_copying(script.ledger, by="owner", reason="holiday", at=AT)


async def test_scheduled_start_exits_at_once_where_no_copies_are_wanted(script: Script) -> None:
    unwish(script)
    state = await begin(start="schedule")
    assert (state.type, state.name) == ("COMPLETED", "NotWanted")
    assert script.started == []


@pytest.mark.parametrize("start", ["schedule", "again", "hand-over"])
async def test_nobody_has_said_anything_means_copies_are_wanted(script: Script, start: str) -> None:
    running = begin(start=start)
    await script.runs.wait()
    await cancel((await own_run()).id)
    assert (await running).name == "Cancelled"


async def test_start_by_hand_lifts_an_earlier_pause(script: Script) -> None:
    unwish(script)
    running = begin()
    await script.runs.wait()
    assert is_wanted(script.ledger)
    await cancel((await own_run()).id)
    await running


async def test_cancel_stops_the_loop_and_stays(script: Script) -> None:
    """Its own look at its state is enough: no worker is there to send a signal."""
    running = begin(start="schedule")
    await script.runs.wait()
    await cancel((await own_run()).id)
    assert (await running).type == "CANCELLED"
    assert script.ended == [CopyEnd.STOP]
    desired = script.ledger.desired_state(LEASE_NAME)
    assert (desired.is_wanted, desired.by) == (False, "prefect")
    assert (await begin(start="schedule")).name == "NotWanted"


async def test_run_that_prefect_gave_up_stops_without_changing_the_wish(script: Script) -> None:
    from prefect import get_client
    from prefect.states import Crashed

    running = begin(start="schedule")
    await script.runs.wait()
    async with get_client() as client:
        await client.set_flow_run_state((await own_run()).id, Crashed(), force=True)
    await asyncio.gather(running, return_exceptions=True)
    assert (await own_run()).state.name == "Crashed"
    assert script.ended == [CopyEnd.STOP]
    assert is_wanted(script.ledger)


async def test_sigterm_stops_the_loop_and_the_run_is_started_again(script: Script) -> None:
    """Crashed is what the restart automation waits for; Prefect's handler is back afterwards."""
    before = signal.getsignal(signal.SIGTERM)
    running = begin(start="schedule")
    await script.runs.wait()
    os.kill(os.getpid(), signal.SIGTERM)
    state = await running
    assert state.type == "CRASHED"
    assert script.ended == [CopyEnd.STOP]
    assert is_wanted(script.ledger)
    assert signal.getsignal(signal.SIGTERM) is before


async def test_sigterm_of_a_cancelled_run_is_a_cancel(script: Script) -> None:
    """The worker's way to cancel: the state first, the signal right after."""
    running = begin(start="schedule")
    await script.runs.wait()
    await cancel((await own_run()).id)
    os.kill(os.getpid(), signal.SIGTERM)
    assert (await running).type == "CANCELLED"
    assert not is_wanted(script.ledger)


async def test_pause_and_resume_need_no_new_run(script: Script) -> None:
    running = begin(start="schedule")
    await script.runs.wait()
    unwish(script)
    await until(lambda: script.ended == [CopyEnd.NOT_WANTED])
    start_copying(script.ledger, by="owner", reason="back", at=AT)
    await script.runs.wait()
    assert len(script.started) == 2
    await cancel((await own_run()).id)
    await running


async def test_failure_of_the_loop_fails_the_run_and_is_told(script: Script) -> None:
    script.problem = RuntimeError("the feed broke")
    state = await begin(start="schedule")
    assert state.type == "FAILED"
    (run,) = script.ledger.recent_runs(1)
    assert (run.flow, run.state) == ("copy-trading", "failed")
    (alert,) = script.ledger.due_alerts(at=datetime.max.replace(tzinfo=UTC), limit=10)
    assert "the feed broke" in alert.alert.body


async def test_lost_slot_does_not_stop_trading(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While its server is away Prefect cancels the scope in which the run's slot was kept."""
    monkeypatch.setenv("POLYBOT_COPYING__HAND_OVER_H", "0.0003")
    with anyio.CancelScope() as slot:
        running = asyncio.create_task(_cancel_once_it_runs(script, slot))
        from flows.copy_trading import copy_trading

        await copy_trading(start="schedule", return_state=True)
    await running
    assert script.ended == [CopyEnd.STOP]
    assert script.counts.seen > 1


async def _cancel_once_it_runs(script: Script, slot: anyio.CancelScope) -> None:
    await script.runs.wait()
    slot.cancel()
    await asyncio.sleep(0.1)
    assert script.ended == []


async def test_hand_over_submits_the_next_run_with_the_same_word(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect import get_client
    from prefect.flow_engine import run_flow

    from flows.copy_trading import copy_trading

    monkeypatch.setenv("POLYBOT_COPYING__HAND_OVER_H", "0.0001")
    async with get_client() as client:
        flow_id = await client.create_flow(copy_trading)
        deployment_id = await client.create_deployment(flow_id, name="leaders")
        first = await client.create_flow_run_from_deployment(
            deployment_id, parameters={"start": "schedule", "live": True}
        )
        known = {run.id for run in await client.read_flow_runs()}
        await run_flow(copy_trading, flow_run=first)  # type: ignore[misc]
        assert (await client.read_flow_run(first.id)).state.name == "HandedOver"
        runs = await client.read_flow_runs()
    (successor,) = [
        run for run in runs if run.deployment_id == deployment_id and run.id not in known
    ]
    assert successor.parameters == {"start": "hand-over", "live": True}
    assert successor.state.name == "Scheduled"


async def test_control_flow_pauses_and_resumes(script: Script) -> None:
    """From the UI: a pause keeps who and why; resuming also starts a run, if none is waiting."""
    from prefect import get_client

    from flows.control import control
    from flows.copy_trading import copy_trading

    await control("pause-copying", "holiday", by="owner")
    desired = script.ledger.desired_state(LEASE_NAME)
    assert (desired.is_wanted, desired.by, desired.reason) == (False, "owner", "holiday")

    async with get_client() as client:
        flow_id = await client.create_flow(copy_trading)
        deployment_id = await client.create_deployment(flow_id, name="leaders")
        known = {run.id for run in await client.read_flow_runs()}
        await control("resume-copying", "back", by="owner")
        runs = await client.read_flow_runs()
    assert is_wanted(script.ledger)
    (started,) = [run for run in runs if run.deployment_id == deployment_id and run.id not in known]
    assert not started.auto_scheduled


async def test_pause_without_a_reason_is_refused(script: Script) -> None:
    from flows.control import control

    state = await control("pause-copying", "  ", return_state=True)
    assert state.is_failed()
    assert is_wanted(script.ledger)


@contextmanager
def prefect_database() -> Iterator[sqlite3.Connection]:
    """Open the test server's own database."""
    from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL

    path = make_url(PREFECT_API_DATABASE_CONNECTION_URL.value()).database
    assert path is not None
    with closing(sqlite3.connect(path)) as connection:
        yield connection


def rows_by_table() -> dict[str, int]:
    with prefect_database() as connection:
        names = [
            name
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        return {
            name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]
            for name in names
        }


async def grown_by(run: Callable[[], Any]) -> dict[str, int]:
    """Return by how many rows each table of Prefect's database grew."""
    before = rows_by_table()
    await run()
    after = rows_by_table()
    return {name: after[name] - before[name] for name in after if after[name] != before[name]}


async def test_prefect_database_does_not_grow_with_trades_or_pages(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run with two pages and one with two hundred leave the same rows, table by table."""
    import flows.copy_trading as module
    from tasks.copy_trading import CopyPage

    shown = 0

    class QuickPage(CopyPage):
        async def show_now(self, markdown: str) -> None:
            nonlocal shown
            await super().show_now(markdown)
            shown += 1

    monkeypatch.setattr(
        module, "CopyPage", lambda client, every_s: QuickPage(client, every_s=0.001)
    )

    async def run_until(pages: int) -> None:
        nonlocal shown
        shown = 0
        running = begin(start="by hand")
        await until(lambda: shown >= pages)
        await cancel((await own_run()).id)
        await running

    few = await grown_by(lambda: run_until(2))
    many = await grown_by(lambda: run_until(200))
    sys.stdout.write(f"rows left by a run with 2 pages: {few}; with 200 pages: {many}\n")
    # The first run also makes the flow, its tags and the artifact's collection.
    assert {name: count for name, count in many.items() if count > few.get(name, 0)} == {}
    assert many["artifact"] == few["artifact"] == 1
