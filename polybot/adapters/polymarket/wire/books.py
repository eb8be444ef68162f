"""Order books: ``GET /book``, turned best-first and checked level by level."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec

from polybot.adapters.polymarket.wire.strict import (
    decode,
    epoch,
    number,
    quote,
    tick_size,
    token_id,
)
from polybot.domain.books import BookLevel, OrderBook
from polybot.domain.markets import OutcomeTokenId
from polybot.domain.money import Price, shares
from polybot.errors import DataError

MALFORMED: Final = "book-malformed"
_MAX_LEVELS: Final = 10_000
# Ten thousand times what the deepest real level holds: a typing error, or bait.
_LARGEST_SIZE: Final = 10**9
_MAX_CLOCK_LEAD: Final = timedelta(seconds=60)


class _LevelWire(msgspec.Struct):
    price: Any
    size: Any


class _BookWire(msgspec.Struct):
    asset_id: str
    timestamp: Any
    bids: list[_LevelWire]
    asks: list[_LevelWire]
    tick_size: Any
    min_order_size: Any


def parse_book(
    body: bytes, asked: OutcomeTokenId, *, as_of: datetime, max_age: timedelta
) -> OrderBook:
    """Read a book.

    Args:
        body: The answer.
        asked: The token it must be of.
        as_of: Now; a book is at most ``max_age`` older and never from the future.
        max_age: How old the venue's own time stamp may be.

    Raises:
        DataError: ``book-mismatch``, ``book-stale``, ``book-crossed``, ``book-off-tick`` or
            ``book-malformed``.
    """
    wire = decode(body, _BookWire, reason=MALFORMED)
    if token_id(wire.asset_id, reason=MALFORMED) != asked:
        raise DataError(f"book is of another token: {quote(wire.asset_id)}", reason="book-mismatch")
    stamped = epoch(wire.timestamp, "book time", reason=MALFORMED, per_second=1000)
    if not as_of - max_age <= stamped <= as_of + _MAX_CLOCK_LEAD:
        raise DataError(f"book is of {stamped:%FT%TZ}, now is {as_of:%FT%TZ}", reason="book-stale")
    if len(wire.bids) + len(wire.asks) > _MAX_LEVELS:
        raise DataError(f"book has more than {_MAX_LEVELS} levels", reason=MALFORMED)
    tick = tick_size(wire.tick_size, reason=MALFORMED)
    bids = sorted((_level(level, tick) for level in wire.bids), key=_price, reverse=True)
    asks = sorted((_level(level, tick) for level in wire.asks), key=_price)
    if bids and asks and bids[0].price >= asks[0].price:
        raise DataError(
            f"book is crossed: bid {bids[0].price}, ask {asks[0].price}", reason="book-crossed"
        )
    try:
        return OrderBook(
            token_id=asked,
            bids=tuple(bids),
            asks=tuple(asks),
            tick_size=tick,
            min_order_size=shares(
                number(wire.min_order_size, "minimum", reason=MALFORMED, above=0, at_most=10**6)
            ),
            as_of=stamped,
        )
    except ValueError as error:
        raise DataError(f"book does not hold: {str(error)[:120]}", reason=MALFORMED) from error


def _level(wire: _LevelWire, tick: Decimal) -> BookLevel:
    price = number(wire.price, "price", reason=MALFORMED, above=0, at_most=1)
    if price % tick or price == 1:
        raise DataError(f"price {quote(price)} is off the tick {tick}", reason="book-off-tick")
    size = number(wire.size, "size", reason=MALFORMED, above=0, at_most=_LARGEST_SIZE)
    try:
        return BookLevel(price=Price(price), size=shares(size))
    except ValueError as error:
        raise DataError(f"impossible level: {str(error)[:120]}", reason=MALFORMED) from error


def _price(level: BookLevel) -> Decimal:
    return level.price
