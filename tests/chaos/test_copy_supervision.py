"""Copy trading comes back by itself, and never twice: the real server, worker and sandbox, killed.

Minutes of waiting for what Prefect does on its own, so the short form leaves them out; the two
cases that every change must pass are in ``tests/e2e/test_copy_supervision.py``.
"""

import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from polybot.adapters.storage.ledger import SqlLedger
from polybot.copy_trading.wanted import is_wanted, start_copying
from polybot.domain.leaders import Lease
from tests.copy_up import SETTINGS, STARTED_WITHIN_S, CopyUp, held, pid_of, say
from tests.e2e.conftest import wait_for

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        os.environ.get("CHAOS_FORM", "short") == "short",
        reason="takes ten minutes: CHAOS_FORM=ci runs it",
    ),
]

RESUMED_WITHIN_S = 60.0
# Silence of 90 s is what Prefect takes for death, looked at every few seconds; then a start.
FREEZE_NOTICED_WITHIN_S = 180.0
STOPPED_WITHIN_S = 10.0
# 45 s are given to a run that was cancelled, and are looked at every few seconds.
ENDED_WITHIN_S = 90.0
# Prefect's own watcher gives up after 25 s without its server.
OUTAGE_S = 45.0


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CopyUp]:
    """`polybot up --sandbox`, copying a leader."""
    up = CopyUp(tmp_path_factory.mktemp("copying") / "home")
    up.start()
    try:
        wait_for((up.home / "sandbox.db").exists, "a ledger", STARTED_WITHIN_S)
        with up.ledger() as ledger:
            wait_for(lambda: held(ledger), "somebody copies", STARTED_WITHIN_S)
            up.follow(ledger)
            up.resumed_within(ledger, RESUMED_WITHIN_S)
        yield up
    finally:
        up.stop()


@pytest.fixture
def ledger(up: CopyUp) -> Iterator[SqlLedger]:
    with up.ledger() as ledger:
        yield ledger
        assert up.epochs.are_one_at_a_time(), up.epochs.seen
        assert ledger.violations() == ()


def test_killed_flow_is_followed_by_another(up: CopyUp, ledger: SqlLedger) -> None:
    before = wait_for(lambda: up.lease(ledger), "somebody copies")
    os.kill(pid_of(before), signal.SIGKILL)
    say(f"flow killed: copying again after {resumed(up, ledger, before):.1f} s")


def test_killed_worker_takes_its_flow_along_and_both_come_back(
    up: CopyUp, ledger: SqlLedger
) -> None:
    before = wait_for(lambda: up.lease(ledger), "somebody copies")
    up.kill("worker start")
    took_s = resumed(up, ledger, before)
    assert not lives(before)
    say(f"worker killed: copying again after {took_s:.1f} s")


def test_copying_goes_on_through_a_restart_of_the_server(up: CopyUp, ledger: SqlLedger) -> None:
    """The same process holds the same lease before, during and after."""
    before = wait_for(lambda: up.lease(ledger), "somebody copies")
    with up.server_is_away():
        took_s = up.resumed_within(ledger, STOPPED_WITHIN_S)
    up.resumed_within(ledger, STOPPED_WITHIN_S)
    after = up.lease(ledger)
    assert after is not None
    assert (after.epoch, after.holder) == (before.epoch, before.holder)
    say(f"server away: a trade was copied after {took_s:.1f} s, by the same run")


def test_cancel_after_an_outage_is_obeyed_and_stays(up: CopyUp, ledger: SqlLedger) -> None:
    """With the defaults, Prefect would free the slot and start a second loop beside the first."""
    before = wait_for(lambda: up.lease(ledger), "somebody copies")
    with up.server_is_away():
        time.sleep(OUTAGE_S)
        assert up.lease(ledger) is not None
    run = up.running()
    up.cancel(run)
    began = time.monotonic()
    wait_for(lambda: up.lease(ledger) is None, "it stopped", STOPPED_WITHIN_S)
    say(f"outage of {OUTAGE_S:.0f} s, then Cancel: stopped after {time.monotonic() - began:.1f} s")
    wait_for(lambda: up.state_of(run)[0] == "CANCELLED", "Prefect knows it")
    assert not is_wanted(ledger)

    tick = up.submit(start="schedule")
    wait_for(lambda: up.state_of(tick) == ("COMPLETED", "NotWanted"), "the tick did nothing")
    assert up.lease(ledger) is None

    up.submit()
    say(f"started by hand: copying after {resumed(up, ledger, before):.1f} s")
    assert is_wanted(ledger)


def test_cancel_before_a_run_has_begun_frees_its_slot_and_stays(
    up: CopyUp, ledger: SqlLedger
) -> None:
    """Prefect itself would leave it in its slot for five minutes, and forget that it was said."""
    before = wait_for(lambda: up.lease(ledger), "somebody copies")
    run = up.running()
    up.cancel(run)
    wait_for(lambda: up.state_of(run)[0] == "CANCELLED", "the first one ended", ENDED_WITHIN_S)
    start_copying(ledger, by="test", reason="back", at=datetime.now(UTC))

    early = up.submit(start="schedule")
    wait_for(lambda: up.state_of(early)[0] == "PENDING", "it is about to begin", STARTED_WITHIN_S)
    up.cancel(early)
    began = time.monotonic()
    wait_for(lambda: up.state_of(early)[0] == "CANCELLED", "it is ended", ENDED_WITHIN_S)
    say(f"cancelled while pending: its slot was free after {time.monotonic() - began:.1f} s")
    tick = up.submit(start="schedule")
    wait_for(lambda: up.state_of(tick) == ("COMPLETED", "NotWanted"), "the tick did nothing")
    assert up.lease(ledger) is None
    assert not is_wanted(ledger)

    up.submit()
    resumed(up, ledger, before)


def test_frozen_flow_is_replaced_and_does_not_trade_when_it_thaws(
    up: CopyUp, ledger: SqlLedger
) -> None:
    before = wait_for(lambda: up.lease(ledger), "somebody copies")
    os.kill(pid_of(before), signal.SIGSTOP)
    try:
        took_s = up.resumed_within(ledger, FREEZE_NOTICED_WITHIN_S, other_than=before)
    finally:
        os.kill(pid_of(before), signal.SIGCONT)
    wait_for(lambda: not lives(before), "the old run ended", 30)
    after = up.lease(ledger)
    assert after is not None
    assert after.epoch > before.epoch
    say(f"flow frozen: another copied after {took_s:.1f} s")


def test_hand_over_leaves_no_gap_in_which_a_trade_is_lost(up: CopyUp, ledger: SqlLedger) -> None:
    """Everything is killed and started again with runs of 72 seconds."""
    before = wait_for(lambda: up.lease(ledger), "somebody copies")
    up.kill_everything()
    began = time.monotonic()
    up.start({**SETTINGS, "POLYBOT_COPYING__HAND_OVER_H": "0.02"})
    wait_for(up.answers, "the server is back", STARTED_WITHIN_S)
    resumed(up, ledger, before)
    took_s = time.monotonic() - began
    say(f"everything killed and started again: copying after {took_s:.1f} s")
    assert took_s <= RESUMED_WITHIN_S

    first = wait_for(lambda: up.lease(ledger), "somebody copies")
    wait_for(lambda: up.lease(ledger) is None, "it hands over", 120)
    gap_began, made_at = time.monotonic(), datetime.now(UTC).replace(microsecond=0)
    up.trade()
    second = wait_for(lambda: up.lease(ledger), "the next one copies", RESUMED_WITHIN_S)
    gap_s = time.monotonic() - gap_began
    assert second.epoch == first.epoch + 1
    what = "the trade in the gap was copied"
    wait_for(lambda: up.copied_since(ledger, made_at), what, 20, lambda: up.reasons(ledger))
    say(f"hand-over: nobody copied for {gap_s:.1f} s, and the trade made meanwhile was copied")


def lives(lease: Lease) -> bool:
    """Return whether the process that took a lease is still there."""
    return Path(f"/proc/{pid_of(lease)}").exists()


def resumed(up: CopyUp, ledger: SqlLedger, before: Lease) -> float:
    """Return after how long another loop copied a trade [s]; sixty are promised."""
    return up.resumed_within(ledger, RESUMED_WITHIN_S, other_than=before)
