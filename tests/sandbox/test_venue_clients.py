"""Both official clients, unmodified, take the sandbox for the venue."""

import dataclasses
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest
from polymarket import SecureClient
from polymarket._internal import wallet
from polymarket._internal.environment import (
    PRODUCTION,
    PRODUCTION_CONFIG,
    create_environment,
    get_environment_config,
)
from polymarket.auth import RelayerApiKey
from polymarket.errors import RequestRejectedError
from py_clob_client_v2.client import ClobClient
from py_clob_client_v2.clob_types import (
    MarketOrderArgsV2,
    OpenOrderParams,
    OrderArgsV2,
    OrderPayload,
    PartialCreateOrderOptions,
    TradeParams,
)

from polybot.domain.markets import Outcome
from polybot.sandbox.clock import RunningClock, SteppedClock
from polybot.sandbox.exchange.gateway import PrivateGateway
from polybot.sandbox.exchange.matching import MatchingExchange
from polybot.sandbox.listing import VenueMarket
from polybot.sandbox.venue import SandboxVenue
from tests.sandbox_server import serve_in_thread

KEY = "0x" + 64 * "2"
ADDRESS = "0x1563915e194D8CfBA1943570603F7606A3115508"
FUNDER = "0x00000000000000000000000000000000000000Aa"
VERSIONS = {"v1": {}, "negative-risk": {"negative_risk_share": 1.0}, "v2": {"v2_share": 1.0}}


@dataclasses.dataclass
class Served:
    """A venue that real clients reach."""

    url: str
    gateway: PrivateGateway
    market: VenueMarket

    @property
    def venue(self) -> SandboxVenue:
        return self.gateway.exchange.venue

    def status(self) -> dict[str, Any]:
        return dict(httpx.get(f"{self.url}/sandbox/status").json())

    def open_account(self, **wanted: object) -> None:
        answer = httpx.post(f"{self.url}/sandbox/accounts", json={"cash_usdc": "500"} | wanted)
        assert answer.status_code == 200, answer.text

    def advance(self, seconds: float) -> None:
        clock = self.venue.clock
        assert isinstance(clock, SteppedClock)
        clock.advance(seconds)


@pytest.fixture(params=VERSIONS)
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    # Clients sign with the machine's clock, so the venue's starts there.
    now_s = RunningClock().now_ms() // 1000
    venue = SandboxVenue(clock=SteppedClock(now_s * 1000), **VERSIONS[request.param])
    market = venue.listing.by_slug(f"btc-updown-15m-{now_s - now_s % 900 + 1800}")
    assert market is not None
    gateway = PrivateGateway(MatchingExchange(venue))
    with serve_in_thread(venue, gateway=gateway) as url:
        yield Served(url, gateway, market)


def sdk_client(url: str, funder: str) -> Any:
    socket = url.replace("http", "ws")
    config = dataclasses.replace(
        PRODUCTION_CONFIG,
        **dict.fromkeys(
            ("clob_url", "gamma_url", "data_url", "relayer_url", "rfq_url", "rpc_url"), url
        ),
        clob_market_ws_url=f"{socket}/ws/market",
        clob_user_ws_url=f"{socket}/ws/user",
        rtds_ws_url=socket,
        realtime_ws_url=socket,
        sports_ws_url=socket,
        relayer_poll_frequency_ms=10,
    )
    return SecureClient.create(
        private_key=KEY,
        wallet=funder,
        environment=create_environment(name="local", config=config),
        api_key=RelayerApiKey(key="relayer-key", address=ADDRESS),
    )


def wallet_of_type(kind: int) -> str:
    """Return the wallet that the SDK derives for the key, by signature type."""
    config = get_environment_config(PRODUCTION).wallet_derivation
    if kind == 0:
        return ADDRESS
    if kind == 1:
        return str(wallet.derive_proxy_wallet_address(ADDRESS, config))
    if kind == 2:
        return str(wallet.derive_safe_wallet_address(ADDRESS, config))
    return str(wallet.derive_beacon_deposit_wallet_address(ADDRESS, config))


@pytest.mark.parametrize("kind", [0, 1, 2, 3])
def test_the_unified_sdk_trades(served: Served, kind: int) -> None:
    """Place, list, match, list trades, read balances, cancel; with every signature type."""
    funder = wallet_of_type(kind)
    served.open_account(address=ADDRESS, funder=funder, signature_type=kind)
    client = sdk_client(served.url, funder)
    up = served.market.up_token_id
    order = client.create_limit_order(
        asset_id=up, price=Decimal("0.02"), size=Decimal(100), side="BUY", post_only=True
    )
    resting = client.post_order(order)
    assert (resting.ok, resting.status) == (True, "live")
    (listed,) = client.list_open_orders().first_page().items
    assert (listed.id, listed.price, listed.outcome) == (resting.order_id, Decimal("0.02"), "Up")
    assert client.get_order(order_id=resting.order_id).status == "LIVE"
    book = client.get_order_book(asset_id=up)
    assert book.bids[-1].price < book.asks[-1].price
    assert {level.price: level.size for level in book.bids}[Decimal("0.02")] >= 100

    taker = client.create_market_order(
        asset_id=up, side="BUY", amount=Decimal(10), max_price=Decimal("0.90"), order_type="FAK"
    )
    matched = client.post_order(taker)
    assert (matched.status, len(matched.trade_ids)) == ("matched", 1)
    (trade,) = client.list_account_trades().first_page().items
    assert (trade.id, trade.taker_order_id, trade.status) == (
        matched.trade_ids[0],
        matched.order_id,
        "MATCHED",
    )
    cash = client.get_balance_allowance(asset_type="COLLATERAL").balance
    cost = int(trade.price * trade.size * 10**6)
    assert 500_000_000 - cost * 107 // 100 <= cash < 500_000_000 - cost
    served.advance(3)
    assert client.list_account_trades().first_page().items[0].status == "MINED"
    held = client.get_balance_allowance(
        asset_type="CONDITIONAL-V2" if served.market.version == "v2" else "CONDITIONAL", asset_id=up
    )
    assert held.balance == int(trade.size * 10**6)

    sale = client.create_market_order(
        asset_id=up, side="SELL", shares=Decimal(5), min_price=Decimal("0.05"), order_type="FOK"
    )
    assert client.post_order(sale).status == "matched"
    assert client.cancel_order(order_id=resting.order_id).canceled == (resting.order_id,)
    assert client.list_open_orders().first_page().items == ()
    assert served.status()["audit"]["missing"] == 0


@pytest.mark.parametrize("kind", [1, 2, 3])
def test_the_unified_sdk_redeems_without_gas_and_only_once(served: Served, kind: int) -> None:
    funder = wallet_of_type(kind)
    served.open_account(address=ADDRESS, funder=funder, signature_type=kind)
    client = sdk_client(served.url, funder)
    accounts, market = served.gateway.exchange.accounts, served.market
    account = accounts.of_funder(funder)
    assert account is not None
    # The wallet splits 40 pUSD into a pair by itself.
    account.cash -= 40_000_000
    accounts.collateral += 40_000_000
    for token_id in (market.up_token_id, market.down_token_id):
        account.tokens[token_id] = 40_000_000
    served.advance(3_000)
    client.redeem_positions(condition_id=market.condition_id).wait()
    assert (account.cash, sum(account.tokens.values())) == (500_000_000, 0)
    if market.version == "v1":
        client.redeem_positions(condition_id=market.condition_id).wait()
    assert account.cash == 500_000_000
    assert served.status()["audit"]["missing"] == 0


def test_a_session_key_trades_for_its_deposit_wallet_alone(served: Served) -> None:
    """The SDK signs as a session key for a wallet that is not derived from its key."""
    owner = "0x" + 40 * "9"
    wanted = {"address": owner, "funder": FUNDER, "signature_type": 3}
    served.open_account(**wanted)
    client = sdk_client(served.url, FUNDER)

    def limit() -> Any:
        return client.create_limit_order(
            asset_id=served.market.up_token_id, price=Decimal("0.02"), size=100, side="BUY"
        )

    with pytest.raises(RequestRejectedError, match="deposit wallet flow"):
        client.post_order(limit())
    served.open_account(**wanted, session_keys=[ADDRESS])
    assert client.post_order(limit()).status == "live"


def test_the_unified_sdk_reads_refusals(served: Served) -> None:
    """A batch tells each leg's refusal; a copy is refused as a duplicate."""
    served.open_account(address=ADDRESS)
    client = sdk_client(served.url, ADDRESS)
    up = served.market.up_token_id

    def limit(price: str, size: str) -> Any:
        return client.create_limit_order(
            asset_id=up, price=Decimal(price), size=Decimal(size), side="BUY"
        )

    good = limit("0.02", "100")
    answers = client.post_orders([good, limit("0.02", "100000")])
    assert [answer.ok for answer in answers] == [True, False]
    assert answers[1].code == "not_enough_balance"
    with pytest.raises(RequestRejectedError, match="Duplicated"):
        client.post_order(good)
    assert len(client.cancel_all().canceled) == 1


@pytest.mark.parametrize("kind", [0, 1, 2, 3])
def test_the_second_client_trades(served: Served, kind: int) -> None:
    funder = ADDRESS if kind == 0 else FUNDER
    served.open_account(address=ADDRESS, funder=funder, signature_type=kind)
    client = ClobClient(
        served.url, 137, key=KEY, signature_type=kind, funder=None if kind == 0 else funder
    )
    client.set_api_creds(client.create_or_derive_api_key())
    assert client.get_version() == 2
    up, is_v2 = served.market.up_token_id, served.market.version == "v2"
    token = {"position_id": up} if is_v2 else {"token_id": up}
    options = PartialCreateOrderOptions(
        tick_size="0.01", neg_risk=served.market.is_negative_risk, version=3 if is_v2 else 2
    )
    limit = client.create_order(OrderArgsV2(**token, price=0.02, size=100, side="BUY"), options)
    resting = client.post_order(limit, "GTC")
    assert (resting["success"], resting["status"]) == (True, "live")
    assert [row["id"] for row in client.get_open_orders(OpenOrderParams())] == [resting["orderID"]]
    market = client.create_market_order(
        MarketOrderArgsV2(**token, amount=10, side="BUY", price=0.9, order_type="FAK"), options
    )
    matched = client.post_order(market, "FAK", defer_exec=True)
    assert matched["status"] == "matched"
    (trade,) = client.get_trades(TradeParams())
    assert (trade["taker_order_id"], trade["outcome"]) == (
        matched["orderID"],
        Outcome.UP.value,
    )
    assert client.cancel_order(OrderPayload(orderID=resting["orderID"]))["canceled"] == [
        resting["orderID"]
    ]
    assert client.get_open_orders(OpenOrderParams()) == []
    assert served.status()["audit"]["missing"] == 0
