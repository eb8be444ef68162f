"""One run of the bot in a process of its own: the real flows and steps on the real adapters.

The flows' own functions run, with each task replaced by the function it wraps: Prefect's engine
would take a second a run, and it is no part of what is proved. Candles and the forecast are given;
everything that touches the ledger or the venue is real, over real connections.
"""

import asyncio
import json
import os
import signal
import traceback
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import structlog
from prefect import Task

import flows.reconcile
import flows.run
import flows.settle
import flows.trend
from polybot.adapters.polymarket.account import PolymarketAccount
from polybot.adapters.polymarket.clob_client import ClobClient
from polybot.adapters.polymarket.exchange import PolymarketExchange
from polybot.adapters.polymarket.market_data import PolymarketData
from polybot.adapters.polymarket.order_fields import TradingAccount
from polybot.adapters.polymarket.signing import OrderSigner
from polybot.adapters.polymarket.venue_memory import VenueMemory
from polybot.adapters.storage.ledger import open_ledger
from polybot.adapters.web import WebClient
from polybot.bootstrap import Bot
from polybot.config.sections import AlertSettings, StrategySettings, TimingSettings
from polybot.domain.alerts import Alert
from polybot.domain.markets import ConditionId, MarketSeries, OutcomeTokenId
from polybot.domain.modes import Mode
from polybot.domain.money import Shares
from polybot.domain.signals import Direction, Signal
from polybot.domain.venue_account import Redeemed, RedemptionResult
from polybot.going_live import GatedExchange, LiveAllowed
from polybot.indicators import StrategyParams
from polybot.risk import RiskLimits
from tests.chaos.crash_points import (
    ACCOUNT_STEPS,
    EXCHANGE_STEPS,
    LEDGER_STEPS,
    MARKET_STEPS,
    Probe,
    Target,
    Watched,
    watch_connections,
    watch_transactions,
)
from tests.chaos.shared_time import BotClock, SharedClock

SERIES = MarketSeries(asset="btc", duration="15m")
HUNG_AFTER_S = 60
_RECONCILE_MAX_AGE = timedelta(seconds=180)


@dataclass(frozen=True)
class Desk:
    """One installation, and the venue that it trades on."""

    home: Path
    url: str
    clock: SharedClock
    signer: OrderSigner
    trading: TradingAccount
    limits: RiskLimits

    @property
    def ledger(self) -> Path:
        return self.home / "live.db"


@dataclass(frozen=True)
class RunPlan:
    """What one process does."""

    flow: str
    """``trend``, ``settle``, ``reconcile``, or ``shutdown``: a trend run that is told to stop."""
    due: datetime
    direction: Direction = Direction.UP
    variant: str = "accepted"
    """What the venue does with the order, as the names of the points say it."""
    series: tuple[str, ...] = ()
    target: Target | None = None
    directions: Mapping[str, Direction] = field(default_factory=dict)
    """By series, where several are run."""


@dataclass(frozen=True)
class RunResult:
    """How one process ended."""

    was_killed: bool
    problem: str = ""
    counts: Mapping[str, int] | None = None
    violations: tuple[str, ...] = ()


class Loudspeaker:
    """The ``Notifier`` port: takes every alert."""

    is_configured = True

    async def send(self, alert: Alert) -> bool:
        return True


class SandboxRedeemer:
    """Redeems by the sandbox's own short cut; the relayer's way is the official client's."""

    def __init__(self, url: str, funder: str) -> None:
        self._url = url
        self._funder = funder

    async def redeem(
        self, condition_id: ConditionId, held: Mapping[OutcomeTokenId, Shares]
    ) -> RedemptionResult:
        async with WebClient(timeout_s=5) as web:
            body = {"funder": self._funder, "condition_id": condition_id}
            await web.post(f"{self._url}/sandbox/redeem", body)
        return Redeemed(transaction_hash="0xredeemed")


class GivenForecasts:
    """The ``PriceFeed`` port that hands on a forecast instead of candles."""

    def __init__(self, plan: RunPlan) -> None:
        self._plan = plan

    async def closed_candles(self, asset: str, **_: object) -> Direction:
        return self._plan.directions.get(f"{asset}-15m", self._plan.direction)


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

    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    for module in (flows.trend, flows.settle, flows.reconcile):
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


@asynccontextmanager
async def open_chaos_bot(desk: Desk, plan: RunPlan, probe: Probe) -> AsyncIterator[Bot]:
    """Open what ``open_bot`` opens in live mode, with a probe around every port."""
    clock = BotClock(desk.clock)
    watch_connections(probe)
    client = ClobClient(desk.url, desk.signer, clock=clock, timeout_s=5, order_timeout_s=5)
    ledger = open_ledger(desk.ledger, mode=Mode.LIVE)
    watch_transactions(ledger, probe)
    watched_ledger: Any = Watched(ledger, probe, LEDGER_STEPS)
    data = PolymarketData(
        gamma_url=desk.url, clob_url=desk.url, data_url=desk.url, timeout_s=5, clock=clock
    )
    market_data: Any = Watched(data, probe, MARKET_STEPS)
    permission = LiveAllowed(examined_at=await clock.now())
    exchange = PolymarketExchange(
        client,
        desk.signer,
        desk.trading,
        market_data=data,
        clock=clock,
        memory=VenueMemory(desk.home / "venue"),
    )
    gated = GatedExchange(exchange, permission, ledger=ledger, reconcile_max_age=_RECONCILE_MAX_AGE)
    redeemer = SandboxRedeemer(desk.url, desk.trading.funder)
    account: Any = Watched(
        PolymarketAccount(client, desk.trading, redeemer=redeemer), probe, ACCOUNT_STEPS
    )
    settings: Any = SimpleNamespace(mode=Mode.LIVE, timing=TimingSettings(), alerts=AlertSettings())
    prices: Any = GivenForecasts(plan)
    try:
        yield Bot(
            settings=settings,
            series=(SERIES,),
            strategy=StrategyParams(**StrategySettings().model_dump()),
            limits=desk.limits,
            clock=clock,
            prices=prices,
            market_data=market_data,
            exchange=Watched(gated, probe, EXCHANGE_STEPS),  # type: ignore[arg-type]
            account=account,
            user_events=None,
            permission=permission,
            ledger=watched_ledger,
            notifier=Loudspeaker(),
        )
    finally:
        with probe.step("closing"):
            await client.aclose()
            await data.__aexit__()
            ledger.close()


def run_in_child(desk: Desk, plan: RunPlan) -> RunResult:
    """Fork, run, and tell how it ended; a run that hangs is ended and told as a problem."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        # Not this process's: the parent's handlers, and whatever it still has to write.
        os.close(read_end)
        signal.alarm(HUNG_AFTER_S)
        result = _run(desk, plan)
        os.write(write_end, json.dumps(result).encode())
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        said = pipe.read()
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        was_killed = os.WTERMSIG(status) == signal.SIGKILL
        return RunResult(was_killed, "" if was_killed else f"ended by {os.WTERMSIG(status)}")
    found = json.loads(said)
    return RunResult(False, found["problem"], found["counts"], tuple(found["violations"]))


def run_here(desk: Desk, plan: RunPlan) -> RunResult:
    """Run in this very process, which is then warm for those that it forks."""
    found = _run(desk, plan)
    return RunResult(False, found["problem"], found["counts"], tuple(found["violations"]))


def _run(desk: Desk, plan: RunPlan) -> dict[str, Any]:
    is_stopped = plan.flow == "shutdown"
    probe = Probe("trend" if is_stopped else plan.flow, plan.target, terminate=is_stopped)
    probe.variant = plan.variant
    problem, violations = "", ()
    try:
        violations = asyncio.run(_run_flow(desk, plan, probe))
    except asyncio.CancelledError:
        problem = "" if is_stopped else "cancelled"
    except Exception as error:
        problem = f"{plan.flow}: {type(error).__name__}: {error}"
        if os.environ.get("CHAOS_TRACEBACK"):
            traceback.print_exc()
    return {"problem": problem, "counts": probe.counts, "violations": violations}


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
        async with open_chaos_bot(desk, plan, probe) as bot:
            yield bot
            if plan.target is None:
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
        case _:
            await flows.trend.trend.fn(
                series=list(plan.series) or None, scheduled_at=plan.due, live=True
            )
    return tuple(found)
