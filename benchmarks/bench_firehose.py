"""How many of everybody's trades one core can hear, and what it remembers of them.

A sender in a process of its own writes the venue's frames to a loopback socket as fast as it can;
one frame in a thousand is a new trade of a followed wallet. Ours is the feed as it runs: socket,
watchdogs, the look at the wallet, strict decoding of hits, the memory of what was told. The peer
is what a bot writes first: the same socket, ``json.loads`` and a set. Variants take turns inside
one run, each process on a core of its own, so that only the ratios between them matter.

Then one connection hears ten million messages while its memory is watched; its clock goes as fast
as the venue's usual fifty messages a second would need.

Run: ``python benchmarks/bench_firehose.py [--messages 300000] [--rounds 5] [--soak 10000000]``
"""

import argparse
import asyncio
import base64
import gc
import hashlib
import json
import os
import socket
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp

from polybot.adapters.polymarket.leader_feed import (
    FeedSources,
    FeedTiming,
    PolymarketLeaderFeed,
    StreamTiming,
)
from polybot.domain.leaders import LeaderAddress, LeaderEvent

LEADER = LeaderAddress("0x1015bb260154f51e5f432cb0a3227c1619fcbac8")
TRADED_S = 1_785_027_308
BEGINNING = datetime.fromtimestamp(TRADED_S, UTC)
FRAMES_PER_CHUNK = 1000
VENUE_PER_SECOND = 50
_ACCEPT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

Hear = Callable[[str, int, frozenset[LeaderAddress]], Coroutine[Any, Any, int]]


# The sender -------------------------------------------------------------------------------------


def frame(wallet: str, number: int) -> bytes:
    """Return one WebSocket message with a trade, as the venue writes it."""
    payload = {
        "asset": "13687783239639744987362675919585503088049878290896612006651717056363702870032",
        "bio": "",
        "conditionId": f"0x{number:064x}",
        "eventSlug": "btc-updown-5m-1785027300",
        "icon": "https://example.com/BTC.png",
        "name": f"trader {number}",
        "outcome": "Up",
        "outcomeIndex": 0,
        "price": 0.45,
        "profileImage": "",
        "proxyWallet": wallet,
        "pseudonym": "Grown-Cantaloupe",
        "side": "BUY",
        "size": 4.33,
        "slug": "btc-updown-5m-1785027300",
        "timestamp": TRADED_S,
        "title": "Bitcoin Up or Down - July 25, 8:55PM-9:00PM ET",
        "transactionHash": f"0x{number:064x}",
    }
    envelope = {
        "connection_id": "gZexFa6cUWeIKEiTDA==",
        "payload": payload,
        "timestamp": TRADED_S * 1000 + 241,
        "topic": "activity",
        "type": "trades",
    }
    text = json.dumps(envelope, separators=(",", ":")).encode()
    return b"\x81\x7e" + struct.pack(">H", len(text)) + text


async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take one connection, wait for its subscription, and send what its address asks for."""
    head = await reader.readuntil(b"\r\n\r\n")
    count = int(head.split(b"count=")[1].split()[0])
    key = next(
        line.split(b":")[1].strip()
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"sec-websocket-key")
    )
    accept = base64.b64encode(hashlib.sha1(key + _ACCEPT, usedforsecurity=False).digest())
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )
    await reader.readexactly(6)
    noise = b"".join(
        frame("0x" + hashlib.sha256(b"%d" % number).hexdigest()[:40], number)
        for number in range(1, FRAMES_PER_CHUNK)
    )
    with suppress(ConnectionError):
        for chunk in range(count // FRAMES_PER_CHUNK):
            writer.write(noise + frame(LEADER, 10**6 + chunk))
            await writer.drain()
        while await reader.read(1 << 16):
            pass
    writer.close()


async def serve() -> None:
    """Say where, and send to whoever comes."""
    listener = socket.socket()
    # Segments as on a real network: with loopback's 64 kB ones a full window opens only late.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1448)
    listener.bind(("127.0.0.1", 0))
    server = await asyncio.start_server(send, sock=listener)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


# The hearers ------------------------------------------------------------------------------------


class _Clock:
    """Goes on by itself as fast as the venue would have needed to send what was heard."""

    def __init__(self, feed_messages: Callable[[], int]) -> None:
        self._messages = feed_messages

    def now(self) -> datetime:
        return BEGINNING + timedelta(seconds=self._messages() / VENUE_PER_SECOND)


class OurFeed:
    """The feed as it runs, with one connection and nothing else switched on."""

    def __init__(self, url: str, wallets: Iterable[LeaderAddress]) -> None:
        """Listen to nobody but the sender."""
        self.told = 0
        self.feed = PolymarketLeaderFeed(
            FeedSources(stream_url=url, data_url=None, stream_connections=1),
            now=_Clock(lambda: self.messages).now,
            timing=FeedTiming(stream=StreamTiming(close_s=0.1)),
        )
        self.feed.follow(dict.fromkeys(wallets, BEGINNING))

    @property
    def messages(self) -> int:
        """How many messages have come."""
        return self.feed.health()[0].messages

    def hear(self, _: LeaderEvent) -> None:
        """Count a trade."""
        self.told += 1

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listen for a while."""
        task = asyncio.create_task(self.feed.run(self.hear))
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def until(self, messages: int) -> None:
        """Wait for so many messages."""
        while self.messages < messages:  # noqa: ASYNC110 - counting is all that happens
            await asyncio.sleep(0.005)


async def ours(url: str, count: int, wallets: frozenset[LeaderAddress]) -> int:
    """Hear all messages with the feed; return how many followed trades were told."""
    feed = OurFeed(f"{url}?count={count}", wallets)
    async with feed.running():
        await feed.until(count)
    return feed.told


async def peer(url: str, count: int, wallets: frozenset[LeaderAddress]) -> int:
    """Hear all messages with ``json`` and a set."""
    told = heard = 0
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(
            f"{url}?count={count}", timeout=aiohttp.ClientWSTimeout(ws_close=0.1)
        ) as stream,
    ):
        await stream.send_str("")
        async for message in stream:
            heard += 1
            payload = json.loads(message.data)["payload"]
            if payload["proxyWallet"].lower() in wallets:
                told += 1
            if heard == count:
                return told
    raise RuntimeError("the sender hung up")


# The run ----------------------------------------------------------------------------------------


def followed(count: int) -> frozenset[LeaderAddress]:
    """Return a set of wallets with the one leader who trades among them."""
    others = (LeaderAddress(f"0x{number:040x}") for number in range(1, count))
    return frozenset((LEADER, *others))


def measure(variants: dict[str, tuple[Hear, int]], url: str, messages: int, rounds: int) -> None:
    """Print messages per second of wall and of processor time, the variants taking turns."""
    wall: dict[str, list[float]] = {name: [] for name in variants}
    processor: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(rounds + 1):
        for name, (hear, count) in variants.items():
            wallets = followed(count)
            started, used = time.perf_counter(), time.process_time()
            told = asyncio.run(hear(url, messages, wallets))
            if told != messages // FRAMES_PER_CHUNK:
                raise RuntimeError(f"{name} told {told} of {messages // FRAMES_PER_CHUNK} trades")
            if number:
                wall[name].append(messages / (time.perf_counter() - started))
                processor[name].append(messages / (time.process_time() - used))
    base = statistics.median(processor[next(iter(variants))])
    print(f"{'':40}{'messages/s':>12}{'best':>12}{'per cpu s':>12}{'ratio':>8}")
    for name in variants:
        median = statistics.median(processor[name])
        print(
            f"{name:40}{statistics.median(wall[name]):12,.0f}{max(wall[name]):12,.0f}"
            f"{median:12,.0f}{median / base:7.2f}x"
        )


def resident_mib() -> float:
    """Return what the process holds in memory [MiB]."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES / (1 << 20)


async def soak(url: str, messages: int) -> None:
    """Print the memory after a tenth of the messages and after all of them."""
    feed = OurFeed(f"{url}?count={messages}", followed(10_000))
    async with feed.running():
        await feed.until(messages // 10)
        early = resident_mib()
        await feed.until(messages)
        late = resident_mib()
    print(f"\nresident memory, 10,000 wallets followed, {feed.told:,} trades told [MiB]")
    print(f"{f'after {messages // 10:,} messages':40}{early:12.1f}")
    print(f"{f'after {messages:,} messages':40}{late:12.1f}{late / early:24.3f}x")


def main() -> None:
    """Start the sender on one core and hear it on another."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=300_000, help="of each turn")
    parser.add_argument("--rounds", type=int, default=5, help="turns that each variant takes")
    parser.add_argument("--soak", type=int, default=10_000_000, help="messages; 0 for none")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    if options.serve:
        os.sched_setaffinity(0, {cores[-1]})
        asyncio.run(serve())
        return
    sender = subprocess.Popen(  # noqa: S603 - this very file
        [sys.executable, __file__, "--serve"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert sender.stdout is not None  # noqa: S101 - it was asked for
        url = f"ws://127.0.0.1:{sender.stdout.readline().strip()}/rtds"
        os.sched_setaffinity(0, {cores[0]})
        variants: dict[str, tuple[Hear, int]] = {
            "polybot, 1 wallet followed": (ours, 1),
            "polybot, 10,000 wallets followed": (ours, 10_000),
            "json and a set, 1 wallet": (peer, 1),
        }
        measure(variants, url, options.messages, options.rounds)
        if options.soak:
            asyncio.run(soak(url, options.soak))
    finally:
        sender.kill()
        sender.wait()


if __name__ == "__main__":
    main()
