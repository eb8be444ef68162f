"""Statements of the order path: compiled once, then run by SQLite's own driver.

Before an order may leave, a dozen statements run. Putting one together and running it through
SQLAlchemy takes 20 to 90 µs, SQLite itself takes 2 to 5 µs (benchmarks/bench_order.py). The
statements are still written with SQLAlchemy and run through it on other databases.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import BindParameter, Connection, Executable, bindparam
from sqlalchemy.dialects.sqlite.base import SQLiteDialect

Values = Mapping[str, Any]
"""What a row holds, or what a statement's parameters are, by name."""

_NONE: Final[Values] = MappingProxyType({})
# The driver can look named values up; the statement then needs no order of its own.
_DIALECT: Final = SQLiteDialect(paramstyle="named")


class Statement:
    """One statement with named parameters, for the transaction of any connection.

    Values come back as the driver gives them, so only integer, text and null columns may be read.
    """

    __slots__ = ("_clause", "_columns", "_fixed", "_text")

    def __init__(self, clause: Executable) -> None:
        """Take a statement whose parameters are all :func:`parameter` or constants."""
        self._clause = clause
        self._text = ""
        self._fixed: Values = _NONE
        self._columns: Sequence[str] = ()

    def rows(self, connection: Connection, values: Values = _NONE) -> list[Values]:
        """Return every row of a SELECT, by the names of its columns."""
        if connection.dialect.name != "sqlite":
            return [dict(row) for row in connection.execute(self._clause, values).mappings()]
        cursor = self._run(connection, values)
        return [dict(zip(self._columns, row, strict=True)) for row in cursor.fetchall()]

    def change(self, connection: Connection, values: Values) -> int:
        """Run an INSERT or UPDATE; return how many rows it changed."""
        if connection.dialect.name != "sqlite":
            return connection.execute(self._clause, values).rowcount
        return int(self._run(connection, values).rowcount)

    def _run(self, connection: Connection, values: Values) -> Any:
        if not self._text:
            self._compile()
        cursor = connection.connection.cursor()
        cursor.execute(self._text, {**self._fixed, **values})
        return cursor

    def _compile(self) -> None:
        compiled: Any = self._clause.compile(  # type: ignore[attr-defined]
            dialect=_DIALECT, compile_kwargs={"render_postcompile": True}
        )
        # Only constants have values yet; a parameter without one is an error when it runs.
        self._fixed = {name: value for name, value in compiled.params.items() if value is not None}
        self._columns = tuple(getattr(self._clause, "selected_columns", _NONE).keys())
        self._text = compiled.string


def parameter(name: str) -> BindParameter[Any]:
    """Return a parameter whose value comes when the statement runs."""
    return bindparam(name, required=False)


def parameters(names: Iterable[str]) -> dict[str, BindParameter[Any]]:
    """Return one parameter for each column name, for ``values()``."""
    return {name: parameter(name) for name in names}
