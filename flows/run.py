"""What every flow does around its steps: when was it due, who is it, what if it breaks."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import structlog
from prefect import get_client
from prefect.runtime import flow_run as current_run

from polybot.adapters.logs import hide, setup_logging
from polybot.alerts import run_failed_alert
from polybot.bootstrap import Access, Bot, open_bot
from polybot.config import load_settings
from polybot.domain.decisions import RunRecord
from polybot.domain.modes import Mode

log = structlog.get_logger(__name__)

# A sandbox whose clock is this close to the real one runs in real time, so Prefect's schedule
# speaks of the same instants.
_SAME_TIME = timedelta(seconds=60)


@dataclass(slots=True, kw_only=True)
class Run:
    """One flow run: the open bot, and when the run was due on the venue's clock."""

    bot: Bot
    name: str
    """Prefect's name for the run, until it is known what the run works on."""
    due: datetime


@asynccontextmanager
async def open_run(
    flow_name: str, scheduled_at: datetime | None, *, access: Access = Access.LEDGER
) -> AsyncIterator[Run]:
    """Open the bot for a flow run, record the run, and alert if it breaks.

    Args:
        flow_name: As the status page shows it.
        scheduled_at: When the run was due; ``None`` takes Prefect's scheduled start, so that a
            late or early run still works on the window it was scheduled for.
        access: How far the run may reach in live mode.
    """
    settings = load_settings()
    hide(settings.secret_values)
    setup_logging(settings.home, settings.logs.level, line_format=settings.logs.format)
    async with open_bot(settings, access=access) as bot:
        started_at = await bot.clock.now()
        record = RunRecord(
            run_id=str(current_run.id),
            flow=flow_name,
            name=str(current_run.name),
            state="running",
            started_at=started_at,
            ended_at=None,
            note="",
        )
        bot.ledger.record_run(record)
        due = _due_at(scheduled_at, bot.mode, started_at)
        run = Run(bot=bot, name=record.name, due=due)
        try:
            yield run
        except BaseException as problem:
            note = f"{type(problem).__name__}: {problem}"[:300]
            await _record_failure(bot, replace(record, name=run.name), note)
            raise
        ended_at = await bot.clock.now()
        bot.ledger.record_run(replace(record, name=run.name, state="completed", ended_at=ended_at))


def access_for_orders(live: bool) -> Access:
    """Return what a trading flow's ``live`` parameter, the second word, opens in live mode."""
    return Access.ORDERS if live else Access.ACCOUNT


async def label_run(run: Run, *, name: str, tags: Iterable[str] = ()) -> None:
    """Name and tag the run by what it turned out to work on."""
    run.name = name
    async with get_client() as client:
        await client.update_flow_run(
            current_run.id, name=name, tags={*current_run.tags, str(run.bot.mode), *tags}
        )


def raise_first(results: Sequence[object]) -> None:
    """Raise the first exception among gathered results, after all of them have ended."""
    for result in results:
        if isinstance(result, BaseException):
            raise result


async def _record_failure(bot: Bot, record: RunRecord, note: str) -> None:
    ended_at = await bot.clock.now()
    bot.ledger.record_run(replace(record, state="failed", ended_at=ended_at, note=note))
    alert = run_failed_alert(record.flow, note, at=ended_at, mode=bot.mode)
    bot.ledger.add_alert(alert, at=ended_at)
    log.error("run failed", flow=record.flow, run=record.name, problem=note)


def _due_at(scheduled_at: datetime | None, mode: Mode, now: datetime) -> datetime:
    if scheduled_at is not None:
        return scheduled_at if scheduled_at.tzinfo else scheduled_at.replace(tzinfo=UTC)
    scheduled: datetime = current_run.scheduled_start_time or now
    if mode is Mode.SANDBOX and abs(scheduled - now) > _SAME_TIME:
        return now
    # Prefect's own kind of datetime divides and subtracts in its own way.
    return datetime.fromtimestamp(scheduled.timestamp(), UTC)
