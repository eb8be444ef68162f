"""Daily: what happened, what it earned, and the curve of it."""

from datetime import date, datetime, timedelta

from prefect import flow

from flows.run import label_run, open_run
from tasks.notify import notify
from tasks.record import publish_report


@flow(name="report", retries=0, persist_result=False)
async def report(day: date | None = None, scheduled_at: datetime | None = None) -> None:
    """Publish one UTC day's report as an artifact and send its summary.

    Args:
        day: The UTC day; default: the day before the run was due.
        scheduled_at: When this run was due (UTC); default: Prefect's scheduled start.
    """
    async with open_run("report", scheduled_at) as run:
        await run.bot.clock.sleep_until(run.due)
        wanted = day or (run.due - timedelta(days=1)).date()
        await label_run(run, name=f"report-{wanted}")
        await publish_report(run.bot, wanted)
        await notify(run.bot)
