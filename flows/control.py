"""By hand: stop, restrict or resume trading, or copying alone, with a reason that is kept."""

from typing import Literal

from prefect import flow, get_client
from prefect.exceptions import ObjectNotFound

from flows.names import COPY_DEPLOYMENT
from flows.run import label_run, open_run
from tasks.control import change_copying, change_trading_state
from tasks.notify import notify


@flow(name="control", retries=0, persist_result=False)
async def control(
    action: Literal["halt", "reduce", "resume", "pause-copying", "resume-copying"],
    reason: str,
    by: str = "prefect",
) -> None:
    """Change the trading state; the next order of any process obeys it.

    Args:
        action: ``halt`` stops all orders, ``reduce`` allows only orders that make a position
            smaller, ``resume`` lifts both. ``pause-copying`` and ``resume-copying`` concern copies
            alone. All of it outlives restarts.
        reason: Why; it is recorded and sent to the owner.
        by: Who asks for it.
    """
    async with open_run("control", None) as run:
        await label_run(run, name=action)
        match action:
            case "pause-copying":
                await change_copying(run.bot, is_wanted=False, reason=reason, by=by)
            case "resume-copying":
                await change_copying(run.bot, is_wanted=True, reason=reason, by=by)
                await _start_copying()
            case _:
                await change_trading_state(run.bot, action, reason=reason, by=by)
        await notify(run.bot)


async def _start_copying() -> None:
    """Start a run now instead of at the next tick; where one is paused, this one is cancelled."""
    async with get_client() as client:
        try:
            deployment = await client.read_deployment_by_name(COPY_DEPLOYMENT)
        except ObjectNotFound:
            return
        await client.create_flow_run_from_deployment(
            deployment.id, parameters={"start": "schedule"}
        )
