"""Fills: each booked once, voided at most once, also in markets that are settled already."""

from decimal import Decimal
from typing import Any, Final

from sqlalchemy import RowMapping, insert, select, update
from sqlalchemy.engine import Connection

from polybot.accounting import FillAmounts, TokenBooks, apply_fill, payout_of, replay, settle_token
from polybot.adapters.storage.books import (
    Books,
    Movement,
    MovementKind,
    counted_fills,
    token_books_of,
)
from polybot.adapters.storage.columns import instant_at, micros_at, price_of, shares_of, usdc_of
from polybot.adapters.storage.statements import Values
from polybot.adapters.storage.tables import FILLS, POSITIONS, SETTLEMENTS
from polybot.domain.markets import Outcome
from polybot.domain.money import to_micro
from polybot.domain.orders import Fill, FillStatus, Liquidity, OrderId, Side, TradeId

_RANKS: Final = {
    FillStatus.MATCHED: 0,
    FillStatus.MINED: 1,
    FillStatus.CONFIRMED: 2,
    FillStatus.FAILED: 3,
}


def find_fill(connection: Connection, fill: Fill) -> RowMapping | None:
    """Return the recorded row of a fill, by (trade id, order id, leg)."""
    return (
        connection.execute(
            select(FILLS).where(
                FILLS.c.trade_id == fill.trade_id,
                FILLS.c.order_id == fill.order_id,
                FILLS.c.leg == fill.leg,
            )
        )
        .mappings()
        .one_or_none()
    )


def book_new_fill(books: Books, order: dict[str, Any], fill: Fill) -> FillAmounts:
    """Record a fill that was not known and book its money, unless it arrives void."""
    amounts = FillAmounts(
        side=Side(order["side"]),
        size=to_micro(fill.size),
        price=to_micro(fill.price),
        fee=to_micro(fill.fee_usdc),
    )
    was_booked = fill.status is not FillStatus.FAILED
    before = _open_books(books.connection, order) if was_booked else TokenBooks()
    inserted = books.connection.execute(
        insert(FILLS),
        {
            "trade_id": fill.trade_id,
            "order_id": fill.order_id,
            "leg": fill.leg,
            "token_id": order["token_id"],
            "side": amounts.side,
            "price": amounts.price,
            "size": amounts.size,
            "fee": amounts.fee,
            "liquidity": fill.liquidity,
            "status": fill.status,
            "filled_at": micros_at(fill.filled_at),
            "was_booked": was_booked,
        },
    )
    if was_booked:
        (fill_id,) = inserted.inserted_primary_key or (None,)
        sign = 1 if amounts.side is Side.SELL else 0
        _rebook(
            books,
            order,
            Movement(
                kind=MovementKind.FILL,
                change=apply_fill(before, amounts).minus(before),
                size=amounts.size,
                price=amounts.price,
                payout=amounts.gross * sign,
                outcome=order["outcome"],
                fill_id=fill_id,
                condition_id=order["condition_id"],
            ),
            before=before,
            after=apply_fill(before, amounts),
        )
    return amounts


def update_known_fill(
    books: Books, order: dict[str, Any], known: RowMapping, status: FillStatus
) -> FillAmounts | None:
    """Move a recorded fill's status forward; return its amounts where that voided them."""
    if _RANKS[status] <= _RANKS[FillStatus(known["status"])]:
        return None
    fills = counted_fills(books.connection, order["token_id"])
    before = _open_books(books.connection, order)
    books.connection.execute(update(FILLS).where(FILLS.c.id == known["id"]).values(status=status))
    if status is not FillStatus.FAILED:
        return None
    amounts = fills.pop(known["id"])
    after = replay(fills.values())
    sign = 1 if amounts.side is Side.SELL else 0
    _rebook(
        books,
        order,
        Movement(
            kind=MovementKind.VOID,
            change=after.minus(before),
            size=amounts.size,
            price=amounts.price,
            payout=-amounts.gross * sign,
            outcome=order["outcome"],
            fill_id=known["id"],
            condition_id=order["condition_id"],
        ),
        before=before,
        after=after,
    )
    return amounts


def _rebook(
    books: Books,
    order: dict[str, Any],
    movement: Movement,
    *,
    before: TokenBooks,
    after: TokenBooks,
) -> None:
    """Book a changed token; in a settled market, pay the difference out or take it back."""
    books.book(movement)
    connection, token_id = books.connection, order["token_id"]
    per_share = _payout_per_share(connection, order)
    bid = connection.execute(
        select(POSITIONS.c.bid).where(POSITIONS.c.token_id == token_id)
    ).scalar()
    if per_share is None:
        books.store_position(token_id, after, bid)
        return
    closed = settle_token(after, per_share)
    payout = payout_of(after, per_share) - payout_of(before, per_share)
    correction = closed.minus(after)
    booked = settle_token(before, per_share).minus(before)
    books.book(
        Movement(
            kind=MovementKind.CORRECTION,
            change=correction.minus(booked),
            size=abs(after.held - before.held),
            price=int(per_share * 1_000_000),
            payout=payout,
            outcome=order["outcome"],
            condition_id=order["condition_id"],
        )
    )
    books.store_position(token_id, closed, bid)
    connection.execute(
        update(SETTLEMENTS)
        .where(SETTLEMENTS.c.condition_id == order["condition_id"])
        .values(
            payout=SETTLEMENTS.c.payout + payout,
            pnl=SETTLEMENTS.c.pnl + closed.realised - settle_token(before, per_share).realised,
        )
    )


def _open_books(connection: Connection, order: dict[str, Any]) -> TokenBooks:
    """Return a token's books without the settlement; a first fill opens the position."""
    row = (
        connection.execute(select(POSITIONS).where(POSITIONS.c.token_id == order["token_id"]))
        .mappings()
        .one_or_none()
    )
    if row is None:
        connection.execute(
            insert(POSITIONS),
            {
                "token_id": order["token_id"],
                "condition_id": order["condition_id"],
                "outcome": order["outcome"],
                "size": 0,
                "cost": 0,
                "realised": 0,
                "fees": 0,
                "cash": 0,
                # The bid that the decision saw is the last one seen so far.
                "bid": order["seen_bid"],
                "value": 0,
            },
        )
        return TokenBooks()
    if _payout_per_share(connection, order) is None:
        return token_books_of(row)
    return replay(counted_fills(connection, order["token_id"]).values())


def _payout_per_share(connection: Connection, order: dict[str, Any]) -> Decimal | None:
    column = (
        SETTLEMENTS.c.up_payout if order["outcome"] == Outcome.UP else SETTLEMENTS.c.down_payout
    )
    stored = connection.execute(
        select(column).where(SETTLEMENTS.c.condition_id == order["condition_id"])
    ).scalar()
    return None if stored is None else Decimal(stored)


def fill_of(row: RowMapping | Values) -> Fill:
    """Return the fill of a row."""
    return Fill(
        trade_id=TradeId(row["trade_id"]),
        order_id=OrderId(row["order_id"]),
        leg=row["leg"],
        price=price_of(row["price"]),
        size=shares_of(row["size"]),
        fee_usdc=usdc_of(row["fee"]),
        liquidity=Liquidity(row["liquidity"]),
        status=FillStatus(row["status"]),
        filled_at=instant_at(row["filled_at"]),
    )
