"""Run one command line inside this process: import first, start on a word, die with the parent.

    python -m deployments.child prefect.cli:app prefect.workers.process -- worker start -p polybot

Importing Prefect takes seconds. A stack starts all its processes at once and says ``go`` to each
when its turn has come, so that they import side by side while the server's database is made.

Standard input is the life line. It closes when the parent is gone, however it went, and then the
whole process group goes too: a worker's flow runs never outlive the stack that started them.
"""

import os
import signal
import sys
import threading
import time
from importlib import import_module

GRACE_S = 5.0


def main() -> None:
    """Import ``module:function`` and what it will need, wait for a line, then call it."""
    end = sys.argv.index("--")
    target, *needed = sys.argv[1:end]
    module_name, _, function_name = target.partition(":")
    function = getattr(import_module(module_name), function_name)
    for module in needed:
        import_module(module)
    life_line = os.dup(0)
    # What runs below, and every process it starts, sees an empty standard input.
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    if not os.read(life_line, 1):
        return
    threading.Thread(target=_die_with_parent, args=(life_line,), daemon=True).start()
    sys.argv = [module_name.partition(".")[0], *sys.argv[end + 1 :]]
    sys.exit(function())


def _die_with_parent(life_line: int) -> None:
    while os.read(life_line, 1):
        pass
    for number in (signal.SIGTERM, signal.SIGKILL):
        os.killpg(0, number)
        time.sleep(GRACE_S)


if __name__ == "__main__":
    main()
