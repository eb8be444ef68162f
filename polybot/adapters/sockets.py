"""What every WebSocket needs: to be reached at all, pauses between attempts, a text ping."""

import asyncio
from contextlib import suppress
from random import Random
from typing import Any

import aiohttp

from polybot.adapters.web import open_session
from polybot.errors import PermanentError, TransientError


async def shake_hands(url: str, *, timeout_s: float) -> None:
    """Open a WebSocket and close it again; nothing is sent.

    Raises:
        TransientError: Not reached within ``timeout_s``, or answered with something else.
        PermanentError: The address cannot be used, its certificate is bad, or it redirects.
    """
    limits = aiohttp.ClientWSTimeout(ws_receive=timeout_s, ws_close=timeout_s)
    async with open_session(timeout_s=timeout_s) as session:
        try:
            async with session.ws_connect(url, timeout=limits, max_msg_size=1 << 20):
                return
        except aiohttp.WSServerHandshakeError as error:
            raise TransientError(f"{url} answered {error.status} instead of a handshake") from error
        except (aiohttp.InvalidURL, aiohttp.ClientConnectorCertificateError) as error:
            raise PermanentError(f"{url} cannot be used: {type(error).__name__}") from error
        except TimeoutError as error:
            raise TransientError(f"{url} did not answer within {timeout_s:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise TransientError(f"{url} could not be reached: {type(error).__name__}") from error


async def keep_pinging(socket: "aiohttp.ClientWebSocketResponse[Any]", every_s: float) -> None:
    """Send the venue's text ping until the connection ends; without it a stream goes mute."""
    with suppress(aiohttp.ClientError, OSError):
        while True:
            await socket.send_str("PING")
            await asyncio.sleep(every_s)


class Backoff:
    """Pauses that double with each failure, spread so that many bots do not return at once."""

    def __init__(self, *, first_s: float, longest_s: float, random: Random) -> None:
        """Keep the shortest and the longest pause [s]."""
        self._first_s = first_s
        self._longest_s = longest_s
        self._random = random
        self._attempts = 0

    def succeed(self) -> None:
        """Begin again with the shortest pause."""
        self._attempts = 0

    def next_s(self) -> float:
        """Return how long to wait before the next attempt [s]."""
        longest_s = min(self._first_s * 2**self._attempts, self._longest_s)
        self._attempts = min(self._attempts + 1, 16)
        return self._random.uniform(longest_s / 2, longest_s)
