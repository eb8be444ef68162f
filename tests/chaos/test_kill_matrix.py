"""Kill the bot at every named step, and compare its books with the venue's afterwards."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.forms import chosen_form
from tests.chaos.model import PROMISES
from tests.chaos.schedule import ALL_POINTS

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(9 * 3600)
def test_no_kill_duplicates_or_loses_anything(capsys: pytest.CaptureFixture[str]) -> None:
    """Real SIGKILLs before, inside and after every transaction and every request."""
    form = chosen_form()
    done = subprocess.run(
        # In a process of its own: everything forked from it inherits what it has imported.
        [sys.executable, "-m", "tests.chaos.kill_matrix", "--form", form.name, "--json"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        timeout=form.limit_s + 120,
        check=True,
        text=True,
    )
    found = json.loads(done.stdout)
    with capsys.disabled():
        sys.stdout.write(f"\n{found['table' if form.per_point else 'summary']}\n")
    assert {one: found["broken"].get(one, 0) for one in PROMISES} == dict.fromkeys(PROMISES, 0)
    if form.is_slice:
        return
    assert found["kills"] >= form.kills
    rarely = {
        point: found["hits"].get(point, 0)
        for point in ALL_POINTS
        if found["hits"].get(point, 0) < form.per_point
    }
    assert rarely == {}
