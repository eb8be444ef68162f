"""Listening to the account."""

import asyncio
from contextlib import aclosing, suppress

from prefect import task

from polybot.account_follow import beating, follow_account
from polybot.bootstrap import Bot
from tasks.policies import MONEY


@task(name="follow", **MONEY)
async def follow(bot: Bot, *, seconds: float) -> None:
    """Record fills as they happen; on paper there is nothing to hear."""
    if bot.account is None or bot.user_events is None:
        return
    async with beating(bot.heartbeat), aclosing(bot.user_events()) as events:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await follow_account(
                    events,
                    bot.ledger,
                    bot.exchange,
                    bot.account,
                    bot.clock,
                    mode=bot.mode,
                    timing=bot.reconcile_timing,
                )
