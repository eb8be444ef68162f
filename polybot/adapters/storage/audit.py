"""Proof of the books: every running total recomputed from history."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from decimal import Decimal

from sqlalchemy import Connection, RowMapping, func, select

from polybot.accounting import (
    AccountBooks,
    TokenBooks,
    book_change,
    book_deposit,
    fee_adjustment,
    most_rounding,
    payout_of,
    replay,
    settle_token,
    shrink_reservation,
    value_at_bid,
)
from polybot.adapters.storage.books import (
    MovementKind,
    Store,
    adjusted_micro,
    amounts_of,
    booked_fill_counts,
    token_books_of,
)
from polybot.adapters.storage.columns import day_of_number
from polybot.adapters.storage.copy_audit import copy_differences
from polybot.adapters.storage.money import payouts_of
from polybot.adapters.storage.statements import SqlTransaction
from polybot.adapters.storage.tables import (
    DAYS,
    DECISIONS,
    FILLS,
    MOVEMENTS,
    ORDERS,
    POSITIONS,
    REDEMPTIONS,
    SETTLEMENTS,
)
from polybot.adapters.storage.totals import load_account
from polybot.domain.decisions import Verdict
from polybot.domain.markets import Outcome
from polybot.domain.money import from_micro, text_of
from polybot.domain.orders import FillStatus, OrderStatus, Side, TimeInForce


class AuditStore(Store):
    """The ledger's self-check."""

    def violations(self) -> tuple[str, ...]:
        """Recompute every running total from history and return each difference as a sentence.

        It also reports a damaged file, and outcomes of which more was sold than bought: the
        venue cannot have done that, so something it did is missing here.
        """
        with self._database.reading() as connection:
            return tuple(differences_in(connection))


def differences_in(connection: Connection) -> Iterator[str]:
    """Return one sentence per difference that a transaction sees."""
    yield from _file_damage(connection)
    yield from _position_differences(connection)
    yield from _account_differences(connection)
    yield from _order_differences(connection)
    yield from _day_differences(connection)
    yield from _settlement_differences(connection)
    yield from _decision_differences(connection)
    yield from _redemption_differences(connection)
    yield from copy_differences(connection)


def _file_damage(connection: Connection) -> Iterator[str]:
    if connection.dialect.name == "sqlite":
        for (finding,) in connection.exec_driver_sql("PRAGMA quick_check(3)"):
            if finding != "ok":
                yield f"the file is damaged: {finding}"


def _rows(connection: Connection, query: object) -> list[RowMapping]:
    return list(connection.execute(query).mappings())  # type: ignore[call-overload]


def _replayed(connection: Connection) -> dict[str, TokenBooks]:
    """Return each token's books from its fills alone, before any settlement."""
    fills = defaultdict(list)
    for row in _rows(connection, select(FILLS).order_by(FILLS.c.id)):
        if row["status"] != FillStatus.FAILED:
            fills[row["token_id"]].append(amounts_of(row))
    return {token_id: replay(amounts) for token_id, amounts in fills.items()}


def _payouts(connection: Connection) -> dict[str, dict[Outcome, Decimal]]:
    return {row["condition_id"]: payouts_of(row) for row in _rows(connection, select(SETTLEMENTS))}


def _recomputed_positions(connection: Connection) -> Iterator[tuple[RowMapping, TokenBooks]]:
    replayed, payouts = _replayed(connection), _payouts(connection)
    for row in _rows(connection, select(POSITIONS).order_by(POSITIONS.c.token_id)):
        books = replayed.pop(row["token_id"], TokenBooks())
        if row["condition_id"] in payouts:
            books = settle_token(books, payouts[row["condition_id"]][Outcome(row["outcome"])])
        yield row, books


def _position_differences(connection: Connection) -> Iterator[str]:
    seen = set()
    for row, books in _recomputed_positions(connection):
        seen.add(row["token_id"])
        name = f"position in token {row['token_id'][:20]}"
        stored = token_books_of(row)
        for field in ("size", "cost", "realised", "fees", "cash"):
            yield from _difference(
                f"{name}: {field}", getattr(stored, field), getattr(books, field)
            )
        yield from _difference(
            f"{name}: value at the bid", row["value"], value_at_bid(row["size"], row["bid"])
        )
        if books.size < 0:
            yield f"{name}: {text_of(from_micro(-books.size))} more shares sold than bought"
    for token_id in _replayed(connection).keys() - seen:
        yield f"token {token_id[:20]} has fills but no position"


def _account_differences(connection: Connection) -> Iterator[str]:
    stored, _, _ = load_account(SqlTransaction(connection))
    deposits = connection.execute(
        select(func.coalesce(func.sum(MOVEMENTS.c.cash), 0)).where(
            MOVEMENTS.c.kind.in_((MovementKind.DEPOSIT, MovementKind.WITHDRAWAL))
        )
    ).scalar_one()
    account = book_deposit(AccountBooks(), int(deposits))
    adjusted = adjusted_micro(SqlTransaction(connection))
    account = book_change(account, fee_adjustment(adjusted))
    yield from _unbelievable_rounding(connection, adjusted)
    value = 0
    for row, books in _recomputed_positions(connection):
        account = book_change(account, books)
        value += value_at_bid(books.size, row["bid"])
    reserved = sum(row["reserved"] for row in _rows(connection, select(ORDERS.c.reserved)))
    for field in ("cash", "position_cost", "realised", "fees", "deposits"):
        yield from _difference(f"account: {field}", getattr(stored, field), getattr(account, field))
    yield from _difference("account: position_value", stored.position_value, value)
    yield from _difference("account: reserved", stored.reserved, reserved)
    if stored.imbalance:
        yield f"account: cash is off the invariant by {_money(stored.imbalance)} USDC"
    if stored.high_water < stored.equity:
        yield f"account: high_water {_money(stored.high_water)} is below the equity"
    columns = ("cash", "cost", "realised", "fees")
    sums = connection.execute(
        select(*(func.coalesce(func.sum(MOVEMENTS.c[column]), 0) for column in columns))
    ).one()
    totals = (stored.cash, stored.position_cost, stored.realised, stored.fees)
    for column, total, moved in zip(columns, totals, sums, strict=True):
        yield from _difference(f"movements: {column}", total, int(moved))


def _unbelievable_rounding(connection: Connection, adjusted: int) -> Iterator[str]:
    fills, taker_fills = booked_fill_counts(SqlTransaction(connection))
    most = most_rounding(fill_count=fills, taker_fill_count=taker_fills)
    if abs(adjusted) > most:
        yield (
            f"adjustments of fees come to {_money(adjusted)} USDC, the rounding of "
            f"{taker_fills} taker fills explains {_money(most)} USDC at most"
        )


def _redemption_differences(connection: Connection) -> Iterator[str]:
    rows = connection.execute(
        select(REDEMPTIONS.c.condition_id, SETTLEMENTS.c.payout)
        .outerjoin(SETTLEMENTS, SETTLEMENTS.c.condition_id == REDEMPTIONS.c.condition_id)
        .order_by(REDEMPTIONS.c.condition_id)
    )
    for condition_id, payout in rows:
        if payout is None:
            yield f"market {condition_id[:20]} was redeemed but never settled"


def _order_differences(connection: Connection) -> Iterator[str]:
    fills = defaultdict(list)
    for row in _rows(connection, select(FILLS).order_by(FILLS.c.id)):
        fills[row["order_id"]].append(row)
    for order in _rows(connection, select(ORDERS).order_by(ORDERS.c.id)):
        own = fills[order["order_id"]]
        counted = [amounts_of(row) for row in own if row["status"] != FillStatus.FAILED]
        reserved = order["max_outlay"] if OrderStatus(order["status"]).is_open else 0
        for row in own:
            if row["was_booked"]:
                reserved = shrink_reservation(reserved, amounts_of(row))
        name = f"order {order['order_id'][:20]}"
        yield from _difference(f"{name}: reserved", order["reserved"], reserved)
        yield from _difference(
            f"{name}: filled_size", order["filled_size"], sum(a.size for a in counted)
        )
        yield from _difference(
            f"{name}: filled_cost", order["filled_cost"], sum(a.gross for a in counted)
        )
        yield from _difference(f"{name}: fee", order["fee"], sum(a.fee for a in counted))
        yield from _overspending(name, order, fill_count=len(counted))


def _overspending(name: str, order: RowMapping, *, fill_count: int) -> Iterator[str]:
    # Each fill's cost is rounded up by less than 10⁻⁶; what the venue took is within the budget.
    rounded_up = max(fill_count - 1, 0)
    if order["side"] == Side.BUY and order["filled_cost"] > order["budget"] + rounded_up:
        yield (
            f"{name}: spent {_money(order['filled_cost'])} of a budget of "
            f"{_money(order['budget'])} USDC"
        )
    is_market_buy = order["side"] == Side.BUY and not TimeInForce(order["time_in_force"]).rests
    if not is_market_buy and order["filled_size"] > order["size"]:
        yield (f"{name}: traded {_money(order['filled_size'])} of {_money(order['size'])} shares")


def _day_differences(connection: Connection) -> Iterator[str]:
    moved = {
        row["day"]: row
        for row in _rows(
            connection,
            select(
                MOVEMENTS.c.day,
                func.sum(MOVEMENTS.c.realised).label("realised"),
                func.sum(MOVEMENTS.c.fees).label("fees"),
            ).group_by(MOVEMENTS.c.day),
        )
    }
    counts = dict(
        connection.execute(
            select(ORDERS.c.day, func.count()).where(ORDERS.c.is_counted).group_by(ORDERS.c.day)
        )
        .tuples()
        .all()
    )
    for row in _rows(connection, select(DAYS).order_by(DAYS.c.day)):
        name = f"day {day_of_number(row['day'])}"
        history = moved.get(row["day"])
        for field in ("realised", "fees"):
            expected = 0 if history is None else int(history[field])
            yield from _difference(f"{name}: {field}", row[field], expected)
        if row["trade_count"] != counts.get(row["day"], 0):
            yield (
                f"{name}: trade_count is {row['trade_count']}, "
                f"history says {counts.get(row['day'], 0)}"
            )


def _settlement_differences(connection: Connection) -> Iterator[str]:
    replayed = _replayed(connection)
    positions: dict[str, list[RowMapping]] = defaultdict(list)
    for row in _rows(connection, select(POSITIONS)):
        positions[row["condition_id"]].append(row)
    for row in _rows(connection, select(SETTLEMENTS).order_by(SETTLEMENTS.c.condition_id)):
        payout, pnl = 0, 0
        for position in positions[row["condition_id"]]:
            books = replayed.get(position["token_id"], TokenBooks())
            per_share = payouts_of(row)[Outcome(position["outcome"])]
            payout += payout_of(books, per_share)
            pnl += settle_token(books, per_share).realised
        name = f"settlement of {row['condition_id'][:20]}"
        yield from _difference(f"{name}: payout", row["payout"], payout)
        yield from _difference(f"{name}: pnl", row["pnl"], pnl)


def _decision_differences(connection: Connection) -> Iterator[str]:
    rows = connection.execute(
        select(DECISIONS.c.key, DECISIONS.c.verdict, ORDERS.c.order_id)
        .outerjoin(ORDERS, ORDERS.c.decision_key == DECISIONS.c.key)
        .order_by(DECISIONS.c.id)
    )
    for key, verdict, order_id in rows:
        if (verdict == Verdict.PLACED) is not (order_id is not None):
            yield f"decision {key} is {verdict} but its order is {order_id or 'missing'}"


def _difference(what: str, stored: int, history: int) -> Iterable[str]:
    if stored == history:
        return ()
    return (f"{what} is {_money(stored)}, history says {_money(history)}",)


def _money(micro: int) -> str:
    return text_of(from_micro(micro))
