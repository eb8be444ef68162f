"""What was told of one transaction's fills, and which later sighting is of which of them.

Sources write one fill with slightly different numbers (an average as a float, a size rounded for
people), and one transaction may hold several fills of one wallet, some of them exactly alike. So
sightings are matched one to one: the same numbers first, then numbers within rounding, but the
latter only where the source has not shown that fill before.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from polybot.domain.leaders import FeedSource, LeaderTrade, LeaderTradeKey

# Half of the last digit that sources are known to round to: cents of shares, a 0.0001 tick.
_SIZE_ROUNDING: Final = Decimal("0.005")
_PRICE_ROUNDING: Final = Decimal("0.00005")
# A transaction has room for a few dozen fills; more is somebody's invention.
MOST_FILLS: Final = 256
"""Of one wallet in one transaction, token and side; more are held back."""
# While a transaction is being indexed, sources show parts of it.
_INDEXING: Final = timedelta(seconds=10)


@dataclass(slots=True, kw_only=True)
class ToldFill:
    """One fill that was told, or that the ledger knows."""

    key: LeaderTradeKey
    price: Decimal
    size: Decimal
    trade: LeaderTrade | None
    """As it was told; ``None`` where only the ledger's key is known."""
    seen_by: set[FeedSource] = field(default_factory=set)
    log_index: int | None = None
    is_disputed: bool = False
    """Whether a person was told that sources describe it differently."""

    def is_same(self, other: LeaderTrade) -> bool:
        """Whether the numbers are equal."""
        return self.price == other.price and self.size == other.size

    def is_near(self, other: LeaderTrade) -> bool:
        """Whether the numbers differ by no more than rounding."""
        return (
            abs(self.price - other.price) <= _PRICE_ROUNDING
            and abs(self.size - other.size) <= _SIZE_ROUNDING
        )


@dataclass(slots=True, kw_only=True)
class FillGroup:
    """All fills of one wallet in one transaction, token and side."""

    touched_at: datetime
    told: list[ToldFill] = field(default_factory=list)
    held: list[LeaderTrade] = field(default_factory=list)
    """Sightings that contradict what was told, as far as can be seen."""
    reported: list[LeaderTrade] = field(default_factory=list)
    """Those of the held ones that a person was told of."""

    def match(self, trade: LeaderTrade, *, log_index: int | None = None) -> ToldFill | None:
        """Return the told fill that a single sighting is of."""
        if log_index is not None:
            bound = [fill for fill in self.told if fill.log_index == log_index]
            if bound:
                return bound[0]
        free = [fill for fill in self.told if log_index is None or fill.log_index is None]
        for fill in free:
            if fill.is_same(trade):
                return fill
        return _nearest(trade, [fill for fill in free if trade.source not in fill.seen_by])

    def match_all(
        self, trades: list[LeaderTrade]
    ) -> tuple[list[tuple[ToldFill, LeaderTrade]], list[LeaderTrade], list[ToldFill]]:
        """Match a complete list of fills with what was told.

        Returns:
            The pairs, the fills that were not told, and what was told and is not in the list.
        """
        pairs: list[tuple[ToldFill, LeaderTrade]] = []
        missing = list(self.told)
        unlike: list[LeaderTrade] = []
        for trade in trades:
            found = next((fill for fill in missing if fill.is_same(trade)), None)
            if found is None:
                unlike.append(trade)
            else:
                missing.remove(found)
                pairs.append((found, trade))
        new: list[LeaderTrade] = []
        for trade in unlike:
            found = _nearest(trade, missing)
            if found is None:
                new.append(trade)
            else:
                missing.remove(found)
                pairs.append((found, trade))
        return pairs, new, missing

    def is_complete_for(self, source: FeedSource) -> bool:
        """Whether a source has shown everything that was told, so that more from it is more."""
        return len(self.told) < MOST_FILLS and all(source in fill.seen_by for fill in self.told)

    def count_like(self, trade: LeaderTrade) -> int:
        """Return how many fills with the same numbers were told."""
        return sum(fill.is_same(trade) for fill in self.told)

    def hold(self, trade: LeaderTrade) -> None:
        """Hold a sighting back."""
        is_held = any(_is_alike(one, trade) for one in self.held)
        if not is_held and len(self.held) < MOST_FILLS:
            self.held.append(trade)

    def release(self, trade: LeaderTrade) -> None:
        """Forget held sightings of a fill that turned out to be true."""
        self.held = [one for one in self.held if not _is_alike(one, trade)]
        self.reported = [one for one in self.reported if not _is_alike(one, trade)]

    def overdue(self, now: datetime | None) -> list[LeaderTrade]:
        """Return each held sighting once that did not turn out true in time (``None``: all)."""
        found = [
            one
            for one in self.held
            if one not in self.reported and (now is None or now >= one.received_at + _INDEXING)
        ]
        self.reported += found
        return found


def _is_alike(one: LeaderTrade, other: LeaderTrade) -> bool:
    return one.price == other.price and one.size == other.size


def _nearest(trade: LeaderTrade, fills: list[ToldFill]) -> ToldFill | None:
    near = [fill for fill in fills if fill.is_near(trade)]
    return min(
        near,
        key=lambda fill: (abs(fill.size - trade.size), abs(fill.price - trade.price)),
        default=None,
    )
