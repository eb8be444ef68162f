"""Fills: each booked once, voided at most once, also in markets that are settled already."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import RowMapping, insert, select, update

from polybot.accounting import FillAmounts, TokenBooks, apply_fill, payout_of, replay, settle_token
from polybot.adapters.storage.books import (
    Books,
    Movement,
    MovementKind,
    counted_fills,
    token_books_of,
)
from polybot.adapters.storage.columns import instant_at, micros_at, price_of, shares_of, usdc_of
from polybot.adapters.storage.statements import (
    Statement,
    Transaction,
    Values,
    parameter,
    parameters,
)
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


_KNOWN: Final = Statement(
    select(FILLS.c.id, FILLS.c.status).where(
        FILLS.c.trade_id == parameter("trade_id"),
        FILLS.c.order_id == parameter("order_id"),
        FILLS.c.leg == parameter("leg"),
    )
)
_INSERT: Final = Statement(
    insert(FILLS).values(parameters(column.name for column in FILLS.columns if column.name != "id"))
)
_SET_STATUS: Final = Statement(
    update(FILLS).where(FILLS.c.id == parameter("of_id")).values(parameters(("status",)))
)
_POSITION: Final = Statement(select(POSITIONS).where(POSITIONS.c.token_id == parameter("token_id")))
_OPEN_POSITION: Final = Statement(
    insert(POSITIONS).values(parameters(column.name for column in POSITIONS.columns))
)
_PAYOUTS: Final = Statement(
    select(SETTLEMENTS.c.up_payout, SETTLEMENTS.c.down_payout).where(
        SETTLEMENTS.c.condition_id == parameter("condition_id")
    )
)
_CORRECT_SETTLEMENT: Final = Statement(
    update(SETTLEMENTS)
    .where(SETTLEMENTS.c.condition_id == parameter("of_condition_id"))
    .values(
        payout=SETTLEMENTS.c.payout + parameter("more_payout"),
        pnl=SETTLEMENTS.c.pnl + parameter("more_pnl"),
    )
)


@dataclass(frozen=True, slots=True)
class KnownFill:
    """What the ledger has of a fill that was reported before."""

    fill_id: int
    status: FillStatus


def find_fill(transaction: Transaction, fill: Fill) -> KnownFill | None:
    """Return what is recorded of a fill, by (trade id, order id, leg)."""
    key = {"trade_id": fill.trade_id, "order_id": fill.order_id, "leg": fill.leg}
    for fill_id, status in transaction.rows(_KNOWN, key):
        return KnownFill(fill_id, FillStatus(status))
    return None


def _id_of(transaction: Transaction, fill: Fill) -> int | None:
    known = find_fill(transaction, fill)
    return None if known is None else known.fill_id


def amounts_in(order: Values, fill: Fill) -> FillAmounts:
    """Return what a fill says, in integers."""
    return FillAmounts(
        side=Side(order["side"]),
        size=to_micro(fill.size),
        price=to_micro(fill.price),
        fee=to_micro(fill.fee_usdc),
    )


def book_new_fill(books: Books, order: dict[str, Any], fill: Fill) -> FillAmounts:
    """Record a fill that was not known and book its money, unless it arrives void."""
    amounts = amounts_in(order, fill)
    was_booked = fill.status is not FillStatus.FAILED
    before = _open_books(books.transaction, order) if was_booked else TokenBooks()
    books.transaction.change(
        _INSERT,
        {
            "trade_id": fill.trade_id,
            "order_id": fill.order_id,
            "leg": fill.leg,
            "token_id": order["token_id"],
            "side": amounts.side.value,
            "price": amounts.price,
            "size": amounts.size,
            "fee": amounts.fee,
            "liquidity": fill.liquidity.value,
            "status": fill.status.value,
            "filled_at": micros_at(fill.filled_at),
            "was_booked": was_booked,
        },
    )
    if was_booked:
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
                fill_id=_id_of(books.transaction, fill),
                condition_id=order["condition_id"],
            ),
            before=before,
            after=apply_fill(before, amounts),
        )
    return amounts


def update_known_fill(
    books: Books, order: dict[str, Any], known: KnownFill, status: FillStatus
) -> FillAmounts | None:
    """Move a recorded fill's status forward; return its amounts where that voided them."""
    if _RANKS[status] <= _RANKS[known.status]:
        return None
    change = {"of_id": known.fill_id, "status": status.value}
    if status is not FillStatus.FAILED:
        books.transaction.change(_SET_STATUS, change)
        return None
    fills = counted_fills(books.transaction, order["token_id"])
    before = _open_books(books.transaction, order)
    books.transaction.change(_SET_STATUS, change)
    amounts = fills.pop(known.fill_id)
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
            fill_id=known.fill_id,
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
    transaction, token_id = books.transaction, order["token_id"]
    per_share = _payout_per_share(transaction, order)
    position = _position(transaction, token_id)
    bid = None if position is None else position["bid"]
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
    transaction.change(
        _CORRECT_SETTLEMENT,
        {
            "of_condition_id": order["condition_id"],
            "more_payout": payout,
            "more_pnl": closed.realised - settle_token(before, per_share).realised,
        },
    )


def _open_books(transaction: Transaction, order: dict[str, Any]) -> TokenBooks:
    """Return a token's books without the settlement; a first fill opens the position."""
    position = _position(transaction, order["token_id"])
    if position is None:
        transaction.change(
            _OPEN_POSITION,
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
    if _payout_per_share(transaction, order) is None:
        return token_books_of(position)
    return replay(counted_fills(transaction, order["token_id"]).values())


def _position(transaction: Transaction, token_id: str) -> Values | None:
    found = transaction.rows(_POSITION, {"token_id": token_id})
    return _POSITION.named(found[0]) if found else None


def _payout_per_share(transaction: Transaction, order: dict[str, Any]) -> Decimal | None:
    found = transaction.rows(_PAYOUTS, {"condition_id": order["condition_id"]})
    for up_payout, down_payout in found:
        return Decimal(up_payout if order["outcome"] == Outcome.UP else down_payout)
    return None


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
