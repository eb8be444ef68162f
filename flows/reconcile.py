"""By hand: bring our record to what the venue says, and show what that took."""

from prefect import flow

from flows.run import label_run, open_run
from polybot.bootstrap import Access
from polybot.errors import DataError
from tasks.notify import notify
from tasks.settle import publish_reconciliation, reconcile_books


@flow(name="reconcile", retries=0, persist_result=False)
async def reconcile(accept_difference: str = "", accept_shares: str = "") -> None:
    """Compare the account with the venue; the run fails where trading must wait.

    Args:
        accept_difference: Why you accept that cash differs by what nothing explains: it is then
            booked as a deposit or a withdrawal. Leave it empty to look first.
        accept_shares: Why you accept that shares differ by what nothing explains: the bot keeps
            its own and stops asking for the difference.
    """
    async with open_run("reconcile", None, access=Access.ACCOUNT) as run:
        run.bot.require_account()
        found = await reconcile_books(
            run.bot,
            accepted_difference=accept_difference.strip(),
            accepted_shares=accept_shares.strip(),
        )
        await label_run(run, name=f"reconcile-{found.verdict}")
        await publish_reconciliation(run.bot, found)
        await notify(run.bot)
        if not found.verdict.allows_trading:
            raise DataError(found.summary(), reason="unreconciled")
