"""The ledger's tables.

Money, shares and prices are integers of 10⁻⁶, instants are integer microseconds since 1970 UTC,
days are integer days since 1970, decimals that are no money are text. Rows are written and read
with SQLAlchemy Core through the ``Table`` constants below: the order path has no ORM.

A change here needs a migration beside it; a test compares the two.
"""

from typing import ClassVar, Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Index,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlmodel import Field, SQLModel

_NAMES: Final = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class LedgerTable(SQLModel):
    """Base of the ledger's tables: their own metadata, named constraints."""

    metadata: ClassVar[MetaData] = MetaData(naming_convention=_NAMES)


def partial_index(name: str, *columns: str, where: str) -> Index:
    """Return an index over some rows: an order's way through it touches few pages.

    Args:
        name: Of the index.
        columns: What is indexed.
        where: Which rows; queries must say it in the same words.
    """
    return Index(name, *columns, sqlite_where=text(where), postgresql_where=text(where))


class AccountRow(LedgerTable, table=True):
    """The one row of running totals; whoever writes holds its lock."""

    __tablename__ = "account"
    __table_args__ = (
        CheckConstraint("id = 1", name="single"),
        CheckConstraint("reserved >= 0", name="reserved"),
        CheckConstraint("cash = deposits + realised - position_cost", name="balanced"),
    )

    id: int = Field(primary_key=True)
    mode: str = Field(max_length=20)
    cash: int = Field(sa_type=BigInteger)
    reserved: int = Field(sa_type=BigInteger)
    position_cost: int = Field(sa_type=BigInteger)
    position_value: int = Field(sa_type=BigInteger)
    realised: int = Field(sa_type=BigInteger)
    fees: int = Field(sa_type=BigInteger)
    deposits: int = Field(sa_type=BigInteger)
    high_water: int = Field(sa_type=BigInteger)
    day: int | None
    trading_state: str = Field(max_length=20)


class DayRow(LedgerTable, table=True):
    """Counters of one UTC day."""

    __tablename__ = "days"

    day: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    opening_equity: int = Field(sa_type=BigInteger)
    trade_count: int
    realised: int = Field(sa_type=BigInteger)
    fees: int = Field(sa_type=BigInteger)


class MarketRow(LedgerTable, table=True):
    """What settling and explaining a market needs after the venue has delisted it."""

    __tablename__ = "markets"

    condition_id: str = Field(primary_key=True, max_length=255)
    slug: str = Field(max_length=255)
    window_start_s: int = Field(sa_type=BigInteger)
    question: str = Field(sa_type=Text)
    up_token_id: str | None = Field(max_length=255)
    down_token_id: str | None = Field(max_length=255)
    fee_rate: str | None = Field(max_length=80)
    fee_exponent: int | None


class DecisionRow(LedgerTable, table=True):
    """One row per window and strategy."""

    __tablename__ = "decisions"
    __table_args__ = (partial_index("ix_decisions_pending", "key", where="verdict = 'pending'"),)

    id: int = Field(primary_key=True)
    key: str = Field(max_length=255, unique=True)
    strategy: str = Field(max_length=255)
    slug: str = Field(max_length=255)
    window_start_s: int = Field(sa_type=BigInteger, index=True)
    verdict: str = Field(max_length=20)
    reason: str = Field(sa_type=Text)
    decided_at: int = Field(sa_type=BigInteger)
    run_name: str = Field(sa_type=Text)
    direction: str | None = Field(max_length=20)
    signal_reason: str = Field(sa_type=Text)
    condition_id: str | None = Field(max_length=255)
    question: str = Field(sa_type=Text)
    order_id: str | None = Field(max_length=255)
    indicators: str = Field(sa_type=Text)
    checks: str = Field(sa_type=Text)
    book: str = Field(sa_type=Text)
    price_to_beat: str | None = Field(max_length=80)


class OrderRow(LedgerTable, table=True):
    """One row per intent; at most one per decision, ever."""

    __tablename__ = "orders"
    __table_args__ = (
        CheckConstraint("reserved >= 0", name="reserved"),
        partial_index(
            "ix_orders_open",
            "condition_id",
            where="status = 'sending' OR status = 'unknown' OR status = 'resting'",
        ),
        partial_index(
            "ix_orders_not_filled",
            "updated_at",
            where="status = 'rejected' OR status = 'unfilled' OR status = 'never-arrived'",
        ),
    )

    id: int = Field(primary_key=True)
    order_id: str = Field(max_length=255, unique=True)
    decision_key: str = Field(max_length=255, unique=True, foreign_key="decisions.key")
    condition_id: str = Field(max_length=255, foreign_key="markets.condition_id")
    token_id: str = Field(max_length=255)
    outcome: str = Field(max_length=20)
    side: str = Field(max_length=20)
    time_in_force: str = Field(max_length=20)
    limit_price: int = Field(sa_type=BigInteger)
    size: int = Field(sa_type=BigInteger)
    budget: int = Field(sa_type=BigInteger)
    max_outlay: int = Field(sa_type=BigInteger)
    reserved: int = Field(sa_type=BigInteger)
    filled_size: int = Field(sa_type=BigInteger)
    filled_cost: int = Field(sa_type=BigInteger)
    fee: int = Field(sa_type=BigInteger)
    status: str = Field(max_length=20)
    reason: str = Field(sa_type=Text)
    created_at: int = Field(sa_type=BigInteger)
    updated_at: int = Field(sa_type=BigInteger)
    expires_at: int | None = Field(sa_type=BigInteger)
    day: int
    is_counted: bool
    seen_bid: int | None = Field(sa_type=BigInteger)
    wire: str = Field(sa_type=Text)
    leader_id: int | None
    """Who is copied by it."""


class IntentRow(LedgerTable, table=True):
    """An order that is durable and not yet booked; the next transaction books it, so few stand.

    An order is sent once this one row is durable: it says everything that booking it needs.
    """

    __tablename__ = "intents"

    id: int = Field(primary_key=True)
    order_id: str = Field(max_length=255)
    decision_key: str = Field(max_length=255)
    condition_id: str = Field(max_length=255)
    outlay: int = Field(sa_type=BigInteger)
    """What it holds back."""
    created_at: int = Field(sa_type=BigInteger)
    body: str = Field(sa_type=Text)
    """JSON of order, decision and, where a leader is copied, the record of his trade."""


class FillRow(LedgerTable, table=True):
    """One row per execution; the money in it never changes, only its status does."""

    __tablename__ = "fills"
    __table_args__ = (UniqueConstraint("trade_id", "order_id", "leg"),)

    id: int = Field(primary_key=True)
    trade_id: str = Field(max_length=255)
    order_id: str = Field(max_length=255, foreign_key="orders.order_id", index=True)
    leg: int
    token_id: str = Field(max_length=255, index=True)
    side: str = Field(max_length=20)
    price: int = Field(sa_type=BigInteger)
    size: int = Field(sa_type=BigInteger)
    fee: int = Field(sa_type=BigInteger)
    liquidity: str = Field(max_length=20)
    status: str = Field(max_length=20)
    filled_at: int = Field(sa_type=BigInteger)
    was_booked: bool
    """False for a fill that was void when we first heard of it."""


class PositionRow(LedgerTable, table=True):
    """One row per outcome token that was ever traded."""

    __tablename__ = "positions"

    token_id: str = Field(primary_key=True, max_length=255)
    condition_id: str = Field(max_length=255, foreign_key="markets.condition_id", index=True)
    outcome: str = Field(max_length=20)
    size: int = Field(sa_type=BigInteger)
    cost: int = Field(sa_type=BigInteger)
    realised: int = Field(sa_type=BigInteger)
    fees: int = Field(sa_type=BigInteger)
    cash: int = Field(sa_type=BigInteger)
    bid: int | None = Field(sa_type=BigInteger)
    value: int = Field(sa_type=BigInteger)


class SettlementRow(LedgerTable, table=True):
    """One row per settled market."""

    __tablename__ = "settlements"

    condition_id: str = Field(primary_key=True, max_length=255, foreign_key="markets.condition_id")
    up_payout: str = Field(max_length=80)
    down_payout: str = Field(max_length=80)
    payout: int = Field(sa_type=BigInteger)
    pnl: int = Field(sa_type=BigInteger)
    resolved_at: int = Field(sa_type=BigInteger)
    settled_at: int = Field(sa_type=BigInteger, index=True)


class MovementRow(LedgerTable, table=True):
    """Everything that ever changed the books, in the order in which it was booked."""

    __tablename__ = "movements"

    id: int = Field(primary_key=True)
    kind: str = Field(max_length=20)
    booked_at: int = Field(sa_type=BigInteger, index=True)
    day: int
    reference: str | None = Field(max_length=255, unique=True)
    fill_id: int | None = Field(foreign_key="fills.id")
    condition_id: str | None = Field(max_length=255, foreign_key="markets.condition_id")
    outcome: str = Field(max_length=20)
    size: int = Field(sa_type=BigInteger)
    price: int | None = Field(sa_type=BigInteger)
    cash: int = Field(sa_type=BigInteger)
    cost: int = Field(sa_type=BigInteger)
    realised: int = Field(sa_type=BigInteger)
    fees: int = Field(sa_type=BigInteger)
    payout: int = Field(sa_type=BigInteger)


class TradingStateRow(LedgerTable, table=True):
    """Every change of the trading state; the newest row holds."""

    __tablename__ = "trading_states"

    id: int = Field(primary_key=True)
    state: str = Field(max_length=20)
    reason: str = Field(sa_type=Text)
    changed_by: str = Field(sa_type=Text)
    changed_at: int = Field(sa_type=BigInteger)


class AlertRow(LedgerTable, table=True):
    """The outbox."""

    __tablename__ = "alerts"
    __table_args__ = (Index("ix_alerts_due", "sent_at", "next_attempt_at"),)

    id: int = Field(primary_key=True)
    kind: str = Field(max_length=20)
    dedupe_key: str = Field(max_length=255, unique=True)
    title: str = Field(sa_type=Text)
    body: str = Field(sa_type=Text)
    created_at: int = Field(sa_type=BigInteger)
    next_attempt_at: int = Field(sa_type=BigInteger)
    attempts: int
    last_error: str = Field(sa_type=Text)
    sent_at: int | None = Field(sa_type=BigInteger)


class ReconciliationRow(LedgerTable, table=True):
    """The one row about reconciling with the venue."""

    __tablename__ = "reconciliation"
    __table_args__ = (CheckConstraint("id = 1", name="single"),)

    id: int = Field(primary_key=True)
    reconciled_at: int | None = Field(sa_type=BigInteger)
    attempted_at: int = Field(sa_type=BigInteger)
    verdict: str = Field(max_length=20)
    trades_since: int | None = Field(sa_type=BigInteger)
    agreed_fill_count: int
    detail: str = Field(sa_type=Text)


class ForeignTradeRow(LedgerTable, table=True):
    """Trades of the account by orders that are not ours: seen, and kept out of the books."""

    __tablename__ = "foreign_trades"
    __table_args__ = (UniqueConstraint("trade_id", "order_id", "leg"),)

    id: int = Field(primary_key=True)
    trade_id: str = Field(max_length=255)
    order_id: str = Field(max_length=255)
    leg: int
    condition_id: str = Field(max_length=255)
    token_id: str = Field(max_length=255, index=True)
    side: str = Field(max_length=20)
    price: str = Field(max_length=80)
    size: int = Field(sa_type=BigInteger)
    status: str = Field(max_length=20)
    traded_at: int = Field(sa_type=BigInteger)
    seen_at: int = Field(sa_type=BigInteger)


class RedemptionRow(LedgerTable, table=True):
    """One row per settled market whose payout was asked for, or was found to be cash already."""

    __tablename__ = "redemptions"

    condition_id: str = Field(
        primary_key=True, max_length=255, foreign_key="settlements.condition_id"
    )
    state: str = Field(max_length=20, index=True)
    transaction_id: str = Field(max_length=255)
    attempts: int
    reason: str = Field(sa_type=Text)
    requested_at: int = Field(sa_type=BigInteger)
    updated_at: int = Field(sa_type=BigInteger)


class RunRow(LedgerTable, table=True):
    """Flow runs, for the status page."""

    __tablename__ = "runs"

    run_id: str = Field(primary_key=True, max_length=255)
    flow: str = Field(sa_type=Text)
    name: str = Field(sa_type=Text)
    state: str = Field(max_length=20)
    started_at: int = Field(sa_type=BigInteger, index=True)
    ended_at: int | None = Field(sa_type=BigInteger)
    note: str = Field(sa_type=Text)


METADATA: Final = LedgerTable.metadata


def _table(name: str) -> Table:
    return METADATA.tables[name]


ACCOUNT: Final = _table("account")
DAYS: Final = _table("days")
MARKETS: Final = _table("markets")
DECISIONS: Final = _table("decisions")
ORDERS: Final = _table("orders")
INTENTS: Final = _table("intents")
FILLS: Final = _table("fills")
POSITIONS: Final = _table("positions")
SETTLEMENTS: Final = _table("settlements")
MOVEMENTS: Final = _table("movements")
TRADING_STATES: Final = _table("trading_states")
ALERTS: Final = _table("alerts")
RUNS: Final = _table("runs")
RECONCILIATION: Final = _table("reconciliation")
FOREIGN_TRADES: Final = _table("foreign_trades")
REDEMPTIONS: Final = _table("redemptions")
