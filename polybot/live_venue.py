"""The live exchange and account, opened with the configured key; loaded in live mode alone."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from polybot.adapters.clock import SystemClock
from polybot.adapters.polymarket.account import PolymarketAccount
from polybot.adapters.polymarket.clob_client import ClobClient
from polybot.adapters.polymarket.exchange import PolymarketExchange
from polybot.adapters.polymarket.heartbeat import Heartbeat
from polybot.adapters.polymarket.keccak import parse_address
from polybot.adapters.polymarket.order_fields import TradingAccount
from polybot.adapters.polymarket.sdk import RelayerKey, SdkHosts, SdkRedeemer
from polybot.adapters.polymarket.signing import OrderSigner
from polybot.adapters.polymarket.user_stream import UserStream
from polybot.adapters.polymarket.venue_memory import VenueMemory
from polybot.adapters.polymarket.verdicts import Patience
from polybot.config import Settings
from polybot.domain.venue_account import UserEvent
from polybot.ports import AccountExchange, Clock, MarketData, VenueAccount
from polybot.trading_key import load_signer, trading_account


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveVenue:
    """Both sides of the account, over one connection."""

    exchange: AccountExchange
    account: VenueAccount
    user_events: Callable[[], AsyncGenerator[UserEvent, None]]
    """Listens to the user socket, from each call on."""
    heartbeat: Callable[[], Awaitable[None]] | None
    """Renews the venue's dead-man switch for ten seconds; ``None`` where no setting wants it."""
    key_address: str


@asynccontextmanager
async def open_live_venue(
    settings: Settings, *, clock: Clock, market_data: MarketData
) -> AsyncIterator[LiveVenue]:
    """Unlock the key and open the live exchange and account.

    Raises:
        ConfigurationError: The key does not open, or key, funder and signature type disagree.
    """
    signer = load_signer(settings)
    account = trading_account(settings, signer)
    async with _client(settings, signer, clock) as client:
        yield LiveVenue(
            exchange=PolymarketExchange(
                client,
                signer,
                account,
                market_data=market_data,
                clock=clock,
                memory=VenueMemory(settings.home / "venue"),
                patience=_patience(settings),
            ),
            account=PolymarketAccount(
                client, account, redeemer=_redeemer(settings, client, signer, account)
            ),
            user_events=UserStream(
                settings.hosts.user_socket_url, client, funder=account.funder
            ).events,
            heartbeat=Heartbeat(client).beat if settings.live.heartbeat else None,
            key_address=signer.address,
        )


@asynccontextmanager
async def open_venue_account(
    settings: Settings, signer: OrderSigner, account: TradingAccount
) -> AsyncIterator[VenueAccount]:
    """Open the account alone, with a key that is unlocked already."""
    async with _client(settings, signer, SystemClock()) as client:
        yield PolymarketAccount(client, account)


@asynccontextmanager
async def open_redeemer(
    settings: Settings, signer: OrderSigner, account: TradingAccount
) -> AsyncIterator[SdkRedeemer]:
    """Open what redeems and knows the approvals, with a key that is unlocked already."""
    async with _client(settings, signer, SystemClock()) as client:
        yield _redeemer(settings, client, signer, account)


def _client(settings: Settings, signer: OrderSigner, clock: Clock) -> ClobClient:
    return ClobClient(
        settings.hosts.clob_url,
        signer,
        clock=clock,
        timeout_s=settings.venue.timeout_s,
        order_timeout_s=settings.live.order_timeout_s,
    )


def _patience(settings: Settings) -> Patience:
    live = settings.live
    return Patience(
        arrival=timedelta(seconds=live.arrival_grace_s),
        trades=timedelta(seconds=live.trades_lag_s),
        matched=timedelta(seconds=live.late_fill_watch_s),
    )


def _redeemer(
    settings: Settings, client: ClobClient, signer: OrderSigner, account: TradingAccount
) -> SdkRedeemer:
    hosts, live = settings.hosts, settings.live
    relayer_key = None
    if live.relayer_key is not None and live.relayer_address is not None:
        relayer_key = RelayerKey(key=live.relayer_key, address=parse_address(live.relayer_address))
    return SdkRedeemer(
        client,
        signer,
        account,
        SdkHosts(
            clob_url=hosts.clob_url,
            gamma_url=hosts.gamma_url,
            data_url=hosts.data_url,
            relayer_url=hosts.relayer_url,
            rpc_url=hosts.rpc_url,
        ),
        relayer_key=relayer_key,
    )
