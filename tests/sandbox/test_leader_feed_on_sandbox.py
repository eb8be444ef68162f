"""The feeds and the sandbox's leaders: whatever goes wrong, every event is told exactly once."""

import asyncio
from collections import Counter
from collections.abc import Callable
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
from polybot.domain.leaders import (
    FeedSource,
    LeaderAddress,
    LeaderEvent,
    LeaderTrade,
    LeaderTradeKey,
)
from polybot.domain.markets import ConditionId, OutcomeTokenId
from polybot.sandbox.fault_plan import PlannedFault
from polybot.sandbox.leaders.wallets import LeaderOptions
from tests.sandbox.conftest import SLUG, START_S
from tests.sandbox.leader_wire import Wire, open_stage, serve_stage

BUSY = LeaderOptions(leaders=2, crowd=4, noise=5, rate=20)
TOLD_TYPES = ("TRADE", "SPLIT", "MERGE", "REDEEM", "CONVERSION")
START = datetime.fromtimestamp(START_S - 10, UTC)
_STEPS_PER_BEAT = 12
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
    PlannedFault(kind="trade-unheard", probability=0.02, count=0),
    # Later than the overlap reaches: found by reading further back now and then.
    PlannedFault(
        kind="index-late",
        probability=0.02,
        count=0,
        delay_ms=1_500_000,
        until_s=START_S + 7200,
    ),
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
        self.markets: dict[str, tuple[ConditionId, str]] = {}
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

    async def until_connected(self, count: int) -> None:
        """Wait until so many sources are heard."""
        async with asyncio.timeout(20):
            while sum(one.is_connected for one in self.feed.health()) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def beat(self) -> None:
        """Wait until every leader was read, or where nobody reads, until something was heard."""
        heard = {one.name: one.messages for one in self.feed.health()}
        name, more = ("data-api", 2 * len(self.positions)) if self.wants["data"] else ("chain", 1)
        async with asyncio.timeout(20):
            while self._messages(name) < heard[name] + more:  # noqa: ASYNC110
                await asyncio.sleep(0.002)

    def _messages(self, name: str) -> int:
        return next(one.messages for one in self.feed.health() if one.name == name)

    async def until_told(self, keys: Counter[str]) -> None:
        """Wait until everything was told; then it is compared exactly."""
        with suppress(TimeoutError):
            async with asyncio.timeout(20):
                while keys - self.keys():  # noqa: ASYNC110 - told from the loop itself
                    await asyncio.sleep(0.01)
        assert (keys - self.keys(), self.keys() - keys) == (Counter(), Counter())

    def keys(self) -> Counter[str]:
        """Return what was told; reading begins before the position, so some of it is older."""
        return Counter(one.key for one in self.told if happened_at(one) >= START)

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
        if token not in self.markets:
            rows = [row for row in self.wire.truth() if row["type"] == "TRADE"]
            self.markets = {
                row["token_id"]: (ConditionId(row["condition_id"]), row["slug"]) for row in rows
            }
        return self.markets.get(token)


def streamed(follower: Follower) -> list[LeaderEvent]:
    return [
        one
        for one in follower.told
        if isinstance(one, LeaderTrade) and one.source is FeedSource.STREAM
    ]


async def until(is_true: Callable[[], bool]) -> None:
    """Wait for what the feed does by itself."""
    async with asyncio.timeout(20):
        while not is_true():  # noqa: ASYNC110 - told from the loop itself
            await asyncio.sleep(0.002)


def happened_at(event: LeaderEvent) -> datetime:
    return event.traded_at if isinstance(event, LeaderTrade) else event.happened_at


def truth(wire: Wire, *types: str) -> Counter[str]:
    """Return the key of everything that leaders did and the venue can show."""
    return Counter(
        row["key"]
        for row in wire.truth()
        if row["timestamp"] >= START.timestamp()
        and row["type"] in (types or TOLD_TYPES)
        and row["size"] != "0"
    )


def stop(wire: Wire, *types: str) -> Counter[str]:
    """Let the leaders rest, let everything be indexed, and return what they have done."""
    wire.http.post("/sandbox/leaders", json={"behaviour": {"rate": 0}})
    wire.advance(60)
    return truth(wire, *types)


async def play(follower: Follower, seconds: int, step_s: float = 5) -> None:
    """Let virtual time pass, no faster than every source is heard."""
    for number in range(int(seconds / step_s)):
        follower.wire.advance(step_s)
        await asyncio.sleep(0)
        if not number % _STEPS_PER_BEAT:
            await follower.beat()


async def test_everything_is_told_once_while_nothing_goes_wrong() -> None:
    with serve_stage(open_stage(BUSY)) as wire:
        follower = Follower(wire)
        await follower.until_connected(3)
        await play(follower, 1200)
        await follower.until_told(stop(wire))
        await follower.kill()
    assert len(follower.told) > 300
    assert follower.conflicts == []
    sources = {one.source for one in follower.told if isinstance(one, LeaderTrade)}
    assert FeedSource.STREAM in sources


@pytest.mark.timeout(240)
async def test_everything_is_told_once_through_loss_freezes_and_restarts() -> None:
    """Two hours: a tenth lost, a tenth twice, some an hour late, freezes, closes, two kills."""
    with serve_stage(open_stage(BUSY), *ROUGH) as wire:
        follower = Follower(wire)
        for _ in range(4):
            await play(follower, 900)
            wire.http.post("/sandbox/leaders/stream", json={"action": "freeze", "duration_s": 300})
            await play(follower, 900)
            wire.http.post("/sandbox/leaders/stream", json={"action": "lapse"})
            await follower.restart()
        # Late frames come an hour after their trade; by then it has long been told.
        await play(follower, 3900, step_s=30)
        await follower.until_told(stop(wire))
        fired = wire.fired()
        await follower.kill()
    assert len(follower.told) > 2000
    assert follower.conflicts == []
    assert {rule.kind for rule in ROUGH} <= fired.keys()


async def test_stream_and_chain_alone_tell_every_trade_once() -> None:
    """Without the Data API nobody shows conversions; distinct logs make repeats true."""
    with serve_stage(open_stage(BUSY)) as wire:
        follower = Follower(wire, data=False, node=True)
        await follower.until_connected(3)
        await play(follower, 900, step_s=1)
        await follower.until_told(stop(wire, "TRADE"))
        await follower.kill()
    assert len(follower.told) > 200


async def test_node_alone_tells_every_trade_once_although_it_hangs_up() -> None:
    """What was missed meanwhile is in its logs; nobody else is asked."""
    hangs_up = PlannedFault(kind="socket-closed", route="WS /chain", probability=0.1, count=0)
    with serve_stage(open_stage(BUSY), hangs_up) as wire:
        follower = Follower(wire, stream=False, data=False, node=True)
        await follower.until_connected(1)
        await play(follower, 600, step_s=1)
        expected = stop(wire, "TRADE")
        await follower.until_told(expected)
        (health,) = follower.feed.health()
        await follower.kill()
    assert len(follower.told) > 100
    assert health.reconnects >= 5


@pytest.mark.parametrize("listed_s", [0, 30])
async def test_failed_trade_is_named_without_a_node(listed_s: int) -> None:
    """The stream tells of it, the Data API never lists it, or no longer; the others stay."""
    options = LeaderOptions(leaders=1, crowd=0, noise=0, rate=0)
    with serve_stage(open_stage(options)) as wire:
        follower = Follower(wire)
        await follower.until_connected(3)
        # The venue takes a moment to note a subscription, and the first trades may be missed.
        while not streamed(follower):
            wire.act(slug=SLUG)
            wire.advance(2)
            await follower.beat()
        before = len(streamed(follower))
        (failing,) = wire.act(slug=SLUG)
        wire.advance(2)
        await until(lambda: len(streamed(follower)) > before)
        wire.advance(listed_s)
        await follower.beat()
        wire.http.post(
            "/sandbox/leaders/fail", json={"transaction_hash": failing["transaction_hash"]}
        )
        wire.act(slug=SLUG)
        for _ in range(17):
            wire.advance(60)
            await follower.beat()
        await until(lambda: bool(follower.removed))
        await follower.until_told(truth(wire))
        await follower.kill()
    assert follower.removed == [failing["key"]]
    assert follower.conflicts == []
