"""Keep leaders, what they did, what was made of it, and who may copy."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables, and whom an order copies; nothing that was recorded changes."""
    op.add_column("orders", sa.Column("leader_id", sa.Integer(), nullable=True))
    _create_leaders()
    _create_holdings()
    _create_events()
    op.create_table(
        "leases",
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("holder", sa.String(length=255), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )
    op.create_table(
        "desired_states",
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("is_wanted", sa.Boolean(), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_desired_states")),
    )


def _create_leaders() -> None:
    op.create_table(
        "leaders",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("address", sa.String(length=42), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("state_reason", sa.Text(), nullable=False),
        sa.Column("added_at", sa.BigInteger(), nullable=False),
        sa.Column("watermark", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("open_spent", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("day_spent", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_leaders")),
        sa.UniqueConstraint("address", name=op.f("uq_leaders_address")),
    )
    op.create_index(op.f("ix_leaders_version"), "leaders", ["version"], unique=False)


def _create_holdings() -> None:
    op.create_table(
        "leader_holdings",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("token_id", sa.String(length=255), nullable=False),
        sa.Column("leader_id", sa.Integer(), nullable=False),
        sa.Column("condition_id", sa.String(length=255), nullable=False),
        sa.Column("slug", sa.String(length=255), nullable=False),
        sa.Column("leader_size", sa.BigInteger(), nullable=False),
        sa.Column("our_size", sa.BigInteger(), nullable=False),
        sa.Column("our_cost", sa.BigInteger(), nullable=False),
        sa.Column("in_flight", sa.BigInteger(), nullable=False),
        sa.Column("pending", sa.BigInteger(), nullable=False),
        sa.Column("pending_size", sa.BigInteger(), nullable=False),
        sa.Column("pending_since", sa.BigInteger(), nullable=True),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("seeded_after", sa.Integer(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.Column("live", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["leader_id"], ["leaders.id"], name=op.f("fk_leader_holdings_leader_id_leaders")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_leader_holdings")),
        sa.UniqueConstraint(
            "token_id", "leader_id", name=op.f("uq_leader_holdings_token_id_leader_id")
        ),
    )
    op.create_index(
        op.f("ix_leader_holdings_live"),
        "leader_holdings",
        ["leader_id", "condition_id"],
        sqlite_where=sa.text("live = 1"),
        postgresql_where=sa.text("live = 1"),
    )


def _create_events() -> None:
    op.create_table(
        "leader_events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=400), nullable=False),
        sa.Column("leader_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("transaction_hash", sa.String(length=255), nullable=False),
        sa.Column("token_id", sa.Text(), nullable=False),
        sa.Column("condition_id", sa.String(length=255), nullable=False),
        sa.Column("slug", sa.String(length=255), nullable=False),
        sa.Column("side", sa.String(length=20), nullable=False),
        sa.Column("price", sa.String(length=80), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("occurrence", sa.Integer(), nullable=False),
        sa.Column("happened_at", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.String(length=20), nullable=False),
        sa.Column("verdict", sa.String(length=20), nullable=False),
        sa.Column("reason_code", sa.String(length=80), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.BigInteger(), nullable=False),
        sa.Column("decision_key", sa.String(length=400), nullable=True),
        sa.Column("order_id", sa.String(length=255), nullable=True),
        sa.Column("sent_at", sa.BigInteger(), nullable=True),
        sa.Column("acknowledged_at", sa.BigInteger(), nullable=True),
        sa.Column("accumulated", sa.BigInteger(), nullable=False),
        sa.Column("accumulated_size", sa.BigInteger(), nullable=False),
        sa.Column("clears_pending", sa.Integer(), nullable=False),
        sa.Column("follows_conversion", sa.Integer(), nullable=False),
        sa.Column("is_voided", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["leader_id"], ["leaders.id"], name=op.f("fk_leader_events_leader_id_leaders")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_leader_events")),
        sa.UniqueConstraint("key", name=op.f("uq_leader_events_key")),
    )
    op.create_index(
        op.f("ix_leader_events_leader_id_happened_at"),
        "leader_events",
        ["leader_id", "happened_at"],
        unique=False,
    )
    op.create_index(
        op.f("ix_leader_events_conversions"),
        "leader_events",
        ["leader_id", "condition_id"],
        sqlite_where=sa.text("kind <> 'trade'"),
        postgresql_where=sa.text("kind <> 'trade'"),
    )
