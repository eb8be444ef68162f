"""Counts and latencies of a running loop, in memory that does not grow with the trades."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from polybot.copy_trading.status import CopyCounts, LatencySummary, summarise_latency
from polybot.domain.leaders import LeaderAddress

# Percentiles are of so many newest measurements.
NEWEST: Final = 1000
# Reason codes are a closed set; a defect that invents more must not eat the memory.
MOST_REASONS: Final = 64
OTHER: Final = "other"


class Latencies:
    """One kind of latency: the newest measurements and how many there were."""

    __slots__ = ("_count", "_newest")

    def __init__(self) -> None:
        """Start with none."""
        self._newest: deque[float] = deque(maxlen=NEWEST)
        self._count = 0

    def add(self, seconds: float) -> None:
        """Remember a measurement; clocks that disagree give none below zero [s]."""
        self._newest.append(max(0.0, seconds))
        self._count += 1

    def summary(self) -> LatencySummary:
        """Return the percentiles of the newest."""
        return summarise_latency(self._newest, count=self._count)


@dataclass(slots=True)
class Tally:
    """What became of trades: of one leader, or of all."""

    seen: int = 0
    copied: int = 0
    accumulated: int = 0
    repeated: int = 0
    voided: int = 0
    conversions: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    last_trade_at: datetime | None = None

    def skip(self, reason_code: str) -> None:
        """Count a trade that was not copied."""
        count_reason(self.skipped, reason_code)

    def refuse(self, check: str) -> None:
        """Count a trade that a limit stopped."""
        count_reason(self.refused, check)

    def counts(self) -> CopyCounts:
        """Return the counts so far."""
        return CopyCounts(
            seen=self.seen,
            copied=self.copied,
            accumulated=self.accumulated,
            refused=dict(self.refused),
            skipped=dict(self.skipped),
            repeated=self.repeated,
            voided=self.voided,
            conversions=self.conversions,
        )


class Tallies:
    """The counts of every leader; those of all are their sum, and of leaders that left."""

    __slots__ = ("_gone", "_of")

    def __init__(self) -> None:
        """Start from nothing."""
        self._of: dict[LeaderAddress, Tally] = {}
        self._gone = Tally()

    def of(self, leader: LeaderAddress) -> Tally:
        """Return a leader's counts."""
        tally = self._of.get(leader)
        if tally is None:
            tally = self._of[leader] = Tally()
        return tally

    def keep_only(self, leaders: Mapping[LeaderAddress, object]) -> None:
        """Fold the counts of whoever is not followed any more into one."""
        for address in [address for address in self._of if address not in leaders]:
            _add(self._gone, self._of.pop(address))

    def total(self) -> CopyCounts:
        """Return the counts of all leaders together."""
        total = Tally()
        for tally in (self._gone, *self._of.values()):
            _add(total, tally)
        return total.counts()


def count_reason(counts: dict[str, int], name: str) -> None:
    """Count one more of a reason; names beyond the bound share one."""
    if name not in counts and len(counts) >= MOST_REASONS:
        name = OTHER
    counts[name] = counts.get(name, 0) + 1


def _add(total: Tally, part: Tally) -> None:
    total.seen += part.seen
    total.copied += part.copied
    total.accumulated += part.accumulated
    total.repeated += part.repeated
    total.voided += part.voided
    total.conversions += part.conversions
    for mine, theirs in ((total.refused, part.refused), (total.skipped, part.skipped)):
        for name, count in theirs.items():
            mine[name] = mine.get(name, 0) + count
