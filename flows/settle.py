"""Every minute: learn the fate of open orders, settle what has ended, send what waits."""

from datetime import datetime

from prefect import flow

from flows.run import access_for_orders, label_run, open_run
from tasks.notify import notify
from tasks.settle import (
    close_abandoned,
    mark_positions,
    reconcile_books,
    redeem_winnings,
    settle_windows,
)


@flow(name="settle", retries=0, persist_result=False)
async def settle(scheduled_at: datetime | None = None, live: bool = False) -> None:
    """Bring the books in line with what the venue says.

    Args:
        scheduled_at: When this run was due (UTC); default: Prefect's scheduled start.
        live: The second word: with POLYBOT_MODE=live, real money moves only where this is true.
    """
    async with open_run("settle", scheduled_at, access=access_for_orders(live)) as run:
        run.bot.require_account()
        await label_run(run, name=f"settle-{run.due:%Y-%m-%dT%H:%M}Z")
        await run.bot.clock.sleep_until(run.due)
        await reconcile_books(run.bot)
        await close_abandoned(run.bot)
        await mark_positions(run.bot)
        await settle_windows(run.bot)
        if live:
            await redeem_winnings(run.bot)
        await notify(run.bot)
