"""What a run opens in live mode, with a probe around every port and every connection."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from polybot.adapters.polymarket.account import PolymarketAccount
from polybot.adapters.polymarket.clob_client import ClobClient
from polybot.adapters.polymarket.exchange import PolymarketExchange
from polybot.adapters.polymarket.market_data import PolymarketData
from polybot.adapters.polymarket.order_fields import TradingAccount
from polybot.adapters.polymarket.signing import OrderSigner
from polybot.adapters.polymarket.user_stream import UserStream
from polybot.adapters.polymarket.venue_memory import VenueMemory
from polybot.adapters.storage.ledger import open_ledger
from polybot.bootstrap import Bot
from polybot.config.sections import AlertSettings, StrategySettings, TimingSettings
from polybot.domain.alerts import Alert
from polybot.domain.markets import MarketSeries
from polybot.domain.modes import Mode
from polybot.domain.signals import Direction
from polybot.domain.venue_account import UserEvent
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
from tests.chaos.moods import ACCEPTED, answer_timeout_s
from tests.chaos.relayer import open_redeemer
from tests.chaos.shared_time import BotClock, SharedClock

SERIES = MarketSeries(asset="btc", duration="15m")
_RECONCILE_MAX_AGE = timedelta(seconds=180)
# While somebody listens, time passes: so much of the venue's in so much of ours [s].
_LISTENING_STEP_S, _LISTENING_PAUSE_S = 6, 0.02


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
    """``trend``, ``settle``, ``reconcile``, ``follow``; ``shutdown``: a trend run that is told to
    stop; ``mistake``: an order that rests at the venue while our record holds it for refused."""
    due: datetime
    direction: Direction = Direction.UP
    mood: str = ACCEPTED
    """What the venue does with the order, as the names of the points say it."""
    series: tuple[str, ...] = ()
    target: Target | None = None
    directions: Mapping[str, Direction] = field(default_factory=dict)
    """By asset, where several series are run."""
    audits: bool = False
    """Whether the ledger proves its own books in the end; the model looks after every run."""


class Loudspeaker:
    """The ``Notifier`` port: takes every alert."""

    is_configured = True

    async def send(self, alert: Alert) -> bool:
        return True


class GivenForecasts:
    """The ``PriceFeed`` port that hands on a forecast instead of candles."""

    def __init__(self, plan: RunPlan) -> None:
        self._plan = plan

    async def closed_candles(self, asset: str, **_: object) -> Direction:
        return self._plan.directions.get(asset, self._plan.direction)


@asynccontextmanager
async def open_live_bot(desk: Desk, plan: RunPlan, probe: Probe) -> AsyncIterator[Bot]:
    """Open what ``open_bot`` opens in live mode, with a probe around every port."""
    clock = BotClock(desk.clock)
    watch_connections(probe)
    client = ClobClient(
        desk.url,
        desk.signer,
        clock=clock,
        timeout_s=5,
        order_timeout_s=answer_timeout_s(plan.mood),
    )
    ledger = open_ledger(desk.ledger, mode=Mode.LIVE)
    watch_transactions(ledger, probe)
    data = PolymarketData(
        gamma_url=desk.url, clob_url=desk.url, data_url=desk.url, timeout_s=5, clock=clock
    )
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
    redeemer = open_redeemer(client, desk.signer, desk.trading, desk.url, probe)
    account = PolymarketAccount(client, desk.trading, redeemer=redeemer)
    settings: Any = SimpleNamespace(mode=Mode.LIVE, timing=TimingSettings(), alerts=AlertSettings())
    prices: Any = GivenForecasts(plan)

    def watched(port: Any, steps: dict[str, str]) -> Any:
        return Watched(port, probe, steps)

    try:
        yield Bot(
            settings=settings,
            series=(SERIES,),
            strategy=StrategyParams(**StrategySettings().model_dump()),
            limits=desk.limits,
            clock=clock,
            prices=prices,
            market_data=watched(data, MARKET_STEPS),
            exchange=watched(gated, EXCHANGE_STEPS),
            account=watched(account, ACCOUNT_STEPS),
            user_events=lambda: _listen(desk, client, probe),
            permission=permission,
            ledger=Watched(ledger, probe, LEDGER_STEPS),  # type: ignore[arg-type]
            notifier=Loudspeaker(),
        )
    finally:
        with probe.step("closing"):
            await client.aclose()
            await data.__aexit__()
            ledger.close()


async def _listen(desk: Desk, client: ClobClient, probe: Probe) -> AsyncGenerator[UserEvent, None]:
    """Yield the user socket's events while the venue's time passes."""
    url = f"{desk.url.replace('http', 'ws', 1)}/ws/user"
    stream = UserStream(url, client, funder=desk.trading.funder)
    time_passes = asyncio.create_task(_let_time_pass(desk.clock))
    try:
        with probe.step("socket"):
            async with aclosing(stream.events()) as events:
                async for event in events:
                    probe.reach("before", "event heard")
                    yield event
                    probe.reach("after", "event heard")
    finally:
        time_passes.cancel()


async def _let_time_pass(clock: SharedClock) -> None:
    while True:
        await asyncio.sleep(_LISTENING_PAUSE_S)
        clock.move_to(clock.now_ms() + _LISTENING_STEP_S * 1000)
