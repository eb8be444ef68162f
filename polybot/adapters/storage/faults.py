"""Turn what a database driver raises into one clear sentence of our own error tree."""

import contextlib
import sqlite3
from collections.abc import Iterator
from typing import Final

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from polybot.errors import ConfigurationError, PermanentError, PolybotError, TransientError
from polybot.sqlite_driver import sqlite_module

# Primary result codes of SQLite; the extended code carries them in its lowest byte.
# Source: sqlite.org/rescode.html (2026-11-22).
_PERM, _BUSY, _LOCKED, _READONLY, _IOERR, _CORRUPT, _FULL, _CANTOPEN, _NOTADB = (
    3, 5, 6, 8, 10, 11, 13, 14, 26,
)  # fmt: skip
_MESSAGES: Final = {
    _PERM: "may not be accessed",
    _READONLY: "is read-only; make the file and its folder writable for this user",
    _CANTOPEN: "cannot be opened; check that its folder exists and may be written",
    _CORRUPT: "is damaged; stop the bot, keep the file and restore a backup",
    _NOTADB: "is not a ledger, or is damaged; keep the file and restore a backup",
}
# SQLSTATE classes and codes of PostgreSQL.
# Source: postgresql.org/docs/current/errcodes-appendix.html (2026-11-22).
_TRANSIENT_STATES: Final = ("08", "40", "53300", "55P03", "57P0", "57014")
_CONFIGURATION_STATES: Final = ("28", "3D", "42501", "25006")


@contextlib.contextmanager
def translated_errors(where: str) -> Iterator[None]:
    """Raise our errors for what the database raises inside the block.

    Args:
        where: The ledger's name for people; never its password.

    Raises:
        TransientError: Locked beyond the busy time-out, or the connection was lost.
        ConfigurationError: Damaged, read-only, not a ledger, or access refused.
        PermanentError: Disk full, input/output error, or anything else that stays.
    """
    try:
        yield
    except PoolTimeoutError as error:
        raise TransientError(f"ledger {where} has no free connection") from error
    except DBAPIError as error:
        raise _translation_of(
            error.orig, where, is_connection_lost=error.connection_invalidated
        ) from error
    except (sqlite_module().Error, sqlite3.Error) as error:
        # SQLAlchemy does not wrap what is raised while a new connection is set up.
        raise _translation_of(error, where, is_connection_lost=False) from error
    except SQLAlchemyError as error:
        raise PermanentError(f"ledger {where} failed: {_first_line(error)}") from error


def _translation_of(
    original: BaseException | None, where: str, *, is_connection_lost: bool
) -> PolybotError:
    code = getattr(original, "sqlite_errorcode", None)
    if isinstance(code, int):
        return _sqlite_translation(code & 0xFF, where, _first_line(original))
    state = str(getattr(original, "sqlstate", None) or getattr(original, "pgcode", None) or "")
    detail = _first_line(original)
    if state.startswith(_CONFIGURATION_STATES):
        return ConfigurationError(f"ledger {where} refused access: {detail}")
    if is_connection_lost or state.startswith(_TRANSIENT_STATES):
        return TransientError(f"ledger {where} did not answer: {detail}")
    if not state and "connection" in detail.lower():
        return TransientError(f"ledger {where} cannot be reached: {detail}")
    return PermanentError(f"ledger {where} failed, nothing of this step was recorded: {detail}")


def _sqlite_translation(code: int, where: str, detail: str) -> PolybotError:
    if code in (_BUSY, _LOCKED):
        return TransientError(f"ledger {where} stayed locked by another process")
    if code == _FULL:
        return PermanentError(
            f"disk is full: nothing of this step was recorded in ledger {where}; free some space"
        )
    if code == _IOERR:
        return PermanentError(
            f"disk failed or is full: nothing of this step was recorded in ledger {where}: {detail}"
        )
    if code in _MESSAGES:
        return ConfigurationError(f"ledger {where} {_MESSAGES[code]}")
    return PermanentError(f"ledger {where} failed, nothing of this step was recorded: {detail}")


def _first_line(error: BaseException | None) -> str:
    lines = str(error).splitlines()
    return lines[0][:200] if lines else type(error).__name__
