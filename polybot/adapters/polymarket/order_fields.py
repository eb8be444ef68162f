"""What is signed and sent for one order, and its lasting form in the ledger.

The lasting form holds every field that the order's hash or the request depends on, and no
signature: signing is deterministic, so the same fields give the same bytes again.
"""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Final, Self

from polybot.adapters.polymarket.amounts import OrderAmounts, amounts_of
from polybot.adapters.polymarket.contracts import ExchangeDomain, domain_of, exchange_domain
from polybot.adapters.polymarket.keccak import Address, address_word
from polybot.domain.orders import Order, Side, TimeInForce

ZERO_BYTES32: Final = "0x" + 64 * "0"
# The salt travels as a JSON number, which many readers hold as a double.
SALT_BITS: Final = 53
# 2020 and 2100 [ms]: outside lie seconds and microseconds taken for milliseconds.
_EARLIEST_MS: Final = 1_577_836_800_000
_LATEST_MS: Final = 4_102_444_800_000
_TOKEN_ID: Final = re.compile(r"[1-9][0-9]{0,77}", re.ASCII)
_BYTES32: Final = re.compile(r"0x[0-9a-f]{64}", re.ASCII)


class SignatureType(IntEnum):
    """How the exchange checks a signature: by the kind of wallet that holds the funds."""

    EOA = 0
    """The key's own address."""
    PROXY = 1
    """A proxy wallet of an e-mail account."""
    SAFE = 2
    """A Gnosis Safe of a browser wallet."""
    DEPOSIT_WALLET = 3
    """A deposit wallet (ERC-1271); all new accounts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingAccount:
    """Whose funds trade, and whose key signs for them."""

    key_address: Address
    funder: Address
    """The wallet that holds the funds."""
    signature_type: SignatureType
    is_session_key: bool = False
    """Whether the key is one that a deposit wallet's owner lent: it trades, it cannot withdraw."""

    def __post_init__(self) -> None:
        """Refuse combinations that the venue refuses."""
        owns_directly = self.funder == self.key_address
        if owns_directly is not (self.signature_type is SignatureType.EOA):
            raise ValueError(
                f"only signature type 0 trades from the key's own address: type "
                f"{int(self.signature_type)}, key {self.key_address}, funder {self.funder}"
            )
        if self.is_session_key and self.signature_type is not SignatureType.DEPOSIT_WALLET:
            raise ValueError("only deposit wallets (type 3) know session keys")

    @property
    def order_signer(self) -> Address:
        """The address in the order's ``signer`` field: a deposit wallet signs for itself."""
        is_contract = self.signature_type is SignatureType.DEPOSIT_WALLET
        return self.funder if is_contract else self.key_address


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFields:
    """Every field of one order on the wire; the first eleven after ``domain`` are hashed."""

    domain: ExchangeDomain
    salt: int
    maker: Address
    signer: Address
    token_id: str
    amounts: OrderAmounts
    side: Side
    signature_type: SignatureType
    timestamp_ms: int
    metadata: str = ZERO_BYTES32
    builder: str = ZERO_BYTES32
    time_in_force: TimeInForce
    expires_s: int = 0
    """Epoch second after which a GTD order is dead, else 0; not part of the hash."""
    is_post_only: bool = False
    is_session_key: bool = False

    def __post_init__(self) -> None:
        """Refuse fields that cannot be hashed or sent as they are."""
        if not 0 < self.salt < 1 << SALT_BITS:
            raise ValueError(f"salt must be positive and below 2^{SALT_BITS}, was {self.salt}")
        if not _EARLIEST_MS < self.timestamp_ms < _LATEST_MS:
            raise ValueError(f"timestamp must be in milliseconds, was {self.timestamp_ms}")
        for word in (self.metadata, self.builder):
            if word is not ZERO_BYTES32 and not _BYTES32.fullmatch(word):
                raise ValueError(f"metadata and builder must be 32 bytes, one was {word[:80]!a}")
        if self.is_post_only and not self.time_in_force.rests:
            raise ValueError(f"only resting orders are post-only, not {self.time_in_force}")
        if (self.expires_s > 0) is not (self.time_in_force is TimeInForce.GTD):
            raise ValueError(f"only GTD expires: {self.time_in_force}, {self.expires_s}")
        token_word(self.token_id)
        address_word(self.maker)
        address_word(self.signer)

    def to_wire(self) -> dict[str, str | int]:
        """Return the fields as the ledger keeps them beside the intent."""
        return {
            "contract": self.domain.contract,
            "domain_version": self.domain.version,
            "chain_id": self.domain.chain_id,
            "salt": self.salt,
            "maker": self.maker,
            "signer": self.signer,
            "token_id": self.token_id,
            "maker_amount": self.amounts.maker,
            "taker_amount": self.amounts.taker,
            "side": self.side.value,
            "signature_type": int(self.signature_type),
            "timestamp_ms": self.timestamp_ms,
            "metadata": self.metadata,
            "builder": self.builder,
            "order_type": self.time_in_force.value,
            "expires_s": self.expires_s,
            "post_only": int(self.is_post_only),
            "session_key": int(self.is_session_key),
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, str | int]) -> Self:
        """Return the fields that were kept.

        Raises:
            ValueError: A field is missing, of another type, or impossible.
        """
        return cls(
            domain=exchange_domain(
                _text(wire, "domain_version"), _count(wire, "chain_id"), _text(wire, "contract")
            ),
            salt=_count(wire, "salt"),
            maker=Address(_text(wire, "maker")),
            signer=Address(_text(wire, "signer")),
            token_id=_text(wire, "token_id"),
            amounts=OrderAmounts(
                maker=_count(wire, "maker_amount"), taker=_count(wire, "taker_amount")
            ),
            side=Side(_text(wire, "side")),
            signature_type=SignatureType(_count(wire, "signature_type")),
            timestamp_ms=_count(wire, "timestamp_ms"),
            metadata=_text(wire, "metadata"),
            builder=_text(wire, "builder"),
            time_in_force=TimeInForce(_text(wire, "order_type")),
            expires_s=_count(wire, "expires_s"),
            is_post_only=_flag(wire, "post_only"),
            is_session_key=_flag(wire, "session_key"),
        )


def fields_of(
    order: Order,
    account: TradingAccount,
    *,
    salt: int,
    timestamp_ms: int,
) -> OrderFields:
    """Return what is to be signed for an approved order.

    Args:
        order: What risk approved.
        account: Whose funds and whose key.
        salt: A fresh one from ``new_salt``; kept with the intent.
        timestamp_ms: When the order was made [ms since 1970]; kept with the intent.

    Returns:
        The fields. A GTD order carries ``expires_at`` itself. The venue stops matching a minute
        before, so the order may live shorter than it could, never longer than it should.

    Raises:
        DataError: As ``amounts_of`` and ``domain_of``.
    """
    expires_s = int(order.expires_at.timestamp()) if order.expires_at is not None else 0
    return OrderFields(
        domain=domain_of(order.market, order.token_id),
        salt=salt,
        maker=account.funder,
        signer=account.order_signer,
        token_id=order.token_id,
        amounts=amounts_of(order),
        side=order.side,
        signature_type=account.signature_type,
        timestamp_ms=timestamp_ms,
        time_in_force=order.time_in_force,
        expires_s=expires_s,
        is_post_only=order.is_post_only,
        is_session_key=account.is_session_key,
    )


def new_salt() -> int:
    """Return a fresh salt from the operating system's randomness; never 0."""
    return secrets.randbits(SALT_BITS) or 1


# An order asks twice; the orders of a market name the same two tokens.
@lru_cache(maxsize=256)
def token_word(token_id: str) -> bytes:
    """Return a token id as the 32 bytes in which EIP-712 hashes it.

    Raises:
        ValueError: Not decimal, or not below 2²⁵⁶.
    """
    if not _TOKEN_ID.fullmatch(token_id) or (number := int(token_id)) >> 256:
        raise ValueError(f"token id must be decimal below 2^256, was {token_id[:80]!a}")
    return number.to_bytes(32, "big")


def _text(wire: Mapping[str, str | int], key: str) -> str:
    value = wire.get(key)
    if type(value) is not str:
        raise ValueError(f"stored order has no text {key}")
    return value


def _count(wire: Mapping[str, str | int], key: str) -> int:
    value = wire.get(key)
    if type(value) is not int or value < 0:
        raise ValueError(f"stored order has no count {key}")
    return value


def _flag(wire: Mapping[str, str | int], key: str) -> bool:
    value = _count(wire, key)
    if value > 1:
        raise ValueError(f"stored order has no flag {key}")
    return bool(value)
