"""A Cancel of copy trading that no run had heard in time: the next run reads it in the history."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from polybot.copy_trading.wanted import is_wanted
from tests.flows.conftest import Desk
from tests.flows.scripted_copying import Script, begin, cancel, own_run, scripted_loops


@pytest.fixture
def script(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Iterator[Script]:
    with scripted_loops(desk, monkeypatch) as found:
        yield found


@dataclass
class Deployed:
    """The flow's deployment on the test server, with runs in any state."""

    client: Any
    id: UUID

    async def run_that_went(self, *states: Any, name: str = "") -> None:
        """Leave a run with these states behind it."""
        run = await self.client.create_flow_run_from_deployment(self.id)
        if name:
            await self.client.update_flow_run(run.id, name=name)
        for state in states:
            await self.client.set_flow_run_state(run.id, state, force=True)

    async def play(self, start: str) -> Any:
        """Run the flow as this deployment's next run, and return how it ended."""
        from prefect.flow_engine import run_flow

        from flows.copy_trading import copy_trading

        run = await self.client.create_flow_run_from_deployment(
            self.id, parameters={"start": start}
        )
        await run_flow(copy_trading, flow_run=run)  # type: ignore[misc]
        return (await self.client.read_flow_run(run.id)).state


@pytest.fixture
async def deployed(
    desk: Desk, script: Script, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Deployed]:
    """A deployment beside a venue that lives in the same time."""
    from prefect import get_client

    from flows.copy_trading import copy_trading

    desk.set_clock(datetime.now(UTC))
    monkeypatch.setenv("POLYBOT_COPYING__HAND_OVER_H", "0.0001")
    async with get_client() as client:
        flow_id = await client.create_flow(copy_trading)
        # One of its own: runs of other tests are other deployments' history.
        deployment_id = await client.create_deployment(flow_id, name=f"leaders-{uuid4().hex}")
        yield Deployed(client, deployment_id)


def states_of_a_run(*kinds: str) -> list[Any]:
    from prefect.states import Cancelled, Cancelling, Completed, Crashed, Failed, Pending, Running

    # Prefect tells states apart by their instants.
    known = {
        "pending": Pending,
        "running": Running,
        "cancelling": Cancelling,
        "cancelled": Cancelled,
        "crashed": Crashed,
        "failed": Failed,
        "handed over": lambda: Completed(name="HandedOver"),
        "concurrency": lambda: Cancelled(message="Deployment concurrency limit reached."),
    }
    return [known[kind]() for kind in kinds]


@pytest.mark.parametrize(
    ("kinds", "name"),
    [
        # The power went before the run had looked; recovery ended it.
        (("running", "cancelling", "cancelled"), "copying-2026-10-05T09:00:00Z"),
        (("running", "cancelled"), "copying-2026-10-05T09:00:00Z"),
        # In the first seconds: the run had no name yet, and its process died of the signal.
        (("pending", "cancelling", "cancelled"), ""),
        (("pending", "cancelling"), ""),
        (("pending", "running", "cancelling", "crashed"), ""),
        (("pending", "running", "cancelling", "failed"), ""),
        # In the last ones: it was handing over.
        (("running", "cancelling", "handed over"), "copying-2026-10-05T09:00:00Z"),
    ],
)
@pytest.mark.parametrize("start", ["schedule", "again", "hand-over"])
async def test_cancel_that_nobody_heard_is_heard_by_the_next_run(
    script: Script, deployed: Deployed, kinds: tuple[str, ...], name: str, start: str
) -> None:
    """Whatever became of the run that a person cancelled: its history says so."""
    await deployed.run_that_went(*states_of_a_run(*kinds), name=name)
    # Ticks that Prefect cancelled since, because the run was still there.
    for _ in range(3):
        await deployed.run_that_went(*states_of_a_run("concurrency"))
    assert (await deployed.play(start)).name == "NotWanted"
    assert not is_wanted(script.ledger)
    assert script.started == []


@pytest.mark.parametrize(
    ("kinds", "name"),
    [
        (("concurrency",), ""),
        (("running", "crashed"), "copying-2026-10-05T09:00:00Z"),
        (("running", "failed"), ""),
        (("running", "handed over"), "copying-2026-10-05T09:00:00Z"),
        # Somebody tidied up a tick that had not begun: that run alone was meant.
        (("cancelled",), ""),
    ],
)
async def test_what_no_person_cancelled_leaves_the_wish_alone(
    script: Script, deployed: Deployed, kinds: tuple[str, ...], name: str
) -> None:
    await deployed.run_that_went(*states_of_a_run(*kinds), name=name)
    assert (await deployed.play("again")).name == "HandedOver"
    assert is_wanted(script.ledger)
    assert len(script.started) == 1


async def test_start_by_hand_is_not_undone_by_an_older_cancel(
    desk: Desk, script: Script, deployed: Deployed
) -> None:
    """Nobody had heard that Cancel; a person then started a run, which ended a while later."""
    await deployed.run_that_went(*states_of_a_run("running", "cancelling", "cancelled"))
    desk.set_clock(datetime.now(UTC))
    assert (await deployed.play("by hand")).name == "HandedOver"
    assert (await deployed.play("again")).name == "HandedOver"
    assert is_wanted(script.ledger)
    assert len(script.started) == 2


async def test_cancel_during_the_hand_over_is_a_cancel(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run ends by the clock, and was cancelled before it had looked."""
    from flows import watch

    monkeypatch.setattr(watch, "LOOK_EVERY_S", 3600.0)
    monkeypatch.setenv("POLYBOT_COPYING__HAND_OVER_H", "0.0003")
    running = begin(start="schedule")
    await script.runs.wait()
    await cancel((await own_run()).id)
    assert (await running).type == "CANCELLED"
    assert not is_wanted(script.ledger)
