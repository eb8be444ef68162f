"""Run the simulation in one of its forms, print what it counted, fail where anything was broken.

``python -m tests.simulation ci`` is 300 hours and 2,000 schedules; ``long`` is 10,000 hours. Where
no form is named, ``CHAOS_FORM`` names it. ``CHAOS_MINUTES`` ends each part after so long, and the
seed to go on with (``--first``) is printed.
"""

import argparse
import gc
import math
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from tests.chaos.forms import chosen_seconds, chosen_seed
from tests.simulation.bites import Bite, bite
from tests.simulation.copy_day import play_whole_day
from tests.simulation.copy_outcomes import DayOutcomes, table
from tests.simulation.own_faults import OWN_FAULTS
from tests.simulation.plan import ALL_KINDS
from tests.simulation.player import Outcomes, play
from tests.simulation.races import Raced, race

# The hours of a form are played twice where their number is a multiple of this.
_AGAIN_EVERY: Final = 25
# Seeds between two looks at the clock, where it is the clock that ends a part.
_BATCH: Final = 50


@dataclass(frozen=True, slots=True)
class Form:
    """How much is simulated."""

    hours: int
    schedules: int
    needs_all_kinds: bool
    days: int = 1
    """Of copying."""


FORMS: Final = {
    "short": Form(4, 20, needs_all_kinds=False, days=0),
    "ci": Form(300, 2_000, needs_all_kinds=True),
    "long": Form(10_000, 20_000, needs_all_kinds=True, days=10),
}


def main(argv: list[str] | None = None) -> int:
    """Return 0 where everything held and every fault of our own was caught."""
    parser = argparse.ArgumentParser(prog="tests.simulation")
    parser.add_argument("form", choices=FORMS, nargs="?")
    parser.add_argument("--hours", type=int)
    parser.add_argument("--schedules", type=int)
    parser.add_argument("--first", type=int, default=chosen_seed() - 1, help="first seed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--days", type=int, help="of copying")
    parser.add_argument("--no-bites", action="store_true")
    chosen = parser.parse_args(argv)
    form = FORMS[chosen.form or os.environ.get("CHAOS_FORM", "ci")]
    hours = form.hours if chosen.hours is None else chosen.hours
    schedules = form.schedules if chosen.schedules is None else chosen.schedules
    days = form.days if chosen.days is None else chosen.days
    # Simulations make much garbage in cycles that need not be found at once.
    with multiprocessing.get_context("spawn").Pool(
        chosen.jobs, initializer=gc.set_threshold, initargs=(50_000, 20, 20)
    ) as pool:
        # A day is one long piece of work: it is begun first and waited for in the end.
        played = [pool.apply_async(play_whole_day, (seed,)) for seed in range(1, days + 1)]
        is_fine = _hours(pool, range(chosen.first, chosen.first + hours), form) if hours else True
        is_fine &= (
            _races(pool, range(chosen.first, chosen.first + schedules)) if schedules else True
        )
        if not chosen.no_bites:
            is_fine &= _bites(pool)
        for one in played:
            is_fine &= _say_day(one.get())
    return 0 if is_fine else 1


def _hours(pool: Any, seeds: range, form: Form) -> bool:
    began = time.monotonic()
    fired: Counter[str] = Counter()
    checks: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    broken: list[str] = []
    digests: dict[int, str] = {}
    steps = 0
    for found in _spread(pool, play, seeds, until=_deadline()):
        assert isinstance(found, Outcomes)
        fired.update(found.fired)
        checks.update(found.checks)
        counts.update(found.counts)
        steps += found.steps
        digests[found.seed] = found.digest
        if found.broken:
            broken.append(f"seed {found.seed}: {found.broken}")
    again = [seed for seed in digests if seed % _AGAIN_EVERY == 0]
    differing = [one.seed for one in _spread(pool, play, again) if one.digest != digests[one.seed]]
    took = time.monotonic() - began
    _say(f"{len(digests)} simulated hours in {took:.0f} s, {steps} ledger steps")
    _say_where(seeds, len(digests))
    _say("checks:  " + _listed(checks))
    _say("counts:  " + _listed(counts))
    _say("faults:  " + _listed({kind: fired[kind] for kind in ALL_KINDS}))
    _say(f"played twice: {len(again)}, with another ledger: {len(differing)} {differing or ''}")
    never = [kind for kind in ALL_KINDS if not fired[kind]]
    if never and form.needs_all_kinds and len(digests) >= 100:
        broken.append(f"these faults never fired: {', '.join(never)}")
    return _verdict("violations", [*broken, *(f"seed {one} differs" for one in differing)])


def _races(pool: Any, seeds: range) -> bool:
    began = time.monotonic()
    by_scenario: Counter[str] = Counter()
    orders: Counter[str] = Counter()
    broken: list[str] = []
    switches = 0
    for found in _spread(pool, race, seeds, until=_deadline()):
        assert isinstance(found, Raced)
        by_scenario[found.scenario] += 1
        orders[found.scenario] += found.orders
        switches += found.switches
        if found.broken:
            broken.append(f"schedule {found.seed}, {found.scenario}: {found.broken}")
    took = time.monotonic() - began
    count = sum(by_scenario.values())
    _say(f"{count} race schedules in {took:.0f} s, {switches} changes of turn")
    _say_where(seeds, count)
    for name, count in by_scenario.items():
        _say(f"  {name}: {count} schedules, {orders[name]} orders")
    return _verdict("limits passed or decisions doubled", broken)


def _bites(pool: Any) -> bool:
    began = time.monotonic()
    missed = []
    found: list[Bite] = []
    for one in _spread(pool, bite, range(len(OWN_FAULTS))):
        assert isinstance(one, Bite)
        found.append(one)
        _say(f"  {'caught' if one.caught else 'MISSED'}  {one.name}: {one.caught}")
        if not one.caught:
            missed.append(one.name)
    took = time.monotonic() - began
    _say(f"{len(found) - len(missed)} of {len(found)} own faults caught in {took:.0f} s")
    return _verdict("own faults missed", missed)


def _say_day(found: DayOutcomes) -> bool:
    _say(table(found))
    return not found.problems()


def _spread(
    pool: Any, run: Callable[[int], Any], seeds: Iterable[int], *, until: float = math.inf
) -> Iterator[Any]:
    """Yield what each seed came to; a batch that would begin after ``until`` is left out."""
    for batch in _batches(seeds, _BATCH if until < math.inf else None):
        if time.monotonic() > until:
            return
        yield from pool.imap_unordered(run, batch, chunksize=1)


def _batches(seeds: Iterable[int], size: int | None) -> Iterator[list[int]]:
    left = list(seeds)
    step = size or max(len(left), 1)
    for start in range(0, len(left), step):
        yield left[start : start + step]


def _deadline() -> float:
    seconds = chosen_seconds()
    return math.inf if seconds is None else time.monotonic() + seconds


def _say_where(seeds: range, count: int) -> None:
    reached = seeds.start + count
    rest = "" if count == len(seeds) else f", a slice of {len(seeds)}; go on with --first {reached}"
    _say(f"  seeds {seeds.start} to {reached - 1}{rest}")


def _verdict(what: str, problems: list[str]) -> bool:
    _say(f"{what}: {len(problems)}")
    for problem in problems[:20]:
        _say(f"  {problem}")
    return not problems


def _listed(found: Any) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(dict(found).items()))


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - this is what it is for


if __name__ == "__main__":
    sys.exit(main())
