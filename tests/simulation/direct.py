"""Requests that nothing troubles go to the venue and back as they are, without HTTP in between.

The bot's sessions stay aiohttp's. Before a request leaves, whoever answers it says whether
something will go wrong with it: then it travels as bytes, through the real client and parser, and
so do WebSockets. Writing and parsing HTTP that arrives whole is not what a simulation is about,
and was a quarter of its cost.
"""

import asyncio
import json as json_module
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Protocol, Self
from unittest import mock
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit
from weakref import WeakKeyDictionary

import aiohttp
from aiohttp.client_reqrep import ConnectionKey
from multidict import CIMultiDict
from starlette.types import ASGIApp

from polybot.sandbox.exchange.gateway import VenueRequest

TRIP_S: Final = 0.02
"""One way through the wire [s]."""
Answered = tuple[int, bytes, dict[str, str]]
"""Status, body, headers."""


class Venue(Protocol):
    """Whoever answers."""

    def is_refused(self) -> bool:
        """Whether a new connection is refused."""
        ...

    def is_troubled(self, method: str, path: str) -> bool:
        """Whether this request goes wrong; it then comes as bytes, in this context."""
        ...

    async def answer(self, request: VenueRequest) -> Answered:
        """Return the true answer."""
        ...


@dataclass(frozen=True, slots=True)
class DirectAnswer:
    """What the bot reads of an ``aiohttp.ClientResponse``."""

    url: str
    status: int
    body: bytes
    headers: CIMultiDict[str]

    async def read(self) -> bytes:
        return self.body

    async def text(self) -> str:
        return self.body.decode()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing is left to close."""


@contextmanager
def direct_requests(venue_of: Callable[[], Venue]) -> Iterator[None]:
    """Let requests of every session go directly, wherever nothing goes wrong with them."""
    by_wire = aiohttp.ClientSession._request
    idle: WeakKeyDictionary[aiohttp.ClientSession, list[float]] = WeakKeyDictionary()

    async def request(
        session: aiohttp.ClientSession, method: str, url: str, **named: Any
    ) -> DirectAnswer | aiohttp.ClientResponse:
        if session.closed:
            raise RuntimeError("Session is closed")
        asked = _asked(method, str(url), **named)
        venue = venue_of()
        if "sec-websocket-key" in asked.headers or venue.is_troubled(method, asked.path):
            return await by_wire(session, method, url, **named)
        free = idle.setdefault(session, [])
        if not _took_one(free, session.connector):
            await asyncio.sleep(TRIP_S)
            if venue.is_refused():
                key = ConnectionKey("venue.test", 80, False, True, None, None, None)
                raise aiohttp.ClientConnectorError(key, ConnectionRefusedError(111, "refused"))
        status, body, headers = await _there_and_back(venue, asked)
        free.append(asyncio.get_running_loop().time())
        return DirectAnswer(str(url), status, body, CIMultiDict(headers))

    with mock.patch.object(aiohttp.ClientSession, "_request", request):
        yield


def _took_one(free: list[float], connector: Any) -> bool:
    """Take the connection that was used last, unless it has been idle for too long."""
    keep_s = getattr(connector, "_keepalive_timeout", 0)
    is_kept = bool(free) and asyncio.get_running_loop().time() - free.pop() <= keep_s
    if not is_kept:
        free.clear()
    return is_kept


def _asked(
    method: str,
    url: str,
    *,
    params: dict[str, str] | None = None,
    data: bytes | None = None,
    json: object = None,
    headers: Any = None,
    **_: Any,
) -> VenueRequest:
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True)) if parts.query else {}
    body = data or (b"" if json is None else json_module.dumps(json).encode())
    return VenueRequest(
        method=method,
        path=unquote(parts.path) or "/",
        query=query | {name: str(text) for name, text in (params or {}).items()},
        headers={name.lower(): str(text) for name, text in (headers or {}).items()},
        body=body,
    )


async def _there_and_back(venue: Venue, asked: VenueRequest) -> Answered:
    """Send a request; it arrives and is answered also where the bot stops waiting meanwhile."""
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[Answered] = loop.create_future()
    serving: list[asyncio.Task[None]] = []

    async def serve() -> None:
        found = await venue.answer(asked)
        loop.call_later(TRIP_S, arrive, found)

    def arrive(found: Answered) -> None:
        if not answered.done():
            answered.set_result(found)

    loop.call_later(TRIP_S, lambda: serving.append(loop.create_task(serve())))
    return await answered


async def ask(app: ASGIApp, request: VenueRequest) -> Answered:
    """Put a request to an application."""
    headers = {"host": "venue.test", **request.headers}
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": request.method,
        "path": request.path,
        "raw_path": request.path.encode(),
        "root_path": "",
        "query_string": urlencode(request.query).encode(),
        "headers": [(name.encode(), text.encode()) for name, text in headers.items()],
        "scheme": "http",
        "server": ("venue.test", 80),
    }
    found: dict[str, Any] = {"status": 500, "headers": ()}
    body = bytearray()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": request.body, "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            found.update(message)
        else:
            body.extend(message.get("body", b""))

    await app(scope, receive, send)
    said = {name.decode(): text.decode() for name, text in found["headers"]}
    return found["status"], bytes(body), said
