"""By hand: stop, restrict or resume trading, with a reason that is kept."""

from typing import Literal

from prefect import flow

from flows.run import label_run, open_run
from tasks.control import change_trading_state
from tasks.notify import notify


@flow(name="control", retries=0, persist_result=False)
async def control(
    action: Literal["halt", "reduce", "resume"], reason: str, by: str = "prefect"
) -> None:
    """Change the trading state; the next order of any process obeys it.

    Args:
        action: ``halt`` stops all orders, ``reduce`` allows only orders that make a position
            smaller, ``resume`` lifts both. A halt outlives restarts.
        reason: Why; it is recorded and sent to the owner.
        by: Who asks for it.
    """
    async with open_run("control", None) as run:
        await label_run(run, name=action)
        await change_trading_state(run.bot, action, reason=reason, by=by)
        await notify(run.bot)
