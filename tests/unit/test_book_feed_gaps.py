"""A book is unknown once something was missed; noise, floods and bombs change nothing."""

import json
import zlib
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest

from polybot.adapters.polymarket.book_feed_frames import read_frame
from tests.book_desk import DOWN, UP, book_row, change_row, desk, stamp

GAPS: dict[str, tuple[Any, str]] = {
    "another touch than the venue's": (
        change_row(("BUY", "0.49", "50"), touch=("0.48", "0.51"), at=0.5),
        "touch-differs",
    ),
    "crossed": (change_row(("BUY", "0.52", "50"), at=0.5), "book-crossed"),
    "off the tick": (change_row(("BUY", "0.495", "50"), at=0.5), "book-off-tick"),
    "older than the last event": (change_row(("BUY", "0.49", "50"), at=-0.5), "out-of-order"),
    "older whole book": (book_row(timestamp=stamp(-5)), "out-of-order"),
    "whole book that is crossed": (book_row(bids="0.60:5", asks="0.55:5"), "book-crossed"),
    "whole book off its tick": (book_row(bids="0.495:5"), "book-off-tick"),
    "size of seven decimals": (change_row(("BUY", "0.49", "1.0000001"), at=0.5), "book-malformed"),
    "price of 1": (change_row(("BUY", "1", "5"), at=0.5), "event-malformed"),
    "price of 0": (change_row(("BUY", "0", "5"), at=0.5), "event-malformed"),
    "NaN as text": (change_row(("BUY", "NaN", "5"), at=0.5), "event-malformed"),
    "negative size": (change_row(("BUY", "0.49", "-1"), at=0.5), "event-malformed"),
    "absurd size": (change_row(("BUY", "0.49", "1e30"), at=0.5), "event-malformed"),
    "side in lower case": (change_row(("buy", "0.49", "5"), at=0.5), "event-malformed"),
    "digits that are not ASCII": (change_row(("BUY", "0.４9", "5"), at=0.5), "event-malformed"),
    "missing price": (
        {
            "event_type": "price_change",
            "price_changes": [{"asset_id": UP, "side": "BUY", "size": "5"}],
            "timestamp": stamp(0.5),
        },
        "event-malformed",
    ),
    "unknown tick": (
        {
            "event_type": "tick_size_change",
            "asset_id": UP,
            "new_tick_size": "0.03",
            "timestamp": stamp(0.5),
        },
        "event-malformed",
    ),
    "coarser tick than its prices": (
        {
            "event_type": "tick_size_change",
            "asset_id": UP,
            "new_tick_size": "0.1",
            "timestamp": stamp(0.5),
        },
        "book-off-tick",
    ),
    "stamp in seconds": (
        change_row(("BUY", "0.49", "5"), at=0) | {"timestamp": "1795348800"},
        "event-malformed",
    ),
    "stamp of the future": (change_row(("BUY", "0.49", "5"), at=120), "event-from-the-future"),
    "repeated price": (book_row(bids="0.49:5 0.49:6"), "event-malformed"),
    "empty level": (book_row(bids="0.49:0"), "event-malformed"),
    "bids that are no list": (book_row() | {"bids": {"price": "0.5"}}, "event-malformed"),
}


@pytest.mark.parametrize("name", GAPS)
async def test_book_is_unknown_once_something_was_missed(name: str) -> None:
    """Counted by reason; the connection stays, and the other token's book with it."""
    frame, reason = GAPS[name]
    opening = [[book_row(), book_row(DOWN, "0.40:5", "0.60:5")]]
    async with desk(opening=opening) as venue:
        venue.feed.watch([UP, DOWN])
        await venue.send([book_row(DOWN, "0.40:5", "0.60:5")])
        await venue.known(DOWN)
        await venue.send(frame)
        await venue.unknown()
        row = frame.get("price_changes", [frame])[0]
        counted = reason
        if row.get("asset_id") is None:
            counted = "event-malformed"
        assert venue.rejected == Counter({counted: 1})
        assert venue.feed.book(DOWN) is not None
        await venue.send([book_row(timestamp=stamp(0.9))])
        await venue.known()
        assert venue.counts["connections"] == 1


NOISE: dict[str, tuple[Any, str]] = {
    "html": ("<html><body>502 Bad Gateway</body></html>", "answer-not-json"),
    "no JSON": ("{", "answer-not-json"),
    "NaN": ('{"event_type": "book", "asset_id": NaN}', "answer-not-json"),
    "repeated keys": ('{"event_type": "book", "event_type": "x"}', "answer-duplicate-keys"),
    "half a surrogate": ('{"event_type": "\\ud800"}', "event-unknown"),
    "deep nesting": ("[" * 100_000, "answer-not-json"),
    "a number": ("42", "event-unknown"),
    "an event of another kind": (
        '{"event_type": "new_market", "slug": "x"}',
        "event-of-other-kind",
    ),
    "a kind that is no text": ('{"event_type": ["book"]}', "event-unknown"),
    "a token beyond 2^256": (
        json.dumps(book_row("9" * 78)),
        "event-malformed",
    ),
    "a token never watched": (json.dumps(book_row("3333")), "token-not-watched"),
    "binary": (b"\x00\xff", "frame-binary"),
}


@pytest.mark.parametrize("name", NOISE)
async def test_noise_is_counted_and_changes_nothing(name: str) -> None:
    frame, reason = NOISE[name]
    async with desk() as venue:
        await venue.known()
        before = venue.feed.book(UP)
        await venue.send(frame)
        await venue.until(lambda: venue.feed.counts.rejected[reason] == 1)
        assert venue.rejected == Counter({reason: 1})
        assert venue.feed.book(UP) == before
        assert venue.counts["connections"] == 1


@pytest.mark.parametrize("text", ["", "PONG", "pong", "[]", " \n"])
def test_small_talk_is_no_event(text: str) -> None:
    assert read_frame(text) == ()


async def test_million_elements_are_read_and_rejected_as_one_frame() -> None:
    """A list of numbers within the frame's bound: each is an unknown event, and life goes on."""
    async with desk() as venue:
        await venue.known()
        await venue.send("[" + ",".join("1" for _ in range(100_000)) + "]")
        await venue.until(lambda: venue.feed.counts.rejected["event-unknown"] == 100_000)
        assert venue.feed.book(UP) is not None


async def test_flood_of_small_frames_hides_no_change_and_starves_nobody() -> None:
    """Each is counted, the change among them is seen, and pings still go out."""
    async with desk() as venue:
        await venue.known()
        for number in range(20_000):
            await venue.send("{}")
            if number == 10_000:
                await venue.send(change_row(("BUY", "0.50", "0"), at=0.5))
        pings = venue.counts["pings"]
        await venue.until(lambda: venue.feed.counts.rejected["event-unknown"] == 20_000)
        assert venue.touch()[0] == Decimal("0.49")
        await venue.until(lambda: venue.counts["pings"] > pings)
        assert venue.counts["connections"] == 1


async def test_oversize_frame_ends_the_connection_and_the_next_one_begins_anew() -> None:
    async with desk(max_frame_bytes=1 << 16) as venue:
        await venue.known()
        await venue.send("x" * (1 << 17))
        await venue.until(lambda: venue.counts["connections"] == 2)
        assert venue.feed.counts.rejected["frame-too-big"] == 1
        await venue.known()


async def test_compressed_bomb_is_never_unpacked() -> None:
    """No compression is agreed on, so a frame that says it is compressed breaks the rules."""
    async with desk(max_frame_bytes=1 << 16) as venue:
        await venue.known()
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        bomb = packer.compress(b"0" * (1 << 26)) + packer.flush(zlib.Z_SYNC_FLUSH)
        assert venue._socket is not None
        transport = venue._socket._req.transport  # type: ignore[union-attr]
        assert transport is not None
        # Final frame, RSV1 (compressed), text, 64-bit length.
        transport.write(b"\xc1\x7f" + len(bomb).to_bytes(8, "big") + bomb)
        await venue.until(lambda: venue.counts["connections"] == 2)
        await venue.known()
