"""Does a WebSocket answer? A handshake and nothing more, for the doctor."""

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
