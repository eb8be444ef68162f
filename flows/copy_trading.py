"""Long-running: copy the followed leaders, alone, until a person or the clock ends the run."""

import asyncio
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import structlog
from anyio import CancelScope
from prefect import flow, get_client
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun, State
from prefect.runtime import deployment as current_deployment
from prefect.runtime import flow_run as current_run
from prefect.states import Cancelled, Completed, Crashed

from flows.run import Run, access_for_orders, label_run, open_run
from flows.watch import Ending, RunWatch, newest_cancel, tell_missing_event, watch_run
from polybot.bootstrap_copying import Copier, open_copier
from polybot.copy_trading.card import broken_card, copying_card, paused_card
from polybot.copy_trading.parts import LEASE_NAME
from polybot.copy_trading.status import CopyStatus
from polybot.copy_trading.wanted import (
    copy_ledger,
    is_wanted,
    start_copying,
    stop_copying,
    stop_copying_unless_newer,
)
from polybot.domain.modes import Mode
from polybot.errors import PermanentError
from polybot.ports import CopyLedger
from tasks.copy_trading import CopyPage, audit

log = structlog.get_logger(__name__)

Start = Literal["by hand", "schedule", "again", "hand-over"]
"""Who starts a run: a person, the safety net, the restart after a crash, or the run before."""
_NAMED = "copying-"
_LOOK_FOR_WISHES_S = 1.0
# The loop promises ten; then it is cut.
_STOP_WITHIN_S = 9.5
# A run that failed is started again at once. What fails again and again must not burn a core;
# what only a person can mend is tried more rarely still.
_BRAKE_S = 15.0
_MENDING_S = 105.0
# A sandbox whose clock is further away plays in a time of its own, which Prefect knows nothing of.
_SAME_TIME_S = 3600.0


@flow(name="copy-trading", retries=0, persist_result=False)
async def copy_trading(start: Start = "by hand", live: bool = False) -> State[Any]:
    """Copy the followed leaders until the run is cancelled, stopped, or handed over.

    Args:
        start: Leave it: started by hand, the run also lifts an earlier pause or Cancel.
        live: The second word: with POLYBOT_MODE=live, real money moves only where this is true.
    """
    ended: State[Any] = Crashed(message="the run was cut off")
    # Prefect gives up a run whose slot it could not renew while its server was away. This one
    # trades on: the lease in the ledger, not the slot, makes it the only one.
    with CancelScope(shield=True):
        try:
            async with open_run("copy-trading", None) as run, get_client() as client:
                ended = await _supervise(run, client, start, live=live)
        except Exception:
            await asyncio.sleep(_BRAKE_S)
            raise
    return ended


async def _supervise(run: Run, client: PrefectClient, start: Start, *, live: bool) -> State[Any]:
    """Copy if a person wants it, until something ends the run; return how it ended."""
    if run.bot.mode is Mode.LIVE and not live:
        return Completed(name="NotLive", message="the parameter `live` is false")
    ledger = copy_ledger(run.bot.ledger)
    mine = await client.read_flow_run(UUID(current_run.id))
    await tell_missing_event(client, mine)
    await _note_start(run, ledger, client, start, mine)
    if not is_wanted(ledger):
        return Completed(name="NotWanted", message=_why_not(ledger))
    await label_run(run, name=f"{_NAMED}{run.due:%Y-%m-%dT%H:%M:%S}Z")
    settings = run.bot.settings.copying
    page = CopyPage(client, every_s=settings.report_every_s)
    async with watch_run(client, mine.id, hand_over_s=settings.hand_over_h * 3600) as watch:
        await _keep_copying(run, ledger, watch, page, live=live)
        return await _end(run, ledger, watch, client)


async def _keep_copying(
    run: Run, ledger: CopyLedger, watch: RunWatch, page: CopyPage, *, live: bool
) -> None:
    """Copy while it is wanted; wait while it is not; break slowly where something is broken."""
    while not watch.stop.is_set():
        if not is_wanted(ledger):
            await page.show(paused_card(ledger.desired_state(LEASE_NAME), mode=run.bot.mode))
            await watch.wait(_LOOK_FOR_WISHES_S)
            continue
        try:
            async with open_copier(access=access_for_orders(live), run_name=run.name) as copier:
                copier.bot.require_orders()
                status = await _copy(copier, watch, page)
                card = copying_card(status, mode=run.bot.mode)
                await audit(page, card, status)
        except Exception as problem:
            log.exception("copying broke")
            await page.show_now(broken_card(problem, mode=run.bot.mode))
            if isinstance(problem, PermanentError):
                await watch.wait(_MENDING_S)
            if not watch.stop.is_set():
                raise


async def _copy(copier: Copier, watch: RunWatch, page: CopyPage) -> CopyStatus:
    """Run the loop to its end, and show it while it runs."""
    looping = asyncio.create_task(copier.loop.run(watch.stop))
    stopping = asyncio.create_task(watch.stop.wait())
    try:
        while not (looping.done() or stopping.done()):
            await page.show(copying_card(copier.loop.status(), mode=copier.bot.mode))
            await asyncio.wait(
                {looping, stopping}, timeout=page.every_s, return_when=asyncio.FIRST_COMPLETED
            )
        await asyncio.wait({looping}, timeout=_STOP_WITHIN_S)
    finally:
        for task in (looping, stopping):
            task.cancel()
        await asyncio.gather(looping, stopping, return_exceptions=True)
    # Cut off, it has no last word; what it knew is still there.
    return copier.loop.status() if looping.cancelled() else looping.result()


async def _note_start(
    run: Run, ledger: CopyLedger, client: PrefectClient, start: Start, mine: FlowRun
) -> None:
    """Bring the wish in the ledger up to date with what a person did in Prefect."""
    now = await run.bot.clock.now()
    if start == "by hand" and not mine.auto_scheduled:
        start_copying(ledger, by="prefect", reason=f"run {run.name} was started by hand", at=now)
        return
    # A Cancel may have hit a run that was being killed, or had not begun to look at itself.
    if mine.deployment_id is None or not _is_real_time(mine, now):
        return
    desired = ledger.desired_state(LEASE_NAME)
    cancelled_at = await newest_cancel(
        client,
        mine.deployment_id,
        named=_NAMED,
        since=None if desired is None else desired.changed_at,
    )
    if cancelled_at is not None:
        stop_copying_unless_newer(
            ledger,
            by="prefect",
            reason="the run before was cancelled",
            said_at=cancelled_at,
            at=now,
        )


async def _end(run: Run, ledger: CopyLedger, watch: RunWatch, client: PrefectClient) -> State[Any]:
    """Return the state that makes Prefect, and its automations, do the right thing next."""
    match await watch.conclude():
        case Ending.CANCELLED:
            stop_copying(
                ledger,
                by="prefect",
                reason=f"run {run.name} was cancelled",
                at=await run.bot.clock.now(),
            )
            return Cancelled(message="cancelled; start a run by hand, or resume, to copy again")
        case Ending.HANDED_OVER:
            if deployment_id := current_deployment.id:
                parameters = {**current_run.parameters, "start": "hand-over"}
                await client.create_flow_run_from_deployment(
                    UUID(deployment_id), parameters=parameters
                )
            return Completed(name="HandedOver", message="the next run goes on")
        case Ending.TERMINATED:
            return Crashed(message="the process was told to end; the run is started again")
        case _:
            return Crashed(message="Prefect had given this run up; it stopped trading")


def _is_real_time(mine: FlowRun, now: datetime) -> bool:
    """Return whether the venue's clock and Prefect's speak of the same instants."""
    due = mine.expected_start_time
    return due is None or abs(due.timestamp() - now.timestamp()) <= _SAME_TIME_S


def _why_not(ledger: CopyLedger) -> str:
    desired = ledger.desired_state(LEASE_NAME)
    return "" if desired is None else f"not wanted since {desired.changed_at}: {desired.reason}"
