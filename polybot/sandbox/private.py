"""The venue's private routes over HTTP, and the sandbox's accounts.

Thin on purpose: a request is copied, the gateway answers it, the answer is copied back.
"""

from decimal import Decimal

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from polybot.domain.money import to_micro
from polybot.sandbox.exchange.accounts import Account
from polybot.sandbox.exchange.auth import is_address
from polybot.sandbox.exchange.gateway import PrivateGateway, VenueRequest
from polybot.sandbox.wire import json_answer


class _AccountRequest(msgspec.Struct, forbid_unknown_fields=True):
    address: str
    funder: str | None = None
    signature_type: int = 0
    cash_usdc: Decimal = Decimal(0)
    session_keys: list[str] = []

    def __post_init__(self) -> None:
        for text in (self.address, self.funder or self.address, *self.session_keys):
            if not is_address(text):
                raise ValueError(f"not an address: {text[:80]!r}")
        if not 0 <= self.cash_usdc <= 10**9:
            raise ValueError(f"cash_usdc must be 0 to 10⁹, was {self.cash_usdc}")


class _BalanceRequest(msgspec.Struct, forbid_unknown_fields=True):
    funder: str
    change_usdc: Decimal = Decimal(0)
    allowances: dict[str, int] = {}
    unapproved: list[str] | None = None


class PrivateRoutes:
    """HTTP over one gateway."""

    def __init__(self, gateway: PrivateGateway) -> None:
        """Take the gateway that answers."""
        self._gateway = gateway

    def routes(self) -> list[Route]:
        """Return every private route and the sandbox's own for accounts."""
        methods: dict[str, list[str]] = {}
        for method, path in self._gateway.routes():
            methods.setdefault(path, []).append(method)
        return [
            *(Route(path, self.handle, methods=each) for path, each in methods.items()),
            Route("/sandbox/accounts", self.open_account, methods=["POST"]),
            Route("/sandbox/accounts", self.accounts, methods=["GET"]),
            Route("/sandbox/accounts/change", self.change_account, methods=["POST"]),
        ]

    async def handle(self, request: Request) -> Response:
        """Answer any private request."""
        reply = self._gateway.handle(
            VenueRequest(
                method=request.method,
                path=request.url.path,
                query=dict(request.query_params),
                headers=dict(request.headers),
                body=await request.body(),
            )
        )
        return Response(
            reply.body, reply.status, dict(reply.headers), media_type="application/json"
        )

    async def open_account(self, request: Request) -> Response:
        """Open an account with a deposit; opening it again changes nothing."""
        try:
            wanted = msgspec.json.decode(await request.body(), type=_AccountRequest)
            account = self._gateway.exchange.accounts.open(
                owner=wanted.address,
                funder=wanted.funder,
                signature_type=wanted.signature_type,
                cash=to_micro(wanted.cash_usdc),
            )
        except (msgspec.DecodeError, ValueError) as error:
            return json_answer({"error": str(error)}, 400)
        account.session_keys.update(one.lower() for one in wanted.session_keys)
        return json_answer(self._row(account))

    async def accounts(self, request: Request) -> Response:
        """List every account and where all the money is."""
        exchange = self._gateway.exchange
        exchange.advance()
        return json_answer(
            {"data": [self._row(one) for one in exchange.accounts], "audit": exchange.audit()}
        )

    async def change_account(self, request: Request) -> Response:
        """Change a balance or allowances from outside, as its owner's wallet could."""
        try:
            wanted = msgspec.json.decode(await request.body(), type=_BalanceRequest)
            account = self._gateway.exchange.accounts.of_funder(wanted.funder)
            if account is None:
                raise ValueError(f"no account of {wanted.funder[:80]!r}")
            self._gateway.exchange.accounts.deposit(account, int(wanted.change_usdc * 10**6))
        except (msgspec.DecodeError, ValueError) as error:
            return json_answer({"error": str(error)}, 400)
        account.allowances.update(wanted.allowances)
        if wanted.unapproved is not None:
            account.unapproved = set(wanted.unapproved)
        return json_answer(self._row(account))

    def _row(self, account: Account) -> dict[str, object]:
        return {
            "owner": account.owner,
            "funder": account.funder,
            "signature_type": account.signature_type,
            "cash": account.cash,
            "held": self._gateway.exchange.held(account),
            "tokens": {token: size for token, size in account.tokens.items() if size},
            "allowances": {name: str(one) for name, one in account.allowances.items()},
        }
