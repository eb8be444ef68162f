"""Money: deposits, totals, positions, settlements."""

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, insert, select

from polybot.accounting import TokenBooks, payout_of, settle_token
from polybot.adapters.storage.books import (
    Movement,
    MovementKind,
    SqlBooks,
    Store,
    token_books_of,
)
from polybot.adapters.storage.columns import (
    bid_micro,
    clean_text,
    decimal_text,
    instant_at,
    micros_at,
    shares_of,
    usdc_of,
    utc_day,
)
from polybot.adapters.storage.copy_books import close_market
from polybot.adapters.storage.outbox import insert_alert
from polybot.adapters.storage.statements import Values
from polybot.adapters.storage.tables import MARKETS, MOVEMENTS, ORDERS, POSITIONS, SETTLEMENTS
from polybot.adapters.storage.totals import IS_OPEN, account_totals, exposure_of, load_account
from polybot.domain.accounts import AccountTotals, MarketExposure, Position, Settlement
from polybot.domain.alerts import Alert
from polybot.domain.markets import ConditionId, MarketWindow, Outcome, OutcomeTokenId, Resolution
from polybot.domain.money import from_micro, parse_decimal, to_micro
from polybot.errors import DataError


class MoneyStore(Store):
    """The ledger's money."""

    def deposit(self, amount_usdc: Decimal, *, reference: str, at: datetime) -> bool:
        """Book cash that came in; ``False`` where the reference was booked before.

        Raises:
            ValueError: The amount is not positive, or finer than 10⁻⁶ USDC.
        """
        amount = to_micro(parse_decimal(amount_usdc))
        if amount <= 0:
            raise ValueError(f"deposit must be positive, was {amount_usdc}")
        key = clean_text(reference)
        with self._books(at) as books:
            if books.connection.execute(
                select(MOVEMENTS.c.id).where(MOVEMENTS.c.reference == key)
            ).first():
                return False
            books.deposit(amount, key)
        return True

    def totals(self, *, at: datetime) -> AccountTotals:
        """Return the running totals; the first call of a UTC day opens that day's counters."""
        with self._database.reading_lean() as transaction:
            account, day, state = load_account(transaction)
            if day is not None and utc_day(at) <= day.day:
                return account_totals(transaction, account, day, state)
        with self._lean_books(at) as books:
            return account_totals(books.transaction, books.account, books.day, books.trading_state)

    def market_exposure(self, condition_id: ConditionId) -> MarketExposure:
        """Return what is at risk in one market."""
        with self._database.reading_lean() as transaction:
            return exposure_of(transaction, condition_id)

    def positions(self) -> tuple[Position, ...]:
        """Return positions that are not settled, oldest window first."""
        with self._database.reading() as connection:
            rows = connection.execute(
                select(POSITIONS, MARKETS.c.slug)
                .join(MARKETS, MARKETS.c.condition_id == POSITIONS.c.condition_id)
                .where(POSITIONS.c.size > 0)
                .order_by(MARKETS.c.window_start_s, MARKETS.c.slug, POSITIONS.c.outcome)
            ).mappings()
            return tuple(
                Position(
                    condition_id=ConditionId(row["condition_id"]),
                    token_id=OutcomeTokenId(row["token_id"]),
                    outcome=Outcome(row["outcome"]),
                    window=MarketWindow.parse_slug(row["slug"]),
                    size=shares_of(row["size"]),
                    cost_usdc=usdc_of(row["cost"]),
                    bid=None if row["bid"] is None else from_micro(row["bid"]),
                )
                for row in rows
            )

    def mark_positions(self, bids: dict[OutcomeTokenId, Decimal | None], *, at: datetime) -> None:
        """Record the best bid of held tokens; ``None`` means nobody bids and counts as 0.

        Tokens that are not held are passed over. A bid finer than 10⁻⁶ is rounded down.
        """
        with self._books(at) as books:
            rows = books.connection.execute(
                select(POSITIONS).where(POSITIONS.c.token_id.in_(list(bids)), POSITIONS.c.size > 0)
            ).mappings()
            for row in rows.all():
                bid = bid_micro(bids[row["token_id"]])
                books.store_position(row["token_id"], token_books_of(row), bid)

    def settle(
        self,
        resolution: Resolution,
        *,
        at: datetime,
        alert_for: Callable[[Settlement], Alert] | None = None,
    ) -> Settlement | None:
        """Pay out a market; see ``Ledger.settle``."""
        with self._books(at) as books:
            if _settlement(books.connection, resolution.condition_id) is not None:
                return None
            _refuse_open_orders(books.connection, resolution.condition_id)
            rows = (
                books.connection.execute(
                    select(POSITIONS)
                    .where(POSITIONS.c.condition_id == resolution.condition_id)
                    .order_by(POSITIONS.c.outcome)
                )
                .mappings()
                .all()
            )
            if not any(row["size"] > 0 for row in rows):
                return None
            _book_settlement(books, resolution, rows)
            settlement = _settlement(books.connection, resolution.condition_id)
            if settlement is not None and alert_for is not None:
                insert_alert(books.transaction, alert_for(settlement), at_micros=books.at_micros)
        return settlement

    def settlements_between(self, start: datetime, end: datetime) -> tuple[Settlement, ...]:
        """Return settlements booked in ``[start, end)``, oldest first."""
        with self._database.reading() as connection:
            rows = connection.execute(
                _settlements_with_slug()
                .where(
                    SETTLEMENTS.c.settled_at >= micros_at(start),
                    SETTLEMENTS.c.settled_at < micros_at(end),
                )
                .order_by(SETTLEMENTS.c.settled_at, MARKETS.c.window_start_s, MARKETS.c.slug)
            ).mappings()
            return tuple(settlement_of(row) for row in rows)


def _refuse_open_orders(connection: Connection, condition_id: str) -> None:
    order_id = connection.execute(
        select(ORDERS.c.order_id).where(ORDERS.c.condition_id == condition_id, IS_OPEN)
    ).scalar()
    if order_id is not None:
        raise DataError(
            f"market {condition_id} cannot be settled: order {order_id} is still open",
            reason="order-open",
        )


def _book_settlement(books: SqlBooks, resolution: Resolution, rows: Sequence[RowMapping]) -> None:
    payout, pnl, size, total = 0, 0, 0, TokenBooks()
    paid = [row for row in rows if row["size"] > 0]
    for row in rows:
        before = token_books_of(row)
        per_share = resolution.payouts[Outcome(row["outcome"])]
        after = settle_token(before, per_share)
        change = after.minus(before)
        payout += payout_of(before, per_share)
        pnl += after.realised
        size += before.held
        total = TokenBooks(
            size=total.size + change.size,
            cost=total.cost + change.cost,
            realised=total.realised + change.realised,
            fees=total.fees + change.fees,
            cash=total.cash + change.cash,
        )
        books.store_position(row["token_id"], after, row["bid"])
    close_market(books.transaction, resolution.condition_id)
    only = Outcome(paid[0]["outcome"]) if len(paid) == 1 else None
    books.connection.execute(
        insert(SETTLEMENTS),
        {
            "condition_id": resolution.condition_id,
            "up_payout": decimal_text(resolution.payouts[Outcome.UP]),
            "down_payout": decimal_text(resolution.payouts[Outcome.DOWN]),
            "payout": payout,
            "pnl": pnl,
            "resolved_at": micros_at(resolution.resolved_at),
            "settled_at": books.at_micros,
        },
    )
    books.book(
        Movement(
            kind=MovementKind.SETTLEMENT,
            change=total,
            size=size,
            price=None if only is None else bid_micro(resolution.payouts[only]),
            payout=payout,
            outcome="" if only is None else only,
            condition_id=resolution.condition_id,
        )
    )


def _settlements_with_slug() -> Select[Any]:
    return select(SETTLEMENTS, MARKETS.c.slug).join(
        MARKETS, MARKETS.c.condition_id == SETTLEMENTS.c.condition_id
    )


def _settlement(connection: Connection, condition_id: str) -> Settlement | None:
    row = (
        connection.execute(
            _settlements_with_slug().where(SETTLEMENTS.c.condition_id == condition_id)
        )
        .mappings()
        .one_or_none()
    )
    return None if row is None else settlement_of(row)


def payouts_of(row: RowMapping | Values) -> dict[Outcome, Decimal]:
    """Return what one share of each outcome pays, of a row of the settlements table."""
    return {
        Outcome.UP: Decimal(row["up_payout"]),
        Outcome.DOWN: Decimal(row["down_payout"]),
    }


def settlement_of(row: RowMapping) -> Settlement:
    """Return the settlement of a row that has the market's slug."""
    winner = next((outcome for outcome, pay in payouts_of(row).items() if pay == 1), None)
    return Settlement(
        condition_id=ConditionId(row["condition_id"]),
        window=MarketWindow.parse_slug(row["slug"]),
        winner=winner,
        payout_usdc=usdc_of(row["payout"]),
        pnl_usdc=usdc_of(row["pnl"]),
        resolved_at=instant_at(row["resolved_at"]),
        settled_at=instant_at(row["settled_at"]),
    )
