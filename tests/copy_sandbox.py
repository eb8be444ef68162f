"""A sandbox with one leader who trades when the test says so, and a copier on it: paper or live.

Everything is what runs for real: settings, feeds over sockets, ledger, signing, the strict
exchange. Only the hosts are this machine's.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from polybot.adapters import logs
from polybot.adapters.health_file import installed_version, write_health
from polybot.adapters.keystore import create_keystore
from polybot.bootstrap import Access
from polybot.bootstrap_copying import Copier, open_copier
from polybot.config import Settings, load_settings
from polybot.copy_trading.status import CopyPhase, CopyStatus
from polybot.domain.health import HealthRecord
from polybot.domain.leaders import (
    CopyPolicy,
    CopyRecord,
    Leader,
    LeaderAddress,
    LeaderState,
)
from polybot.domain.markets import MarketSeries, MarketWindow
from polybot.domain.modes import Mode
from polybot.sandbox.clock import RunningClock
from polybot.sandbox.exchange.gateway import PrivateGateway
from polybot.sandbox.exchange.ledger_watch import LedgerWatch
from polybot.sandbox.exchange.matching import MatchingExchange
from polybot.sandbox.exchange.rules import VenueRules
from polybot.sandbox.leaders.by_hand import ActRequest, FillRequest, act
from polybot.sandbox.leaders.stage import LeaderStage
from polybot.sandbox.leaders.wallets import LeaderOptions
from polybot.sandbox.venue import SandboxVenue
from tests.live_home import KEY, PASSPHRASE
from tests.sandbox_server import serve_in_thread

CASH_USDC = 1000
PATIENCE_S = 20.0
# Two minutes into a window, as far as a sandbox may choose its time.
SANDBOX_START = datetime(2026, 10, 5, 23, 2, tzinfo=UTC)
# Blocks are dated in whole seconds: a fill of this second seems to be older.
_BLOCK = timedelta(seconds=1)
_RISK = {
    "max_stake_usdc": 50,
    "max_window_exposure_usdc": 400,
    "max_exposure_usdc": 400,
    "max_daily_loss_usdc": 400,
    "max_trades_per_day": 1000,
}
_COPYING = {"data_api_every_s": 0.5, "activity_every_s": 1, "drift_every_s": 5, "lease_s": 3}


@dataclass(frozen=True, kw_only=True)
class CopyVenue:
    """The venue, its leader, and the settings of whoever copies him."""

    venue: SandboxVenue
    stage: LeaderStage
    url: str
    settings: Settings
    watch: LedgerWatch | None
    """Live only: whether every order was durable when it arrived."""

    @property
    def leader(self) -> LeaderAddress:
        """The wallet to follow."""
        return LeaderAddress(self.stage.leaders[0].address)

    @property
    def now(self) -> datetime:
        """The venue's instant."""
        return datetime.fromtimestamp(self.venue.clock.now_ms() / 1000, UTC)

    @property
    def window(self) -> MarketWindow:
        """The window after the one that runs: towards its end a book has one side left."""
        series = MarketSeries.parse("btc-4h")
        return series.window_at(series.window_at(self.now).end)

    def leader_does(self, kind: str, *sizes: int, **wanted: Any) -> None:
        """Let the leader trade at the sandbox's quotes, one fill for each size, or convert."""
        fills = [FillRequest(Decimal(size)) for size in sizes]
        size = {"size": Decimal(sizes[0])} if kind not in ("BUY", "SELL") else {"fills": fills}
        request = {"leader": self.leader, "slug": self.window.slug, "kind": kind, **size, **wanted}
        act(self.stage, ActRequest(**request))


@contextmanager
def copy_venue(
    home: Path, mode: Mode, monkeypatch: pytest.MonkeyPatch, **copying: Any
) -> Iterator[CopyVenue]:
    """Serve a venue; paper trades in a sandbox's own time, live in the machine's."""
    is_live = mode is Mode.LIVE
    start_ms = int(SANDBOX_START.timestamp() * 1000)
    venue = SandboxVenue(seed=7, clock=RunningClock() if is_live else RunningClock(start_ms))
    stage = LeaderStage(
        venue, LeaderOptions(leaders=1, rate=0.0, crowd=0, stream_lag_ms=100, index_lag_ms=500)
    )
    watch = LedgerWatch(home / "live.db") if is_live else None
    # Quotes that stand still: what a copy costs is not what these tests are about.
    rules = VenueRules()
    gateway = PrivateGateway(MatchingExchange(venue, rules), watch)
    with serve_in_thread(venue, gateway=gateway, stage=stage) as url:
        try:
            values: dict[str, Any] = {
                "home": home,
                "mode": mode,
                "risk": _RISK,
                "copying": {**_COPYING, **copying},
            }
            settings = (
                _live_settings(home, url, gateway, monkeypatch, values)
                if is_live
                else load_settings(
                    **values,
                    sandbox={"url": url},
                    paper={"starting_cash_usdc": CASH_USDC, "delay_s": 0.05},
                )
            )
            yield CopyVenue(venue=venue, stage=stage, url=url, settings=settings, watch=watch)
        finally:
            logs._secrets.clear()


def _live_settings(
    home: Path,
    url: str,
    gateway: PrivateGateway,
    monkeypatch: pytest.MonkeyPatch,
    values: dict[str, Any],
) -> Settings:
    address = create_keystore(
        home / "keystore.json", SecretStr(KEY), SecretStr(PASSPHRASE), work_factor=2
    )
    gateway.exchange.accounts.open(
        owner=address, funder=address, signature_type=0, cash=CASH_USDC * 10**6
    )
    monkeypatch.setenv("POLYBOT_KEY_PASSPHRASE", PASSPHRASE)
    socket = f"ws{url.removeprefix('http')}"
    settings = load_settings(
        **values,
        venue={
            "gamma_url": url,
            "clob_url": url,
            "data_url": url,
            "relayer_url": url,
            "rpc_url": url,
            "geoblock_url": f"{url}/api/geoblock",
            "user_socket_url": f"{socket}/ws/user",
            "market_socket_url": f"{socket}/ws/market",
            "stream_url": f"{socket}/rtds",
        },
    )
    write_health(
        home,
        HealthRecord(
            checked_at=datetime.now(UTC),
            mode=Mode.LIVE,
            fingerprint=settings.fingerprint,
            key_address=address,
            version=installed_version(),
            is_complete=True,
            failures=(),
        ),
    )
    return settings


class Copying:
    """A copier that runs, and what a test asks of it."""

    def __init__(self, world: CopyVenue, copier: Copier) -> None:
        self.world = world
        self.copier = copier
        self.stop = asyncio.Event()
        self.task: asyncio.Task[CopyStatus] = asyncio.create_task(copier.loop.run(self.stop))

    @property
    def status(self) -> CopyStatus:
        """What the loop shows now."""
        return self.copier.loop.status()

    def log(self) -> tuple[CopyRecord, ...]:
        """Return what is recorded, oldest first."""
        return tuple(reversed(self.copier.ledger.copy_log()))

    async def recorded(self, count: int) -> tuple[CopyRecord, ...]:
        """Wait until so many trades are recorded and nothing is in flight."""

        def is_there() -> bool:
            orders = self.status.orders
            is_quiet = not (orders.in_flight or orders.unknown or orders.waiting_trades)
            return len(self.copier.ledger.copy_log()) >= count and is_quiet

        await self.until(is_there)
        return self.log()

    async def until(self, is_true: Callable[[], bool]) -> None:
        """Wait for something that has no event; fail where the loop ended."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + PATIENCE_S
        while not is_true():
            if self.task.done() and not is_true():
                raise AssertionError(f"the loop ended: {self.task.result().reason}")
            if clock() > deadline:
                raise AssertionError(f"waited in vain; {self.status}; {self.log()}")
            await asyncio.sleep(0.02)


@asynccontextmanager
async def copying(world: CopyVenue, **policy: Any) -> AsyncIterator[Copying]:
    """Follow the leader and copy him until the end of the block."""
    async with open_copier(world.settings, access=Access.ORDERS, run_name="test") as copier:
        copier.bot.require_orders()
        follow(world, copier, **policy)
        running = Copying(world, copier)
        try:
            await running.until(lambda: running.status.phase is CopyPhase.TRADING)
            await running.until(lambda: any(one.is_connected for one in running.status.sources))
            yield running
        finally:
            running.stop.set()
            await asyncio.wait({running.task}, timeout=PATIENCE_S)


def follow(world: CopyVenue, copier: Copier, **policy: Any) -> Leader:
    """Follow the venue's leader from now on."""
    leader = Leader(
        address=world.leader,
        name="whale",
        policy=CopyPolicy(
            **{"max_market_usdc": Decimal(200), "max_leader_usdc": Decimal(300), **policy}
        ),
        state=LeaderState.ACTIVE,
        state_reason="",
        added_at=world.now - _BLOCK,
        watermark=world.now - _BLOCK,
    )
    copier.ledger.add_leader(leader)
    return leader
