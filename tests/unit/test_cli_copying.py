"""`polybot copy`, on real ledgers: paused as a whole, and what was made of each trade."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from polybot.domain.leaders import CopyRecord, CopyVerdict, LeaderAddress
from polybot.domain.modes import Mode
from polybot.domain.money import Shares
from tests.builders import NOW
from tests.cli_steps import WALLET, empty_home, fails, ledger_of, run_json, run_ok
from tests.copy_builders import build_trade


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return empty_home(tmp_path, monkeypatch)


def test_pause_of_copying_stays_until_somebody_resumes() -> None:
    assert run_json("copy", "pause", "away")["changed"] is True
    assert run_json("copy", "pause", "still away")["changed"] is False
    status = run_json("copy", "status")
    assert (status["is_wanted"], status["wish"]["reason"]) == (False, "away")
    assert "copy trading is paused" in run_ok("copy", "status")
    assert run_json("copy", "resume", "back")["changed"] is True
    assert run_json("copy", "status")["is_wanted"] is True
    assert "nothing was changed" in run_ok("copy", "resume")


def test_looking_at_copies_before_there_are_any(home: Path) -> None:
    for command in ("status", "stats", "log"):
        assert "nobody is followed yet" in run_ok("copy", command)
    assert run_json("copy", "stats") == {"mode": "paper", "has_run": False}
    assert run_json("copy", "log") == {"mode": "paper", "trades": []}
    assert not home.exists()


def record(number: int, verdict: CopyVerdict, code: str, **changes: Any) -> CopyRecord:
    """Return a recorded trade: heard two seconds after its fill, decided 100 µs later."""
    at = NOW + timedelta(seconds=number)
    trade = build_trade(
        leader=LeaderAddress(WALLET),
        transaction_hash=f"0x{number:064x}",
        size=str(10 + number),
        traded_at=at,
        received_at=at + timedelta(seconds=2),
    )
    return CopyRecord(
        trade=trade,
        verdict=verdict,
        reason_code=code,
        reason=f"because of {number}",
        decided_at=trade.received_at + timedelta(microseconds=100),
        **changes,
    )


@pytest.fixture
def recorded() -> None:
    """A leader with three recorded trades: two skipped for a reason, one long after the fact."""
    run_ok("leaders", "add", WALLET, "--name", "whale")
    with ledger_of(Path(".polybot"), Mode.PAPER) as ledger:
        lease = ledger.acquire_lease("copy-trading", "a loop", ttl_s=60, at=datetime.now(UTC))
        assert lease is not None
        late = record(3, CopyVerdict.SKIPPED, "too-old")
        late = replace(
            late,
            trade=replace(late.trade, received_at=late.trade.traded_at + timedelta(hours=1)),
        )
        ledger.record_leader_trades(
            [
                record(1, CopyVerdict.SKIPPED, "price-moved"),
                record(2, CopyVerdict.ACCUMULATED, "accumulated", accumulate_usdc=Decimal(1)),
                late,
            ],
            lease=lease,
        )


@pytest.mark.usefixtures("recorded")
def test_log_shows_what_was_made_of_each_trade_newest_last() -> None:
    rows = run_json("copy", "log")["trades"]
    assert [one["reason_code"] for one in rows] == ["price-moved", "accumulated", "too-old"]
    assert rows[0]["size"] == "11"
    assert {"traded_at", "received_at", "decided_at", "sent_at", "acknowledged_at"} <= set(rows[0])
    assert [one["size"] for one in run_json("copy", "log", "--limit", "1")["trades"]] == ["13"]
    text = run_ok("copy", "log", "--leader", "whale")
    assert "skipped price-moved" in text
    assert "because of 1" in text
    assert "--since must be" in fails("copy", "log", "--since", "yesterday", code=2)
    assert "nobody named" in fails("copy", "log", "--leader", "minnow")


@pytest.mark.usefixtures("recorded")
def test_stats_tell_feed_lag_and_our_own_time_apart() -> None:
    """What was read an hour after the fact says nothing about the feed."""
    document = run_json("copy", "stats")
    assert document["recorded"] == 3
    assert document["by_reason"] == {"accumulated": 1, "price-moved": 1, "too-old": 1}
    lag, decide = document["latency_s"]["feed_lag"], document["latency_s"]["decide"]
    assert (lag["count"], lag["p50"], lag["p99"]) == (2, 2.0, 2.0)
    assert decide["p50"] == pytest.approx(0.0001)
    assert document["latency_s"]["own_time"]["count"] == 0
    assert document["feed_lag_by_source_s"]["stream"]["count"] == 2
    (drift,) = document["drift"]
    assert Decimal(drift["leader_size"]) == Shares(Decimal(11 + 12 + 13))
    assert Decimal(drift["drift"]) == Decimal("-3.6")
    assert run_json("copy", "stats", "--since", "2030-01-01")["recorded"] == 0
    assert "Leader's fill" in run_ok("copy", "stats", "--leader", "whale")


@pytest.mark.usefixtures("recorded")
def test_status_shows_the_loop_and_the_counts() -> None:
    status = run_json("copy", "status")
    assert status["loop"]["is_running"] is True
    assert status["loop"]["holder"] == "a loop"
    assert status["trading_state"] == "active"
    (leader,) = status["leaders"]
    assert leader["name"] == "whale"
    assert "a loop runs: a loop" in run_ok("copy", "status")


@pytest.mark.parametrize(
    "command",
    [
        ("leaders",),
        *(("leaders", verb) for verb in ("add", "set", "list", "pause", "resume", "remove")),
        ("leaders", "show"),
        ("copy",),
        *(("copy", verb) for verb in ("stats", "log", "status", "pause", "resume")),
    ],
)
def test_every_command_explains_itself(command: tuple[str, ...]) -> None:
    text = run_ok(*command, "--help")
    assert "Usage:" in text
    if len(command) > 1:
        assert "--json" in text
        assert "Example: polybot" in " ".join(text.split())
