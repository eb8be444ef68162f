"""Authenticated requests to the CLOB over one warm session: reads, cancels, and the order's POST.

The credentials are derived with the key when they are first needed, and once again when the venue
refuses them; a second refusal in a row is a person's. The official client does the same with a
second of imports more, which every run would pay, and may deploy a wallet on the way.

Sources: docs.polymarket.com/developers/CLOB/authentication (2026-11-22);
github.com/Polymarket/py-clob-client-v2/issues/40 (credentials refused until they are made again).
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Self

import aiohttp
import msgspec
from pydantic import SecretStr

from polybot.adapters.logs import hide
from polybot.adapters.polymarket.auth import ApiCredentials, login_headers
from polybot.adapters.polymarket.signing import OrderSigner
from polybot.adapters.polymarket.wire.strict import decode
from polybot.adapters.web import open_session, raise_for_status
from polybot.errors import DataError, PermanentError, TransientError
from polybot.ports import Clock

# Longer than between two runs of a minute each; the venue's edge closes idle connections later.
KEEP_ALIVE_S: Final = 150.0
_CONNECT_TIMEOUT_S: Final = 3.0
_JSON: Final = {"Content-Type": "application/json"}


class _CredentialsWire(msgspec.Struct, rename="camel"):
    api_key: str
    secret: str
    passphrase: str

    def __repr__(self) -> str:
        """Show nothing of it."""
        return "_CredentialsWire(<redacted>)"


@dataclass(frozen=True, slots=True, kw_only=True)
class RawAnswer:
    """An answer that arrived whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    """Not shown: the login's holds secrets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotSent:
    """No connection came about: not one byte of the request has left."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoAnswer:
    """The request may have arrived; the answer did not."""

    reason: str


class ClobClient:
    """One session, one signer, one set of API credentials."""

    def __init__(
        self,
        clob_url: str,
        signer: OrderSigner,
        *,
        clock: Clock,
        timeout_s: float,
        order_timeout_s: float,
    ) -> None:
        """Keep where the CLOB is; nothing is opened yet.

        Args:
            clob_url: The CLOB's address.
            signer: Makes or derives the API credentials.
            clock: Dates every request; the venue refuses clocks that are off.
            timeout_s: Total time of a read or a cancel [s].
            order_timeout_s: Total time of an order's POST, the taker delay included [s].
        """
        self._url = clob_url.rstrip("/")
        self._signer = signer
        self._clock = clock
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._order_timeout = aiohttp.ClientTimeout(
            total=order_timeout_s, connect=min(_CONNECT_TIMEOUT_S, order_timeout_s)
        )
        self._session: aiohttp.ClientSession | None = None
        self._credentials: ApiCredentials | None = None
        self._is_renewed = False
        self._login_lock = asyncio.Lock()

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

    async def credentials(self) -> ApiCredentials:
        """Return the API credentials, made or derived with the first call.

        Raises:
            TransientError: The venue did not answer.
            PermanentError: It refuses the key.
            DataError: Its answer is malformed.
        """
        async with self._login_lock:
            if self._credentials is None:
                self._credentials = await self._log_in()
            return self._credentials

    @property
    def known_owner(self) -> str:
        """The API key's id, as an order's body names it; empty before the first login."""
        return "" if self._credentials is None else self._credentials.key_id

    def refuse(self, credentials: ApiCredentials) -> bool:
        """Note that the venue refused credentials; whether deriving them again may help.

        The next request derives them again. Refused once more before any was accepted, they are
        a person's to mend.
        """
        if self._credentials is not credentials:
            return True
        if self._is_renewed:
            return False
        self._is_renewed = True
        self._credentials = None
        return True

    async def get(self, path: str, params: dict[str, str] | None = None) -> bytes | None:
        """Return the body of an authenticated read, ``None`` for 404.

        Raises:
            TransientError: Not reached, too slow, 408, 425, 429 and 5xx.
            PermanentError: Credentials refused twice, or any other 4xx.
            DataError: The answer is too large or its compression broken.
        """
        credentials = await self.credentials()
        answer = await self._read("GET", path, credentials, params=params)
        if answer.status == 401 and self.refuse(credentials):
            credentials = await self.credentials()
            answer = await self._read("GET", path, credentials, params=params)
        if answer.status == 401:
            raise _refused()
        return self._body(answer, path)

    async def get_public(self, path: str) -> bytes | None:
        """Return the body of a read that needs no credentials; errors as in ``get``."""
        return self._body(await self._read("GET", path, None), path)

    async def delete(self, path: str, body: bytes = b"") -> bytes:
        """Send a cancel once and return the answer's body; errors as in ``get``.

        Refused credentials are derived again for the next request, not for this one.
        """
        credentials = await self.credentials()
        answer = await self._read("DELETE", path, credentials, body=body)
        if answer.status == 401:
            if not self.refuse(credentials):
                raise _refused()
            raise TransientError("the venue refused the API credentials; they are derived again")
        found = self._body(answer, path)
        if found is None:
            raise PermanentError(f"{path} answered 404")
        return found

    async def post(self, path: str, body: bytes) -> RawAnswer:
        """Send an authenticated request that is no order once; the answer's status is not judged.

        Raises:
            TransientError: No answer arrived.
            DataError: The answer is too large or its compression broken.
        """
        return await self._read("POST", path, await self.credentials(), body=body)

    async def post_order(
        self, body: bytes, credentials: ApiCredentials, *, at: datetime
    ) -> RawAnswer | NotSent | NoAnswer:
        """Send an order's bytes exactly once; never raises for what the network did.

        Args:
            body: Exactly what is signed and sent.
            credentials: Whose key's id the body names.
            at: Now, for the time stamp.
        """
        path = "/order"
        timestamp_s = int(at.timestamp())

        def signed() -> dict[str, str]:
            return credentials.headers(
                self._signer.address, timestamp_s=timestamp_s, method="POST", path=path, body=body
            )

        try:
            # aiohttp repeats idempotent methods on broken connections; POST is not one of them.
            async with self._open().post(
                f"{self._url}{path}",
                data=body,
                headers={**signed(), **_JSON},
                timeout=self._order_timeout,
                allow_redirects=False,
            ) as response:
                answer = RawAnswer(
                    status=response.status,
                    headers={name.lower(): text for name, text in response.headers.items()},
                    body=await response.read(),
                )
        except (
            aiohttp.ClientConnectorError,
            aiohttp.ConnectionTimeoutError,
            aiohttp.InvalidURL,
        ) as error:
            return NotSent(reason=f"no connection to the venue: {type(error).__name__}")
        except TimeoutError:
            return NoAnswer(reason=f"no answer within {self._order_timeout.total:g} s")
        except (aiohttp.ClientError, OSError, DataError) as error:
            return NoAnswer(reason=f"the answer broke off: {type(error).__name__}")
        if answer.status < 300:
            self._is_renewed = False
        return answer

    async def _read(
        self,
        method: str,
        path: str,
        credentials: ApiCredentials | None,
        *,
        params: dict[str, str] | None = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> RawAnswer:
        timestamp_s = int((await self._clock.now()).timestamp()) if credentials else 0

        def signed() -> Mapping[str, str]:
            # Never bound to a name: tracebacks with local variables would print the passphrase.
            if credentials is None:
                return headers or {}
            return credentials.headers(
                self._signer.address, timestamp_s=timestamp_s, method=method, path=path, body=body
            )

        try:
            async with self._open().request(
                method,
                f"{self._url}{path}",
                params=params,
                data=body or None,
                headers={**signed(), **(_JSON if body else {})},
                timeout=self._timeout,
                allow_redirects=False,
            ) as response:
                answer = RawAnswer(
                    status=response.status,
                    headers=dict(response.headers),
                    body=await response.read(),
                )
        # Not chained: the library's own frames hold the request's headers.
        except TimeoutError:
            raise TransientError(f"{path} did not answer in time") from None
        except (aiohttp.ClientError, OSError) as error:
            raise TransientError(f"{path} could not be reached: {type(error).__name__}") from None
        if credentials is not None and answer.status < 300:
            self._is_renewed = False
        return answer

    async def _log_in(self) -> ApiCredentials:
        now = await self._clock.now()
        headers = login_headers(self._signer, timestamp_s=int(now.timestamp()))
        # Making them again returns the same ones; a venue that has them already may say 400.
        answer = await self._read("POST", "/auth/api-key", None, headers=headers)
        if answer.status == 400:
            answer = await self._read("GET", "/auth/derive-api-key", None, headers=headers)
        if answer.status == 401:
            raise PermanentError("the venue refuses the key's signature: check key and clock")
        raise_for_status(answer.status, answer.headers, place="the login")
        return _credentials(answer)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            timeout_s = self._timeout.total or 0.0
            self._session = open_session(timeout_s=timeout_s, keep_alive_s=KEEP_ALIVE_S)
        return self._session

    def _body(self, answer: RawAnswer, path: str) -> bytes | None:
        if answer.status == 404:
            return None
        raise_for_status(answer.status, answer.headers, place=path.partition("?")[0])
        return answer.body


def _credentials(answer: RawAnswer) -> ApiCredentials:
    try:
        wire = decode(answer.body, _CredentialsWire, reason="login-malformed")
    except DataError:
        # Its message may quote the answer, which holds secrets.
        raise DataError("the login's answer is malformed", reason="login-malformed") from None
    hide((wire.secret, wire.passphrase))
    return ApiCredentials(
        key_id=wire.api_key,
        secret=SecretStr(wire.secret),
        passphrase=SecretStr(wire.passphrase),
    )


def _refused() -> PermanentError:
    return PermanentError(
        "the venue refused the API credentials twice: check this machine's clock, and whether the "
        "key's API credentials were revoked"
    )
