"""The bytes on the cable: requests, answers, and the frames of a WebSocket."""

import base64
import hashlib
import struct
from typing import Final
from urllib.parse import parse_qsl, unquote

from polybot.sandbox.exchange.gateway import VenueRequest

_WS_KEY: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def parsed(head: bytes) -> VenueRequest:
    lines = head.decode("latin-1").split("\r\n")
    method, target, _ = lines[0].split(" ", 2)
    path, _, query = target.partition("?")
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return VenueRequest(
        method=method,
        path=unquote(path),
        query=dict(parse_qsl(query, keep_blank_values=True)) if query else {},
        headers=headers,
    )


def response(status: int, body: bytes, headers: dict[str, str]) -> bytes:
    known = {"content-type": "application/json", **headers, "content-length": str(len(body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in known.items())
    return f"HTTP/1.1 {status} Said\r\n{lines}\r\n".encode() + body


def handshake(key: str) -> bytes:
    accept = base64.b64encode(hashlib.sha1(key.encode() + _WS_KEY).digest()).decode()
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\n\r\n"
    ).encode()


def frame(payload: bytes, *, code: int = 1) -> bytes:
    size = len(payload)
    if size < 126:
        head = struct.pack(">BB", 0x80 | code, size)
    else:
        head = struct.pack(">BBH", 0x80 | code, 126, size)
    return head + payload


def unframed(buffer: bytearray) -> tuple[int, bytes] | None:
    """Take one masked frame out of what a client has sent."""
    if len(buffer) < 2:
        return None
    size, start = buffer[1] & 0x7F, 2
    if size == 126:
        if len(buffer) < 4:
            return None
        size, start = struct.unpack(">H", buffer[2:4])[0], 4
    if len(buffer) < start + 4 + size:
        return None
    mask, data = buffer[start : start + 4], buffer[start + 4 : start + 4 + size]
    code = buffer[0] & 0x0F
    payload = bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))
    del buffer[: start + 4 + size]
    return code, payload
