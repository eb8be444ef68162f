"""The virtual clock: stepped by hand, or running at a multiple of real time.

Only this module reads the machine's clock. It is safe to use from several threads.
"""

import threading
import time
from collections.abc import Callable


class SteppedClock:
    """A clock that moves only when it is told to, and never back."""

    mode = "stepped"
    speed = 0.0

    def __init__(self, start_ms: int) -> None:
        """Start at an instant [epoch ms]."""
        self._now_ms = start_ms
        self._lock = threading.Lock()
        self._listeners: set[Callable[[], None]] = set()

    def now_ms(self) -> int:
        """Return the virtual instant [epoch ms]."""
        return self._now_ms

    def move_to(self, now_ms: int) -> None:
        """Move forward to an instant [epoch ms] and tell every listener.

        Raises:
            ValueError: The instant lies before the present one.
        """
        with self._lock:
            if now_ms < self._now_ms:
                raise ValueError(f"the clock never goes back: it is {self._now_ms}, not {now_ms}")
            self._now_ms = now_ms
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener()

    def advance(self, seconds: float) -> None:
        """Move forward by a duration [s], ≥ 0."""
        self.move_to(self._now_ms + round(seconds * 1000))

    def add_listener(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` after every move, in the thread that moved the clock."""
        with self._lock:
            self._listeners.add(listener)

    def remove_listener(self, listener: Callable[[], None]) -> None:
        """Stop calling a listener."""
        with self._lock:
            self._listeners.discard(listener)


class RunningClock:
    """A clock that runs by itself, ``speed`` virtual seconds a real second."""

    mode = "running"

    def __init__(self, start_ms: int | None = None, speed: float = 1.0) -> None:
        """Start at an instant [epoch ms], by default the real one."""
        if not 0 < speed <= 10_000:
            raise ValueError(f"speed must be above 0 and at most 10000, was {speed}")
        self.speed = speed
        self._start_ms = time.time_ns() // 1_000_000 if start_ms is None else start_ms
        self._started_ns = time.monotonic_ns()

    def now_ms(self) -> int:
        """Return the virtual instant [epoch ms]."""
        elapsed_ns = time.monotonic_ns() - self._started_ns
        return self._start_ms + int(elapsed_ns * self.speed) // 1_000_000

    def real_seconds_until(self, until_ms: int) -> float:
        """Return how long to wait in reality for a virtual instant [s], ≥ 0."""
        return max(0.0, (until_ms - self.now_ms()) / 1000 / self.speed)


VenueClock = SteppedClock | RunningClock
