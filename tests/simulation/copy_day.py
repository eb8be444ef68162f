"""A simulated day of copying: the real loop and feeds on the sandbox, with freezes and kills.

Time is virtual and the wire is memory; everything else is the product's own. Orders go to paper:
what the kill matrix proves of live orders is not proved again here.
"""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
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
from polybot.domain.books import BookFeedHealth, OrderBook
from polybot.domain.leaders import CopyPolicy, Leader, LeaderAddress, LeaderState, Sizing
from polybot.domain.markets import OutcomeTokenId
from polybot.domain.modes import Mode
from polybot.errors import PolybotError
from polybot.sandbox.clock import RunningClock
from polybot.sandbox.fault_plan import PlannedFault
from polybot.sandbox.leaders import rtds
from polybot.sandbox.leaders.stage import LeaderStage
from polybot.sandbox.leaders.truth import truth_rows
from polybot.sandbox.leaders.wallets import Behaviour, LeaderOptions
from polybot.sandbox.server import create_app
from polybot.sandbox.venue import SandboxVenue
from tests.builders import build_limits
from tests.ledgers import new_ledger
from tests.simulation.copy_outcomes import MAX_AGE_S, DayForm, DayOutcomes
from tests.simulation.ledgers import fast_folder
from tests.simulation.memory_server import MemoryServer, memory_for_sockets
from tests.simulation.remembered import RememberingPlan, quick_venue
from tests.simulation.virtual import VirtualClock, VirtualLoop, VirtualTime

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


class _VenueTime(RunningClock):
    """The venue's clock, running by the virtual time."""

    def __init__(self, time: VirtualTime) -> None:
        super().__init__(0)
        self._time = time

    def now_ms(self) -> int:
        return self._time.now_ms()

    def real_seconds_until(self, until_ms: int) -> float:
        return max(0.0, (until_ms - self.now_ms()) / 1000)


class _Clock(VirtualClock):
    """The bot's clock, which also answers at once."""

    def instant(self) -> datetime:
        return self._time.now()


class _VenueBooks:
    """The ``BookFeed`` port on the venue's own books."""

    def __init__(self, venue: SandboxVenue) -> None:
        self._venue = venue

    def watch(self, token_ids: Iterable[OutcomeTokenId]) -> None:
        """Everything is watched."""

    def book(self, token_id: OutcomeTokenId) -> OrderBook | None:
        return self._venue.book(token_id, self._venue.now_s())

    async def run(self) -> None:
        await asyncio.Event().wait()

    def health(self) -> BookFeedHealth:
        return BookFeedHealth()


class Killed(BaseException):
    """The process is gone: nothing that it does on the way out happens."""


class _MortalLedger:
    """A ledger whose process can die: from then on it writes and reads nothing."""

    def __init__(self, ledger: Any) -> None:
        self._ledger = ledger
        self.is_dead = False

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._ledger, name)

        def call(*args: Any, **named: Any) -> Any:
            if self.is_dead:
                raise Killed
            return found(*args, **named)

        return call


class CopyDay:
    """Everything of one seed."""

    def __init__(self, seed: int, folder: Path, wanted: DayForm) -> None:
        hours = wanted.hours
        self.random = Random(f"copy-day-{seed}")
        self.time = VirtualTime(_START_S)
        self.clock = _Clock(self.time)
        self.plan = RememberingPlan(seed, _faults(wanted.latest_s))
        self.venue = SandboxVenue(seed=seed, clock=_VenueTime(self.time))
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
        self._compare()

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
            ledger = _MortalLedger(opened)
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
            books=_VenueBooks(self.venue),
            history=history,
            machine_time=self.time.now,
        )

    def _options(self) -> CopyOptions:
        return CopyOptions(mode=Mode.PAPER, limits=self.limits, holder=f"life-{self._lives}")

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

    # In the end ---------------------------------------------------------------------------------
    def _compare(self) -> None:
        """Compare what is recorded with what happened."""
        found, start_ms = self.outcomes, self.time.start_s * 1000
        rows = truth_rows(list(self.stage.entries), self.stage.advance())
        # Rebates and redemptions of nothing change nobody's holdings; the feed skips them by name.
        truth = Counter(
            str(row["key"])
            for row in rows
            if row["is_leader"]
            and int(str(row["at_ms"])) >= start_ms
            and row["type"] != "MAKER_REBATE"
            and row["size"] != "0"
        )
        with open_ledger(self.path, mode=Mode.PAPER) as ledger:
            everything = ledger.copy_log()
            # What we sell after a conversion is told as a trade that the leader never made.
            ours = {str(one.trade.key) for one in everything if one.follows_conversion}
            log = [one for one in everything if not one.follows_conversion]
            recorded = Counter(str(one.trade.key) for one in log)
            keys = Counter(recorded)
            for wallet in self.stage.leaders:
                seen = ledger.seen_keys(LeaderAddress(wallet.address), since=_long_ago(self.time))
                keys |= Counter(str(key) for key in seen if str(key) not in ours)
            found.audit = list(ledger.violations())
        found.followed, found.recorded = truth.total(), keys.total()
        how = {str(row["key"]): _how_told(row) for row in rows}
        found.missing = [f"{key} ({how[key]})" for key in sorted((truth - keys).elements())]
        found.invented = sorted((keys - truth).elements())
        found.doubled = sorted(key for key, count in recorded.items() if count > 1)
        for one in log:
            found.reasons[one.reason_code or one.verdict.value] += 1
            if one.verdict.value == "placed":
                found.placed += 1
                age_s = (one.decided_at - one.trade.traded_at).total_seconds()
                found.oldest_copy_s = max(found.oldest_copy_s, age_s)
        found.fired = Counter(self.plan.fired)


def _faults(latest_s: int) -> list[PlannedFault]:
    """Return what goes wrong with every event: shares of all, without end."""
    stream: Any = {"route": "WS /rtds", "count": 0}
    late = [
        PlannedFault(kind="index-late", probability=0.017, count=0, delay_ms=delay_s * 1000)
        for delay_s in (latest_s // 30, latest_s // 3, latest_s - 60)
    ]
    return [
        PlannedFault(kind="event-lost", probability=0.1, **stream),
        PlannedFault(kind="event-duplicated", probability=0.1, **stream),
        PlannedFault(
            kind="event-late",
            probability=0.05,
            delay_ms=1_000,
            delay_max_ms=latest_s * 1000,
            **stream,
        ),
        # Each connection loses its own; these are told on neither.
        PlannedFault(kind="trade-unheard", probability=0.1, count=0),
        *late,
    ]


def _freezes_of(feed: PolymarketLeaderFeed | None) -> dict[str, int]:
    if feed is None:
        return {}
    return {one.name: one.freezes for one in feed.health() if one.name.startswith("stream")}


def _still(wallet: Any) -> Any:
    return replace(wallet, behaviour=Behaviour(rate=0, redeems=False))


def _how_told(row: dict[str, Any]) -> str:
    listed_s = (int(row["index_ms"]) - int(row["at_ms"])) / 1000
    streamed = "not streamed" if row["stream_ms"] is None else "streamed"
    return f"{streamed}, listed {listed_s:.0f} s later"


def _long_ago(time: VirtualTime) -> datetime:
    return time.now() - timedelta(days=30)


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
