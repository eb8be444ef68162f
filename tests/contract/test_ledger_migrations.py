"""The schema that migrations build is the one that the code expects."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import CheckConstraint, inspect

from polybot.adapters.storage.ledger import SqlLedger
from polybot.adapters.storage.migrate import HEAD, alembic_config
from polybot.adapters.storage.tables import METADATA


def test_migrations_build_what_the_tables_say(ledger: SqlLedger) -> None:
    """Tables, columns, types, indexes, unique and foreign keys."""
    with ledger._database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []


def test_migrations_build_the_checks(ledger: SqlLedger) -> None:
    """Autogenerate does not compare them, so they are compared by name."""
    with ledger._database.reading() as connection:
        for table in METADATA.sorted_tables:
            expected = {
                str(constraint.name)
                for constraint in table.constraints
                if isinstance(constraint, CheckConstraint)
            }
            found = {c["name"] for c in inspect(connection).get_check_constraints(table.name)}
            assert found == expected, table.name


def test_head_is_the_newest_script() -> None:
    """The fast path compares with a constant."""
    assert ScriptDirectory.from_config(alembic_config()).get_heads() == [HEAD]
