"""A Polygon node over the wire: ``/chain``, as WebSocket and as plain HTTP.

It knows the trades of this stage and nothing else of a chain.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from polybot.sandbox.exchange.rules import CHAIN_ID
from polybot.sandbox.fault_plan import FaultPlan
from polybot.sandbox.leaders.delivery import Delivery
from polybot.sandbox.leaders.events import WalletTrade
from polybot.sandbox.leaders.log_filters import LogFilter, read_filter
from polybot.sandbox.leaders.logs import block_hash, is_on_chain, is_restored, log_of
from polybot.sandbox.leaders.pump import Pump
from polybot.sandbox.leaders.stage import LeaderStage, Notice
from polybot.sandbox.leaders.wording import Json
from polybot.sandbox.seeds import digest
from polybot.sandbox.wire import json_answer

_CHANNEL: Final = "/chain"
_TELLS_MS: Final = 60_000
_MOST_LOGS: Final = 10_000
_MOST_BLOCKS: Final = 100_000


class _Call(msgspec.Struct):
    method: str
    id: int | str | None = None
    params: list[Any] = []


class _RpcError(Exception):
    """An answer with a code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(slots=True, eq=False)
class _Client:
    socket: WebSocket
    delivery: Delivery
    filters: dict[str, LogFilter] = field(default_factory=dict)
    heads: set[str] = field(default_factory=set)
    head: int = 0
    outbox: asyncio.Queue[str] = field(default_factory=asyncio.Queue)


class NodeRoutes:
    """Every client of the node."""

    def __init__(self, stage: LeaderStage, plan: FaultPlan) -> None:
        """Take whose trades are on the chain, and what goes wrong with telling of them."""
        self._stage = stage
        self._plan = plan
        self._clients: list[_Client] = []
        self._count = 0
        self._told = 0
        self._subscribed = 0
        self._pump = Pump(stage, self._turn, self._next_due_ms)
        self._closing = asyncio.Event()

    def routes(self) -> list[BaseRoute]:
        """Return both ways to reach the node."""
        return [
            WebSocketRoute(_CHANNEL, self.serve),
            Route(_CHANNEL, self.call, methods=["POST"]),
        ]

    def close(self) -> None:
        """End every connection, so that the server can stop."""
        self._closing.set()

    async def call(self, request: Request) -> Response:
        """Answer one call over HTTP."""
        return json_answer(self._answer(await request.body(), None))

    async def serve(self, socket: WebSocket) -> None:
        """Answer one client's calls and tell it of what it has subscribed to."""
        await socket.accept()
        if not self._clients:
            self._stage.advance()
            self._told = len(self._stage.notices)
        self._count += 1
        client = _Client(socket, Delivery(_CHANNEL, self._plan, self._count))
        self._clients.append(client)
        self._pump.start()
        tasks = [
            asyncio.ensure_future(one)
            for one in (self._read(client), self._write(client), self._closing.wait())
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if not tasks[0].done():
                await socket.close(1001)
        except (WebSocketDisconnect, RuntimeError):
            return
        finally:
            for task in tasks:
                task.cancel()
            self._clients.remove(client)
            self._pump.stop()

    async def _read(self, client: _Client) -> None:
        try:
            while True:
                body = (await client.socket.receive_text()).encode()
                self._turn()
                answer = self._answer(body, client)
                client.outbox.put_nowait(msgspec.json.encode(answer).decode())
        except (WebSocketDisconnect, RuntimeError, KeyError):
            return

    async def _write(self, client: _Client) -> None:
        try:
            while not client.delivery.is_closed:
                await client.socket.send_text(await client.outbox.get())
        except (WebSocketDisconnect, RuntimeError):
            return

    # Turns --------------------------------------------------------------------------------------
    def _turn(self) -> None:
        now_ms = self._stage.advance()
        notices = self._stage.notices
        while self._told < len(notices):
            notice = notices[self._told]
            self._told += 1
            for client in self._clients:
                self._offer(client, notice, client.filters)
        for client in self._clients:
            self._tell_heads(client, now_ms)
            for frame in client.delivery.take(now_ms):
                client.outbox.put_nowait(frame.decode())

    def _offer(self, client: _Client, notice: Notice, filters: dict[str, LogFilter]) -> None:
        trade = notice.entry.event
        if not isinstance(trade, WalletTrade):
            return
        due_ms = notice.entry.chain_ms if notice.kind == "made" else notice.at_ms
        log = log_of(
            notice.entry,
            trade,
            is_restored=notice.kind == "restored" or is_restored(notice.entry, due_ms),
            is_removed=notice.kind == "removed",
        )
        for name, wanted in filters.items():
            if wanted.fits(log):
                client.delivery.offer(_notification(name, log), due_ms)

    def _tell_heads(self, client: _Client, now_ms: int) -> None:
        # Whoever was away longer has missed what happened; nothing is replayed.
        for number in range(max(client.head + 1, now_ms // 1000 - 5), now_ms // 1000 + 1):
            for name in client.heads:
                client.delivery.offer(_notification(name, _block(number)), number * 1000)
        client.head = max(client.head, now_ms // 1000)

    def _next_due_ms(self) -> int | None:
        known = [one.delivery.next_due_ms() for one in self._clients]
        known += [(one.head + 1) * 1000 for one in self._clients if one.heads]
        return min((one for one in known if one is not None), default=None)

    # Calls --------------------------------------------------------------------------------------
    def _answer(self, body: bytes, client: _Client | None) -> Json:
        head: Json = {"jsonrpc": "2.0", "id": None}
        try:
            call = msgspec.json.decode(body, type=_Call)
        except msgspec.DecodeError as error:
            return head | {"error": {"code": -32700, "message": str(error)}}
        head["id"] = call.id
        try:
            return head | {"result": self._result(call, client)}
        except _RpcError as error:
            return head | {"error": {"code": error.code, "message": str(error)}}
        except ValueError as error:
            return head | {"error": {"code": -32602, "message": str(error)}}

    def _result(self, call: _Call, client: _Client | None) -> object:
        now_ms = self._stage.advance()
        first = call.params[0] if call.params else None
        match call.method:
            case "eth_chainId":
                return hex(CHAIN_ID)
            case "eth_blockNumber":
                return hex(now_ms // 1000)
            case "eth_getBlockByNumber":
                number = now_ms // 1000 if first == "latest" else int(str(first), 16)
                return _block(number) if number <= now_ms // 1000 else None
            case "eth_getLogs":
                return self._logs(read_filter(first), now_ms)
            case "eth_subscribe" if client is not None:
                return self._subscribe(client, call, now_ms)
            case "eth_unsubscribe" if client is not None:
                client.heads.discard(str(first))
                return client.filters.pop(str(first), None) is not None
        raise _RpcError(-32601, f"the method {call.method[:80]} does not exist/is not available")

    def _subscribe(self, client: _Client, call: _Call, now_ms: int) -> str:
        kind = call.params[0] if call.params else None
        self._subscribed += 1
        name = "0x" + digest("subscription", self._stage.venue.seed, self._subscribed).hex()[:32]
        client.delivery.renew(now_ms)
        if kind == "newHeads":
            client.heads.add(name)
            client.head = now_ms // 1000
        elif kind == "logs":
            wanted = read_filter(call.params[1] if len(call.params) > 1 else {})
            client.filters[name] = wanted
            # What has happened but was not on the chain yet will be heard of.
            for entry in self._stage.since(now_ms - _TELLS_MS):
                if entry.chain_ms > now_ms:
                    self._offer(client, Notice("made", now_ms, entry), {name: wanted})
        else:
            raise _RpcError(-32602, f"no such subscription: {str(kind)[:80]}")
        return name

    def _logs(self, wanted: LogFilter, now_ms: int) -> list[Json]:
        latest = now_ms // 1000
        last = latest if wanted.to_block is None else min(wanted.to_block, latest)
        first = latest if wanted.from_block is None else wanted.from_block
        if last - first > _MOST_BLOCKS:
            raise _RpcError(-32005, f"block range too wide: at most {_MOST_BLOCKS}")
        found = []
        for entry in self._stage.since(first * 1000):
            trade = entry.event
            if trade.timestamp > last:
                break
            if not isinstance(trade, WalletTrade) or not is_on_chain(entry, now_ms):
                continue
            restored = is_restored(entry, now_ms)
            log = log_of(entry, trade, is_restored=restored, is_removed=False)
            if wanted.fits(log):
                found.append(log)
        if len(found) > _MOST_LOGS:
            raise _RpcError(-32005, f"query returned more than {_MOST_LOGS} results")
        return found


def _notification(name: str, result: Json) -> bytes:
    return msgspec.json.encode(
        {
            "jsonrpc": "2.0",
            "method": "eth_subscription",
            "params": {"subscription": name, "result": result},
        }
    )


def _block(number: int) -> Json:
    return {
        "number": hex(number),
        "hash": block_hash(number),
        "parentHash": block_hash(number - 1),
        "timestamp": hex(number),
    }
