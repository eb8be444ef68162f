"""The operator's commands, on real SQLite ledgers."""

import csv
import io
import json
import socket
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from polybot.domain.modes import Mode, TradingState
from tests.builders import NOW, build_order
from tests.cli_steps import empty_home, fill_sandbox_ledger, ledger_of, run, run_json, run_ok
from tests.ledger_steps import allow_all, claim, market_number, prepare


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return empty_home(tmp_path, monkeypatch)


@pytest.fixture
def traded(home: Path) -> Path:
    """The home of a sandbox ledger in which things happened."""
    fill_sandbox_ledger(home)
    return home


# Looking ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["status", "trades"])
def test_looking_at_nothing_says_what_to_run_and_makes_nothing(home: Path, command: str) -> None:
    """A new home is not an error, and looking leaves no ledger behind."""
    text = run_ok(command)
    assert "nothing has run yet in paper mode" in text
    assert "make demo" in text
    assert not home.exists()


def test_looking_at_nothing_as_json(home: Path) -> None:
    """Scripts get one document, also before the first run."""
    assert run_json("status") == {"mode": "paper", "has_run": False}
    assert run_json("trades") == {"mode": "paper", "trades": []}
    assert run_ok("trades", "--jsonl") == ""
    assert run_ok("trades", "--csv").startswith("timestamp,mode,")
    assert not home.exists()


def test_status_document_has_every_figure(traded: Path) -> None:
    """Money is exact decimal text and equals what the trades amount to."""
    document = run_json("--mode", "sandbox", "status")
    # 10 × 0.5 + 0.175 paid, 10 paid out; then 10 × 0.4 + 0.168 paid.
    assert document["account"]["cash_usdc"] == "1000.657"
    assert document["account"]["position_value_usdc"] == "3"
    assert document["account"]["equity_usdc"] == "1003.657"
    assert document["account"]["pnl_usdc"] == "3.657"
    assert document["account"]["realised_pnl_usdc"] == "4.657"
    assert document["account"]["unrealised_pnl_usdc"] == "-1"
    assert document["account"]["fees_usdc"] == "0.343"
    assert document["today"]["day"] == "2026-10-05", "a sandbox keeps its own day"
    assert (document["today"]["trades"], document["today"]["max_trades"]) == (3, 48)
    assert document["trading"]["state"] == "active"
    assert [found["outcome"] for found in document["positions"]] == ["Up"]
    assert [found["status"] for found in document["open_orders"]] == ["unknown"]
    assert [found["market"] for found in document["pending_decisions"]] == [market_number(4).slug]
    assert document["recent_runs"][0]["state"] == "failed"
    assert document["alerts_waiting"] == 1
    assert document["exposure_usdc"] == str(
        Decimal(4) + Decimal(document["account"]["reserved_usdc"])
    )


def test_status_page_shows_the_same(traded: Path) -> None:
    """The page for people names state, money, limits, orders, runs and alerts."""
    text = run_ok("--mode", "sandbox", "status")
    for part in (
        "sandbox: trading is active",
        "1003.657",
        "+3.657",
        "3 of at most 48",
        "unknown",
        "failed",
        market_number(4).slug,
        "alerts waiting: 1",
    ):
        assert part in text, part


def test_hostile_text_cannot_steer_the_terminal(traded: Path) -> None:
    """No escape sequence, direction override or markup of the venue's reaches the screen."""
    for command in (("status",), ("trades",), ("trades", "--jsonl"), ("trades", "--json")):
        text = run_ok("--mode", "sandbox", *command)
        assert "\x1b" not in text, command
        assert "\u202e" not in text, command
        assert "[red]Up[/red]" in text, "markup is shown, not obeyed"


def test_trade_log_exports_agree(traded: Path) -> None:
    """JSON, JSON lines and CSV hold the same rows, and their cash column is the cash."""
    document = run_json("--mode", "sandbox", "trades")["trades"]
    lines = [
        json.loads(line)
        for line in run_ok("--mode", "sandbox", "trades", "--jsonl").split("\n")
        if line
    ]
    cells = list(csv.DictReader(io.StringIO(run_ok("--mode", "sandbox", "trades", "--csv"))))
    assert document == lines
    assert [row["timestamp"] for row in cells] == [row["timestamp"] for row in lines]
    needed = (
        "timestamp mode market market_name side size price result paper_trade reason indicators"
    )
    assert set(needed.split()) <= set(cells[0])
    total = sum(Decimal(row["cash_change_usdc"]) for row in lines)
    assert str(total) == run_json("--mode", "sandbox", "status")["account"]["cash_usdc"]


def test_trade_log_can_be_cut(traded: Path) -> None:
    """The limit keeps the newest rows; since starts at an instant."""
    rows = run_json("--mode", "sandbox", "trades")["trades"]
    assert run_json("--mode", "sandbox", "trades", "--limit", "2")["trades"] == rows[-2:]
    later = run_json("--mode", "sandbox", "trades", "--since", "2026-10-05T23:10")["trades"]
    assert [row["result"] for row in later] == ["won"]
    assert "no row in the sandbox trade log since 2027" in run_ok(
        "--mode", "sandbox", "trades", "--since", "2027-01-01"
    )


def test_export_to_a_file_is_whole_or_absent(traded: Path, tmp_path: Path) -> None:
    """A file is replaced in one step; a folder that is not there is one sentence."""
    target = tmp_path / "trades.csv"
    target.write_text("old")
    result = run("--mode", "sandbox", "trades", "--csv", "--output", str(target))
    assert (result.exit_code, result.stdout) == (0, "")
    assert target.read_text() == run_ok("--mode", "sandbox", "trades", "--csv")
    failed = run("--mode", "sandbox", "trades", "--csv", "-o", str(tmp_path / "none" / "t.csv"))
    assert failed.exit_code == 1
    assert "cannot be written" in failed.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == [".polybot", "trades.csv"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("trades", "--csv", "--jsonl"),
        ("trades", "--output", "x.csv"),
        ("trades", "--limit", "0"),
        ("trades", "--since", "yesterday"),
        ("halt",),
        ("halt", "  "),
        ("--mode", "practice", "status"),
        ("unknown-command",),
    ],
)
def test_wrong_usage_ends_with_2(arguments: tuple[str, ...]) -> None:
    """Nothing is printed on standard output, the explanation goes to standard error."""
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr


# Stopping ---------------------------------------------------------------------------------------


def test_halt_takes_effect_on_the_next_order(traded: Path) -> None:
    """Another process with an open ledger is refused the next intent."""
    with ledger_of(traded) as other_process:
        assert run_ok("--mode", "sandbox", "halt", "spreads look wrong").startswith(
            "sandbox: trading is halted (was active): spreads look wrong"
        )
        decision = claim(other_process, market_number(5))
        order = build_order(market=market_number(5), decision_key=decision.key)
        assert other_process.record_intent(prepare(order), decision, checks=allow_all)
        change = other_process.trading_state()
    assert change.state is TradingState.HALTED
    assert change.reason == "spreads look wrong"
    assert change.by.endswith(f"@{socket.gethostname()}")


def test_halt_alerts_the_owner_with_its_cause(traded: Path) -> None:
    """The alert is in the outbox in the same transaction."""
    run_ok("--mode", "sandbox", "halt", "--reason", "a test")
    with ledger_of(traded) as ledger:
        alerts = ledger.due_alerts(at=NOW + timedelta(days=1), limit=10)
    assert any("a test" in found.alert.title + found.alert.body for found in alerts)


def test_halt_works_before_the_first_run(home: Path) -> None:
    """Whoever halts first finds the bot halted when it starts."""
    document = run_json("halt", "not yet")
    assert (document["state"], document["before"]) == ("halted", "active")
    with ledger_of(home, Mode.PAPER) as ledger:
        assert ledger.trading_state().state is TradingState.HALTED
    assert (home / "paper.db").stat().st_mode & 0o777 == 0o600


def test_resume_of_nothing_makes_nothing(home: Path) -> None:
    """There is no ledger, so nothing is halted."""
    assert "nothing is halted" in run_ok("resume", "again")
    assert run_json("resume", "again")["has_run"] is False
    assert not home.exists()


def test_resume_asks_first(home: Path) -> None:
    """No and no answer leave the halt in place; yes and --yes lift it."""
    run_ok("halt", "stop")
    for answer in ("n\n", ""):
        refused = run("resume", "again", text=answer)
        assert refused.exit_code == 1
        assert run_json("status")["trading"]["state"] == "halted"
    assert run("resume", "again", text="y\n").exit_code == 0
    assert run_json("status")["trading"]["state"] == "active"
    run_ok("reduce", "weekend")
    assert run_json("status")["trading"]["state"] == "reducing"
    assert run_json("resume", "monday", "--yes")["before"] == "reducing"


# Failing ----------------------------------------------------------------------------------------


def test_our_errors_are_one_sentence(home: Path) -> None:
    """A file that is no ledger is refused in a sentence and stays as it is."""
    home.mkdir(mode=0o700)
    (home / "paper.db").write_bytes(b"not a database" * 100)
    result = run("status")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("polybot: ledger ")
    assert "Traceback" not in result.stderr
    assert (home / "paper.db").read_bytes() == b"not a database" * 100


def test_debug_shows_where_an_error_came_from(home: Path) -> None:
    """With --debug the exception itself comes through."""
    home.mkdir(mode=0o700)
    (home / "paper.db").write_bytes(b"")
    result = run("--debug", "status")
    assert result.exception is not None
    assert "is empty" in str(result.exception)


def test_wrong_settings_are_listed_on_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every wrong setting is named; nothing is on standard output for a script to misread."""
    monkeypatch.setenv("POLYBOT_RISK__STAKE_USDC", "-1")
    monkeypatch.setenv("POLYBOT_NO_SUCH_SETTING", "1")
    result = run("status", "--json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "stake_usdc" in result.stderr.lower()
    assert "no_such_setting" in result.stderr.lower()
