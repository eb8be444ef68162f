"""The running totals as the rest of the program sees them, read inside a transaction."""

from typing import Final

from sqlalchemy import select

from polybot.accounting import AccountBooks, DayBooks
from polybot.adapters.storage.columns import day_of_number, shares_of, usdc_of
from polybot.adapters.storage.statements import (
    Statement,
    Transaction,
    constant,
    is_one_of,
    parameter,
)
from polybot.adapters.storage.tables import (
    ACCOUNT,
    DAYS,
    ORDERS,
    POSITIONS,
)
from polybot.domain.accounts import AccountTotals, MarketExposure
from polybot.domain.markets import ConditionId, Outcome
from polybot.domain.modes import TradingState
from polybot.domain.money import ZERO_SHARES, Shares
from polybot.domain.orders import OrderStatus, Side

TOTALS: Final = (
    "cash", "reserved", "position_cost", "position_value", "realised", "fees", "deposits",
    "high_water",
)  # fmt: skip
_NOTHING: Final = dict.fromkeys(Outcome, ZERO_SHARES)
COUNTERS: Final = ("opening_equity", "trade_count", "realised", "fees")

IS_OPEN: Final = is_one_of(
    ORDERS.c.status, (status.value for status in OrderStatus if status.is_open)
)
"""Whether an order is SENDING, UNKNOWN or RESTING; in the words of the index over such orders."""

_LOAD: Final = Statement(
    select(
        *(ACCOUNT.c[name] for name in TOTALS),
        ACCOUNT.c.trading_state,
        ACCOUNT.c.day,
        *(DAYS.c[name].label(f"day_{name}") for name in COUNTERS),
    ).outerjoin(DAYS, DAYS.c.day == ACCOUNT.c.day)
)
# An intent whose answer was not recorded may have reached the venue: its fate is not known.
_UNKNOWN_MARKETS: Final = Statement(
    select(ORDERS.c.condition_id)
    .where(IS_OPEN, ORDERS.c.status != constant(OrderStatus.RESTING.value))
    .distinct()
)
_POSITIONS_IN: Final = Statement(
    select(POSITIONS.c.outcome, POSITIONS.c.size, POSITIONS.c.cost).where(
        POSITIONS.c.condition_id == parameter("condition_id")
    )
)
_OPEN_ORDERS_IN: Final = Statement(
    select(
        ORDERS.c.side, ORDERS.c.outcome, ORDERS.c.reserved, ORDERS.c.size, ORDERS.c.filled_size
    ).where(ORDERS.c.condition_id == parameter("condition_id"), IS_OPEN)
)


def load_account(transaction: Transaction) -> tuple[AccountBooks, DayBooks | None, TradingState]:
    """Read the running totals, the current day and the trading state."""
    ((*totals, state, day, opening_equity, trade_count, realised, fees),) = transaction.rows(_LOAD)
    account = AccountBooks(**dict(zip(TOTALS, totals, strict=True)))
    if day is None:
        return account, None, TradingState(state)
    counted = DayBooks(
        day=day_of_number(day),
        opening_equity=opening_equity,
        trade_count=trade_count,
        realised=realised,
        fees=fees,
    )
    return account, counted, TradingState(state)


def account_totals(
    transaction: Transaction, account: AccountBooks, day: DayBooks, state: TradingState
) -> AccountTotals:
    """Return the totals as the rest of the program sees them."""
    unknown = transaction.rows(_UNKNOWN_MARKETS)
    return AccountTotals(
        cash_usdc=usdc_of(account.cash),
        reserved_usdc=usdc_of(account.reserved),
        position_cost_usdc=usdc_of(account.position_cost),
        position_value_usdc=usdc_of(account.position_value),
        realised_pnl_usdc=usdc_of(account.realised),
        fees_usdc=usdc_of(account.fees),
        deposits_usdc=usdc_of(account.deposits),
        high_water_usdc=usdc_of(account.high_water),
        day=day.day,
        day_opening_equity_usdc=usdc_of(day.opening_equity),
        day_trade_count=day.trade_count,
        day_realised_pnl_usdc=usdc_of(day.realised),
        day_fees_usdc=usdc_of(day.fees),
        trading_state=state,
        unknown_condition_ids=frozenset(ConditionId(found) for (found,) in unknown),
    )


def exposure_of(transaction: Transaction, condition_id: str) -> MarketExposure:
    """Return what is at risk in one market: its positions and its open orders."""
    key = {"condition_id": condition_id}
    cost, reserved = 0, 0
    held, selling = _NOTHING.copy(), _NOTHING.copy()
    for outcome, size, token_cost in transaction.rows(_POSITIONS_IN, key):
        held[Outcome(outcome)] = shares_of(max(size, 0))
        cost += token_cost
    for side, outcome, held_back, size, filled_size in transaction.rows(_OPEN_ORDERS_IN, key):
        reserved += held_back
        if side == Side.SELL:
            unfilled = shares_of(max(size - filled_size, 0))
            selling[Outcome(outcome)] = Shares(selling[Outcome(outcome)] + unfilled)
    return MarketExposure(
        reserved_usdc=usdc_of(reserved),
        position_cost_usdc=usdc_of(cost),
        held=held,
        selling=selling,
    )
