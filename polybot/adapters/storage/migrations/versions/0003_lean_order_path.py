"""Let an order touch fewer pages: indexes over the few rows that are looked for, not over all.

Every page that a transaction changes is written to the log before the order may leave.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Replace indexes; nothing that was recorded changes."""
    op.drop_index(op.f("ix_markets_slug"), "markets")
    op.drop_index(op.f("ix_movements_day"), "movements")
    op.drop_index(op.f("ix_decisions_decided_at"), "decisions")
    op.drop_index(op.f("ix_decisions_verdict"), "decisions")
    op.drop_index(op.f("ix_orders_status"), "orders")
    op.drop_index(op.f("ix_orders_condition_id_status"), "orders")
    _create("ix_decisions_pending", "decisions", ["key"], "verdict = 'pending'")
    _create(
        "ix_orders_open",
        "orders",
        ["condition_id"],
        "status = 'sending' OR status = 'unknown' OR status = 'resting'",
    )
    _create(
        "ix_orders_not_filled",
        "orders",
        ["updated_at"],
        "status = 'rejected' OR status = 'unfilled' OR status = 'never-arrived'",
    )


def _create(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(
        op.f(name), table, columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where)
    )
