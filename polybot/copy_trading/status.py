"""What the copy loop shows of itself: one value, taken at any time, of bounded size.

The loop's own counts are since its start; what was recorded before is in the ledger.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from polybot.domain.books import BookFeedHealth
from polybot.domain.leaders import (
    FeedSource,
    LeaderAddress,
    LeaderState,
    Lease,
    SourceHealth,
)
from polybot.domain.markets import OutcomeTokenId
from polybot.domain.modes import TradingState


class CopyPhase(StrEnum):
    """What the loop is doing."""

    WAITING = "waiting"
    """Another loop holds the lease."""
    STARTING = "starting"
    """Reconciling, learning what leaders hold, reading what was missed."""
    TRADING = "trading"
    BROKEN = "broken"
    """Something that trading needs does not work; ``troubles`` says what. It is tried again."""
    STOPPING = "stopping"
    """No new copies; what is in flight is recorded."""
    STOPPED = "stopped"


class CopyEnd(StrEnum):
    """Why the loop ended; the supervisor goes by it."""

    STOP = "stop"
    """Whoever runs the loop asked for it."""
    LEASE_LOST = "lease-lost"
    """Another loop took over; this one may queue up again."""
    NOT_WANTED = "not-wanted"
    """A person wants no copy trading until a person wants it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencySummary:
    """A latency over the newest trades [s]; all 0 where ``count`` is."""

    count: int = 0
    """How many were measured since the start; the percentiles are of the newest thousand."""
    p50_s: float = 0.0
    p95_s: float = 0.0
    p99_s: float = 0.0
    max_s: float = 0.0


def summarise_latency(seconds: Iterable[float], *, count: int | None = None) -> LatencySummary:
    """Return the nearest-rank percentiles of measured latencies.

    Args:
        seconds: The newest measurements, in any order [s].
        count: How many were measured in all; default: as many as are given.
    """
    ordered = sorted(seconds)
    if not ordered:
        return LatencySummary(count=count or 0)

    def rank(fraction: float) -> float:
        return ordered[max(0, math.ceil(fraction * len(ordered)) - 1)]

    return LatencySummary(
        count=len(ordered) if count is None else count,
        p50_s=rank(0.50),
        p95_s=rank(0.95),
        p99_s=rank(0.99),
        max_s=ordered[-1],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyCounts:
    """What became of leader trades, since the loop's start."""

    seen: int = 0
    """Trades heard for the first time; each is counted in one of the four below, or waits."""
    copied: int = 0
    accumulated: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    """By the check that failed first."""
    skipped: dict[str, int] = field(default_factory=dict)
    """By reason code."""
    repeated: int = 0
    """Sightings of what was known already, also from before the start."""
    voided: int = 0
    """Trades that FAILED after they were recorded."""
    conversions: int = 0

    @property
    def refused_count(self) -> int:
        """How many trades a limit stopped."""
        return sum(self.refused.values())

    @property
    def skipped_count(self) -> int:
        """How many trades were not to be copied."""
        return sum(self.skipped.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaderStatus:
    """One leader as the loop sees it."""

    address: LeaderAddress
    name: str
    state: LeaderState
    state_reason: str
    counts: CopyCounts
    last_trade_at: datetime | None
    """The newest fill that was heard of."""
    watermark: datetime
    """Everything up to here is recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCounts:
    """What became of our copies' orders, since the loop's start."""

    in_flight: int = 0
    """Sent and not answered."""
    unknown: int = 0
    """Answered with nothing that proves their fate; they are being looked up."""
    filled: int = 0
    unfilled: int = 0
    """Nothing was matched, or the venue refused them."""
    waiting_trades: int = 0
    """Leader trades that wait until an order of the same market is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """How far our position through a leader is from what its policy aims at."""

    leader: LeaderAddress
    token_id: OutcomeTokenId
    slug: str
    leader_size: Decimal
    """What the venue says the leader holds [shares]."""
    recorded_leader_size: Decimal
    """What the recorded trades add up to [shares]."""
    expected_size: Decimal | None
    """``scale`` × ``leader_size`` [shares]; ``None``: the sizing aims at no share of his."""
    our_size: Decimal
    """[shares]"""

    @property
    def difference(self) -> Decimal | None:
        """Ours minus expected [shares]: positive where we hold more than the leader's share."""
        return None if self.expected_size is None else self.our_size - self.expected_size


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """A part of the loop that failed and is, or was, tried again."""

    part: str
    """``feed``, ``books``, ``catalog``, ``leaders``, ``ledger``, ``drift``, ``orders``, …"""
    problem: str
    failures: int
    """Since the start."""
    since: datetime
    """Of the first failure in a row."""
    is_over: bool
    """Whether it works again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyStatus:
    """The copy loop at one moment."""

    phase: CopyPhase
    at: datetime
    """By the loop's clock (the sandbox's in a sandbox)."""
    started_at: datetime
    end: CopyEnd | None
    """``None`` while it runs."""
    reason: str
    """Why it ended, waits or is broken; empty while it trades."""
    holder: str
    lease: Lease | None
    trading_state: TradingState
    leaders: tuple[LeaderStatus, ...]
    counts: CopyCounts
    orders: OrderCounts
    feed_lag: LatencySummary
    """Leader's fill until received; the fill is dated in whole seconds."""
    own_time: LatencySummary
    """Received until sent: what this program takes."""
    venue_time: LatencySummary
    """Sent until answered."""
    sources: tuple[SourceHealth, ...]
    known_markets: int
    drift: tuple[Drift, ...]
    drift_at: datetime | None
    """``None``: not compared yet."""
    troubles: tuple[Trouble, ...]
    books: BookFeedHealth = field(default_factory=BookFeedHealth)
    later_than_first: dict[FeedSource, tuple[int, ...]] = field(default_factory=dict)
    """Sightings of what another source had told before, by ``LAG_BUCKETS_S``."""
    contradictions: dict[str, int] = field(default_factory=dict)
    """Sightings that contradicted another source's and were held back, by reason."""
