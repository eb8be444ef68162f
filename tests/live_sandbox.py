"""The live adapter in front of the strict sandbox: one market, a book that the test sets."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from polybot.adapters.polymarket.account import PolymarketAccount
from polybot.adapters.polymarket.clob_client import ClobClient
from polybot.adapters.polymarket.exchange import PolymarketExchange
from polybot.adapters.polymarket.keccak import Address
from polybot.adapters.polymarket.order_fields import SignatureType, TradingAccount
from polybot.adapters.polymarket.signing import OrderSigner
from polybot.adapters.polymarket.venue_memory import VenueMemory
from polybot.domain.books import OrderBook
from polybot.domain.markets import Market, Outcome
from polybot.sandbox.books import Ladder
from polybot.sandbox.clock import SteppedClock
from polybot.sandbox.exchange.gateway import PrivateGateway
from polybot.sandbox.exchange.matching import MatchingExchange
from polybot.sandbox.exchange.rules import VenueRules
from polybot.sandbox.listing import VenueMarket
from polybot.sandbox.tape import Print
from polybot.sandbox.venue import SandboxVenue
from tests.builders import NOW, build_book, build_market
from tests.fakes import FixedClock, ScriptedMarketData
from tests.order_cases import TEST_KEY, Secret
from tests.sandbox_server import serve_in_thread

WALLET = Address("0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC")
CASH = 1_000_000_000


class OneMarket:
    """A listing of one market, whatever is asked for."""

    def __init__(self, market: VenueMarket) -> None:
        self.market = market

    def by_slug(self, slug: str) -> VenueMarket | None:
        return self.market

    def by_condition(self, condition_id: str) -> VenueMarket | None:
        return self.market if condition_id.lower() == self.market.condition_id else None

    def by_token(self, token_id: str) -> VenueMarket | None:
        tokens = (self.market.up_token_id, self.market.down_token_id)
        return self.market if token_id in tokens else None


class ScriptedVenue(SandboxVenue):
    """A sandbox whose only book is the test's, with nobody else about."""

    def __init__(self, market: Market, clock: SteppedClock) -> None:
        super().__init__(seed=7, clock=clock)
        self.shown = build_book()
        self.listing = OneMarket(
            VenueMarket(
                window=market.window,
                condition_id=market.condition_id,
                up_token_id=market.token_ids[Outcome.UP],
                down_token_id=market.token_ids[Outcome.DOWN],
                listed_s=market.window.start_s - 80_000,
                beat_known_s=market.window.start_s + 60,
                resolved_s=market.window.start_s + 955,
                version=market.version.value,
                is_negative_risk=market.is_negative_risk,
            )
        )

    def ladder(self, market: VenueMarket, at_s: int) -> Ladder:
        sides = (self.shown.bids, self.shown.asks)
        bids, asks = (
            tuple((int(one.price * 100), int(one.size * 100)) for one in side) for side in sides
        )
        return Ladder(bids=bids, asks=asks)

    def prints_at(self, market: VenueMarket, second_s: int) -> tuple[Print, ...]:
        return ()


class LiveSandbox:
    """A venue and the adapter that trades on it; both see the same time."""

    def __init__(
        self,
        *,
        client: ClobClient,
        signer: OrderSigner,
        trading: TradingAccount,
        venue: ScriptedVenue,
        gateway: PrivateGateway,
        market: Market,
        home: Path,
    ) -> None:
        self.client = client
        self.venue = venue
        self.gateway = gateway
        self.market = market
        self.clock = FixedClock(NOW)
        self.account = PolymarketAccount(client, trading)
        self.exchange = PolymarketExchange(
            client,
            signer,
            trading,
            market_data=ScriptedMarketData(market, build_book()),
            clock=self.clock,
            memory=VenueMemory(home),
        )
        client._clock = self.clock

    def show(self, book: OrderBook) -> None:
        """Set the Up token's book; nothing of it has been taken."""
        self.venue.shown = book
        self.gateway.exchange.quotes._taken.clear()

    def go_silent(self) -> None:
        self.client._url = "http://127.0.0.1:1"

    def later(self, seconds: float) -> None:
        self.clock.instant += timedelta(seconds=seconds)
        clock = self.venue.clock
        assert isinstance(clock, SteppedClock)
        clock.move_to(int(self.clock.instant.timestamp() * 1000))


@asynccontextmanager
async def live_sandbox(
    home: Path,
    rules: VenueRules,
    *,
    market: Market | None = None,
    kind: SignatureType = SignatureType.EOA,
) -> AsyncIterator[LiveSandbox]:
    """Serve a venue and open the adapter on it, with 1,000 USDC and 100 Up tokens."""
    market = market or build_market()
    clock = SteppedClock(int(NOW.timestamp() * 1000))
    venue = ScriptedVenue(market, clock)
    gateway = PrivateGateway(MatchingExchange(venue, replace(rules, fill_step=1)))
    signer = OrderSigner(Secret(TEST_KEY))
    trading = TradingAccount(
        key_address=signer.address,
        funder=signer.address if kind is SignatureType.EOA else WALLET,
        signature_type=kind,
    )
    account = gateway.exchange.accounts.open(
        owner=signer.address, funder=trading.funder, signature_type=int(kind), cash=CASH
    )
    account.tokens[market.token_ids[Outcome.UP]] = 100_000_000
    with serve_in_thread(venue, gateway=gateway) as url:
        async with ClobClient(
            url, signer, clock=FixedClock(NOW), timeout_s=5, order_timeout_s=5
        ) as client:
            yield LiveSandbox(
                client=client,
                signer=signer,
                trading=trading,
                venue=venue,
                gateway=gateway,
                market=market,
                home=home,
            )
