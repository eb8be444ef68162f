"""Several workers, forked from one process that has imported and warmed up everything."""

import gc
import json
import os
import time
import traceback
from collections import Counter
from collections.abc import Callable
from typing import Any

Json = dict[str, Any]


def run_workers(
    warm_up: Callable[[], None],
    work: Callable[[int, float], Json],
    *,
    seed: int,
    workers: int,
    limit_s: float,
) -> Json:
    """Return the sum of what all workers counted, and the seconds that it took.

    Args:
        warm_up: Done once, before anybody is forked.
        work: Takes a worker's own seed and when to give up (monotonic), and returns its counts.
        seed: Of all workers together.
        workers: How many.
        limit_s: How long all of it may take [s].
    """
    started = time.monotonic()
    warm_up()
    # What is there now is shared with every process forked from here on; nobody collects it.
    gc.collect()
    gc.freeze()
    gc.disable()
    pipes = [_fork(work, seed * 1_000_003 + n * 100_003, started + limit_s) for n in range(workers)]
    total: Json = {}
    for pid, read_end in pipes:
        with os.fdopen(read_end) as pipe:
            said = pipe.read()
        if os.waitpid(pid, 0)[1] != 0:
            raise SystemExit("a worker broke")
        _add(total, json.loads(said))
    total["seconds"] = time.monotonic() - started
    return total


def _fork(work: Callable[[int, float], Json], seed: int, deadline: float) -> tuple[int, int]:
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            with os.fdopen(write_end, "w") as pipe:
                json.dump(work(seed, deadline), pipe)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(write_end)
    return pid, read_end


def _add(total: Json, one: Json) -> None:
    for name, value in one.items():
        if isinstance(value, dict):
            total[name] = dict(Counter(total.get(name, {})) + Counter(value))
        else:
            total[name] = total.get(name, type(value)()) + value
