"""What the owner does meanwhile: money in, money out, a halt, and lifting what was halted."""

from random import Random

from polybot.domain.accounts import TradingStateChange
from polybot.domain.modes import TradingState
from tests.simulation.hour import Bot, Hour
from tests.simulation.runs import reconcile


async def operate(hour: Hour, bot: Bot, random: Random) -> None:
    """What the owner does: money in, money out, a halt, and lifting what was halted."""
    state = hour.ledger.trading_state().state
    if state is TradingState.HALTED:
        if random.random() < 0.5:
            await lift_halt(hour, bot)
        return
    kind = random.random()
    accounts = hour.gateway.exchange.accounts
    if kind < 0.05:
        accounts.deposit(hour.wallet, random.randrange(1, 9_000_000))
        hour.fired.update(("deposited", "balance-change"))
    elif kind < 0.1 and hour.wallet.cash > 60_000_000:
        free = hour.wallet.cash - hour.gateway.exchange.held(hour.wallet)
        accounts.deposit(hour.wallet, -random.randrange(1, max(free // 20, 2)))
        hour.fired.update(("withdrawn", "balance-change"))
    elif kind < 0.16:
        hour.fired["halted"] += 1
        set_state(hour, TradingState.HALTED, "the owner halted")


async def lift_halt(hour: Hour, bot: Bot) -> None:
    if await reconcile(hour, bot, accept="the owner looked at it"):
        set_state(hour, TradingState.ACTIVE, "the owner resumed")
        hour.fired["resumed"] += 1


def set_state(hour: Hour, state: TradingState, reason: str) -> None:
    hour.ledger.set_trading_state(
        TradingStateChange(state=state, reason=reason, by="owner", changed_at=hour.time.now())
    )
