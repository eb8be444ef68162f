"""Keep what reconciling with the venue and redeeming winnings need."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables and a market's fees; nothing that was recorded changes."""
    op.add_column("markets", sa.Column("fee_rate", sa.String(length=80), nullable=True))
    op.add_column("markets", sa.Column("fee_exponent", sa.Integer(), nullable=True))
    op.create_table(
        "reconciliation",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("reconciled_at", sa.BigInteger(), nullable=True),
        sa.Column("attempted_at", sa.BigInteger(), nullable=False),
        sa.Column("verdict", sa.String(length=20), nullable=False),
        sa.Column("trades_since", sa.BigInteger(), nullable=True),
        sa.Column("agreed_fill_count", sa.Integer(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_reconciliation_single")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reconciliation")),
    )
    op.create_table(
        "foreign_trades",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("trade_id", sa.String(length=255), nullable=False),
        sa.Column("order_id", sa.String(length=255), nullable=False),
        sa.Column("leg", sa.Integer(), nullable=False),
        sa.Column("condition_id", sa.String(length=255), nullable=False),
        sa.Column("token_id", sa.String(length=255), nullable=False),
        sa.Column("side", sa.String(length=20), nullable=False),
        sa.Column("price", sa.String(length=80), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("traded_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_foreign_trades")),
        sa.UniqueConstraint(
            "trade_id", "order_id", "leg", name=op.f("uq_foreign_trades_trade_id_order_id_leg")
        ),
    )
    op.create_index(op.f("ix_foreign_trades_token_id"), "foreign_trades", ["token_id"])
    op.create_table(
        "redemptions",
        sa.Column("condition_id", sa.String(length=255), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("transaction_id", sa.String(length=255), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("requested_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["condition_id"],
            ["settlements.condition_id"],
            name=op.f("fk_redemptions_condition_id_settlements"),
        ),
        sa.PrimaryKeyConstraint("condition_id", name=op.f("pk_redemptions")),
    )
    op.create_index(op.f("ix_redemptions_state"), "redemptions", ["state"])
