"""The node: logs of leaders' trades, heads, reorganisations."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from polybot.sandbox.leaders.wallets import LeaderOptions
from tests.sandbox.conftest import SLUG, START_S
from tests.sandbox.leader_wire import QUIET, Wire, open_stage, serve_stage

ORDER_FILLED = "0xd543adfd945773f1a62f74f0ee55a5e3b9b1a28262980ba90b1a89f2ea84d8ee"
QUIET_OPTIONS = LeaderOptions(leaders=1, crowd=0, noise=0, behaviour=QUIET)


class NodeClient:
    """One client of the node."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._count = 0
        self.told: list[dict[str, Any]] = []

    async def call(self, method: str, *params: object) -> Any:
        """Call a method; what is told in between is kept in ``told``."""
        self._count += 1
        await self._socket.send_json({"id": self._count, "method": method, "params": params})
        while True:
            message = await self._socket.receive_json(timeout=10)
            if message.get("method") == "eth_subscription":
                self.told.append(message["params"]["result"])
            elif message["id"] == self._count:
                return message.get("result", message.get("error"))

    async def heard(self) -> list[dict[str, Any]]:
        """Return what was told until now."""
        await self.call("eth_chainId")
        told, self.told = self.told, []
        return told


@asynccontextmanager
async def node(url: str) -> AsyncIterator[NodeClient]:
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{url}/chain") as socket:
        yield NodeClient(socket)


def _fills_of(wallet: str) -> dict[str, Any]:
    return {"topics": [ORDER_FILLED, None, ["0x" + wallet[2:].rjust(64, "0")]]}


def _read(log: dict[str, Any]) -> tuple[object, ...]:
    """Return a log as a trade: transaction, token, side, price, size."""
    data = log["data"][2:]
    side, token, given, taken, *_ = (int(data[at : at + 64], 16) for at in range(0, 448, 64))
    cash, size = (given, taken) if side == 0 else (taken, given)
    price = (Decimal(cash) / size).quantize(Decimal("0.000001"))
    return (
        log["transactionHash"],
        str(token),
        "BUY" if side == 0 else "SELL",
        float(price),
        size / 1e6,
    )


def _expected(wire: Wire) -> Counter[tuple[object, ...]]:
    now_ms = wire.stage.advance()
    return Counter(
        (
            row["transaction_hash"],
            row["token_id"],
            row["side"],
            float(row["price"]),
            float(row["size"]),
        )
        for row in wire.truth(leader=wire.leader)
        if row["type"] == "TRADE" and START_S * 1000 - 10_000 < row["chain_ms"] <= now_ms
    )


async def test_logs_tell_of_every_fill_as_taker_and_as_maker() -> None:
    """Subscribed and asked for afterwards: the same logs, each with its own index."""
    stage = open_stage(LeaderOptions(leaders=1, crowd=0, noise=0, rate=30))
    with serve_stage(stage) as wire:
        async with node(wire.url) as client:
            await client.call("eth_subscribe", "logs", _fills_of(wire.leader))
            wire.advance(600)
            told = await client.heard()
            asked = {**_fills_of(wire.leader), "fromBlock": hex(START_S - 10), "toBlock": "latest"}
            found = await client.call("eth_getLogs", asked)
        expected = _expected(wire)
    assert Counter(_read(one) for one in told) == expected
    assert len(told) > 100
    places = Counter((one["transactionHash"], one["logIndex"]) for one in found)
    assert set(places.values()) == {1}
    by_place = {(one["transactionHash"], one["logIndex"]): one for one in told}
    assert all(by_place.get(key, one) == one for key, one in zip(places, found, strict=True))
    own = "0x" + wire.leader[2:].rjust(64, "0")
    assert {one["topics"][2] for one in told} == {own}
    assert any(one["topics"][3][-40:] == one["address"][2:] for one in told), "never a taker"
    assert any(one["topics"][3][-40:] != one["address"][2:] for one in told), "never a maker"


async def test_blocks_are_seconds_and_heads_are_told() -> None:
    with serve_stage(open_stage(QUIET_OPTIONS)) as wire:
        async with node(wire.url) as client:
            assert await client.call("eth_blockNumber") == hex(START_S - 10)
            await client.call("eth_subscribe", "newHeads")
            wire.advance(3)
            heads = await client.heard()
            block = await client.call("eth_getBlockByNumber", hex(START_S - 8), False)
        call = {"id": 1, "method": "eth_blockNumber"}
        assert wire.http.post("/chain", json=call).json()["result"] == hex(START_S - 7)
    assert [int(one["number"], 16) - START_S for one in heads] == [-9, -8, -7]
    assert block == heads[1]
    assert int(block["timestamp"], 16) == START_S - 8


async def test_a_reorganisation_takes_logs_back_and_gives_them_again() -> None:
    """Removed as it was told; back in another block of the same transaction."""
    with serve_stage(open_stage(QUIET_OPTIONS)) as wire:
        wire.arm(kind="chain-reorg", delay_ms=3_000)
        asked = {**_fills_of(wire.leader), "fromBlock": hex(START_S - 20)}
        async with node(wire.url) as client:
            await client.call("eth_subscribe", "logs", _fills_of(wire.leader))
            wire.act(slug=SLUG)
            wire.advance(2)
            (first,) = await client.heard()
            wire.advance(3)
            (removed,) = await client.heard()
            assert await client.call("eth_getLogs", asked) == []
            wire.advance(2)
            (restored,) = await client.heard()
            assert await client.call("eth_getLogs", asked) == [restored]
        assert wire.fired() == {"chain-reorg": 1}
    assert removed == {**first, "removed": True}
    assert restored["blockHash"] != first["blockHash"]
    assert restored["removed"] is False
    assert _read(restored) == _read(first)


async def test_a_failed_trade_leaves_the_chain_and_the_data_api() -> None:
    """Told by the stream, shown for a while, then gone: only the truth remembers."""
    with serve_stage(open_stage(QUIET_OPTIONS)) as wire:
        wire.arm(kind="leader-trade-failed", duration_s=30)
        async with node(wire.url) as client:
            await client.call("eth_subscribe", "logs", _fills_of(wire.leader))
            wire.act(slug=SLUG)
            kept = wire.act(slug=SLUG)
            wire.advance(10)
            assert len(wire.rows()) == 2
            assert [one["removed"] for one in await client.heard()] == [False, False]
            wire.advance(25)
            (removed,) = await client.heard()
            assert removed["removed"] is True
            asked = {**_fills_of(wire.leader), "fromBlock": hex(START_S - 20)}
            assert len(await client.call("eth_getLogs", asked)) == 1
        rows = wire.rows()
        assert [one["transaction_hash"] for one in rows] == [kept[0]["transaction_hash"]]
        assert [one["is_failed"] for one in wire.truth()] == [True, False]
        assert wire.fired() == {"leader-trade-failed": 1}
        answer = wire.http.post(
            "/sandbox/leaders/fail", json={"transaction_hash": kept[0]["transaction_hash"]}
        )
        assert answer.status_code == 200
        assert wire.rows() == []
        assert (
            wire.http.post("/sandbox/leaders/fail", json={"transaction_hash": "0x1"}).status_code
            == 404
        )


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("eth_sendRawTransaction", ["0x"], -32601),
        ("eth_getLogs", [{"fromBlock": "tomorrow"}], -32602),
        ("eth_getLogs", [{"topics": "0x"}], -32602),
        ("eth_getLogs", [{"fromBlock": "0x0"}], -32005),
        ("eth_subscribe", ["syncing"], -32602),
    ],
)
async def test_the_node_refuses_what_it_cannot_answer(
    method: str, params: list[object], code: int
) -> None:
    with serve_stage(open_stage(QUIET_OPTIONS)) as wire:
        async with node(wire.url) as client:
            error = await client.call(method, *params)
            assert error["code"] == code
            assert await client.call("eth_chainId") == "0x89"


async def test_what_was_not_on_the_chain_yet_is_told_to_new_subscribers() -> None:
    """And nothing that was there before: a subscription replays nothing."""
    with serve_stage(open_stage(QUIET_OPTIONS)) as wire:
        wire.act(slug=SLUG)
        wire.advance(5)
        (late,) = wire.act(slug=SLUG)
        async with node(wire.url) as client:
            await client.call("eth_subscribe", "logs", _fills_of(wire.leader))
            wire.advance(2)
            (told,) = await client.heard()
    assert told["transactionHash"] == late["transaction_hash"]


async def test_an_unsubscribed_client_hears_nothing_more() -> None:
    with serve_stage(open_stage(QUIET_OPTIONS)) as wire:
        async with node(wire.url) as client:
            name = await client.call("eth_subscribe", "logs", {})
            assert await client.call("eth_unsubscribe", name) is True
            wire.act(slug=SLUG)
            wire.advance(5)
            assert await client.heard() == []
