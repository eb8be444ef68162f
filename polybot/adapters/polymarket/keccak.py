"""Keccak-256 and what Ethereum derives from it: addresses and their checksums.

``safe-pysha3`` is three times as fast as ``pycryptodome`` and an order needs three digests, but
it has no wheels for macOS and Windows; there the slower one serves. Not the standard library's
``sha3_256``: the finished standard pads differently.
"""

import re
from functools import lru_cache
from typing import Final, NewType

try:
    from sha3 import keccak_256 as _fast  # type: ignore[import-untyped]

    def keccak256(data: bytes) -> bytes:
        """Return the 32-byte Keccak-256 digest."""
        digest: bytes = _fast(data).digest()
        return digest

except ImportError:  # pragma: no cover - depends on the platform
    from Crypto.Hash import keccak as _portable

    def keccak256(data: bytes) -> bytes:
        """Return the 32-byte Keccak-256 digest."""
        return _portable.new(digest_bits=256, data=data).digest()


Address = NewType("Address", str)
"""``0x`` and 40 hexadecimal digits with the checksum of EIP-55."""

EMPTY_DIGEST: Final = "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)

# Another package named sha3 would sign orders that no exchange recognises.
if keccak256(b"").hex() != EMPTY_DIGEST:  # pragma: no cover - depends on the installation
    raise ImportError("the installed keccak package does not compute Keccak-256")


def parse_address(text: str) -> Address:
    """Return an address with its checksum.

    Args:
        text: All digits in one case, or mixed case with a valid checksum.

    Raises:
        ValueError: Malformed, zero, or a checksum that does not fit (a typing error).

    Source: eips.ethereum.org/EIPS/eip-55 (2026-11-22).
    """
    if not _ADDRESS.fullmatch(text):
        # Next to an address in a wallet stands its key, which is longer.
        shown = f"{text!a}" if len(text) <= 44 else f"({len(text)} characters)"
        raise ValueError(f"address must be 0x and 40 hexadecimal digits, was {shown}")
    address = checksum_address(bytes.fromhex(text[2:]))
    digits = text[2:]
    if digits not in (digits.lower(), digits.upper()) and text != address:
        raise ValueError(f"address has a wrong checksum: {text}")
    if not int(digits, 16):
        raise ValueError("address must not be zero")
    return address


def checksum_address(raw: bytes) -> Address:
    """Return the EIP-55 text of 20 bytes."""
    if len(raw) != 20:
        raise ValueError(f"an address has 20 bytes, these were {len(raw)}")
    digits = raw.hex()
    digest = keccak256(digits.encode()).hex()
    return Address(
        "0x"
        + "".join(
            digit.upper() if int(nibble, 16) >= 8 else digit
            for digit, nibble in zip(digits, digest, strict=False)
        )
    )


def address_of(public_key: bytes) -> Address:
    """Return the address of an uncompressed public key (65 bytes that begin with 4)."""
    if len(public_key) != 65 or public_key[0] != 4:
        raise ValueError("public key must be uncompressed")
    return checksum_address(keccak256(public_key[1:])[12:])


@lru_cache(maxsize=256)
def address_word(address: str) -> bytes:
    """Return an address as the 32 bytes in which EIP-712 hashes it.

    Raises:
        ValueError: Malformed.
    """
    if not _ADDRESS.fullmatch(address):
        raise ValueError(f"address is malformed: {address[:48]!a}")
    return bytes(12) + bytes.fromhex(address[2:])
