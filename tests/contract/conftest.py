"""What contracts run against: ledgers in SQLite and a throw-away PostgreSQL, a scripted server."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import pytest

from polybot.adapters.storage.ledger import SqlLedger, open_ledger
from polybot.domain.modes import Mode
from tests.builders import NOW
from tests.scripted_server import ScriptedServer, scripted_server

OpenLedger = Callable[[], SqlLedger]


def _postgres_folder() -> Path | None:
    """Return the newest installed PostgreSQL's folder of programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    if found:
        return found[0].parent
    on_path = shutil.which("initdb")
    return None if on_path is None else Path(on_path).resolve().parent


@pytest.fixture(scope="session")
def postgres_socket() -> Iterator[Path]:
    """Start a PostgreSQL of our own on a socket in a temporary folder; skip where none is."""
    programs = _postgres_folder()
    if programs is None:
        pytest.skip("no PostgreSQL server is installed on this machine")
    # The server refuses to run as root.
    user = "nobody" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="polybot-pg-"))
    if user is not None:
        account = pwd.getpwnam(user)
        os.chown(folder, account.pw_uid, account.pw_gid)
    data = folder / "data"
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        subprocess.run(
            [programs / "initdb", "-D", data, "-U", "polybot", "-A", "trust", "--no-sync"],
            user=user, cwd=folder, check=True, capture_output=True, timeout=120,
        )  # fmt: skip
        control = [programs / "pg_ctl", "-D", data, "-w", "-t", "60"]
        options = (
            f"-c listen_addresses='' -c unix_socket_directories={folder}"
            " -c max_connections=40 -c fsync=off"
        )
        subprocess.run(
            [*control, "-l", folder / "log", "-o", options, "start"],
            user=user, cwd=folder, check=True, timeout=90, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        stack.callback(
            subprocess.run,
            [*control, "-m", "immediate", "stop"],
            user=user, cwd=folder, check=True, timeout=90, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        yield folder


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_location(request: pytest.FixtureRequest, tmp_path: Path) -> str | Path:
    """Return where a new ledger can be made: a file, or a new PostgreSQL schema."""
    if request.param == "sqlite":
        return tmp_path / "home" / "paper.db"
    socket: Path = request.getfixturevalue("postgres_socket")
    psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")
    # A schema each: a database each would be thousands of files to take away afterwards.
    name = f"ledger_{uuid4().hex}"
    with psycopg.connect(host=str(socket), user="polybot", dbname="postgres", autocommit=True) as c:
        c.execute(f"CREATE SCHEMA {name}")
    options = quote(f"-c search_path={name}")
    return f"postgresql+psycopg://polybot@/postgres?host={socket}&options={options}"


@pytest.fixture
def reopen(ledger_location: str | Path) -> Iterator[OpenLedger]:
    """Return a way to open the same ledger again, as another process would."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(open_ledger(ledger_location, mode=Mode.PAPER))


@pytest.fixture
def ledger(reopen: OpenLedger) -> SqlLedger:
    """Return a new, empty paper ledger."""
    return reopen()


@pytest.fixture
def rich(ledger: SqlLedger) -> SqlLedger:
    """Return a ledger with 1000 USDC."""
    ledger.deposit(Decimal(1000), reference="start", at=NOW - timedelta(days=1))
    return ledger


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    """Serve what the test writes, on loopback."""
    async with scripted_server() as running:
        yield running
