"""Decisions are claimed once, finished once, and come back as they were stored."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from polybot.domain.decisions import BookSummary, Verdict
from polybot.domain.orders import OrderId, RiskCheck
from polybot.ports import Ledger
from tests.builders import NOW, WINDOW, build_decision
from tests.contract.conftest import OpenLedger
from tests.ledger_steps import an_alert, claim, market_number


def test_second_claim_of_a_key_returns_the_first(ledger: Ledger, reopen: OpenLedger) -> None:
    """Two runs of one window: the second sees whose decision it is."""
    first = claim(ledger, market_number(0), run_name="run-one")
    second = replace(first, run_name="run-two")

    assert reopen().claim_decision(second) == first
    assert ledger.pending_decisions() == (first,)


def test_only_pending_decisions_can_be_claimed(ledger: Ledger) -> None:
    """A final verdict is not a claim."""
    with pytest.raises(ValueError, match="pending"):
        ledger.claim_decision(build_decision(verdict=Verdict.HELD))


def test_finished_decision_never_changes(ledger: Ledger) -> None:
    """The first final form stays, and only it carries its alert."""
    pending = claim(ledger, market_number(0))
    held = replace(pending, verdict=Verdict.HELD, reason="RSI too high")

    assert ledger.finish_decision(held, alert=an_alert("a"))
    assert not ledger.finish_decision(replace(held, verdict=Verdict.SKIPPED), alert=an_alert("b"))

    assert ledger.decision(pending.key) == held
    assert ledger.pending_decisions() == ()
    assert [due.alert.dedupe_key for due in ledger.due_alerts(at=NOW, limit=9)] == ["a"]


def test_finishing_needs_a_final_verdict(ledger: Ledger) -> None:
    """PENDING is no end."""
    with pytest.raises(ValueError, match="final verdict"):
        ledger.finish_decision(claim(ledger, market_number(0)))


def test_decision_that_nobody_claimed_is_recorded(ledger: Ledger) -> None:
    """A skip that was noticed before the claim is still a record."""
    skipped = build_decision(verdict=Verdict.SKIPPED, reason="too late")

    assert ledger.finish_decision(skipped)
    assert ledger.decision(skipped.key) == skipped


def test_every_field_of_a_decision_comes_back(ledger: Ledger, reopen: OpenLedger) -> None:
    """Nothing that explains a decision is lost on the way to the disk, hostile text included."""
    decision = replace(
        claim(ledger, market_number(0)),
        verdict=Verdict.REFUSED,
        reason="=cmd|' /C calc'!A0\n💥",
        question="<b>Bitcoin</b> Up or Down?",
        order_id=OrderId("0xabc"),
        indicators={"close": 97_123.25, "bars_since_cross": None, "candle_count": 300},
        checks=(RiskCheck(name="spread", passed=False, detail="0.07 of at most 0.05"),),
        book=BookSummary(
            best_bid=Decimal("0.48"), best_ask=None, spread=None, ask_depth_usdc=Decimal("12.5")
        ),
        price_to_beat=Decimal("97012.123456789"),
    )
    ledger.finish_decision(decision)

    assert reopen().decision(decision.key) == decision


def test_text_that_no_database_can_hold_is_cleaned(ledger: Ledger) -> None:
    """NUL and half a surrogate pair must not fail the recording of a decision."""
    decision = replace(
        claim(ledger, market_number(0)), verdict=Verdict.HELD, reason="a\x00b\ud800c"
    )
    ledger.finish_decision(decision)

    stored = ledger.decision(decision.key)
    assert stored is not None
    assert stored.reason == "ab?c"


def test_decisions_between_takes_windows_by_their_start(ledger: Ledger) -> None:
    """The interval is half-open, whatever the time of the decision was."""
    decisions = [claim(ledger, market_number(n), decided_at=NOW) for n in range(4)]

    found = ledger.decisions_between(
        WINDOW.start + timedelta(minutes=15), WINDOW.start + timedelta(minutes=45)
    )

    assert found == tuple(decisions[1:3])
