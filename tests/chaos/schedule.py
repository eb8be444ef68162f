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


def points_of(flow: str, step: str, moments: Sequence[str] = _THREE) -> tuple[str, ...]:
    """Return the names of the moments of one step."""
    return tuple(f"{flow}: {step}: {moment}" for moment in moments)


BEFORE_THE_ORDER = (
    *points_of("trend", "run record"),
    *points_of("trend", "account read"),
    *points_of("trend", "verdict"),
    *points_of("trend", "claim"),
    *points_of("trend", "fetch"),
    *points_of("trend", "decision log"),
)
THE_ORDER = (
    *points_of("trend", "intent"),
    *points_of("trend", "post", ("before", "half sent")),
    *(
        point
        for mood in MOODS
        for point in points_of(
            "trend",
            "post",
            tuple(f"{moment}, {mood}" for moment in (_SILENCE if mood == SILENT else _ANSWERS)),
        )
    ),
    *points_of("trend", "order report"),
)
SHUTDOWN = (
    *points_of("shutdown", "order report"),
    *points_of("shutdown", "run record"),
    *points_of("shutdown", "closing", ("before", "after")),
)
LEARNING = (
    *points_of("reconcile", "account read"),
    *points_of("reconcile", "order report"),
    *points_of("reconcile", "look-up"),
)
LISTENING = (
    *points_of("follow", "socket", ("before", "inside")),
    *points_of("follow", "event heard", ("before", "after")),
    *points_of("follow", "order report"),
    *points_of("follow", "verdict"),
)
CANCEL = points_of("reconcile", "cancel")
ROUNDING = points_of("reconcile", "fee rounding")
VERDICT = points_of("reconcile", "verdict")
TRANSFER = points_of("reconcile", "transfer")
PAYING = (
    *points_of("settle", "resolution"),
    *points_of("settle", "pay-out"),
)
TELLING = points_of("settle", "alert sent")
RELAYER = points_of("settle", "relayer")
REDEEM = (
    *points_of("settle", "redemption request"),
    *points_of("settle", "redeem"),
    *RELAYER,
    *points_of("settle", "redemption record"),
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
_REQUESTS = ("settle: resolution", "settle: redeem:", "settle: relayer")
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

    def next_target(self, points: Sequence[str], *, most: int | None = None) -> Target | None:
        """Return the point that needs it most, at any of its occurrences; ``None``: enough.

        Args:
            points: Of these.
            most: How often a step of theirs can be reached now; ``None``: as often as usual.
        """
        if most == 0 or all(self.hits[point] >= self.enough for point in points):
            return None
        point = min(
            points,
            key=lambda one: (self.hits[one] + self.misses[one] / 4, self.random.random()),
        )
        occurrences = self.seen.get(point, 1)
        if most is not None:
            # A request has two moments inside of it at least: it is sent, and answered.
            has_two = point.endswith("inside") and point.startswith(_REQUESTS)
            occurrences = min(occurrences, most * (2 if has_two else 1))
        is_late = point.endswith("inside") and self.random.random() < 0.5
        # The first occurrences are the ones that every run has; and where each run leaves less to
        # do, a late one would leave nothing for the next.
        how_late = self.random.random() ** (2 if most is None else 4)
        return Target(
            point,
            occurrence=1 + int(how_late * occurrences),
            commit_delay_s=self.random.uniform(0, _LONGEST_COMMIT_S) if is_late else None,
        )

    def note(self, target: Target, *, was_killed: bool) -> None:
        """Count a kill, or that the run ended without reaching its point."""
        (self.hits if was_killed else self.misses)[target.point] += 1

    def learn(self, counts: Mapping[str, int], *, series_count: int) -> None:
        """Remember how often each point was reached by a run of one series."""
        for point, count in counts.items():
            self.seen[point] = max(1, count // series_count)
