"""Sending what waits in the outbox."""

from prefect import task

from polybot.alert_delivery import DeliveryResult, deliver_due
from polybot.bootstrap import Bot
from tasks.policies import WRITE


@task(name="notify", **WRITE)
async def notify(bot: Bot) -> DeliveryResult:
    """Deliver due alerts; what a channel does not take waits for the next run."""
    return await deliver_due(
        bot.ledger,
        bot.notifier,
        at=await bot.clock.now(),
        per_minute=bot.settings.alerts.per_minute,
    )
