"""The only place that chooses paper, live or sandbox; everything above it takes the ``Bot``."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib import import_module

from polybot.adapters.clock import SandboxClock, SystemClock
from polybot.adapters.lean_ccxt import load_ccxt
from polybot.adapters.notify import AppriseNotifier
from polybot.adapters.paper import PaperExchange
from polybot.adapters.polymarket.market_data import PolymarketData
from polybot.adapters.prices import CcxtPrices
from polybot.adapters.storage.ledger import open_ledger
from polybot.config import Settings, load_settings
from polybot.domain.markets import MarketSeries
from polybot.domain.modes import Mode
from polybot.errors import ConfigurationError
from polybot.indicators import StrategyParams
from polybot.ports import Clock, Exchange, Ledger, MarketData, Notifier, PriceFeed
from polybot.risk import RiskLimits

# The reference under which a new paper ledger books its starting cash, once.
STARTING_CASH = "starting-cash"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bot:
    """Everything that a run needs, opened and ready."""

    settings: Settings
    series: tuple[MarketSeries, ...]
    strategy: StrategyParams
    limits: RiskLimits
    clock: Clock
    prices: PriceFeed
    market_data: MarketData
    exchange: Exchange
    ledger: Ledger
    notifier: Notifier

    @property
    def mode(self) -> Mode:
        """Where orders go."""
        return self.settings.mode


def ledger_location(settings: Settings) -> str:
    """Return the ledger's SQLAlchemy URL or file path: one ledger a mode, never shared."""
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    return str(settings.home / f"{settings.mode}.db")


def load_libraries() -> None:
    """Import what a decision needs and nothing else does; it takes seconds in a fresh process."""
    load_ccxt()
    for name in ("pandas", "ta.momentum", "ta.trend"):
        import_module(name)


@asynccontextmanager
async def open_bot(settings: Settings | None = None) -> AsyncIterator[Bot]:
    """Open everything that a run needs, and close it in reverse order.

    Raises:
        ConfigurationError: A setting, the ledger or the mode forbids to start; nothing was sent.
    """
    settings = settings or load_settings()
    if settings.mode is Mode.LIVE:
        raise ConfigurationError(
            "live trading is not part of this version: set POLYBOT_MODE to paper or sandbox"
        )
    hosts = settings.hosts
    async with AsyncExitStack() as stack:
        clock: Clock = (
            await stack.enter_async_context(SandboxClock(settings.sandbox.url))
            if settings.mode is Mode.SANDBOX
            else SystemClock()
        )
        ledger = stack.enter_context(open_ledger(ledger_location(settings), mode=settings.mode))
        market_data = await stack.enter_async_context(
            PolymarketData(
                gamma_url=hosts.gamma_url,
                clob_url=hosts.clob_url,
                data_url=hosts.data_url,
                timeout_s=settings.venue.timeout_s,
                clock=clock,
            )
        )
        prices = await stack.enter_async_context(
            CcxtPrices(
                exchanges=settings.prices.exchanges,
                base_url=hosts.prices_base_url,
                timeout_s=settings.prices.timeout_s,
                cache_dir=settings.home / "cache",
                clock=clock,
            )
        )
        ledger.deposit(
            settings.paper.starting_cash_usdc, reference=STARTING_CASH, at=await clock.now()
        )
        yield Bot(
            settings=settings,
            series=tuple(MarketSeries.parse(text) for text in settings.series),
            strategy=StrategyParams(**settings.strategy.model_dump()),
            limits=RiskLimits(**settings.risk.model_dump()),
            clock=clock,
            prices=prices,
            market_data=market_data,
            exchange=PaperExchange(
                market_data, clock, delay_s=settings.paper.delay_s, fills_of=ledger.fills_of
            ),
            ledger=ledger,
            notifier=AppriseNotifier(tuple(url.get_secret_value() for url in settings.alerts.urls)),
        )
