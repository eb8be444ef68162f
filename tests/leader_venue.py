"""The parts of the venue that leaders are heard from, on loopback: stream, Data API, node.

It behaves until it is told not to. Rows are added by the test; nothing happens by itself.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiohttp import WSMsgType, web

from polybot.adapters.polymarket.leader_feed.logs import ORDER_FILLED
from tests.leader_rows import compact, page
from tests.scripted_server import Answer

PATIENCE_S = 30.0


class Signals:
    """Counts what happened, and lets a test wait for a count."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._changed = asyncio.Event()

    def note(self, name: str) -> None:
        self.counts[name] += 1
        self._changed.set()

    async def until(self, is_true: Callable[[], bool]) -> None:
        """Wait until something holds; it is looked at after every change."""
        async with asyncio.timeout(PATIENCE_S):
            while not is_true():
                self._changed.clear()
                await self._changed.wait()

    async def count(self, name: str, at_least: int) -> None:
        await self.until(lambda: self.counts[name] >= at_least)


class LeaderVenue:
    """One server: ``/rtds``, ``/chain``, and ``/v2/`` with trades, activity and positions."""

    def __init__(self) -> None:
        self.url = ""
        self.trades: list[dict[str, Any]] = []
        self.activity: list[dict[str, Any]] = []
        self.positions: list[dict[str, Any]] = []
        self.rows_per_page = 500
        self.signals = Signals()
        self.sockets: list[web.WebSocketResponse] = []
        self.nodes: list[web.WebSocketResponse] = []
        self.filters: list[Any] = []
        self.queries: list[tuple[str, dict[str, str]]] = []
        self.answers: dict[str, list[Answer]] = {}
        """Instead of the honest answer, once each."""
        self.greeting: Callable[[web.WebSocketResponse], Any] | None = None
        """What a new stream connection is sent before anything else."""
        self.gaps: list[dict[str, Any]] = []
        """Filters of the questions that were asked of the node about the past."""
        self.gap_answer: dict[str, Any] = {"result": []}
        self.is_mute = False
        """Whether frames are swallowed while the sockets still answer."""

    @property
    def stream_url(self) -> str:
        return self.url.replace("http", "ws") + "/rtds"

    @property
    def node_url(self) -> str:
        return self.url.replace("http", "ws") + "/chain"

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/rtds", self._rtds)
        app.router.add_get("/chain", self._chain)
        app.router.add_get("/v2/{name}", self._data)
        return app

    # Doing --------------------------------------------------------------------------------------
    async def send(self, data: bytes, *, to: int | None = None) -> None:
        """Send a text frame to one connection, or to all."""
        if self.is_mute:
            return
        for socket in self.sockets if to is None else [self.sockets[to]]:
            with suppress(ConnectionError):
                await socket.send_frame(data, WSMsgType.TEXT)

    async def send_log(self, log: dict[str, Any]) -> None:
        for node in self.nodes:
            await notify(node, log)

    async def hang_up(self) -> None:
        """Close every stream connection."""
        for socket in self.sockets:
            await socket.close()
        self.sockets.clear()

    # Answering ----------------------------------------------------------------------------------
    async def _rtds(self, request: web.Request) -> web.StreamResponse:
        if self.answers.get("rtds"):
            return await self.answers["rtds"].pop(0)(request)
        socket = web.WebSocketResponse(max_msg_size=1 << 20)
        await socket.prepare(request)
        self.signals.note("connected")
        if self.greeting is not None:
            await self.greeting(socket)
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                continue
            if message.data == "PING":
                self.signals.note("ping")
                await socket.send_str("PONG")
            elif json.loads(message.data)["subscriptions"] == [
                {"topic": "activity", "type": "trades"}
            ]:
                if socket not in self.sockets:
                    self.sockets.append(socket)
                self.signals.note("subscribed")
        if socket in self.sockets:
            self.sockets.remove(socket)
        self.signals.note("disconnected")
        return socket

    async def _chain(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(max_msg_size=1 << 20)
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                asked = json.loads(message.data)
                if asked["method"] == "eth_getLogs":
                    self.gaps.append(asked["params"][0])
                    answer = {"jsonrpc": "2.0", "id": asked["id"], **self.gap_answer}
                    await socket.send_json(answer)
                    continue
                if asked["method"] == "eth_blockNumber":
                    await socket.send_json({"jsonrpc": "2.0", "id": asked["id"], "result": "0x1"})
                    continue
                self.filters.append(asked["params"])
                await socket.send_json({"jsonrpc": "2.0", "id": asked["id"], "result": "0xab"})
                if asked["params"][0] == "logs":
                    self.nodes.append(socket)
                    self.signals.note("filtered")
        return socket

    async def _data(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        self.queries.append((name, dict(request.query)))
        self.signals.note(name)
        if self.answers.get(name):
            return await self.answers[name].pop(0)(request)
        rows = {"trades": self.trades, "activity": self.activity, "positions": self.positions}
        start, end = int(request.query.get("start", 0)), int(request.query.get("end", 1 << 40))
        found = [
            row
            for row in rows[name]
            if row["proxy_wallet"] == request.query["user"]
            and start <= row.get("timestamp", start) <= end
        ]
        found.sort(key=lambda row: -row.get("timestamp", 0))
        at = int(request.query.get("cursor", "0"))
        limit = min(self.rows_per_page, int(request.query["limit"]))
        more = str(at + limit) if at + limit < len(found) else None
        return web.Response(body=compact(page(found[at : at + limit], next_cursor=more)))

    def asked(self, name: str) -> list[dict[str, str]]:
        """Return the queries of an endpoint, oldest first."""
        return [query for asked, query in self.queries if asked == name]


async def notify(node: web.WebSocketResponse, result: dict[str, Any]) -> None:
    """Send a notification of a subscription."""
    params = {"subscription": "0xab", "result": result}
    await node.send_json({"jsonrpc": "2.0", "method": "eth_subscription", "params": params})


def filled_log(
    wallet: str, token: str, *, number: int = 1, index: int = 0, **changed: Any
) -> dict[str, Any]:
    """Return the log of a BUY of 4.33 shares at 0.45, unless changed."""
    words = [0, int(token), 1_948_500, 4_330_000, 0, 0, 0]
    return {
        "address": "0xE111180000d2663C0091e4f400237545B87B996B",
        "topics": [
            ORDER_FILLED,
            "0x" + 64 * "0",
            "0x" + wallet[2:].rjust(64, "0"),
            "0x" + 64 * "0",
        ],
        "data": "0x" + "".join(f"{word:064x}" for word in words),
        "blockNumber": "0x1",
        "blockHash": "0x" + 64 * "b",
        "transactionHash": f"0x{number:064x}",
        "logIndex": hex(index),
        "removed": False,
        **changed,
    }


@asynccontextmanager
async def leader_venue() -> AsyncIterator[LeaderVenue]:
    """Serve on a free port of loopback until the test is over."""
    venue = LeaderVenue()
    runner = web.AppRunner(venue.application(), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        venue.url = f"http://{host}:{port}"
        yield venue
    finally:
        await runner.cleanup()
