"""Frames of the market socket: what each says about which token's book, or why it is not taken.

Frames are single events or lists of them. Everything is read strictly; a row that cannot be read
names its token where that can be told, because a change of that token has then been missed.

Source: docs.polymarket.com/market-data/websocket/market-channel (2026-11-22) and frames recorded
in April and August 2026.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from polybot.adapters.polymarket.wire.strict import (
    decode_text,
    epoch,
    number,
    quote,
    shaped,
    tick_size,
    token_id,
)
from polybot.domain.markets import OutcomeTokenId
from polybot.domain.orders import Side
from polybot.errors import DataError

MALFORMED: Final = "event-malformed"
_MAX_LEVELS: Final = 10_000
# As in an answer of ``GET /book``: a typing error, or bait.
_LARGEST_SIZE: Final = 10**9
_SMALL_TALK: Final = frozenset({"", "PONG", "pong", "[]"})
# About markets in general, or about prices that the levels tell already.
_OTHER_EVENTS: Final = frozenset({"best_bid_ask", "new_market", "market_resolved"})

Levels = dict[Decimal, Decimal]
"""Total size by price; in a change, 0 removes a price."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BookShown:
    """A whole book."""

    token_id: OutcomeTokenId
    bids: Levels
    asks: Levels
    tick_size: Decimal | None
    """``None`` where the frame does not tell it."""
    stamped_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelsChanged:
    """New totals of some prices of one token."""

    token_id: OutcomeTokenId
    bids: Levels
    asks: Levels
    touch: tuple[Decimal | None, Decimal | None] | None
    """Best bid and ask afterwards as the venue sees them; ``None``: not told."""
    stamped_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TickChanged:
    """Another price grid of one token."""

    token_id: OutcomeTokenId
    tick_size: Decimal
    stamped_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Traded:
    """An execution: nothing for the book, whose change is told apart, but a sign of life."""

    token_id: OutcomeTokenId
    stamped_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NotTaken:
    """A row, or a whole frame, that was not taken."""

    reason: str
    """Short stable name by which these are counted."""
    token_id: OutcomeTokenId | None = None
    """Whose change was missed, where it can be told."""


BookEvent = BookShown | LevelsChanged | TickChanged | Traded | NotTaken


class _LevelWire(msgspec.Struct):
    price: Any
    size: Any


class _BookWire(msgspec.Struct):
    asset_id: Any
    timestamp: Any
    bids: list[_LevelWire]
    asks: list[_LevelWire]
    tick_size: Any = None


class _ChangeWire(msgspec.Struct):
    asset_id: Any
    price: Any
    size: Any
    side: Any
    best_bid: Any = None
    best_ask: Any = None


class _ChangesWire(msgspec.Struct):
    price_changes: list[Any]
    timestamp: Any


class _TickWire(msgspec.Struct):
    asset_id: Any
    new_tick_size: Any
    timestamp: Any


class _TradeWire(msgspec.Struct):
    asset_id: Any
    timestamp: Any


def read_frame(text: str) -> tuple[BookEvent, ...]:
    """Return what one text frame says, in its order; never raises for what it holds."""
    if text.strip() in _SMALL_TALK:
        return ()
    try:
        found = decode_text(text)
    except DataError as error:
        return (NotTaken(reason=error.reason),)
    rows = found if isinstance(found, list) else [found]
    return tuple(event for row in rows for event in _events_of(row))


def _events_of(row: object) -> Iterator[BookEvent]:
    kind = row.get("event_type") if isinstance(row, dict) else None
    try:
        if kind == "book":
            yield _book(row)
        elif kind == "price_change":
            yield from _changes(row)
        elif kind == "tick_size_change":
            yield _tick(row)
        elif kind == "last_trade_price":
            wire = shaped(row, _TradeWire, reason=MALFORMED)
            yield Traded(
                token_id=token_id(wire.asset_id, reason=MALFORMED),
                stamped_at=_stamp(wire.timestamp),
            )
        elif isinstance(kind, str) and kind in _OTHER_EVENTS:
            yield NotTaken(reason="event-of-other-kind")
        else:
            yield NotTaken(reason="event-unknown", token_id=_named(row))
    except DataError as error:
        for named in _all_named(row):
            yield NotTaken(reason=error.reason, token_id=named)


def _book(row: object) -> BookShown:
    wire = shaped(row, _BookWire, reason=MALFORMED)
    if len(wire.bids) + len(wire.asks) > _MAX_LEVELS:
        raise DataError(f"book has more than {_MAX_LEVELS} levels", reason=MALFORMED)
    return BookShown(
        token_id=token_id(wire.asset_id, reason=MALFORMED),
        bids=_levels(wire.bids),
        asks=_levels(wire.asks),
        tick_size=None if wire.tick_size is None else tick_size(wire.tick_size, reason=MALFORMED),
        stamped_at=_stamp(wire.timestamp),
    )


def _levels(wires: list[_LevelWire]) -> Levels:
    levels = {_price(wire.price): _size(wire.size) for wire in wires}
    if len(levels) != len(wires) or not all(levels.values()):
        raise DataError("book repeats a price or shows an empty one", reason=MALFORMED)
    return levels


def _changes(row: object) -> Iterator[BookEvent]:
    """Yield one event a token, each with its last total of every price."""
    wire = shaped(row, _ChangesWire, reason=MALFORMED)
    if len(wire.price_changes) > _MAX_LEVELS:
        raise DataError(f"more than {_MAX_LEVELS} changes", reason=MALFORMED)
    stamped_at = _stamp(wire.timestamp)
    by_token: dict[OutcomeTokenId, LevelsChanged] = {}
    spoilt: dict[OutcomeTokenId | None, str] = {}
    for entry in wire.price_changes:
        try:
            _add_change(by_token, shaped(entry, _ChangeWire, reason=MALFORMED), stamped_at)
        except DataError as error:
            spoilt.setdefault(_named(entry), error.reason)
    for named, reason in spoilt.items():
        yield NotTaken(reason=reason, token_id=named)
    yield from (event for token, event in by_token.items() if token not in spoilt)


def _add_change(
    by_token: dict[OutcomeTokenId, LevelsChanged], wire: _ChangeWire, stamped_at: datetime
) -> None:
    token, price, size = (
        token_id(wire.asset_id, reason=MALFORMED),
        _price(wire.price),
        _size(wire.size),
    )
    if wire.side not in ("BUY", "SELL"):
        raise DataError(f"side is unknown: {quote(wire.side)}", reason=MALFORMED)
    before = by_token.get(token)
    event = LevelsChanged(
        token_id=token,
        bids={} if before is None else before.bids,
        asks={} if before is None else before.asks,
        touch=_touch(wire.best_bid, wire.best_ask),
        stamped_at=stamped_at,
    )
    (event.bids if wire.side == Side.BUY else event.asks)[price] = size
    by_token[token] = event


def _touch(bid: object, ask: object) -> tuple[Decimal | None, Decimal | None] | None:
    if bid is None or ask is None:
        return None
    best = [
        None
        if one in ("", "0", "1")
        else number(one, "best price", reason=MALFORMED, above=0, at_most=1)
        for one in (bid, ask)
    ]
    return best[0], best[1]


def _tick(row: object) -> TickChanged:
    wire = shaped(row, _TickWire, reason=MALFORMED)
    return TickChanged(
        token_id=token_id(wire.asset_id, reason=MALFORMED),
        tick_size=tick_size(wire.new_tick_size, reason=MALFORMED),
        stamped_at=_stamp(wire.timestamp),
    )


def _price(value: object) -> Decimal:
    price = number(value, "price", reason=MALFORMED, above=0, at_most=1)
    if price == 1:
        raise DataError("price must be below 1", reason=MALFORMED)
    return price


def _size(value: object) -> Decimal:
    # -1 is below every size, 0 included.
    size = number(value, "size", reason=MALFORMED, above=-1, at_most=_LARGEST_SIZE)
    if size < 0:
        raise DataError(f"size must not be negative, was {quote(size)}", reason=MALFORMED)
    return size


def _stamp(value: object) -> datetime:
    return epoch(value, "event time", reason=MALFORMED, per_second=1000)


def _named(row: object) -> OutcomeTokenId | None:
    """Return the token that a row names, where it is one."""
    try:
        return token_id(row.get("asset_id") if isinstance(row, dict) else None, reason=MALFORMED)
    except DataError:
        return None


def _all_named(row: object) -> tuple[OutcomeTokenId | None, ...]:
    """Return every token whose change a row held, or ``None`` alone where none can be told."""
    entries = row.get("price_changes") if isinstance(row, dict) else None
    parts = entries[:_MAX_LEVELS] if isinstance(entries, list) else []
    named = dict.fromkeys(_named(one) for one in (row, *parts))
    named.pop(None, None)
    return tuple(named) or (None,)
