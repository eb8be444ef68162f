"""The venue's dead-man switch: once it is started and not renewed, all orders of the key go.

Off unless a setting starts it. It cancels every open order of the API key ten seconds after the
last beat, also those of other programs with the same key, and nothing is known that disarms it:
whoever starts it keeps it going, or accepts that.

Source: docs.polymarket.com/api-reference/trade/send-heartbeat (2026-11-22).
"""

import json
from typing import Any, Final

import msgspec

from polybot.adapters.polymarket.clob_client import ClobClient
from polybot.adapters.polymarket.wire.strict import decode
from polybot.adapters.web import raise_for_status
from polybot.errors import DataError

INTERVAL_S: Final = 5.0
"""How often to beat; the venue waits twice as long."""
_PATH: Final = "/v1/heartbeats"


class _BeatWire(msgspec.Struct):
    heartbeat_id: str


class Heartbeat:
    """One chain of beats; each names the one before."""

    def __init__(self, client: ClobClient) -> None:
        """Take the connection; nothing is started yet."""
        self._client = client
        self._last_id = ""

    async def beat(self) -> None:
        """Start the switch, or renew it for another ten seconds.

        A chain that another process of this key has continued is taken up where it is.

        Raises:
            TransientError: Not renewed; the orders may be cancelled any moment.
            PermanentError: The venue refuses it.
            DataError: The answer is malformed.
        """
        status, body = await self._send()
        if status == 400 and (expected := _named(body)) is not None and expected != self._last_id:
            self._last_id = expected
            status, body = await self._send()
        raise_for_status(status, {}, place="the heartbeat")
        renewed = _named(body)
        if renewed is None:
            raise DataError("the heartbeat's answer is malformed", reason="heartbeat-malformed")
        self._last_id = renewed

    async def _send(self) -> tuple[int, bytes]:
        body = json.dumps({"heartbeat_id": self._last_id}, separators=(",", ":")).encode()
        answer = await self._client.post(_PATH, body)
        return answer.status, answer.body


def _named(body: bytes) -> str | None:
    try:
        wire: Any = decode(body, _BeatWire, reason="heartbeat-malformed")
    except DataError:
        return None
    found: str = wire.heartbeat_id
    return found if found.isascii() and len(found) <= 256 else None
