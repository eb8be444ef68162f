"""The whole sandbox in memory: the bot's own HTTP client and the sandbox's own server protocols.

Only the wire is not real. Where a TCP connection would be opened, the two ends of a pair of
transports are handed out, and bytes pass between them on the running loop's time.
"""

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final
from unittest import mock
from urllib.parse import unquote

import aiohttp
import uvicorn
from aiohttp.client_reqrep import ClientRequest
from starlette.applications import Starlette
from uvicorn.server import ServerState

from polybot.sandbox.cutting import CuttingProtocol

_TRIP_S: Final = 0.02
"""One way through the wire [s]."""
_IDLE_S: Final = 5.0
"""How long a connection may be idle, by default of the sandbox's own server [s]."""
_NUMBERS: Final = itertools.count(1)


class MemoryServer:
    """One application, to which any number of connections may be opened."""

    def __init__(self, app: Starlette) -> None:
        """Take what answers."""
        # A client that is gone in the middle is no news here.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL + 1)
        self._app = app
        self._config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            http=CuttingProtocol,
            ws="websockets-sansio",
        )
        self._config.load()
        self._state = ServerState()
        self._ends: set[_End] = set()
        self.connections = 0

    def connect(self, protocol: Any) -> None:
        """Open a connection for a client's protocol."""
        loop = asyncio.get_running_loop()
        number = next(_NUMBERS)
        peer = (f"memory-{number}", number)
        client = _End(loop, protocol, peer=("venue", 443))
        server_protocol = _Answering(self._app, self._open_socket, loop)
        server = _End(loop, server_protocol, peer=peer)
        client.other, server.other = server, client
        self._ends.add(client)
        client.when_closed = lambda: self._ends.discard(client)
        self.connections += 1
        server_protocol.connection_made(server)
        protocol.connection_made(client)

    def _open_socket(self, loop: asyncio.AbstractEventLoop) -> Any:
        return CuttingProtocol(
            config=self._config, server_state=self._state, app_state={}, _loop=loop
        )

    def cut_everything(self) -> None:
        """Break every connection, as the death of the client's process does."""
        for end in tuple(self._ends):
            end.abort()


class _Answering:
    """The server's side of a connection: whole requests in, whole answers out.

    A WebSocket goes on with the sandbox's own protocol. Planned faults that cut an answer in the
    middle need that protocol, too, and do not happen here.
    """

    def __init__(
        self,
        app: Starlette,
        open_socket: Callable[[asyncio.AbstractEventLoop], Any],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._app = app
        self._open_socket = open_socket
        self._loop = loop
        self._received = bytearray()
        self._task: asyncio.Task[None] | None = None
        self._last_s = loop.time()

    def connection_made(self, transport: "_End") -> None:
        self._transport = transport
        self._loop.call_later(_IDLE_S, self._close_idle)

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever is answering finds nobody there."""

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, rest = bytes(self._received).partition(b"\r\n\r\n")
        if not found:
            return
        lines = head.split(b"\r\n")
        pairs = (line.partition(b":") for line in lines[1:])
        headers = [(name.strip().lower(), value.strip()) for name, _, value in pairs]
        known = dict(headers)
        if b"upgrade" in known:
            protocol = self._open_socket(self._loop)
            self._transport.set_protocol(protocol)
            protocol.connection_made(self._transport)
            protocol.data_received(bytes(self._received))
        elif len(rest) >= int(known.get(b"content-length", b"0")):
            self._received.clear()
            self._task = self._loop.create_task(self._answer(lines[0], headers, rest))

    async def _answer(self, line: bytes, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        method, target, _ = line.split(b" ", 2)
        path, _, query = target.partition(b"?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method.decode(),
            "scheme": "http",
            "path": unquote(path.decode()),
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": headers,
            "client": self._transport.get_extra_info("peername"),
            "server": ("venue", 443),
        }
        said: list[bytes] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                said.append(b"HTTP/1.1 %d Said\r\n" % message["status"])
                said.extend(b"%b: %b\r\n" % pair for pair in message["headers"])
                said.append(b"\r\n")
            else:
                said.append(message.get("body", b""))

        await self._app(scope, receive, send)
        self._last_s = self._loop.time()
        self._transport.write(b"".join(said))

    def _close_idle(self) -> None:
        """Close a connection on which nothing was asked for a while, as the sandbox does."""
        if self._transport.get_protocol() is not self or self._transport.is_closing():
            return
        is_busy = self._task is not None and not self._task.done()
        left_s = _IDLE_S if is_busy else self._last_s + _IDLE_S - self._loop.time()
        if left_s > 0:
            self._loop.call_later(left_s, self._close_idle)
        else:
            self._transport.close()


class _End(asyncio.Transport):
    """One end of a connection."""

    other: "_End"

    def __init__(
        self, loop: asyncio.AbstractEventLoop, protocol: Any, *, peer: tuple[str, int]
    ) -> None:
        super().__init__()
        self._loop = loop
        self._protocol = protocol
        self._peer = peer
        self._is_closing = False
        # Timers of one instant run in any order; bytes must not.
        self._coming: deque[bytes] = deque()
        self.when_closed = lambda: None

    def set_protocol(self, protocol: Any) -> None:
        self._protocol = protocol

    def get_protocol(self) -> Any:
        return self._protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._peer if name == "peername" else default

    def write(self, data: Any) -> None:
        if not self._is_closing:
            self.other._coming.append(bytes(data))
            self._loop.call_later(_TRIP_S, self.other._arrive)

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(bytes(part) for part in list_of_data))

    def _arrive(self) -> None:
        """Take what the other end has sent first."""
        data = self._coming.popleft()
        if not self._is_closing:
            self._protocol.data_received(data)

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        if not self._is_closing:
            self._is_closing = True
            self.when_closed()
            self._loop.call_soon(self._protocol.connection_lost, None)
            self._loop.call_later(2 * _TRIP_S, self.other.close)

    abort = close

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: Any = None, low: Any = None) -> None:
        """Nothing is buffered."""

    def pause_reading(self) -> None:
        """Nothing is kept back: frames are small."""

    def resume_reading(self) -> None:
        """See ``pause_reading``."""


@contextmanager
def memory_for_sockets(server: MemoryServer) -> Iterator[None]:
    """Let every session that is opened meanwhile reach the server, whatever the address."""

    class Connector(aiohttp.TCPConnector):
        async def _create_connection(  # type: ignore[override]
            self,
            req: ClientRequest,
            traces: Any,
            timeout: Any,  # noqa: ASYNC109 - the connector's own signature
        ) -> Any:
            await asyncio.sleep(_TRIP_S)
            protocol = self._factory()
            server.connect(protocol)
            return protocol

    def monotonic() -> float:
        return asyncio.get_running_loop().time()

    with (
        mock.patch.object(aiohttp, "TCPConnector", Connector),
        mock.patch("aiohttp.connector.monotonic", monotonic),
    ):
        yield
