"""What leaders did a moment ago: bounded counts in memory, for the throttle and for flips.

A loop that starts fills them from the ledger, so that a restart lifts nothing.
"""

from collections import OrderedDict, deque
from datetime import datetime
from typing import Final

from polybot.domain.leaders import LeaderAddress, LeaderTrade
from polybot.domain.markets import OutcomeTokenId
from polybot.domain.orders import Side

# Far more than are traded within the longest window of a policy; the oldest go first.
MAX_TRADES: Final = 8192
MAX_LEADERS: Final = 4096
MAX_COPIES: Final = 1000
"""Copies remembered of one leader; no policy may allow more within its window."""


class RecentActivity:
    """Bounded memory of leaders' last trades and of our last copies of them."""

    __slots__ = ("_copies", "_trades")

    def __init__(self) -> None:
        self._trades: OrderedDict[tuple[LeaderAddress, OutcomeTokenId, Side], datetime] = (
            OrderedDict()
        )
        self._copies: OrderedDict[LeaderAddress, deque[datetime]] = OrderedDict()

    def note(self, trade: LeaderTrade, at: datetime) -> None:
        """Remember a leader's trade, copied or not, after its decision.

        Args:
            trade: The trade; an earlier fill that is told late does not replace a later one.
            at: The instant of the decision; fills that claim to be later count as of then.
        """
        key = (trade.leader, trade.token_id, trade.side)
        traded_at = min(trade.traded_at, at)
        known = self._trades.pop(key, None)
        self._trades[key] = traded_at if known is None or traded_at > known else known
        if len(self._trades) > MAX_TRADES:
            self._trades.popitem(last=False)

    def note_copy(self, leader: LeaderAddress, at: datetime) -> None:
        """Count an order that copies a leader; once it is recorded."""
        copies = self._copies.get(leader)
        if copies is None:
            copies = self._copies[leader] = deque(maxlen=MAX_COPIES)
            if len(self._copies) > MAX_LEADERS:
                self._copies.popitem(last=False)
        copies.append(at)

    def last_traded_at(
        self, leader: LeaderAddress, token_id: OutcomeTokenId, side: Side
    ) -> datetime | None:
        """Return when a leader last bought or sold a token, as far as it is remembered."""
        return self._trades.get((leader, token_id, side))

    def copies_since(self, leader: LeaderAddress, since: datetime) -> int:
        """Return how many copies were counted at ``since`` or later."""
        copies = self._copies.get(leader)
        if copies is None:
            return 0
        while copies and copies[0] < since:
            copies.popleft()
        return len(copies)

    def forget(self, leader: LeaderAddress) -> None:
        """Count a leader's copies from none again: a person has lifted the throttle."""
        self._copies.pop(leader, None)
