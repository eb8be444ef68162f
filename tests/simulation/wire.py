"""The venue behind a cable made of memory: bytes in, bytes out, below the bot's HTTP client.

Where a TCP connection would be opened, one end of a ``_Cable`` is handed out. The other end reads
the bytes as a server does, asks the sandbox's gateway, and sends bytes back, as the planned faults
let it. Requests with which nothing goes wrong need no cable: see ``direct``.
"""

import asyncio
import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from unittest import mock

import aiohttp
from aiohttp.client_reqrep import ClientRequest

from polybot.sandbox.exchange.gateway import VenueRequest
from polybot.sandbox.fault_plan import PlannedFault
from polybot.sandbox.feeds import UserFeed
from polybot.sandbox.injector import is_spared, replacement
from tests.simulation.direct import TRIP_S, direct_requests
from tests.simulation.frames import frame, handshake, parsed, response, unframed
from tests.simulation.memory_venue import DECIDED, MemoryVenue
from tests.simulation.virtual import VirtualLoop

URL: Final = "http://venue.test"
SOCKET_URL: Final = "ws://venue.test/ws/user"


class _Cable(asyncio.Transport):
    """The client's end of one connection; the server's end lives in it as well."""

    def __init__(self, venue: MemoryVenue, protocol: Any, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._venue = venue
        self._protocol = protocol
        self._loop = loop
        self._is_closing = False
        self._received = bytearray()
        self._socket: _UserSocket | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        protocol.connection_made(self)

    # The client's end ---------------------------------------------------------------------------
    def write(self, data: Any) -> None:
        if not self._is_closing:
            self._loop.call_later(TRIP_S, self._arrive, bytes(data))

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(bytes(part) for part in list_of_data))

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        if not self._is_closing:
            self._is_closing = True
            self._hang_up()
            self._loop.call_soon(self._protocol.connection_lost, None)

    abort = close

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def pause_reading(self) -> None:
        """Nothing is kept back: answers are small."""

    def resume_reading(self) -> None:
        """See ``pause_reading``."""

    def set_write_buffer_limits(self, high: Any = None, low: Any = None) -> None:
        """Nothing is buffered."""

    # The server's end ---------------------------------------------------------------------------
    def send(self, data: bytes, *, then_cut: bool = False) -> None:
        """Send bytes to the client, and break the connection after them."""
        self._loop.call_later(TRIP_S, self._deliver, data, then_cut)

    def cut(self) -> None:
        """Break the connection."""
        if not self._is_closing:
            self._is_closing = True
            self._hang_up()
            self._protocol.connection_lost(ConnectionResetError("cut"))

    def _deliver(self, data: bytes, then_cut: bool) -> None:
        if self._is_closing:
            return
        if data:
            self._protocol.data_received(data)
        if then_cut:
            self.cut()

    def _hang_up(self) -> None:
        if self._socket is not None:
            self._socket.close()

    def _arrive(self, data: bytes) -> None:
        # Bytes that were on their way arrive although the client has gone.
        if self._socket is not None:
            self._socket.arrive(data)
            return
        self._received += data
        head, found, rest = bytes(self._received).partition(b"\r\n\r\n")
        if not found:
            return
        request = parsed(head)
        length = int(request.headers.get("content-length", "0"))
        if len(rest) < length:
            return
        self._received.clear()
        if request.headers.get("upgrade", "").lower() == "websocket":
            self._socket = _UserSocket(self._venue, self, self._loop)
            self.send(handshake(request.headers["sec-websocket-key"]))
            return
        body = rest[:length]
        whole = VenueRequest(
            method=request.method,
            path=request.path,
            query=request.query,
            headers=request.headers,
            body=body,
        )
        task = self._loop.create_task(self._serve(whole))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, request: VenueRequest) -> None:
        venue = self._venue
        venue.count(request.method, request.path)
        decided = DECIDED.get()
        # Where the client tries again by itself, what was decided has been used up.
        trouble, fault = decided.pop() if decided else venue.decide(request.method, request.path)
        if trouble is not None:
            kind, number = trouble
            if kind == "cut-request":
                self.cut()
                return
            # The bytes hang in some queue while the client gives up; then the venue reads them.
            await asyncio.sleep(10 + 80 * number)
            fault = venue.injector.on_request(request.method, request.path)
        if fault is None:
            self.send(response(*(await venue.answer(request))))
            return
        await self._misbehave(fault, request)

    async def _misbehave(self, fault: PlannedFault, request: VenueRequest) -> None:
        true = None if is_spared(fault) else await self._venue.answer(request)
        if fault.kind.startswith("timeout"):
            return
        if fault.kind == "slow":
            await asyncio.sleep(fault.delay_ms / 1000)
        false = replacement(fault)
        if false is not None:
            kind = {"content-type": false.content_type, **false.headers}
            self.send(response(false.status, false.body, kind))
            return
        if true is None:
            self.cut()
            return
        if fault.kind == "cut-after":
            raw = response(*true)
            self.send(raw[: fault.at_byte % (len(raw) + 1)], then_cut=True)
            return
        if fault.kind == "truncated":
            true = (true[0], true[1][: fault.at_byte], true[2])
        self.send(response(*true))


class _UserSocket:
    """The server's side of ``/ws/user``: a login, pings, frames with their faults."""

    def __init__(self, venue: MemoryVenue, cable: _Cable, loop: asyncio.AbstractEventLoop) -> None:
        self._venue = venue
        self._cable = cable
        self._loop = loop
        self._received = bytearray()
        self._feed: UserFeed | None = None
        self._is_over = False

    def close(self) -> None:
        self._is_over = True
        if self._feed is not None:
            self._feed.close()
            self._feed = None

    def arrive(self, data: bytes) -> None:
        self._received += data
        while (found := unframed(self._received)) is not None:
            code, payload = found
            if code == 8:
                self._cable.send(frame(payload, code=8), then_cut=True)
                self.close()
            elif payload == b"PING":
                self._cable.send(frame(b"PONG"))
            elif code == 1 and self._feed is None and not self._is_over:
                self._log_in(payload)

    def _log_in(self, payload: bytes) -> None:
        auth = json.loads(payload)["auth"]
        exchange = self._venue.gateway.exchange
        key = exchange.keys.by_credentials(auth["apiKey"], auth["secret"], auth["passphrase"])
        if key is None:
            self._cable.send(frame(struct.pack(">H", 1008), code=8), then_cut=True)
            self.close()
            return
        self._feed = UserFeed(exchange, key.key, injector=self._venue.injector)
        self._look()

    def _look(self) -> None:
        if self._feed is None:
            return
        for event in self._feed.take():
            self._cable.send(frame(json.dumps(event).encode()))
        if self._feed.is_closed:
            self._cable.send(frame(struct.pack(">H", 1001), code=8), then_cut=True)
            self.close()
            return
        self._loop.call_later(1.0, self._look)


class _MemoryConnector(aiohttp.TCPConnector):
    """Opens cables to the venue that the running loop knows."""

    async def _create_connection(  # type: ignore[override]
        self,
        req: ClientRequest,
        traces: Any,
        timeout: Any,  # noqa: ASYNC109 - the connector's own signature
    ) -> Any:
        loop = asyncio.get_running_loop()
        venue = _venue()
        await asyncio.sleep(TRIP_S)
        if venue.cable.on_connect():
            refused = ConnectionRefusedError(111, "connection refused")
            raise aiohttp.ClientConnectorError(req.connection_key, refused)
        protocol = self._factory()
        _Cable(venue, protocol, loop)
        return protocol


def _venue() -> MemoryVenue:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    venue: MemoryVenue = loop.venue  # type: ignore[attr-defined]
    return venue


def _virtual_monotonic() -> float:
    return asyncio.get_running_loop().time()


@contextmanager
def cables_for_sockets() -> Iterator[None]:
    """Let every session that is opened meanwhile use cables, and idle connections age virtually."""
    with (
        mock.patch.object(aiohttp, "TCPConnector", _MemoryConnector),
        mock.patch("aiohttp.connector.monotonic", _virtual_monotonic),
        direct_requests(_venue),
    ):
        yield
