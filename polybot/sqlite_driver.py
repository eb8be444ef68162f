"""Which SQLite we run on, and what it may be trusted with.

One process must use one SQLite library: locks of a file are the process's, and a second library
that closes the same file releases the first one's. So whoever opens a ledger asks here.

Source: sqlite.org/howtocorrupt.html, section 2.2.1 (2026-11-22).
"""

from types import ModuleType


def sqlite_module() -> ModuleType:
    """Return the SQLite driver: the bundled current one, else the standard library's."""
    try:
        import pysqlite3.dbapi2 as bundled  # noqa: PLC0415 - optional where no wheel exists
    except ImportError:
        import sqlite3  # noqa: PLC0415

        return sqlite3
    return bundled  # type: ignore[no-any-return]


def may_use_wal(version: tuple[int, int, int]) -> bool:
    """Return whether a SQLite version has the fix of the WAL-reset defect.

    Source: sqlite.org/wal.html (2026-11-22): fixed in 3.51.3, and in 3.50.7 and 3.44.6.
    """
    fixed_patch = {(3, 50): 7, (3, 44): 6}.get((version[0], version[1]))
    if fixed_patch is not None:
        return version[2] >= fixed_patch
    return version >= (3, 51, 3)
