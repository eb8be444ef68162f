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


@dataclass(slots=True, kw_only=True, eq=False)
class ToldFill:
    """One fill that was told, or that the ledger knows."""

    key: LeaderTradeKey
    price: Decimal
    size: Decimal
    trade: LeaderTrade | None
    """As it was told; ``None`` where only the ledger's key is known."""
    seen_by: set[FeedSource] = field(default_factory=set)
    aliases: tuple[tuple[FeedSource, Decimal, Decimal], ...] = ()
    """Other numbers, within rounding, by which sources have shown it."""
    log_index: int | None = None
    last_walk: int = 0
    """The newest complete walk that listed it; 0: none."""
    is_disputed: bool = False
    """Whether a person was told that sources describe it differently."""

    def is_same(self, other: LeaderTrade) -> bool:
        """Whether the numbers are equal."""
        return self.price == other.price and self.size == other.size

    def is_known_as(self, other: LeaderTrade) -> bool:
        """Whether a source has shown this fill with such numbers before."""
        return (other.source, other.price, other.size) in self.aliases

    def see(self, other: LeaderTrade) -> None:
        """Note that a source has shown this fill, and with which numbers."""
        self.seen_by.add(other.source)
        if not self.is_same(other) and not self.is_known_as(other):
            self.aliases = (*self.aliases, (other.source, other.price, other.size))

    def is_near(self, other: LeaderTrade) -> bool:
        """Whether the numbers differ by no more than rounding."""
        return (
            abs(self.price - other.price) <= _PRICE_ROUNDING
            and abs(self.size - other.size) <= _SIZE_ROUNDING
        )


@dataclass(slots=True, kw_only=True, eq=False)
class HeldFill:
    """One sighting that is held back."""

    trade: LeaderTrade
    log_index: int | None = None
    is_reported: bool = False
    """Whether a person was told of it."""

    def is_alike(self, other: LeaderTrade | ToldFill) -> bool:
        """Whether the numbers are equal."""
        return self.trade.price == other.price and self.trade.size == other.size


@dataclass(slots=True, kw_only=True)
class FillGroup:
    """All fills of one wallet in one transaction, token and side."""

    touched_at: datetime
    told: list[ToldFill] = field(default_factory=list)
    held: list[HeldFill] = field(default_factory=list)
    """Sightings that contradict what was told, as far as can be seen."""

    def match(self, trade: LeaderTrade, *, log_index: int | None = None) -> ToldFill | None:
        """Return the told fill that a single sighting is of."""
        if log_index is not None:
            bound = [fill for fill in self.told if fill.log_index == log_index]
            if bound:
                return bound[0]
        free = [fill for fill in self.told if log_index is None or fill.log_index is None]
        exact = [fill for fill in free if fill.is_same(trade)]
        exact = exact or [fill for fill in free if fill.is_known_as(trade)]
        if exact:
            return exact[0]
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

    def hold(self, trade: LeaderTrade, log_index: int | None = None) -> None:
        """Hold a sighting back; the same one again is not another."""
        is_held = any(
            one.is_alike(trade) and one.log_index == log_index
            for one in self.held
            if one.trade.source is trade.source
        )
        if not is_held and len(self.held) < MOST_FILLS:
            self.held.append(HeldFill(trade=trade, log_index=log_index))

    def absorb(self, fill: ToldFill) -> None:
        """Let one held sighting a source be of a fill that has just been told."""
        for one in tuple(self.held):
            is_of_it = one.is_alike(fill) or (
                one.trade.source not in fill.seen_by and fill.is_near(one.trade)
            )
            is_taken = one.log_index is not None and fill.log_index is not None
            if is_of_it and not is_taken:
                self.held.remove(one)
                fill.see(one.trade)
                fill.log_index = one.log_index if fill.log_index is None else fill.log_index

    def take_held(self, source: FeedSource) -> list[HeldFill]:
        """Return what is held of a source that by now has shown all that was told; hold it no more.

        The first only: once it is told, the others may be of it.
        """
        if not self.is_complete_for(source):
            return []
        waiting = [one for one in self.held if one.trade.source is source][:1]
        self.held = [one for one in self.held if one not in waiting]
        return waiting

    def overdue(self, now: datetime | None) -> list[LeaderTrade]:
        """Return each held sighting once that did not turn out true in time (``None``: all)."""
        found = [
            one
            for one in self.held
            if not one.is_reported and (now is None or now >= one.trade.received_at + _INDEXING)
        ]
        for one in found:
            one.is_reported = True
        return [one.trade for one in found]


def _nearest(trade: LeaderTrade, fills: list[ToldFill]) -> ToldFill | None:
    near = [fill for fill in fills if fill.is_near(trade)]
    return min(
        near,
        key=lambda fill: (abs(fill.size - trade.size), abs(fill.price - trade.price)),
        default=None,
    )
