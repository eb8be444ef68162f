"""What a client of the stream asks for, and which messages that is."""

from dataclasses import dataclass
from typing import Final

import msgspec

from polybot.sandbox.leaders.events import WalletTrade

TYPES: Final = ("trades", "orders_matched")
_TOPIC: Final = "activity"
_EVERY: Final = "*"


class _Wanted(msgspec.Struct):
    topic: str
    type: str = _EVERY
    filters: str = ""


class _Request(msgspec.Struct):
    action: str
    subscriptions: list[_Wanted] = []


class _Filters(msgspec.Struct):
    event_slug: str | None = None
    market_slug: str | None = None


@dataclass(frozen=True, slots=True)
class Subscription:
    """One type of messages, of one event or of all."""

    kind: str
    event_slug: str | None = None
    market_slug: str | None = None

    def fits(self, trade: WalletTrade) -> bool:
        """Whether a trade is told of."""
        if self.kind == "orders_matched" and not trade.is_taker:
            return False
        return self.event_slug in (None, trade.token.event_slug) and self.market_slug in (
            None,
            trade.token.slug,
        )

    @property
    def is_everything(self) -> bool:
        """Whether there is no filter."""
        return self.event_slug is None and self.market_slug is None


class Subscriptions:
    """What one connection has asked for."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._active: list[Subscription] = []

    def change(self, text: str) -> str | None:
        """Do what a client asks.

        Returns:
            ``subscribe`` or ``unsubscribe``; ``None`` where it makes no sense.
        """
        try:
            request = msgspec.json.decode(text, type=_Request)
            wanted = [one for asked in request.subscriptions for one in _read(asked)]
        except msgspec.DecodeError:
            return None
        if request.action == "subscribe":
            self._active += [one for one in wanted if one not in self._active]
        elif request.action == "unsubscribe":
            self._active = [one for one in self._active if one not in wanted]
        else:
            return None
        return request.action

    @property
    def active(self) -> tuple[Subscription, ...]:
        """What is told of."""
        return tuple(self._active)

    def of_everything(self) -> list[str]:
        """Return the types that are told of without a filter."""
        return [one.kind for one in self._active if one.is_everything]

    def fitting(self, trade: WalletTrade) -> list[str]:
        """Return the types as which a trade is told."""
        return list(dict.fromkeys(one.kind for one in self._active if one.fits(trade)))


def _read(asked: _Wanted) -> list[Subscription]:
    if asked.topic not in (_TOPIC, _EVERY):
        return []
    filters = _Filters()
    if asked.filters:
        filters = msgspec.json.decode(asked.filters, type=_Filters)
    kinds = TYPES if asked.type == _EVERY else (asked.type,)
    return [
        Subscription(kind, filters.event_slug, filters.market_slug)
        for kind in kinds
        if kind in TYPES
    ]
