"""Several copy loops on one ledger, each a process that may be killed or frozen at any moment."""

import asyncio
import contextlib
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from polybot.copy_trading.status import CopyPhase
from polybot.domain.leaders import CopyVerdict
from polybot.domain.orders import OrderStatus
from tests.copy_desk import WIDE, World
from tests.copy_process import LEASE_S, numbered_trade

TRADES = 25
PATIENCE_S = 30.0


class Child:
    """A loop in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.said: list[str] = []

    async def hears(self, event: str) -> str:
        """Wait until the child says something."""
        assert self._process.stdout is not None
        while True:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    line = (await self._process.stdout.readline()).decode().strip()
            except TimeoutError:
                raise AssertionError(f"no {event}; the child said {self.said}") from None
            if line:
                self.said.append(line)
            if line.startswith(event):
                return line
            if not line and self._process.stdout.at_eof():
                raise AssertionError(f"the child ended; it said {self.said}")

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    async def wait(self) -> int:
        """Wait for its end."""
        async with asyncio.timeout(PATIENCE_S):
            await self._process.communicate()
        assert self._process.returncode is not None
        return self._process.returncode


@contextlib.asynccontextmanager
async def child(path: Path, holder: str, *how: str, trades: int = TRADES) -> AsyncIterator[Child]:
    """Run a loop in a process of its own until the end of the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.copy_process", str(path), holder, str(trades), *how,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    try:
        yield Child(process)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
            await process.wait()


@pytest.fixture
def world(tmp_path: Path) -> World:
    found = World(path=tmp_path / "paper.db", limits=WIDE)
    names = ("max_market_usdc", "max_leader_usdc", "max_day_usdc")
    caps: dict[str, Any] = dict.fromkeys(names, 500)
    found.follow(max_repeats=1000, **caps)
    return found


async def test_killed_between_record_and_submission_nothing_is_sent_twice(world: World) -> None:
    """The next loop finds the order, learns that it never left, and does not send it again."""
    async with child(world.path, "killed", "die-at-submit", trades=1) as killed:
        assert await killed.wait() == -signal.SIGKILL
    async with world.looping(holder="next") as running:
        (order,) = running.ledger.open_orders()
        assert order.status is OrderStatus.SENDING
        await running.trading()
        world.feed.tell(numbered_trade(0))
        await running.until(lambda: running.ledger.open_orders() == ())
        await running.settled()
        found = running.ledger.order(order.order_id)
        assert found is not None
        assert found.status is OrderStatus.NEVER_ARRIVED
        assert [one.verdict for one in running.log()] == [CopyVerdict.PLACED]
        assert running.status.orders.filled == 0
        assert running.ledger.violations() == ()


async def test_of_two_loops_one_trades_and_the_other_takes_over_when_it_is_killed(
    world: World,
) -> None:
    """Every trade is recorded once, whoever heard it."""
    async with child(world.path, "first") as first:
        await first.hears("told 5")
        async with child(world.path, "second") as second:
            await first.hears("told 10")
            first.send(signal.SIGKILL)
            await second.hears("listening")
            await second.hears("settled")
            assert "told 0" in second.said
    await _assert_each_once(world)


async def test_frozen_loop_that_wakes_up_late_has_lost_its_right(world: World) -> None:
    """It ends without another order; the ledger would have refused it anyway."""
    async with child(world.path, "frozen", trades=10) as frozen:
        # Frozen inside a transaction it would keep everybody from writing, as any program could.
        await frozen.hears("settled")
        frozen.send(signal.SIGSTOP)
        async with child(world.path, "second") as second:
            await second.hears("settled")
            frozen.send(signal.SIGCONT)
            assert await frozen.hears("ended") == "ended lease-lost"
    await _assert_each_once(world)


async def test_full_disk_stops_copying_until_there_is_room(world: World) -> None:
    """With the operating system refusing every write; nothing is lost and nothing is sent."""
    async with world.looping(lease_s=60) as running:
        await running.trading()
        with _no_room():
            world.feed.tell(numbered_trade(1))
            await running.until(lambda: running.status.phase is CopyPhase.BROKEN)
            await running.until(lambda: len(world.alerts.sent) == 1)
            world.feed.tell(numbered_trade(2))
            assert running.status.orders.in_flight == 0
        await running.until(lambda: running.status.phase is CopyPhase.TRADING)
        await running.until(lambda: len(running.log()) == 2)
        await running.settled()
        assert running.ledger.violations() == ()
        assert len(world.alerts.sent) == 1


@contextlib.contextmanager
def _no_room() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def _assert_each_once(world: World) -> None:
    async with world.looping(holder="auditor", lease_s=LEASE_S) as running:
        await running.trading()
        await running.until(lambda: running.ledger.open_orders() == ())
        keys = [record.trade.key for record in running.log()]
        assert len(keys) == len(set(keys)) == TRADES
        orders = [record.order_id for record in running.log() if record.order_id]
        assert len(orders) == len(set(orders))
        assert running.ledger.violations() == ()
