"""Loops of followers: a leader who does what we did, after each time we did it, follows us.

Whoever copies us while we copy him makes both of us trade for ever. He shows by trading strictly
in turn: one trade of his within a moment after each order of ours in the same token and
direction, of the same share of its size, again and again. A steady trader on his own business can
look like that, too, so one trade is then left uncopied: who goes on all the same does not follow
us, and is not suspected for an hour; who falls silent twice is throttled.

Only our entries are told here. An exit is bounded by what we hold, so no loop lives on exits, and
none is left uncopied to see who follows whom.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum, auto
from typing import Final

from polybot.domain.leaders import LeaderAddress, LeaderTrade
from polybot.domain.markets import OutcomeTokenId
from polybot.domain.orders import Side

MOMENT: Final = timedelta(seconds=4)
# Blocks are dated in whole seconds: an echo may seem to be a second older than its cause.
_BLOCK: Final = timedelta(seconds=1)
MOST_TURNS: Final = 10
MOST_SILENCES: Final = 2
TRUSTED_FOR: Final = timedelta(hours=1)
# Followers round to whole cents and to the venue's minimum.
ALIKE: Final = Decimal("0.05")
_MOST_PLACES: Final = 4096
_Place = tuple[LeaderAddress, OutcomeTokenId, Side]


class Echo(Enum):
    """What a leader's trade says about whom he follows."""

    NONE = auto()
    SUSPECTED = auto()
    """He has answered our orders for a while: leave this one uncopied, and see."""
    LOOP = auto()
    """He follows us."""


@dataclass(slots=True)
class _Turn:
    """Our last order in a place, and the turns that were taken there before."""

    at: datetime
    size: Decimal
    is_answered: bool = False
    turns: int = 0
    share: Decimal | None = None
    """Of our order's size that the leader's answer was."""


@dataclass(slots=True)
class _Suspect:
    """What is known of a leader who looked like a follower."""

    silences: int = 0
    trusted_until: datetime | None = None
    place: _Place | None = None
    """Where a trade of his was left uncopied …"""
    at: datetime | None = None
    """… and when."""


class EchoWatch:
    """Counts how often leaders traded in turn with us; bounded."""

    def __init__(self) -> None:
        """Start with no order of ours."""
        self._last: dict[_Place, _Turn] = {}
        self._suspects: dict[LeaderAddress, _Suspect] = {}

    def note_order(self, trade: LeaderTrade, size: Decimal, at: datetime) -> None:
        """Remember an entry of ours [shares] that copied a leader's trade."""
        place = (trade.leader, trade.token_id, trade.side)
        before = self._last.pop(place, None)
        now = _Turn(at=at, size=size)
        if before is not None and before.is_answered:
            now.turns, now.share = before.turns, before.share
        self._last[place] = now
        if len(self._last) > _MOST_PLACES:
            del self._last[next(iter(self._last))]

    def hear(self, trade: LeaderTrade) -> Echo:
        """Take in a leader's trade and return what it says of him."""
        place = (trade.leader, trade.token_id, trade.side)
        suspect = self._suspects.get(trade.leader)
        if suspect is not None:
            if self._is_over(suspect, place, trade.traded_at):
                return Echo.LOOP
            if suspect.trusted_until is not None and trade.traded_at < suspect.trusted_until:
                return Echo.NONE
        if not self._is_answer(place, trade):
            return Echo.NONE
        self._suspect(place, trade.traded_at)
        return Echo.SUSPECTED

    def recall(self, trade: LeaderTrade, *, was_left_out: bool) -> None:
        """Take in a trade of an earlier loop, and whether it was left uncopied to see.

        What was done then counts, whatever would be concluded from what is read again: the turns
        before it are not there, or that loop had not seen them.
        """
        echo = self.hear(trade)
        if echo is Echo.LOOP:
            # He was throttled then, and whoever is copied now was lifted by a person.
            self.forget(trade.leader)
        elif was_left_out:
            self._suspect((trade.leader, trade.token_id, trade.side), trade.traded_at)
        elif echo is Echo.SUSPECTED:
            suspect = self._suspects[trade.leader]
            suspect.place = suspect.at = None

    def forget(self, leader: LeaderAddress) -> None:
        """Know nothing of a leader any more."""
        self._suspects.pop(leader, None)
        for place in [place for place in self._last if place[0] == leader]:
            del self._last[place]

    def _suspect(self, place: _Place, at: datetime) -> None:
        """Remember a trade that is left uncopied."""
        self._last.pop(place, None)
        suspect = self._suspects.setdefault(place[0], _Suspect())
        suspect.place, suspect.at = place, at

    def _is_over(self, suspect: _Suspect, place: _Place, traded_at: datetime) -> bool:
        """Conclude from what followed an uncopied trade; whether the leader follows us."""
        if suspect.at is None:
            return False
        is_soon = traded_at <= suspect.at + MOMENT
        if is_soon and place == suspect.place:
            suspect.silences = 0
            suspect.trusted_until = traded_at + TRUSTED_FOR
        elif is_soon:
            return False
        else:
            suspect.silences += 1
        suspect.place = suspect.at = None
        return suspect.silences >= MOST_SILENCES

    def _is_answer(self, place: _Place, trade: LeaderTrade) -> bool:
        """Count a turn; whether there were too many in a row."""
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
