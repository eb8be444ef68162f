"""The only place that chooses paper, live or sandbox; everything above it takes the ``Bot``."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from importlib import import_module

from polybot.adapters.clock import SandboxClock, SystemClock
from polybot.adapters.health_file import installed_version, read_health
from polybot.adapters.lean_ccxt import load_ccxt
from polybot.adapters.notify import AppriseNotifier
from polybot.adapters.paper import PaperExchange
from polybot.adapters.polymarket.market_data import PolymarketData
from polybot.adapters.prices import CcxtPrices
from polybot.adapters.storage.ledger import open_ledger
from polybot.config import Settings, load_settings
from polybot.domain.markets import MarketSeries
from polybot.domain.modes import Mode
from polybot.domain.reconciliation import ReconcileTiming
from polybot.domain.venue_account import UserEvent
from polybot.errors import ConfigurationError, PolybotError
from polybot.going_live import (
    GatedExchange,
    LivePermission,
    LiveRefused,
    LiveRequest,
    NoExchange,
    NotLive,
    may_trade_live,
)
from polybot.indicators import StrategyParams
from polybot.ports import (
    AccountExchange,
    Clock,
    Ledger,
    MarketData,
    Notifier,
    PriceFeed,
    VenueAccount,
)
from polybot.risk import RiskLimits
from polybot.venue_clock import VenueClock

# The reference under which a new paper ledger books its starting cash, once.
STARTING_CASH = "starting-cash"


class Access(StrEnum):
    """How far a run may reach in live mode; paper and sandbox know no difference."""

    LEDGER = "ledger"
    """Our own record: no key is read, the account is not asked."""
    ACCOUNT = "account"
    """The account, without the second word: everything but new orders."""
    ORDERS = "orders"
    """New orders, with the second word given; the gate decides."""


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
    exchange: AccountExchange
    account: VenueAccount | None
    """``None`` on paper, and where a run works on the ledger alone."""
    user_events: Callable[[], AsyncGenerator[UserEvent, None]] | None
    """Listens to what happens to the account; ``None`` where there is none."""
    permission: LivePermission
    """Whether this run may send real orders, and what is missing."""
    ledger: Ledger
    notifier: Notifier
    heartbeat: Callable[[], Awaitable[None]] | None = None
    """Renews the venue's dead-man switch; ``None`` where nobody wants it."""
    venue_clock: VenueClock | None = None
    """Compares our clock with the venue's; ``None`` where no order is real."""
    reconcile_timing: ReconcileTiming = field(default_factory=ReconcileTiming)
    """How late the venue may be."""

    @property
    def mode(self) -> Mode:
        """Where orders go."""
        return self.settings.mode

    def require_orders(self) -> None:
        """Refuse to go on where real orders are asked for and not allowed.

        Raises:
            ConfigurationError: Everything that is missing, one sentence a line.
        """
        if isinstance(self.permission, LiveRefused):
            raise ConfigurationError(str(self.permission))

    def require_account(self) -> None:
        """Refuse to go on in live mode where the account could not be opened.

        Raises:
            ConfigurationError: Why not.
        """
        if self.mode is Mode.LIVE and self.account is None:
            raise ConfigurationError(str(self.permission))


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
async def open_bot(
    settings: Settings | None = None, *, access: Access = Access.LEDGER
) -> AsyncIterator[Bot]:
    """Open everything that a run needs, and close it in reverse order.

    Args:
        settings: Of this run; default: those of the process.
        access: How far it may reach in live mode.

    A key that does not open closes the venue, not the run: ``permission`` then says why.

    Raises:
        ConfigurationError: A setting or the ledger forbids to start; nothing was sent.
    """
    settings = settings or load_settings()
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
        venue = await _open_venue(
            stack, settings, access, clock=clock, market_data=market_data, ledger=ledger
        )
        if settings.mode is not Mode.LIVE:
            # Real cash is what the venue says: reconciling books it.
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
            exchange=venue.exchange,
            account=venue.account,
            user_events=venue.user_events,
            permission=venue.permission,
            ledger=ledger,
            notifier=AppriseNotifier(tuple(url.get_secret_value() for url in settings.alerts.urls)),
            heartbeat=venue.heartbeat,
            venue_clock=venue.venue_clock,
            reconcile_timing=_timing(settings),
        )


def _timing(settings: Settings) -> ReconcileTiming:
    live = settings.live
    return ReconcileTiming(
        quiet=timedelta(seconds=live.balance_lag_s),
        overlap=timedelta(seconds=live.trades_overlap_s),
        deep_overlap=timedelta(seconds=live.trades_deep_overlap_s),
        late_fills=timedelta(seconds=live.late_fill_watch_s),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Venue:
    """The three things that differ between paper and live."""

    exchange: AccountExchange
    account: VenueAccount | None
    permission: LivePermission
    user_events: Callable[[], AsyncGenerator[UserEvent, None]] | None = None
    heartbeat: Callable[[], Awaitable[None]] | None = None
    venue_clock: VenueClock | None = None


async def _open_venue(
    stack: AsyncExitStack,
    settings: Settings,
    access: Access,
    *,
    clock: Clock,
    market_data: MarketData,
    ledger: Ledger,
) -> _Venue:
    if settings.mode is not Mode.LIVE:
        paper = PaperExchange(
            market_data, clock, delay_s=settings.paper.delay_s, fills_of=ledger.fills_of
        )
        return _Venue(exchange=paper, account=None, permission=NotLive(mode=settings.mode))
    if access is Access.LEDGER:
        refused = LiveRefused(reasons=("this run works on the ledger alone",))
        return _Venue(exchange=NoExchange(), account=None, permission=refused)
    from polybot.live_venue import open_live_venue  # noqa: PLC0415 - paper loads none of it

    try:
        live = await stack.enter_async_context(
            open_live_venue(settings, clock=clock, market_data=market_data)
        )
    except ConfigurationError as error:
        # The run goes on far enough to be recorded, and its owner to be told.
        refused = LiveRefused(reasons=(str(error),))
        return _Venue(exchange=NoExchange(), account=None, permission=refused)
    most = timedelta(seconds=settings.live.max_clock_difference_s)
    venue_clock = VenueClock(live.account, clock, most=most)
    permission = may_trade_live(
        LiveRequest(
            mode=settings.mode,
            is_confirmed=access is Access.ORDERS,
            fingerprint=settings.fingerprint,
            key_address=live.key_address,
            version=installed_version(),
            health=read_health(settings.home, settings.mode),
            doctor_max_age=timedelta(seconds=settings.live.doctor_max_age_s),
            clock_difference=await _difference_by(venue_clock),
            max_clock_difference=most,
            now=await clock.now(),
        )
    )
    exchange = GatedExchange(
        live.exchange,
        permission,
        ledger=ledger,
        reconcile_max_age=timedelta(seconds=settings.live.reconcile_max_age_s),
        venue_clock=venue_clock,
    )
    return _Venue(
        exchange=exchange,
        account=live.account,
        permission=permission,
        user_events=live.user_events,
        heartbeat=live.heartbeat,
        venue_clock=venue_clock,
    )


async def _difference_by(venue_clock: VenueClock) -> timedelta | None:
    try:
        return await venue_clock.compare()
    except PolybotError:
        return None
