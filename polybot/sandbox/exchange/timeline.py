"""What happens at which virtual instant: a queue that whoever moves the clock runs."""

import heapq
from collections.abc import Callable

Action = Callable[[int], None]
"""Something to do; takes the instant it was due at [epoch ms]."""


class Timeline:
    """Actions by due time; those due at the same instant run in the order they were added."""

    def __init__(self) -> None:
        """Start empty."""
        self._queue: list[tuple[int, int, Action]] = []
        self._count = 0

    def add(self, due_ms: int, action: Action) -> None:
        """Do something at an instant [epoch ms]; what is late already happens on the next run."""
        self._count += 1
        heapq.heappush(self._queue, (due_ms, self._count, action))

    def run_until(self, now_ms: int) -> None:
        """Do everything that is due, in order, with what it adds itself."""
        while self._queue and self._queue[0][0] <= now_ms:
            due_ms, _, action = heapq.heappop(self._queue)
            action(due_ms)

    def next_due_ms(self) -> int | None:
        """Return when the next action is due [epoch ms]."""
        return self._queue[0][0] if self._queue else None
