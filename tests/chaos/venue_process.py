"""The strict sandbox in a process of its own, forked from one that has imported everything."""

import asyncio
import functools
import http.client
import json
import logging
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from polybot.sandbox.exchange.auth import ApiKey
from polybot.sandbox.exchange.gateway import PrivateGateway, VenueRequest
from polybot.sandbox.exchange.ledger_watch import LedgerWatch
from polybot.sandbox.exchange.matching import MatchingExchange
from polybot.sandbox.exchange.rules import VenueRules
from polybot.sandbox.leaders.stage import LeaderStage
from polybot.sandbox.leaders.wallets import LeaderOptions
from polybot.sandbox.server import SandboxServer, bind_loopback
from polybot.sandbox.venue import SandboxVenue
from polybot.sandbox.wire import json_answer
from tests.chaos.shared_time import SharedClock

Json = dict[str, Any]

# The venue hangs up after five seconds of silence.
_KEPT_OPEN_S = 2.0


@dataclass(frozen=True)
class Wallet:
    """Who trades."""

    owner: str
    funder: str
    signature_type: int
    cash: int


class RecordingGateway(PrivateGateway):
    """Notes every order that arrives, whatever becomes of it."""

    def __init__(self, exchange: MatchingExchange, watch: LedgerWatch) -> None:
        super().__init__(exchange, watch)
        self.arrived: list[Json] = []

    def _place(self, request: VenueRequest, key: ApiKey) -> object:
        order = json.loads(request.body)["order"]
        market = self.exchange.venue.listing.by_token(order["tokenId"])
        self.arrived.append(
            {"salt": order["salt"], "market": "" if market is None else market.condition_id}
        )
        return super()._place(request, key)


class RunningVenue:
    """A venue as its owner sees it: an address, faults to arm, and its books."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        self._asked_at = 0.0

    def arm(self, faults: list[Mapping[str, object]]) -> None:
        """Plan faults in place of those that are armed."""
        self._ask("PUT", "/sandbox/faults", faults)

    def transfer(self, wallet: Wallet, change_usdc: int) -> None:
        """Bring cash to a wallet from outside."""
        change = {"funder": wallet.funder, "change_usdc": str(change_usdc)}
        self._ask("POST", "/sandbox/accounts/change", change)

    def books(self) -> Json:
        """Return everything that the venue knows about its traders."""
        return self._ask("GET", "/chaos/books")

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def _ask(self, method: str, path: str, body: object = None) -> Json:
        now = time.monotonic()
        if now - self._asked_at > _KEPT_OPEN_S:
            self._connection.close()
        self._asked_at = now
        self._connection.request(method, path, None if body is None else json.dumps(body))
        answer = self._connection.getresponse()
        found: Json = json.loads(answer.read())
        if answer.status != 200:
            raise RuntimeError(f"{method} {path} answered {answer.status}: {found}")
        return found


@contextmanager
def running_venue(
    *,
    seed: int,
    clock: SharedClock,
    rules: VenueRules,
    wallet: Wallet,
    ledger: Path,
    leaders: LeaderOptions | None = None,
) -> Iterator[RunningVenue]:
    """Fork a venue and kill it in the end."""
    listener = bind_loopback(0)
    pid = os.fork()
    if pid == 0:
        try:
            # A connection that breaks is no news here.
            logging.disable(logging.CRITICAL)
            # Negative-risk markets are not copied.
            share = 0.5 if leaders is None else 0.0
            gateway = _open(seed, clock, rules, wallet, ledger, negative_risk_share=share)
            venue = gateway.exchange.venue
            server = SandboxServer(
                venue,
                listener,
                when_ready=lambda _: None,
                gateway=gateway,
                stage=None if leaders is None else LeaderStage(venue, leaders),
            )
            server._app.router.routes.insert(
                0, Route("/chaos/books", functools.partial(_books, gateway))
            )
            asyncio.run(_serve(server, clock))
        finally:
            os._exit(1)
    port = listener.getsockname()[1]
    listener.close()
    try:
        with closing(RunningVenue(port)) as running:
            yield running
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


async def _serve(server: SandboxServer, clock: SharedClock) -> None:
    watching = asyncio.create_task(clock.tell_of_moves())
    await server.serve()
    watching.cancel()


def _open(
    seed: int,
    clock: SharedClock,
    rules: VenueRules,
    wallet: Wallet,
    ledger: Path,
    *,
    negative_risk_share: float,
) -> RecordingGateway:
    venue = SandboxVenue(
        seed=seed, clock=clock, v2_share=0.5, negative_risk_share=negative_risk_share
    )
    gateway = RecordingGateway(MatchingExchange(venue, rules), LedgerWatch(ledger))
    gateway.exchange.accounts.open(
        owner=wallet.owner,
        funder=wallet.funder,
        signature_type=wallet.signature_type,
        cash=wallet.cash,
    )
    return gateway


async def _books(gateway: RecordingGateway, _: Request) -> Response:
    exchange = gateway.exchange
    now_ms = exchange.advance()
    account = next(iter(exchange.accounts))
    orders = [
        {
            "id": order.order_id,
            "market": order.market.condition_id,
            "token": order.token_id,
            "state": order.state.value,
            "matched": order.matched,
            "given": order.given,
            "held": order.held_cash,
            "created_ms": order.created_ms,
        }
        for order in exchange.orders.values()
        if order.account is account
    ]
    trades = [
        {
            "id": trade.trade_id,
            "order": trade.taker.order_id,
            "market": trade.taker.market.condition_id,
            "state": trade.state.value,
            "size": trade.size,
            "gross": -(-trade.size * trade.price // 10**6),
            "paid": sum(one.cash for one in trade.gives if one.account is account),
        }
        for trade in exchange.settlement.trades.values()
        if trade.taker.account is account
    ]
    watch = gateway.watch
    return json_answer(
        {
            "now_ms": now_ms,
            "orders": orders,
            "trades": trades,
            "arrived": gateway.arrived,
            "cash": account.cash,
            "tokens": {token: size for token, size in account.tokens.items() if size},
            "missing": exchange.audit()["missing"],
            "looked": 0 if watch is None else watch.looked,
            "violations": [] if watch is None else [asdict(one) for one in watch.violations],
        }
    )
