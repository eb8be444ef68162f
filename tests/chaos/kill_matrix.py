"""Kills the bot thousands of times and prints what was left: ``python -m tests.chaos.kill_matrix``.

Two workers, forked from one process that has imported and warmed up everything; each plays lives
of its own, one after the other, until it has its share.
"""

import argparse
import gc
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from random import Random

from tests.chaos.bot_process import prepare_flows, run_here
from tests.chaos.forms import FORMS, chosen_form, chosen_seed
from tests.chaos.installations import new_life
from tests.chaos.model import PROMISES
from tests.chaos.schedule import ALL_POINTS, Schedule
from tests.chaos.tally import Tally
from tests.chaos.workers import Json, run_workers
from tests.compiled_statements import shared_statements

_ROUNDS_IN_A_LIFE = 8
_SHORT_LIFE = 2


def run_matrix(*, kills: int, per_point: int, seed: int, workers: int, limit_s: float) -> Json:
    """Return the counts of all workers together."""

    def work(own_seed: int, deadline: float) -> Json:
        return _work(
            kills=-(-kills // workers),
            per_point=-(-per_point // workers),
            seed=own_seed,
            deadline=deadline,
        )

    with shared_statements():
        return run_workers(_warm_up, work, seed=seed, workers=workers, limit_s=limit_s)


def table(found: Json, points: Sequence[str] = ALL_POINTS) -> str:
    """Return the counts as text."""
    had: Counter[str] = Counter(found["had"])
    lines = [f"{'crash point':44} {'kills':>6} {'missed':>6}  venue had the order / had not"]
    for point in points:
        kills, missed = found["hits"].get(point, 0), found["misses"].get(point, 0)
        yes, no = had[f"{point}|had"], had[f"{point}|had not"]
        lines.append(f"{point:44} {kills:6} {missed:6}" + (f"  {yes} / {no}" if yes + no else ""))
    return "\n".join([*lines, summary(found, points)])


def summary(found: Json, points: Sequence[str] = ALL_POINTS) -> str:
    """Return what came of all kills."""
    least = min(found["hits"].get(point, 0) for point in points)
    slice_of = f", a slice of {found['asked']}" if found["kills"] < found["asked"] else ""
    lines = [
        f"{found['kills']} kills with SIGKILL at {len(points)} named points, at least {least} "
        f"each, in {found['runs']} runs, {found['rounds']} rounds, {found['seconds']:.0f} s"
        + slice_of,
        f"{found['orders']} orders and {found['fills']} trades at the venue; after restart: "
        + ", ".join(f"{found['broken'].get(one, 0)} {one}" for one in PROMISES),
        *found["details"],
    ]
    return "\n".join(lines)


def _warm_up() -> None:
    prepare_flows()
    with new_life(0, Schedule(Random(0)), tally := Tally()) as life:
        life.run = partial(run_here, life.desk)
        life.play_round(kills=False)
    if tally.details:
        raise SystemExit("without any kill: " + "; ".join(tally.details))


def _work(*, kills: int, per_point: int, seed: int, deadline: float) -> Json:
    enough = max(per_point, -(-kills // len(ALL_POINTS)))
    schedule, tally = Schedule(Random(seed), enough=enough), Tally()
    is_short = per_point == 0
    number = 0

    def is_done() -> bool:
        least = min(schedule.hits[point] for point in ALL_POINTS)
        has_share = tally.kills >= kills and least >= per_point
        return has_share or least >= enough or time.monotonic() > deadline

    while not is_done():
        number += 1
        with new_life(seed + number, schedule, tally) as life:
            for _ in range(_SHORT_LIFE if is_short else _ROUNDS_IN_A_LIFE):
                life.play_round()
                if is_done():
                    break
            life.count()
        gc.collect()
    return {**vars(tally), "hits": schedule.hits, "misses": schedule.misses}


def main() -> None:
    """Print the table, or everything as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--form", choices=tuple(FORMS), default="ci")
    parser.add_argument("--seed", type=int, default=chosen_seed())
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    wanted = parser.parse_args()
    form = chosen_form(wanted.form)
    found = run_matrix(
        kills=form.kills,
        per_point=form.per_point,
        seed=wanted.seed,
        workers=wanted.workers,
        limit_s=form.limit_s,
    )
    found["asked"] = form.kills
    found |= {"table": table(found), "summary": summary(found)}
    sys.stdout.write(json.dumps(found) if wanted.json else found["table"] + "\n")


if __name__ == "__main__":
    main()
