"""The forecast."""

from prefect import task

from polybot.bootstrap import Bot
from polybot.domain.signals import IndicatorValues, Signal
from polybot.signals import decide_signal
from tasks.policies import PURE


@task(name="signal", **PURE)
async def signal(bot: Bot, values: IndicatorValues) -> Signal:
    """Decide UP, DOWN or HOLD, with its reason."""
    return decide_signal(values, bot.strategy)
