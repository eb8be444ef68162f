"""What the account holds and has allowed: ``GET /balance-allowance``.

Whole counts of 10⁻⁶ alone are read. Texts with a decimal point were seen in other people's test
data; which unit they are in is not known, so they are refused.

Source: docs.polymarket.com/api-reference/wallet/get-balance-allowance and the official client's
own model (polymarket-client 0.14.0), both 2026-11-22.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import msgspec

from polybot.adapters.polymarket.wire.strict import decode, quote
from polybot.domain.money import LARGEST, MICRO
from polybot.errors import DataError

MALFORMED: Final = "balance-malformed"
_COUNT: Final = re.compile(r"[0-9]{1,78}", re.ASCII)
_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)


class _BalanceWire(msgspec.Struct):
    balance: Any
    allowances: dict[str, Any] | None = None


class _ClosedOnlyWire(msgspec.Struct):
    closed_only: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """One asset of the wallet."""

    amount: Decimal
    """[USDC or shares]."""
    allowances: dict[str, Decimal]
    """What each contract may move, by its address in lower case; an unlimited allowance shows as
    10¹²."""


def parse_balance(body: bytes) -> Balance:
    """Read a balance with its allowances.

    Raises:
        DataError: ``balance-malformed``.
    """
    wire = decode(body, _BalanceWire, reason=MALFORMED)
    amount = _count(wire.balance, "balance") * MICRO
    if amount > LARGEST:
        raise DataError(f"balance is impossible: {quote(wire.balance)}", reason=MALFORMED)
    allowances = {
        _address(spender): min(_count(count, "allowance") * MICRO, LARGEST)
        for spender, count in (wire.allowances or {}).items()
    }
    return Balance(amount=amount, allowances=allowances)


def parse_closed_only(body: bytes) -> bool:
    """Read whether the venue lets the account only close positions.

    Raises:
        DataError: ``closed-only-malformed``.
    """
    return decode(body, _ClosedOnlyWire, reason="closed-only-malformed").closed_only


def _count(value: object, name: str) -> Decimal:
    if isinstance(value, str) and _COUNT.fullmatch(value):
        return Decimal(int(value))
    if type(value) is int and 0 <= value < 1 << 256:
        return Decimal(value)
    raise DataError(f"{name} is no count of micro-units: {quote(value)}", reason=MALFORMED)


def _address(text: str) -> str:
    if not _ADDRESS.fullmatch(text):
        raise DataError(f"spender is no address: {quote(text)}", reason=MALFORMED)
    return text.lower()
