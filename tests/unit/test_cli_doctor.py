"""The doctor finds what is wrong, says how to mend it, and ends with 1."""

import json
import socket
import sqlite3
from pathlib import Path

import pytest

from polybot.cli.doctor import examine
from polybot.cli.doctor_local import exposure
from polybot.cli.doctor_venue import borders_finding, clock_finding
from polybot.cli.findings import Examination, Finding, Grade
from polybot.cli.session import Session
from polybot.domain.modes import Mode
from polybot.errors import DataError
from tests.cli_steps import empty_home, fill_sandbox_ledger, run, run_json


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return empty_home(tmp_path, monkeypatch)


@pytest.fixture
def traded(home: Path) -> Path:
    """The home of a sandbox ledger in which things happened."""
    fill_sandbox_ledger(home)
    return home


def test_doctor_finds_a_healthy_installation(traded: Path) -> None:
    """Every check passes on a ledger that our own code made."""
    document = run_json("--mode", "sandbox", "doctor", "--ledger", "--offline")
    assert document["healthy"] is True
    names = [check["name"] for check in document["checks"]]
    assert {"settings", "prefect", "sqlite", "ledger", "ledger audit", "venue"} <= set(names)
    assert "access to sandbox.db" in names


def test_doctor_finds_books_that_do_not_balance(traded: Path) -> None:
    """A total changed behind the ledger's back is found, told, and ends with 1."""
    with sqlite3.connect(traded / "sandbox.db") as connection:
        connection.execute("UPDATE account SET cash = cash + 1, realised = realised + 1")
    connection.close()
    healthy = run("--mode", "sandbox", "doctor", "--offline")
    assert healthy.exit_code == 0, "without --ledger the history is not read"
    result = run("--mode", "sandbox", "doctor", "--offline", "--ledger")
    assert result.exit_code == 1
    assert "FAIL ledger audit: " in result.stdout
    assert "1000.657001, history says 1000.657" in result.stdout


def test_doctor_finds_files_that_others_can_read(traded: Path) -> None:
    """Ledger and secrets are for their owner alone; the line says how to mend it."""
    (traded / "sandbox.db").chmod(0o644)
    Path(".env").write_text("")
    Path(".env").chmod(0o640)
    result = run("--mode", "sandbox", "doctor", "--offline")
    assert result.exit_code == 1
    assert "chmod 600 .polybot/sandbox.db" in result.stdout
    assert "chmod 600 .env" in result.stdout


def test_doctor_stops_at_settings_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else is checked with settings that are wrong."""
    monkeypatch.setenv("POLYBOT_MODE", "practice")
    result = run("doctor", "--json")
    assert result.exit_code == 1
    checks = json.loads(result.stdout)["checks"]
    assert [check["passed"] for check in checks] == [False]


def test_doctor_names_an_endpoint_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line for each endpoint, and what to run instead."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        for name in ("GAMMA", "CLOB", "DATA"):
            monkeypatch.setenv(f"POLYBOT_VENUE__{name}_URL", url)
        monkeypatch.setenv("POLYBOT_PRICES__BASE_URL", url)
        result = run("doctor")
    assert result.exit_code == 1
    # Three endpoints, the prices, and the market that would have been read from them.
    assert result.stdout.count("FAIL") == 5
    assert "polybot up --sandbox" in result.stdout


@pytest.mark.parametrize(
    ("told", "local_s", "passed"),
    [
        (b"1000", 1000.9, True),
        (b"1000", 1003.0, True),
        (b"1000", 1003.1, False),
        (b"1000", 998.0, True),
        (b"1000", 997.9, False),
        (b"<html>", 1000.0, False),
        (b"9" * 5000, 1000.0, False),
        (None, 1000.0, False),
    ],
)
def test_clock_may_differ_by_two_seconds(told: bytes | None, local_s: float, passed: bool) -> None:
    """The venue tells whole seconds, so its second counts as a whole."""
    assert clock_finding(told, local_s=local_s, mode=Mode.PAPER).passed is passed


def test_secrets_file_is_the_one_that_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever POLYBOT_ENV_FILE says it is; notes about the venue are private, too."""
    secrets_file, notes = tmp_path / "elsewhere.env", tmp_path / "home" / "venue"
    secrets_file.write_text("")
    secrets_file.chmod(0o644)
    notes.mkdir(parents=True)
    notes.chmod(0o755)
    monkeypatch.setenv("POLYBOT_ENV_FILE", str(secrets_file))
    monkeypatch.setenv("POLYBOT_HOME", str(tmp_path / "home"))
    said = run("doctor", "--offline").stdout
    assert f"chmod 600 {secrets_file}" in said
    assert f"chmod 700 {notes}" in said


def test_one_broken_check_does_not_hide_the_others() -> None:
    """An error inside a check is its own line."""

    def check_broken(_: Examination) -> list[Finding]:
        raise DataError("the thing is broken", reason="broken")

    def check_fine(_: Examination) -> list[Finding]:
        return [Finding(name="fine", passed=True, detail="as it should be")]

    found = examine(
        Examination(session=Session(), audit=False, offline=True), (check_broken, check_fine)
    )
    assert [(f.name, f.passed) for f in found] == [("broken", False), ("fine", True)]
    assert found[0].detail == "the thing is broken"
    assert found[0].mend, "whatever failed, something is to be done"


@pytest.mark.parametrize(
    ("answer", "live", "paper"),
    [
        (b'{"blocked":false,"ip":"1.2.3.4","country":"CH","region":"ZH"}', Grade.OK, Grade.OK),
        (b'{"blocked":true,"country":"US"}', Grade.FAILURE, Grade.WARNING),
        (b'{"blocked":"false"}', Grade.FAILURE, Grade.WARNING),
        (b'{"blocked":0}', Grade.FAILURE, Grade.WARNING),
        (b"<html>", Grade.FAILURE, Grade.WARNING),
        (b"[]", Grade.FAILURE, Grade.WARNING),
        (b"", Grade.FAILURE, Grade.WARNING),
        (None, Grade.FAILURE, Grade.WARNING),
    ],
)
def test_borders_that_are_not_known_are_closed_to_real_orders(
    answer: bytes | None, live: Grade, paper: Grade
) -> None:
    """Only a plain no-block lets real orders through; on paper it is worth a line."""
    assert borders_finding(answer, "why", is_live=True).grade is live
    assert borders_finding(answer, "why", is_live=False).grade is paper


@pytest.mark.parametrize(
    ("api_url", "host", "has_key", "has_password", "passed"),
    [
        (None, "127.0.0.1", False, False, True),
        ("http://127.0.0.1:4200/api", "127.0.0.1", False, False, True),
        ("http://localhost:4200/api", "localhost", False, False, True),
        ("http://[::1]:4200/api", "::1", False, False, True),
        ("http://127.0.0.1:4200/api", "0.0.0.0", False, False, False),
        ("http://127.0.0.1:4200/api", "0.0.0.0", True, True, True),
        ("http://192.168.1.5:4200/api", "127.0.0.1", False, False, False),
        ("https://prefect.example/api", "127.0.0.1", False, True, False),
        ("https://prefect.example/api", "127.0.0.1", True, False, True),
        ("http://127.0.0.1.example.com/api", "127.0.0.1", False, False, False),
    ],
)
def test_prefect_is_on_this_machine_or_behind_a_password(
    api_url: str | None, host: str, has_key: bool, has_password: bool, passed: bool
) -> None:
    """Whoever reaches its API runs code where the worker is."""
    found = exposure(api_url=api_url, host=host, has_key=has_key, has_password=has_password)
    assert found.passed is passed
    assert bool(found.mend) is not passed


def test_prefect_is_asked_what_its_settings_come_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Environment, profile and files: Prefect itself answers, in a process of its own."""
    monkeypatch.setenv("PREFECT_SERVER_API_HOST", "0.0.0.0")
    result = run("doctor", "--offline")
    assert "FAIL prefect exposure: its server would listen on 0.0.0.0" in result.stdout
    assert "ok prefect version: " in result.stdout
