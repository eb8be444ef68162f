"""The order's hash, which is its id on the venue, and the signature over it.

Hand-packed: the struct's layout is fixed, so its words are joined and hashed without a generic
encoder; ``coincurve`` signs with the deterministic nonce of RFC 6979. Equal to both official
clients, byte for byte (tests/unit/test_signing_oracles.py).

Sources: eips.ethereum.org/EIPS/eip-712, eips.ethereum.org/EIPS/eip-7739 (2026-11-22).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, NoReturn, Protocol, SupportsIndex

import coincurve

from polybot.adapters.polymarket.contracts import (
    DEPOSIT_WALLET_NAME_HASH,
    DEPOSIT_WALLET_VERSION_HASH,
    ORDER_TYPE,
    ORDER_TYPE_HASH,
    TYPED_DATA_SIGN_TYPE_HASH,
)
from polybot.adapters.polymarket.keccak import Address, address_of, address_word, keccak256
from polybot.adapters.polymarket.order_fields import (
    ZERO_BYTES32,
    OrderFields,
    SignatureType,
    token_word,
)
from polybot.domain.orders import OrderId, Side
from polybot.errors import ConfigurationError, PermanentError

_ZERO_WORD: Final = bytes(32)
_SIDE_WORD: Final = {Side.BUY: _ZERO_WORD, Side.SELL: bytes(31) + b"\x01"}
_TYPE_WORD: Final = {kind: int(kind).to_bytes(32, "big") for kind in SignatureType}
# What an ERC-7739 signature ends with: the text of the type that was signed, and its length.
_CONTENTS_TYPE: Final = ORDER_TYPE.encode() + len(ORDER_TYPE).to_bytes(2, "big")
# Marks a signature that a deposit wallet must take apart as a session key's.
_SESSION_MAGIC: Final = bytes.fromhex("6492" * 16)
_PRIVATE_KEY: Final = re.compile(r"(?:0x)?[0-9a-fA-F]{64}", re.ASCII)
_CURVE_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


class Secret(Protocol):
    """Text that shows itself only when asked, such as pydantic's ``SecretStr``."""

    def get_secret_value(self) -> str:
        """Return the text."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedOrder:
    """An order ready to send."""

    order_id: OrderId
    fields: OrderFields
    signature: str = field(repr=False)
    """``0x`` and 65 bytes; 317 of a deposit wallet, 480 of its session key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HashedOrder:
    """An order's fields with what is computed of them once: hashes, id, lasting form."""

    fields: OrderFields
    contents: bytes
    """The fields' own hash, without the domain [32 bytes]."""
    digest: bytes
    """What is signed by a key that trades for itself [32 bytes]."""
    order_id: OrderId
    wire: Mapping[str, str | int]
    """As ``OrderFields.to_wire``; nobody changes it."""


def struct_hash(fields: OrderFields) -> bytes:
    """Return the EIP-712 hash of the order's fields without the domain [32 bytes]."""
    return keccak256(
        b"".join(
            (
                ORDER_TYPE_HASH,
                fields.salt.to_bytes(32, "big"),
                address_word(fields.maker),
                address_word(fields.signer),
                token_word(fields.token_id),
                fields.amounts.maker.to_bytes(32, "big"),
                fields.amounts.taker.to_bytes(32, "big"),
                _SIDE_WORD[fields.side],
                _TYPE_WORD[fields.signature_type],
                fields.timestamp_ms.to_bytes(32, "big"),
                _word(fields.metadata),
                _word(fields.builder),
            )
        )
    )


def hash_order(fields: OrderFields) -> HashedOrder:
    """Return an order with its hashes and the id that the venue will give it."""
    contents = struct_hash(fields)
    digest = _digest(fields.domain.separator, contents)
    return HashedOrder(
        fields=fields,
        contents=contents,
        digest=digest,
        order_id=OrderId("0x" + digest.hex()),
        wire=fields.to_wire(),
    )


def order_id_of(fields: OrderFields) -> OrderId:
    """Return the id that the venue will give an order: its EIP-712 hash, for every wallet."""
    return hash_order(fields).order_id


class OrderSigner:
    """Holds the private key; it signs and shows its address, nothing else.

    It cannot be copied or pickled, has no attribute that holds the key, and no frame of it binds
    the key's text to a name, so that no log or traceback that prints local variables shows it.
    """

    __slots__ = ("_address", "_sign_recoverable")

    _address: Address
    _sign_recoverable: Callable[[bytes], bytes]

    def __init__(self, private_key: Secret) -> None:
        """Take the key.

        Args:
            private_key: 64 hexadecimal digits, with or without ``0x``.

        Raises:
            ConfigurationError: Not a private key; the message does not repeat it.
        """
        if not _is_private_key(private_key):
            raise ConfigurationError(
                "private key must be 64 hexadecimal digits, not zero and below the curve's order"
            )
        key = _key_of(private_key)
        self._address = address_of(key.public_key.format(compressed=False))
        self._sign_recoverable = _recoverable_signer(key)

    @property
    def address(self) -> Address:
        """The key's address."""
        return self._address

    def sign_digest(self, digest: bytes) -> bytes:
        """Return ``r ‖ s ‖ v`` over a 32-byte digest, v being 27 or 28; the same every time."""
        signature = self._sign_recoverable(digest)
        return signature[:64] + bytes((signature[64] + 27,))

    def sign(self, fields: OrderFields) -> SignedOrder:
        """Return the order with its id and signature.

        Raises:
            PermanentError: The order names another key as its signer.
        """
        return self._sign(hash_order(fields))

    def rebuild(
        self,
        wire: Mapping[str, str | int],
        *,
        order_id: OrderId,
        known: HashedOrder | None = None,
    ) -> SignedOrder:
        """Return exactly the order that was made durable, signed again.

        Args:
            wire: The fields as ``OrderFields.to_wire`` gave them.
            order_id: The id that was made durable with them.
            known: What is believed to be the same, to save reading and hashing ``wire``.

        Raises:
            PermanentError: The fields are incomplete, or give another id: nothing may be sent.
        """
        if known is None or known.wire != wire:
            try:
                known = hash_order(OrderFields.from_wire(wire))
            except ValueError as error:
                raise PermanentError(f"order {order_id} cannot be rebuilt: {error}") from error
        if known.order_id != order_id:
            raise PermanentError(f"stored fields of {order_id} give another id, {known.order_id}")
        return self._sign(known)

    def _sign(self, order: HashedOrder) -> SignedOrder:
        fields = order.fields
        if fields.signature_type is SignatureType.DEPOSIT_WALLET:
            signature = self._sign_for_wallet(fields, order.contents)
        elif fields.signer == self._address:
            signature = self.sign_digest(order.digest)
        else:
            raise PermanentError(f"order is of signer {fields.signer}, key is of {self._address}")
        return SignedOrder(order_id=order.order_id, fields=fields, signature="0x" + signature.hex())

    def _sign_for_wallet(self, fields: OrderFields, contents: bytes) -> bytes:
        separator = fields.domain.separator
        wrapped = keccak256(
            b"".join(
                (
                    TYPED_DATA_SIGN_TYPE_HASH,
                    contents,
                    DEPOSIT_WALLET_NAME_HASH,
                    DEPOSIT_WALLET_VERSION_HASH,
                    fields.domain.chain_id.to_bytes(32, "big"),
                    address_word(fields.signer),
                    _ZERO_WORD,
                )
            )
        )
        inner = self.sign_digest(_digest(separator, wrapped))
        signature = inner + separator + contents + _CONTENTS_TYPE
        return self._as_session_key(signature) if fields.is_session_key else signature

    def _as_session_key(self, signature: bytes) -> bytes:
        # abi.encode(bytes32 signer, bytes32 0, bytes signature), then the marker.
        padding = bytes(-len(signature) % 32)
        return b"".join(
            (
                address_word(self._address),
                _ZERO_WORD,
                (96).to_bytes(32, "big"),
                len(signature).to_bytes(32, "big"),
                signature,
                padding,
                _SESSION_MAGIC,
            )
        )

    def __repr__(self) -> str:
        """Show the address alone."""
        # A traceback may print a signer whose construction failed half-way.
        return f"OrderSigner(address={getattr(self, '_address', None)}, key=<redacted>)"

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        """Refuse to leave this process, or to be copied in it."""
        raise TypeError("a signer holds a private key: it cannot be pickled or copied")


def _is_private_key(secret: Secret) -> bool:
    # The text is never bound to a name: tracebacks with local variables would print it.
    return (
        _PRIVATE_KEY.fullmatch(secret.get_secret_value()) is not None
        and 0 < int(secret.get_secret_value()[-64:], 16) < _CURVE_ORDER
    )


def _key_of(secret: Secret) -> coincurve.PrivateKey:
    try:
        return coincurve.PrivateKey(bytes.fromhex(secret.get_secret_value()[-64:]))
    except BaseException as error:
        # The library's own frames do bind the key to a name; an interrupt may arrive in them.
        raise error.with_traceback(None) from None


def _recoverable_signer(key: coincurve.PrivateKey) -> Callable[[bytes], bytes]:
    def sign_recoverable(digest: bytes) -> bytes:
        return key.sign_recoverable(digest, hasher=None)

    return sign_recoverable


def _digest(separator: bytes, hashed: bytes) -> bytes:
    return keccak256(b"\x19\x01" + separator + hashed)


def _word(hexadecimal: str) -> bytes:
    return _ZERO_WORD if hexadecimal is ZERO_BYTES32 else bytes.fromhex(hexadecimal[2:])
