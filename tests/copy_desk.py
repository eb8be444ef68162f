"""A copy loop on a ledger of its own with a scripted world around it, for one test."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from polybot.adapters.clock import SystemClock
from polybot.adapters.paper import PaperExchange
from polybot.adapters.storage.ledger import SqlLedger, open_ledger
from polybot.copy_trading.engine import CopyLoop
from polybot.copy_trading.parts import CopyOptions, CopyPorts
from polybot.copy_trading.status import CopyPhase, CopyStatus
from polybot.domain.leaders import CopyRecord, Leader, LeaderTrade
from polybot.domain.modes import Mode
from polybot.ports import AccountExchange, VenueAccount
from tests.builders import DOWN_TOKEN, NOW, build_book, build_limits, build_market
from tests.copy_builders import build_leader
from tests.fakes import ScriptedMarketData
from tests.fakes_copying import KeptAlerts, ScriptedBooks, ScriptedFeed, ScriptedHistory, SetClock
from tests.ledgers import new_ledger

CASH = Decimal(1000)
WIDE: dict[str, Any] = {
    "max_stake_usdc": Decimal(50),
    "max_window_exposure_usdc": Decimal(500),
    "max_exposure_usdc": Decimal(500),
    "max_daily_loss_usdc": Decimal(500),
    "max_trades_per_day": 10_000,
}
# What a test waits for has happened by then, or never will.
PATIENCE_S = 20.0


@dataclass(kw_only=True)
class World:
    """Everything around one loop, at hand for the test."""

    path: Path
    clock: SetClock = field(default_factory=lambda: SetClock(NOW))
    feed: ScriptedFeed = field(default_factory=ScriptedFeed)
    history: ScriptedHistory = field(default_factory=ScriptedHistory)
    alerts: KeptAlerts = field(default_factory=KeptAlerts)
    books: ScriptedBooks = field(
        default_factory=lambda: ScriptedBooks(build_book(), build_book(token_id=DOWN_TOKEN))
    )
    market_data: ScriptedMarketData = field(
        default_factory=lambda: ScriptedMarketData(build_market(), build_book())
    )
    exchange: AccountExchange | None = None
    account: VenueAccount | None = None
    limits: dict[str, Any] = field(default_factory=dict)
    compare_clocks: Callable[[], Awaitable[timedelta]] | None = None

    def __post_init__(self) -> None:
        """Give the world a ledger with some cash."""
        if not self.path.exists():
            self.path.write_bytes(new_ledger(CASH, at=NOW - timedelta(days=1)))

    @asynccontextmanager
    async def looping(self, **options: Any) -> AsyncIterator["Running"]:
        """Run a loop until the end of the block; it has stopped by then."""
        with open_ledger(self.path, mode=Mode.PAPER) as ledger:
            running = Running(self, ledger, **options)
            task = asyncio.create_task(running.loop.run(running.stop))
            running.task = task
            try:
                yield running
            finally:
                running.stop.set()
                async with asyncio.timeout(PATIENCE_S):
                    await asyncio.gather(task, return_exceptions=True)

    def follow(self, leader: Leader | None = None, **changes: Any) -> Leader:
        """Add a leader before, or while, a loop runs."""
        with open_ledger(self.path, mode=Mode.PAPER) as ledger:
            wanted = leader or build_leader(**changes)
            ledger.add_leader(wanted)
            return wanted


class Running:
    """A running loop with its ledger."""

    def __init__(self, world: World, ledger: SqlLedger, **options: Any) -> None:
        self.world = world
        self.ledger = ledger
        self.stop = asyncio.Event()
        self.task: asyncio.Task[CopyStatus] | None = None
        exchange = world.exchange or PaperExchange(
            world.market_data, world.clock, delay_s=0.25, fills_of=ledger.fills_of
        )
        ports = CopyPorts(
            ledger=ledger,
            exchange=exchange,
            account=world.account,
            clock=world.clock,
            market_data=world.market_data,
            feed=world.feed,
            books=world.books,
            history=world.history,
            machine_time=SystemClock().instant,
            notifier=world.alerts,
            compare_clocks=world.compare_clocks,
        )
        values: dict[str, Any] = {
            "mode": Mode.PAPER,
            "limits": build_limits(**world.limits),
            "holder": "test-loop",
        }
        self.loop = CopyLoop(ports, CopyOptions(**{**values, **options}))

    async def trading(self) -> "Running":
        """Wait until the loop listens."""
        await self.until(lambda: self.status.phase is CopyPhase.TRADING)
        await self.until(self.world.feed.running.is_set)
        return self

    @property
    def status(self) -> CopyStatus:
        """What the loop shows now."""
        return self.loop.status()

    async def tell(self, *trades: LeaderTrade) -> None:
        """Let the leader trade, and wait until everything has come to its end."""
        self.world.feed.tell(*trades)
        await self.settled()

    async def settled(self) -> None:
        """Wait until no order is in flight and every record is written."""

        def is_settled() -> bool:
            orders = self.status.orders
            return not (orders.in_flight or orders.unknown or orders.waiting_trades)

        await self.until(is_settled)
        await self.until(lambda: len(self.loop._parts.records) == 0)

    async def until(self, is_true: Callable[[], bool]) -> None:
        """Wait for something that has no event; fail where the loop broke."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + PATIENCE_S
        while not is_true():
            if self.task is not None and self.task.done():
                self.task.result()
                if not is_true():
                    raise AssertionError(f"the loop ended: {self.status.reason}")
            if clock() > deadline:
                raise AssertionError(f"waited in vain; {self.status}; {self.log()}")
            await asyncio.sleep(0.005)

    def log(self) -> tuple[CopyRecord, ...]:
        """Return what is recorded, oldest first."""
        return tuple(reversed(self.ledger.copy_log()))
