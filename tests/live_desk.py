"""The live adapter in front of a scripted venue, which counts what it is sent."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from aiohttp import web
from eth_account.messages import encode_typed_data
from eth_utils.crypto import keccak

from polybot.adapters.polymarket.account import PolymarketAccount
from polybot.adapters.polymarket.clob_client import ClobClient
from polybot.adapters.polymarket.exchange import PolymarketExchange
from polybot.adapters.polymarket.order_fields import SignatureType, TradingAccount
from polybot.adapters.polymarket.signing import OrderSigner
from polybot.adapters.polymarket.venue_memory import VenueMemory
from polybot.domain.accounts import OrderRecord
from polybot.domain.orders import Order, OrderId, OrderStatus, PreparedOrder, SubmitResult
from tests.builders import NOW, build_approved, build_book, build_market, build_order, build_record
from tests.fakes import FixedClock, ScriptedMarketData
from tests.order_cases import TEST_KEY, Secret
from tests.scripted_server import Answer, ScriptedServer, body, scripted_server

CREDENTIALS = {
    "apiKey": "00000000-0000-0000-0000-000000000001",
    "secret": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    "passphrase": "correct-horse",
}
FUNDER = "0x1563915e194D8CfBA1943570603F7606A3115508"
NO_TRADES = {"data": [], "next_cursor": "LTE="}


@dataclass
class LiveDesk:
    """One installation: a home folder, a key, and a venue that says what the test wrote."""

    server: ScriptedServer
    clock: FixedClock
    client: ClobClient
    exchange: PolymarketExchange
    account: PolymarketAccount
    memory: VenueMemory
    home: Path

    def prepare(self, order: Order | None = None) -> PreparedOrder:
        """Prepare an order; each has a salt of its own."""
        return self.exchange.prepare(
            build_approved(order or build_order()), created_at=self.clock.instant
        )

    async def submit(self, order: Order | None = None) -> SubmitResult:
        return await self.exchange.submit(self.prepare(order))

    def on_order(self, *answers: Answer | dict[str, Any] | bytes) -> None:
        """Script ``POST /order``."""
        self.server.on("/order", *answers)

    def show(self, prepared: PreparedOrder, *trades: dict[str, Any], **order: Any) -> None:
        """Script what a look-up finds: the order where it is given any field, and trades."""
        path = f"/data/order/{prepared.order_id}"
        if order:
            self.server.on(path, order_row(prepared, **order))
        else:
            self.server.on(path, body({"error": "order not found"}, status=404))
        self.server.on("/data/trades", {"data": list(trades), "next_cursor": "LTE="})

    def later(self, seconds: float) -> None:
        self.clock.instant += timedelta(seconds=seconds)

    @property
    def posts(self) -> int:
        """How many orders arrived."""
        return sum(one.method == "POST" and one.path == "/order" for one in self.server.requests)


@asynccontextmanager
async def live_desk(
    home: Path, *, order_timeout_s: float = 5, server: ScriptedServer | None = None
) -> AsyncIterator[LiveDesk]:
    """Open an adapter in front of a new venue, or of another desk's."""
    if server is not None:
        async with _desk(home, server, order_timeout_s) as desk:
            yield desk
        return
    async with scripted_server() as own, _desk(home, own, order_timeout_s) as desk:
        own.on("/auth/api-key", CREDENTIALS)
        yield desk


@asynccontextmanager
async def _desk(
    home: Path, server: ScriptedServer, order_timeout_s: float
) -> AsyncIterator[LiveDesk]:
    clock = FixedClock(NOW)
    signer = OrderSigner(Secret(TEST_KEY))
    trading = TradingAccount(
        key_address=signer.address, funder=signer.address, signature_type=SignatureType.EOA
    )
    memory = VenueMemory(home / "venue")
    async with ClobClient(
        server.url, signer, clock=clock, timeout_s=5, order_timeout_s=order_timeout_s
    ) as client:
        exchange = PolymarketExchange(
            client,
            signer,
            trading,
            market_data=ScriptedMarketData(build_market(), build_book()),
            clock=clock,
            memory=memory,
        )
        account = PolymarketAccount(client, trading)
        yield LiveDesk(server, clock, client, exchange, account, memory, home)


def accepts(status: str = "matched", **changes: Any) -> Answer:
    """Accept whatever order arrives, under the id that the test's own signer computes."""

    async def answer(request: web.Request) -> web.StreamResponse:
        sent = json.loads(await request.read())
        return web.json_response(
            {
                "success": True,
                "errorMsg": "",
                "orderID": sent_id(sent),
                "status": status,
                "makingAmount": "0",
                "takingAmount": "0",
                "transactionsHashes": [],
                "tradeIDs": [],
                **changes,
            }
        )

    return answer


def sent_id(sent: dict[str, Any]) -> str:
    """Return the id of an order as it arrived, by the official client's typed data."""
    order = sent["order"]
    fields = {
        name: int(order[name])
        for name in ("salt", "tokenId", "makerAmount", "takerAmount", "timestamp")
    }
    types = [
        ("salt", "uint256"), ("maker", "address"), ("signer", "address"), ("tokenId", "uint256"),
        ("makerAmount", "uint256"), ("takerAmount", "uint256"), ("side", "uint8"),
        ("signatureType", "uint8"), ("timestamp", "uint256"), ("metadata", "bytes32"),
        ("builder", "bytes32"),
    ]  # fmt: skip
    signable = encode_typed_data(
        {
            "name": "Polymarket CTF Exchange",
            "version": "3",
            "chainId": 137,
            "verifyingContract": "0xe3333700cA9d93003F00f0F71f8515005F6c00Aa",
        },
        {"Order": [{"name": name, "type": kind} for name, kind in types]},
        {
            **fields,
            "maker": order["maker"],
            "signer": order["signer"],
            "side": 0 if order["side"] == "BUY" else 1,
            "signatureType": order["signatureType"],
            "metadata": bytes.fromhex(order["metadata"][2:]),
            "builder": bytes.fromhex(order["builder"][2:]),
        },
    )
    return "0x" + keccak(b"\x19" + signable.version + signable.header + signable.body).hex()


def order_row(prepared: PreparedOrder, **changes: Any) -> dict[str, Any]:
    """Return an order as the venue shows it: resting, nothing matched."""
    order = prepared.order
    return {
        "id": prepared.order_id,
        "status": "LIVE",
        "market": order.market.condition_id,
        "asset_id": order.token_id,
        "side": order.side.value,
        "price": str(order.limit_price),
        "original_size": str(order.size),
        "size_matched": "0",
        "associate_trades": [],
        "created_at": int(prepared.created_at.timestamp()),
        "outcome": "Up",
        "order_type": order.time_in_force.value,
        "owner": CREDENTIALS["apiKey"],
        "maker_address": FUNDER,
        "expiration": "0",
        **changes,
    }


def trade_row(prepared: PreparedOrder, *makers: tuple[str, str], **changes: Any) -> dict[str, Any]:
    """Return a taker's trade against makers of the same token: ``(price, size)`` each."""
    order = prepared.order
    opposite = "SELL" if order.side == "BUY" else "BUY"
    return {
        "id": "trade-1",
        "taker_order_id": prepared.order_id,
        "market": order.market.condition_id,
        "asset_id": order.token_id,
        "side": order.side.value,
        "size": str(sum(float(size) for _, size in makers)),
        "price": str(order.limit_price),
        "status": "MATCHED",
        "match_time": str(int(prepared.created_at.timestamp())),
        "trader_side": "TAKER",
        "transaction_hash": "",
        "maker_orders": [
            maker_row(f"0x{number:064x}", order.token_id, opposite, price, size)
            for number, (price, size) in enumerate(makers, start=1)
        ],
        **changes,
    }


def maker_row(
    order_id: str, token_id: str, side: str | None, price: str, size: str
) -> dict[str, Any]:
    """Return one maker's part of a trade."""
    return {
        "order_id": order_id,
        "asset_id": token_id,
        "maker_address": "0x" + "99" * 20,
        "owner": "somebody",
        "matched_amount": size,
        "price": price,
        "side": side,
        "outcome": "Up",
        "fee_rate_bps": "0",
    }


def record_of(
    prepared: PreparedOrder, status: OrderStatus = OrderStatus.UNKNOWN, **changes: Any
) -> OrderRecord:
    """Return the ledger's record of a prepared order."""
    return build_record(
        prepared.order,
        order_id=OrderId(prepared.order_id),
        status=status,
        created_at=prepared.created_at,
        **changes,
    )
