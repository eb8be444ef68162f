"""Opens the copy loop: the ``Bot`` of every run, and the feeds that only copying needs."""

import gc
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, cast
from uuid import uuid4

from polybot.adapters.clock import SandboxClock, SystemClock
from polybot.adapters.health_file import read_health
from polybot.adapters.polymarket.book_feed import PolymarketBookFeed
from polybot.adapters.polymarket.leader_feed.feed import (
    FeedSources,
    FeedTiming,
    PolymarketLeaderFeed,
)
from polybot.adapters.polymarket.leader_feed.history import PolymarketLeaderHistory
from polybot.adapters.polymarket.leader_feed.identity import Conflict
from polybot.adapters.polymarket.leader_feed.stream import StreamTiming
from polybot.adapters.polymarket.market_data import PolymarketData
from polybot.bootstrap import Access, Bot, open_bot
from polybot.config import Settings, load_settings
from polybot.copy_trading.engine import CopyLoop
from polybot.copy_trading.parts import CopyBooks, CopyOptions, CopyPorts
from polybot.domain.leaders import LeaderAddress, LeaderTradeKey
from polybot.domain.markets import ConditionId, OutcomeTokenId
from polybot.domain.modes import Mode
from polybot.ports import BookFeed, CopyLedger, InstantClock, LeaderFeed

_ANY_AGE: Final = timedelta(days=36_500)


@dataclass(frozen=True, slots=True, kw_only=True)
class Copier:
    """A copy loop that is ready to run, with the bot that it trades for."""

    bot: Bot
    """Its ledger is the loop's."""
    ledger: CopyLedger
    """The same ledger's part about leaders: the lease, the desired state."""
    loop: CopyLoop


@asynccontextmanager
async def open_copier(
    settings: Settings | None = None,
    *,
    access: Access = Access.LEDGER,
    run_name: str = "",
    holder: str | None = None,
) -> AsyncIterator[Copier]:
    """Open everything that copying needs, and close it in reverse order.

    Args:
        settings: Of this run; default: those of the process.
        access: How far it may reach in live mode; ``Access.ORDERS`` to trade.
        run_name: Of the flow run; decisions carry it.
        holder: Names this loop in its lease; default: host, process and a random part.

    Raises:
        ConfigurationError: A setting or the ledger forbids to start; nothing was sent.
        TransientError: The sandbox does not answer.
    """
    settings = settings or load_settings()
    async with AsyncExitStack() as stack:
        bot = await stack.enter_async_context(open_bot(settings, access=access))
        clock = await _instant_clock(bot)
        loops = _Late()
        ledger = cast("CopyBooks", bot.ledger)
        history = PolymarketLeaderHistory(
            settings.hosts.data_url, timeout_s=settings.venue.timeout_s, now=clock.instant
        )
        ports = CopyPorts(
            ledger=ledger,
            exchange=bot.exchange,
            account=bot.account,
            clock=clock,
            market_data=bot.market_data,
            feed=_leader_feed(settings, clock, loops),
            books=await _book_feed(stack, settings, clock),
            history=await stack.enter_async_context(history),
            machine_time=SystemClock().instant,
            notifier=bot.notifier,
            compare_clocks=_compare_clocks(bot),
        )
        loop = CopyLoop(ports, _options(bot, run_name=run_name, holder=holder))
        loops.loop = loop
        stack.enter_context(_settled_memory())
        yield Copier(bot=bot, ledger=ledger, loop=loop)


@contextmanager
def _settled_memory() -> Iterator[None]:
    """Spare what is there already from being searched for garbage while orders wait.

    A run of Prefect has imported so much that one search through all of it takes tens of
    milliseconds.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


class _Late:
    """The loop, for the feed that is made before it and calls it later."""

    def __init__(self) -> None:
        self.loop: CopyLoop | None = None

    def void(self, key: LeaderTradeKey) -> None:
        if self.loop is not None:
            self.loop.void(key)

    def contradict(self, conflict: Conflict) -> None:
        if self.loop is not None:
            self.loop.contradict(conflict.trade, conflict.reason)

    def market_of(self, token_id: OutcomeTokenId) -> tuple[ConditionId, str] | None:
        market = None if self.loop is None else self.loop.market_of(token_id)
        return None if market is None else (market.condition_id, market.slug)


async def _instant_clock(bot: Bot) -> InstantClock:
    clock = bot.clock
    if isinstance(clock, SandboxClock):
        await clock.follow()
    return cast("InstantClock", clock)


def _compare_clocks(bot: Bot) -> Callable[[], Awaitable[timedelta]] | None:
    """Return how a day's run keeps comparing; what it found serves as long as the books do."""
    if bot.venue_clock is None:
        return None
    bot.venue_clock.expire_after(timedelta(seconds=bot.settings.live.reconcile_max_age_s))
    return bot.venue_clock.compare


def _leader_feed(settings: Settings, clock: InstantClock, loops: _Late) -> LeaderFeed:
    copying, hosts = settings.copying, settings.hosts
    node = copying.node_url
    return PolymarketLeaderFeed(
        FeedSources(
            stream_url=hosts.stream_url if copying.stream else None,
            data_url=hosts.data_url if copying.data_api else None,
            node_url=None if node is None else node.get_secret_value(),
            stream_connections=copying.stream_connections,
            max_frame_bytes=copying.max_frame_bytes,
        ),
        now=clock.instant,
        timing=FeedTiming(
            stream=StreamTiming(ping_s=copying.stream_ping_s, silence_s=copying.stream_silence_s),
            data_api_every_s=copying.data_api_every_s,
            activity_every_s=copying.activity_every_s,
            overlap_s=copying.overlap_s,
            request_timeout_s=settings.venue.timeout_s,
        ),
        market_of=loops.market_of,
        on_conflict=loops.contradict,
        on_removed=loops.void,
    )


async def _book_feed(stack: AsyncExitStack, settings: Settings, clock: InstantClock) -> BookFeed:
    hosts = settings.hosts
    # Books of its own kind: one that nobody touched for hours is still the book.
    data = await stack.enter_async_context(
        PolymarketData(
            gamma_url=hosts.gamma_url,
            clob_url=hosts.clob_url,
            data_url=hosts.data_url,
            timeout_s=settings.venue.timeout_s,
            clock=clock,
            max_book_age=_ANY_AGE,
        )
    )
    return PolymarketBookFeed(
        hosts.market_socket_url,
        read_book=data.order_book,
        now=clock.instant,
        max_frame_bytes=settings.copying.max_frame_bytes,
    )


def _options(bot: Bot, *, run_name: str, holder: str | None) -> CopyOptions:
    settings = bot.settings
    copying = settings.copying
    return CopyOptions(
        mode=bot.mode,
        limits=bot.limits,
        holder=holder or f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}",
        run_name=run_name or "copy-trading",
        own_addresses=_own_addresses(settings),
        max_book_age_s=copying.max_book_age_s,
        lease_s=copying.lease_s,
        drift_every_s=copying.drift_every_s,
        overlap_s=copying.overlap_s,
        max_clock_difference=timedelta(seconds=settings.live.max_clock_difference_s),
        reconcile_every_s=settings.live.reconcile_max_age_s / 3,
        reconcile_timing=bot.reconcile_timing,
    )


def _own_addresses(settings: Settings) -> frozenset[LeaderAddress]:
    """Return our wallet and our key: the doctor has noted whose key trades."""
    if settings.mode is not Mode.LIVE:
        return frozenset()
    health = read_health(settings.home, settings.mode)
    known = (settings.live.funder, None if health is None else health.key_address)
    return frozenset(LeaderAddress(address.lower()) for address in known if address)
