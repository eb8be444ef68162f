"""The sockets over the wire: subscriptions, pings, frames, and the official client's stream."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest

from polybot.sandbox.exchange.gateway import PrivateGateway
from tests.sandbox_server import serve_in_thread
from tests.venue_trader import Trader, advance, open_exchange


@pytest.fixture
def wire() -> Iterator[tuple[str, Trader]]:
    trader = Trader(PrivateGateway(open_exchange()))
    with serve_in_thread(trader.exchange.venue, gateway=trader.gateway) as url:
        yield url, trader


def _auth(trader: Trader) -> dict[str, str]:
    key = trader.api_key
    return {"apiKey": key.key, "secret": key.secret, "passphrase": key.passphrase}


async def _next(socket: aiohttp.ClientWebSocketResponse) -> Any:
    return json.loads(await socket.receive_str(timeout=5))


async def _ping(socket: aiohttp.ClientWebSocketResponse) -> None:
    await socket.send_str("PING")
    assert await socket.receive_str(timeout=5) == "PONG"


async def test_the_user_socket_tells_of_orders_and_trades(wire: tuple[str, Trader]) -> None:
    url, trader = wire
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{url}/ws/user") as socket:
        await socket.send_json({"type": "user", "auth": _auth(trader)})
        await _ping(socket)
        trader.post(trader.market_buy("10", "0.95"), "FAK")
        placed, updated, matched = [await _next(socket) for _ in range(3)]
        assert [one["type"] for one in (placed, updated, matched)] == [
            "PLACEMENT",
            "UPDATE",
            "TRADE",
        ]
        assert matched["status"] == "MATCHED"
        assert matched["taker_order_id"] == placed["id"] == updated["id"]
        advance(trader.exchange, 3)
        assert (await _next(socket))["status"] == "MINED"
        advance(trader.exchange, 6)
        assert (await _next(socket))["status"] == "CONFIRMED"
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{url}/ws/user") as socket:
        await socket.send_json({"type": "user", "auth": _auth(trader)})
        await _ping(socket)
        trader.post(trader.limit("BUY", "0.02", "100"))
        assert (await _next(socket))["type"] == "PLACEMENT", "something was replayed"


async def test_a_socket_with_wrong_credentials_is_closed(wire: tuple[str, Trader]) -> None:
    url, trader = wire
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{url}/ws/user") as socket:
        await socket.send_json({"type": "user", "auth": {**_auth(trader), "secret": "x"}})
        assert (await socket.receive(timeout=5)).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == 1008


async def test_the_market_sockets_first_frame_is_an_array_of_books(
    wire: tuple[str, Trader],
) -> None:
    url, trader = wire
    up, down = trader.market.up_token_id, trader.market.down_token_id
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{url}/ws/market") as socket:
        await socket.send_json({"type": "market", "assets_ids": [up, down]})
        text = await socket.receive_str(timeout=5)
        assert text.endswith("]\n")
        assert [book["asset_id"] for book in json.loads(text)] == [up, down]
        await _ping(socket)
        trader.post(trader.limit("BUY", "0.02", "100"))
        changes = [await _next(socket) for _ in range(2)]
        sides = {
            (level["asset_id"], level["side"], level["price"])
            for change in changes
            for level in change["price_changes"]
        }
        assert sides == {(up, "BUY", "0.02"), (down, "SELL", "0.98")}


async def test_a_frozen_socket_still_answers_pings(wire: tuple[str, Trader]) -> None:
    url, trader = wire
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{url}/ws/user") as socket:
        await socket.send_json({"type": "user", "auth": _auth(trader)})
        await _ping(socket)
        async with session.post(f"{url}/sandbox/faults", json={"kind": "socket-frozen"}) as answer:
            assert answer.status == 200
        trader.post(trader.limit("BUY", "0.02", "100"))
        await _ping(socket)
        with pytest.raises(asyncio.TimeoutError):
            await socket.receive(timeout=0.3)
