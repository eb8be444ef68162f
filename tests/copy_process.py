"""A copy loop in a process of its own on a given ledger, which tells its parent what it does.

Run: ``python -m tests.copy_process LEDGER HOLDER TRADES [die-at-submit]``. Its feed tells so many
trades, one after another, as soon as the loop listens; each line of its output is an event.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from polybot.adapters.paper import PaperExchange
from polybot.copy_trading.engine import CopyLoop
from polybot.domain.leaders import LeaderTrade
from polybot.domain.orders import PreparedOrder, SubmitResult
from tests.copy_builders import build_trade
from tests.copy_desk import WIDE, World

LEASE_S = 1.5


def numbered_trade(number: int) -> LeaderTrade:
    """Return one of the trades that every process tells."""
    return build_trade(transaction_hash=f"0x{number:064x}")


class DiesAtSubmit(PaperExchange):
    """An exchange whose process is killed when an order leaves: recorded, and never sent."""

    async def submit(self, prepared: PreparedOrder) -> SubmitResult:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("a killed process does not go on")


async def run(path: Path, holder: str, trades: int, *, dies: bool) -> None:
    """Run the loop until it ends by itself or the parent ends the process."""
    world = World(path=path, limits=WIDE)
    if dies:
        world.exchange = DiesAtSubmit(world.market_data, world.clock, delay_s=0)
    async with world.looping(holder=holder, lease_s=LEASE_S) as running:
        telling = asyncio.create_task(_tell(world, running.loop, trades))
        assert running.task is not None
        status = await running.task
        telling.cancel()
        _say("ended", status.end)


async def _tell(world: World, loop: CopyLoop, trades: int) -> None:
    await world.feed.running.wait()
    _say("listening", "")
    for number in range(trades):
        world.feed.tell(numbered_trade(number))
        await asyncio.sleep(0.02)
        _say("told", number)
    while True:
        orders = loop.status().orders
        if not (orders.in_flight or orders.unknown or orders.waiting_trades):
            break
        await asyncio.sleep(0.01)
    _say("settled", "")


def _say(event: str, what: Any) -> None:
    sys.stdout.write(f"{event} {what}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(
        run(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), dies="die-at-submit" in sys.argv)
    )
