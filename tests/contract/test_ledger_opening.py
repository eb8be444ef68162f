"""Opening a ledger: made once, remembered, and never replaced by a fresh one."""

import os
import resource
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from polybot.adapters.storage.engine import Database
from polybot.adapters.storage.ledger import open_ledger
from polybot.adapters.storage.migrate import HEAD, parse_location
from polybot.domain.modes import Mode
from polybot.errors import ConfigurationError, PermanentError, TransientError
from polybot.sqlite_driver import may_use_wal, sqlite_module
from tests.builders import NOW
from tests.children import outcome_in_child


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a paper ledger with 100 USDC in it, closed."""
    path = tmp_path / "home" / "paper.db"
    with open_ledger(path, mode=Mode.PAPER) as ledger:
        ledger.deposit(Decimal(100), reference="start", at=NOW)
    return path


def cash_in(path: Path) -> Decimal:
    """Return the cash of a paper ledger."""
    with open_ledger(path, mode=Mode.PAPER) as ledger:
        return ledger.totals(at=NOW).cash_usdc


def test_new_ledger_is_private(file: Path) -> None:
    """Nobody else on the machine reads what is traded."""
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert [path.name for path in file.parent.iterdir()] == ["paper.db"]


def test_journal_files_are_private_too(file: Path) -> None:
    """The write-ahead log holds the same secrets."""
    with open_ledger(file, mode=Mode.PAPER) as ledger:
        ledger.deposit(Decimal(1), reference="x", at=NOW)
        modes = {stat.S_IMODE(path.stat().st_mode) for path in file.parent.iterdir()}
    assert modes == {0o600}


@pytest.mark.parametrize("scheme", ["path", "url"])
def test_ledger_is_found_again(file: Path, scheme: str) -> None:
    """By path or as a SQLAlchemy URL."""
    location = file if scheme == "path" else f"sqlite:///{file}"
    with open_ledger(location, mode=Mode.PAPER) as ledger:
        assert ledger.totals(at=NOW).cash_usdc == 100


def test_ledger_of_another_mode_is_refused(file: Path) -> None:
    """Paper money is never traded live, nor the other way round."""
    with pytest.raises(ConfigurationError, match="belongs to paper mode"):
        open_ledger(file, mode=Mode.LIVE)
    assert cash_in(file) == 100


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda data: b"", "is empty"),
        (lambda data: b"not a database at all, but long enough to look like one " * 99, "ledger"),
        (lambda data: data[:5000], "is damaged"),
        (lambda data: data[:100] + os.urandom(len(data) - 100), "is damaged"),
    ],
    ids=["empty", "another file", "truncated", "garbled"],
)
def test_damaged_ledger_is_refused_and_kept(
    file: Path, damage: Callable[[bytes], bytes], sentence: str
) -> None:
    """One sentence, and the bytes stay as they are for whoever can read them."""
    damaged = damage(file.read_bytes())
    file.write_bytes(damaged)

    with pytest.raises(ConfigurationError, match=sentence) as caught:
        cash_in(file)

    assert "\n" not in str(caught.value)
    assert str(file) in str(caught.value)
    assert file.read_bytes() == damaged


def test_ledger_whose_journal_was_left_behind_is_not_begun_anew(file: Path) -> None:
    """A write-ahead log without its file is a lost file, not a new ledger."""
    file.rename(file.with_suffix(".away"))
    log = file.with_name("paper.db-wal")
    log.write_bytes(b"frames")

    with pytest.raises(ConfigurationError, match="is missing but its wal file"):
        open_ledger(file, mode=Mode.PAPER)
    assert not file.exists()
    assert log.read_bytes() == b"frames"


def test_newer_ledger_is_refused_and_kept(file: Path) -> None:
    """A program must not write a schema that it does not know."""
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(ConfigurationError, match="newer version"):
        open_ledger(file, mode=Mode.PAPER)

    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (HEAD,))
    connection.close()
    assert cash_in(file) == 100


def test_foreign_database_is_refused(tmp_path: Path) -> None:
    """No table is ever put into another program's file."""
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (id INTEGER)")
    connection.close()
    with pytest.raises(ConfigurationError, match="another program's"):
        open_ledger(path, mode=Mode.PAPER)


def test_folder_in_place_of_a_ledger_is_refused(tmp_path: Path) -> None:
    """The path names a folder."""
    with pytest.raises(ConfigurationError, match="is not a file"):
        open_ledger(tmp_path, mode=Mode.PAPER)


def test_home_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    """A file stands where the folder should be."""
    (tmp_path / "home").write_text("in the way")
    with pytest.raises(ConfigurationError, match="cannot be opened"):
        open_ledger(tmp_path / "home" / "paper.db", mode=Mode.PAPER)


@pytest.mark.parametrize(
    ("location", "sentence"),
    [("postgresql+nothing://u:s3cret@h/d", "no driver"), ("://s3cret", "cannot be read")],
)
def test_unusable_url_is_refused_without_its_password(location: str, sentence: str) -> None:
    """The sentence can be pasted into an issue."""
    with pytest.raises(ConfigurationError, match=sentence) as caught:
        open_ledger(location, mode=Mode.PAPER)
    assert "s3cret" not in str(caught.value)


def test_unreachable_server_is_transient_and_keeps_its_password(tmp_path: Path) -> None:
    """It may come back."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    with pytest.raises(TransientError, match="cannot be reached") as caught:
        open_ledger(f"postgresql+psycopg://u:s3cret@/d?host={tmp_path}", mode=Mode.PAPER)
    assert "s3cret" not in str(caught.value)


def test_read_only_ledger_is_refused(file: Path) -> None:
    """A user who may read but not write gets one sentence."""
    file.chmod(0o444)
    for folder in (file.parent, *file.parent.parents[:3]):
        if folder.stat().st_uid == os.geteuid():
            folder.chmod(folder.stat().st_mode | 0o055)

    def open_as_nobody() -> None:
        if os.geteuid() == 0:
            os.setgid(65534)
            os.setuid(65534)
        cash_in(file)

    said = outcome_in_child(open_as_nobody)

    assert said.startswith("ConfigurationError")
    assert "is read-only" in said
    file.chmod(0o600)
    assert cash_in(file) == 100


def test_write_to_a_ledger_that_became_read_only_is_refused(file: Path) -> None:
    """SQLite itself refuses: one sentence, nothing changed."""
    with open_ledger(file, mode=Mode.PAPER) as ledger:
        with ledger._database.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA query_only = ON")
        with pytest.raises(ConfigurationError, match="is read-only"):
            ledger.deposit(Decimal(1), reference="x", at=NOW)
    assert cash_in(file) == 100


def test_full_disk_is_permanent_and_loses_nothing(file: Path) -> None:
    """A quota on the file's pages: the step fails whole, later steps work again."""
    with open_ledger(file, mode=Mode.PAPER) as ledger:
        with ledger._database.engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        deposits = (
            ledger.deposit(Decimal(1), reference=f"{number}" * 30, at=NOW)
            for number in range(10_000)
        )
        booked: list[bool] = []
        with pytest.raises(PermanentError, match="disk is full"):
            booked.extend(deposits)
        assert ledger.totals(at=NOW).cash_usdc == 100 + len(booked)
    with open_ledger(file, mode=Mode.PAPER) as ledger:
        assert ledger.deposit(Decimal(1), reference="after", at=NOW)
        assert ledger.totals(at=NOW).cash_usdc == 101 + len(booked)
        assert ledger.violations() == ()


def test_file_size_limit_is_permanent_and_loses_nothing(file: Path) -> None:
    """The operating system refuses to let the files grow."""

    def grow() -> None:
        limit = file.stat().st_size + 8192
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        with open_ledger(file, mode=Mode.PAPER) as ledger:
            for number in range(10_000):
                ledger.deposit(Decimal(1), reference=f"{number}" * 30, at=NOW)

    said = outcome_in_child(grow)

    assert said.startswith("PermanentError: disk")
    with open_ledger(file, mode=Mode.PAPER) as ledger:
        rows = ledger.trade_log()
        assert ledger.totals(at=NOW).cash_usdc == sum(row.cash_change_usdc for row in rows) >= 100
        assert ledger.violations() == ()


def test_lock_beyond_the_time_out_is_transient(file: Path) -> None:
    """Another process writes for too long: try again."""
    with (
        open_ledger(file, mode=Mode.PAPER) as holder,
        open_ledger(file, mode=Mode.PAPER, busy_timeout_s=0.05) as waiter,
        holder._database.writing(),
    ):
        assert waiter.totals(at=NOW).cash_usdc == 100
        with pytest.raises(TransientError, match="stayed locked"):
            waiter.deposit(Decimal(1), reference="x", at=NOW)


def test_current_ledger_opens_without_alembic(file: Path) -> None:
    """Every flow run is a new process, and alembic costs half a second."""
    code = (
        "import sys; from pathlib import Path;"
        "from polybot.adapters.storage.ledger import open_ledger;"
        "from polybot.domain.modes import Mode;"
        "open_ledger(Path(sys.argv[1]), mode=Mode.PAPER).close();"
        "sys.exit('alembic' in sys.modules)"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code, file], cwd=root, timeout=60, check=False)
    assert done.returncode == 0


def test_connections_are_set_for_durability(file: Path) -> None:
    """Every connection, not only the first."""
    safe = "wal" if may_use_wal(sqlite_module().sqlite_version_info) else "delete"
    expected = {"synchronous": 2, "foreign_keys": 1, "busy_timeout": 7000, "journal_mode": safe}
    with (
        open_ledger(file, mode=Mode.PAPER, busy_timeout_s=7) as ledger,
        ledger._database.reading() as first,
        ledger._database.reading() as second,
    ):
        for connection in (first, second):
            assert expected == {
                name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in expected
            }


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ((3, 40, 1), False), ((3, 44, 5), False), ((3, 44, 6), True), ((3, 45, 9), False),
        ((3, 50, 6), False), ((3, 50, 7), True), ((3, 51, 2), False), ((3, 51, 3), True),
        ((3, 53, 4), True), ((4, 0, 0), True),
    ],
)  # fmt: skip
def test_wal_only_where_its_reset_is_fixed(version: tuple[int, int, int], expected: bool) -> None:
    """The fix went into three series."""
    assert may_use_wal(version) is expected


def test_old_library_uses_the_rollback_journal(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a newer program had left the file in WAL mode."""
    monkeypatch.setattr("polybot.adapters.storage.engine.sqlite_module", lambda: sqlite3)
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 40, 1))
    with open_ledger(file, mode=Mode.PAPER) as ledger:
        ledger.deposit(Decimal(1), reference="x", at=NOW)
        with ledger._database.reading() as connection:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "delete"
        assert ledger.totals(at=NOW).cash_usdc == 101


def test_old_library_refuses_a_file_that_others_write_ahead(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two libraries on one write-ahead log, one of them with the defect: not with money."""
    with open_ledger(file, mode=Mode.PAPER) as ledger:
        ledger.deposit(Decimal(1), reference="x", at=NOW)
        monkeypatch.setattr("polybot.adapters.storage.engine.may_use_wal", lambda _version: False)
        with pytest.raises((ConfigurationError, TransientError)):
            open_ledger(file, mode=Mode.PAPER, busy_timeout_s=0.05)


def test_ledger_in_memory_works(tmp_path: Path) -> None:
    """For a try that leaves nothing behind."""
    with open_ledger("sqlite://", mode=Mode.SANDBOX) as ledger:
        assert ledger.deposit(Decimal(5), reference="start", at=NOW)
        assert ledger.totals(at=NOW).cash_usdc == 5
    assert list(tmp_path.iterdir()) == []


def test_database_is_named_without_its_password() -> None:
    """In every sentence."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    url = parse_location("postgresql+psycopg://u:s3cret@h/d")
    database = Database(url, busy_timeout_s=1)
    assert "s3cret" not in database.where
    database.dispose()
