"""Long-running, live only: hear of fills as they happen instead of a minute later."""

from datetime import datetime

from prefect import flow

from flows.run import open_run
from polybot.bootstrap import Access
from tasks.follow import follow
from tasks.notify import notify


@flow(name="follow", retries=0, persist_result=False)
async def follow_account(scheduled_at: datetime | None = None, minutes: float = 59.5) -> None:
    """Listen to the account for a while; everything heard is read before it is booked.

    Args:
        scheduled_at: When this run was due (UTC); default: Prefect's scheduled start.
        minutes: How long to listen; the next run goes on, and re-reads everything at its start.
    """
    async with open_run("follow", scheduled_at, access=Access.ACCOUNT) as run:
        run.bot.require_account()
        await follow(run.bot, seconds=minutes * 60)
        await notify(run.bot)
