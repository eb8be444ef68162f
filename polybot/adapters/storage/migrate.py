"""Bring a ledger to the current schema when it is opened, and never put a fresh one over it.

A new SQLite ledger is built complete under a temporary name and then linked to its own name in
one step, so a file that exists is a whole ledger or a damaged one. Later versions change it in
one transaction.
"""

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import URL, Connection, insert, inspect, select, text
from sqlalchemy.engine import make_url

from polybot.adapters.storage.engine import Database, sqlite_path
from polybot.adapters.storage.faults import translated_errors
from polybot.adapters.storage.file_systems import refuse_network_file_system
from polybot.adapters.storage.tables import ACCOUNT
from polybot.domain.modes import Mode, TradingState
from polybot.errors import ConfigurationError

if TYPE_CHECKING:
    from alembic.config import Config

# The newest revision, repeated here because importing alembic costs half a second per flow run;
# a test compares it with the scripts.
HEAD: Final = "0005"
# Any constant will do, as long as every process takes the same one.
_POSTGRES_LOCK: Final = 7_206_114_990


def parse_location(location: str | Path) -> URL:
    """Return the SQLAlchemy URL of a file path or URL text.

    Raises:
        ConfigurationError: The text has ``://`` but is no URL.
    """
    if isinstance(location, str) and "://" in location:
        try:
            return make_url(location)
        except Exception as error:
            # The text may hold a password, so neither it nor the cause is shown.
            raise ConfigurationError("the ledger's database URL cannot be read") from error
    return URL.create("sqlite+pysqlite", database=str(Path(location).expanduser().absolute()))


def open_database(location: str | Path, *, mode: Mode, busy_timeout_s: float) -> Database:
    """Open a ledger of one mode, creating or migrating it where needed.

    Raises:
        ConfigurationError: Damaged, read-only, of another mode, or written by a newer version.
        TransientError: Locked by another process for too long, or not reachable.
        PermanentError: The disk is full or fails.
    """
    url = parse_location(location)
    path = sqlite_path(url)
    if path is not None:
        _ensure_file(url, path, mode=mode, busy_timeout_s=busy_timeout_s)
    database = _database(url, busy_timeout_s)
    try:
        if database.is_sqlite:
            database.use_safe_journal()
        prepare(database, mode=mode)
    except BaseException:
        database.dispose()
        raise
    return database


def prepare(database: Database, *, mode: Mode) -> None:
    """Migrate to the newest schema and check that the ledger is of ``mode``."""
    with database.reading() as connection:
        stored = _stored_mode(connection) if _is_current(connection, database.where) else None
    if stored is None:
        with database.writing_unlocked() as connection:
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_POSTGRES_LOCK})")
            if not _is_current(connection, database.where):
                _upgrade(connection, database.where)
            stored = _stored_mode(connection)
            if stored is None:
                _insert_account(connection, mode)
                stored = mode
    if stored != mode:
        raise ConfigurationError(
            f"ledger {database.where} belongs to {stored} mode and cannot be opened in {mode} mode"
        )


def alembic_config(connection: Connection | None = None) -> "Config":
    """Return alembic's configuration for the migrations of this package."""
    from alembic.config import Config  # noqa: PLC0415 - heavy, and rarely needed

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def _database(url: URL, busy_timeout_s: float) -> Database:
    try:
        return Database(url, busy_timeout_s=busy_timeout_s)
    except Exception as error:
        name = url.get_backend_name()
        raise ConfigurationError(f"no driver for a ledger on {name!r} is installed") from error


def _ensure_file(url: URL, path: Path, *, mode: Mode, busy_timeout_s: float) -> None:
    where = str(path)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        refuse_network_file_system(path)
        if path.exists():
            _check_file(path)
            return
        for suffix in ("-wal", "-journal"):
            if Path(f"{where}{suffix}").exists():
                raise ConfigurationError(
                    f"ledger {where} is missing but its {suffix[1:]} file is there; "
                    "restore the ledger from a backup, or move that file away"
                )
        _create_file(url, path, mode=mode, busy_timeout_s=busy_timeout_s)
    except OSError as error:
        raise ConfigurationError(
            f"ledger {where} cannot be opened: {error.strerror or error}"
        ) from error


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise ConfigurationError(f"ledger {path} is not a file")
    if path.stat().st_size == 0:
        raise ConfigurationError(
            f"ledger {path} is empty, so its history is lost; restore a backup, or remove it"
        )
    if not os.access(path, os.R_OK | os.W_OK) or not os.access(path.parent, os.W_OK | os.X_OK):
        raise ConfigurationError(
            f"ledger {path} is read-only; make the file and its folder writable for this user"
        )


def _create_file(url: URL, path: Path, *, mode: Mode, busy_timeout_s: float) -> None:
    # mkstemp gives mode 0600, which SQLite carries over to its journal files.
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".new", dir=path.parent)
    os.close(handle)
    database = _database(url.set(database=name), busy_timeout_s)
    try:
        try:
            prepare(database, mode=mode)
        finally:
            database.dispose()
        try:
            os.link(name, path)
        except FileExistsError:
            # Another process was first: its ledger is the ledger.
            return
        _sync_folder(path.parent)
    finally:
        for suffix in ("", "-wal", "-journal", "-shm"):
            Path(f"{name}{suffix}").unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    # Without this, a power cut can take the new name away again.
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _is_current(connection: Connection, where: str) -> bool:
    if not inspect(connection).has_table("alembic_version"):
        if inspect(connection).get_table_names():
            raise ConfigurationError(f"ledger {where} is another program's database")
        return False
    revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return bool(revision == HEAD)


def _stored_mode(connection: Connection) -> str | None:
    return connection.execute(select(ACCOUNT.c.mode)).scalar()


def _upgrade(connection: Connection, where: str) -> None:
    from alembic import command  # noqa: PLC0415 - heavy, and rarely needed
    from alembic.script import ScriptDirectory  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    config = alembic_config(connection)
    if inspect(connection).has_table("alembic_version"):
        revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        if revision is not None and revision not in known:
            raise ConfigurationError(
                f"ledger {where} was written by a newer version (schema {revision!s:.40}); "
                "update this program, or use the version that wrote it"
            )
    try:
        with translated_errors(where):
            command.upgrade(config, HEAD)
    except CommandError as error:
        raise ConfigurationError(f"ledger {where} cannot be migrated: {error}") from error


def _insert_account(connection: Connection, mode: Mode) -> None:
    zeros = dict.fromkeys(
        ("cash", "reserved", "position_cost", "position_value", "realised", "fees", "deposits"), 0
    )
    connection.execute(
        insert(ACCOUNT),
        dict(id=1, mode=mode, high_water=0, day=None, trading_state=TradingState.ACTIVE, **zeros),
    )
