"""Several runs at the same moment, one after the other in every order that a seed can think of.

Each actor has a thread and an event loop of its own, as if it were a process. Exactly one runs at
any time; between two transactions, and wherever it waits, the seed says who goes on. Somebody who
waits for an instant may be chosen: virtual time is then moved there, and the others are late.
"""

import threading
from collections.abc import Callable
from random import Random

from tests.simulation.virtual import VirtualTime


class Turns:
    """Gives turns to actors until all of them are done."""

    def __init__(self, random: Random, time: VirtualTime) -> None:
        self._random = random
        self._time = time
        self._waiting: dict[str, float | None] = {}
        self._go: dict[str, threading.Semaphore] = {}
        self._all_done = threading.Semaphore(0)
        self._problems: list[BaseException] = []
        self.switches = 0

    def run(self, actors: dict[str, Callable[[], None]]) -> None:
        """Run every actor to its end; the first problem is raised afterwards."""
        threads = []
        for name, act in actors.items():
            self._waiting[name] = None
            self._go[name] = threading.Semaphore(0)
            threads.append(threading.Thread(target=self._act, args=(name, act), name=name))
        for thread in threads:
            thread.start()
        self._choose().release()
        self._all_done.acquire()
        for thread in threads:
            thread.join()
        if self._problems:
            raise self._problems[0]

    def between(self, name: str) -> None:
        """An actor is between two steps: anybody may go on."""
        self._pause(name, None)

    def wait_until(self, name: str, elapsed_s: float) -> None:
        """An actor has nothing to do before an instant."""
        self._pause(name, elapsed_s)

    def _pause(self, name: str, until_s: float | None) -> None:
        self._waiting[name] = until_s
        chosen = self._choose()
        if chosen is not self._go[name]:
            self.switches += 1
            chosen.release()
            self._go[name].acquire()

    def _choose(self) -> threading.Semaphore:
        name = self._random.choice(sorted(self._waiting))
        until_s = self._waiting[name]
        if until_s is not None:
            self._time.elapsed_s = max(self._time.elapsed_s, until_s)
        self._waiting[name] = None
        return self._go[name]

    def _act(self, name: str, act: Callable[[], None]) -> None:
        self._go[name].acquire()
        try:
            act()
        except BaseException as problem:
            self._problems.append(problem)
        finally:
            del self._waiting[name]
            if self._waiting:
                self._choose().release()
            else:
                self._all_done.release()
