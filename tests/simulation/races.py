"""Trend, settle and a second trend at once over one ledger: one schedule a seed.

Every limit is set so that it leaves room for one order where two are wanted. Interleavings are
chosen at every wait and before and after every transaction; each run has a ledger connection, an
event loop, an HTTP session and a thread of its own.
"""

import asyncio
import copy
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, Final
from unittest import mock

from polybot.adapters.storage import ledger as ledger_module
from polybot.domain.markets import MarketWindow
from polybot.domain.modes import Mode, TradingState
from polybot.errors import PolybotError
from polybot.limits import RiskLimits
from polybot.sandbox.fault_plan import PlannedFault
from tests.compiled_statements import shared_statements
from tests.simulation.hour import SERIES, Bot, Hour
from tests.simulation.ledgers import WatchedLedger, fast_folder
from tests.simulation.model import InvariantError
from tests.simulation.owner import set_state
from tests.simulation.player import virtual_loop
from tests.simulation.remembered import quick_venue
from tests.simulation.runs import reconcile, settle
from tests.simulation.runs import trend as run_trend
from tests.simulation.turns import Turns
from tests.simulation.virtual import VirtualLoop
from tests.simulation.wire import cables_for_sockets
from tests.simulation.wishes import LIMITS

# Room for one order of 5 USDC and its fee of at most 0.36, and not for two.
SCENARIOS: Final[dict[str, RiskLimits]] = {
    "one decision, two runs": LIMITS,
    "room for one order at risk": replace(LIMITS, max_exposure_usdc=Decimal("5.5")),
    "room for one order in a window": replace(LIMITS, max_window_exposure_usdc=Decimal("5.5")),
    "cash for one order": replace(LIMITS, min_cash_usdc=Decimal(110)),
    "one order left today": replace(LIMITS, max_trades_per_day=1),
    "a day's loss of one order": replace(LIMITS, max_daily_loss_usdc=Decimal("5.5")),
    "a halt in between": LIMITS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Raced:
    """What one schedule came to."""

    seed: int
    scenario: str
    orders: int
    switches: int
    broken: str = ""


def race(seed: int) -> Raced:
    """Run one schedule and check every invariant after every transaction."""
    name = list(SCENARIOS)[seed % len(SCENARIOS)]
    with (
        tempfile.TemporaryDirectory(dir=fast_folder(), prefix="polybot-race-") as folder,
        cables_for_sockets(),
        shared_statements(),
        quick_venue(),
    ):
        hour = Hour(seed, Path(folder), length_s=300, risk_limits=SCENARIOS[name])
        try:
            with mock.patch("polybot.adapters.polymarket.exchange.new_salt", hour.new_salt):
                return _race(hour, name, Random(f"race-{seed}"))
        finally:
            hour.close()


def _race(hour: Hour, scenario: str, random: Random) -> Raced:
    hour.plan.clear()
    hour.cable._share = 0
    for kind in ("timeout-after", "error-after", "match-delayed"):
        # An order that is taken and not answered stays in flight: that is when limits matter.
        route = "" if kind == "match-delayed" else "POST /order"
        hour.plan.arm(PlannedFault(kind=kind, route=route, probability=0.25, count=0))
    hour.time.elapsed_s = 20.0
    with virtual_loop(hour) as loop:
        # The first live order goes alone; that is not what is raced for here.
        (hour.folder / "venue").mkdir()
        for kind in range(4):
            for version in ("2", "3"):
                path = hour.folder / "venue" / f"canary-{kind}-{version}.json"
                path.write_text('{"order_id": "0x0", "passed": true}')
        loop.run_until_complete(_with_bot(hour, lambda bot: reconcile(hour, bot)))
    turns = Turns(random, hour.time)
    actors = {
        name: _actor(hour, turns, name, run) for name, run in _runs(hour, scenario, random).items()
    }
    broken = ""
    try:
        turns.run(actors)
        _close(hour)
    except InvariantError as error:
        broken = str(error)
    return Raced(
        seed=hour.seed,
        scenario=scenario,
        orders=len(hour.evidence.sent),
        switches=turns.switches,
        broken=broken,
    )


def _runs(
    hour: Hour, scenario: str, random: Random
) -> dict[str, Callable[[Hour, Bot], Awaitable[Any]]]:
    btc, eth = (MarketWindow(series=one, start_s=hour.time.start_s) for one in SERIES)
    if scenario == "one decision, two runs":
        wanted = ((btc, "coin"), (btc, "coin"))
    elif scenario == "room for one order in a window":
        wanted = ((btc, "coin"), (btc, "penny"))
    else:
        wanted = ((btc, "coin"), (eth, "coin"))

    def trend(window: MarketWindow, name: str) -> Callable[[Hour, Bot], Awaitable[Any]]:
        own = _AlwaysMarketOrders(random.random())
        return lambda one, bot: run_trend(one, bot, window, own, name)

    runs = {f"trend-{number}": trend(*one) for number, one in enumerate(wanted)}
    runs["settle"] = settle
    if scenario == "a halt in between":
        steps = random.randrange(120)
        runs["owner"] = lambda one, _: _halt(one, steps)
    return runs


async def _halt(hour: Hour, steps: int) -> None:
    """Halt after so many turns of its own; a single long wait would be jumped over at once."""
    for _ in range(steps):
        await asyncio.sleep(0.01)
    set_state(hour, TradingState.HALTED, "the owner halted")


class _AlwaysMarketOrders(Random):
    """Chance as the hour asks for it, that always makes the strategy's own kind of order."""

    def random(self) -> float:
        super().random()
        return 0.0


def _actor(
    hour: Hour, turns: Turns, name: str, run: Callable[[Hour, Bot], Awaitable[Any]]
) -> Callable[[], None]:
    def act() -> None:
        ledger = ledger_module.open_ledger(hour.path, mode=Mode.LIVE)
        own = copy.copy(hour)
        own.ledger = WatchedLedger(ledger, hour._after, lambda: turns.between(name))
        loop = VirtualLoop(hour.time, lambda until_s: turns.wait_until(name, until_s))
        loop.venue = hour.memory_venue  # type: ignore[attr-defined]
        try:
            loop.run_until_complete(_with_bot(own, lambda bot: run(own, bot)))
        finally:
            loop.close()
            ledger.close()

    return act


async def _with_bot(hour: Hour, run: Callable[[Bot], Awaitable[Any]]) -> None:
    bot = hour.open_bot()
    try:
        with suppress(PolybotError):
            await run(bot)
    finally:
        await bot.close()


def _close(hour: Hour) -> None:
    """Let everything arrive, then compare both sides once more."""
    hour.plan.clear()
    hour.time.elapsed_s += 700
    with virtual_loop(hour) as loop:
        for _ in range(2):
            loop.run_until_complete(_with_bot(hour, lambda bot: settle(hour, bot)))
            hour.time.elapsed_s += 130
    hour.gateway.exchange.advance()
    hour.model.after("the end", None, hour.now_us())
    hour.model.after_reconciling(hour.now_us())
    counts = Counter(sent.decision for sent in hour.evidence.sent.values())
    for decision, count in counts.items():
        if count > 1:
            hour.evidence.fail(f"I5 {decision} has {count} orders")
    hour.stop_if_broken()
