"""A simulated day of copying: the real loop and feeds on the sandbox, with freezes and kills.

Time is virtual and the wire is memory; everything else is the product's own. Orders go to paper:
what the kill matrix proves of live orders is not proved again here.
"""

import asyncio
import tempfile
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, Final
from unittest import mock

import aiohttp
import structlog

from polybot import settlement
from polybot.adapters.paper import PaperExchange
from polybot.adapters.polymarket.leader_feed.feed import (
    FeedSources,
    FeedTiming,
    PolymarketLeaderFeed,
)
from polybot.adapters.polymarket.leader_feed.history import PolymarketLeaderHistory
from polybot.adapters.polymarket.market_data import PolymarketData
from polybot.adapters.storage.ledger import open_ledger
from polybot.copy_trading import catalog
from polybot.copy_trading.engine import CopyLoop
from polybot.copy_trading.parts import CopyOptions, CopyPorts
from polybot.domain.leaders import CopyPolicy, Leader, LeaderAddress, LeaderState, Sizing
from polybot.domain.modes import Mode
from polybot.errors import PolybotError
from polybot.sandbox.leaders import rtds
from polybot.sandbox.leaders.stage import LeaderStage
from polybot.sandbox.leaders.wallets import Behaviour, LeaderOptions
from polybot.sandbox.server import create_app
from polybot.sandbox.venue import SandboxVenue
from tests.builders import build_limits
from tests.ledgers import new_ledger
from tests.simulation.copy_outcomes import MAX_AGE_S, DayForm, DayOutcomes
from tests.simulation.copy_parts import (
    InstantClock,
    MortalLedger,
    VenueBooks,
    VenueClock,
    stream_faults,
)
from tests.simulation.copy_truth import compare
from tests.simulation.ledgers import fast_folder
from tests.simulation.memory_server import MemoryServer, memory_for_sockets
from tests.simulation.remembered import RememberingPlan, quick_venue
from tests.simulation.virtual import VirtualLoop, VirtualTime

URL: Final = "http://venue.test"
STREAM_URL: Final = "ws://venue.test/rtds"
_START_S: Final = 1_795_392_000
_FREEZE_EVERY_S: Final = 1_800
_FREEZE_S: Final = 90
# After the last trade what is latest still arrives, and is looked for once more.
_QUIET_S: Final = 900
_CASH: Final = Decimal(1_000_000)
_POLICY: Final = CopyPolicy(
    sizing=Sizing.FIXED,
    fixed_usdc=Decimal(3),
    max_trade_usdc=Decimal(5),
    max_market_usdc=Decimal(200),
    max_leader_usdc=Decimal(5_000),
    max_day_usdc=Decimal(100_000),
    max_age_s=MAX_AGE_S,
    max_repeats=10_000,
)


class CopyDay:
    """Everything of one seed."""

    def __init__(self, seed: int, folder: Path, wanted: DayForm) -> None:
        hours = wanted.hours
        self.random = Random(f"copy-day-{seed}")
        self.time = VirtualTime(_START_S)
        self._began_at = self.time.now()
        self.clock = InstantClock(self.time)
        self.plan = RememberingPlan(seed, stream_faults(wanted.latest_s))
        self.venue = SandboxVenue(seed=seed, clock=VenueClock(self.time))
        options = LeaderOptions(leaders=3, rate=wanted.rate, crowd=2, noise=1.0)
        self.stage = LeaderStage(self.venue, options)
        app = create_app(self.venue, plan=self.plan, stage=self.stage)
        self.server = MemoryServer(app)
        self.path = folder / "paper.db"
        self.path.write_bytes(new_ledger(_CASH, at=self.time.now() - timedelta(days=1)))
        self.outcomes = DayOutcomes(seed=seed, hours=hours)
        self.length_s = hours * 3600
        self.end_s = self.length_s + wanted.latest_s + _QUIET_S
        self.kills = sorted(
            self.random.uniform(0.1, 0.95) * self.length_s for _ in range(wanted.kills)
        )
        self.limits = build_limits(
            max_exposure_usdc=Decimal(100_000),
            max_window_exposure_usdc=Decimal(10_000),
            max_daily_loss_usdc=Decimal(100_000),
            max_trades_per_day=100_000,
            min_time_left_s=5,
        )
        self._feed: PolymarketLeaderFeed | None = None
        self._lives = 0

    async def play(self) -> None:
        """Live through the day, be killed, live on, and become quiet."""
        self._follow_leaders()
        freezing = asyncio.create_task(self._freeze_again_and_again())
        for killed_s in self.kills:
            await self._live(until_s=killed_s, is_killed=True)
            self.outcomes.kills += 1
        quieting = asyncio.create_task(self._quieten())
        await self._live(until_s=self.end_s, is_killed=False)
        for task in (freezing, quieting):
            task.cancel()
        for ended in await asyncio.gather(freezing, quieting, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended
        compare(self.outcomes, self.stage, self.path, since=self._began_at)
        self.outcomes.fired = Counter(self.plan.fired)

    def _follow_leaders(self) -> None:
        now = self.time.now()
        self.stage.advance()
        with open_ledger(self.path, mode=Mode.PAPER) as ledger:
            for wallet in self.stage.leaders:
                ledger.add_leader(
                    Leader(
                        address=LeaderAddress(wallet.address),
                        name=wallet.name,
                        policy=_POLICY,
                        state=LeaderState.ACTIVE,
                        state_reason="",
                        added_at=now,
                        watermark=now,
                    )
                )

    async def _live(self, *, until_s: float, is_killed: bool) -> None:
        """Be one process of the loop, until it is killed or told to stop."""
        self._lives += 1
        stop = asyncio.Event()
        with open_ledger(self.path, mode=Mode.PAPER) as opened:
            ledger = MortalLedger(opened)
            data = PolymarketData(
                gamma_url=URL, clob_url=URL, data_url=URL, timeout_s=10, clock=self.clock
            )
            history = PolymarketLeaderHistory(URL, timeout_s=10, now=self.clock.instant)
            async with data, history:
                loop = CopyLoop(self._ports(ledger, data, history), self._options())
                running = asyncio.create_task(loop.run(stop))
                settling = asyncio.create_task(self._settle_again_and_again(ledger, data))
                done, _ = await asyncio.wait(
                    (running,), timeout=max(0.0, until_s - self.time.elapsed_s)
                )
                if done:
                    running.result()
                    raise AssertionError(f"the loop ended by itself: {loop.status().reason}")
                if is_killed:
                    ledger.is_dead = True
                    self.server.cut_everything()
                    running.cancel()
                else:
                    stop.set()
                settling.cancel()
                ended = await asyncio.gather(running, settling, return_exceptions=True)
                if not is_killed and isinstance(ended[0], BaseException):
                    raise ended[0]

    def _ports(self, ledger: Any, data: Any, history: Any) -> CopyPorts:
        self._feed = PolymarketLeaderFeed(
            FeedSources(stream_url=STREAM_URL, data_url=URL),
            now=self.clock.instant,
            timing=FeedTiming(data_api_every_s=10, activity_every_s=30),
            random=Random(f"feed-{self._lives}"),
        )
        return CopyPorts(
            ledger=ledger,
            exchange=PaperExchange(data, self.clock, delay_s=0.25, fills_of=ledger.fills_of),
            account=None,
            clock=self.clock,
            market_data=data,
            feed=self._feed,
            books=VenueBooks(self.venue),
            history=history,
            machine_time=self.time.now,
        )

    def _options(self) -> CopyOptions:
        return CopyOptions(
            mode=Mode.PAPER,
            limits=self.limits,
            holder=f"life-{self._lives}",
            # The venue lists every position that a leader has ever had.
            drift_every_s=300,
        )

    # Meanwhile ----------------------------------------------------------------------------------
    async def _settle_again_and_again(self, ledger: Any, data: PolymarketData) -> None:
        while True:
            await asyncio.sleep(300)
            with suppress(PolybotError):
                await settlement.settle_ended_windows(ledger, data, at=self.time.now())

    async def _freeze_again_and_again(self) -> None:
        while self.time.elapsed_s + _FREEZE_EVERY_S < self.length_s:
            await asyncio.sleep(_FREEZE_EVERY_S)
            await self._freeze()

    async def _freeze(self) -> None:
        """Let the stream fall silent while it answers pings, and see how soon that is noticed."""
        feed = self._feed
        await self._tell_sandbox("stream", {"action": "freeze", "duration_s": _FREEZE_S})
        began, before = self.time.elapsed_s, _freezes_of(feed)
        while self.time.elapsed_s < began + _FREEZE_S and feed is self._feed:
            await asyncio.sleep(0.25)
            after = _freezes_of(feed)
            if all(after[name] > count for name, count in before.items()):
                self.outcomes.noticed_s.append(self.time.elapsed_s - began)
                break
        # Who was killed meanwhile did not have to notice.
        self.outcomes.freezes += feed is self._feed

    async def _quieten(self) -> None:
        await asyncio.sleep(max(0.0, self.length_s - self.time.elapsed_s))
        still = [_still(one) for one in self.stage.wallets]
        self.stage.set_wallets(still)

    async def _tell_sandbox(self, what: str, body: dict[str, object]) -> None:
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector()) as session,
            session.post(f"{URL}/sandbox/leaders/{what}", json=body) as answer,
        ):
            assert answer.status == 200, await answer.text()


def _freezes_of(feed: PolymarketLeaderFeed | None) -> dict[str, int]:
    if feed is None:
        return {}
    return {one.name: one.freezes for one in feed.health() if one.name.startswith("stream")}


def _still(wallet: Any) -> Any:
    return replace(wallet, behaviour=Behaviour(rate=0, redeems=False))


def play_day(seed: int, folder: Path, wanted: DayForm) -> DayOutcomes:
    """Play a day, or a part of one."""
    with quick_venue():
        return _play_day(CopyDay(seed, folder, wanted))


def _play_day(day: CopyDay) -> DayOutcomes:
    loop = VirtualLoop(day.time)
    asyncio.set_event_loop(loop)
    try:
        # Sockets of the sandbox look for what is due once a second instead of 200 times, and the
        # bot for markets whose time has come as often: what it finds comes later, not sooner.
        with (
            memory_for_sockets(day.server),
            mock.patch.object(rtds, "_TICK_S", 1.0),
            mock.patch.object(catalog, "_LOOK_EVERY_S", 1.0),
        ):
            try:
                loop.run_until_complete(day.play())
            finally:
                left = asyncio.all_tasks(loop)
                for task in left:
                    task.cancel()
                loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    return day.outcomes


def play_whole_day(seed: int) -> DayOutcomes:
    """Play 24 hours, without a word."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    with tempfile.TemporaryDirectory(dir=fast_folder(), prefix="polybot-day-") as folder:
        return play_day(seed, Path(folder), DayForm())
