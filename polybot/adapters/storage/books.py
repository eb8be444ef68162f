"""The running totals inside one write transaction: loaded, changed, stored with their cause."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, RowMapping, func, insert, select, update

from polybot.accounting import (
    AccountBooks,
    DayBooks,
    FillAmounts,
    TokenBooks,
    book_change,
    book_day_change,
    book_day_deposit,
    book_deposit,
    book_withdrawal,
    day_at,
    raise_high_water,
    value_at_bid,
)
from polybot.adapters.storage.columns import (
    day_number,
    day_of_number,
    micros_at,
    shares_of,
    usdc_of,
    utc_day,
)
from polybot.adapters.storage.engine import Database
from polybot.adapters.storage.statements import Statement, Values, parameter, parameters
from polybot.adapters.storage.tables import ACCOUNT, DAYS, FILLS, MOVEMENTS, ORDERS, POSITIONS
from polybot.domain.accounts import AccountTotals, MarketExposure
from polybot.domain.markets import ConditionId, Outcome
from polybot.domain.modes import Mode, TradingState
from polybot.domain.money import Shares
from polybot.domain.orders import FillStatus, Liquidity, OrderStatus, Side

OPEN_STATUSES = tuple(status for status in OrderStatus if status.is_open)
# An intent whose answer was not recorded may have reached the venue: its fate is not known.
_FATE_UNKNOWN = (OrderStatus.SENDING, OrderStatus.UNKNOWN)

_TOTALS: Final = (
    "cash", "reserved", "position_cost", "position_value", "realised", "fees", "deposits",
    "high_water",
)  # fmt: skip
_COUNTERS: Final = ("opening_equity", "trade_count", "realised", "fees")
_LOAD_ACCOUNT: Final = Statement(select(ACCOUNT))
_LOAD_DAY: Final = Statement(select(DAYS).where(DAYS.c.day == parameter("day")))
_SAVE_ACCOUNT: Final = Statement(update(ACCOUNT).values(parameters((*_TOTALS, "day"))))
_OPEN_DAY: Final = Statement(insert(DAYS).values(parameters(("day", *_COUNTERS))))
_SAVE_DAY: Final = Statement(
    update(DAYS).where(DAYS.c.day == parameter("of_day")).values(parameters(_COUNTERS))
)
_UNKNOWN_MARKETS: Final = Statement(
    select(ORDERS.c.condition_id).where(ORDERS.c.status.in_(_FATE_UNKNOWN)).distinct()
)
_POSITIONS_IN: Final = Statement(
    select(POSITIONS.c.outcome, POSITIONS.c.size, POSITIONS.c.cost).where(
        POSITIONS.c.condition_id == parameter("condition_id")
    )
)
_OPEN_ORDERS_IN: Final = Statement(
    select(
        ORDERS.c.side,
        ORDERS.c.outcome,
        func.sum(ORDERS.c.reserved).label("reserved"),
        func.sum(ORDERS.c.size - ORDERS.c.filled_size).label("unfilled"),
    )
    .where(ORDERS.c.condition_id == parameter("condition_id"), ORDERS.c.status.in_(OPEN_STATUSES))
    .group_by(ORDERS.c.side, ORDERS.c.outcome)
)

_FILL_COUNTS: Final = Statement(
    select(FILLS.c.liquidity, func.count().label("count"))
    .where(FILLS.c.was_booked)
    .group_by(FILLS.c.liquidity)
)


class MovementKind(StrEnum):
    """Why money moved."""

    DEPOSIT = "deposit"
    FILL = "fill"
    VOID = "void"
    """A fill taken out again because the venue failed it."""
    SETTLEMENT = "settlement"
    CORRECTION = "correction"
    """What a late or voided fill changes in a payout that was booked before."""
    WITHDRAWAL = "withdrawal"
    ADJUSTMENT = "adjustment"
    """Fees that the venue rounded otherwise than we did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """One change of the books and what explains it."""

    kind: MovementKind
    change: TokenBooks
    size: int = 0
    price: int | None = None
    payout: int = 0
    outcome: str = ""
    reference: str | None = None
    fill_id: int | None = None
    condition_id: str | None = None


class Books:
    """The account and the current day, under the writer's lock."""

    def __init__(self, connection: Connection, at: datetime) -> None:
        """Load the totals and open the UTC day of ``at`` where it is new."""
        self.connection = connection
        self.at_micros = micros_at(at)
        self.account, stored_day, self.trading_state = load_account(connection)
        self._is_new_day = stored_day is None or utc_day(at) > stored_day.day
        self.day = day_at(stored_day, self.account, utc_day(at))

    def deposit(self, amount: int, reference: str) -> None:
        """Book cash that came in [micro-USDC]."""
        self.account = book_deposit(self.account, amount)
        self.day = book_day_deposit(self.day, amount)
        self._insert(
            Movement(kind=MovementKind.DEPOSIT, change=TokenBooks(cash=amount), reference=reference)
        )

    def withdraw(self, amount: int, reference: str) -> None:
        """Book cash that left to the outside [micro-USDC]."""
        self.account = book_withdrawal(self.account, amount)
        self.day = book_day_deposit(self.day, -amount)
        self._insert(
            Movement(
                kind=MovementKind.WITHDRAWAL, change=TokenBooks(cash=-amount), reference=reference
            )
        )

    def book(self, movement: Movement) -> None:
        """Book a change of a token's books and remember why."""
        self.account = book_change(self.account, movement.change)
        self.day = book_day_change(self.day, movement.change)
        self._insert(movement)

    def reserve(self, change: int) -> None:
        """Hold back more, or release [micro-USDC]."""
        self.account = replace(self.account, reserved=self.account.reserved + change)

    def count_trade(self, day: int, change: int) -> None:
        """Count an order on the day on which it was sent, or give it back."""
        if day == day_number(self.day.day):
            self.day = replace(self.day, trade_count=self.day.trade_count + change)
            return
        self.connection.execute(
            update(DAYS).where(DAYS.c.day == day).values(trade_count=DAYS.c.trade_count + change)
        )

    def store_position(self, token_id: str, books: TokenBooks, bid: int | None) -> None:
        """Store a position and carry the change of its value to the totals."""
        value = value_at_bid(books.size, bid)
        before = self.connection.execute(
            select(POSITIONS.c.value).where(POSITIONS.c.token_id == token_id)
        ).scalar_one()
        self.connection.execute(
            update(POSITIONS)
            .where(POSITIONS.c.token_id == token_id)
            .values(
                size=books.size,
                cost=books.cost,
                realised=books.realised,
                fees=books.fees,
                cash=books.cash,
                bid=bid,
                value=value,
            )
        )
        self.account = replace(
            self.account, position_value=self.account.position_value + value - before
        )

    def save(self) -> None:
        """Write the totals and the day back."""
        self.account = raise_high_water(self.account)
        number = day_number(self.day.day)
        totals = {name: getattr(self.account, name) for name in _TOTALS}
        _SAVE_ACCOUNT.change(self.connection, {**totals, "day": number})
        counters = {name: getattr(self.day, name) for name in _COUNTERS}
        if self._is_new_day:
            _OPEN_DAY.change(self.connection, {**counters, "day": number})
        else:
            _SAVE_DAY.change(self.connection, {**counters, "of_day": number})

    def _insert(self, movement: Movement) -> None:
        change = movement.change
        self.connection.execute(
            insert(MOVEMENTS),
            {
                "kind": movement.kind,
                "booked_at": self.at_micros,
                "day": day_number(self.day.day),
                "reference": movement.reference,
                "fill_id": movement.fill_id,
                "condition_id": movement.condition_id,
                "outcome": movement.outcome,
                "size": movement.size,
                "price": movement.price,
                "cash": change.cash,
                "cost": change.cost,
                "realised": change.realised,
                "fees": change.fees,
                "payout": movement.payout,
            },
        )


class Store:
    """What the parts of the ledger share: the database and the mode."""

    def __init__(self, database: Database, mode: Mode) -> None:
        """Work on an opened database."""
        self._database = database
        self.mode = mode

    @contextlib.contextmanager
    def _books(self, at: datetime) -> Iterator[Books]:
        with self._database.writing() as connection:
            books = Books(connection, at)
            yield books
            books.save()


def load_account(connection: Connection) -> tuple[AccountBooks, DayBooks | None, TradingState]:
    """Read the running totals, the current day and the trading state."""
    (row,) = _LOAD_ACCOUNT.rows(connection)
    account = AccountBooks(**{name: row[name] for name in _TOTALS})
    state = TradingState(row["trading_state"])
    if row["day"] is None:
        return account, None, state
    (day,) = _LOAD_DAY.rows(connection, {"day": row["day"]})
    counters = {name: day[name] for name in _COUNTERS}
    return account, DayBooks(day=day_of_number(day["day"]), **counters), state


def account_totals(
    connection: Connection, account: AccountBooks, day: DayBooks, state: TradingState
) -> AccountTotals:
    """Return the totals as the rest of the program sees them."""
    unknown = (row["condition_id"] for row in _UNKNOWN_MARKETS.rows(connection))
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
        unknown_condition_ids=frozenset(ConditionId(found) for found in unknown),
    )


def exposure_of(connection: Connection, condition_id: str) -> MarketExposure:
    """Return what is at risk in one market: its positions and its open orders."""
    positions = _POSITIONS_IN.rows(connection, {"condition_id": condition_id})
    orders = _OPEN_ORDERS_IN.rows(connection, {"condition_id": condition_id})
    held = dict.fromkeys(Outcome, Shares(shares_of(0)))
    for row in positions:
        held[Outcome(row["outcome"])] = shares_of(max(row["size"], 0))
    selling = dict.fromkeys(Outcome, Shares(shares_of(0)))
    for row in orders:
        if row["side"] == Side.SELL:
            selling[Outcome(row["outcome"])] = shares_of(max(int(row["unfilled"]), 0))
    return MarketExposure(
        reserved_usdc=usdc_of(sum(int(row["reserved"]) for row in orders)),
        position_cost_usdc=usdc_of(sum(row["cost"] for row in positions)),
        held=held,
        selling=selling,
    )


def token_books_of(row: RowMapping) -> TokenBooks:
    """Return the books of a row of the positions table."""
    return TokenBooks(
        size=row["size"],
        cost=row["cost"],
        realised=row["realised"],
        fees=row["fees"],
        cash=row["cash"],
    )


def amounts_of(row: RowMapping | Values) -> FillAmounts:
    """Return the amounts of a row of the fills table."""
    return FillAmounts(side=Side(row["side"]), size=row["size"], price=row["price"], fee=row["fee"])


def counted_fills(connection: Connection, token_id: str) -> dict[int, FillAmounts]:
    """Return a token's fills that were not voided, by id, in recorded order."""
    rows = connection.execute(
        select(FILLS)
        .where(FILLS.c.token_id == token_id, FILLS.c.status != FillStatus.FAILED)
        .order_by(FILLS.c.id)
    ).mappings()
    return {row["id"]: amounts_of(row) for row in rows}


_ADJUSTED: Final = Statement(
    select(func.coalesce(func.sum(MOVEMENTS.c.cash), 0).label("total")).where(
        MOVEMENTS.c.kind == MovementKind.ADJUSTMENT
    )
)


def adjusted_micro(connection: Connection) -> int:
    """Return the sum of all adjustments of fees [micro-USDC]."""
    return int(_ADJUSTED.rows(connection)[0]["total"])


def booked_fill_counts(connection: Connection) -> tuple[int, int]:
    """Return how many fills were ever booked, and how many of them as taker."""
    counts = {row["liquidity"]: int(row["count"]) for row in _FILL_COUNTS.rows(connection)}
    return sum(counts.values()), counts.get(Liquidity.TAKER, 0)
