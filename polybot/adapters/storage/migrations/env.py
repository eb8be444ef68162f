"""Alembic's entry point: run the ledger's migrations on the connection that opened it.

A new revision, from the repository's root, against a scratch file that has the old schema::

    from alembic import command
    from sqlalchemy import create_engine
    from polybot.adapters.storage.migrate import alembic_config

    with create_engine("sqlite:///scratch.db").begin() as connection:
        config = alembic_config(connection)
        command.upgrade(config, "head")
        command.revision(config, "what changes", autogenerate=True, rev_id="0002")

Then raise ``HEAD`` in ``migrate.py``.
"""

from typing import Any, Literal

from alembic import context
from sqlmodel.sql.sqltypes import AutoString

from polybot.adapters.storage.tables import METADATA


def _render(kind: str, item: Any, _autogenerate: object) -> str | Literal[False]:
    # SQLModel's own string type is a plain one; scripts then need no SQLModel.
    if kind == "type" and isinstance(item, AutoString):
        return f"sa.String(length={item.length})"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    # SQLite changes columns by copying the table.
    render_as_batch=True,
    compare_type=True,
    render_item=_render,
)
with context.begin_transaction():
    context.run_migrations()
