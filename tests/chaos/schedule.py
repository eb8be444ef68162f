"""Every named crash point, and which one is next: the one that was hit least."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from tests.chaos.crash_points import Target
from tests.chaos.moods import MOODS, SILENT

_THREE = ("before", "inside", "after")
_ANSWERS = ("sent", "answered", "half read", "after")
_SILENCE = ("sent", "after")


def _points(flow: str, step: str, moments: Sequence[str] = _THREE) -> tuple[str, ...]:
    return tuple(f"{flow}: {step}: {moment}" for moment in moments)


BEFORE_THE_ORDER = (
    *_points("trend", "run record"),
    *_points("trend", "account read"),
    *_points("trend", "verdict"),
    *_points("trend", "claim"),
    *_points("trend", "fetch"),
    *_points("trend", "decision log"),
)
THE_ORDER = (
    *_points("trend", "intent"),
    *_points("trend", "post", ("before", "half sent")),
    *(
        point
        for mood in MOODS
        for point in _points(
            "trend",
            "post",
            tuple(f"{moment}, {mood}" for moment in (_SILENCE if mood == SILENT else _ANSWERS)),
        )
    ),
    *_points("trend", "order report"),
)
SHUTDOWN = (
    *_points("shutdown", "order report"),
    *_points("shutdown", "run record"),
    *_points("shutdown", "closing", ("before", "after")),
)
LEARNING = (
    *_points("reconcile", "account read"),
    *_points("reconcile", "order report"),
    *_points("reconcile", "look-up"),
)
LISTENING = (
    *_points("follow", "socket", ("before", "inside")),
    *_points("follow", "event heard", ("before", "after")),
    *_points("follow", "order report"),
    *_points("follow", "verdict"),
)
CANCEL = _points("reconcile", "cancel")
ROUNDING = _points("reconcile", "fee rounding")
VERDICT = _points("reconcile", "verdict")
TRANSFER = _points("reconcile", "transfer")
PAYING = (
    *_points("settle", "resolution"),
    *_points("settle", "pay-out"),
)
TELLING = _points("settle", "alert sent")
RELAYER = _points("settle", "relayer")
REDEEM = (
    *_points("settle", "redemption request"),
    *_points("settle", "redeem"),
    *RELAYER,
    *_points("settle", "redemption record"),
)
ALL_POINTS = (
    *BEFORE_THE_ORDER,
    *THE_ORDER,
    *SHUTDOWN,
    *LISTENING,
    *LEARNING,
    *CANCEL,
    *ROUNDING,
    *VERDICT,
    *TRANSFER,
    *PAYING,
    *REDEEM,
    *TELLING,
)
# The commit of a ledger in memory takes about this long.
_LONGEST_COMMIT_S = 0.0015


@dataclass
class Schedule:
    """Counts what was hit and missed, and proposes where to kill next."""

    random: Random
    enough: int = 1 << 30
    """So many kills at a point, and it needs no more."""
    hits: Counter[str] = field(default_factory=Counter)
    misses: Counter[str] = field(default_factory=Counter)
    seen: dict[str, int] = field(default_factory=dict)
    """How often a point was reached in the last run that nobody killed."""

    def next_target(self, points: Sequence[str]) -> Target | None:
        """Return the point that needs it most, at any of its occurrences; ``None``: enough."""
        if all(self.hits[point] >= self.enough for point in points):
            return None
        point = min(
            points,
            key=lambda one: (self.hits[one] + self.misses[one] / 4, self.random.random()),
        )
        most = self.seen.get(point, 1)
        is_late = point.endswith("inside") and self.random.random() < 0.5
        return Target(
            point,
            # The first occurrences are the ones that every run has.
            occurrence=1 + int(self.random.random() ** 2 * most),
            commit_delay_s=self.random.uniform(0, _LONGEST_COMMIT_S) if is_late else None,
        )

    def note(self, target: Target, *, was_killed: bool) -> None:
        """Count a kill, or that the run ended without reaching its point."""
        (self.hits if was_killed else self.misses)[target.point] += 1

    def learn(self, counts: Mapping[str, int], *, series_count: int) -> None:
        """Remember how often each point was reached by a run of one series."""
        for point, count in counts.items():
            self.seen[point] = max(1, count // series_count)
