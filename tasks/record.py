"""The log step: the final record of a window, and what the UI shows of it."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

from prefect import task
from prefect.artifacts import acreate_markdown_artifact

from polybot.alerts import daily_report_alert, refused_alert, skipped_alert
from polybot.bootstrap import Bot
from polybot.domain.alerts import Alert
from polybot.domain.decisions import Decision, Verdict
from polybot.reports import build_daily_report, decision_card, trend_card
from polybot.trend import DecisionDraft
from tasks.policies import WRITE


@task(name="log", task_run_name="log {decision.window.slug}", **WRITE)
async def log_decision(bot: Bot, decision: Decision) -> Decision:
    """Make the decision final, with the alert that it deserves, and return it as recorded.

    A decision with an order became final in the transaction that made the order durable.
    """
    if decision.verdict is not Verdict.PENDING:
        bot.ledger.finish_decision(decision, alert=_alert_about(bot, decision))
    recorded = bot.ledger.decision(decision.key)
    return recorded or decision


@task(name="publish cards", **WRITE)
async def publish_cards(bot: Bot, drafts: Sequence[DecisionDraft]) -> None:
    """Leave the decision card of every window of this run as one artifact."""
    if not drafts:
        return
    cards = []
    for draft in drafts:
        order_id = draft.decision.order_id
        cards.append(
            decision_card(
                draft.decision,
                mode=bot.mode,
                order=bot.ledger.order(order_id) if order_id else None,
                fills=bot.ledger.fills_of(order_id) if order_id else (),
                expected=draft.expected,
                market=draft.market,
            )
        )
    slugs = ", ".join(draft.decision.window.slug for draft in drafts)
    await acreate_markdown_artifact(
        markdown=trend_card(cards), key="decision-card", description=f"Decisions for {slugs}"
    )


@task(name="publish report", **WRITE)
async def publish_report(bot: Bot, day: date) -> None:
    """Leave a UTC day's report as an artifact and put its summary in the outbox."""
    start = datetime.combine(day, time(), UTC)
    end = start + timedelta(days=1)
    now = await bot.clock.now()
    text = build_daily_report(
        day,
        mode=bot.mode,
        decisions=bot.ledger.decisions_between(start, end),
        settlements=bot.ledger.settlements_between(start, end),
        trade_log=bot.ledger.trade_log(),
        totals=bot.ledger.totals(at=now),
    )
    await acreate_markdown_artifact(
        markdown=text.markdown, key="daily-report", description=f"What {day} brought"
    )
    bot.ledger.add_alert(daily_report_alert(day, text.summary, mode=bot.mode), at=now)


def _alert_about(bot: Bot, decision: Decision) -> Alert | None:
    match decision.verdict:
        case Verdict.REFUSED:
            return refused_alert(decision, mode=bot.mode)
        case Verdict.SKIPPED:
            return skipped_alert(decision, mode=bot.mode)
        case _:
            return None
