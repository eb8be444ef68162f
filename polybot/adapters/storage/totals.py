"""The running totals as the rest of the program sees them, read inside a transaction."""

from collections.abc import Callable
from typing import Final, NamedTuple, cast

from sqlalchemy import and_, exists, select

from polybot.accounting import AccountBooks, DayBooks
from polybot.adapters.storage.columns import day_of_number, shares_of, usdc_of
from polybot.adapters.storage.statements import (
    Row,
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
from polybot.domain.money import MICRO, ZERO_SHARES, Shares, Usdc
from polybot.domain.orders import OrderStatus, Side

TOTALS: Final = (
    "cash", "reserved", "position_cost", "position_value", "realised", "fees", "deposits",
    "high_water",
)  # fmt: skip
_STATES: Final = {state.value: state for state in TradingState}
# As ``usdc_of``, without a frame of Python's: an order waits for eleven of them.
_AMOUNT: Final = cast("Callable[[int], Usdc]", MICRO.__mul__)
_NOTHING: Final = dict.fromkeys(Outcome, ZERO_SHARES)
COUNTERS: Final = ("opening_equity", "trade_count", "realised", "fees")

IS_OPEN: Final = is_one_of(
    ORDERS.c.status, (status.value for status in OrderStatus if status.is_open)
)
"""Whether an order is SENDING, UNKNOWN or RESTING; in the words of the index over such orders."""

ACCOUNT_AND_DAY: Final = (
    *(ACCOUNT.c[name] for name in TOTALS),
    ACCOUNT.c.trading_state,
    ACCOUNT.c.day,
    *(DAYS.c[name].label(f"day_{name}") for name in COUNTERS),
)
"""The columns that ``account_in`` reads, of ``WITH_DAY``."""
WITH_DAY: Final = ACCOUNT.outerjoin(DAYS, DAYS.c.day == ACCOUNT.c.day)
_LOAD: Final = Statement(select(*ACCOUNT_AND_DAY).select_from(WITH_DAY))
# An intent whose answer was not recorded may have reached the venue: its fate is not known.
_IS_UNKNOWN: Final = and_(IS_OPEN, ORDERS.c.status != constant(OrderStatus.RESTING.value))
_UNKNOWN_MARKETS: Final = Statement(select(ORDERS.c.condition_id).where(_IS_UNKNOWN).distinct())
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
HAS_ANY: Final = (
    exists().where(_IS_UNKNOWN).label("has_unknown"),
    exists().where(POSITIONS.c.condition_id == parameter("condition_id")).label("has_positions"),
    exists().where(ORDERS.c.condition_id == parameter("condition_id"), IS_OPEN).label("has_open"),
)
"""The columns of a :class:`HasAny`: most of the time there is nothing more to read."""


class HasAny(NamedTuple):
    """What there is to read about unknown orders, and about positions and orders in a market."""

    unknown: bool
    positions: bool
    open_orders: bool


_EVERYTHING: Final = HasAny(unknown=True, positions=True, open_orders=True)


def load_account(transaction: Transaction) -> tuple[AccountBooks, DayBooks | None, TradingState]:
    """Read the running totals, the current day and the trading state."""
    (row,) = transaction.rows(_LOAD)
    return account_in(row)


def account_in(row: Row) -> tuple[AccountBooks, DayBooks | None, TradingState]:
    """Return the running totals, the current day and the trading state of ``ACCOUNT_AND_DAY``."""
    cash, reserved, position_cost, position_value, realised, fees, deposits, high_water = row[:8]
    state, day, opening_equity, trade_count, day_realised, day_fees = row[8:]
    account = AccountBooks(
        cash=cash,
        reserved=reserved,
        position_cost=position_cost,
        position_value=position_value,
        realised=realised,
        fees=fees,
        deposits=deposits,
        high_water=high_water,
    )
    if day is None:
        return account, None, _STATES[state]
    counted = DayBooks(
        day=day_of_number(day),
        opening_equity=opening_equity,
        trade_count=trade_count,
        realised=day_realised,
        fees=day_fees,
    )
    return account, counted, _STATES[state]


def account_totals(
    transaction: Transaction,
    account: AccountBooks,
    day: DayBooks,
    state: TradingState,
    *,
    has: HasAny = _EVERYTHING,
) -> AccountTotals:
    """Return the totals as the rest of the program sees them."""
    unknown = transaction.rows(_UNKNOWN_MARKETS) if has.unknown else ()
    amount = _AMOUNT
    return AccountTotals(
        cash_usdc=amount(account.cash),
        reserved_usdc=amount(account.reserved),
        position_cost_usdc=amount(account.position_cost),
        position_value_usdc=amount(account.position_value),
        realised_pnl_usdc=amount(account.realised),
        fees_usdc=amount(account.fees),
        deposits_usdc=amount(account.deposits),
        high_water_usdc=amount(account.high_water),
        day=day.day,
        day_opening_equity_usdc=amount(day.opening_equity),
        day_trade_count=day.trade_count,
        day_realised_pnl_usdc=amount(day.realised),
        day_fees_usdc=amount(day.fees),
        trading_state=state,
        unknown_condition_ids=frozenset(ConditionId(found) for (found,) in unknown),
    )


def exposure_of(
    transaction: Transaction, condition_id: str, *, has: HasAny = _EVERYTHING
) -> MarketExposure:
    """Return what is at risk in one market: its positions and its open orders."""
    key = {"condition_id": condition_id}
    cost, reserved = 0, 0
    held, selling = _NOTHING.copy(), _NOTHING.copy()
    positions = transaction.rows(_POSITIONS_IN, key) if has.positions else ()
    orders = transaction.rows(_OPEN_ORDERS_IN, key) if has.open_orders else ()
    for outcome, size, token_cost in positions:
        held[Outcome(outcome)] = shares_of(max(size, 0))
        cost += token_cost
    for side, outcome, held_back, size, filled_size in orders:
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
