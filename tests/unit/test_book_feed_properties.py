"""Whatever the market socket sends: a told book is a sound one, and the one that was sent."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from polybot.adapters.polymarket.book_feed import PolymarketBookFeed
from polybot.adapters.polymarket.book_feed_frames import NotTaken, read_frame
from polybot.adapters.polymarket.book_feed_state import TokenBook
from polybot.domain.books import BookLevel, OrderBook
from polybot.domain.markets import OutcomeTokenId
from polybot.domain.money import Price, Shares

TOKEN = OutcomeTokenId("1111")
START = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
Sides = tuple[dict[int, int], dict[int, int]]
"""Bids and asks: size [shares] by price [cents]."""


def stamp(step: int) -> str:
    """Return the venue's stamp of a step, ten to a second [ms]."""
    return str(int((START + timedelta(milliseconds=100 * step)).timestamp() * 1000))


def book_frame(sides: Sides, step: int) -> str:
    """Return a whole book as the venue words it, the best level last."""
    bids, asks = sides
    return json.dumps(
        [
            {
                "event_type": "book",
                "asset_id": TOKEN,
                "timestamp": stamp(step),
                "tick_size": "0.01",
                "bids": [_level(price, bids[price]) for price in sorted(bids)],
                "asks": [_level(price, asks[price]) for price in sorted(asks, reverse=True)],
            }
        ]
    )


def change_frame(before: Sides, after: Sides, step: int) -> str:
    """Return what leads from one book to another, with the touch that the venue names."""
    bid = Decimal(max(after[0], default=0)) / 100
    ask = Decimal(min(after[1], default=0)) / 100
    changes = [
        _level(price, new.get(price, 0))
        | {"asset_id": TOKEN, "side": side, "best_bid": str(bid), "best_ask": str(ask)}
        for side, old, new in (("BUY", before[0], after[0]), ("SELL", before[1], after[1]))
        for price in sorted(old.keys() | new.keys())
        if old.get(price) != new.get(price)
    ]
    return json.dumps(
        {"event_type": "price_change", "price_changes": changes, "timestamp": stamp(step)}
    )


def _level(cents: int, size: int) -> dict[str, str]:
    return {"price": str(Decimal(cents) / 100), "size": str(size)}


@st.composite
def sides(draw: st.DrawFn) -> Sides:
    """Return any book that is not crossed."""
    # Near each other, so that what one leaves behind fits into the next.
    middle = draw(st.sampled_from([50, 50, 50, 51, 52, 3, 97]))
    size = st.integers(1, 500)
    return (
        draw(st.dictionaries(st.integers(max(1, middle - 6), middle - 1), size, max_size=5)),
        draw(st.dictionaries(st.integers(middle, min(99, middle + 6)), size, max_size=5)),
    )


def feed_at(now: datetime) -> PolymarketBookFeed:
    """Return a feed that nobody runs; frames are put into it."""

    async def read(_: OutcomeTokenId) -> OrderBook:
        raise AssertionError("nothing is compared here")

    feed = PolymarketBookFeed("ws://127.0.0.1:1", read_book=read, now=lambda: now)
    feed.watch([TOKEN])
    return feed


def told(book: OrderBook | None) -> Sides | None:
    """Return a told book in the model's terms."""
    if book is None:
        return None
    return (
        {int(level.price * 100): int(level.size) for level in book.bids},
        {int(level.price * 100): int(level.size) for level in book.asks},
    )


class TestFollowing:
    """Events in order, with the venue's own touch beside them."""

    @given(books=st.lists(sides(), min_size=1, max_size=12))
    @settings(max_examples=150, deadline=None, derandomize=True)
    async def test_book_is_always_the_last_one_sent(self, books: list[Sides]) -> None:
        """Step by step through books that have nothing in common."""
        feed = feed_at(START + timedelta(minutes=1))
        feed.take(book_frame(books[0], 0))
        for step, (before, after) in enumerate(pairwise(books), start=1):
            feed.take(change_frame(before, after, step))
            assert told(feed.book(TOKEN)) == after
        assert told(feed.book(TOKEN)) == books[-1]
        assert feed.counts.gaps == 0

    @given(
        books=st.lists(sides(), min_size=3, max_size=8),
        lost=st.sets(st.integers(1, 4), min_size=1, max_size=2),
    )
    @settings(max_examples=150, deadline=None, derandomize=True)
    async def test_book_after_a_loss_is_unknown_or_has_the_venues_touch(
        self, books: list[Sides], lost: set[int]
    ) -> None:
        """What a lost event can leave wrong is never the price at which an order would match."""
        feed = feed_at(START + timedelta(minutes=1))
        feed.take(book_frame(books[0], 0))
        heard = books[0]
        for step, (before, after) in enumerate(pairwise(books), start=1):
            if step in lost or before == after:
                continue
            feed.take(change_frame(before, after, step))
            heard = after
        found = told(feed.book(TOKEN))
        if found is not None:
            assert max(found[0], default=0) == max(heard[0], default=0)
            assert min(found[1], default=0) == min(heard[1], default=0)

    @given(
        books=st.lists(sides(), min_size=2, max_size=8),
        asked=st.integers(0, 7),
        answered=st.integers(0, 7),
    )
    @settings(max_examples=150, deadline=None, derandomize=True)
    async def test_snapshot_with_what_came_meanwhile_is_the_newest_book(
        self, books: list[Sides], asked: int, answered: int
    ) -> None:
        """Asked for at one event and made at a later one, whatever came before and after."""
        start = min(asked, len(books) - 1)
        made = min(max(answered, start), len(books) - 1)
        token_book = TokenBook(TOKEN)
        for step in range(1, len(books)):
            if step == start + 1:
                token_book.start_recording()
            for event in read_frame(change_frame(books[step - 1], books[step], step)):
                token_book.change(event)  # type: ignore[arg-type]
        if start == len(books) - 1:
            token_book.start_recording()
        assert token_book.install(_snapshot(books[made], made))
        now = START + timedelta(minutes=1)
        assert told(token_book.book(now, at_least=now)) == books[-1]


def _snapshot(model: Sides, step: int) -> OrderBook:
    def levels(of: dict[int, int], *, best_is_highest: bool) -> tuple[BookLevel, ...]:
        return tuple(
            BookLevel(price=Price(Decimal(cents) / 100), size=Shares(Decimal(of[cents])))
            for cents in sorted(of, reverse=best_is_highest)
        )

    return OrderBook(
        token_id=TOKEN,
        bids=levels(model[0], best_is_highest=True),
        asks=levels(model[1], best_is_highest=False),
        tick_size=Decimal("0.01"),
        min_order_size=Shares(Decimal(5)),
        as_of=START + timedelta(milliseconds=100 * step),
    )


ODD = st.sampled_from(
    [
        None,
        True,
        -1,
        0,
        1.5,
        10**400,
        "",
        "0",
        "1",
        "-0.1",
        "NaN",
        "0.005",
        "1e30",
        "٣",
        [],
        {},
        "x",
    ]
)


@st.composite
def spoilt_frames(draw: st.DrawFn) -> str:
    """Return a frame with some of its values, or its text, spoilt."""
    before, after = draw(sides()), draw(sides())
    text = draw(st.sampled_from([book_frame(before, 1), change_frame(before, after, 1)]))
    for _ in range(draw(st.integers(0, 3))):
        text = json.dumps(_spoil(draw, json.loads(text)))
    if draw(st.booleans()):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(st.text(max_size=3)) + text[at + draw(st.integers(0, 3)) :]
    return text


def _spoil(draw: st.DrawFn, value: Any) -> Any:
    """Replace one value somewhere inside by another."""
    if isinstance(value, dict) and value and draw(st.integers(0, 4)):
        key = draw(st.sampled_from(sorted(value)))
        return {**value, key: _spoil(draw, value[key])}
    if isinstance(value, list) and value and draw(st.integers(0, 4)):
        index = draw(st.integers(0, len(value) - 1))
        return [*value[:index], _spoil(draw, value[index]), *value[index + 1 :]]
    return draw(ODD)


@given(frames=st.lists(spoilt_frames(), min_size=1, max_size=5), first=sides())
@settings(max_examples=250, deadline=None, derandomize=True)
async def test_no_frame_raises_and_no_told_book_is_unsound(frames: list[str], first: Sides) -> None:
    """The constructor of a book refuses crossed and disordered levels: telling one would raise."""
    now = START + timedelta(minutes=1)
    feed = feed_at(now)
    feed.take(book_frame(first, 0))
    for frame in frames:
        feed.take(frame)
        book = feed.book(TOKEN)
        if book is not None:
            assert book.as_of <= now
            assert all(level.price % book.tick_size == 0 for level in (*book.bids, *book.asks))
    rejected = sum(isinstance(event, NotTaken) for text in frames for event in read_frame(text))
    assert sum(feed.counts.rejected.values()) >= rejected
