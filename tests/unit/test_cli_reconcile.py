"""`polybot reconcile` on paper, and what it prints of a live account."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from polybot.cli import reconcile as command
from polybot.domain.modes import Mode
from polybot.domain.reconciliation import ReconcileVerdict, Reconciliation
from polybot.reports import reconciliation_card
from tests.builders import NOW
from tests.cli_steps import run, run_json

HALTED = Reconciliation(
    verdict=ReconcileVerdict.HALTED,
    started_at=NOW + timedelta(minutes=1),
    passes=3,
    differences=("cash: <b>less</b> | \x1b[31mthan\x1b[0m",),
    expected_cash_usdc=Decimal("12.5"),
    venue_cash_usdc=Decimal(12),
)


def test_paper_looks_orders_up_and_says_so(tmp_path: Path) -> None:
    """Nothing leaves the machine: there is no order to ask about and no account."""
    home = str(tmp_path / "home")
    document = run_json("--home", home, "--mode", "paper", "reconcile")
    assert document["mode"] == "paper"
    assert (document["verdict"], document["allows_trading"]) == ("orders-only", True)
    shown = run("--home", home, "--mode", "paper", "reconcile")
    assert shown.exit_code == 0
    assert "only open orders were looked up" in shown.stdout


def test_trading_that_must_wait_ends_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scripts need not read the text."""

    async def find(*_: object) -> Reconciliation:
        return HALTED

    monkeypatch.setattr(command, "_reconcile", find)
    shown = run("--home", str(tmp_path), "--mode", "paper", "reconcile")
    assert shown.exit_code == 1
    assert "cash: 12.5 USDC by our record, 12 USDC at the venue" in shown.stdout
    assert "\x1b" not in shown.stdout


def test_card_escapes_what_comes_from_outside() -> None:
    """The artifact is shown in a browser."""
    card = reconciliation_card(HALTED, mode=Mode.LIVE)
    assert card.startswith("# live: halted")
    assert "<b>" not in card
    assert "trading is halted" in card
    assert "On its way" not in card
