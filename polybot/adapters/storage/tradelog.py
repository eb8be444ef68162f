"""The trade log: decisions that came to nothing, and everything that moved money.

A row's timestamp is when it was booked, so that a log read with ``since`` never misses a fill
that was heard of late. ``cash_change_usdc = pnl_usdc − cost_usdc`` in every row but deposits and
withdrawals; the sums of ``cash_change_usdc``, ``cost_usdc``, ``pnl_usdc`` and ``fee_usdc`` are
the ledger's cash, position cost, realised P&L and fees.
"""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import RowMapping, Select, case, or_, select

from polybot.adapters.storage.books import MovementKind, Store
from polybot.adapters.storage.columns import (
    instant_at,
    json_of,
    micros_at,
    shares_of,
    usdc_of,
)
from polybot.adapters.storage.money import payouts_of
from polybot.adapters.storage.tables import (
    DECISIONS,
    FILLS,
    MARKETS,
    MOVEMENTS,
    ORDERS,
    SETTLEMENTS,
)
from polybot.domain.accounts import TradeLogKind, TradeLogRow
from polybot.domain.decisions import Verdict
from polybot.domain.modes import Mode
from polybot.domain.money import from_micro
from polybot.domain.orders import OrderStatus

_NOT_TRADED: Final = (Verdict.SKIPPED, Verdict.HELD, Verdict.REFUSED)
_NOT_FILLED: Final = (OrderStatus.UNFILLED, OrderStatus.REJECTED, OrderStatus.NEVER_ARRIVED)
_ZERO: Final = usdc_of(0)


class TradeLogStore(Store):
    """The ledger's trade log."""

    def trade_log(
        self, *, since: datetime | None = None, limit: int | None = None
    ) -> tuple[TradeLogRow, ...]:
        """Return decisions, fills, settlements and deposits as log rows, oldest first.

        Args:
            since: Only rows booked at or after this instant.
            limit: Only the newest so many rows.
        """
        since_micros = None if since is None else micros_at(since)
        with self._database.reading() as connection:
            movements = connection.execute(_movements(since_micros, limit)).mappings().all()
            decisions = connection.execute(_decisions(since_micros, limit)).mappings().all()
        keyed = [
            ((row["logged_at"], 1, row["id"]), _movement_row(row, self.mode)) for row in movements
        ] + [((row["logged_at"], 0, row["id"]), _decision_row(row, self.mode)) for row in decisions]
        keyed.sort(key=lambda pair: pair[0])
        rows = tuple(row for _, row in keyed)
        return rows if limit is None else rows[max(len(rows) - limit, 0) :]


def _movements(since_micros: int | None, limit: int | None) -> Select[Any]:
    query = (
        select(
            MOVEMENTS,
            MOVEMENTS.c.booked_at.label("logged_at"),
            MARKETS.c.slug,
            MARKETS.c.question,
            ORDERS.c.order_id,
            ORDERS.c.side,
            DECISIONS.c.reason,
            DECISIONS.c.indicators,
            SETTLEMENTS.c.up_payout,
            SETTLEMENTS.c.down_payout,
        )
        .outerjoin(MARKETS, MARKETS.c.condition_id == MOVEMENTS.c.condition_id)
        .outerjoin(SETTLEMENTS, SETTLEMENTS.c.condition_id == MOVEMENTS.c.condition_id)
        .outerjoin(FILLS, FILLS.c.id == MOVEMENTS.c.fill_id)
        .outerjoin(ORDERS, ORDERS.c.order_id == FILLS.c.order_id)
        .outerjoin(DECISIONS, DECISIONS.c.key == ORDERS.c.decision_key)
        .order_by(MOVEMENTS.c.booked_at.desc(), MOVEMENTS.c.id.desc())
    )
    if since_micros is not None:
        query = query.where(MOVEMENTS.c.booked_at >= since_micros)
    return query if limit is None else query.limit(limit)


def _decisions(since_micros: int | None, limit: int | None) -> Select[Any]:
    logged_at = case(
        (ORDERS.c.updated_at.is_(None), DECISIONS.c.decided_at), else_=ORDERS.c.updated_at
    )
    query = (
        select(
            DECISIONS,
            logged_at.label("logged_at"),
            MARKETS.c.question.label("market_question"),
            ORDERS.c.side,
            ORDERS.c.outcome,
            ORDERS.c.size,
            ORDERS.c.limit_price,
            ORDERS.c.status,
            ORDERS.c.reason.label("order_reason"),
        )
        .outerjoin(ORDERS, ORDERS.c.decision_key == DECISIONS.c.key)
        .outerjoin(MARKETS, MARKETS.c.condition_id == DECISIONS.c.condition_id)
        .where(or_(DECISIONS.c.verdict.in_(_NOT_TRADED), ORDERS.c.status.in_(_NOT_FILLED)))
        .order_by(logged_at.desc(), DECISIONS.c.id.desc())
    )
    if since_micros is not None:
        query = query.where(logged_at >= since_micros)
    return query if limit is None else query.limit(limit)


def _movement_row(row: RowMapping, mode: Mode) -> TradeLogRow:
    kind = MovementKind(row["kind"])
    is_deposit = kind in (MovementKind.DEPOSIT, MovementKind.WITHDRAWAL)
    result, reason = _result_of(row, kind)
    return TradeLogRow(
        timestamp=instant_at(row["logged_at"]),
        kind=_LOG_KINDS[kind],
        mode=mode,
        market=row["slug"] or "",
        market_name=row["question"] or row["slug"] or "",
        outcome=row["outcome"],
        side=row["side"] or "",
        size=shares_of(row["size"]),
        price=None if row["price"] is None else from_micro(row["price"]),
        fee_usdc=usdc_of(row["fees"]),
        cost_usdc=usdc_of(row["cost"]),
        payout_usdc=usdc_of(row["payout"]),
        pnl_usdc=None if is_deposit else usdc_of(row["realised"]),
        cash_change_usdc=usdc_of(row["cash"]),
        result=result,
        paper_trade=mode is not Mode.LIVE,
        reason=reason,
        order_id=row["order_id"] or "",
        indicators={} if row["indicators"] is None else json_of(row["indicators"]),
    )


_LOG_KINDS: Final = {
    MovementKind.DEPOSIT: TradeLogKind.DEPOSIT,
    MovementKind.FILL: TradeLogKind.FILL,
    MovementKind.VOID: TradeLogKind.FILL,
    MovementKind.SETTLEMENT: TradeLogKind.SETTLEMENT,
    MovementKind.CORRECTION: TradeLogKind.SETTLEMENT,
    MovementKind.WITHDRAWAL: TradeLogKind.DEPOSIT,
    MovementKind.ADJUSTMENT: TradeLogKind.ADJUSTMENT,
}


def _result_of(row: RowMapping, kind: MovementKind) -> tuple[str, str]:
    if kind is not MovementKind.SETTLEMENT:
        result, reason = _RESULTS[kind]
        return result, reason or row["reason"] or row["reference"] or ""
    winner = next((o for o, pay in payouts_of(row).items() if pay == 1), None)
    if winner is None:
        return "voided", "the venue voided the market"
    return "won" if row["payout"] > 0 else "lost", f"the venue resolved {winner}"


# Where no reason is given here, the decision's tells it, or the movement's reference.
_RESULTS: Final = {
    MovementKind.DEPOSIT: ("deposited", ""),
    MovementKind.WITHDRAWAL: ("withdrawn", ""),
    MovementKind.ADJUSTMENT: ("adjusted", "the venue rounded fees otherwise"),
    MovementKind.FILL: ("filled", ""),
    MovementKind.VOID: ("failed", "the venue voided this fill, its money is taken back"),
    MovementKind.CORRECTION: ("corrected", "a fill was voided or heard of after the settlement"),
}


def _decision_row(row: RowMapping, mode: Mode) -> TradeLogRow:
    has_order = row["status"] is not None
    return TradeLogRow(
        timestamp=instant_at(row["logged_at"]),
        kind=TradeLogKind.DECISION,
        mode=mode,
        market=row["slug"],
        market_name=row["market_question"] or row["question"] or row["slug"],
        outcome=row["outcome"] or "",
        side=row["side"] or "",
        size=shares_of(row["size"] or 0),
        price=from_micro(row["limit_price"]) if has_order else None,
        fee_usdc=_ZERO,
        cost_usdc=_ZERO,
        payout_usdc=_ZERO,
        pnl_usdc=None,
        cash_change_usdc=_ZERO,
        result=row["status"] if has_order else row["verdict"],
        paper_trade=mode is not Mode.LIVE,
        reason=(row["order_reason"] if has_order else "") or row["reason"],
        order_id=row["order_id"] or "",
        indicators=json_of(row["indicators"]),
    )
