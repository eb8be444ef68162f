"""Whose wallet is it: the contract wallets that belong to a key, by their deterministic addresses.

A wallet that the venue made for a key lies at an address which CREATE2 computes from the key's
own. So the signature type needs no guess, and a funder that belongs to another key is found before
the first order. The tests compare every address with the official client's.

Sources: eips.ethereum.org/EIPS/eip-1014; the factories' addresses and init codes as the official
client has them (polymarket-client 0.14.0, 2026-11-22).
"""

from dataclasses import dataclass
from typing import Final

from polybot.adapters.polymarket.contracts import DEPOSIT_WALLET_FACTORY
from polybot.adapters.polymarket.keccak import (
    Address,
    address_word,
    checksum_address,
    keccak256,
    parse_address,
)
from polybot.adapters.polymarket.order_fields import SignatureType, TradingAccount
from polybot.errors import ConfigurationError

PROXY_FACTORY: Final = Address("0xaB45c5A4B0c941a2F231C04C3f49182e1A254052")
SAFE_FACTORY: Final = Address("0xaacFeEa03eb1561C4e67d661e40682Bd20E3541b")
_PROXY_IMPLEMENTATION: Final = "44e999d5c2f66ef0861317f9a4805ac2e90aeb4f"
_SAFE_INIT_CODE_HASH: Final = "2bce2127ff07fb632d16c8347c4ebf501f4841168bed00d9e6ef715ddb6fcecf"
_DEPOSIT_IMPLEMENTATION: Final = "58ca52ebe0dadfdf531cde7062e76746de4db1eb"
_DEPOSIT_BEACON: Final = "7a18edfe055488a3128f01f563e5b479d92ffc3a"

_PROXY_INIT_CODE: Final = bytes.fromhex(
    "3d3d606380380380913d393d73" + PROXY_FACTORY[2:] + "5af4602a57600080fd5b602d8060366000396000f3"
    "363d3d373d3d3d363d73"
    + _PROXY_IMPLEMENTATION
    + "5af43d82803e903d91602b57fd5bf352e831dd"
    + (32).to_bytes(32, "big").hex()
    + bytes(32).hex()
)
# An ERC-1967 proxy with its arguments behind the code: their length is part of the first push.
_UUPS_PREFIX: Final = 0x61003D3D8160233D3973
_UUPS_CODE: Final = bytes.fromhex(
    _DEPOSIT_IMPLEMENTATION
    + "60095155f3363d3d373d3d363d7f360894a13ba1a3210667c828492db98dca3e2076"
    + "cc3735a920a3ca505d382bbc545af43d6000803e6038573d6000fd5b3d6000f3"
)
_BEACON_PREFIX: Final = 0x6100523D8160233D3973
_BEACON_CODE: Final = bytes.fromhex(
    _DEPOSIT_BEACON
    + "60195155f3363d3d373d3d363d602036600436635c60da"
    + "1b60e01b36527fa3f0ad74e5423aebfd80d3ef4346578335a9a72aeaee59ff6c"
    + "b3582b35133d50545afa5036515af43d6000803e604d573d6000fd5b3d6000f3"
)
_LENGTH_SHIFT: Final = 56
# A poisoned address shares what a person compares: its beginning and its end.
_COMPARED: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Wallet:
    """An address that a key controls, and how orders of it are signed."""

    address: Address
    signature_type: SignatureType
    kind: str


def wallets_of(key_address: Address) -> tuple[Wallet, ...]:
    """Return every wallet that the venue may have made for a key, its own address first."""
    word = address_word(key_address)
    arguments = address_word(DEPOSIT_WALLET_FACTORY) + word
    salt = keccak256(arguments)
    beacon = _with_arguments(_BEACON_PREFIX, _BEACON_CODE, arguments)
    uups = _with_arguments(_UUPS_PREFIX, _UUPS_CODE, arguments)
    proxy_salt = keccak256(bytes.fromhex(key_address[2:]))
    found = (
        (key_address, SignatureType.EOA, "the key's own address"),
        (
            _create2(DEPOSIT_WALLET_FACTORY, salt, keccak256(beacon)),
            SignatureType.DEPOSIT_WALLET,
            "deposit wallet",
        ),
        (
            _create2(DEPOSIT_WALLET_FACTORY, salt, keccak256(uups)),
            SignatureType.DEPOSIT_WALLET,
            "older deposit wallet",
        ),
        (
            _create2(PROXY_FACTORY, proxy_salt, keccak256(_PROXY_INIT_CODE)),
            SignatureType.PROXY,
            "proxy wallet",
        ),
        (
            _create2(SAFE_FACTORY, keccak256(word), bytes.fromhex(_SAFE_INIT_CODE_HASH)),
            SignatureType.SAFE,
            "Safe",
        ),
    )
    return tuple(
        Wallet(address=address, signature_type=kind, kind=name) for address, kind, name in found
    )


def account_of(
    key_address: Address,
    *,
    funder: str | None,
    signature_type: int | None,
    is_session_key: bool,
) -> TradingAccount:
    """Return whose funds trade, once key, funder and signature type agree.

    Args:
        key_address: Of the key that signs.
        funder: Wallet that holds the funds; ``None`` for the key's own address.
        signature_type: As the settings say it; ``None`` takes what the addresses prove.
        is_session_key: The key was lent by the funder, a deposit wallet.

    Raises:
        ConfigurationError: They contradict each other; the message says what would agree.
    """
    wallet = parse_address(funder) if funder is not None else key_address
    wallets = wallets_of(key_address)
    match = next((one for one in wallets if one.address == wallet), None)
    if is_session_key:
        return _session_account(key_address, wallet, match)
    if match is None:
        raise ConfigurationError(_stranger(key_address, wallet, wallets))
    if signature_type is not None and signature_type != match.signature_type:
        raise ConfigurationError(
            f"live.signature_type is {signature_type}, but funder {wallet} is the key's "
            f"{match.kind}: set {int(match.signature_type)}, or leave it out"
        )
    return TradingAccount(
        key_address=key_address, funder=wallet, signature_type=match.signature_type
    )


def _session_account(key_address: Address, wallet: Address, match: Wallet | None) -> TradingAccount:
    if match is not None:
        raise ConfigurationError(
            f"live.session_key is true, but the key owns funder {wallet} ({match.kind}): it could "
            "withdraw; set live.session_key to false, or use a key that the wallet lent"
        )
    return TradingAccount(
        key_address=key_address,
        funder=wallet,
        signature_type=SignatureType.DEPOSIT_WALLET,
        is_session_key=True,
    )


def _stranger(key_address: Address, wallet: Address, wallets: tuple[Wallet, ...]) -> str:
    similar = next((one for one in wallets if _looks_like(one.address, wallet)), None)
    if similar is not None:
        return (
            f"funder {wallet} looks like the key's {similar.kind} {similar.address} and is "
            "another address: copy it again, from the venue's own site"
        )
    known = ", ".join(f"{one.address} ({one.kind})" for one in wallets)
    return (
        f"funder {wallet} is no wallet of key {key_address}; its wallets are {known}; where a "
        "deposit wallet lent the key, set live.session_key to true"
    )


def _looks_like(one: str, other: str) -> bool:
    first, second = one.lower()[2:], other.lower()[2:]
    same_ends = (
        first[:_COMPARED] == second[:_COMPARED] and first[-_COMPARED:] == second[-_COMPARED:]
    )
    return same_ends or sum(a != b for a, b in zip(first, second, strict=True)) <= _COMPARED


def _with_arguments(prefix: int, code: bytes, arguments: bytes) -> bytes:
    return (prefix + (len(arguments) << _LENGTH_SHIFT)).to_bytes(10, "big") + code + arguments


def _create2(factory: Address, salt: bytes, init_code_hash: bytes) -> Address:
    raw = b"\xff" + bytes.fromhex(factory[2:]) + salt + init_code_hash
    return checksum_address(keccak256(raw)[12:])
