"""Keep copy trading alive: three automations, and a first run. Safe to repeat.

    python -m deployments.copying

Run it after `prefect deploy --all`, before or beside the worker. A person's Cancel or pause is not
touched: the run looks into the ledger and ends at once where no copies are wanted.
"""

import asyncio
import sys
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from flows.names import COPY_DEPLOYMENT

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.events.schemas.automations import AutomationCore

FLOW = COPY_DEPLOYMENT.partition("/")[0]
CRASH_SILENT = "polybot: crash copy-trading runs that fell silent"
RUN_AGAIN = "polybot: run copy-trading again"
END_CANCELLED = "polybot: end copy-trading runs that were cancelled too early"
# A run says every 30 s that it lives (`flows.heartbeat_frequency`); three missed are a crash.
SILENCE = timedelta(seconds=90)
# A run that hears a Cancel ends within ten seconds, and its worker kills it after thirty.
CANCELLED_WITHIN = timedelta(seconds=45)
_ENDS = ("Cancelled", "Crashed", "Failed", "Completed", "HandedOver", "NotWanted", "NotLive")


async def keep_copying(client: "PrefectClient") -> None:
    """Create or update the automations and submit a run; one run at a time is let through."""
    deployment = await client.read_deployment_by_name(COPY_DEPLOYMENT)
    # The run first: nobody copies until it is there.
    await submit_run(client, deployment.id)
    for wanted in automations(deployment.id):
        await _ensure(client, wanted)


async def submit_run(client: "PrefectClient", deployment_id: UUID) -> UUID:
    """Submit a run as the schedule would, now instead of at the next tick."""
    run = await client.create_flow_run_from_deployment(
        deployment_id, parameters={"start": "schedule"}
    )
    return run.id


def automations(deployment_id: UUID) -> "tuple[AutomationCore, ...]":
    """Return what Prefect's server has to do by itself when a run falls silent or breaks.

    A Cancel that comes before the run's process has begun is never carried through by Prefect
    (3.8.8 to 3.9.1): for five minutes the run holds its slot, and nobody can start another one.
    """
    from prefect.client.schemas.objects import StateType  # noqa: PLC0415
    from prefect.events.actions import ChangeFlowRunState, RunDeployment  # noqa: PLC0415
    from prefect.events.schemas.automations import (  # noqa: PLC0415
        AutomationCore,
        EventTrigger,
        Posture,
    )
    from prefect.events.schemas.events import ResourceSpecification  # noqa: PLC0415

    runs = ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"})
    ours = ResourceSpecification({"prefect.resource.role": "flow", "prefect.resource.name": FLOW})
    crash_silent = AutomationCore(
        name=CRASH_SILENT,
        description="A run whose heartbeat is gone is dead: its slot is freed.",
        trigger=EventTrigger(
            posture=Posture.Proactive,
            after={"prefect.flow-run.heartbeat"},
            expect={"prefect.flow-run.*"},
            match=runs,
            match_related=ours,
            for_each={"prefect.resource.id"},
            threshold=1,
            within=SILENCE,
        ),
        actions=[
            ChangeFlowRunState(
                name="Crashed", state=StateType.CRASHED, message="it gave no sign of life"
            )
        ],
    )
    run_again = AutomationCore(
        name=RUN_AGAIN,
        description="A run that crashed or failed is followed by the next one at once.",
        trigger=EventTrigger(
            posture=Posture.Reactive,
            expect={"prefect.flow-run.Crashed", "prefect.flow-run.Failed"},
            match=runs,
            match_related=ours,
            for_each={"prefect.resource.id"},
            threshold=1,
            within=timedelta(0),
        ),
        actions=[
            RunDeployment(
                source="selected", deployment_id=deployment_id, parameters={"start": "again"}
            )
        ],
    )
    end_cancelled = AutomationCore(
        name=END_CANCELLED,
        description="A run that was cancelled before it had begun ends, and its slot is freed.",
        trigger=EventTrigger(
            posture=Posture.Proactive,
            after={"prefect.flow-run.Cancelling"},
            expect={f"prefect.flow-run.{name}" for name in _ENDS},
            match=runs,
            match_related=ours,
            for_each={"prefect.resource.id"},
            threshold=1,
            within=CANCELLED_WITHIN,
        ),
        actions=[
            ChangeFlowRunState(
                name="Cancelled", state=StateType.CANCELLED, message="cancelled before it had begun"
            )
        ],
    )
    return crash_silent, run_again, end_cancelled


async def _ensure(client: "PrefectClient", wanted: "AutomationCore") -> None:
    """Create an automation, or bring the one of its name up to date; extra ones go.

    Whether it is enabled stays as the operator left it.
    """
    found = await client.read_automations_by_name(wanted.name)
    if not found:
        await client.create_automation(wanted)
        return
    kept, *extra = found
    for automation in extra:
        await client.delete_automation(automation.id)
    # The client sends what was set; defaults such as a trigger's type must be among it, but not
    # the owner, which cannot be changed.
    whole = wanted.model_dump(mode="json", exclude={"owner_resource"}) | {"enabled": kept.enabled}
    await client.update_automation(kept.id, type(wanted).model_validate(whole))


async def main() -> None:
    """Keep copying on the server that this environment names."""
    from prefect.client.orchestration import get_client  # noqa: PLC0415

    async with get_client() as client:
        await keep_copying(client)
    print(f"{COPY_DEPLOYMENT}: three automations are in place, and a run was submitted")


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
