"""The private half of the CLOB as requests and replies, without a server.

One table of routes; the HTTP server and an in-process simulation use the same one.
"""

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from polybot.sandbox.exchange import refusals
from polybot.sandbox.exchange.accounts import Account
from polybot.sandbox.exchange.auth import ApiKey
from polybot.sandbox.exchange.heartbeats import Heartbeats
from polybot.sandbox.exchange.ledger_watch import LedgerWatch
from polybot.sandbox.exchange.matching import MatchingExchange
from polybot.sandbox.exchange.refusals import VenueRefusalError
from polybot.sandbox.exchange.submissions import Submission, parse_submission, parse_submissions
from polybot.sandbox.exchange.views import order_row, trade_row

_PAGE: Final = 100
_END: Final = "LTE="


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueRequest:
    """One request; header names in lower case."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueReply:
    """What the venue answers."""

    status: int
    payload: object
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        """The payload as it is sent."""
        return msgspec.json.encode(self.payload)


class PrivateGateway:
    """Authenticates requests and hands them to the exchange."""

    def __init__(self, exchange: MatchingExchange, watch: LedgerWatch | None = None) -> None:
        """Take the exchange, and who looks into the trader's ledger when an order arrives."""
        self.exchange = exchange
        self.watch = watch
        self.heartbeats = Heartbeats(exchange)
        self._l1: dict[tuple[str, str], Callable[[VenueRequest], object]] = {
            ("POST", "/auth/api-key"): self._create_key,
            ("GET", "/auth/derive-api-key"): self._derive_key,
        }
        self._l2: dict[tuple[str, str], Callable[[VenueRequest, ApiKey], object]] = {
            ("GET", "/auth/api-keys"): lambda _, key: {
                "apiKeys": exchange.keys.of_owner(key.owner)
            },
            ("DELETE", "/auth/api-key"): self._delete_key,
            ("GET", "/auth/ban-status/closed-only"): lambda *_: {"closed_only": False},
            ("POST", "/order"): self._place,
            ("POST", "/orders"): self._place_many,
            ("DELETE", "/order"): self._cancel,
            ("DELETE", "/orders"): self._cancel_many,
            ("DELETE", "/cancel-all"): lambda _, key: exchange.cancel_where(key),
            ("DELETE", "/cancel-market-orders"): self._cancel_market,
            ("GET", "/data/orders"): self._orders,
            ("GET", "/data/trades"): self._trades,
            ("GET", "/balance-allowance"): self._balance,
            ("GET", "/balance-allowance/update"): self._balance,
            ("POST", "/v1/heartbeats"): self._heartbeat,
        }

    def routes(self) -> list[tuple[str, str]]:
        """Return every method and path, ``/data/order/`` with its parameter."""
        return [*self._l1, *self._l2, ("GET", "/data/order/{order_id}")]

    def handle(self, request: VenueRequest) -> VenueReply:
        """Answer one request; never raises for what is in it."""
        self.exchange.advance()
        try:
            return VenueReply(status=200, payload=self._dispatch(request))
        except VenueRefusalError as error:
            return VenueReply(status=error.status, payload=error.body)

    def _dispatch(self, request: VenueRequest) -> object:
        route = (request.method, request.path)
        if route in self._l1:
            return self._l1[route](request)
        handler = self._l2.get(route)
        if handler is None and request.path.startswith("/data/order/"):
            handler = self._order
        if handler is None:
            raise VenueRefusalError("not found", 404)
        key = self.exchange.keys.check_l2(
            request.headers,
            method=request.method,
            path=request.path,
            body=request.body,
            now_s=self.exchange.auth_now_s,
        )
        return handler(request, key)

    # Keys ---------------------------------------------------------------------------------------
    def _create_key(self, request: VenueRequest) -> object:
        return _credentials(self.exchange.keys.create(request.headers, self.exchange.auth_now_s))

    def _derive_key(self, request: VenueRequest) -> object:
        return _credentials(self.exchange.keys.derive(request.headers, self.exchange.auth_now_s))

    def _delete_key(self, request: VenueRequest, key: ApiKey) -> object:
        self.exchange.keys.revoke(key)
        return "OK"

    # Orders -------------------------------------------------------------------------------------
    def _place(self, request: VenueRequest, key: ApiKey) -> object:
        sent = parse_submission(request.body)
        self._look(sent)
        return self.exchange.place(sent, key)

    def _place_many(self, request: VenueRequest, key: ApiKey) -> object:
        found = parse_submissions(request.body)
        for sent in found:
            self._look(sent)
        now_ms = self.exchange.venue.clock.now_ms()
        is_post_only = all(sent.postOnly for sent in found)
        self.exchange.conditions.check_order(now_ms, is_post_only=is_post_only)
        answers = []
        for sent in found:
            try:
                answers.append(self.exchange.place(sent, key))
            except VenueRefusalError as error:
                answers.append(
                    {"success": True, "errorMsg": str(error), "orderID": "", "status": ""}
                    | {"makingAmount": "", "takingAmount": ""}
                    | {"transactionsHashes": [], "tradeIDs": []}
                )
        return answers

    def _look(self, sent: Submission) -> None:
        if self.watch is not None:
            market = self.exchange.venue.listing.by_token(sent.order.tokenId)
            self.watch.look(sent.order, market, self.exchange.venue.clock.now_ms())

    def _cancel(self, request: VenueRequest, key: ApiKey) -> object:
        found = _json(request.body)
        order_id = found.get("orderID") if isinstance(found, dict) else None
        if not isinstance(order_id, str):
            raise VenueRefusalError(refusals.INVALID_PAYLOAD)
        return self.exchange.cancel([order_id], key)

    def _cancel_many(self, request: VenueRequest, key: ApiKey) -> object:
        found = _json(request.body)
        if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
            raise VenueRefusalError(refusals.INVALID_PAYLOAD)
        return self.exchange.cancel(found, key)

    def _cancel_market(self, request: VenueRequest, key: ApiKey) -> object:
        found = _json(request.body)
        if not isinstance(found, dict):
            raise VenueRefusalError(refusals.INVALID_PAYLOAD)
        market, token_id = (str(found.get(name) or "") for name in ("market", "asset_id"))
        return self.exchange.cancel_where(key, market=market.lower(), token_id=token_id)

    # What there is ------------------------------------------------------------------------------
    def _order(self, request: VenueRequest, key: ApiKey) -> object:
        self.exchange.conditions.check_engine(self.exchange.venue.clock.now_ms())
        order = self.exchange.orders.get(request.path.rpartition("/")[2])
        is_hidden = (
            order is not None
            and order.state.is_over
            and not self.exchange.rules.shows_terminal_orders
        )
        if order is None or is_hidden or order.owner != key.key:
            raise VenueRefusalError("order not found", 404)
        return order_row(order)

    def _orders(self, request: VenueRequest, key: ApiKey) -> object:
        self.exchange.conditions.check_engine(self.exchange.venue.clock.now_ms())
        rows = [order_row(order) for order in self.exchange.open_orders(key.key)]
        return _page(_filtered(rows, request.query, ("id", "market", "asset_id")), request.query)

    def _trades(self, request: VenueRequest, key: ApiKey) -> object:
        query = request.query
        try:
            after, before = int(query.get("after") or 0), int(query.get("before") or 1 << 62)
        except ValueError as error:
            raise VenueRefusalError("invalid timestamp") from error
        rows = [
            trade_row(trade, key.key)
            for trade in reversed(self.exchange.settlement.trades.values())
            if trade.involves(key.key) and after <= trade.matched_ms // 1000 < before
        ]
        return _page(_filtered(rows, query, ("id", "market", "asset_id")), query)

    def _balance(self, request: VenueRequest, key: ApiKey) -> object:
        account = self._account_of(request, key)
        kind = request.query.get("asset_type", "").upper()
        if request.path.endswith("/update"):
            return {}
        if kind == "COLLATERAL":
            balance = account.cash
        elif kind in ("CONDITIONAL", "CONDITIONAL-V2"):
            token_id = request.query.get("token_id") or request.query.get("asset_id") or ""
            balance = account.tokens[token_id]
        else:
            raise VenueRefusalError("invalid asset type")
        allowances = {contract: str(one) for contract, one in account.allowances.items()}
        return {"balance": str(balance), "allowances": allowances}

    def _account_of(self, request: VenueRequest, key: ApiKey) -> Account:
        text = request.query.get("signature_type", "")
        kind = int(text) if text in ("0", "1", "2", "3") else None
        found = self.exchange.accounts.of_owner(key.owner, kind)
        if not found:
            # A wallet that nobody has funded yet: it is empty, not unknown.
            return Account(owner=key.owner, funder=key.owner, signature_type=kind or 0)
        return found[0]

    def _heartbeat(self, request: VenueRequest, key: ApiKey) -> object:
        found = _json(request.body)
        given = found.get("heartbeat_id") if isinstance(found, dict) else None
        return self.heartbeats.beat(key, given if isinstance(given, str) else "")


def _credentials(key: ApiKey) -> dict[str, str]:
    return {"apiKey": key.key, "secret": key.secret, "passphrase": key.passphrase}


def _json(body: bytes) -> object:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise VenueRefusalError(refusals.INVALID_PAYLOAD) from error


def _filtered(
    rows: list[dict[str, object]], query: Mapping[str, str], names: tuple[str, ...]
) -> list[dict[str, object]]:
    wanted = {name: query[name] for name in names if query.get(name)}
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def _page(rows: list[dict[str, object]], query: Mapping[str, str]) -> dict[str, object]:
    cursor = query.get("next_cursor") or ""
    try:
        start = int(base64.b64decode(cursor)) if cursor else 0
    except (binascii.Error, ValueError) as error:
        raise VenueRefusalError("invalid next_cursor") from error
    page = rows[start : start + _PAGE] if start >= 0 else []
    end = start + _PAGE
    more = start >= 0 and end < len(rows)
    return {
        "data": page,
        "next_cursor": base64.b64encode(str(end).encode()).decode() if more else _END,
        "limit": _PAGE,
        "count": len(page),
    }
