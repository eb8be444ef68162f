"""The operator's switch."""

from typing import Literal

from prefect import task

from polybot.alerts import trading_state_alert
from polybot.bootstrap import Bot
from polybot.copy_trading.wanted import copy_ledger, start_copying, stop_copying
from polybot.domain.accounts import TradingStateChange
from polybot.domain.modes import TradingState
from tasks.policies import MONEY

STATES = {
    "halt": TradingState.HALTED,
    "reduce": TradingState.REDUCING,
    "resume": TradingState.ACTIVE,
}


@task(name="control", **MONEY)
async def change_trading_state(
    bot: Bot, action: Literal["halt", "reduce", "resume"], *, reason: str, by: str
) -> TradingStateChange:
    """Record the new trading state together with the alert about it."""
    if not reason.strip():
        raise ValueError(f"say why you {action}: the reason must not be empty")
    change = TradingStateChange(
        state=STATES[action], reason=reason.strip(), by=by, changed_at=await bot.clock.now()
    )
    bot.ledger.set_trading_state(change, alert=trading_state_alert(change, mode=bot.mode))
    return change


@task(name="control copying", **MONEY)
async def change_copying(bot: Bot, *, is_wanted: bool, reason: str, by: str) -> None:
    """Record whether copies are wanted; a run that copies obeys within seconds."""
    if not reason.strip():
        raise ValueError("say why: the reason must not be empty")
    change = start_copying if is_wanted else stop_copying
    change(copy_ledger(bot.ledger), by=by, reason=reason.strip(), at=await bot.clock.now())
