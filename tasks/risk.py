"""Size and limits."""

from prefect import task

from polybot.bootstrap import Bot
from polybot.domain.orders import ApprovedOrder, DecisionKey, RefusedOrder
from polybot.domain.signals import Signal
from polybot.risk import assess
from tasks.fetch import WindowFacts
from tasks.policies import PURE


@task(name="risk", **PURE)
async def risk(
    bot: Bot, forecast: Signal, facts: WindowFacts, key: DecisionKey
) -> ApprovedOrder | RefusedOrder:
    """Size the order and look at every limit."""
    now = await bot.clock.now()
    return assess(
        forecast,
        facts.market,
        facts.book_for(forecast),
        totals=bot.ledger.totals(at=now),
        exposure=bot.ledger.market_exposure(facts.market.condition_id),
        limits=bot.limits,
        now=now,
        decision_key=key,
    )
