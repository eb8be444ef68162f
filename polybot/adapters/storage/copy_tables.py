"""The ledger's tables about leaders; units as in ``tables``.

What a copy changes is kept in few rows that are found by key: a leader's totals in his own row,
each token in one. Nothing on a copy's way is summed over history.
"""

from typing import Final

from sqlalchemy import BigInteger, Index, Text, UniqueConstraint
from sqlmodel import Field

from polybot.adapters.storage.tables import METADATA, LedgerTable, partial_index


class LeaderRow(LedgerTable, table=True):
    """One row per wallet that is, or was, followed; with its running totals."""

    __tablename__ = "leaders"

    id: int = Field(primary_key=True)
    address: str = Field(max_length=42, unique=True)
    name: str = Field(sa_type=Text)
    policy: str = Field(sa_type=Text)
    state: str = Field(max_length=20)
    state_reason: str = Field(sa_type=Text)
    added_at: int = Field(sa_type=BigInteger)
    watermark: int = Field(sa_type=BigInteger)
    version: int = Field(index=True)
    """The number of the change that made the row what it is; totals do not count."""
    open_spent: int = Field(sa_type=BigInteger)
    """Cost of what we hold through the leader, and what its BUY orders hold back."""
    day: int
    """The UTC day that ``day_spent`` is of."""
    day_spent: int = Field(sa_type=BigInteger)
    """Spent by the day's BUY orders, fees too, and what they hold back."""


class LeaderHoldingRow(LedgerTable, table=True):
    """One row per leader and token that he, or we through him, ever held."""

    __tablename__ = "leader_holdings"
    # Settled rows stay for the proof of the books; whoever reads what is held passes them over.
    __table_args__ = (
        UniqueConstraint("token_id", "leader_id"),
        partial_index("ix_leader_holdings_live", "leader_id", "condition_id", where="live = 1"),
    )

    id: int = Field(primary_key=True)
    token_id: str = Field(max_length=255)
    leader_id: int = Field(foreign_key="leaders.id")
    condition_id: str = Field(max_length=255)
    slug: str = Field(max_length=255)
    leader_size: int = Field(sa_type=BigInteger)
    """Net of what is known; below 0 where he sold what we never saw him get."""
    our_size: int = Field(sa_type=BigInteger)
    our_cost: int = Field(sa_type=BigInteger)
    in_flight: int = Field(sa_type=BigInteger)
    pending: int = Field(sa_type=BigInteger)
    pending_size: int = Field(sa_type=BigInteger)
    pending_since: int | None = Field(sa_type=BigInteger)
    seed: int = Field(sa_type=BigInteger)
    """What the venue said that he held, after the event ``seeded_after``; 0 where it was not asked
    and the row began with the next event."""
    seeded_after: int
    ends_at: int = Field(sa_type=BigInteger)
    """When the market's window ends; a month after the first trade where its name tells none."""
    live: int
    """0 once the market is over and nothing of ours is left in it."""


class LeaderEventRow(LedgerTable, table=True):
    """One row per leader trade or conversion, with what we made of it."""

    __tablename__ = "leader_events"
    __table_args__ = (
        Index("ix_leader_events_leader_id_happened_at", "leader_id", "happened_at"),
        partial_index(
            "ix_leader_events_conversions",
            "leader_id",
            "condition_id",
            where="kind <> 'trade'",
        ),
    )

    id: int = Field(primary_key=True)
    key: str = Field(max_length=400, unique=True)
    leader_id: int = Field(foreign_key="leaders.id")
    kind: str = Field(max_length=20)
    """``trade``, or the kind of the conversion."""
    transaction_hash: str = Field(max_length=255)
    token_id: str = Field(sa_type=Text)
    """Of a conversion: the tokens whose holding it changed, with a space between."""
    condition_id: str = Field(max_length=255)
    slug: str = Field(max_length=255)
    side: str = Field(max_length=20)
    price: str = Field(max_length=80)
    size: int = Field(sa_type=BigInteger)
    occurrence: int
    happened_at: int = Field(sa_type=BigInteger)
    received_at: int = Field(sa_type=BigInteger)
    source: str = Field(max_length=20)
    verdict: str = Field(max_length=20)
    reason_code: str = Field(max_length=80)
    reason: str = Field(sa_type=Text)
    decided_at: int = Field(sa_type=BigInteger)
    decision_key: str | None = Field(max_length=400)
    order_id: str | None = Field(max_length=255)
    sent_at: int | None = Field(sa_type=BigInteger)
    acknowledged_at: int | None = Field(sa_type=BigInteger)
    accumulated: int = Field(sa_type=BigInteger)
    accumulated_size: int = Field(sa_type=BigInteger)
    clears_pending: int
    follows_conversion: int
    is_voided: int


class LeaseRow(LedgerTable, table=True):
    """One row per name that only one may hold."""

    __tablename__ = "leases"

    name: str = Field(primary_key=True, max_length=255)
    holder: str = Field(max_length=255)
    """Empty once it was given back."""
    epoch: int
    expires_at: int = Field(sa_type=BigInteger)


class DesiredStateRow(LedgerTable, table=True):
    """What a person wants of a loop; the last word counts."""

    __tablename__ = "desired_states"

    name: str = Field(primary_key=True, max_length=255)
    is_wanted: bool
    changed_by: str = Field(sa_type=Text)
    reason: str = Field(sa_type=Text)
    changed_at: int = Field(sa_type=BigInteger)


LEADERS: Final = METADATA.tables["leaders"]
LEADER_HOLDINGS: Final = METADATA.tables["leader_holdings"]
LEADER_EVENTS: Final = METADATA.tables["leader_events"]
LEASES: Final = METADATA.tables["leases"]
DESIRED_STATES: Final = METADATA.tables["desired_states"]
