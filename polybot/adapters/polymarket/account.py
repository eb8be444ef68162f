"""Our account on the venue over REST: orders, trades, balances, cancels.

Reads everything the wallet does, also what is not ours. Retries nothing; redeeming is the
official client's (``polybot.adapters.polymarket.sdk``).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final, Protocol

from polybot.adapters.polymarket import wire
from polybot.adapters.polymarket.clob_client import ClobClient
from polybot.adapters.polymarket.contracts import is_position_id
from polybot.adapters.polymarket.order_fields import TradingAccount
from polybot.adapters.polymarket.wire.own_trades import joined
from polybot.domain.markets import ConditionId, OutcomeTokenId
from polybot.domain.money import Shares, Usdc, usdc
from polybot.domain.orders import OrderId
from polybot.domain.venue_account import (
    Cancellation,
    NothingToRedeem,
    RedemptionResult,
    VenueOrder,
    VenueTrades,
)
from polybot.errors import DataError, PermanentError

# A page has up to 500 rows: far more than a bot of ours leaves behind in a day.
_MOST_PAGES: Final = 40


class Redeemer(Protocol):
    """Turns a resolved market's shares into cash, on chain."""

    async def redeem(
        self, condition_id: ConditionId, held: Mapping[OutcomeTokenId, Shares]
    ) -> RedemptionResult:
        """Ask for it once; what is held was looked at just before."""
        ...


class PolymarketAccount:
    """Reads the account of one wallet."""

    def __init__(
        self, client: ClobClient, account: TradingAccount, *, redeemer: Redeemer | None = None
    ) -> None:
        """Take the connection.

        Args:
            client: Sends authenticated requests; whoever opened it closes it.
            account: Whose orders and balances these are.
            redeemer: Turns resolved shares into cash; ``None`` where nobody redeems.
        """
        self._client = client
        self._account = account
        self._redeemer = redeemer

    async def open_orders(self) -> tuple[VenueOrder, ...]:
        """Return every order of the API key that may still match."""
        found: dict[OrderId, VenueOrder] = {}
        query: dict[str, str] = {}
        seen: set[str] = set()
        while True:
            page = wire.parse_order_page(await self._page("/data/orders", query))
            found |= {order.order_id: order for order in page.orders}
            if page.next_cursor is None:
                return tuple(found.values())
            query["next_cursor"] = _next(page.next_cursor, seen, "open orders")

    async def order(self, order_id: OrderId) -> VenueOrder | None:
        """Return one order, ``None`` where the venue does not show it."""
        body = await self._client.get(f"/data/order/{order_id}")
        return None if body is None else wire.parse_order(body, order_id)

    async def trades(
        self, *, after: datetime, condition_id: ConditionId | None = None
    ) -> VenueTrades:
        """Return the account's executions since an instant, oldest first.

        The venue counts in whole seconds, so those of the second of ``after`` are included.
        """
        # Asked from a second earlier: whether the venue means "after" or "from" is not documented.
        earliest = after.replace(microsecond=0)
        query = {"after": str(int(earliest.timestamp()) - 1)}
        if condition_id is not None:
            query["market"] = condition_id
        parts: list[VenueTrades] = []
        seen: set[str] = set()
        while True:
            body = await self._page("/data/trades", query)
            page = wire.parse_own_trade_page(body, funder=self._account.funder)
            parts.append(page.found)
            if page.next_cursor is None:
                return _since(joined(iter(parts)), earliest)
            query["next_cursor"] = _next(page.next_cursor, seen, "trades")

    async def cash_usdc(self) -> Usdc:
        """Return the wallet's collateral [USDC]."""
        return usdc((await self._balance({"asset_type": "COLLATERAL"})).amount)

    async def allowances(self) -> dict[str, Decimal]:
        """Return how much collateral each contract may move [USDC], by address in lower case."""
        return (await self._balance({"asset_type": "COLLATERAL"})).allowances

    async def holdings(self, token_ids: Sequence[OutcomeTokenId]) -> dict[OutcomeTokenId, Shares]:
        """Return how many shares of each token the wallet holds."""
        held: dict[OutcomeTokenId, Shares] = {}
        for token_id in token_ids:
            kind = "CONDITIONAL-V2" if is_position_id(token_id) else "CONDITIONAL"
            balance = await self._balance({"asset_type": kind, "token_id": token_id})
            held[token_id] = Shares(balance.amount)
        return held

    async def server_time(self) -> datetime:
        """Return the venue's clock, in whole seconds."""
        body = await self._client.get_public("/time")
        if body is None:
            raise PermanentError("the CLOB tells no time")
        return wire.parse_server_time(body)

    async def is_closed_only(self) -> bool:
        """Return whether the venue lets the account only close positions."""
        body = await self._client.get("/auth/ban-status/closed-only")
        if body is None:
            raise PermanentError("the CLOB does not tell whether the account is closed-only")
        return wire.parse_closed_only(body)

    async def cancel(self, order_id: OrderId) -> Cancellation:
        """Cancel one order."""
        body = b'{"orderID":"' + order_id.encode("ascii") + b'"}'
        return wire.parse_cancellation(await self._client.delete("/order", body))

    async def cancel_all(self) -> Cancellation:
        """Cancel every order of the API key, also those that are not in our ledger."""
        return wire.parse_cancellation(await self._client.delete("/cancel-all"))

    async def redeem(
        self, condition_id: ConditionId, token_ids: Sequence[OutcomeTokenId]
    ) -> RedemptionResult:
        """Turn a resolved market's shares into cash; what was redeemed before is a success.

        Raises:
            PermanentError: This account was opened without a redeemer.
        """
        if self._redeemer is None:
            raise PermanentError("this account was opened without a way to redeem")
        held = await self.holdings(token_ids)
        if not any(held.values()):
            return NothingToRedeem(reason="the wallet holds no shares of the market")
        return await self._redeemer.redeem(condition_id, held)

    async def _balance(self, query: dict[str, str]) -> wire.Balance:
        query = {**query, "signature_type": str(int(self._account.signature_type))}
        # The venue answers from a cache that knows nothing of deposits and redemptions.
        await self._client.get("/balance-allowance/update", query)
        body = await self._client.get("/balance-allowance", query)
        if body is None:
            raise DataError("the venue knows no such asset", reason="balance-malformed")
        return wire.parse_balance(body)

    async def _page(self, path: str, query: dict[str, str]) -> bytes:
        body = await self._client.get(path, query)
        if body is None:
            raise PermanentError(f"the CLOB has no {path}")
        return body


def _since(found: VenueTrades, earliest: datetime) -> VenueTrades:
    recent = tuple(trade for trade in found.trades if trade.matched_at >= earliest)
    return VenueTrades(trades=recent, incomplete=found.incomplete)


def _next(cursor: str, seen: set[str], what: str) -> str:
    if cursor in seen or len(seen) >= _MOST_PAGES:
        raise DataError(f"{what} did not end after {len(seen) + 1} pages", reason="pages-endless")
    seen.add(cursor)
    return cursor
