"""Rows that the Data API lists late are read, however late that is allowed to be."""

import asyncio
from collections.abc import Coroutine
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest

from polybot.adapters.polymarket.leader_feed.poller import SWEEP_BACK, LeaderPoller
from polybot.adapters.polymarket.leader_feed.tally import Pace, SourceTally
from polybot.adapters.polymarket.leader_feed.walks import Walk
from polybot.domain.leaders import FeedSource, LeaderAddress
from polybot.errors import TransientError
from tests.simulation.virtual import VirtualLoop, VirtualTime

LEADER = LeaderAddress("0x" + "a" * 40)
START_S = 1_795_392_000
OVERLAP_S = 120.0


class Reads:
    """The Data API, of which only is kept what was read when."""

    def __init__(self, time: VirtualTime) -> None:
        self.time = time
        self.all: list[tuple[datetime, datetime]] = []
        """When each read began, and from which instant on it told."""
        self.is_away = False

    async def walk(
        self, leader: LeaderAddress, *, start: datetime, end: datetime | None = None
    ) -> Walk:
        assert end is None
        if self.is_away:
            raise TransientError("no answer")
        self.all.append((self.time.now(), start))
        await asyncio.sleep(0.1)
        return Walk(leader=leader, start=start, end=None)

    def saw(self, happened: datetime, listed: datetime) -> bool:
        return any(began >= listed and start <= happened for began, start in self.all)


@pytest.fixture
def time() -> VirtualTime:
    return VirtualTime(START_S)


def poller_of(reads: Reads, every_s: float) -> LeaderPoller:
    return LeaderPoller(
        reads,  # type: ignore[arg-type]
        take=lambda _: None,
        tally=SourceTally(source=FeedSource.DATA_API, name="data-api"),
        every_s=every_s,
        pace=Pace(per_second=10),
        overlap_s=OVERLAP_S,
        now=reads.time.now,
        random=Random(1),
    )


async def live(poller: LeaderPoller, watermark: datetime, seconds: float) -> datetime:
    """Let a process read for a while; return how far it knows that all is read."""
    poller.follow({LEADER: watermark})
    running = asyncio.create_task(poller.run())
    await asyncio.sleep(seconds)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return poller.read_until()[LEADER]


def run(time: VirtualTime, story: Coroutine[Any, Any, None]) -> None:
    loop = VirtualLoop(time)
    try:
        loop.run_until_complete(story)
    finally:
        loop.close()


def unseen(reads: Reads, start: datetime, seconds: int) -> list[int]:
    """Return when rows happened [s] that were listed as late as is allowed, and never read."""
    ends = reads.time.now() - timedelta(minutes=10)
    happened = (start + timedelta(seconds=offset_s) for offset_s in range(0, seconds, 7))
    rows = [(at, at + SWEEP_BACK) for at in happened if at + SWEEP_BACK < ends]
    assert len(rows) > 100
    return [int((at - start).total_seconds()) for at, listed in rows if not reads.saw(at, listed)]


@pytest.mark.parametrize("every_s", [3.0, 30.0])
def test_what_is_listed_an_hour_late_is_read(time: VirtualTime, every_s: float) -> None:
    """Wherever it happens between two sweeps; seen in a day of copying, six times of 306."""
    reads, start = Reads(time), time.now()

    async def story() -> None:
        await live(poller_of(reads, every_s), start, 4 * 3600)

    run(time, story())
    assert unseen(reads, start, 3 * 3600) == []


def test_what_is_listed_while_nobody_reads_is_read(time: VirtualTime) -> None:
    """A restart follows on the last sweep before it, and so does the end of an outage."""
    reads, start = Reads(time), time.now()

    async def story() -> None:
        watermark = start
        for seconds in (5_000, 290, 310, 4_321):
            watermark = await live(poller_of(reads, 30.0), watermark, seconds)
            await asyncio.sleep(240)
        poller = poller_of(reads, 30.0)
        running = asyncio.create_task(live(poller, watermark, 12_000))
        for is_away in (False, True, False):
            reads.is_away = is_away
            await asyncio.sleep(1_300)
        await running

    run(time, story())
    assert unseen(reads, start, 5 * 3600) == []
