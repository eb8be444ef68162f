"""Who is asking: L1 (a wallet's signature) gives API keys, L2 (an HMAC) uses them.

Source: docs.polymarket.com/api-reference/authentication (2026-11-22).
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

from polybot.sandbox.exchange import refusals
from polybot.sandbox.exchange.refusals import VenueRefusalError
from polybot.sandbox.exchange.rules import VenueRules
from polybot.sandbox.seeds import digest


@dataclass(frozen=True, slots=True)
class ApiKey:
    """Credentials of one wallet."""

    key: str
    owner: str
    """The wallet's lower-case address."""
    secret: str = field(repr=False)
    passphrase: str = field(repr=False)


class KeyRing:
    """Every API key; the same wallet and nonce always have the same one."""

    def __init__(self, seed: int, rules: VenueRules) -> None:
        """Take what keys depend on, and how far timestamps may be off."""
        self._seed = seed
        self._rules = rules
        self._keys: dict[str, ApiKey] = {}

    def create(self, headers: Mapping[str, str], now_s: int) -> ApiKey:
        """Return the key of ``POST /auth/api-key``: new, or the one that exists."""
        address, nonce = self._check_l1(headers, now_s)
        key = self._derive(address, nonce)
        self._keys[key.key] = key
        return key

    def derive(self, headers: Mapping[str, str], now_s: int) -> ApiKey:
        """Return the key of ``GET /auth/derive-api-key``, if it was ever created."""
        key = self._derive(*self._check_l1(headers, now_s))
        if key.key not in self._keys:
            raise VenueRefusalError(refusals.NO_SUCH_KEY)
        return key

    def issue(self, address: str, nonce: int = 0) -> ApiKey:
        """Return a wallet's key without its signature (for whoever runs the sandbox)."""
        key = self._derive(address.lower(), nonce)
        self._keys[key.key] = key
        return key

    def revoke(self, key: ApiKey) -> None:
        """Forget a key; deriving it fails until it is created again."""
        self._keys.pop(key.key, None)

    def revoke_all(self) -> None:
        """Forget every key, as the venue was reported to do now and then."""
        self._keys.clear()

    def of_owner(self, owner: str) -> list[str]:
        """Return the ids of a wallet's keys."""
        return [key.key for key in self._keys.values() if key.owner == owner]

    def by_credentials(self, key: str, secret: str, passphrase: str) -> ApiKey | None:
        """Return the key of a socket's subscription, if all three parts fit."""
        known = self._keys.get(key)
        if known is None or (known.secret, known.passphrase) != (secret, passphrase):
            return None
        return known

    def check_l2(
        self, headers: Mapping[str, str], *, method: str, path: str, body: bytes, now_s: int
    ) -> ApiKey:
        """Return whose request it is.

        Args:
            headers: With lower-case names.
            method: ``GET``, ``POST`` or ``DELETE``.
            path: Without the query string.
            body: Exactly as it was sent.
            now_s: The venue's clock [epoch s].

        Raises:
            VenueRefusalError: 401.
        """
        known = self._keys.get(headers.get("poly_api_key", ""))
        stamp = headers.get("poly_timestamp", "")
        if (
            known is None
            or headers.get("poly_address", "").lower() != known.owner
            or not hmac.compare_digest(
                headers.get("poly_passphrase", "").encode(), known.passphrase.encode()
            )
            or not self._is_timely(stamp, now_s)
        ):
            raise VenueRefusalError(refusals.UNAUTHORIZED, 401)
        signed = f"{stamp}{method}{path}".encode() + body
        secret = base64.urlsafe_b64decode(known.secret)
        wanted = base64.urlsafe_b64encode(hmac.new(secret, signed, hashlib.sha256).digest())
        if not hmac.compare_digest(headers.get("poly_signature", "").encode(), wanted):
            raise VenueRefusalError(refusals.UNAUTHORIZED, 401)
        return known

    def _check_l1(self, headers: Mapping[str, str], now_s: int) -> tuple[str, int]:
        from polybot.sandbox.exchange import typed_data  # noqa: PLC0415 - keeps start-up light

        address, nonce = headers.get("poly_address", ""), headers.get("poly_nonce", "0")
        stamp = headers.get("poly_timestamp", "")
        is_formed = (
            is_address(address)
            and nonce.isascii()
            and nonce.isdecimal()
            and len(nonce) < 78
            and self._is_timely(stamp, now_s)
        )
        signer = (
            typed_data.auth_signer(
                address=address,
                timestamp=stamp,
                nonce=int(nonce),
                signature=headers.get("poly_signature", ""),
            )
            if is_formed
            else None
        )
        if signer != address.lower():
            raise VenueRefusalError(refusals.INVALID_L1, 401)
        return signer, int(nonce)

    def _is_timely(self, stamp: str, now_s: int) -> bool:
        if not (stamp.isascii() and stamp.isdecimal() and len(stamp) < 16):
            return False
        return -self._rules.auth_past_s <= int(stamp) - now_s <= self._rules.auth_future_s

    def _derive(self, address: str, nonce: int) -> ApiKey:
        raw = digest("api-key", self._seed, address, nonce, size=16).hex()
        return ApiKey(
            key="-".join((raw[:8], raw[8:12], raw[12:16], raw[16:20], raw[20:])),
            owner=address,
            secret=base64.urlsafe_b64encode(
                digest("api-secret", self._seed, address, nonce)
            ).decode(),
            passphrase=digest("passphrase", self._seed, address, nonce).hex(),
        )


def is_address(text: str) -> bool:
    """Whether a text is an address in hexadecimal."""
    if len(text) != 42 or not text.startswith("0x"):
        return False
    return all(digit in "0123456789abcdefABCDEF" for digit in text[2:])
