"""Kill the copy loop at its named steps, and compare what is recorded with what has happened."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.copy_lives import COPY_POINTS
from tests.chaos.forms import chosen_form
from tests.chaos.model import PROMISES

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(9 * 3600)
def test_no_kill_loses_or_repeats_a_copy(capsys: pytest.CaptureFixture[str]) -> None:
    """Real SIGKILLs with lost, repeated and frozen frames, and a second loop standing by."""
    form = chosen_form()
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos.copy_matrix", "--form", form.name, "--json"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        timeout=form.limit_s + 300,
        check=True,
        text=True,
    )
    found = json.loads(done.stdout)
    per_point = form.copy_kills_per_point
    with capsys.disabled():
        sys.stdout.write(f"\n{found['table' if per_point else 'summary']}\n")
    assert {one: found["broken"].get(one, 0) for one in PROMISES} == dict.fromkeys(PROMISES, 0)
    assert found["kills"] > 0
    if form.is_slice:
        return
    rarely = {
        point: found["hits"].get(point, 0)
        for point in COPY_POINTS
        if found["hits"].get(point, 0) < per_point
    }
    assert rarely == {}
