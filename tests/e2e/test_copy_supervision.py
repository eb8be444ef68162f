"""A copying run that is killed comes back by itself; one that a person cancelled does not.

On the kept demo, whose schedules rest: what a tick would submit is submitted here. The longer
cases (worker, server, outage, everything, freeze, hand-over) are in ``tests/chaos``.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from deployments.copying import CRASH_SILENT, END_CANCELLED, RUN_AGAIN
from flows.names import COPY_DEPLOYMENT
from polybot.adapters.storage.ledger import SqlLedger
from polybot.copy_trading.wanted import is_wanted
from polybot.domain.leaders import Lease
from tests.copy_up import Epochs, held, pid_of
from tests.e2e.conftest import Stack, until, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

RESUMED_WITHIN_S = 60.0
STOPPED_WITHIN_S = 10.0


@pytest.fixture
def ledger(stack: Stack) -> Iterator[SqlLedger]:
    with stack.ledger() as ledger:
        yield ledger


@pytest.fixture
def epochs() -> Epochs:
    return Epochs()


def somebody_copies(ledger: SqlLedger, epochs: Epochs, *, after: int = 0) -> Lease | None:
    lease = held(ledger)
    epochs.look(lease)
    return lease if lease is not None and lease.epoch > after else None


async def running(stack: Stack) -> Any:
    body = {
        "flows": {"name": {"any_": ["copy-trading"]}},
        "flow_runs": {"state": {"type": {"any_": ["RUNNING"]}}},
    }
    runs = await stack.api("POST", "/flow_runs/filter", body)
    return runs[0] if runs else None


async def submit(stack: Stack, **parameters: object) -> str:
    deployment = await stack.api("GET", f"/deployments/name/{COPY_DEPLOYMENT}")
    body = {"parameters": parameters, "state": {"type": "SCHEDULED"}}
    run = await stack.api("POST", f"/deployments/{deployment['id']}/create_flow_run", body)
    return str(run["id"])


async def named_state(stack: Stack, run_id: str, *names: str) -> str:
    name = (await stack.api("GET", f"/flow_runs/{run_id}"))["state"]["name"]
    return name if name in names else ""


async def test_automations_exist_once(stack: Stack) -> None:
    """Each start of a stack makes sure of them."""
    found = await stack.api("POST", "/automations/filter", {})
    names = [one["name"] for one in found if one["enabled"]]
    assert sorted(names) == sorted([CRASH_SILENT, RUN_AGAIN, END_CANCELLED])


async def test_killed_flow_copies_again_within_a_minute(
    stack: Stack, ledger: SqlLedger, epochs: Epochs
) -> None:
    before = wait_for(lambda: somebody_copies(ledger, epochs), "somebody copies")
    os.kill(pid_of(before), signal.SIGKILL)
    began = time.monotonic()
    await asyncio.to_thread(
        wait_for,
        lambda: somebody_copies(ledger, epochs, after=before.epoch),
        "another run copies",
        RESUMED_WITHIN_S,
    )
    sys.stdout.write(f"flow killed: copying again after {time.monotonic() - began:.1f} s\n")
    assert epochs.are_one_at_a_time()
    assert await until(partial(running, stack))


async def test_second_run_is_cancelled_at_once(stack: Stack, ledger: SqlLedger) -> None:
    run_id = await submit(stack, start="schedule")
    assert await until(partial(named_state, stack, run_id, "Cancelled", "Completed", "Running"))
    run = await stack.api("GET", f"/flow_runs/{run_id}")
    assert (run["state"]["name"], run["run_count"]) == ("Cancelled", 0)
    assert is_wanted(ledger)


async def test_cancel_stays_until_a_person_starts_again(
    stack: Stack, ledger: SqlLedger, epochs: Epochs
) -> None:
    before = wait_for(lambda: somebody_copies(ledger, epochs), "somebody copies")
    run = await until(partial(running, stack))
    cancelling = {"state": {"type": "CANCELLING", "name": "Cancelling"}}
    await stack.api("POST", f"/flow_runs/{run['id']}/set_state", cancelling)
    began = time.monotonic()
    await asyncio.to_thread(wait_for, lambda: held(ledger) is None, "it stopped", STOPPED_WITHIN_S)
    sys.stdout.write(f"Cancel: stopped after {time.monotonic() - began:.1f} s\n")
    assert await until(partial(named_state, stack, run["id"], "Cancelled"))
    assert not is_wanted(ledger)

    for start in ("schedule", "again"):
        tick = await submit(stack, start=start)
        ended = await until(partial(named_state, stack, tick, "NotWanted", "Cancelled", "Failed"))
        # Prefect itself cancels a run while it still counts the one before as running.
        assert ended in ("NotWanted", "Cancelled")
        assert held(ledger) is None

    await submit(stack)
    await asyncio.to_thread(
        wait_for,
        lambda: somebody_copies(ledger, epochs, after=before.epoch),
        "a run started by hand copies",
        RESUMED_WITHIN_S,
    )
    assert is_wanted(ledger)
    assert epochs.are_one_at_a_time()


async def test_page_is_one_artifact_a_run_and_leaves_no_event(stack: Stack) -> None:
    """The runs so far replaced their pages many times."""
    pages = await stack.api(
        "POST", "/artifacts/filter", {"artifacts": {"key": {"any_": ["copy-trading"]}}}
    )
    runs = [page["flow_run_id"] for page in pages]
    assert len(runs) == len(set(runs)) >= 1
    events = await stack.api(
        "POST", "/events/filter", {"filter": {"event": {"name": ["prefect.artifact.updated"]}}}
    )
    assert events["total"] == 0
