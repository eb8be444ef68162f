"""What the Data API says of accounts of this venue: winnings that wait, and approvals.

Wallets that have no account here are somebody else's: leaders, or nobody.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from polybot.domain.markets import Outcome
from polybot.sandbox.exchange.accounts import Account
from polybot.sandbox.exchange.matching import MatchingExchange
from polybot.sandbox.exchange.rules import CHAIN_ID, EXCHANGES, MICRO, V2_EXCHANGE
from polybot.sandbox.listing import VenueMarket
from polybot.sandbox.wire import json_answer

Handler = Callable[[Request], Awaitable[Response]]
Json = dict[str, object]

# Contracts as the official client names them (polymarket-client 0.14.0, 2026-11-22).
COLLATERAL: Final = "0xC011a7E12a19f7B1f670d46F03B03f3342E82DFB"
CONDITIONAL_TOKENS: Final = "0x4D97DCd97eC945f40cF65F87097ACe5EA0476045"
POSITION_MANAGER: Final = "0x006F54F7f9A22e0000CC2AB60031000000ae9fEF"
_ROUTER: Final = "0x12121212006e4CD160D18e3f00711DA5c3372600"
_ADAPTERS: Final = (
    "0xAdA100Db00Ca00073811820692005400218FcE1f",
    "0xadA2005600Dec949baf300f4C6120000bDB6eAab",
)
_AUTO_REDEEM: Final = "0xa1200000d0002264C9a1698e001292D00E1b00af"
_MODULES: Final = (
    "0x1000008dD9001B968442c1000017eaE6E0dA00Ba",
    "0x200000900045e3B6259600682756002200028933",
)
_PERPETUALS: Final = "0xDCa4af75705dbB50f62437045afF9921947917d2"
_V1_EXCHANGES: Final = tuple(one.contract for one in EXCHANGES if one is not V2_EXCHANGE)
_SPENDERS: Final = {
    COLLATERAL: (*_V1_EXCHANGES, *_ADAPTERS, _ROUTER, V2_EXCHANGE.contract, _PERPETUALS),
    CONDITIONAL_TOKENS: (*_V1_EXCHANGES, *_ADAPTERS, _AUTO_REDEEM, *_MODULES),
    POSITION_MANAGER: (_ROUTER, V2_EXCHANGE.contract, _AUTO_REDEEM),
}


class OwnWalletRoutes:
    """Handlers over one exchange's accounts."""

    def __init__(self, exchange: MatchingExchange, others: Handler) -> None:
        """Take whose accounts, and who answers about positions of other wallets."""
        self._exchange = exchange
        self._others = others

    def routes(self) -> list[Route]:
        """Return both routes."""
        return [
            Route("/v2/positions", self.positions, methods=["GET"]),
            Route("/v2/approvals", self.approvals, methods=["GET"]),
        ]

    async def positions(self, request: Request) -> Response:
        """Answer ``GET /v2/positions?user=…``; of our accounts, what their markets are worth."""
        account = self._exchange.accounts.of_funder(request.query_params.get("user", ""))
        if account is None:
            return await self._others(request)
        at_s = self._exchange.advance() // 1000
        wanted = set(filter(None, request.query_params.get("status", "").split(",")))
        rows = [
            row
            for token_id, size in account.tokens.items()
            if size and (row := self._row(account, token_id, size, at_s)) is not None
        ]
        return json_answer(
            {
                "data": [row for row in rows if not wanted or row["status"] in wanted],
                "pagination": {"limit": 500, "offset": 0, "has_more": False, "next_cursor": None},
            }
        )

    async def approvals(self, request: Request) -> Response:
        """Answer ``GET /v2/approvals?user=…``: what may move which tokens of a wallet."""
        wallet = request.query_params.get("user", "")
        account = self._exchange.accounts.of_funder(wallet)
        rows = [
            _approval(token, spender, account)
            for token, spenders in _SPENDERS.items()
            for spender in spenders
        ]
        return json_answer({"data": {"address": wallet, "chain_id": CHAIN_ID, "contracts": rows}})

    def _row(self, account: Account, token_id: str, size: int, at_s: int) -> Json | None:
        market = self._exchange.venue.listing.by_token(token_id)
        if market is None:
            return None
        outcome = Outcome.UP if token_id == market.up_token_id else Outcome.DOWN
        status, price = self._worth(market, outcome, at_s)
        return {
            "proxy_wallet": account.funder,
            "token_id": token_id,
            "condition_id": market.condition_id,
            "current_size": size / MICRO,
            "current_price": price,
            "current_value": size / MICRO * price,
            "status": status,
            "redeemable": status != "OPEN",
            "slug": market.window.slug,
            "outcome": outcome.value,
        }

    def _worth(self, market: VenueMarket, outcome: Outcome, at_s: int) -> tuple[str, float]:
        winner = self._exchange.venue.winner(market, at_s)
        if winner is None:
            up = self._exchange.venue.fair_up(market, at_s)
            return "OPEN", round(up if outcome is Outcome.UP else 1 - up, 4)
        is_won = winner is outcome
        return ("REDEEMABLE", 1.0) if is_won else ("REDEEMABLE_LOST", 0.0)


def _approval(token: str, spender: str, account: Account | None) -> Json:
    if token != COLLATERAL:
        is_given = account is not None and spender not in account.unapproved
        return {"token": token, "spender": spender, "standard": "ERC1155", "approved": is_given}
    allowances = {} if account is None else account.allowances
    known = {name.lower(): amount for name, amount in allowances.items()}
    amount = known.get(spender.lower(), 0 if account is None else (1 << 256) - 1)
    return {
        "token": token,
        "spender": spender,
        "standard": "ERC20",
        "approved": amount > 0,
        "amount": str(amount),
    }
