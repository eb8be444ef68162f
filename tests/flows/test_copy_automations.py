"""Automations and recovery, asked of a real Prefect server."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from prefect import flow


@pytest.fixture
async def client(prefect_api: None) -> AsyncIterator[Any]:
    from prefect import get_client

    async with get_client() as client:
        yield client


@pytest.fixture
async def deployment_id(client: Any) -> Any:
    """A deployment of the real name, of a flow that does nothing."""

    @flow(name="copy-trading")
    async def nothing(start: str = "by hand") -> None:
        """Do nothing."""

    flow_id = await client.create_flow(nothing)
    return await client.create_deployment(flow_id, name="leaders")


async def ours(client: Any) -> dict[str, Any]:
    from deployments.copying import CRASH_SILENT, END_CANCELLED, RUN_AGAIN

    names = (CRASH_SILENT, RUN_AGAIN, END_CANCELLED)
    found = [one for one in await client.read_automations() if one.name in names]
    assert len(found) == len({one.name for one in found})
    return {one.name: one for one in found}


async def test_repeating_changes_nothing(client: Any, deployment_id: Any) -> None:
    """Each start of a stack does it; there are three automations ever after."""
    from deployments.copying import keep_copying

    await keep_copying(client)
    before = await ours(client)
    await keep_copying(client)
    after = await ours(client)
    assert {name: one.id for name, one in before.items()} == {
        name: one.id for name, one in after.items()
    }
    assert len(after) == 3


async def test_each_start_submits_a_run_that_obeys_the_wish(
    client: Any, deployment_id: Any
) -> None:
    from deployments.copying import keep_copying

    before = {run.id for run in await client.read_flow_runs()}
    await keep_copying(client)
    (run,) = [run for run in await client.read_flow_runs() if run.id not in before]
    assert run.deployment_id == deployment_id
    assert run.parameters == {"start": "schedule"}


async def test_automations_follow_the_deployment_and_the_operator(
    client: Any, deployment_id: Any
) -> None:
    """A deployment that was made anew is the one that is run; what was switched off stays off."""
    from deployments.copying import CRASH_SILENT, RUN_AGAIN, keep_copying

    await keep_copying(client)
    await client.pause_automation((await ours(client))[CRASH_SILENT].id)
    flow_id = (await client.read_deployment(deployment_id)).flow_id
    await client.delete_deployment(deployment_id)
    anew = await client.create_deployment(flow_id, name="leaders")
    await keep_copying(client)
    found = await ours(client)
    (action,) = found[RUN_AGAIN].actions
    assert (action.deployment_id, action.parameters) == (anew, {"start": "again"})
    assert not found[CRASH_SILENT].enabled
    assert found[RUN_AGAIN].enabled


async def test_double_automations_become_one(client: Any, deployment_id: Any) -> None:
    """Two starts at the same moment may both have found none."""
    from deployments.copying import automations, keep_copying

    for wanted in automations(deployment_id):
        await client.create_automation(wanted)
    await keep_copying(client)
    assert len(await ours(client)) == 3


async def test_recovery_crashes_what_ran_and_cancels_what_was_being_cancelled(
    client: Any, deployment_id: Any
) -> None:
    """A person's Cancel must not look like a crash: a crash is started again."""
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.states import Cancelling, Pending, Running

    from deployments.recover import recover

    await client.create_work_pool(WorkPoolCreate(name="test-pool", type="process"), overwrite=True)
    flow_id = (await client.read_deployment(deployment_id)).flow_id
    pooled = await client.create_deployment(flow_id, name="pooled", work_pool_name="test-pool")
    ended = {}
    for states in ((Pending(),), (Running(),), (Running(), Cancelling())):
        run = await client.create_flow_run_from_deployment(pooled)
        for state in states:
            await client.set_flow_run_state(run.id, state, force=True)
        ended[states[-1].name] = run.id
    assert await recover(client, pool="test-pool") == 3
    names = {name: (await client.read_flow_run(one)).state.name for name, one in ended.items()}
    assert names == {"Pending": "Crashed", "Running": "Crashed", "Cancelling": "Cancelled"}
    assert await recover(client, pool="test-pool") == 0
