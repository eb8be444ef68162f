"""Frames on their way to one connection: due at a virtual instant, with the planned faults.

Nothing is ever replayed: what falls into a silence is lost.
"""

import heapq
from typing import Final

from polybot.sandbox.fault_plan import EVENT_FAULTS, STREAM_FAULTS, FaultPlan
from polybot.sandbox.seeds import stream

_KINDS: Final = (*EVENT_FAULTS, *STREAM_FAULTS)


class Delivery:
    """What one connection is going to hear."""

    def __init__(self, channel: str, plan: FaultPlan, number: int) -> None:
        """Take whose faults apply and the connection's number."""
        self._route = f"WS {channel}"
        self._plan = plan
        self._number = number
        self._queue: list[tuple[int, int, bytes]] = []
        self._count = 0
        self._silences: list[tuple[int, int]] = []
        self._lapsed_ms: int | None = None
        self.is_closed = False
        """Whether the connection is to be closed without a word."""

    def offer(self, frame: bytes, due_ms: int) -> None:
        """Send a frame at an instant, as well as the plan lets it."""
        fault = self._plan.first_for(_KINDS, self._route, due_ms // 1000)
        if fault is None:
            self._add(frame, due_ms)
            return
        if fault.kind == "socket-closed":
            self.is_closed = True
        elif fault.kind == "socket-frozen":
            self.freeze(due_ms, fault.duration_s * 1000)
        elif fault.kind == "subscription-lapsed":
            self.lapse(due_ms)
        elif fault.kind in ("event-late", "event-reordered"):
            spread = max(0, fault.delay_max_ms - fault.delay_ms)
            drawn = stream("late", self._plan.seed, self._number, self._count).randint(0, spread)
            self._add(frame, due_ms + fault.delay_ms + drawn)
        elif fault.kind == "event-duplicated":
            self._add(frame, due_ms)
            self._add(frame, due_ms)

    def freeze(self, from_ms: int, duration_ms: int) -> None:
        """Fall silent for a while; pings are answered."""
        self._silences.append((from_ms, from_ms + duration_ms))

    def lapse(self, from_ms: int) -> None:
        """Forget the subscription from an instant on, until there is a new one."""
        if self._lapsed_ms is None or from_ms < self._lapsed_ms:
            self._lapsed_ms = from_ms

    def renew(self, now_ms: int) -> None:
        """Tell again from now on: somebody has subscribed anew."""
        self.take(now_ms)
        self._lapsed_ms = None

    def is_silent(self, at_ms: int) -> bool:
        """Whether nothing is told at an instant."""
        if self._lapsed_ms is not None and at_ms >= self._lapsed_ms:
            return True
        return any(first <= at_ms < last for first, last in self._silences)

    def take(self, now_ms: int) -> list[bytes]:
        """Return the frames that are due, in the order they go out."""
        due = []
        while self._queue and self._queue[0][0] <= now_ms:
            due_ms, _, frame = heapq.heappop(self._queue)
            if not self.is_silent(due_ms):
                due.append(frame)
        self._silences = [one for one in self._silences if one[1] > now_ms]
        return due

    def next_due_ms(self) -> int | None:
        """Return when the next frame is due [epoch ms]."""
        return self._queue[0][0] if self._queue else None

    def _add(self, frame: bytes, due_ms: int) -> None:
        self._count += 1
        heapq.heappush(self._queue, (due_ms, self._count, frame))
