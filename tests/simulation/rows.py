"""The rows of a ledger, by SQL of the simulation's own."""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from polybot.sqlite_driver import sqlite_module
from tests.unbooked import show_unbooked

# The ledger's own driver: two SQLite libraries in one process drop each other's locks.
sqlite3 = sqlite_module()
Row = Mapping[str, Any]


class LedgerRows:
    """Reads one ledger's file as it is at any moment."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: Any = None
        self._tables: dict[str, list[Row]] = {}

    def look_again(self) -> None:
        """Forget every table: the ledger has moved on."""
        self._tables.clear()

    def table(self, name: str) -> list[Row]:
        """Return a whole table in the order it was written, read once until ``look_again``."""
        if name not in self._tables:
            self._tables[name] = self.all(f"SELECT * FROM {name} ORDER BY 1")
        return self._tables[name]

    def given(self) -> int:
        """Return what came in, went out and was adjusted, none of it by trading."""
        row = self.one(
            "SELECT COALESCE(SUM(cash), 0) AS cash FROM movements "
            "WHERE kind IN ('deposit', 'withdrawal', 'adjustment')"
        )
        return 0 if row is None else int(row["cash"])

    def account(self) -> Row:
        return self.table("account")[0]

    def one(self, query: str, *values: Any) -> Row | None:
        found = self.all(query, *values)
        return found[0] if found else None

    def all(self, query: str, *values: Any) -> list[Row]:
        if self._connection is None:
            self._connection = sqlite3.connect(
                f"file:{self._path}?mode=ro", uri=True, check_same_thread=False
            )
            self._connection.row_factory = sqlite3.Row
            show_unbooked(self._connection)
        found: list[Row] = self._connection.execute(query, values).fetchall()
        return found

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def ledger_digest(path: Path) -> str:
    """Return a digest of every row of every table: equal ledgers have equal digests.

    The home's folder, which a sentence may name, is called otherwise in every run.
    """
    found = sha256()
    connection = sqlite3.connect(path)
    try:
        tables = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
        ).fetchall()
        for (name,) in tables:
            rows = connection.execute(f'SELECT * FROM "{name}" ORDER BY rowid')
            told = json.dumps([name, rows.fetchall()]).replace(str(path.parent), "home")
            found.update(told.encode())
    finally:
        connection.close()
    return found.hexdigest()
