"""Four ways to submit an order meet the same faults; only one of them loses nothing."""

import sys
import time

import pytest

from tests.chaos.forms import FORMS, chosen_form
from tests.chaos.side_by_side import FAULTS, OURS, POLICIES, play_all, table


@pytest.mark.timeout(3600)
def test_only_our_policy_neither_doubles_nor_loses(capsys: pytest.CaptureFixture[str]) -> None:
    """Ours shows no fault in any case; each of the others does, so the cases bite."""
    form, started = chosen_form(), time.monotonic()
    # A slice of the long form compares as many cases as CI does.
    cases = min(form.cases, FORMS["ci"].cases) if form.is_slice else form.cases
    counts, problems = play_all(cases=cases, seed=1)
    with capsys.disabled():
        sys.stdout.write(f"\n{table(counts, cases, time.monotonic() - started)}\n")
    assert problems == []
    assert {name: counts[OURS][name] for name in (*FAULTS, "ghost fills")} == dict.fromkeys(
        (*FAULTS, "ghost fills"), 0
    )
    for policy in POLICIES:
        assert sum(counts[policy][name] for name in FAULTS) > 0, policy
    assert counts[OURS]["orders"] > cases // 4
