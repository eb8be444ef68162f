"""Every 15 minutes: decide each series' new window, and trade it where everything agrees."""

import asyncio
from datetime import datetime

from prefect import flow

from flows.run import Run, label_run, open_run, raise_first
from polybot.bootstrap import load_libraries
from polybot.domain.decisions import Verdict
from polybot.domain.markets import MarketSeries, MarketWindow
from polybot.domain.orders import RefusedOrder
from polybot.domain.signals import Direction
from polybot.errors import PolybotError
from polybot.trend import DecisionDraft, name_of, open_decision, refuse_late, windows_due
from tasks.execute import execute
from tasks.fetch import fetch
from tasks.indicators import indicators
from tasks.notify import notify
from tasks.record import log_decision, publish_cards
from tasks.risk import risk
from tasks.signals import signal


@flow(name="trend", retries=0, persist_result=False)
async def trend(series: list[str] | None = None, scheduled_at: datetime | None = None) -> None:
    """Decide the window that starts at the scheduled time, once, for every series.

    Args:
        series: Market series, e.g. ``["btc-15m"]``; default: the configured ones.
        scheduled_at: When this run was due (UTC); default: Prefect's scheduled start.
    """
    async with open_run("trend", scheduled_at) as run:
        timing = run.bot.settings.timing
        wanted = tuple(MarketSeries.parse(text) for text in series) if series else run.bot.series
        windows = windows_due(wanted, run.due, max_lateness=timing.max_lateness)
        await label_run(run, name=name_of(windows), tags=[str(w.series) for w in windows])
        if not windows:
            return
        # Seconds of imports belong before the window, not between the clock and the first request.
        await asyncio.to_thread(load_libraries)
        await run.bot.clock.sleep_until(run.due + timing.start_delay)
        drafts = await asyncio.gather(
            *(decide_window(run, window) for window in windows), return_exceptions=True
        )
        await publish_cards(run.bot, [d for d in drafts if isinstance(d, DecisionDraft)])
        await notify(run.bot)
        raise_first(drafts)


async def decide_window(run: Run, window: MarketWindow) -> DecisionDraft:
    """Take one window from facts to a recorded decision; a second run of it does nothing."""
    draft = open_decision(
        run.bot.strategy.name, window, run_name=run.name, at=await run.bot.clock.now()
    )
    earlier = run.bot.ledger.claim_decision(draft.decision)
    if earlier is not None and earlier.verdict is not Verdict.PENDING:
        return DecisionDraft(earlier)
    try:
        await decide(run, draft)
    except (PolybotError, TimeoutError) as problem:
        draft.note_skip(problem)
    draft.decision = await log_decision(run.bot, draft.decision)
    return draft


async def decide(run: Run, draft: DecisionDraft) -> None:
    """Walk the steps; the draft keeps what is known wherever they end."""
    bot, timing, window = run.bot, run.bot.settings.timing, draft.decision.window
    refuse_late(window, now=await bot.clock.now(), max_lateness=timing.max_lateness)

    async with asyncio.timeout(timing.fetch_deadline_s):
        facts = await fetch(bot, window)
    draft.note_market(facts.market)

    values = await indicators(bot, facts.candles)
    draft.note(indicators=values.as_dict())

    forecast = await signal(bot, values)
    draft.note_signal(forecast)
    if forecast.direction is Direction.HOLD:
        return

    answer = await risk(bot, forecast, facts, draft.decision.key)
    draft.note_risk(answer, facts.book_for(forecast))
    if isinstance(answer, RefusedOrder):
        return

    placed = await execute(bot, answer, draft.decision)
    if isinstance(placed, RefusedOrder):
        draft.note(verdict=Verdict.REFUSED, reason=placed.reason, checks=placed.checks)
