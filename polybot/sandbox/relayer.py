"""The relayer, as far as redeeming needs it: deployed wallets, nonces, submitted transactions.

A submitted transaction is read only for the markets its call data names; it redeems what the
wallet holds of them. It stays a draft until the next poll, as on the chain.
"""

import re
from dataclasses import dataclass
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from polybot.sandbox.exchange.accounts import Account
from polybot.sandbox.exchange.matching import MatchingExchange
from polybot.sandbox.exchange.redemption import redeem
from polybot.sandbox.exchange.refusals import VenueRefusalError
from polybot.sandbox.listing import VenueMarket
from polybot.sandbox.seeds import digest
from polybot.sandbox.wire import json_answer

_HEX: Final = re.compile(r"[0-9a-f]{64,}")
_ADDRESS: Final = re.compile(r"0x[0-9a-f]{40}\b")


class _RedeemRequest(msgspec.Struct, forbid_unknown_fields=True):
    funder: str
    condition_id: str


@dataclass(slots=True)
class _Transaction:
    transaction_id: str
    transaction_hash: str
    account: Account
    markets: list[VenueMarket]
    state: str = "STATE_NEW"
    error: str = ""


class RelayerRoutes:
    """Handlers over one exchange."""

    def __init__(self, exchange: MatchingExchange) -> None:
        """Take the exchange whose accounts redeem."""
        self._exchange = exchange
        self._transactions: dict[str, _Transaction] = {}

    def routes(self) -> list[Route]:
        """Return the relayer's routes and the sandbox's own short cut."""
        return [
            Route("/deployed", self.deployed, methods=["GET"]),
            Route("/v1/account/transactions/params", self.params, methods=["GET"]),
            Route("/relay-payload", self.params, methods=["GET"]),
            Route("/submit", self.submit, methods=["POST"]),
            Route("/v1/account/transactions/{transaction_id}", self.show, methods=["GET"]),
            Route("/sandbox/redeem", self.redeem, methods=["POST"]),
        ]

    async def deployed(self, request: Request) -> Response:
        """Answer ``GET /deployed``: wallets that have an account are."""
        address = request.query_params.get("address", "")
        return json_answer({"deployed": self._exchange.accounts.of_funder(address) is not None})

    async def params(self, request: Request) -> Response:
        """Answer with the next nonce of a wallet."""
        address = request.query_params.get("address", "")
        return json_answer({"address": address, "nonce": str(len(self._transactions))})

    async def submit(self, request: Request) -> Response:
        """Take a transaction; it needs a relayer's or builder's key, as on the venue."""
        if not any(name.startswith(("relayer_", "poly_builder_")) for name in request.headers):
            return json_answer({"error": "invalid authorization"}, 401)
        text = (await request.body()).decode("utf-8", "replace").lower()
        account = next(
            (
                found
                for address in _ADDRESS.findall(text)
                if (found := self._exchange.accounts.of_funder(address)) is not None
            ),
            None,
        )
        markets = self._markets_in(text)
        if account is None or not markets:
            return json_answer({"error": "no redemption in this transaction"}, 400)
        number = len(self._transactions)
        raw = digest("relayed", self._exchange.venue.seed, number, size=16).hex()
        transaction = _Transaction(
            transaction_id=raw,
            transaction_hash="0x" + digest("relayed-tx", raw).hex(),
            account=account,
            markets=markets,
        )
        self._transactions[raw] = transaction
        return json_answer(
            {
                "transactionID": raw,
                "transactionHash": transaction.transaction_hash,
                "state": transaction.state,
            }
        )

    async def show(self, request: Request) -> Response:
        """Answer where a transaction stands; the first look carries it out."""
        transaction = self._transactions.get(request.path_params["transaction_id"])
        if transaction is None:
            return json_answer({"error": "transaction not found"}, 404)
        if transaction.state == "STATE_NEW":
            try:
                for market in transaction.markets:
                    redeem(self._exchange, transaction.account, market)
                transaction.state = "STATE_CONFIRMED"
            except VenueRefusalError as error:
                transaction.state, transaction.error = "STATE_FAILED", str(error)
        return json_answer(
            {
                "transaction_id": transaction.transaction_id,
                "transaction_hash": transaction.transaction_hash,
                "state": transaction.state,
                "error_msg": transaction.error or None,
            }
        )

    async def redeem(self, request: Request) -> Response:
        """Redeem at once, for whoever runs the sandbox."""
        try:
            wanted = msgspec.json.decode(await request.body(), type=_RedeemRequest)
            account = self._exchange.accounts.of_funder(wanted.funder)
            market = self._exchange.venue.listing.by_condition(wanted.condition_id)
            if account is None or market is None:
                return json_answer({"error": "no such account or market"}, 404)
            paid = redeem(self._exchange, account, market)
        except (msgspec.DecodeError, VenueRefusalError) as error:
            return json_answer({"error": str(error)}, 400)
        return json_answer({"paid": paid, "state": "redeemed" if paid else "already redeemed"})

    def _markets_in(self, text: str) -> list[VenueMarket]:
        """Return the markets whose condition ids stand in call data, at any word."""
        found: dict[str, VenueMarket] = {}
        for run in _HEX.findall(text):
            for start in range(0, len(run) - 63, 2):
                word = run[start : start + 64]
                market = self._exchange.venue.listing.by_condition(word)
                if market is not None:
                    found[market.condition_id] = market
        return list(found.values())
