"""The short form: a few hours, a few schedules, a few faults of our own; `make chaos` does more."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.bites import bite
from tests.simulation.own_faults import OWN_FAULTS
from tests.simulation.player import Outcomes, play
from tests.simulation.races import SCENARIOS, race

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def hour() -> Outcomes:
    return play(3, length_s=600)


def test_nothing_breaks_while_everything_goes_wrong(hour: Outcomes) -> None:
    """Every invariant is looked at, and holds, under faults of many kinds."""
    assert hour.broken == ""
    assert all(hour.checks[f"I{number}"] > 0 for number in range(1, 9))
    assert len(hour.fired) > 8
    assert hour.counts["orders at the venue"] > 0


def test_the_same_seed_gives_the_same_ledger(hour: Outcomes) -> None:
    """Another process, with other hashes of texts, writes the same rows."""
    code = "from tests.simulation.player import play; print(play(3, length_s=600).digest)"
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "12345"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert found.stdout.strip() == hour.digest


def test_another_seed_gives_another_ledger(hour: Outcomes) -> None:
    assert play(4, length_s=120).digest != hour.digest


def test_no_schedule_passes_a_limit() -> None:
    """One schedule of every scenario; where there is room for one order, one goes out."""
    raced = [race(seed) for seed in range(len(SCENARIOS))]
    assert [one.broken for one in raced] == [""] * len(SCENARIOS)
    assert {one.scenario for one in raced} == set(SCENARIOS)
    assert all(one.switches > 20 for one in raced)
    assert sum(one.orders for one in raced) >= len(SCENARIOS) - 1


QUICK = (
    "the intent is committed after the POST",
    "limits are not looked at again where the intent is recorded",
    "the reservation goes when the fate is unknown",
    "more is signed than was approved",
)


@pytest.mark.parametrize("name", QUICK)
def test_the_harness_bites(name: str) -> None:
    """A fault in our own code is found."""
    (number,) = (at for at, fault in enumerate(OWN_FAULTS) if fault.name == name)
    assert bite(number).caught


@pytest.mark.skipif(
    os.environ.get("CHAOS_FORM", "short") == "short", reason="takes minutes: CHAOS_FORM=ci runs it"
)
@pytest.mark.timeout(3_600)
def test_every_fault_of_our_own_is_caught() -> None:
    """None goes unseen."""
    found = [bite(number) for number in range(len(OWN_FAULTS))]
    assert [one.name for one in found if not one.caught] == []


def test_own_faults_have_different_names() -> None:
    assert len({fault.name for fault in OWN_FAULTS}) == len(OWN_FAULTS) >= 20
