"""One token's book as the market socket builds it up: levels in, a checked book out.

Changes are absolute totals, so those that came while a snapshot was on its way can be laid over
it: whatever of them it holds already changes nothing.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Final

from polybot.adapters.polymarket.book_feed_frames import BookShown, Levels, LevelsChanged
from polybot.domain.books import BookLevel, OrderBook
from polybot.domain.markets import OutcomeTokenId
from polybot.domain.money import Price, Shares, shares
from polybot.errors import DataError

# Before the first ``GET /book`` tells the market's own; the venue has no smaller one.
DEFAULT_MIN_ORDER_SIZE: Final = Shares(Decimal(5))
# An order looks at the first few; a book is told to this depth on each side.
_TOLD_LEVELS: Final = 50
# Changes kept while a snapshot is on its way: half a minute of the busiest token.
_MAX_RECORDED: Final = 4096


class _Ladder:
    """One side of a book, its prices in ascending order."""

    __slots__ = ("levels", "prices")

    def __init__(self, levels: Levels) -> None:
        self.prices = sorted(levels)
        self.levels = {price: _level(price, size) for price, size in levels.items()}

    def put(self, price: Decimal, size: Decimal) -> None:
        """Set a price's total; 0 removes it."""
        is_known = price in self.levels
        if size:
            self.levels[price] = _level(price, size)
            if not is_known:
                insort(self.prices, price)
        elif is_known:
            del self.levels[price]
            del self.prices[bisect_left(self.prices, price)]

    def lowest(self) -> tuple[BookLevel, ...]:
        """Return the first levels of an ask side."""
        return tuple(self.levels[price] for price in self.prices[:_TOLD_LEVELS])

    def highest(self) -> tuple[BookLevel, ...]:
        """Return the first levels of a bid side."""
        return tuple(self.levels[price] for price in self.prices[: -_TOLD_LEVELS - 1 : -1])


class _Sides:
    """All that rests in one book."""

    __slots__ = ("asks", "bids")

    def __init__(self, bids: Levels, asks: Levels) -> None:
        self.bids, self.asks = _Ladder(bids), _Ladder(asks)

    @property
    def touch(self) -> tuple[Decimal | None, Decimal | None]:
        """Best bid and best ask [USDC/share]."""
        bids, asks = self.bids.prices, self.asks.prices
        return bids[-1] if bids else None, asks[0] if asks else None

    def put(self, event: LevelsChanged) -> None:
        """Set new totals."""
        for price, size in event.bids.items():
            self.bids.put(price, size)
        for price, size in event.asks.items():
            self.asks.put(price, size)

    def equals(self, other: "_Sides") -> bool:
        """Whether the same rests in another book."""
        return self.bids.levels == other.bids.levels and self.asks.levels == other.asks.levels


class TokenBook:
    """The book of one watched token, or the reason why it is not known."""

    def __init__(self, token_id: OutcomeTokenId) -> None:
        """Know nothing yet."""
        self.token_id = token_id
        self.min_order_size = DEFAULT_MIN_ORDER_SIZE
        self.tick_size: Decimal | None = None
        self.is_known = False
        self.stamped_at: datetime | None = None
        """Of the newest event, by the venue's clock."""
        self._sides = _Sides({}, {})
        self._told: OrderBook | None = None
        self._recorded: list[LevelsChanged] | None = None
        self._holds_until: datetime | None = None

    # Reading ------------------------------------------------------------------------------------

    def book(self, as_of: datetime, *, at_least: datetime) -> OrderBook | None:
        """Return the book, ``None`` while it is not known.

        Args:
            as_of: Until when it is known to be right.
            at_least: A book that was told before with this instant or later serves again.
        """
        if not self.is_known or self.tick_size is None:
            return None
        if self._told is None or self._told.as_of < at_least:
            self._told = OrderBook(
                token_id=self.token_id,
                bids=self._sides.bids.highest(),
                asks=self._sides.asks.lowest(),
                tick_size=self.tick_size,
                min_order_size=self.min_order_size,
                as_of=as_of,
            )
        return self._told

    # Events -------------------------------------------------------------------------------------

    def forget(self) -> None:
        """Know nothing any more: something was missed."""
        self.is_known = False
        self._told = None
        self._sides = _Sides({}, {})
        # What was missed may be missing from the recording too.
        self._recorded, self._holds_until = None, None

    def show(self, event: BookShown) -> None:
        """Replace everything by a whole book.

        Raises:
            DataError: It is crossed, off its tick, or older than what is known; the book is not
                known then.
        """
        is_late = self.is_known and self._is_late(event.stamped_at)
        self.forget()
        if is_late:
            raise DataError("book is older than the last event", reason="out-of-order")
        self.tick_size = event.tick_size or self.tick_size
        if self.tick_size is None:
            raise DataError("book without a tick size", reason="book-malformed")
        self._take(_Sides(event.bids, event.asks))
        self._stamp(event.stamped_at)

    def change(self, event: LevelsChanged) -> None:
        """Apply new totals.

        Raises:
            DataError: They are out of order, off the tick, cross the book, or leave another touch
                than the venue's: something was missed, and the book is not known then.
        """
        if self._holds_until is not None and event.stamped_at < self._holds_until:
            # The snapshot was ahead of the stream and holds this already.
            self._stamp(event.stamped_at)
            return
        if self._is_late(event.stamped_at):
            self.forget()
            raise DataError("change is older than the last one", reason="out-of-order")
        self._stamp(event.stamped_at)
        if self._recorded is not None:
            if len(self._recorded) >= _MAX_RECORDED:
                self._recorded = None
            else:
                self._recorded.append(event)
        if not self.is_known:
            return
        self._told = None
        try:
            self._sides.put(event)
            self._check((*event.bids, *event.asks))
            if event.touch is not None and event.touch != self._sides.touch:
                raise DataError("best prices differ from the venue's", reason="touch-differs")
        except DataError:
            self.forget()
            raise

    def change_tick(self, tick_size: Decimal, stamped_at: datetime) -> None:
        """Use another price grid.

        Raises:
            DataError: Prices are off it: something was missed, and the book is not known then.
        """
        self._stamp(stamped_at)
        self.tick_size = tick_size
        self._told = None
        try:
            self._check((*self._sides.bids.prices, *self._sides.asks.prices))
        except DataError:
            self.forget()
            raise

    # Snapshots ----------------------------------------------------------------------------------

    def start_recording(self) -> None:
        """Keep the changes from now on, to lay them over a snapshot that was asked for."""
        self._recorded = []

    def is_behind(self, snapshot: OrderBook) -> bool:
        """Whether the stream has told less than a snapshot holds."""
        return self.stamped_at is None or self.stamped_at < snapshot.as_of

    def differs_from(self, snapshot: OrderBook) -> bool | None:
        """Whether the book is another than a snapshot with what came since.

        Returns:
            ``None`` where nothing can be said: the stream has told everything anew meanwhile.
        """
        if self._recorded is None or not self.is_known:
            return None
        is_same = self._laid_over(snapshot).equals(self._sides)
        return not (is_same and self.tick_size == snapshot.tick_size)

    def install(self, snapshot: OrderBook) -> bool:
        """Replace everything by a snapshot with what came since it was asked for.

        Returns:
            Whether it was done: not where the stream has told everything anew, or where something
            was missed meanwhile.

        Raises:
            DataError: The two do not go together; the book is not known then.
        """
        self.min_order_size = snapshot.min_order_size
        if self._recorded is None:
            return False
        sides = self._laid_over(snapshot)
        self.forget()
        self.tick_size = snapshot.tick_size
        self._take(sides)
        self._holds_until = snapshot.as_of
        return True

    def _laid_over(self, snapshot: OrderBook) -> _Sides:
        found = _Sides(
            {level.price: level.size for level in snapshot.bids},
            {level.price: level.size for level in snapshot.asks},
        )
        for event in self._recorded or ():
            if event.stamped_at >= snapshot.as_of:
                found.put(event)
        return found

    # Inside -------------------------------------------------------------------------------------

    def _take(self, sides: _Sides) -> None:
        self._sides, self.is_known = sides, True
        try:
            self._check((*sides.bids.prices, *sides.asks.prices))
        except DataError:
            self.forget()
            raise

    def _check(self, prices: Iterable[Decimal]) -> None:
        tick = self.tick_size
        if tick is not None and any(price % tick for price in prices):
            raise DataError(f"a price is off the tick {tick}", reason="book-off-tick")
        bid, ask = self._sides.touch
        if bid is not None and ask is not None and bid >= ask:
            raise DataError(f"book is crossed: bid {bid}, ask {ask}", reason="book-crossed")

    def _is_late(self, stamped_at: datetime) -> bool:
        return self.stamped_at is not None and stamped_at < self.stamped_at

    def _stamp(self, stamped_at: datetime) -> None:
        if self.stamped_at is None or stamped_at > self.stamped_at:
            self.stamped_at = stamped_at


def _level(price: Decimal, size: Decimal) -> BookLevel:
    try:
        return BookLevel(price=Price(price), size=shares(size))
    except ValueError as error:
        raise DataError(f"impossible level: {str(error)[:120]}", reason="book-malformed") from error
