"""The whole sandbox in memory: the bot's own sessions and the sandbox's own server protocols.

Only the wire is not real. Where a TCP connection would be opened for a WebSocket, the two ends of
a pair of transports are handed out, and bytes pass between them on the running loop's time. Other
requests go to the application directly, so faults that cut their answers do not happen here.
"""

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from unittest import mock

import aiohttp
import uvicorn
from aiohttp.client_reqrep import ClientRequest
from starlette.applications import Starlette
from uvicorn.server import ServerState

from polybot.sandbox.cutting import CuttingProtocol
from polybot.sandbox.exchange.gateway import VenueRequest
from tests.simulation.direct import TRIP_S, Answered, ask, direct_requests

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
        server_protocol: Any = CuttingProtocol(
            config=self._config, server_state=self._state, app_state={}, _loop=loop
        )
        server = _End(loop, server_protocol, peer=peer)
        client.other, server.other = server, client
        self._ends.add(client)
        client.when_closed = lambda: self._ends.discard(client)
        self.connections += 1
        server_protocol.connection_made(server)
        protocol.connection_made(client)

    def is_refused(self) -> bool:
        return False

    def is_troubled(self, method: str, path: str) -> bool:
        return False

    async def answer(self, request: VenueRequest) -> Answered:
        """Return what the application answers."""
        return await ask(self._app, request)

    def cut_everything(self) -> None:
        """Break every connection, as the death of the client's process does."""
        for end in tuple(self._ends):
            end.abort()


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
            self._loop.call_later(TRIP_S, self.other._arrive)

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
            self._loop.call_later(2 * TRIP_S, self.other.close)

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
            await asyncio.sleep(TRIP_S)
            protocol = self._factory()
            server.connect(protocol)
            return protocol

    def monotonic() -> float:
        return asyncio.get_running_loop().time()

    with (
        mock.patch.object(aiohttp, "TCPConnector", Connector),
        mock.patch("aiohttp.connector.monotonic", monotonic),
        direct_requests(lambda: server),
    ):
        yield
