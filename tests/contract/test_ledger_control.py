"""Trading state, alerts and runs outlive the process that wrote them."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from polybot.domain.accounts import TradingStateChange
from polybot.domain.alerts import AlertKind
from polybot.domain.decisions import RunRecord
from polybot.domain.modes import TradingState
from polybot.ports import Ledger
from tests.builders import NOW
from tests.contract.conftest import OpenLedger
from tests.ledger_steps import an_alert


def test_new_ledger_trades(ledger: Ledger) -> None:
    """Nobody stopped it: ACTIVE since the first money came in."""
    ledger.deposit(Decimal(1), reference="start", at=NOW)
    state = ledger.trading_state()
    assert (state.state, state.changed_at) == (TradingState.ACTIVE, NOW)


def test_trading_state_outlives_its_process(ledger: Ledger, reopen: OpenLedger) -> None:
    """The newest change holds, with who and why, and its alert waits beside it."""
    halt = TradingStateChange(
        state=TradingState.HALTED, reason="books differ", by="operator", changed_at=NOW
    )
    ledger.set_trading_state(
        replace(halt, state=TradingState.REDUCING), alert=an_alert("1", AlertKind.TRADING_STATE)
    )
    ledger.set_trading_state(halt, alert=an_alert("2", AlertKind.TRADING_STATE))

    other = reopen()
    assert other.trading_state() == halt
    assert other.totals(at=NOW).trading_state is TradingState.HALTED
    assert [due.alert.dedupe_key for due in other.due_alerts(at=NOW, limit=9)] == ["1", "2"]


def test_alert_key_is_stored_once_ever(ledger: Ledger, reopen: OpenLedger) -> None:
    """Also after it was sent."""
    assert ledger.add_alert(an_alert("a"), at=NOW)
    assert not reopen().add_alert(an_alert("a"), at=NOW)
    (due,) = ledger.due_alerts(at=NOW, limit=9)
    ledger.record_alert_sent(due.id, at=NOW)
    assert not ledger.add_alert(an_alert("a"), at=NOW)
    assert ledger.due_alerts(at=NOW + timedelta(days=1), limit=9) == ()


def test_failed_alert_waits_for_its_next_attempt(ledger: Ledger) -> None:
    """It counts its attempts, and others pass it meanwhile."""
    for key in ("a", "b", "c"):
        ledger.add_alert(an_alert(key), at=NOW)
    first, *_ = ledger.due_alerts(at=NOW, limit=2)
    later = NOW + timedelta(minutes=5)
    assert ledger.claim_alert(first, error="x" * 10_000, next_attempt_at=later)

    assert [due.alert for due in ledger.due_alerts(at=NOW, limit=9)] == [
        an_alert("b"), an_alert("c"),
    ]  # fmt: skip
    retried, *_ = ledger.due_alerts(at=later, limit=1)
    assert (retried.alert, retried.attempts, retried.created_at) == (an_alert("a"), 1, NOW)
    assert ledger.due_alerts(at=NOW - timedelta(seconds=1), limit=9) == ()


def test_alert_is_claimed_by_one_of_those_who_saw_it(ledger: Ledger, reopen: OpenLedger) -> None:
    """Of two processes with the same list one may send; after an attempt the next one may."""
    ledger.add_alert(an_alert("a"), at=NOW)
    other = reopen()
    (ours,), (theirs,) = ledger.due_alerts(at=NOW, limit=9), other.due_alerts(at=NOW, limit=9)
    later = NOW + timedelta(minutes=5)
    assert other.claim_alert(theirs, error="not delivered", next_attempt_at=later)
    assert not ledger.claim_alert(ours, error="not delivered", next_attempt_at=later)
    (again,) = ledger.due_alerts(at=later, limit=9)
    assert again.attempts == 1
    assert ledger.claim_alert(again, error="not delivered", next_attempt_at=later)
    ledger.record_alert_sent(again.id, at=later)
    assert not other.claim_alert(
        replace(again, attempts=2), error="not delivered", next_attempt_at=later
    )


def test_run_is_replaced_by_what_is_known_later(ledger: Ledger) -> None:
    """One row a run, newest first."""
    runs = [
        RunRecord(
            run_id=f"id-{n}",
            flow="trend",
            name=f"run {n}",
            state="running",
            started_at=NOW + timedelta(minutes=n),
            ended_at=None,
            note="",
        )
        for n in range(3)
    ]
    for run in runs:
        ledger.record_run(run)
    ended = replace(runs[1], state="failed", ended_at=NOW + timedelta(hours=1), note="why")
    ledger.record_run(ended)

    assert ledger.recent_runs(2) == (runs[2], ended)
    assert len(ledger.recent_runs(99)) == 3
