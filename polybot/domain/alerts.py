"""What the owner is told."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class AlertKind(StrEnum):
    """Why somebody's phone rings."""

    FILL = "fill"
    REFUSED = "refused"
    SETTLEMENT = "settlement"
    RUN_FAILED = "run-failed"
    SKIPPED = "skipped"
    TRADING_STATE = "trading-state"
    DAILY_REPORT = "daily-report"
    RECONCILIATION = "reconciliation"
    """The venue's record and ours differed; what was done about it."""
    REDEMPTION = "redemption"
    """Winnings that a person has to turn into cash."""
    COPYING = "copying"
    """A leader was stopped, a trade of his failed, or nothing can be copied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One message; plain text, escaped by the channel that carries it."""

    kind: AlertKind
    dedupe_key: str
    """A second alert with the same key is never stored."""
    title: str
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxAlert:
    """An alert that waits for delivery."""

    id: int
    alert: Alert
    attempts: int
    """Failed deliveries so far."""
    created_at: datetime
