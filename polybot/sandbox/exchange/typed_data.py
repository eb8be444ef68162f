"""Hashes and signers of typed data, by the official Ethereum library.

Deliberately not the bot's own code: the venue must not share its mistakes. The library takes
more than a second to import, so that happens when the first signature arrives.

Sources: eips.ethereum.org/EIPS/eip-712 and /eip-7739; field order of the ``Order`` struct from
docs.polymarket.com/migrate/polymarket-v2/contract-integrations (2026-11-22).
"""

import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from polybot.sandbox.exchange.rules import CHAIN_ID, ExchangeDomain

if TYPE_CHECKING:
    from eth_account.messages import SignableMessage

_FIELDS: Final = (
    ("salt", "uint256"),
    ("maker", "address"),
    ("signer", "address"),
    ("tokenId", "uint256"),
    ("makerAmount", "uint256"),
    ("takerAmount", "uint256"),
    ("side", "uint8"),
    ("signatureType", "uint8"),
    ("timestamp", "uint256"),
    ("metadata", "bytes32"),
    ("builder", "bytes32"),
)
_ORDER_TYPE: Final = "Order(" + ",".join(f"{kind} {name}" for name, kind in _FIELDS) + ")"
_ORDER: Final = [{"name": name, "type": kind} for name, kind in _FIELDS]
_DOMAIN: Final = [
    {"name": "name", "type": "string"},
    {"name": "version", "type": "string"},
    {"name": "chainId", "type": "uint256"},
    {"name": "verifyingContract", "type": "address"},
]
_WRAPPER: Final = [
    {"name": "contents", "type": "Order"},
    {"name": "name", "type": "string"},
    {"name": "version", "type": "string"},
    {"name": "chainId", "type": "uint256"},
    {"name": "verifyingContract", "type": "address"},
    {"name": "salt", "type": "bytes32"},
]
_AUTH: Final = [
    {"name": "address", "type": "address"},
    {"name": "timestamp", "type": "string"},
    {"name": "nonce", "type": "uint256"},
    {"name": "message", "type": "string"},
]
_AUTH_WORDS: Final = "This message attests that I control the given wallet"
# A session key's signature is packed with the key's address and ends with this (as ERC-6492 does).
_SESSION_MARK: Final = bytes.fromhex("6492" * 16)
_WALLET_SIGNATURE_BYTES: Final = 65 + 32 + 32 + len(_ORDER_TYPE) + 2


class SignedFields(Protocol):
    """The signed part of an order, as its JSON names it."""

    @property
    def message(self) -> dict[str, Any]:
        """The struct's fields."""
        ...

    @property
    def signature(self) -> str:
        """Hexadecimal, with 0x."""
        ...

    @property
    def maker(self) -> str:
        """Whose assets are traded."""
        ...


def order_hash(order: SignedFields, domain: ExchangeDomain) -> str:
    """Return the order's id at one exchange: its EIP-712 hash."""
    return "0x" + _digest(_order_message(order, domain)).hex()


def order_signer(order: SignedFields, domain: ExchangeDomain) -> str | None:
    """Return the lower-case address that signed an order of type 0, 1 or 2."""
    return _recover(_digest(_order_message(order, domain)), _bytes(order.signature))


@dataclass(frozen=True, slots=True)
class WalletSigner:
    """Who signed for a deposit wallet."""

    address: str
    """In lower case."""
    is_session_key: bool


def wallet_order_signer(order: SignedFields, domain: ExchangeDomain) -> WalletSigner | None:
    """Return who signed an order of type 3, through the wrapper of a deposit wallet (ERC-7739).

    The signature is followed by the exchange's domain separator, the order's struct hash, the
    type's text and its length, and all of them must be right. A session key's one is packed once
    more, with the address that it must recover to.
    """
    raw, session_key = _bytes(order.signature), None
    if raw.endswith(_SESSION_MARK):
        session_key, raw = _unpack_session(raw)
    if len(raw) != _WALLET_SIGNATURE_BYTES:
        return None
    plain = _order_message(order, domain)
    wanted = plain.header + plain.body + _ORDER_TYPE.encode()
    if raw[65:] != wanted + len(_ORDER_TYPE).to_bytes(2):
        return None
    wrapped = _encode(
        domain,
        "TypedDataSign",
        {"TypedDataSign": _WRAPPER, "Order": _ORDER},
        {
            "contents": order.message,
            "name": "DepositWallet",
            "version": "1",
            "chainId": CHAIN_ID,
            "verifyingContract": order.maker,
            "salt": bytes(32),
        },
    )
    signer = _recover(_digest(wrapped), raw[:65])
    if signer is None or session_key not in (None, signer):
        return None
    return WalletSigner(signer, session_key is not None)


def _unpack_session(raw: bytes) -> tuple[str, bytes]:
    """Return the key's address and the inner signature of ``(bytes32, bytes32, bytes)``."""
    head, length = raw[:96], int.from_bytes(raw[96:128])
    inner, rest = raw[128 : 128 + length], raw[128 + length : -len(_SESSION_MARK)]
    is_sound = head[32:] == bytes(32) + (96).to_bytes(32) and not any(rest) and len(rest) < 32
    return "0x" + head[12:32].hex(), inner if is_sound and not any(head[:12]) else b""


def auth_signer(*, address: str, timestamp: str, nonce: int, signature: str) -> str | None:
    """Return who signed an L1 authentication, in lower case."""
    from eth_account.messages import encode_typed_data  # noqa: PLC0415 - slow to import

    message = encode_typed_data(
        full_message={
            "domain": {"name": "ClobAuthDomain", "version": "1", "chainId": CHAIN_ID},
            "types": {"EIP712Domain": _DOMAIN[:3], "ClobAuth": _AUTH},
            "primaryType": "ClobAuth",
            "message": {
                "address": address,
                "timestamp": timestamp,
                "nonce": nonce,
                "message": _AUTH_WORDS,
            },
        }
    )
    return _recover(_digest(message), _bytes(signature))


def _order_message(order: SignedFields, domain: ExchangeDomain) -> "SignableMessage":
    return _encode(domain, "Order", {"Order": _ORDER}, order.message)


def _encode(
    domain: ExchangeDomain,
    primary: str,
    types: dict[str, list[dict[str, str]]],
    message: dict[str, Any],
) -> "SignableMessage":
    from eth_account.messages import encode_typed_data  # noqa: PLC0415 - slow to import

    return encode_typed_data(
        full_message={
            "domain": {
                "name": "Polymarket CTF Exchange",
                "version": domain.version,
                "chainId": CHAIN_ID,
                "verifyingContract": domain.contract,
            },
            "types": {"EIP712Domain": _DOMAIN, **types},
            "primaryType": primary,
            "message": message,
        }
    )


def _digest(message: "SignableMessage") -> bytes:
    from eth_utils.crypto import keccak  # noqa: PLC0415 - slow to import

    return keccak(b"\x19" + message.version + message.header + message.body)


def _recover(digest: bytes, signature: bytes) -> str | None:
    from eth_keys.datatypes import Signature  # noqa: PLC0415 - slow to import
    from eth_keys.exceptions import BadSignature  # noqa: PLC0415
    from eth_utils.exceptions import ValidationError  # noqa: PLC0415

    if len(signature) != 65 or signature[64] not in (27, 28):
        return None
    try:
        found = Signature(signature[:64] + bytes((signature[64] - 27,)))
        return found.recover_public_key_from_msg_hash(digest).to_address()
    except (BadSignature, ValidationError):
        return None


def _bytes(text: str) -> bytes:
    try:
        return binascii.unhexlify(text.removeprefix("0x"))
    except ValueError:
        return b""
