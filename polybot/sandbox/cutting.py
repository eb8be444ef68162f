"""Connections that end at any byte: a transport that closes once it has sent so many."""

import asyncio
from collections.abc import Iterable
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_OPEN: dict[tuple[str, int], "CuttingTransport"] = {}


class CuttingTransport:
    """Passes everything on, until it is told where to stop.

    What is written in one turn of the event loop is sent at once: an answer's head and its body
    would else wake the other side twice.
    """

    def __init__(self, inner: asyncio.Transport) -> None:
        """Wrap a connection."""
        self._inner = inner
        self._left: int | None = None
        self._held: list[bytes] = []
        self._loop = asyncio.get_running_loop()

    def cut_after(self, byte_count: int) -> None:
        """Send so many more bytes, then close; 0 closes at once."""
        self._send_held()
        self._left = byte_count
        if byte_count == 0:
            self._inner.close()

    def write(self, data: bytes) -> None:
        """Send data, or as much of it as is left."""
        if self._left is None:
            if not self._held:
                self._loop.call_soon(self._send_held)
            self._held.append(data)
            return
        if self._left > 0:
            part = data[: self._left]
            self._left -= len(part)
            self._inner.write(part)
            if self._left == 0:
                self._inner.close()

    def writelines(self, parts: Iterable[bytes]) -> None:
        """Send data in its turn, after what was written before."""
        self.write(b"".join(parts))

    def close(self) -> None:
        """Close once everything is sent."""
        self._send_held()
        self._inner.close()

    def _send_held(self) -> None:
        held, self._held = self._held, []
        if held:
            self._inner.write(b"".join(held))

    def __getattr__(self, name: str) -> Any:
        """Do everything else as the connection does it."""
        return getattr(self._inner, name)


class CuttingProtocol(HttpToolsProtocol):
    """HTTP over connections that can be cut."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wrap the connection before anything is sent on it."""
        wrapped = CuttingTransport(transport)
        super().connection_made(cast("asyncio.Transport", wrapped))
        if self.client is not None:
            _OPEN[self.client] = wrapped

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        if self.client is not None:
            _OPEN.pop(self.client, None)
        super().connection_lost(exc)


def transport_of(client: tuple[str, int] | None) -> CuttingTransport | None:
    """Return the connection of a client, while it is open."""
    return None if client is None else _OPEN.get((client[0], client[1]))


def release(client: tuple[str, int] | None) -> None:
    """Forget a connection that has become a WebSocket: HTTP does not hear of its end."""
    if client is not None:
        _OPEN.pop((client[0], client[1]), None)
