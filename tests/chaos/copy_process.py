"""One process of the copy loop: the real loop, feeds and live adapters, with a probe around them.

While it runs, the venue's time passes faster than ours, and its leader acts.
"""

import asyncio
import json
import os
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Any

from polybot.adapters.clock import SystemClock
from polybot.adapters.polymarket.book_feed import PolymarketBookFeed
from polybot.adapters.polymarket.leader_feed.feed import (
    FeedSources,
    FeedTiming,
    PolymarketLeaderFeed,
)
from polybot.adapters.polymarket.leader_feed.history import PolymarketLeaderHistory
from polybot.copy_trading.engine import CopyLoop
from polybot.copy_trading.parts import CopyOptions, CopyPorts
from polybot.copy_trading.status import CopyEnd, CopyPhase
from polybot.domain.leaders import LeaderEvent
from polybot.domain.markets import MarketSeries
from polybot.domain.modes import Mode
from tests.chaos.crash_points import Probe, kill
from tests.chaos.live_bot import Desk, RunPlan, open_live_bot

ANY_MOMENT = "copy: any moment"
LEASE_S = 0.4
# How long a loop copies that nobody kills, and how long it may take to begin [s, real].
_COPYING_S = 0.4
_BEGINS_WITHIN_S = 20.0
_PAUSE_S = 0.02

Act = dict[str, object]


@dataclass(frozen=True, kw_only=True)
class CopyPlan:
    """What one process of the loop does."""

    run: RunPlan
    acts: Sequence[Act] = ()
    """What the leader does once the loop listens."""
    follows: str = ""
    """Ends only once everything is recorded that this wallet has done; empty: after a while."""
    patience_s: float = 2.0
    """How long that may take [s, real]."""
    step_s: float = 0.05
    """So much of the venue's time passes in each 0.02 s of ours [s]."""
    dies_after_s: float | None = None
    """At any moment: so long after the loop listens [s, real]."""


class _WatchedFeed:
    """The leader feed; what it tells is a step."""

    def __init__(self, feed: PolymarketLeaderFeed, probe: Probe) -> None:
        self._feed = feed
        self._probe = probe

    def __getattr__(self, name: str) -> Any:
        return getattr(self._feed, name)

    async def run(self, sink: Callable[[LeaderEvent], None]) -> None:
        def hear(event: LeaderEvent) -> None:
            self._probe.reach("before", "event heard")
            sink(event)
            self._probe.reach("after", "event heard")

        await self._feed.run(hear)


async def copy_for_a_while(desk: Desk, plan: CopyPlan, probe: Probe) -> tuple[str, ...]:
    """Run the loop until it has copied for a while; return what is wrong with the ledger."""
    stop = asyncio.Event()
    async with open_live_bot(desk, plan.run, probe) as bot:
        clock: Any = bot.clock
        history = PolymarketLeaderHistory(desk.url, timeout_s=5, now=clock.instant)
        async with history:
            loop = CopyLoop(_ports(desk, bot, history, probe), _options(desk))
            running = asyncio.create_task(loop.run(stop))
            passing = asyncio.create_task(_let_time_pass(desk, plan.step_s))
            try:
                await _until_trading(loop, running)
                if plan.dies_after_s is not None:
                    asyncio.get_running_loop().call_later(plan.dies_after_s, kill)
                for act in plan.acts:
                    await asyncio.to_thread(tell_leader, desk.url, act)
                await asyncio.wait((running,), timeout=_COPYING_S)
                await _until_recorded(desk, plan, bot.ledger, running)
                stop.set()
                status = await running
            finally:
                passing.cancel()
        if status.end is not CopyEnd.STOP:
            raise RuntimeError(f"the loop ended: {status.end}, {status.reason}")
        return bot.ledger.violations()


def _ports(desk: Desk, bot: Any, history: Any, probe: Probe) -> CopyPorts:
    url = desk.url
    socket_url = url.replace("http", "ws", 1)
    feed: Any = _WatchedFeed(
        PolymarketLeaderFeed(
            FeedSources(stream_url=f"{socket_url}/rtds", data_url=url),
            now=bot.clock.instant,
            timing=FeedTiming(data_api_every_s=0.2, activity_every_s=0.2),
            random=Random(1),
        ),
        probe,
    )
    books = PolymarketBookFeed(
        f"{socket_url}/ws/market", read_book=bot.market_data.order_book, now=bot.clock.instant
    )
    return CopyPorts(
        ledger=bot.ledger,
        exchange=bot.exchange,
        account=bot.account,
        clock=bot.clock,
        market_data=bot.market_data,
        feed=feed,
        books=books,
        history=history,
        machine_time=SystemClock().instant,
    )


def _options(desk: Desk) -> CopyOptions:
    return CopyOptions(
        mode=Mode.LIVE,
        limits=desk.limits,
        holder=f"loop-{os.getpid()}",
        series=(MarketSeries.parse("btc-15m"),),
        lease_s=LEASE_S,
        max_book_age_s=60,
    )


async def _until_trading(loop: CopyLoop, running: "asyncio.Task[Any]") -> None:
    async with asyncio.timeout(_BEGINS_WITHIN_S):
        while loop.status().phase is not CopyPhase.TRADING:
            if running.done():
                running.result()
                return
            await asyncio.sleep(0.01)


async def _until_recorded(
    desk: Desk, plan: CopyPlan, ledger: Any, running: "asyncio.Task[Any]"
) -> None:
    """Wait until nothing is missing, or until it is clear that something will always be."""
    deadline = asyncio.get_running_loop().time() + plan.patience_s
    leader = next((one for one in ledger.leaders() if one.address == plan.follows), None)
    while leader is not None and asyncio.get_running_loop().time() < deadline:
        told = await asyncio.to_thread(leaders_trades, desk.url, plan.follows)
        done = {row["key"] for row in told if row["at_ms"] >= leader.added_at.timestamp() * 1000}
        if running.done() or done <= set(ledger.seen_keys(leader.address, since=leader.added_at)):
            return
        await asyncio.sleep(0.2)


async def _let_time_pass(desk: Desk, step_s: float) -> None:
    while True:
        await asyncio.sleep(_PAUSE_S)
        with suppress(ValueError):
            desk.clock.move_to(desk.clock.now_ms() + round(step_s * 1000))


def tell_leader(url: str, act: Act) -> Any:
    """Let the sandbox's leader do something now; return what it did."""
    request = urllib.request.Request(
        f"{url}/sandbox/leaders/trades",
        json.dumps(act).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read())["trades"]


def leaders_trades(url: str, leader: str) -> list[dict[str, Any]]:
    """Return everything that a wallet has done and that followers must record."""
    path = f"{url}/sandbox/leaders/trades?leader={leader}"
    with urllib.request.urlopen(path, timeout=10) as answer:
        rows: list[dict[str, Any]] = json.loads(answer.read())["trades"]
    return [row for row in rows if row["type"] != "MAKER_REBATE"]
