"""The feeds against the sandbox's leaders: whatever goes wrong, every event is told exactly once."""

import asyncio
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from random import Random

import pytest

from polybot.adapters.polymarket.leader_feed import (
    ChainTiming,
    Conflict,
    FeedSources,
    FeedTiming,
    PolymarketLeaderFeed,
    StreamTiming,
)
from polybot.domain.leaders import FeedSource, LeaderAddress, LeaderEvent, LeaderTradeKey
from polybot.domain.markets import ConditionId, OutcomeTokenId
from polybot.sandbox.fault_plan import PlannedFault
from polybot.sandbox.leaders.wallets import LeaderOptions
from tests.sandbox.conftest import START_S
from tests.sandbox.leader_wire import Wire, open_stage, serve_stage

BUSY = LeaderOptions(leaders=2, crowd=4, noise=5, rate=20)
START = datetime.fromtimestamp(START_S - 10, UTC)
ROUGH = (
    PlannedFault(kind="event-lost", route="WS /rtds", probability=0.1, count=0),
    PlannedFault(kind="event-duplicated", route="WS /rtds", probability=0.1, count=0),
    PlannedFault(
        kind="event-late",
        route="WS /rtds",
        probability=0.05,
        count=0,
        delay_ms=1_000,
        delay_max_ms=3_600_000,
    ),
    PlannedFault(kind="socket-closed", route="WS /rtds", probability=0.002, count=0),
    PlannedFault(kind="trade-unheard", route="LEADER", probability=0.02, count=0),
    PlannedFault(kind="error-before", route="/v2/", probability=0.05, count=0),
    PlannedFault(kind="html", route="/v2/", probability=0.02, count=0),
    PlannedFault(kind="truncated", route="/v2/", probability=0.02, count=0, at_byte=200),
)
QUICK = FeedTiming(
    stream=StreamTiming(
        ping_s=0.05, silence_s=0.3, first_pause_s=0.001, longest_pause_s=0.01, close_s=0.05
    ),
    chain=ChainTiming(silence_s=60, first_pause_s=0.001, longest_pause_s=0.01, close_s=0.05),
    data_api_every_s=0.03,
    activity_every_s=0.03,
    overlap_s=120,
)


class Follower:
    """A feed that is stopped and started again, and the ledger's part of it: keys."""

    def __init__(self, wire: Wire, **sources: bool) -> None:
        self.wire = wire
        self.told: list[LeaderEvent] = []
        self.conflicts: list[Conflict] = []
        self.removed: list[LeaderTradeKey] = []
        self.wants = {"stream": True, "data": True, "node": False, **sources}
        self.positions = {LeaderAddress(one.address): START for one in wire.stage.leaders}
        self.feed = self._open()
        self.task = asyncio.create_task(self.feed.run(self.told.append))

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.wire.stage.venue.clock.now_ms() / 1000, UTC)

    async def kill(self) -> None:
        """End the feed without warning; what was told is recorded."""
        self.positions = self.feed.read_until()
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task

    async def restart(self) -> None:
        """Begin again with the ledger's keys and positions."""
        await self.kill()
        self.feed = self._open()
        self.feed.remember(one.key for one in self.told)
        self.task = asyncio.create_task(self.feed.run(self.told.append))

    async def until_told(self, keys: Counter[str]) -> None:
        """Wait until everything was told; then it is compared exactly."""
        with suppress(TimeoutError):
            async with asyncio.timeout(20):
                while keys - self.keys():
                    await asyncio.sleep(0.01)
        assert self.keys() == keys

    def keys(self) -> Counter[str]:
        return Counter(one.key for one in self.told)

    def _open(self) -> PolymarketLeaderFeed:
        socket_url = self.wire.url.replace("http", "ws")
        feed = PolymarketLeaderFeed(
            FeedSources(
                stream_url=f"{socket_url}/rtds" if self.wants["stream"] else None,
                data_url=self.wire.url if self.wants["data"] else None,
                node_url=f"{socket_url}/chain" if self.wants["node"] else None,
            ),
            now=self.now,
            timing=QUICK,
            random=Random(7),
            market_of=self._market_of,
            on_conflict=self.conflicts.append,
            on_removed=self.removed.append,
        )
        feed.follow(self.positions)
        return feed

    def _market_of(self, token: OutcomeTokenId) -> tuple[ConditionId, str] | None:
        for row in self.wire.truth():
            if row.get("token_id") == token:
                return ConditionId(row["condition_id"]), row["slug"]
        return None


def truth(wire: Wire, *types: str) -> Counter[str]:
    """Return the key of everything that leaders did and the venue can show."""
    return Counter(
        row["key"]
        for row in wire.truth()
        if row["at_ms"] >= START.timestamp() * 1000
        and (not types or row["type"] in types)
        and row["size"] != "0"
    )


async def play(wire: Wire, seconds: int, step_s: float = 5) -> None:
    """Let virtual time pass in small steps, so that everybody has turns."""
    for _ in range(int(seconds / step_s)):
        wire.advance(step_s)
        await asyncio.sleep(0.001)


async def test_everything_is_told_once_while_nothing_goes_wrong() -> None:
    with serve_stage(open_stage(BUSY)) as wire:
        follower = Follower(wire)
        await play(wire, 1200)
        wire.advance(60)
        await follower.until_told(truth(wire))
        await follower.kill()
    assert len(follower.told) > 300
    assert follower.conflicts == []
    assert {one.source for one in follower.told if hasattr(one, "source")} == {
        FeedSource.STREAM,
        FeedSource.DATA_API,
    }


@pytest.mark.timeout(240)
async def test_everything_is_told_once_through_loss_freezes_and_restarts() -> None:
    """Two hours: a tenth lost, a tenth twice, some an hour late, freezes, closes, two kills."""
    with serve_stage(open_stage(BUSY), *ROUGH) as wire:
        follower = Follower(wire)
        for _ in range(4):
            await play(wire, 900)
            wire.http.post("/sandbox/leaders/stream", json={"action": "freeze", "duration_s": 300})
            await play(wire, 900)
            wire.http.post("/sandbox/leaders/stream", json={"action": "lapse"})
            await follower.restart()
        # Late frames come an hour after their trade; by then it has long been told.
        await play(wire, 3900, step_s=30)
        keys = truth(wire)
        wire.http.post("/sandbox/leaders", json={"behaviour": {"rate": 0}})
        keys = truth(wire)
        wire.advance(60)
        await follower.until_told(keys)
        health = follower.feed.health()
        fired = wire.fired()
        await follower.kill()
    assert len(follower.told) > 2000
    assert follower.conflicts == []
    assert {"event-lost", "event-duplicated", "event-late"} <= fired.keys()
    assert sum(one.freezes for one in health) >= 0


async def test_stream_and_chain_alone_tell_every_trade_once() -> None:
    """Without the Data API nobody shows conversions; distinct logs make repeats true."""
    with serve_stage(open_stage(BUSY)) as wire:
        follower = Follower(wire, data=False, node=True)
        await play(wire, 5, step_s=1)
        await play(wire, 900, step_s=1)
        wire.http.post("/sandbox/leaders", json={"behaviour": {"rate": 0}})
        keys = truth(wire, "TRADE")
        wire.advance(60)
        await follower.until_told(keys)
        await follower.kill()
    assert len(follower.told) > 200
