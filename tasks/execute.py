"""Placing an order, once."""

from prefect import task

from polybot.alerts import fill_alert
from polybot.bootstrap import Bot
from polybot.domain.decisions import Decision
from polybot.domain.orders import ApprovedOrder, RefusedOrder
from polybot.execution import PlacedOrder, place
from tasks.policies import MONEY


@task(name="execute", **MONEY)
async def execute(
    bot: Bot, approved: ApprovedOrder, decision: Decision
) -> PlacedOrder | RefusedOrder:
    """Make the order durable, send it once and record what the answer proves."""
    return await place(
        approved,
        decision,
        exchange=bot.exchange,
        ledger=bot.ledger,
        clock=bot.clock,
        limits=bot.limits,
        alert_for=lambda fill: fill_alert(fill, approved.order, mode=bot.mode),
    )
