"""Loops of followers: a leader who does what we did, after each time we did it, follows us.

Whoever copies us while we copy him makes both of us trade for ever. He shows by trading strictly
in turn: one trade of his within a moment after each order of ours in the same token and
direction, of the same share of its size, again and again. A fast trader on his own business
breaks that pattern soon; where he does not, a person may lift the throttle.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from polybot.domain.leaders import LeaderAddress, LeaderTrade
from polybot.domain.markets import OutcomeTokenId
from polybot.domain.orders import Side

MOMENT: Final = timedelta(seconds=4)
# Blocks are dated in whole seconds: an echo may seem to be a second older than its cause.
_BLOCK: Final = timedelta(seconds=1)
MOST_TURNS: Final = 10
# Followers round to whole cents and to the venue's minimum.
ALIKE: Final = Decimal("0.05")
_MOST_PLACES: Final = 4096
_Place = tuple[LeaderAddress, OutcomeTokenId, Side]


@dataclass(slots=True)
class _Turn:
    """Our last order in a place, and the turns that were taken there before."""

    at: datetime
    size: Decimal
    is_answered: bool = False
    turns: int = 0
    share: Decimal | None = None
    """Of our order's size that the leader's answer was."""


class EchoWatch:
    """Counts how often a leader traded in turn with us; bounded."""

    def __init__(self) -> None:
        """Start with no order of ours."""
        self._last: dict[_Place, _Turn] = {}

    def note_order(self, trade: LeaderTrade, size: Decimal, at: datetime) -> None:
        """Remember an order of ours [shares] that copied a leader's trade."""
        place = (trade.leader, trade.token_id, trade.side)
        before = self._last.pop(place, None)
        now = _Turn(at=at, size=size)
        if before is not None and before.is_answered:
            now.turns, now.share = before.turns, before.share
        self._last[place] = now
        if len(self._last) > _MOST_PLACES:
            del self._last[next(iter(self._last))]

    def is_echo(self, trade: LeaderTrade) -> bool:
        """Take in a leader's trade; whether he has answered our orders too often in a row."""
        place = (trade.leader, trade.token_id, trade.side)
        ours = self._last.get(place)
        if ours is None:
            return False
        is_soon = ours.at - _BLOCK <= trade.traded_at <= ours.at + MOMENT
        if ours.is_answered or not is_soon:
            # Out of turn: on his own business.
            del self._last[place]
            return False
        share = trade.size / ours.size
        is_alike = ours.share is not None and abs(share - ours.share) <= ALIKE * ours.share
        ours.is_answered = True
        ours.turns = ours.turns + 1 if is_alike else 1
        ours.share = share
        return ours.turns >= MOST_TURNS

    def forget(self, leader: LeaderAddress) -> None:
        """Count a leader's turns from none again."""
        for place in [place for place in self._last if place[0] == leader]:
            del self._last[place]
