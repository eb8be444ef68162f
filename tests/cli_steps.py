"""Runs the command line in a test, and fills a ledger for it to show."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from polybot.adapters.storage.ledger import SqlLedger, open_ledger
from polybot.cli import app
from polybot.domain.decisions import RunRecord, Verdict
from polybot.domain.markets import Outcome
from polybot.domain.modes import Mode
from polybot.domain.orders import OrderStatus
from tests.builders import NOW
from tests.config_steps import empty_folder
from tests.ledger_steps import a_fill, an_alert, claim, intend, market_number, report, resolution

HOSTILE = "[red]Up[/red] | \x1b[31mRED\x1b[0m\n=cmd() \u202egnp.exe <script>"
WALLET = "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed"


def empty_home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, without any setting of this machine; return the home in it."""
    return empty_folder(folder, monkeypatch) / ".polybot"


def run(*arguments: str, text: str | None = None) -> Result:
    """Run `polybot` with arguments; ``text`` is typed at its questions."""
    return CliRunner().invoke(app, list(arguments), input=text)


def run_ok(*arguments: str) -> str:
    """Run `polybot`, which must succeed, and return its standard output."""
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def run_json(*arguments: str) -> Any:
    """Run `polybot … --json` and return the document."""
    return json.loads(run_ok(*arguments, "--json"))


def fails(*arguments: str, code: int = 1) -> str:
    """Run a command that must fail, and return what it says on standard error."""
    result = run(*arguments)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.stderr
    return " ".join(result.stderr.replace("│", " ").split())


@contextmanager
def ledger_of(home: Path, mode: Mode = Mode.SANDBOX) -> Iterator[SqlLedger]:
    """Open the ledger of a home."""
    with open_ledger(home / f"{mode}.db", mode=mode) as ledger:
        yield ledger


def fill_sandbox_ledger(home: Path) -> None:
    """Make a sandbox ledger: one market won, one held, one refused, one order unknown."""
    with ledger_of(home) as ledger:
        ledger.deposit(Decimal(1000), reference="starting-cash", at=NOW)
        won = intend(ledger, 0)
        report(ledger, won, a_fill(won))
        ledger.settle(resolution(0, Outcome.UP), at=NOW + timedelta(minutes=15))
        held = intend(ledger, 1)
        report(ledger, held, a_fill(held, at_price="0.4", fee="0.168"))
        ledger.mark_positions(
            {market_number(1).token_ids[Outcome.UP]: Decimal("0.3")}, at=NOW + timedelta(minutes=16)
        )
        refused = claim(ledger, market_number(2))
        ledger.finish_decision(
            replace(refused, verdict=Verdict.REFUSED, reason=f"spread {HOSTILE}")
        )
        lost_answer = intend(ledger, 3)
        report(ledger, lost_answer, status=OrderStatus.UNKNOWN)
        claim(ledger, market_number(4))
        ledger.record_run(
            RunRecord(
                run_id="r1",
                flow="trend",
                name="btc-updown-15m-1",
                state="failed",
                started_at=NOW,
                ended_at=NOW + timedelta(minutes=17),
                note=HOSTILE,
            )
        )
        ledger.add_alert(an_alert("a"), at=NOW)
