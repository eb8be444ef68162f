"""A feed that listens to a venue on loopback, and what it told."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from polybot.adapters.polymarket.leader_feed import (
    ChainTiming,
    Conflict,
    FeedSources,
    FeedTiming,
    PolymarketLeaderFeed,
    StreamTiming,
)
from polybot.domain.leaders import (
    LeaderAddress,
    LeaderConversion,
    LeaderEvent,
    LeaderTrade,
    LeaderTradeKey,
    SourceHealth,
)
from tests.leader_rows import NOW, WALLET
from tests.leader_venue import LeaderVenue, Signals

LEADER = LeaderAddress(WALLET)
WATERMARK = NOW - timedelta(minutes=10)
HOUR_S = 3600.0
# Quick enough for a test; what a test is not about stays far away.
STEADY = StreamTiming(
    ping_s=0.01, silence_s=HOUR_S, first_pause_s=0.001, longest_pause_s=0.002, close_s=0.05
)
NERVOUS = StreamTiming(
    ping_s=0.01, silence_s=0.15, first_pause_s=0.001, longest_pause_s=0.002, close_s=0.05
)
CHAIN = ChainTiming(silence_s=HOUR_S, first_pause_s=0.001, longest_pause_s=0.002, close_s=0.05)


class Listening:
    """The feed and everything it told."""

    def __init__(
        self,
        feed: PolymarketLeaderFeed,
        conflicts: list[Conflict],
        removed: list[LeaderTradeKey],
    ) -> None:
        self.feed = feed
        self.told: list[LeaderEvent] = []
        self.conflicts = conflicts
        self.removed = removed
        self.signals = Signals()

    @property
    def trades(self) -> list[LeaderTrade]:
        return [one for one in self.told if isinstance(one, LeaderTrade)]

    @property
    def conversions(self) -> list[LeaderConversion]:
        return [one for one in self.told if isinstance(one, LeaderConversion)]

    def hear(self, event: LeaderEvent) -> None:
        self.told.append(event)
        self.signals.note("told")

    async def count(self, at_least: int) -> None:
        await self.signals.count("told", at_least)

    def health(self, name: str) -> SourceHealth:
        return next(one for one in self.feed.health() if one.name == name)

    async def rejected(self, name: str, reason: str) -> None:
        """Wait until a source has counted a reason."""
        await self.looked(lambda: self.health(name).rejected.get(reason, 0) > 0)

    async def looked(self, is_true: Callable[[], bool]) -> None:
        """Wait for something that only shows from outside, while the loop goes round."""
        async with asyncio.timeout(30):
            while not is_true():  # noqa: ASYNC110 - counts change without a signal
                await asyncio.sleep(0)


@asynccontextmanager
async def listening(
    venue: LeaderVenue,
    *,
    stream: bool = True,
    data: bool = True,
    node: bool = False,
    connections: int = 1,
    stream_timing: StreamTiming = STEADY,
    every_s: float = HOUR_S,
    overlap_s: float = 120.0,
    watermarks: dict[LeaderAddress, datetime] | None = None,
    known: tuple[LeaderTradeKey, ...] = (),
    is_ready: bool = True,
    **options: Any,
) -> AsyncIterator[Listening]:
    """Listen until the test is over; by default it is connected when the test begins."""
    sources = FeedSources(
        stream_url=venue.stream_url if stream else None,
        data_url=venue.url if data else None,
        node_url=venue.node_url if node else None,
        stream_connections=connections,
        max_frame_bytes=options.pop("max_frame_bytes", 1 << 20),
    )
    timing = FeedTiming(
        stream=stream_timing,
        chain=options.pop("chain_timing", CHAIN),
        data_api_every_s=every_s,
        activity_every_s=every_s,
        overlap_s=overlap_s,
    )
    conflicts: list[Conflict] = []
    removed: list[LeaderTradeKey] = []
    feed = PolymarketLeaderFeed(
        sources,
        now=options.pop("now", lambda: NOW),
        timing=timing,
        random=Random(7),
        on_conflict=conflicts.append,
        on_removed=removed.append,
        **options,
    )
    ear = Listening(feed, conflicts, removed)
    feed.remember(known)
    feed.follow({LEADER: WATERMARK} if watermarks is None else watermarks)
    task = asyncio.create_task(feed.run(ear.hear))
    try:
        if is_ready and stream:
            await venue.signals.count("subscribed", connections)
        yield ear
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def at(second: int) -> datetime:
    """Return an instant."""
    return datetime.fromtimestamp(second, UTC)
