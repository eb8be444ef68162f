"""What is kept of reconciling with the venue: when, how far, what was foreign, what was booked."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Connection, RowMapping, func, insert, select, update

from polybot.accounting import fee_adjustment, most_rounding, replay
from polybot.adapters.storage.books import (
    Books,
    Movement,
    MovementKind,
    Store,
    adjusted_micro,
    amounts_of,
    booked_fill_counts,
    counted_fills,
)
from polybot.adapters.storage.columns import (
    clean_text,
    decimal_text,
    instant_at,
    json_of,
    json_text,
    micros_at,
    shares_of,
    usdc_of,
)
from polybot.adapters.storage.fills import fill_of
from polybot.adapters.storage.order_rows import load_open_orders, load_unfilled_orders
from polybot.adapters.storage.outbox import insert_alert
from polybot.adapters.storage.redemptions import FINAL_STATES, load_open_redemptions
from polybot.adapters.storage.statements import (
    Statement,
    Transaction,
    constant,
    is_one_of,
    parameter,
)
from polybot.adapters.storage.tables import (
    FILLS,
    FOREIGN_TRADES,
    MARKETS,
    MOVEMENTS,
    POSITIONS,
    RECONCILIATION,
    REDEMPTIONS,
    SETTLEMENTS,
)
from polybot.adapters.storage.totals import load_account
from polybot.domain.accounts import OrderRecord
from polybot.domain.alerts import Alert
from polybot.domain.markets import ConditionId, MarketWindow, Outcome, OutcomeTokenId
from polybot.domain.money import from_micro, to_micro
from polybot.domain.orders import FillStatus, Side
from polybot.domain.reconciliation import (
    ACCEPTED_BY_HAND,
    AccountSnapshot,
    ForeignTrade,
    HeldToken,
    MovingFill,
    ReconcileVerdict,
    ReconciliationRecord,
    Redemption,
)

_FINAL_FILLS: Final = (FillStatus.CONFIRMED, FillStatus.FAILED)

# These are read before every order and every minute; see the module of statements.
_VERSION: Final = Statement(select(func.coalesce(func.max(MOVEMENTS.c.id), 0).label("version")))
_HELD: Final = Statement(
    select(POSITIONS, MARKETS.c.slug, SETTLEMENTS.c.settled_at)
    .join(MARKETS, MARKETS.c.condition_id == POSITIONS.c.condition_id)
    .outerjoin(SETTLEMENTS, SETTLEMENTS.c.condition_id == POSITIONS.c.condition_id)
    .order_by(MARKETS.c.window_start_s, POSITIONS.c.token_id)
)
_FOREIGN: Final = Statement(
    select(
        FOREIGN_TRADES.c.token_id,
        FOREIGN_TRADES.c.side,
        func.sum(FOREIGN_TRADES.c.size).label("size"),
    )
    .where(FOREIGN_TRADES.c.status != FillStatus.FAILED)
    .where(FOREIGN_TRADES.c.order_id != ACCEPTED_BY_HAND)
    .group_by(FOREIGN_TRADES.c.token_id, FOREIGN_TRADES.c.side)
)
_ACCEPTED: Final = Statement(
    select(
        FOREIGN_TRADES.c.token_id,
        FOREIGN_TRADES.c.side,
        func.sum(FOREIGN_TRADES.c.size).label("size"),
    )
    .where(FOREIGN_TRADES.c.order_id == ACCEPTED_BY_HAND)
    .group_by(FOREIGN_TRADES.c.token_id, FOREIGN_TRADES.c.side)
)
_MOVING: Final = Statement(
    select(FILLS)
    .where(
        FILLS.c.was_booked,
        FILLS.c.status.not_in(_FINAL_FILLS) | (FILLS.c.filled_at >= parameter("since")),
    )
    .order_by(FILLS.c.id)
)
_VOIDED: Final = Statement(
    select(func.count().label("count"))
    .select_from(FILLS)
    .where(FILLS.c.was_booked, FILLS.c.status == constant(FillStatus.FAILED.value))
)
# What a fill moved is moved back by its void; until cash has agreed again neither is proved.
_LAST_BOOKED: Final = Statement(
    select(FILLS)
    .join(MOVEMENTS, MOVEMENTS.c.fill_id == FILLS.c.id)
    .where(is_one_of(MOVEMENTS.c.kind, (MovementKind.FILL.value, MovementKind.VOID.value)))
    .order_by(MOVEMENTS.c.id.desc())
    .limit(parameter("count"))
)
# Looked at before every live order.
_RECONCILIATION: Final = Statement(select(RECONCILIATION))
_PROVED: Final = Statement(select(RECONCILIATION.c.agreed_fill_count))
_ARRIVING: Final = Statement(
    select(func.coalesce(func.sum(SETTLEMENTS.c.payout), 0).label("total"))
    .join(REDEMPTIONS, REDEMPTIONS.c.condition_id == SETTLEMENTS.c.condition_id)
    .where(REDEMPTIONS.c.state.in_(FINAL_STATES), REDEMPTIONS.c.updated_at >= parameter("since"))
)


class ReconciliationStore(Store):
    """The ledger's side of reconciling."""

    def account_snapshot(
        self, *, moving_since: datetime, late_since: datetime | None = None
    ) -> AccountSnapshot:
        """Return our side of the comparison; see ``Ledger.account_snapshot``."""
        with self._database.reading_lean() as transaction:
            account, _, _ = load_account(transaction)
            fills, taker_fills = booked_fill_counts(transaction)
            redemptions = load_open_redemptions(transaction)
            late = load_unfilled_orders(transaction, micros_at(late_since or moving_since))
            return AccountSnapshot(
                version=_version(transaction),
                cash_usdc=usdc_of(account.cash),
                unredeemed_usdc=usdc_of(sum(to_micro(r.payout_usdc) for r in redemptions)),
                fee_adjustments_usdc=usdc_of(adjusted_micro(transaction)),
                fill_count=fills,
                taker_fill_count=taker_fills,
                void_count=_voided_count(transaction),
                held=_held_tokens(transaction, redemptions, late),
                moving=_moving_fills(transaction, micros_at(moving_since)),
                unproved_usdc=usdc_of(_unproved_micro(transaction)),
                arriving_usdc=usdc_of(_arriving_micro(transaction, micros_at(moving_since))),
                open_orders=load_open_orders(transaction),
                late_orders=late,
                redemptions=redemptions,
            )

    def adjust_fees(
        self, change_usdc: Decimal, *, unless_newer_than: int, at: datetime, alert: Alert
    ) -> bool:
        """Book that the venue rounded fees otherwise; see ``Ledger.adjust_fees``."""
        change = to_micro(change_usdc)
        with self._books(at) as books:
            fills, taker_fills = booked_fill_counts(books.transaction)
            most = most_rounding(fill_count=fills, taker_fill_count=taker_fills)
            total = adjusted_micro(books.transaction) + change
            if _version(books.transaction) != unless_newer_than or change == 0 or abs(total) > most:
                return False
            reference = f"fees:{unless_newer_than}"
            books.book(
                Movement(
                    kind=MovementKind.ADJUSTMENT,
                    change=fee_adjustment(change),
                    reference=reference,
                )
            )
            insert_alert(books.transaction, alert, at_micros=books.at_micros)
        return True

    def book_transfer(
        self, change_usdc: Decimal, *, unless_newer_than: int, at: datetime, alert: Alert
    ) -> bool:
        """Book cash that came or went outside the bot; see ``Ledger.book_transfer``."""
        change = to_micro(change_usdc)
        with self._books(at) as books:
            if _version(books.transaction) != unless_newer_than or change == 0:
                return False
            _transfer(books, change, f"transfer:{unless_newer_than}")
            insert_alert(books.transaction, alert, at_micros=books.at_micros)
        return True

    def reconciled_at(self) -> datetime | None:
        """Return when record and venue last said the same, or ``None``."""
        return self.reconciliation().reconciled_at

    def reconciliation(self) -> ReconciliationRecord:
        """Return what is kept of the reconciliations so far."""
        with self._database.reading_lean() as transaction:
            rows = _RECONCILIATION.named_rows(transaction)
        if not rows:
            return ReconciliationRecord(
                reconciled_at=None,
                attempted_at=None,
                verdict=None,
                trades_since=None,
                agreed_fill_count=0,
            )
        (row,) = rows
        return ReconciliationRecord(
            reconciled_at=_maybe_instant(row["reconciled_at"]),
            attempted_at=instant_at(row["attempted_at"]),
            verdict=ReconcileVerdict(row["verdict"]),
            trades_since=_maybe_instant(row["trades_since"]),
            agreed_fill_count=row["agreed_fill_count"],
            detail=json_of(row["detail"]),
        )

    def record_reconciliation(self, record: ReconciliationRecord) -> None:
        """Keep the newest reconciliation; see ``Ledger.record_reconciliation``."""
        if record.attempted_at is None or record.verdict is None:
            raise ValueError("a reconciliation that was not attempted cannot be recorded")
        with self._database.writing() as connection:
            known = connection.execute(select(RECONCILIATION)).mappings().one_or_none()
            values = {
                "reconciled_at": _later(known, "reconciled_at", record.reconciled_at),
                "attempted_at": micros_at(record.attempted_at),
                "verdict": record.verdict,
                "trades_since": _later(known, "trades_since", record.trades_since),
                "agreed_fill_count": max(
                    record.agreed_fill_count, known["agreed_fill_count"] if known else 0
                ),
                "detail": json_text(record.detail),
            }
            if known is None:
                connection.execute(insert(RECONCILIATION), {"id": 1, **values})
            else:
                connection.execute(update(RECONCILIATION).values(**values))

    def record_foreign_trades(
        self, trades: Iterable[ForeignTrade], *, at: datetime
    ) -> tuple[ForeignTrade, ...]:
        """Remember trades that are not ours and return the new ones."""
        with self._database.writing() as connection:
            return tuple(
                trade for trade in trades if _is_new_foreign(connection, trade, micros_at(at))
            )

    def foreign_trades(self, *, limit: int) -> tuple[ForeignTrade, ...]:
        """Return the newest trades of the account that are not ours, newest first."""
        with self._database.reading() as connection:
            rows = connection.execute(
                select(FOREIGN_TRADES)
                .order_by(FOREIGN_TRADES.c.traded_at.desc(), FOREIGN_TRADES.c.id.desc())
                .limit(limit)
            ).mappings()
            return tuple(_foreign_of(row) for row in rows)


def _version(transaction: Transaction) -> int:
    return int(_VERSION.named_rows(transaction)[0]["version"])


def _transfer(books: Books, change: int, reference: str) -> None:
    if change > 0:
        books.deposit(change, reference)
    else:
        books.withdraw(-change, reference)


def _maybe_instant(micros: int | None) -> datetime | None:
    return None if micros is None else instant_at(micros)


def _later(known: RowMapping | None, column: str, instant: datetime | None) -> int | None:
    """Return the later of the stored and the given instant: neither ever goes back."""
    stored = None if known is None else known[column]
    given = None if instant is None else micros_at(instant)
    return max((value for value in (stored, given) if value is not None), default=None)


def _held_tokens(
    transaction: Transaction,
    redemptions: tuple[Redemption, ...],
    late_orders: tuple[OrderRecord, ...],
) -> tuple[HeldToken, ...]:
    """Return tokens of markets that are not settled, and winners that wait for redemption.

    Tokens of orders that may still turn out to have filled are among them, with no shares.
    """
    waiting = {token_id for redemption in redemptions for token_id in redemption.holdings}
    foreign = _signed_sizes(transaction, _FOREIGN)
    accepted = _signed_sizes(transaction, _ACCEPTED)
    held = []
    for row in _HELD.named_rows(transaction):
        is_settled = row["settled_at"] is not None
        if is_settled and row["token_id"] not in waiting:
            continue
        size = row["size"]
        if is_settled:
            size = replay(counted_fills(transaction, row["token_id"]).values()).held
        held.append(
            HeldToken(
                token_id=OutcomeTokenId(row["token_id"]),
                condition_id=ConditionId(row["condition_id"]),
                window=MarketWindow.parse_slug(row["slug"]),
                outcome=Outcome(row["outcome"]),
                size=shares_of(size),
                is_settled=is_settled,
                foreign_size=foreign.get(row["token_id"], Decimal(0)),
                accepted_size=accepted.get(row["token_id"], Decimal(0)),
            )
        )
    known = {token.token_id for token in held}
    for order in late_orders:
        if order.token_id not in known:
            known.add(order.token_id)
            held.append(
                HeldToken(
                    token_id=order.token_id,
                    condition_id=order.condition_id,
                    window=order.window,
                    outcome=order.outcome,
                    size=shares_of(0),
                    is_settled=False,
                    foreign_size=foreign.get(order.token_id, Decimal(0)),
                    accepted_size=accepted.get(order.token_id, Decimal(0)),
                )
            )
    return tuple(held)


def _signed_sizes(transaction: Transaction, statement: Statement) -> dict[str, Decimal]:
    """Return bought minus sold shares by token."""
    sizes: dict[str, Decimal] = {}
    for row in statement.named_rows(transaction):
        token_id, sign = row["token_id"], 1 if row["side"] == Side.BUY else -1
        sizes[token_id] = sizes.get(token_id, Decimal(0)) + sign * from_micro(int(row["size"]))
    return sizes


def _moving_fills(transaction: Transaction, since_micros: int) -> tuple[MovingFill, ...]:
    """Return fills that are not final, and those that became so only a moment ago."""
    rows = _MOVING.named_rows(transaction, {"since": since_micros})
    return tuple(
        MovingFill(
            fill=fill_of(row), token_id=OutcomeTokenId(row["token_id"]), side=Side(row["side"])
        )
        for row in rows
    )


def _unproved_micro(transaction: Transaction) -> int:
    """Return what fills moved, booked or voided since cash last agreed [micro-USDC]."""
    known = _PROVED.named_rows(transaction)
    proved = known[0]["agreed_fill_count"] if known else 0
    fills, _ = booked_fill_counts(transaction)
    moves = fills + _voided_count(transaction)
    rows = _LAST_BOOKED.named_rows(transaction, {"count": max(moves - proved, 0)})
    return sum(amounts.gross + amounts.fee for amounts in map(amounts_of, rows))


def _voided_count(transaction: Transaction) -> int:
    return int(_VOIDED.named_rows(transaction)[0]["count"])


def _arriving_micro(transaction: Transaction, since_micros: int) -> int:
    return int(_ARRIVING.named_rows(transaction, {"since": since_micros})[0]["total"])


def _is_new_foreign(connection: Connection, trade: ForeignTrade, at_micros: int) -> bool:
    same = (
        (FOREIGN_TRADES.c.trade_id == trade.trade_id)
        & (FOREIGN_TRADES.c.order_id == trade.order_id)
        & (FOREIGN_TRADES.c.leg == trade.leg)
    )
    known = connection.execute(select(FOREIGN_TRADES.c.status).where(same)).scalar()
    if known is not None:
        if known not in _FINAL_FILLS:
            connection.execute(update(FOREIGN_TRADES).where(same).values(status=trade.status))
        return False
    values: dict[str, Any] = {
        "trade_id": clean_text(trade.trade_id),
        "order_id": clean_text(trade.order_id),
        "leg": trade.leg,
        "condition_id": clean_text(trade.condition_id),
        "token_id": clean_text(trade.token_id),
        "side": trade.side,
        "price": decimal_text(trade.price),
        "size": to_micro(trade.size),
        "status": trade.status,
        "traded_at": micros_at(trade.traded_at),
        "seen_at": at_micros,
    }
    connection.execute(insert(FOREIGN_TRADES), values)
    return True


def _foreign_of(row: RowMapping) -> ForeignTrade:
    return ForeignTrade(
        trade_id=row["trade_id"],
        order_id=row["order_id"],
        leg=row["leg"],
        condition_id=ConditionId(row["condition_id"]),
        token_id=OutcomeTokenId(row["token_id"]),
        side=Side(row["side"]),
        price=Decimal(row["price"]),
        size=shares_of(row["size"]),
        status=FillStatus(row["status"]),
        traded_at=instant_at(row["traded_at"]),
    )
