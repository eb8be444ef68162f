"""Statements of the order path: compiled once, run the shortest way that a database offers.

Before an order may leave, a dozen statements run. Putting one together and running it through
SQLAlchemy takes 20 to 90 µs, SQLite itself takes 2 to 5 µs (benchmarks/bench_order.py). So the
statements are written with SQLAlchemy, and a transaction runs them in one of two ways:
:class:`SqlTransaction` through SQLAlchemy, on any database, and
:class:`~polybot.adapters.storage.lean_sqlite.LeanTransaction` by SQLite's own driver. The code
above knows neither.
"""

from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from types import MappingProxyType
from typing import Any, Final, Protocol

from sqlalchemy import BindParameter, ColumnElement, Connection, Executable, bindparam, or_
from sqlalchemy.dialects.sqlite.base import SQLiteDialect

Row = tuple[Any, ...]
Values = Mapping[str, Any]
"""What a row holds, or what a statement's parameters are, by name."""

NO_VALUES: Final[Values] = MappingProxyType({})
_DIALECT: Final = SQLiteDialect(paramstyle="qmark")
_ALL: Final[list["Statement"]] = []


class Statement:
    """One statement with named parameters, for the transaction of any connection.

    Values come back as the driver gives them, so only integer, text and null columns may be read;
    a boolean comes back as 0 or 1.
    """

    __slots__ = ("arguments_of", "clause", "columns", "text")

    def __init__(self, clause: Executable) -> None:
        """Take a statement whose parameters are all :func:`parameter` or constants."""
        self.clause = clause
        self.columns: tuple[str, ...] = tuple(getattr(clause, "selected_columns", NO_VALUES).keys())
        """Names of what a row of a SELECT holds, in its order."""
        self.text = ""
        """SQLite's text; empty until :meth:`compile`."""
        self.arguments_of: Callable[[Values], Row] = _nothing
        _ALL.append(self)

    def compile(self) -> None:
        """Make SQLite's text, and what puts named values into the text's order."""
        compiled: Any = self.clause.compile(  # type: ignore[attr-defined]
            dialect=_DIALECT, compile_kwargs={"render_postcompile": True}
        )
        names = tuple(compiled.positiontup)
        # Only constants have values yet; a parameter without one is an error when it runs.
        fixed = {name: value for name, value in compiled.params.items() if value is not None}
        self.arguments_of = _picker(names, fixed)
        self.text = compiled.string

    def named(self, row: Row) -> dict[str, Any]:
        """Return a row of this SELECT by the names of its columns."""
        return dict(zip(self.columns, row, strict=True))

    def named_rows(
        self, transaction: "Transaction", values: Values = NO_VALUES
    ) -> list[dict[str, Any]]:
        """Run this SELECT and return every row by the names of its columns."""
        return [self.named(row) for row in transaction.rows(self, values)]


class Transaction(Protocol):
    """A transaction that runs statements of the order path."""

    def rows(self, statement: Statement, values: Values = NO_VALUES) -> list[Row]:
        """Return every row of a SELECT, or of a change with RETURNING."""
        ...

    def change(self, statement: Statement, values: Values) -> int:
        """Run an INSERT or UPDATE; return how many rows it changed."""
        ...


class Backlog(Protocol):
    """What is durable and not booked yet."""

    def waits(self, transaction: Transaction) -> bool:
        """Return whether there is anything."""
        ...

    def clear(self, transaction: Transaction) -> None:
        """Book all of it, in a transaction that writes."""
        ...


class SqlTransaction:
    """A transaction of a SQLAlchemy connection, on any database."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        """Run in the transaction that the connection is in."""
        self._connection = connection

    def rows(self, statement: Statement, values: Values = NO_VALUES) -> list[Row]:
        """Return every row of a SELECT, or of a change with RETURNING."""
        return [tuple(row) for row in self._connection.execute(statement.clause, values)]

    def change(self, statement: Statement, values: Values) -> int:
        """Run an INSERT or UPDATE; return how many rows it changed."""
        return self._connection.execute(statement.clause, values).rowcount


def every_statement() -> tuple[Statement, ...]:
    """Return the statements of all modules that are loaded."""
    return tuple(_ALL)


def compile_all() -> None:
    """Compile every statement, so that the first order of a process need not."""
    for statement in _ALL:
        if not statement.text:
            statement.compile()


def parameter(name: str) -> BindParameter[Any]:
    """Return a parameter whose value comes when the statement runs."""
    return bindparam(name, required=False)


def parameters(names: Iterable[str]) -> dict[str, BindParameter[Any]]:
    """Return one parameter for each column name, for ``values()``."""
    return {name: parameter(name) for name in names}


def constant(value: str) -> BindParameter[str]:
    """Return a constant that stands in the statement's text."""
    return bindparam(None, value, literal_execute=True)


def is_one_of(column: ColumnElement[str], values: Iterable[str]) -> ColumnElement[bool]:
    """Return whether a column is one of a few constants, in the words of a partial index.

    SQLite and PostgreSQL use such an index only where the query's text says that it covers it.
    Not ``IN``: of three values or more SQLite makes a temporary table, for every statement.
    """
    return or_(*(column == constant(value) for value in values))


def _picker(names: tuple[str, ...], fixed: Values) -> Callable[[Values], Row]:
    if not names:
        return _nothing
    if fixed:
        return lambda values: tuple(
            fixed[name] if name in fixed else values[name] for name in names
        )
    if len(names) == 1:
        (only,) = names
        return lambda values: (values[only],)
    return itemgetter(*names)


def _nothing(_values: Values) -> Row:
    return ()
