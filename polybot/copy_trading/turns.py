"""One order a market at a time: whoever comes while an order's end is open waits for his turn.

Risk refuses an order in a market with one whose fate is not known. A leader's next trade in the
market comes within milliseconds (several fills of one transaction are normal), so it waits here
instead of being refused.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from polybot.domain.leaders import (
    CopyPolicy,
    LeaderAddress,
    LeaderConversion,
    LeaderEvent,
    LeaderTrade,
    LeaderTradeKey,
)
from polybot.domain.markets import ConditionId


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitAgain:
    """An exit of ours that did not sell everything, to be tried again."""

    trade: LeaderTrade
    """The leader's sale, as it was told."""
    size: Decimal
    """What is still to be sold [shares]."""
    has_price: bool
    """Whether the trade's price means something; after a conversion it does not."""
    attempt: int
    """1 for the first one after the exit itself."""

    def max_age_s(self, policy: CopyPolicy) -> float:
        """Return how old what we follow may be [s]: a sale, or a merge, which is told late."""
        return policy.max_age_s if self.has_price else policy.max_conversion_age_s

    @property
    def leader(self) -> LeaderAddress:
        """Whom we follow out."""
        return self.trade.leader

    @property
    def condition_id(self) -> ConditionId:
        """The market that is left."""
        return self.trade.condition_id

    @property
    def key(self) -> LeaderTradeKey:
        """Of the leader's sale."""
        return self.trade.key


DeskEvent = LeaderEvent | ExitAgain


class MarketTurns:
    """Which markets have an order of ours in flight, and what waits for its end."""

    def __init__(self) -> None:
        """Start with every market free."""
        self._busy: set[ConditionId] = set()
        self._waiting: dict[ConditionId, deque[DeskEvent]] = {}

    def __len__(self) -> int:
        """Return how many events wait."""
        return sum(map(len, self._waiting.values()))

    def must_wait(self, condition_id: ConditionId) -> bool:
        """Return whether a market is busy, or others wait for it already."""
        return condition_id in self._busy or condition_id in self._waiting

    def is_busy(self, condition_id: ConditionId) -> bool:
        """Return whether an order of the market is on its way or unknown."""
        return condition_id in self._busy

    def begin(self, condition_id: ConditionId) -> None:
        """Note that an order of a market is on its way."""
        self._busy.add(condition_id)

    def end(self, condition_id: ConditionId) -> None:
        """Note that the end of a market's order is known."""
        self._busy.discard(condition_id)

    def wait(self, event: DeskEvent) -> None:
        """Queue an event behind the others of its market."""
        self._waiting.setdefault(event.condition_id, deque()).append(event)

    def next(self, condition_id: ConditionId) -> DeskEvent | None:
        """Take the event whose turn it is, where the market is free."""
        queue = self._waiting.get(condition_id)
        if queue is None or condition_id in self._busy:
            return None
        event = queue.popleft()
        if not queue:
            del self._waiting[condition_id]
        return event

    def wait_first(self, event: DeskEvent) -> None:
        """Put an event that is not done yet before the others of its market."""
        self._waiting.setdefault(event.condition_id, deque()).appendleft(event)

    def take(self, event: DeskEvent) -> None:
        """Take an event out of its queue, whether or not it is its turn."""
        queue = self._waiting[event.condition_id]
        queue.remove(event)
        if not queue:
            del self._waiting[event.condition_id]

    def free_markets(self) -> tuple[ConditionId, ...]:
        """Return markets in which something waits although nothing is in flight."""
        return tuple(one for one in self._waiting if one not in self._busy)

    def waiting(self) -> Iterator[DeskEvent]:
        """Go through everything that waits."""
        for queue in self._waiting.values():
            yield from queue

    def oldest(self, leader: LeaderAddress) -> datetime | None:
        """Return when the oldest of a leader's waiting events happened."""
        return min(
            (happened_at(event) for event in self.waiting() if event.leader == leader),
            default=None,
        )


def happened_at(event: DeskEvent) -> datetime:
    """Return when a leader did something."""
    match event:
        case LeaderTrade(traded_at=instant) | LeaderConversion(happened_at=instant):
            return instant
        case ExitAgain(trade=trade):
            return trade.traded_at
