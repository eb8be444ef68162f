"""The strict sandbox behind the bot's own client, without a socket: thousands of cases a minute."""

from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlsplit

from polybot.adapters.polymarket.account import PolymarketAccount
from polybot.adapters.polymarket.auth import ApiCredentials
from polybot.adapters.polymarket.clob_client import ClobClient, NoAnswer, NotSent, RawAnswer
from polybot.adapters.polymarket.order_fields import SignatureType, TradingAccount
from polybot.adapters.polymarket.signing import OrderSigner
from polybot.domain.markets import Market, MarketVersion, MarketWindow, Outcome
from polybot.domain.money import price, shares, shares_down, usdc
from polybot.domain.orders import Order, Side, TimeInForce
from polybot.errors import TransientError
from polybot.sandbox.clock import SteppedClock
from polybot.sandbox.exchange.gateway import PrivateGateway, VenueRequest
from polybot.sandbox.exchange.matching import MatchingExchange
from polybot.sandbox.exchange.rules import VenueRules
from polybot.sandbox.fault_plan import FaultPlan
from polybot.sandbox.injector import Answer, FaultInjector, FaultyGateway
from polybot.sandbox.venue import SandboxVenue
from tests.builders import build_market, build_order
from tests.chaos.fault_cases import FaultCase
from tests.order_cases import TEST_KEY, Secret

CASH = 100_000_000_000
_BUDGET = usdc("5")


class Killed(BaseException):
    """The process is gone; nothing that it had not written is known any more."""


class VenueInProcess:
    """A venue, its clock, and one wallet on it."""

    def __init__(self, *, seed: int, start_s: int, rules: VenueRules) -> None:
        self.clock = SteppedClock(start_s * 1000)
        self.venue = SandboxVenue(
            seed=seed, clock=self.clock, v2_share=0.5, negative_risk_share=0.5
        )
        self.exchange = MatchingExchange(self.venue, rules)
        self.gateway = PrivateGateway(self.exchange)
        self.plan = FaultPlan(seed)
        self.faulty = FaultyGateway(self.gateway, FaultInjector(self.exchange, self.plan))
        self.signer = OrderSigner(Secret(TEST_KEY))
        address = self.signer.address
        self.trading = TradingAccount(
            key_address=address, funder=address, signature_type=SignatureType.EOA
        )
        self.wallet = self.exchange.accounts.open(
            owner=address, funder=None, signature_type=0, cash=CASH
        )
        self.client = InProcessClient(self)
        self.account = PolymarketAccount(self.client, self.trading)
        self.crash = ""
        self.late: list[VenueRequest] = []
        self.is_next_late = False

    # The ``Clock`` port -------------------------------------------------------------------------
    async def now(self) -> datetime:
        return datetime.fromtimestamp(self.clock.now_ms() / 1000, UTC)

    async def sleep(self, seconds: float) -> None:
        self.later(seconds)

    async def sleep_until(self, instant: datetime) -> None:
        self.later(max(0.0, (instant - await self.now()).total_seconds()))

    def later(self, seconds: float) -> None:
        """Let time pass; what was still on its way arrives first."""
        for request in self.late:
            self.clock.advance(min(seconds, 15.0))
            seconds = max(0.0, seconds - 15.0)
            self.gateway.handle(request)
        self.late.clear()
        self.clock.advance(seconds)
        self.exchange.advance()

    # The market ---------------------------------------------------------------------------------
    async def find_market(self, window: MarketWindow) -> Market:
        found = self.venue.listing.by_slug(window.slug)
        assert found is not None
        return build_market(
            condition_id=found.condition_id,
            window=window,
            version=MarketVersion(found.version),
            token_ids={Outcome.UP: found.up_token_id, Outcome.DOWN: found.down_token_id},
            is_negative_risk=found.is_negative_risk,
            fetched_at=await self.now(),
        )

    async def order_for(self, case: FaultCase, window: MarketWindow, key: str) -> Order:
        """Return what the case trades: 5 USDC at the market, or a bid below it."""
        market = await self.find_market(window)
        book = self.venue.book(market.token_ids[Outcome.UP], self.venue.now_s())
        assert book is not None
        if case.is_resting:
            limit = max(price("0.01"), price(book.bids[0].price - price("0.02")))
            return build_order(
                Side.BUY,
                TimeInForce.GTC,
                str(limit),
                market=market,
                decision_key=key,
                size=shares("10"),
                budget_usdc=usdc(10 * limit),
            )
        limit = price(min(book.asks[0].price + price("0.02"), price("0.99")))
        return build_order(
            limit_price=str(limit),
            market=market,
            decision_key=key,
            size=shares_down(_BUDGET / limit, price("0.0001")),
        )


class InProcessClient(ClobClient):
    """The bot's client with its two ways to the network replaced by function calls."""

    def __init__(self, venue: VenueInProcess) -> None:
        super().__init__("http://venue", venue.signer, clock=venue, timeout_s=5, order_timeout_s=5)
        self._venue = venue

    async def post_order(
        self, body: bytes, credentials: ApiCredentials, *, at: datetime
    ) -> RawAnswer | NotSent | NoAnswer:
        venue = self._venue
        if venue.crash == "before-the-request":
            raise Killed
        headers = credentials.headers(
            self._signer.address,
            timestamp_s=int(at.timestamp()),
            method="POST",
            path="/order",
            body=body,
        )
        request = _request("POST", "/order", headers=headers, body=body)
        if venue.is_next_late:
            venue.is_next_late = False
            venue.late.append(request)
            answer: Answer | None = None
        else:
            answer = venue.faulty.handle(request).answer
        if venue.crash == "after-the-answer":
            raise Killed
        if answer is None:
            venue.clock.advance(1)
            return NoAnswer(reason="nothing came")
        return RawAnswer(status=answer.status, headers=answer.headers, body=answer.body)

    async def _read(
        self,
        method: str,
        path: str,
        credentials: ApiCredentials | None,
        *,
        params: dict[str, str] | None = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> RawAnswer:
        if credentials is not None:
            timestamp_s = self._venue.clock.now_ms() // 1000
            headers = credentials.headers(
                self._signer.address, timestamp_s=timestamp_s, method=method, path=path, body=body
            )
        request = _request(method, path, headers=headers or {}, body=body, query=params)
        answer = self._venue.faulty.handle(request).answer
        if answer is None:
            raise TransientError(f"{path} did not answer")
        return RawAnswer(status=answer.status, headers=answer.headers, body=answer.body)


def _request(
    method: str,
    path: str,
    *,
    headers: Mapping[str, str],
    body: bytes,
    query: Mapping[str, str] | None = None,
) -> VenueRequest:
    return VenueRequest(
        method=method,
        path=urlsplit(path).path,
        query=query or {},
        headers={name.lower(): text for name, text in headers.items()},
        body=body,
    )
