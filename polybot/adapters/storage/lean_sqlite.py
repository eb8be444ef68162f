"""Transactions on SQLite without SQLAlchemy: for the path of an order.

SQLAlchemy's connection, transaction and statements take about as long as the disk takes to make a
commit durable. Here a connection stays open, the driver keeps the prepared statements, and a
transaction is ``BEGIN IMMEDIATE`` and ``COMMIT``. The connections are set up by the engine like
all others, leave its pool for good, and serve one transaction at a time each.
"""

import contextlib
import os
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, TypeVar, cast

from sqlalchemy import Engine, PoolProxiedConnection

from polybot.adapters.storage.faults import translated_errors
from polybot.adapters.storage.statements import (
    NO_VALUES,
    Backlog,
    Row,
    Statement,
    Values,
    compile_all,
)
from polybot.errors import PermanentError
from polybot.sqlite_driver import sqlite_module

_T = TypeVar("_T")

# A write-ahead log that is short is written over again and again, and making that durable takes
# half as long as making a growing file durable. Sixteen orders make about 300 pages.
_CHECKPOINT_EVERY: Final = 16


class LeanTransaction:
    """One transaction of a connection; see ``Transaction``."""

    __slots__ = ("_execute",)

    def __init__(self, execute: Callable[..., Any]) -> None:
        """Run by a cursor's method, on a connection that is in a transaction."""
        self._execute = execute

    def rows(self, statement: Statement, values: Values = NO_VALUES) -> list[Row]:
        """Return every row of a SELECT, or of a change with RETURNING."""
        cursor = self._execute(statement.text, statement.arguments_of(values))
        found: list[Row] = cursor.fetchall()
        return found

    def change(self, statement: Statement, values: Values) -> int:
        """Run an INSERT or UPDATE; return how many rows it changed."""
        return int(self._execute(statement.text, statement.arguments_of(values)).rowcount)

    def commit(self) -> None:
        """Make everything durable."""
        # Not by the driver's own method, which has SQLite parse the word each time.
        self._execute("COMMIT")

    def roll_back(self) -> None:
        """Take everything back."""
        self._execute("ROLLBACK")


class LeanConnections:
    """Open connections between transactions; any thread may take one."""

    def __init__(self, engine: Engine, *, where: str) -> None:
        """Compile what they will run; open nothing yet.

        Args:
            engine: Opens and sets up connections to a SQLite file.
            where: The ledger's name for people.
        """
        compile_all()
        self.where = where
        self._engine = engine
        self._idle: deque[_Opened] = deque()
        self._inherited: list[_Opened] = []
        self._written = 0
        self.backlog: Backlog | None = None
        """Booked before anything else is read or written; ``None`` until the schema is there."""

    def reading(self) -> "LeanScope":
        """See one snapshot."""
        return _ReadingScope(self, "BEGIN")

    def sending(self) -> "LeanScope":
        """Write what a request to the venue waits for: nothing else is done on the way."""
        return LeanScope(self, "BEGIN IMMEDIATE")

    def writing(self) -> "LeanScope":
        """Write, and carry the write-ahead log over to the database every now and then."""
        return _WritingScope(self, "BEGIN IMMEDIATE")

    def take(self) -> "_Opened":
        """Return a connection that nobody uses."""
        return self._idle_one() or _Opened(self._engine.raw_connection())

    def give_back(self, opened: "_Opened") -> None:
        """Keep a connection for the next transaction."""
        self._idle.append(opened)

    def checkpoint_now_and_then(self) -> None:
        """Keep the write-ahead log short; between orders, never before one."""
        self._written += 1
        if self._written % _CHECKPOINT_EVERY:
            return
        opened = self.take()
        # What was written is durable already: whatever fails here, the next transaction will tell.
        with contextlib.suppress(sqlite_module().Error):
            opened.driver.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        self.give_back(opened)

    def close(self) -> None:
        """Close every connection that is idle."""
        while (opened := self._idle_one()) is not None:
            opened.close()

    def _idle_one(self) -> "_Opened | None":
        while True:
            try:
                opened = self._idle.pop()
            except IndexError:
                return None
            if opened.process == os.getpid():
                return opened
            # SQLite forbids to use or close in a child process what its parent has opened.
            self._inherited.append(opened)


class LeanScope:
    """The block of one transaction: commits at its end, rolls back where it raises.

    Raises:
        As ``translated_errors``.
    """

    __slots__ = ("_begin", "_connections", "_opened", "_transaction")

    _opened: "_Opened | None"

    def __init__(self, connections: LeanConnections, begin: str) -> None:
        """Prepare a block; nothing begins yet."""
        self._connections = connections
        self._begin = begin
        self._opened = None

    def __enter__(self) -> LeanTransaction:
        try:
            self._opened = opened = self._connections.take()
            opened.execute(self._begin)
            self._transaction = LeanTransaction(opened.execute)
        except BaseException as error:
            self._abandon(error)
            raise
        return self._transaction

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._abandon(error)
            return
        try:
            self._end(self._transaction)
        except BaseException as failure:
            self._abandon(failure)
            raise
        if self._opened is not None:
            self._connections.give_back(self._opened)

    def _end(self, transaction: LeanTransaction) -> None:
        transaction.commit()

    def _first(self, step: Callable[[LeanTransaction], _T]) -> _T:
        """Do something before the block itself; where it fails the block has failed."""
        try:
            return step(self._transaction)
        except BaseException as error:
            self._abandon(error)
            raise

    def _abandon(self, error: BaseException) -> None:
        # Closing rolls back; a connection on which something failed is not trusted again.
        if self._opened is not None:
            self._opened.close()
        with translated_errors(self._connections.where):
            raise error


class _ReadingScope(LeanScope):
    __slots__ = ("_is_unwritten",)

    def __enter__(self) -> LeanTransaction:
        backlog = self._connections.backlog
        self._is_unwritten = False
        while True:
            transaction = super().__enter__()
            if backlog is None or not self._first(backlog.waits):
                return transaction
            self.__exit__(None, None, None)
            try:
                with self._connections.writing():
                    """What waits is booked at its beginning."""
            except PermanentError:
                break
        # The disk is full or fails: what waits is seen as booked, and stays as it is.
        self._is_unwritten, self._begin = True, "BEGIN IMMEDIATE"
        transaction = super().__enter__()
        self._first(backlog.clear)
        return transaction

    def _end(self, transaction: LeanTransaction) -> None:
        if self._is_unwritten:
            transaction.roll_back()
        else:
            super()._end(transaction)


class _WritingScope(LeanScope):
    __slots__ = ()

    def __enter__(self) -> LeanTransaction:
        transaction = super().__enter__()
        backlog = self._connections.backlog
        if backlog is not None:
            self._first(backlog.clear)
        return transaction

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, trace)
        self._connections.checkpoint_now_and_then()


class _Opened:
    """A connection that has left the pool."""

    __slots__ = ("_proxy", "driver", "execute", "process")

    def __init__(self, proxy: PoolProxiedConnection) -> None:
        proxy.detach()
        # The proxy closes the connection when it goes away.
        self._proxy = proxy
        self.driver = cast("Any", proxy.dbapi_connection)
        self.driver.execute("PRAGMA wal_autocheckpoint=0")
        self.execute = self.driver.cursor().execute
        self.process = os.getpid()

    def close(self) -> None:
        self._proxy.close()
