"""Redemptions: which payouts are not cash on the venue yet, and what was done about each."""

from datetime import datetime
from decimal import Decimal
from typing import Final

from sqlalchemy import Connection, insert, or_, select, update

from polybot.accounting import replay
from polybot.adapters.storage.books import Store, counted_fills
from polybot.adapters.storage.columns import clean_text, instant_at, micros_at, shares_of, usdc_of
from polybot.adapters.storage.money import payouts_of
from polybot.adapters.storage.outbox import insert_alert
from polybot.adapters.storage.statements import (
    SqlTransaction,
    Statement,
    Transaction,
    parameter,
)
from polybot.adapters.storage.tables import MARKETS, POSITIONS, REDEMPTIONS, SETTLEMENTS
from polybot.domain.alerts import Alert
from polybot.domain.markets import ConditionId, MarketWindow, Outcome, OutcomeTokenId
from polybot.domain.money import Shares
from polybot.domain.reconciliation import Redemption, RedemptionState
from polybot.errors import DataError

FINAL_STATES: Final = tuple(state for state in RedemptionState if state.is_final)
_OPEN: Final = Statement(
    select(
        SETTLEMENTS,
        MARKETS.c.slug,
        MARKETS.c.up_token_id,
        MARKETS.c.down_token_id,
        REDEMPTIONS.c.state,
        REDEMPTIONS.c.transaction_id,
        REDEMPTIONS.c.attempts,
        REDEMPTIONS.c.reason,
        REDEMPTIONS.c.updated_at,
    )
    .join(MARKETS, MARKETS.c.condition_id == SETTLEMENTS.c.condition_id)
    .outerjoin(REDEMPTIONS, REDEMPTIONS.c.condition_id == SETTLEMENTS.c.condition_id)
    .where(
        SETTLEMENTS.c.payout > 0,
        or_(REDEMPTIONS.c.state.is_(None), REDEMPTIONS.c.state.not_in(FINAL_STATES)),
    )
    .order_by(SETTLEMENTS.c.settled_at, SETTLEMENTS.c.condition_id)
)
_TOKENS_OF: Final = Statement(
    select(POSITIONS.c.token_id, POSITIONS.c.outcome)
    .where(POSITIONS.c.condition_id == parameter("condition_id"))
    .order_by(POSITIONS.c.outcome)
)


class RedemptionStore(Store):
    """The ledger's redemptions."""

    def open_redemptions(self) -> tuple[Redemption, ...]:
        """Return settled markets that paid and are not known to be redeemed, oldest first."""
        with self._database.reading_lean() as transaction:
            return load_open_redemptions(transaction)

    def record_redemption(
        self,
        condition_id: ConditionId,
        state: RedemptionState,
        *,
        at: datetime,
        transaction_id: str = "",
        reason: str = "",
        alert: Alert | None = None,
    ) -> bool:
        """Record what became of a redemption; see ``Ledger.record_redemption``."""
        if state is RedemptionState.DUE:
            raise ValueError("a redemption is due by itself, nothing records that")
        return self._store(
            condition_id,
            state,
            at_micros=micros_at(at),
            transaction_id=transaction_id,
            reason=reason,
            attempts=0,
            alert=alert,
        )

    def request_redemption(self, condition_id: ConditionId, *, at: datetime) -> bool:
        """Record that a redemption is about to be asked for; see ``Ledger.request_redemption``."""
        return self._store(
            condition_id,
            RedemptionState.REQUESTED,
            at_micros=micros_at(at),
            transaction_id="",
            reason="asked for",
            attempts=1,
            alert=None,
        )

    def _store(
        self,
        condition_id: ConditionId,
        state: RedemptionState,
        *,
        at_micros: int,
        transaction_id: str,
        reason: str,
        attempts: int,
        alert: Alert | None,
    ) -> bool:
        mine = REDEMPTIONS.c.condition_id == condition_id
        with self._database.writing() as connection:
            known = connection.execute(select(REDEMPTIONS).where(mine)).mappings().one_or_none()
            if known is not None and known["state"] in FINAL_STATES:
                return False
            _refuse_unsettled(connection, condition_id)
            values = {
                "state": state,
                "transaction_id": clean_text(transaction_id)
                or ("" if known is None else known["transaction_id"]),
                "attempts": attempts + (0 if known is None else known["attempts"]),
                "reason": clean_text(reason),
                "updated_at": at_micros,
            }
            if known is None:
                values = {"condition_id": condition_id, "requested_at": at_micros, **values}
                connection.execute(insert(REDEMPTIONS), values)
            else:
                connection.execute(update(REDEMPTIONS).where(mine).values(**values))
            if alert is not None:
                insert_alert(SqlTransaction(connection), alert, at_micros=at_micros)
        return True


def load_open_redemptions(transaction: Transaction) -> tuple[Redemption, ...]:
    """Return redemptions that are not final, of markets that paid us something."""
    rows = _OPEN.named_rows(transaction)
    return tuple(
        Redemption(
            condition_id=ConditionId(row["condition_id"]),
            window=MarketWindow.parse_slug(row["slug"]),
            token_ids=tuple(
                OutcomeTokenId(token_id)
                for token_id in (row["up_token_id"], row["down_token_id"])
                if token_id is not None
            ),
            holdings=_paying_shares(transaction, row["condition_id"], payouts_of(row)),
            payout_usdc=usdc_of(row["payout"]),
            state=RedemptionState.DUE if row["state"] is None else RedemptionState(row["state"]),
            transaction_id=row["transaction_id"] or "",
            attempts=row["attempts"] or 0,
            reason=row["reason"] or "",
            settled_at=instant_at(row["settled_at"]),
            updated_at=None if row["updated_at"] is None else instant_at(row["updated_at"]),
        )
        for row in rows
    )


def _paying_shares(
    transaction: Transaction, condition_id: str, payouts: dict[Outcome, Decimal]
) -> dict[OutcomeTokenId, Shares]:
    rows = transaction.rows(_TOKENS_OF, {"condition_id": condition_id})
    paying = {}
    for token_id, outcome in rows:
        held = replay(counted_fills(transaction, token_id).values()).held
        if payouts[Outcome(outcome)] and held:
            paying[OutcomeTokenId(token_id)] = shares_of(held)
    return paying


def _refuse_unsettled(connection: Connection, condition_id: str) -> None:
    settled = connection.execute(
        select(SETTLEMENTS.c.condition_id).where(SETTLEMENTS.c.condition_id == condition_id)
    ).first()
    if settled is None:
        raise DataError(
            f"market {condition_id} cannot be redeemed: it is not settled", reason="not-settled"
        )
