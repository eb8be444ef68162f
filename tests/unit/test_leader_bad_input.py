"""Bad input about leaders through the stream: refused, counted by reason, and nothing else hurt.

The numbers are those of the catalogue of bad inputs. After each piece the same connection (or the
next one, where it had to end) still tells a followed wallet's good trade.
"""

import asyncio
import struct
import zlib
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
from aiohttp import WSMsgType, web

from polybot.adapters.polymarket.leader_feed.frames import LONGEST_FRAME
from tests.leader_bad_rows import BAD_FRAMES, BAD_ROWS
from tests.leader_listening import Listening, listening
from tests.leader_rows import TRADED_S, activity_row, api_row, frame, stream_row, transaction
from tests.leader_venue import LeaderVenue, leader_venue
from tests.peak_memory import SMALL, PeakMemory

GOOD = frame(stream_row(4711))
HOSTILE_TEXTS = (
    "\u202eevil",
    "zero\u200bwidth",
    "\n# heading",
    "[x](javascript:alert(1))",
    "<script>alert(1)</script>",
    "@everyone",
    "\x1b[31mred",
    '=cmd("calc")',
    "%s{}{0.__class__}",
    'a","proxyWallet":"0x0","b":"',
    "x" * 10_000,
)


def raw(opcode: int, payload: bytes, *, fin: bool = True, rsv1: bool = False) -> bytes:
    """Return one frame as a server writes it, also one that no library would write."""
    first = (0x80 if fin else 0) | (0x40 if rsv1 else 0) | opcode
    if len(payload) < 126:
        return bytes([first, len(payload)]) + payload
    if len(payload) < 1 << 16:
        return bytes([first, 126]) + struct.pack(">H", len(payload)) + payload
    return bytes([first, 127]) + struct.pack(">Q", len(payload)) + payload


def greets(*frames: bytes, venue: LeaderVenue) -> None:
    """Let the first connection begin with raw bytes; the later ones are honest."""

    async def greet(socket: web.WebSocketResponse) -> None:
        venue.greeting = None
        transport = socket._req.transport if socket._req else None
        assert transport is not None
        with suppress(ConnectionError):
            for data in frames:
                transport.write(data)
                await asyncio.sleep(0)

    venue.greeting = greet


async def still_tells(venue: LeaderVenue, ear: Listening) -> None:
    """Show that a good trade is told, and nothing before it."""
    await venue.send(GOOD)
    await ear.count(1)
    assert [one.transaction_hash for one in ear.trades] == [transaction(4711)]


async def test_every_bad_frame_is_counted_and_the_connection_goes_on() -> None:
    """Rows 1, 4 to 16 and 20, one after the other through one socket."""
    expected: Counter[str] = Counter()
    async with leader_venue() as venue, listening(venue, data=False) as ear:
        for reason, (field, values) in BAD_ROWS.items():
            for value in values:
                expected[reason] += 1
                await venue.send(frame(stream_row(**{field: value})))
        for data, reason in BAD_FRAMES.values():
            expected[reason] += 1
            await venue.send(data)
        await still_tells(venue, ear)
        health = ear.health("stream-1")
    assert health.rejected == dict(expected)
    assert health.reconnects == 0
    assert sum(expected.values()) > 100


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        pytest.param([raw(1, b" " * (1 << 20) + b" ")], "frame-too-big", id="oversize"),
        pytest.param([b"\x81\x7f" + struct.pack(">Q", 1 << 30)], "frame-too-big", id="a gigabyte"),
        pytest.param(
            [raw(1, b"[", fin=False)] + [raw(0, b" " * 65_536, fin=False)] * 40,
            "frame-too-big",
            id="endless fragments",
        ),
        pytest.param(
            [raw(1, zlib.compress(b" " * (1 << 27))[2:-4], rsv1=True)], "frame-broken", id="bomb"
        ),
        pytest.param([raw(0, b"x")], "frame-broken", id="fragment of nothing"),
        pytest.param([raw(3, b"x")], "frame-broken", id="unknown opcode"),
    ],
)
async def test_frame_that_breaks_the_rules_ends_only_its_connection(
    frames: list[bytes], reason: str
) -> None:
    """Rows 1 and 2: closed, counted, connected again, and the gap filled."""
    async with leader_venue() as venue:
        greets(*frames, venue=venue)
        venue.trades.append(api_row(4711))
        venue.activity.append(activity_row("MERGE", 1, timestamp=TRADED_S - 100))
        async with listening(venue, is_ready=False) as ear:
            await ear.rejected("stream-1", reason)
            await venue.signals.count("connected", 2)
            await venue.signals.count("subscribed", 1)
            await ear.count(2)
            await ear.looked(lambda: ear.health("stream-1").is_connected)
    assert [one.transaction_hash for one in ear.trades] == [transaction(4711)]
    assert ear.health("stream-1").reconnects == 1


async def test_compression_is_not_even_offered() -> None:
    """Row 2: what is not agreed on cannot be unpacked."""
    offered: list[str] = []
    async with leader_venue() as venue:

        async def watch(request: web.Request) -> web.StreamResponse:
            offered.append(request.headers.get("Sec-WebSocket-Extensions", ""))
            return web.Response(status=503)

        venue.answers["rtds"] = [watch]
        async with listening(venue, data=False):
            assert offered == [""]


def resident_bytes() -> int:
    """Return what the process holds in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


PACKED: Final = zlib.compress(b" " * (64 << 20), 9)[2:-4]


@pytest.mark.parametrize(
    ("piece", "reason", "times"),
    [
        pytest.param(raw(1, PACKED, rsv1=True), "frame-broken", 1, id="packed frame"),
        pytest.param(raw(1, b"[", fin=False), "frame-too-big", 256, id="endless fragments"),
        pytest.param(b"\x81\x7f" + struct.pack(">Q", 1 << 30), "frame-too-big", 1, id="a gigabyte"),
    ],
)
async def test_bomb_through_the_stream_costs_next_to_no_memory(
    piece: bytes, reason: str, times: int
) -> None:
    """Rows 1 and 2: the peak is at most 16 MiB higher, where the piece unfolds to 64 and more."""
    flood = [piece, *(raw(0, b" " * (1 << 18), fin=False) for _ in range(times))]
    async with leader_venue() as venue:
        greets(*flood, venue=venue)
        async with listening(venue, data=False, is_ready=False) as ear:
            peak = PeakMemory()
            await ear.rejected("stream-1", reason)
            async with asyncio.timeout(30):
                # To whoever is connected by then; told again it is the same trade.
                while not ear.trades:
                    await venue.send(GOOD)
                    await asyncio.sleep(0)
            assert peak.grown_bytes() <= SMALL
        assert [one.transaction_hash for one in ear.trades] == [transaction(4711)]


def test_peak_memory_is_seen() -> None:
    """The measure itself: what is taken and given back at once shows."""
    peak = PeakMemory()
    bytearray(64 << 20)
    assert peak.grown_bytes() > 32 << 20


def transport_of(venue: LeaderVenue) -> asyncio.Transport:
    """Return the first stream connection's transport, to write raw bytes to."""
    request = venue.sockets[0]._req
    assert request is not None
    assert isinstance(request.transport, asyncio.Transport)
    return request.transport


async def test_million_small_frames_are_shed_and_the_followed_trade_is_told() -> None:
    """Row 3: nothing is queued, so nothing grows; unread noise is counted."""
    count = 1_000_000
    async with leader_venue() as venue, listening(venue, data=False) as ear:
        before = resident_bytes()
        transport = transport_of(venue)
        for _ in range(count // 1000):
            transport.write(raw(1, b"{}") * 1000)
            await ear.looked(lambda: transport.get_write_buffer_size() < 1 << 16)
        await still_tells(venue, ear)
        grown = resident_bytes() - before
        health = ear.health("stream-1")
    assert health.shed > 0
    # A PONG may go unread among the rest.
    pongs = venue.signals.counts["ping"]
    assert 0 <= health.shed + health.rejected["other-topic"] - count <= pongs
    assert health.reconnects == 0
    assert grown < 32 << 20


async def test_followed_trades_inside_a_flood_are_never_shed() -> None:
    """Row 3: one in a thousand frames, in unusual spellings too."""
    async with leader_venue() as venue, listening(venue, data=False) as ear:
        transport = transport_of(venue)
        for number in range(1, 201):
            good = frame(stream_row(number))
            if number % 3 == 0:
                good = good.replace(b'"proxyWallet":', b'"proxyWallet" : ')
            if number % 3 == 1:
                good = good.replace(b'"proxyWallet"', b'"\\u0070roxyWallet"')
            noise = raw(1, b"{}") * 999
            transport.write(noise[: 4 * 500] + raw(1, good) + noise[4 * 500 :])
            await asyncio.sleep(0)
        await ear.count(200)
        assert ear.health("stream-1").shed > 0
    assert len(ear.told) == 200


async def test_binary_frames_are_counted() -> None:
    async with leader_venue() as venue, listening(venue, data=False) as ear:
        await venue.sockets[0].send_frame(b"\x00\xff" * 100, WSMsgType.BINARY)
        await still_tells(venue, ear)
        assert ear.health("stream-1").rejected == {"frame-binary": 1}


async def test_frame_of_deep_or_endless_lists_is_refused_at_once() -> None:
    """Row 5: by its length, before anybody decodes it."""
    million = b"[" + b"0," * ((1 << 19) - 2) + b"0]"
    keys = b"{" + b",".join(b'"k%d":0' % number for number in range(80_000)) + b"}"
    async with leader_venue() as venue, listening(venue, data=False) as ear:
        for data in (million, keys[: (1 << 20) - 10], b"[" * (LONGEST_FRAME - 1), b'{"a":' * 9999):
            await venue.send(data)
        await still_tells(venue, ear)
        assert ear.health("stream-1").rejected == {
            "frame-too-long": 2,
            "frame-malformed": 1,
            "frame-not-json": 1,
        }


async def test_same_frame_ten_thousand_times_is_one_trade() -> None:
    """Row 17."""
    async with leader_venue() as venue, listening(venue, data=False) as ear:
        transport = transport_of(venue)
        transport.write(raw(1, GOOD) * 10_000)
        await ear.looked(lambda: ear.health("stream-1").followed == 10_000)
    assert len(ear.told) == 1


async def test_contradiction_between_sources_is_reported_and_not_told() -> None:
    """Row 17: the same transaction, token and side, with another size."""
    async with leader_venue() as venue, listening(venue, every_s=0.01) as ear:
        await venue.send(frame(stream_row(1, size=10)))
        await ear.count(1)
        venue.trades.append(api_row(1, size=12))
        await venue.signals.count("trades", venue.signals.counts["trades"] + 3)
        venue.trades.append(api_row(2))
        await ear.count(2)
    assert [one.transaction_hash for one in ear.trades] == [transaction(1), transaction(2)]


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
async def test_hostile_texts_change_neither_the_trade_nor_its_key(text: str) -> None:
    """Row 32: names and titles are not even read."""
    row = stream_row(1, title=text, name=text, bio=text, pseudonym=text, outcome=text)
    async with leader_venue() as venue, listening(venue, data=False) as ear:
        await venue.send(frame(row))
        await ear.count(1)
    async with leader_venue() as venue, listening(venue, data=False) as plain:
        await venue.send(frame(stream_row(1)))
        await plain.count(1)
    assert ear.told == plain.told


async def test_hostile_slug_stays_a_short_text() -> None:
    async with leader_venue() as venue, listening(venue, data=False) as ear:
        await venue.send(frame(stream_row(1, slug="../../" + "x" * 9000)))
        await ear.count(1)
    (told,) = ear.trades
    assert len(told.slug) == 256
