"""Connections and transactions: one way to read, one way to write, and a short way for orders.

Writers are serialised: SQLite by ``BEGIN IMMEDIATE``, other databases by a row lock on the
``account`` row at the transaction's start. Whatever a write transaction reads is therefore still
true when it commits, with any number of processes. Readers see one consistent snapshot.

Intents that are durable and not booked yet are booked before anything else is read or written, so
the rest of the ledger never meets one (``Backlog``).

Source: sqlite.org/lang_transaction.html and
postgresql.org/docs/current/transaction-iso.html (2026-11-22).
"""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, select

from polybot.adapters.storage.faults import translated_errors
from polybot.adapters.storage.lean_sqlite import LeanConnections
from polybot.adapters.storage.statements import Backlog, SqlTransaction, Transaction
from polybot.adapters.storage.tables import ACCOUNT
from polybot.errors import PermanentError
from polybot.sqlite_driver import may_use_wal, sqlite_module

_WRITES: Final = "polybot_writes"


class Database:
    """An engine with the two transactions that the ledger knows."""

    def __init__(self, url: URL, *, busy_timeout_s: float) -> None:
        """Prepare connections; nothing is opened yet.

        Args:
            url: SQLAlchemy URL.
            busy_timeout_s: How long a writer waits for another before ``TransientError`` [s].
        """
        self.url = url
        self.where = _name_for_people(url)
        self._timeout_ms = int(busy_timeout_s * 1000)
        self._backlog: Backlog | None = None
        self.is_sqlite = url.get_backend_name() == "sqlite"
        self.engine = self._sqlite_engine() if self.is_sqlite else create_engine(url)
        self._reader, self._writer = self._reader_and_writer()
        # A second connection to a database in memory would be a second database.
        self._lean = None if sqlite_path(url) is None else self._lean_connections()

    def _lean_connections(self) -> LeanConnections:
        return LeanConnections(self.engine, where=self.where)

    def keep_booked(self, backlog: Backlog) -> None:
        """Book what waits at the beginning of every transaction; once the schema is there."""
        self._backlog = backlog
        if self._lean is not None:
            self._lean.backlog = backlog

    def _sqlite_engine(self) -> Engine:
        module = sqlite_module()
        engine = create_engine(self.url, module=module)
        timeout_ms = self._timeout_ms

        def on_connect(connection: Any, _record: object) -> None:
            # The driver must not begin transactions by itself: it would begin deferred ones.
            connection.isolation_level = None
            for pragma in (
                # For a new file alone: a commit writes whole pages, and an order changes little in
                # each; smaller ones made a commit a tenth faster, those of 1024 no more.
                "page_size=2048",
                f"busy_timeout={timeout_ms}",
                "synchronous=FULL",
                "foreign_keys=ON",
                "trusted_schema=OFF",
            ):
                connection.execute(f"PRAGMA {pragma}")

        def on_begin(connection: Connection) -> None:
            writes = connection.get_execution_options().get(_WRITES, False)
            # By the driver: SQLAlchemy would take several times as long as SQLite.
            connection.connection.cursor().execute("BEGIN IMMEDIATE" if writes else "BEGIN")

        event.listen(engine, "connect", on_connect)
        event.listen(engine, "begin", on_begin)
        return engine

    def _reader_and_writer(self) -> tuple[Engine, Engine]:
        if self.is_sqlite:
            return self.engine, self.engine.execution_options(**{_WRITES: True})
        return (
            self.engine.execution_options(isolation_level="REPEATABLE READ"),
            # The row lock serialises writers; each statement after it sees what they committed.
            self.engine.execution_options(isolation_level="READ COMMITTED"),
        )

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction that sees one snapshot and changes nothing."""
        while True:
            with translated_errors(self.where), self._reader.begin() as connection:
                if self._backlog is None or not self._backlog.waits(SqlTransaction(connection)):
                    yield connection
                    return
            try:
                with self.writing():
                    """What waits is booked at its beginning."""
            except PermanentError:
                break
        # The disk is full or fails: what waits is seen as booked, and stays as it is.
        with self._writing(durably=False) as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a transaction that no other writer runs beside; commit durably at the end."""
        with self._writing(durably=True) as connection:
            yield connection

    @contextlib.contextmanager
    def _writing(self, *, durably: bool) -> Iterator[Connection]:
        with self.writing_unlocked() as connection:
            if not self.is_sqlite:
                connection.execute(select(ACCOUNT.c.id).with_for_update())
            if self._backlog is not None:
                self._backlog.clear(SqlTransaction(connection))
            yield connection
            if not durably:
                connection.rollback()

    @contextlib.contextmanager
    def writing_unlocked(self) -> Iterator[Connection]:
        """Open a write transaction before the account row exists (migrations)."""
        with translated_errors(self.where), self._writer.begin() as connection:
            if self.url.get_backend_name() == "postgresql":
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = {self._timeout_ms}")
            yield connection

    # The order path ------------------------------------------------------------------------------
    def reading_lean(self) -> AbstractContextManager[Transaction]:
        """As :meth:`reading`, for prepared statements alone."""
        return _through(self.reading) if self._lean is None else self._lean.reading()

    def writing_lean(self) -> AbstractContextManager[Transaction]:
        """As :meth:`writing`, for prepared statements alone."""
        return _through(self.writing) if self._lean is None else self._lean.writing()

    def writing_before_sending(self) -> AbstractContextManager[Transaction]:
        """As :meth:`writing_lean`, where a request to the venue waits for the commit.

        What waits may not be booked yet: whoever looks before it writes sees to that.
        """
        return _through(self.writing) if self._lean is None else self._lean.sending()

    def use_safe_journal(self) -> None:
        """Choose WAL where the linked SQLite is fixed, else the rollback journal."""
        version: tuple[int, int, int] = sqlite_module().sqlite_version_info
        wanted = "wal" if may_use_wal(version) else "delete"
        with translated_errors(self.where), self._autocommit() as cursor:
            if cursor.execute("PRAGMA journal_mode").fetchone()[0] not in (wanted, "memory"):
                cursor.execute(f"PRAGMA journal_mode={wanted}")

    @contextlib.contextmanager
    def _autocommit(self) -> Iterator[Any]:
        # Journal modes cannot change inside a transaction, and SQLAlchemy always opens one.
        connection = self.engine.raw_connection()
        try:
            cursor = connection.cursor()
            yield cursor
            cursor.close()
        finally:
            connection.close()

    def dispose(self) -> None:
        """Close every connection."""
        if self._lean is not None:
            self._lean.close()
        self.engine.dispose()


@contextlib.contextmanager
def _through(begin: Callable[[], AbstractContextManager[Connection]]) -> Iterator[Transaction]:
    with begin() as connection:
        yield SqlTransaction(connection)


def sqlite_path(url: URL) -> Path | None:
    """Return the file of a SQLite URL; ``None`` for other databases and for memory."""
    is_file = url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:")
    if not is_file or str(url.database).startswith("file:"):
        return None
    return Path(str(url.database))


def _name_for_people(url: URL) -> str:
    path = sqlite_path(url)
    return str(path) if path is not None else url.render_as_string(hide_password=True)
