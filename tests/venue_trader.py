"""A trader on the sandbox's exchange without HTTP; it signs with the Ethereum library alone."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from eth_account import Account as Key

from polybot.sandbox.clock import SteppedClock
from polybot.sandbox.exchange import typed_data
from polybot.sandbox.exchange.accounts import Account
from polybot.sandbox.exchange.auth import ApiKey
from polybot.sandbox.exchange.checks import domain_of
from polybot.sandbox.exchange.gateway import PrivateGateway, VenueReply, VenueRequest
from polybot.sandbox.exchange.matching import MatchingExchange
from polybot.sandbox.exchange.rules import ExchangeDomain, VenueRules
from polybot.sandbox.exchange.submissions import SentOrder
from polybot.sandbox.listing import VenueMarket
from polybot.sandbox.venue import SandboxVenue

# Any window will do; this one's generated price moves through the whole range.
START_S = 1_795_392_000
SLUG = f"btc-updown-15m-{START_S}"
_ZERO = "0x" + 64 * "0"


def open_exchange(
    rules: VenueRules | None = None,
    *,
    at_s: int = START_S + 60,
    seed: int = 7,
    v2_share: float = 0.0,
    negative_risk_share: float = 0.0,
) -> MatchingExchange:
    venue = SandboxVenue(
        seed=seed,
        clock=SteppedClock(at_s * 1000),
        v2_share=v2_share,
        negative_risk_share=negative_risk_share,
    )
    return MatchingExchange(venue, rules)


class Trader:
    """One key with one account; every request is signed as the venue wants it."""

    def __init__(
        self,
        gateway: PrivateGateway,
        *,
        key: str = "0x" + 64 * "2",
        cash: str = "1000",
        signature_type: int = 0,
        funder: str | None = None,
    ) -> None:
        self.gateway = gateway
        self.exchange = gateway.exchange
        self._key = Key.from_key(key)
        self.address: str = self._key.address
        self.funder = funder or self.address
        self.signature_type = signature_type
        self.account: Account = self.exchange.accounts.open(
            owner=self.address,
            funder=self.funder,
            signature_type=signature_type,
            cash=int(Decimal(cash) * 10**6),
        )
        self.api_key: ApiKey = self.exchange.keys.issue(self.address)
        self._salt = 0

    @property
    def market(self) -> VenueMarket:
        found = self.exchange.venue.listing.by_slug(SLUG)
        assert found is not None
        return found

    def signed(
        self,
        side: str,
        maker_amount: int,
        taker_amount: int,
        *,
        is_up: bool = True,
        domain: ExchangeDomain | None = None,
        **changes: Any,
    ) -> dict[str, Any]:
        """Return the ``order`` object of a submission; changes are made before signing."""
        self._salt += 1
        market = self.market
        order: dict[str, Any] = {
            "salt": self._salt,
            "maker": self.funder,
            "signer": self.funder if self.signature_type == 3 else self.address,
            "tokenId": market.up_token_id if is_up else market.down_token_id,
            "makerAmount": str(maker_amount),
            "takerAmount": str(taker_amount),
            "side": side,
            "signatureType": self.signature_type,
            "timestamp": str(self.exchange.venue.clock.now_ms()),
            "expiration": "0",
            "metadata": _ZERO,
            "builder": _ZERO,
            **changes,
        }
        sent = SentOrder(**order, signature="0x")
        message = typed_data._order_message(sent, domain or domain_of(market))
        order["signature"] = "0x" + self._key.sign_message(message).signature.hex()
        return order

    def limit(self, side: str, price: str, size: str, **changes: Any) -> dict[str, Any]:
        cost = int(Decimal(price) * Decimal(size) * 10**6)
        shares = int(Decimal(size) * 10**6)
        amounts = (cost, shares) if side == "BUY" else (shares, cost)
        return self.signed(side, *amounts, **changes)

    def market_buy(self, budget: str, price: str, **changes: Any) -> dict[str, Any]:
        shares = Decimal(budget) / Decimal(price)
        return self.signed(
            "BUY", int(Decimal(budget) * 10**6), int(shares * 10**4) * 100, **changes
        )

    def post(self, order: dict[str, Any], kind: str = "GTC", **more: Any) -> VenueReply:
        body = {"order": order, "owner": self.api_key.key, "orderType": kind, **more}
        return self.ask("POST", "/order", json.dumps(body).encode())

    def ask(
        self, method: str, path: str, body: bytes = b"", query: Mapping[str, str] | None = None
    ) -> VenueReply:
        return self.gateway.handle(self.request(method, path, body, query))

    def request(
        self, method: str, path: str, body: bytes = b"", query: Mapping[str, str] | None = None
    ) -> VenueRequest:
        stamp = str(self.exchange.venue.now_s())
        secret = base64.urlsafe_b64decode(self.api_key.secret)
        signed = f"{stamp}{method}{path}".encode() + body
        signature = base64.urlsafe_b64encode(hmac.new(secret, signed, hashlib.sha256).digest())
        return VenueRequest(
            method=method,
            path=path,
            query=query or {},
            body=body,
            headers={
                "poly_address": self.address,
                "poly_api_key": self.api_key.key,
                "poly_passphrase": self.api_key.passphrase,
                "poly_timestamp": stamp,
                "poly_signature": signature.decode(),
            },
        )

    def open_order_ids(self) -> list[str]:
        rows = self.ask("GET", "/data/orders").payload
        assert isinstance(rows, dict)
        return [row["id"] for row in rows["data"]]

    def trades(self) -> list[dict[str, Any]]:
        rows = self.ask("GET", "/data/trades").payload
        assert isinstance(rows, dict)
        return list(rows["data"])


def advance(exchange: MatchingExchange, seconds: float) -> None:
    """Move the venue's clock and do what has come due."""
    clock = exchange.venue.clock
    assert isinstance(clock, SteppedClock)
    clock.advance(seconds)
    exchange.advance()


def best(exchange: MatchingExchange, *, is_up: bool = True) -> tuple[Decimal, Decimal]:
    """Return best bid and best ask of a token."""
    market = exchange.venue.listing.by_slug(SLUG)
    assert market is not None
    book = exchange.venue.book(
        market.up_token_id if is_up else market.down_token_id, exchange.venue.now_s()
    )
    assert book is not None
    bid = book.bids[0].price if book.bids else Decimal(0)
    return bid, book.asks[0].price if book.asks else Decimal(1)
