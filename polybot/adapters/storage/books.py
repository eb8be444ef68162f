"""The running totals inside one write transaction: loaded, changed, stored with their cause."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from operator import attrgetter
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
from polybot.adapters.storage.columns import day_number, micros_at, utc_day
from polybot.adapters.storage.engine import Database
from polybot.adapters.storage.statements import (
    SqlTransaction,
    Statement,
    Transaction,
    Values,
    constant,
    parameter,
    parameters,
)
from polybot.adapters.storage.tables import ACCOUNT, DAYS, FILLS, MOVEMENTS, POSITIONS
from polybot.adapters.storage.totals import COUNTERS, TOTALS, load_account
from polybot.domain.modes import Mode, TradingState
from polybot.domain.orders import FillStatus, Liquidity, Side

_TOTALS_OF: Final = attrgetter(*TOTALS)
_COUNTERS_OF: Final = attrgetter(*COUNTERS)
_SAVE_ACCOUNT: Final = Statement(update(ACCOUNT).values(parameters((*TOTALS, "day"))))
_OPEN_DAY: Final = Statement(insert(DAYS).values(parameters(("day", *COUNTERS))))
_SAVE_DAY: Final = Statement(
    update(DAYS).where(DAYS.c.day == parameter("of_day")).values(parameters(COUNTERS))
)
_HOLD: Final = Statement(update(ACCOUNT).values(reserved=ACCOUNT.c.reserved + parameter("outlay")))
_COUNT: Final = Statement(
    update(DAYS)
    .where(DAYS.c.day == parameter("of_day"))
    .values(trade_count=DAYS.c.trade_count + parameter("change"))
)
_VALUE_OF: Final = Statement(
    select(POSITIONS.c.value).where(POSITIONS.c.token_id == parameter("token_id"))
)
_STORE_POSITION: Final = Statement(
    update(POSITIONS)
    .where(POSITIONS.c.token_id == parameter("of_token"))
    .values(parameters(("size", "cost", "realised", "fees", "cash", "bid", "value")))
)
_MOVE: Final = Statement(
    insert(MOVEMENTS).values(
        parameters(column.name for column in MOVEMENTS.columns if column.name != "id")
    )
)
_COUNTED_FILLS: Final = Statement(
    select(FILLS.c.id, FILLS.c.side, FILLS.c.size, FILLS.c.price, FILLS.c.fee)
    .where(
        FILLS.c.token_id == parameter("token_id"),
        FILLS.c.status != constant(FillStatus.FAILED.value),
    )
    .order_by(FILLS.c.id)
)
_FILL_COUNTS: Final = Statement(
    select(FILLS.c.liquidity, func.count().label("count"))
    .where(FILLS.c.was_booked)
    .group_by(FILLS.c.liquidity)
)
_ADJUSTED: Final = Statement(
    select(func.coalesce(func.sum(MOVEMENTS.c.cash), 0).label("total")).where(
        MOVEMENTS.c.kind == constant("adjustment")
    )
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

    def __init__(
        self,
        transaction: Transaction,
        at: datetime,
        *,
        loaded: tuple[AccountBooks, DayBooks | None, TradingState] | None = None,
    ) -> None:
        """Load the totals, where they are not yet, and open the UTC day of ``at`` if it is new."""
        self.transaction = transaction
        self.at_micros = micros_at(at)
        self.account, self._stored_day, self.trading_state = loaded or load_account(transaction)
        self._stored_account = self.account
        self.day = day_at(self._stored_day, self.account, utc_day(at))
        self.day_number = day_number(self.day.day)

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

    def place_order(self, outlay: int) -> None:
        """Hold back what an order may cost [micro-USDC] and count it today, as the last change."""
        if self.account is self._stored_account and self.day is self._stored_day:
            # Equity stays, and so does its high: of the totals, one number changes.
            self.transaction.change(_HOLD, {"outlay": outlay})
            self.transaction.change(_COUNT, {"of_day": self.day_number, "change": 1})
            return
        self.reserve(outlay)
        self.count_trade(self.day_number, 1)
        self.save()

    def reserve(self, change: int) -> None:
        """Hold back more, or release [micro-USDC]."""
        self.account = replace(self.account, reserved=self.account.reserved + change)

    def count_trade(self, day: int, change: int) -> None:
        """Count an order on the day on which it was sent, or give it back."""
        if day == self.day_number:
            self.day = replace(self.day, trade_count=self.day.trade_count + change)
        else:
            self.transaction.change(_COUNT, {"of_day": day, "change": change})

    def store_position(self, token_id: str, books: TokenBooks, bid: int | None) -> None:
        """Store a position and carry the change of its value to the totals."""
        value = value_at_bid(books.size, bid)
        ((before,),) = self.transaction.rows(_VALUE_OF, {"token_id": token_id})
        self.transaction.change(
            _STORE_POSITION,
            {
                "of_token": token_id,
                "size": books.size,
                "cost": books.cost,
                "realised": books.realised,
                "fees": books.fees,
                "cash": books.cash,
                "bid": bid,
                "value": value,
            },
        )
        self.account = replace(
            self.account, position_value=self.account.position_value + value - before
        )

    def save(self) -> None:
        """Write the totals and the day back, where they changed."""
        self.account = raise_high_water(self.account)
        if self.account is self._stored_account and self.day is self._stored_day:
            return
        totals = dict(zip(TOTALS, _TOTALS_OF(self.account), strict=True))
        totals["day"] = self.day_number
        self.transaction.change(_SAVE_ACCOUNT, totals)
        if self.day is self._stored_day:
            return
        counters = dict(zip(COUNTERS, _COUNTERS_OF(self.day), strict=True))
        if self._stored_day is None or self.day.day > self._stored_day.day:
            self.transaction.change(_OPEN_DAY, {**counters, "day": self.day_number})
        else:
            self.transaction.change(_SAVE_DAY, {**counters, "of_day": self.day_number})

    def _insert(self, movement: Movement) -> None:
        change = movement.change
        self.transaction.change(
            _MOVE,
            {
                "kind": movement.kind.value,
                "booked_at": self.at_micros,
                "day": self.day_number,
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


class SqlBooks(Books):
    """The same for what is not on the path of an order: with SQLAlchemy's connection."""

    def __init__(self, connection: Connection, at: datetime) -> None:
        """Load the totals and open the UTC day of ``at`` where it is new."""
        super().__init__(SqlTransaction(connection), at)
        self.connection = connection


class Store:
    """What the parts of the ledger share: the database and the mode."""

    def __init__(self, database: Database, mode: Mode) -> None:
        """Work on an opened database."""
        self._database = database
        self.mode = mode

    @contextlib.contextmanager
    def _books(self, at: datetime) -> Iterator[SqlBooks]:
        with self._database.writing() as connection:
            books = SqlBooks(connection, at)
            yield books
            books.save()

    @contextlib.contextmanager
    def _lean_books(self, at: datetime) -> Iterator[Books]:
        with self._database.writing_lean() as transaction:
            books = Books(transaction, at)
            yield books
            books.save()


def token_books_of(row: RowMapping | Values) -> TokenBooks:
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


def counted_fills(transaction: Transaction, token_id: str) -> dict[int, FillAmounts]:
    """Return a token's fills that were not voided, by id, in recorded order."""
    rows = transaction.rows(_COUNTED_FILLS, {"token_id": token_id})
    return {
        fill_id: FillAmounts(side=Side(side), size=size, price=price, fee=fee)
        for fill_id, side, size, price, fee in rows
    }


def adjusted_micro(transaction: Transaction) -> int:
    """Return the sum of all adjustments of fees [micro-USDC]."""
    ((total,),) = transaction.rows(_ADJUSTED)
    return int(total)


def booked_fill_counts(transaction: Transaction) -> tuple[int, int]:
    """Return how many fills were ever booked, and how many of them as taker."""
    counts = {liquidity: int(count) for liquidity, count in transaction.rows(_FILL_COUNTS)}
    return sum(counts.values()), counts.get(Liquidity.TAKER, 0)
