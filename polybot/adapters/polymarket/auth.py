"""The venue's two authentications: L1 with the private key, L2 with API credentials.

L1 makes or derives API credentials; L2 signs every private request. The time is an argument: the
venue refuses clocks that are off, so the caller has checked its own.

Source: docs.polymarket.com/developers/CLOB/authentication (2026-11-22).
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable
from typing import Final, NoReturn, SupportsIndex

from polybot.adapters.polymarket.contracts import POLYGON
from polybot.adapters.polymarket.keccak import Address, address_word, keccak256
from polybot.adapters.polymarket.signing import OrderSigner, Secret
from polybot.errors import ConfigurationError

_AUTH_DOMAIN_TYPE_HASH: Final = keccak256(
    b"EIP712Domain(string name,string version,uint256 chainId)"
)
_AUTH_TYPE_HASH: Final = keccak256(
    b"ClobAuth(address address,string timestamp,uint256 nonce,string message)"
)
_AUTH_NAME_HASH: Final = keccak256(b"ClobAuthDomain")
_AUTH_VERSION_HASH: Final = keccak256(b"1")
_AUTH_MESSAGE_HASH: Final = keccak256(b"This message attests that I control the given wallet")
_KEY_ID: Final = re.compile(r"[0-9A-Za-z-]{1,64}", re.ASCII)
# Header values: printable ASCII without spaces, so that nothing can end the line.
_PASSPHRASE: Final = re.compile(r"[!-~]{1,256}", re.ASCII)


class ApiCredentials:
    """API key, secret and passphrase; only the key's id can be seen."""

    __slots__ = ("_headers", "_mac", "_socket_login", "key_id")

    key_id: str
    """The ``owner`` of the orders that these credentials send."""
    _mac: Callable[[bytes], bytes]
    _headers: Callable[[], dict[str, str]]
    _socket_login: Callable[[], dict[str, str]]

    def __init__(self, *, key_id: str, secret: Secret, passphrase: Secret) -> None:
        """Take the credentials.

        Args:
            key_id: A UUID.
            secret: Base64 in the URL's alphabet.
            passphrase: Printable text.

        Raises:
            ConfigurationError: One is malformed; the message repeats none of them.
        """
        if not _KEY_ID.fullmatch(key_id):
            raise ConfigurationError("API key must be a UUID")
        if not _PASSPHRASE.fullmatch(passphrase.get_secret_value()):
            raise ConfigurationError("API passphrase must be printable text without spaces")
        mac = _mac_of(secret)
        if mac is None:
            raise ConfigurationError("API secret must be base64 in the URL's alphabet")
        self.key_id = key_id
        self._mac = mac
        self._headers = lambda: {
            "POLY_API_KEY": key_id,
            "POLY_PASSPHRASE": passphrase.get_secret_value(),
        }
        self._socket_login = lambda: {
            "apiKey": key_id,
            "secret": secret.get_secret_value(),
            "passphrase": passphrase.get_secret_value(),
        }

    def socket_login(self) -> dict[str, str]:
        """Return the credentials as the user socket wants them: whole, in its first frame.

        Source: docs.polymarket.com/market-data/websocket/user-channel (2026-11-22).
        """
        return self._socket_login()

    def signature(self, timestamp_s: int, method: str, path: str, body: bytes = b"") -> str:
        """Return the HMAC of a request.

        Args:
            timestamp_s: The ``POLY_TIMESTAMP`` of the same request [s since 1970].
            method: In capitals.
            path: Without host and without query string.
            body: Exactly the bytes that are sent.
        """
        message = f"{timestamp_s}{method}{path}".encode() + body
        return base64.urlsafe_b64encode(self._mac(message)).decode("ascii")

    def headers(
        self, address: Address, *, timestamp_s: int, method: str, path: str, body: bytes = b""
    ) -> dict[str, str]:
        """Return the L2 headers of a request; arguments as in ``signature``.

        Args:
            address: The key's address, not the funder's.
            timestamp_s: Now [s since 1970].
            method: In capitals.
            path: Without query string.
            body: Exactly the bytes that are sent.
        """
        return {
            "POLY_ADDRESS": address,
            "POLY_SIGNATURE": self.signature(timestamp_s, method, path, body),
            "POLY_TIMESTAMP": str(timestamp_s),
            **self._headers(),
        }

    def __repr__(self) -> str:
        """Show the key's id alone."""
        # A traceback may print credentials whose construction failed half-way.
        key_id = getattr(self, "key_id", None)
        return f"ApiCredentials(key_id={key_id}, secret=<redacted>, passphrase=<redacted>)"

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        """Refuse to leave this process, or to be copied in it."""
        raise TypeError("API credentials cannot be pickled or copied")


def login_headers(
    signer: OrderSigner, *, timestamp_s: int, nonce: int = 0, chain_id: int = POLYGON
) -> dict[str, str]:
    """Return the L1 headers that make or derive API credentials.

    Args:
        signer: Holds the key; its address becomes the credentials' owner.
        timestamp_s: Now [s since 1970].
        nonce: Which of the key's credentials.
        chain_id: 137 except in tests.
    """
    domain = keccak256(
        _AUTH_DOMAIN_TYPE_HASH + _AUTH_NAME_HASH + _AUTH_VERSION_HASH + chain_id.to_bytes(32, "big")
    )
    message = keccak256(
        _AUTH_TYPE_HASH
        + address_word(signer.address)
        + keccak256(str(timestamp_s).encode())
        + nonce.to_bytes(32, "big")
        + _AUTH_MESSAGE_HASH
    )
    signature = signer.sign_digest(keccak256(b"\x19\x01" + domain + message))
    return {
        "POLY_ADDRESS": signer.address,
        "POLY_SIGNATURE": "0x" + signature.hex(),
        "POLY_TIMESTAMP": str(timestamp_s),
        "POLY_NONCE": str(nonce),
    }


def _mac_of(secret: Secret) -> Callable[[bytes], bytes] | None:
    # The secret is never bound to a name: tracebacks with local variables would print it.
    try:
        keyed = hmac.new(_decoded(secret), digestmod=hashlib.sha256)
    except (binascii.Error, ValueError):
        return None

    def mac(message: bytes) -> bytes:
        copy = keyed.copy()
        copy.update(message)
        return copy.digest()

    return mac


def _decoded(secret: Secret) -> bytes:
    length = len(secret.get_secret_value().rstrip("="))
    decoded = base64.b64decode(
        secret.get_secret_value().rstrip("=") + "=" * (-length % 4), altchars=b"-_", validate=True
    )
    if not decoded:
        raise ValueError("empty")
    return decoded
