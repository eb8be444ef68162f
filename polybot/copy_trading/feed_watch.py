"""What feeds throw away, told to the owner: once an hour for every reason, never one by one.

Somebody who feeds us bad input must not go unnoticed, nor be able to ring a phone all day. The
counts are the feeds' own; nothing here is on the path of a trade.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

import structlog

from polybot.copy_trading.notices import contradiction_alert, rejected_alert
from polybot.copy_trading.tally import count_reason
from polybot.domain.alerts import Alert
from polybot.domain.leaders import LeaderTrade
from polybot.domain.modes import Mode
from polybot.ports import BookFeed, InstantClock, LeaderFeed, Ledger

log = structlog.get_logger(__name__)

EXPECTED: Final = frozenset(
    {
        # Other things that wallets do, other markets, what nobody asked for any more.
        "combo",
        "no-trade",
        "conversion-of-nothing",
        "other-topic",
        "token-unknown",
        "token-not-watched",
        "event-of-other-kind",
        # Connections that end and answers that come late; troubles and health show them.
        "connection-failed",
        "rate-limited",
        "data-api-unreachable",
        "older-than-memory",
        "leader-walk-unsettled",
        "book-not-read",
        # Of windows that the venue has not opened yet, or has closed.
        "book-missing",
        # Books that lost an event: noticed, counted as gaps and read again.
        "touch-differs",
        "out-of-order",
        "book-crossed",
        "book-off-tick",
    }
)
"""Reasons that come up while everything is well; every other one is told."""
_BOOKS: Final = "books"


class FeedWatch:
    """Looks at the feeds' counts now and then, and takes in contradictions as they come."""

    def __init__(
        self,
        feed: LeaderFeed,
        books: BookFeed,
        ledger: Ledger,
        clock: InstantClock,
        *,
        mode: Mode,
        later: Callable[[Callable[[], None]], None],
    ) -> None:
        """Take the feeds and where alerts go; ``later`` runs something after the present event."""
        self._feed = feed
        self._books = books
        self._ledger = ledger
        self._clock = clock
        self._mode = mode
        self._later = later
        self._seen: dict[tuple[str, str], int] = {}
        self._told: set[str] = set()
        self._hour: datetime | None = None
        self.contradictions: dict[str, int] = {}
        """Sightings that contradicted what was told, and are not told, by reason."""

    def contradict(self, trade: LeaderTrade, reason: str) -> None:
        """Take in that a source contradicts another about a leader's trade; it is held back."""
        count_reason(self.contradictions, reason)
        log.warning("leader trade contradicts another source", key=trade.key, reason=reason)
        at = self._clock.instant()
        alert = contradiction_alert(trade, reason, at=at, mode=self._mode)
        self._later(lambda: self._tell(alert, at))

    def look(self) -> None:
        """Tell of every reason by which something was thrown away since the last look.

        Raises:
            TransientError, PermanentError: The ledger cannot be written; look again.
        """
        for source in self._feed.health():
            self._compare(source.name, source.rejected)
        self._compare(_BOOKS, self._books.health().rejected)

    def _compare(self, name: str, rejected: Mapping[str, int]) -> None:
        at = self._clock.instant()
        for reason, count in rejected.items():
            new = count - self._seen.get((name, reason), 0)
            if new <= 0:
                continue
            if reason not in EXPECTED:
                alert = rejected_alert(name, reason, new, at=at, mode=self._mode)
                self._tell(alert, at)
            self._seen[name, reason] = count

    def _tell(self, alert: Alert, at: datetime) -> None:
        """Store an alert; the ledger is asked once for each, and remembers across restarts."""
        hour = at.replace(minute=0, second=0, microsecond=0)
        if hour != self._hour:
            self._hour, self._told = hour, set()
        if alert.dedupe_key not in self._told:
            self._ledger.add_alert(alert, at=at)
            self._told.add(alert.dedupe_key)
