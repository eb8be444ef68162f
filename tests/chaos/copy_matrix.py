"""Kills the copy loop again and again: ``python -m tests.chaos.copy_matrix``."""

import argparse
import gc
import json
import sys
import time
from random import Random

from tests.chaos.bot_process import prepare_flows
from tests.chaos.copy_lives import COPY_POINTS, new_copy_life
from tests.chaos.forms import FORMS, chosen_form, chosen_seed
from tests.chaos.kill_matrix import summary, table
from tests.chaos.schedule import Schedule
from tests.chaos.tally import Tally
from tests.chaos.workers import Json, run_workers
from tests.compiled_statements import shared_statements

_ROUNDS_IN_A_LIFE = 4
_SHORT_KILLS = 5
# A loop that copies runs for a second of ours, most of which it waits.
_WORKERS = 4


def run_copy_matrix(*, per_point: int, seed: int, limit_s: float) -> Json:
    """Return the counts of all workers together; 0 a point: one round."""

    def work(own_seed: int, deadline: float) -> Json:
        return _work(per_point=-(-per_point // _WORKERS), seed=own_seed, deadline=deadline)

    with shared_statements():
        return run_workers(
            _warm_up, work, seed=seed, workers=_WORKERS if per_point else 1, limit_s=limit_s
        )


def _warm_up() -> None:
    prepare_flows()
    with new_copy_life(0, Schedule(Random(0)), tally := Tally()) as life:
        life.play_round(kills=0)
    if tally.details:
        raise SystemExit("without any kill: " + "; ".join(tally.details))


def _work(*, per_point: int, seed: int, deadline: float) -> Json:
    schedule, tally = Schedule(Random(seed), enough=max(per_point, 1)), Tally()
    number = 0

    def is_done() -> bool:
        least = min(schedule.hits[point] for point in COPY_POINTS)
        return (number > 0 and least >= per_point) or time.monotonic() > deadline

    while not is_done():
        number += 1
        with new_copy_life(seed + number, schedule, tally) as life:
            for _ in range(_ROUNDS_IN_A_LIFE):
                if not per_point:
                    life.play_round(kills=_SHORT_KILLS)
                else:
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
    parser.add_argument("--json", action="store_true")
    wanted = parser.parse_args()
    form = chosen_form(wanted.form)
    found = run_copy_matrix(
        per_point=form.copy_kills_per_point, seed=wanted.seed, limit_s=form.limit_s
    )
    found["asked"] = form.copy_kills_per_point * len(COPY_POINTS)
    found |= {"table": table(found, COPY_POINTS), "summary": summary(found, COPY_POINTS)}
    sys.stdout.write(json.dumps(found) if wanted.json else found["table"] + "\n")


if __name__ == "__main__":
    main()
