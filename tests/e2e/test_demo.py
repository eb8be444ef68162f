"""The demo's promises, checked on a real stack."""

import json
import re
import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployments.environment import PROJECT
from polybot.adapters.storage.ledger import open_ledger
from polybot.domain.markets import MarketWindow
from polybot.domain.modes import Mode
from tests.e2e.conftest import DEMO_TIMEOUT_S, Stack, processes_of, start_demo, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

MONEY = re.compile(r"-?[0-9]+(\.[0-9]{1,6})?", re.ASCII)
WINDOW_KEYS = {
    "slug",
    "start",
    "direction",
    "reason",
    "verdict",
    "order_id",
    "fill_price",
    "shares",
    "fee_usdc",
    "outcome",
    "payout_usdc",
    "pnl_usdc",
}
SUMS = ("cash_usdc", "equity_usdc", "realised_pnl_usdc", "fees_usdc", "starting_cash_usdc")


def exported_trade_log(stack: Stack) -> list[dict[str, Any]]:
    """Return what `polybot trades --jsonl` prints."""
    output = subprocess.run(
        (sys.executable, "-c", "from polybot.cli import main; main()", "trades", "--jsonl"),
        cwd=PROJECT,
        env=stack.demo.environment(),
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    ).stdout
    return [json.loads(line) for line in output.splitlines()]


def test_it_prints_one_object_of_the_documented_shape(stack: Stack) -> None:
    result = stack.result
    assert set(result) == {
        *("windows", "copying", "flow_runs", "orders", "fills", "settled", "wall_s"),
        *SUMS,
    }
    assert all(set(window) == WINDOW_KEYS for window in result["windows"])
    assert all(MONEY.fullmatch(result[name]) for name in SUMS)
    amounts = [
        window[name]
        for window in result["windows"]
        for name in ("fill_price", "shares", "fee_usdc", "payout_usdc", "pnl_usdc")
    ]
    assert all(amount is None or MONEY.fullmatch(amount) for amount in amounts)


def test_it_decides_eight_consecutive_windows(stack: Stack) -> None:
    windows = stack.result["windows"]
    starts = [MarketWindow.parse_slug(window["slug"]).start_s for window in windows]
    assert starts == [starts[0] + 900 * number for number in range(8)]
    assert all(window["verdict"] in {"held", "refused", "placed"} for window in windows)
    assert all(window["reason"] for window in windows)
    assert all(window["outcome"] in {"Up", "Down"} for window in windows)


def test_every_run_went_through_the_deployments_and_completed(stack: Stack) -> None:
    """Eight trend runs, five settle runs, one report, and the one that goes on copying."""
    assert stack.result["flow_runs"] == {"Completed": 14, "Running": 1}


def test_a_leader_was_copied_and_each_trade_explained(stack: Stack) -> None:
    """Bought and sold with him; what was not copied has its reason, and every trade is counted."""
    copying = stack.result["copying"]
    placed = [trade for trade in copying["trades"] if trade["verdict"] == "placed"]
    assert {trade["side"] for trade in placed} == {"BUY", "SELL"}
    assert len(placed) == copying["copied"] <= copying["fills"]
    assert all(trade["reason_code"] for trade in copying["trades"] if trade not in placed)
    assert {"far-from-book", "leader-stake", "market-not-supported"} <= set(copying["skipped"])
    assert copying["seen"] == len(copying["trades"]) == 8
    counted = copying["copied"] + copying["accumulated"] + sum(copying["skipped"].values())
    assert counted == copying["seen"]


def test_demo_shows_the_copies_in_a_table(stack: Stack) -> None:
    """The page in the UI counts what the result counts."""
    copying = stack.result["copying"]
    body = {"artifacts": {"key": {"any_": ["copy-trading"]}}}
    answer = httpx.post(f"{stack.demo.ui_url}/api/artifacts/filter", json=body, timeout=30)
    pages = [page["data"] for page in answer.raise_for_status().json()]
    assert any(
        f"| seen | {copying['seen']} |" in page and f"| copied | {copying['copied']} |" in page
        for page in pages
    )


def test_something_was_traded_and_settled(stack: Stack) -> None:
    """A demo that shows no order shows nothing."""
    result = stack.result
    filled = [window for window in result["windows"] if window["fill_price"]]
    assert result["orders"] >= 1
    assert result["fills"] >= len(filled) >= 1
    assert result["settled"] == len(filled)


def test_a_payout_is_what_the_outcome_says(stack: Stack) -> None:
    for window in stack.result["windows"]:
        if window["fill_price"]:
            won = window["outcome"].upper() == window["direction"]
            assert Decimal(window["payout_usdc"]) == (Decimal(window["shares"]) if won else 0)


def test_the_books_balance_from_the_exported_trade_log_alone(stack: Stack) -> None:
    """Cash + position cost + fees + payouts, to the last micro-USDC."""
    result, rows = stack.result, exported_trade_log(stack)

    def total(column: str, kinds: set[str]) -> Decimal:
        return sum(
            (Decimal(row[column]) for row in rows if row["kind"] in kinds and row[column]),
            Decimal(0),
        )

    def traded(side: str) -> Decimal:
        return sum(
            (
                Decimal(row["size"]) * Decimal(row["price"])
                for row in rows
                if row["kind"] == "fill" and row["side"] == side
            ),
            Decimal(0),
        )

    deposits = total("cash_change_usdc", {"deposit"})
    fees = total("fee_usdc", {"fill"})
    payouts = total("payout_usdc", {"settlement"})
    assert deposits == Decimal(result["starting_cash_usdc"])
    assert fees == Decimal(result["fees_usdc"])
    cash = total("cash_change_usdc", {"deposit", "fill", "settlement"})
    assert cash == Decimal(result["cash_usdc"])
    assert cash - deposits == Decimal(result["realised_pnl_usdc"])
    # Each fill is rounded to the next micro-USDC, against us.
    expected = deposits - traded("BUY") + traded("SELL") - fees + payouts
    fills = sum(1 for row in rows if row["kind"] == "fill")
    assert 0 <= expected - cash < Decimal("0.000001") * fills
    slugs = {window["slug"] for window in result["windows"]}
    copied = sum(
        (
            Decimal(row["cash_change_usdc"])
            for row in rows
            if row["kind"] != "deposit" and row["market"] not in slugs
        ),
        Decimal(0),
    )
    trended = sum(Decimal(window["pnl_usdc"] or 0) for window in result["windows"])
    assert trended + copied == cash - deposits


def test_the_running_totals_equal_their_history(stack: Stack) -> None:
    with stack.ledger() as ledger:
        assert ledger.violations() == ()


def test_ctrl_c_leaves_no_process_and_the_same_seed_the_same_money(
    stack: Stack, tmp_path: Path
) -> None:
    """A second demo is interrupted after its first window, which equals that of the first demo."""
    demo = start_demo(tmp_path / "home", "--json", "--seed", "7")
    wait_for(lambda: "[1/8]" in demo.said, "a window was played", DEMO_TIMEOUT_S)
    assert any("prefect.engine" in command for command in processes_of(demo.home).values())
    demo.process.send_signal(signal.SIGINT)
    output, _ = demo.process.communicate(timeout=60)
    assert (demo.process.returncode, output) == (130, "")
    assert processes_of(demo.home) == {}
    with open_ledger(demo.home / "sandbox.db", mode=Mode.SANDBOX) as again:
        for window in stack.result["windows"][:1]:
            parsed = MarketWindow.parse_slug(window["slug"])
            (decision,) = again.decisions_between(parsed.start, parsed.end)
            assert (decision.verdict, decision.order_id) == (window["verdict"], window["order_id"])
            fills = again.fills_of(decision.order_id) if decision.order_id else ()
            assert sum(fill.size for fill in fills) == Decimal(window["shares"])
            assert sum(fill.fee_usdc for fill in fills) == Decimal(window["fee_usdc"])


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "sandbox.db").touch()
    demo = start_demo(tmp_path / "home", "--json")
    output, _ = demo.process.communicate(timeout=60)
    assert (demo.process.returncode, output) == (1, "")
    assert re.fullmatch(r"polybot demo: .*empty folder.*\n", demo.said)
