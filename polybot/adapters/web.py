"""HTTP as this project speaks it: bounded in time and size, to the named host and nowhere else.

Every answer is read through ``CappedResponse``, also those that an SDK asks for through a session
opened here. Environment proxies, cookies and redirects are not followed: an endpoint is what the
settings say it is. Nothing here retries.
"""

import zlib
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from types import SimpleNamespace
from typing import Final, Self

import aiohttp
from yarl import URL

from polybot.errors import DataError, PermanentError, RateLimitedError, TransientError

MAX_BODY_BYTES: Final = 1 << 20
"""Largest answer that is read, after decompression."""
_MAX_RETRY_AFTER_S: Final = 60.0
# Where the server asks us to slow down without saying for how long.
_DEFAULT_RETRY_AFTER_S: Final = 5.0
# A server that restarts (425), is busy (408, 5xx) or in a restricted mode (503) recovers.
_TRANSIENT_STATUSES: Final = frozenset({408, 425})
# zlib's way to say "recognise gzip and zlib headers by yourself".
_ANY_DEFLATE: Final = zlib.MAX_WBITS | 32


class SlowAnswerError(TransientError):
    """Report that an answer did not come within the time-out."""


class CappedResponse(aiohttp.ClientResponse):
    """An answer whose decompressed body never exceeds ``MAX_BODY_BYTES``."""

    async def read(self) -> bytes:
        """Return the decompressed body.

        Raises:
            DataError: The body is too large, or its compression is broken or unknown.
        """
        if self._body is None:
            try:
                self._body = await _read_body(self)
            except BaseException:
                self.close()
                raise
        return self._body


def open_session(*, timeout_s: float, keep_alive_s: float = 75) -> aiohttp.ClientSession:
    """Open a session whose answers are capped and whose redirects are refused.

    Args:
        timeout_s: Total time of one request, from the first byte sent to the last one read [s].
        keep_alive_s: How long an idle connection is kept [s].
    """
    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(_refuse_redirect)
    return aiohttp.ClientSession(
        auto_decompress=False,
        connector=aiohttp.TCPConnector(limit=20, keepalive_timeout=keep_alive_s),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": _user_agent(), "Accept-Encoding": "gzip"},
        response_class=CappedResponse,
        timeout=aiohttp.ClientTimeout(total=timeout_s),
        trace_configs=[trace],
        trust_env=False,
    )


class WebClient:
    """One warm session to the servers that the settings name."""

    def __init__(self, *, timeout_s: float) -> None:
        """Keep the total time of one request [s]; the session opens with the first one."""
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Return the client itself."""
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Close the session."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close the session, if one was opened."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def get(self, url: str, params: dict[str, str] | None = None) -> bytes | None:
        """Return an answer's body, or ``None`` where the server answered 404.

        Raises:
            TransientError: Not reached, cut off, too slow, or 408, 425 and 5xx.
            RateLimitedError: 429.
            PermanentError: Redirected, bad certificate, or any other 4xx.
            DataError: The answer is too large or its compression is broken.
        """
        return await self._request("GET", url, params=params)

    async def post(self, url: str, payload: object, *, timeout_s: float | None = None) -> bytes:
        """Send JSON once and return the answer's body; errors as in ``get``, 404 is permanent."""
        body = await self._request("POST", url, payload=payload, timeout_s=timeout_s)
        if body is None:
            raise PermanentError(f"{_place(url)} answered 404")
        return body

    async def _request(
        self,
        method: str,
        url: str,
        *,
        params: dict[str, str] | None = None,
        payload: object = None,
        timeout_s: float | None = None,
    ) -> bytes | None:
        if self._session is None:
            self._session = open_session(timeout_s=self._timeout_s)
        timeout = aiohttp.ClientTimeout(total=timeout_s or self._timeout_s)
        try:
            async with self._session.request(
                method, url, params=params, json=payload, timeout=timeout, allow_redirects=False
            ) as response:
                body = await response.read()
        except (
            aiohttp.InvalidURL,
            aiohttp.NonHttpUrlClientError,
            aiohttp.ClientConnectorCertificateError,
        ) as error:
            raise PermanentError(f"{_place(url)} cannot be used: {type(error).__name__}") from error
        except TimeoutError as error:
            raise SlowAnswerError(
                f"{_place(url)} did not answer within {timeout.total:g} s"
            ) from error
        except (aiohttp.ClientError, OSError) as error:
            raise TransientError(
                f"{_place(url)} could not be reached: {type(error).__name__}"
            ) from error
        if response.status == 404:
            return None
        raise_for_status(response.status, response.headers, place=_place(url))
        return body


def raise_for_status(status: int, headers: "aiohttp.typedefs.LooseHeaders", *, place: str) -> None:
    """Raise what an HTTP status means for the next try; return for 2xx.

    Args:
        status: HTTP status.
        headers: For ``Retry-After`` and ``Date``.
        place: Named in the message.
    """
    if 200 <= status < 300:
        return
    if status == 429:
        wait_s = retry_after_s(headers)
        raise RateLimitedError(f"{place} asks for {wait_s:g} s of rest", retry_after=wait_s)
    if status in _TRANSIENT_STATUSES or status >= 500:
        raise TransientError(f"{place} answered {status}")
    if 300 <= status < 400:
        raise PermanentError(f"{place} redirects elsewhere ({status}), which is refused")
    raise PermanentError(f"{place} answered {status}")


def retry_after_s(headers: "aiohttp.typedefs.LooseHeaders") -> float:
    """Return how long the server asks us to wait [s], clamped to 0-60.

    A date counts from the server's own ``Date`` header, so that no clock is compared with ours.
    """
    named = {str(key).lower(): str(value) for key, value in dict(headers).items()}
    text = named.get("retry-after", "").strip()
    if not text.isascii():
        return _DEFAULT_RETRY_AFTER_S
    if text.removeprefix("-").isdecimal():
        wait_s = float(text[:12])
    else:
        due, sent = _http_date(text), _http_date(named.get("date", ""))
        if due is None or sent is None:
            return _DEFAULT_RETRY_AFTER_S
        wait_s = (due - sent).total_seconds()
    return min(max(wait_s, 0.0), _MAX_RETRY_AFTER_S)


def _http_date(text: str) -> datetime | None:
    try:
        instant = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


async def _read_body(response: aiohttp.ClientResponse) -> bytes:
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in ("", "identity", "gzip", "x-gzip", "deflate"):
        raise DataError(
            f"{_place(response.url)} answered in an encoding we did not ask for",
            reason="answer-encoding",
        )
    inflate = zlib.decompressobj(_ANY_DEFLATE) if encoding not in ("", "identity") else None
    body = bytearray()
    async for chunk in response.content.iter_any():
        try:
            # One byte of room beyond the cap tells "too large" from "exactly full".
            piece = inflate.decompress(chunk, MAX_BODY_BYTES + 1 - len(body)) if inflate else chunk
        except zlib.error as error:
            raise DataError(
                f"{_place(response.url)} answered with broken compression",
                reason="answer-encoding",
            ) from error
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise DataError(
                f"{_place(response.url)} answered with more than {MAX_BODY_BYTES} bytes",
                reason="answer-too-large",
            )
    if inflate and body and not inflate.eof:
        raise DataError(
            f"{_place(response.url)} answered with cut-off compression", reason="answer-encoding"
        )
    return bytes(body)


async def _refuse_redirect(
    session: aiohttp.ClientSession,
    context: SimpleNamespace,
    params: aiohttp.TraceRequestRedirectParams,
) -> None:
    raise PermanentError(f"{_place(params.url)} redirects elsewhere, which is refused")


def _place(url: str | URL) -> str:
    """Return host and path without the query, for messages."""
    try:
        parsed = URL(url)
    except ValueError:
        return "an address that is no URL"
    return f"{parsed.host or ''}{parsed.path}"[:160]


@cache
def _user_agent() -> str:
    # The venue's edge refuses clients that name themselves after a library.
    try:
        return f"polybot/{version('polybot')}"
    except PackageNotFoundError:
        return "polybot/0"
