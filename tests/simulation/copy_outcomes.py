"""How much of a day of copying is played, and what it came to."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

MAX_AGE_S: Final = 10.0
NOTICED_WITHIN_S: Final = 15.0


@dataclass(frozen=True, kw_only=True)
class DayForm:
    """How much of a day."""

    hours: float = 24.0
    rate: float = 1.0
    """Transactions a minute of each of three leaders."""
    kills: int = 2
    latest_s: int = 3_600
    """How late a source may tell of something [s]."""


@dataclass(kw_only=True)
class DayOutcomes:
    """What one day came to."""

    seed: int
    hours: float
    followed: int = 0
    """Trades and conversions of leaders since they are followed, by the sandbox's own record."""
    recorded: int = 0
    missing: list[str] = field(default_factory=list)
    invented: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    placed: int = 0
    oldest_copy_s: float = 0.0
    reasons: Counter[str] = field(default_factory=Counter)
    freezes: int = 0
    noticed_s: list[float] = field(default_factory=list)
    kills: int = 0
    fired: Counter[str] = field(default_factory=Counter)
    audit: list[str] = field(default_factory=list)

    def problems(self) -> list[str]:
        """Return what was not as it must be."""
        found = [
            f"{len(wrong)} {name}, the first is {wrong[0]}"
            for name, wrong in (
                ("trades were never recorded", self.missing),
                ("records of nothing", self.invented),
                ("trades were recorded twice", self.doubled),
                ("differences in the ledger", self.audit),
            )
            if wrong
        ]
        if self.oldest_copy_s > MAX_AGE_S:
            found.append(f"a trade was copied {self.oldest_copy_s:.1f} s after it")
        late = [one for one in self.noticed_s if one > NOTICED_WITHIN_S]
        if late or len(self.noticed_s) < self.freezes:
            found.append(f"{self.freezes} freezes, noticed after {self.noticed_s} s")
        return found


def table(found: DayOutcomes) -> str:
    """Return the counts as text."""
    noticed = max(found.noticed_s, default=0.0)
    return "\n".join(
        [
            f"{found.hours:g} simulated hours of copying, seed {found.seed}: {found.followed} "
            f"trades and conversions of leaders, {found.recorded} recorded, "
            f"{len(found.missing)} missing, {len(found.doubled)} twice, "
            f"{len(found.invented)} invented",
            f"{found.placed} copied, at most {found.oldest_copy_s:.1f} s after the leader "
            f"(limit {MAX_AGE_S:g} s); others: {dict(sorted(found.reasons.items()))}",
            f"{found.freezes} freezes, noticed within {noticed:.1f} s; {found.kills} kills; "
            f"faults: {dict(sorted(found.fired.items()))}",
            *found.problems(),
        ]
    )
