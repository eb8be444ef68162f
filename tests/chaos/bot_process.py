"""One run of the bot in a process of its own: the real flows and steps on the real adapters.

The flows' own functions run, with each task replaced by the function it wraps: Prefect's engine
would take a second a run, and it is no part of what is proved. Candles and the forecast are given;
everything that touches the ledger or the venue is real, over real connections.
"""

import asyncio
import os
import signal
import traceback
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from types import ModuleType, SimpleNamespace
from typing import Any, NoReturn

import structlog
from prefect import Task

import flows.follow
import flows.reconcile
import flows.run
import flows.settle
import flows.trend
from polybot.bootstrap import Bot
from polybot.domain.signals import Direction, Signal
from tests.chaos.copy_process import CopyPlan, copy_for_a_while
from tests.chaos.crash_points import Probe
from tests.chaos.live_bot import Desk, RunPlan, open_live_bot
from tests.chaos.mistaken_order import place_mistaken_order
from tests.chaos.relayer import load_client

HUNG_AFTER_S = 60
# How long somebody listens who is not killed [minutes, real].
_LISTENING_MIN = 0.005


@dataclass(frozen=True)
class RunResult:
    """How one process ended."""

    was_killed: bool
    problem: str = ""
    counts: Mapping[str, int] | None = None
    violations: tuple[str, ...] = ()


def undecorate(module: ModuleType) -> None:
    """Replace every task that a flow calls by the function that it wraps."""
    for name, found in vars(module).copy().items():
        if isinstance(found, Task):
            setattr(module, name, found.fn)


def prepare_flows() -> None:
    """Make the flows callable without Prefect's engine; once a process."""

    async def nothing(*_: object, **__: object) -> None:
        return None

    async def indicators(bot: Bot, given: Direction) -> Any:
        return SimpleNamespace(as_dict=dict, given=given)

    async def signal_of(bot: Any, values: Any) -> Signal:
        return Signal(direction=values.given, reason="given")

    load_client()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    for module in (flows.trend, flows.settle, flows.reconcile, flows.follow):
        undecorate(module)
        for name in ("label_run", "publish_cards", "publish_reconciliation"):
            if hasattr(module, name):
                setattr(module, name, nothing)
    patches: dict[str, Any] = {"indicators": indicators, "signal": signal_of}
    vars(flows.trend).update(patches, load_libraries=lambda: None)
    settings = SimpleNamespace(
        secret_values=(), home=None, logs=SimpleNamespace(level="error", format="text")
    )
    vars(flows.run).update(
        load_settings=lambda: settings,
        hide=lambda _: None,
        setup_logging=lambda *_, **__: None,
    )


class Child:
    """A process that was forked to do one thing."""

    def __init__(self, pid: int, pipe: Connection) -> None:
        self._pid = pid
        self._pipe = pipe

    def wait(self) -> RunResult:
        """Return how it ended; a run that hangs is ended and told as a problem."""
        said: RunResult | None = None
        with self._pipe, suppress(EOFError, OSError):
            said = self._pipe.recv()
        _, status = os.waitpid(self._pid, 0)
        return said or _ended(status)


def _ended(status: int) -> RunResult:
    if not os.WIFSIGNALED(status):
        return RunResult(False, "its process ended by itself")
    was_killed = os.WTERMSIG(status) == signal.SIGKILL
    return RunResult(was_killed, "" if was_killed else f"ended by {os.WTERMSIG(status)}")


def fork(run: Callable[[], RunResult]) -> Child:
    """Run something in a process of its own."""
    pipe, its_end = Pipe(duplex=False)
    pid = os.fork()
    if pid == 0:
        try:
            pipe.close()
            signal.alarm(HUNG_AFTER_S)
            its_end.send(run())
        finally:
            # Not this process's: the parent's handlers, and whatever it still has to write.
            os._exit(0)
    its_end.close()
    return Child(pid, pipe)


class Host:
    """A process that does one run after another, until somebody is to be killed in one.

    Starting a process takes three times as long as most runs; after every kill there is a new one.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._pid = 0
        self._pipe: Connection | None = None

    def run(self, plan: RunPlan) -> RunResult:
        """Do a run, and return how it or its process ended."""
        pipe = self._pipe or self._start()
        pipe.send(plan)
        try:
            result: RunResult = pipe.recv()
        except (EOFError, OSError):
            return _ended(self._end())
        if plan.target is not None:
            # The kill may only be late.
            self.close()
        return result

    def close(self) -> None:
        """End the process, where there is one."""
        if self._pipe is not None:
            os.kill(self._pid, signal.SIGKILL)
            self._end()

    def _end(self) -> int:
        assert self._pipe is not None
        self._pipe.close()
        self._pipe = None
        return os.waitpid(self._pid, 0)[1]

    def _start(self) -> Connection:
        self._pipe, its_end = Pipe()
        self._pid = os.fork()
        if self._pid == 0:
            self._pipe.close()
            _serve(self._desk, its_end)
        its_end.close()
        return self._pipe


def _serve(desk: Desk, pipe: Connection) -> NoReturn:
    try:
        while True:
            plan = pipe.recv()
            signal.alarm(HUNG_AFTER_S)
            pipe.send(run_here(desk, plan))
            signal.alarm(0)
    finally:
        os._exit(0)


def run_in_child(desk: Desk, plan: RunPlan) -> RunResult:
    """Run a flow in a process of its own, and wait for its end."""
    return fork(lambda: run_here(desk, plan)).wait()


def copy_in_child(desk: Desk, plan: CopyPlan) -> Child:
    """Run the copy loop in a process of its own; ``wait`` for its end."""
    return fork(lambda: copy_here(desk, plan))


def copy_here(desk: Desk, plan: CopyPlan) -> RunResult:
    """Run the copy loop in this very process."""
    probe = Probe("copy", plan.run.target)
    probe.mood = plan.run.mood
    problem, violations = "", tuple[str, ...]()
    try:
        violations = asyncio.run(copy_for_a_while(desk, plan, probe))
    except Exception as error:
        problem = f"copy: {type(error).__name__}: {error}"
        if os.environ.get("CHAOS_TRACEBACK"):
            traceback.print_exc()
    return RunResult(False, problem, probe.counts, violations)


def run_here(desk: Desk, plan: RunPlan) -> RunResult:
    """Run in this very process."""
    is_stopped = plan.flow == "shutdown"
    probe = Probe("trend" if is_stopped else plan.flow, plan.target, terminate=is_stopped)
    probe.mood = plan.mood
    problem, violations = "", tuple[str, ...]()
    try:
        violations = asyncio.run(_run_flow(desk, plan, probe))
    except asyncio.CancelledError:
        problem = "" if is_stopped else "cancelled"
    except Exception as error:
        problem = f"{plan.flow}: {type(error).__name__}: {error}"
        if os.environ.get("CHAOS_TRACEBACK"):
            traceback.print_exc()
    return RunResult(False, problem, probe.counts, violations)


async def _run_flow(desk: Desk, plan: RunPlan, probe: Probe) -> tuple[str, ...]:
    task = asyncio.current_task()
    assert task is not None

    def stop() -> None:
        probe.flow = "shutdown"
        task.cancel()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop)
    found: list[str] = []

    @asynccontextmanager
    async def opened(*_: object, **__: object) -> AsyncIterator[Bot]:
        async with open_live_bot(desk, plan, probe) as bot:
            yield bot
            if plan.audits:
                found.extend(bot.ledger.violations())

    name = f"{plan.flow}-{desk.clock.now_ms()}"
    vars(flows.run).update(
        open_bot=opened,
        current_run=SimpleNamespace(id=name, name=name, tags=[], scheduled_start_time=plan.due),
    )
    match plan.flow:
        case "settle":
            await flows.settle.settle.fn(scheduled_at=plan.due, live=True)
        case "reconcile":
            await flows.reconcile.reconcile.fn()
        case "follow":
            await flows.follow.follow_account.fn(scheduled_at=plan.due, minutes=_LISTENING_MIN)
        case "mistake":
            async with opened() as bot:
                await place_mistaken_order(bot, plan.series[0], plan.due)
        case _:
            await flows.trend.trend.fn(
                series=list(plan.series) or None, scheduled_at=plan.due, live=True
            )
    return tuple(found)
