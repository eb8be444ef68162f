"""Bringing the books in line with what the venue says."""

import structlog
from prefect import task
from prefect.artifacts import acreate_markdown_artifact

from polybot.alerts import run_failed_alert, settlement_alert
from polybot.bootstrap import Bot
from polybot.domain.decisions import Decision
from polybot.domain.reconciliation import Reconciliation
from polybot.reconciliation import reconcile_account
from polybot.redemption import RedemptionRound, redeem_settled
from polybot.reports import reconciliation_card
from polybot.settlement import (
    SettlementRound,
    close_abandoned_decisions,
    mark_open_positions,
    settle_ended_windows,
)
from tasks.policies import MONEY, READ, WRITE

log = structlog.get_logger(__name__)


@task(name="reconcile", **MONEY)
async def reconcile_books(
    bot: Bot, *, accepted_difference: str = "", accepted_shares: str = ""
) -> Reconciliation:
    """Bring orders, trades, shares and cash to what the venue says; on paper, open orders."""
    return await reconcile_account(
        bot.ledger,
        bot.exchange,
        bot.account,
        bot.clock,
        mode=bot.mode,
        accepted_difference=accepted_difference,
        accepted_shares=accepted_shares,
        timing=bot.reconcile_timing,
    )


@task(name="publish reconciliation", **WRITE)
async def publish_reconciliation(bot: Bot, found: Reconciliation) -> None:
    """Leave what a reconciliation found as an artifact."""
    await acreate_markdown_artifact(
        markdown=reconciliation_card(found, mode=bot.mode),
        key="reconciliation",
        description=f"Reconciliation of {found.started_at:%Y-%m-%d %H:%M:%S} UTC",
    )


@task(name="redeem", **MONEY)
async def redeem_winnings(bot: Bot) -> RedemptionRound | None:
    """Turn settled winnings into cash; on paper they are cash already."""
    if bot.account is None:
        return None
    return await redeem_settled(bot.ledger, bot.account, at=await bot.clock.now(), mode=bot.mode)


@task(name="close abandoned decisions", **WRITE)
async def close_abandoned(bot: Bot) -> tuple[Decision, ...]:
    """Record a skip for windows whose run ended without deciding."""
    return close_abandoned_decisions(
        bot.ledger, at=await bot.clock.now(), max_lateness_s=bot.settings.timing.max_lateness_s
    )


@task(name="mark positions", **READ)
async def mark_positions(bot: Bot) -> tuple[str, ...]:
    """Record the bid of every held token whose window still runs."""
    return await mark_open_positions(bot.ledger, bot.market_data, at=await bot.clock.now())


@task(name="settle windows", **MONEY)
async def settle_windows(bot: Bot) -> SettlementRound:
    """Pay out every held window that the venue has resolved; tell what stands in the way."""
    now = await bot.clock.now()
    done = await settle_ended_windows(
        bot.ledger,
        bot.market_data,
        at=now,
        alert_for=lambda settlement: settlement_alert(settlement, mode=bot.mode),
    )
    for problem in done.problems:
        log.warning("window not settled", problem=problem)
        bot.ledger.add_alert(run_failed_alert("settle", problem, at=now, mode=bot.mode), at=now)
    return done
