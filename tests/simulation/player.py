"""Plays one simulated hour: starts every run when it is due, and stops some of them half-way."""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from unittest import mock

from polybot.domain.markets import MarketWindow
from polybot.domain.modes import TradingState
from polybot.errors import PermanentError, PolybotError
from tests.compiled_statements import shared_statements
from tests.simulation.hour import Bot, Hour
from tests.simulation.ledgers import fast_folder
from tests.simulation.model import InvariantError
from tests.simulation.owner import lift_halt, operate
from tests.simulation.remembered import quick_venue
from tests.simulation.rows import ledger_digest
from tests.simulation.runs import cancel_something, decide, follow, reconcile, settle, trend
from tests.simulation.virtual import VirtualLoop
from tests.simulation.wire import cables_for_sockets


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """What one hour came to."""

    seed: int
    digest: str
    steps: int
    checks: Mapping[str, int]
    fired: Mapping[str, int]
    counts: Mapping[str, int]
    broken: str = ""


class Player:
    """Plays one hour: starts every run when it is due, and stops some of them half-way."""

    def __init__(self, hour: Hour) -> None:
        self.hour = hour
        self.random = hour.random
        self.problem: BaseException | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._follower: asyncio.Task[None] | None = None

    async def play(self) -> None:
        hour = self.hour
        self._follow()
        for minute in range(hour.length_s // 60):
            await self._until(minute * 60)
            self._start("settle", lambda bot: settle(hour, bot))
            if minute % 5 == 0:
                for window in hour.windows:
                    if window.start_s == hour.time.start_s + minute * 60:
                        self._start_trends(window)
            else:
                self._start_extras()
            self._trouble()
            if self.problem is not None:
                raise self.problem
        await self._wind_down()

    def _start_trends(self, window: MarketWindow) -> None:
        for number in range(self.random.choice((1, 1, 1, 2))):
            random = Random(f"{self.hour.seed}-{window.slug}-{number}")
            self._start(
                "trend",
                lambda bot, random=random: trend(self.hour, bot, window, random, "coin"),
                delay_s=self.random.uniform(0, 3),
            )

    def _start_extras(self) -> None:
        """Between the windows: more orders in them, cancels, and the owner."""
        hour, random = self.hour, self.random
        minute_s = int(hour.time.elapsed_s)
        now_s = hour.time.start_s + minute_s
        for window in hour.windows:
            if window.start_s <= now_s < window.start_s + 240 and random.random() < 0.3:
                own = Random(f"{hour.seed}-{window.slug}-{minute_s}")
                self._start(
                    "extra",
                    lambda bot, own=own, window=window, name=f"extra-{minute_s}": decide(
                        hour, bot, window, own, name
                    ),
                    delay_s=random.uniform(0, 40),
                )
        if random.random() < 0.25:
            self._start("cancel", lambda bot: cancel_something(hour, bot, random), delay_s=20)
        if random.random() < 0.5:
            self._start("operate", lambda bot: operate(hour, bot, random), delay_s=30)

    def _trouble(self) -> None:
        """Stop a run half-way, or all of them, as a shutdown does."""
        random, hour = self.random, self.hour
        if random.random() < 0.06:
            asyncio.get_running_loop().call_later(random.uniform(0, 4), self._cancel_one)
        if random.random() < 0.02:
            hour.fired["restarted"] += 1
            for task in self._in_order():
                task.cancel()
            asyncio.get_running_loop().call_later(5, self._reopen)

    def _cancel_one(self) -> None:
        running = self._in_order()
        if running:
            self.hour.fired["run-cancelled"] += 1
            self.random.choice(running).cancel()

    def _reopen(self) -> None:
        if not self._in_order():
            self.hour.open_files()
            self._follow()

    def _in_order(self) -> list[asyncio.Task[None]]:
        return sorted(self._tasks, key=lambda task: int(task.get_name().split("-")[-1]))

    def _follow(self) -> None:
        if self._follower is None or self._follower.done():
            own = Random(f"socket-{self.hour.seed}")
            self._follower = self._start("follow", lambda bot: follow(self.hour, bot, own))

    def _start(
        self, name: str, run: Callable[[Bot], Awaitable[None]], *, delay_s: float = 0
    ) -> asyncio.Task[None]:
        self.hour._sequence += 1
        task = asyncio.get_running_loop().create_task(
            self._run(name, run, delay_s), name=f"{name}-{self.hour._sequence}"
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _run(self, name: str, run: Callable[[Bot], Awaitable[None]], delay_s: float) -> None:
        if delay_s:
            await asyncio.sleep(delay_s)
        bot = self.hour.open_bot()
        try:
            await run(bot)
        except InvariantError as error:
            self.problem = self.problem or error
        except PermanentError:
            self.hour.counts[f"{name} refused"] += 1
        except PolybotError:
            self.hour.counts[f"{name} failed"] += 1
        except asyncio.CancelledError:
            pass
        except BaseException as error:
            self.problem = self.problem or error
        finally:
            with suppress(Exception):
                await bot.close()

    async def _until(self, elapsed_s: float) -> None:
        await asyncio.sleep(max(0.0, elapsed_s - self.hour.time.elapsed_s))

    async def _wind_down(self) -> None:
        """No more faults, no more orders: everything must come to agree."""
        hour = self.hour
        hour.plan.clear()
        hour.cable._share = 0
        hour.venue.gamma_late_s = 0
        start_s = hour.time.elapsed_s
        pauses = 0
        # A relayer that did not answer is asked again after an hour at most.
        while pauses < 9 or (pauses < 40 and hour.ledger.open_redemptions()):
            self._start("settle", lambda bot: settle(hour, bot))
            self._start("operate", self._lift, delay_s=75)
            pauses += 1
            await self._until(start_s + pauses * 150)
            if self.problem is not None:
                raise self.problem
        for task in self._in_order():
            task.cancel()
        await asyncio.sleep(10)
        if self.problem is not None:
            raise self.problem
        bot = hour.open_bot()
        try:
            if not await reconcile(hour, bot):
                raise InvariantError(f"the end does not reconcile: {self._why()}")
        finally:
            await bot.close()
        hour.gateway.exchange.advance()
        hour.model.at_the_end()
        for difference in hour.ledger.violations():
            hour.evidence.fail(f"I1 the ledger's own audit: {difference}")
        hour.stop_if_broken()

    async def _lift(self, bot: Bot) -> None:
        if self.hour.ledger.trading_state().state is TradingState.HALTED:
            await lift_halt(self.hour, bot)

    def _why(self) -> str:
        return str(self.hour.ledger.reconciliation().detail)[:400]


@contextmanager
def virtual_loop(hour: Hour) -> Iterator[VirtualLoop]:
    """Open an event loop on the hour's time, with the hour's venue at the end of its cables."""
    loop = VirtualLoop(hour.time)
    loop.venue = hour.memory_venue  # type: ignore[attr-defined]
    asyncio.set_event_loop(loop)
    try:
        yield loop
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def play(seed: int, *, length_s: int = 3600) -> Outcomes:
    """Play one hour; what was broken is in the outcome, everything else raises."""
    with (
        tempfile.TemporaryDirectory(dir=fast_folder(), prefix="polybot-hour-") as folder,
        cables_for_sockets(),
        shared_statements(),
        quick_venue(),
    ):
        hour = Hour(seed, Path(folder), length_s=length_s)
        broken = ""
        try:
            with (
                mock.patch("polybot.adapters.polymarket.exchange.new_salt", hour.new_salt),
                virtual_loop(hour) as loop,
            ):
                player = Player(hour)
                try:
                    loop.run_until_complete(player.play())
                except InvariantError as error:
                    broken = str(error)
                finally:
                    left = asyncio.all_tasks(loop)
                    for task in sorted(left, key=lambda task: task.get_name()):
                        task.cancel()
                    loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        finally:
            hour.close()
        fired = Counter(hour.plan.fired) + hour.cable.fired + hour.fired
        hour.counts["requests"] = sum(hour.memory_venue.requests.values())
        hour.counts["orders at the venue"] = len(hour.evidence.sent)
        hour.counts["trades"] = len(hour.gateway.exchange.settlement.trades)
        return Outcomes(
            seed=seed,
            digest=ledger_digest(hour.path),
            steps=hour.model.steps,
            checks=dict(hour.evidence.checks),
            fired=dict(fired),
            counts=dict(hour.counts),
            broken=broken,
        )
