"""Exact money: prices, shares and USDC as decimals on the venue's own grid of 10⁻⁶.

The three types stop a price from being passed as a size. Arithmetic on them gives a bare
``Decimal``, because the unit changed; the caller says which unit, and which way to round, by the
constructor it uses. Rounding always goes against us: sizes and proceeds down, costs and fees up.
"""

import re
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final, NewType

Price = NewType("Price", Decimal)
"""USDC per share, inside (0, 1)."""
Shares = NewType("Shares", Decimal)
"""Outcome tokens, ≥ 0."""
Usdc = NewType("Usdc", Decimal)
"""US dollar coins; negative where money left us."""

MICRO: Final = Decimal("0.000001")
_PER_UNIT: Final = Decimal(1_000_000)
# Far above any real balance, and far below the 2⁶³ micro-units that a database integer holds.
LARGEST: Final = Decimal(10**12)
ZERO_USDC: Final = Usdc(Decimal(0))
ZERO_SHARES: Final = Shares(Decimal(0))
# Decimal() itself also takes "1_000", "１２" and "NaN"; the venue sends none of them.
_PLAIN_NUMBER: Final = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,2})?", re.ASCII)


def parse_decimal(value: object) -> Decimal:
    """Return the exact decimal of a number as people or venues write it.

    Args:
        value: ``Decimal``, ``int`` or plain ASCII text. A ``float`` is refused: it has already
            lost the digits that matter.

    Raises:
        ValueError: Not a plain finite number, or beyond ±10¹².
    """
    if isinstance(value, Decimal):
        number = value
    elif type(value) is int or (type(value) is str and _PLAIN_NUMBER.fullmatch(value)):
        number = Decimal(value)
    else:
        raise ValueError(f"must be a plain decimal number, was {str(value)[:40]!r}")
    if not number.is_finite() or abs(number) > LARGEST:
        raise ValueError(f"must be finite and within ±10¹², was {str(number)[:40]}")
    return number


def price(value: object) -> Price:
    """Return a price [USDC/share], inside (0, 1) and on the grid of 10⁻⁶."""
    number = parse_decimal(value)
    if not 0 < number < 1:
        raise ValueError(f"price must be inside (0, 1), was {number}")
    return Price(_on_grid(number, "price"))


def shares(value: object) -> Shares:
    """Return a size [shares], ≥ 0 and on the grid of 10⁻⁶."""
    number = parse_decimal(value)
    if number < 0:
        raise ValueError(f"size must not be negative, was {number}")
    return Shares(_on_grid(number, "size"))


def usdc(value: object) -> Usdc:
    """Return an amount [USDC] on the grid of 10⁻⁶; it may be negative."""
    return Usdc(_on_grid(parse_decimal(value), "amount"))


def usdc_up(value: Decimal) -> Usdc:
    """Round an amount we pay up to the next micro-USDC."""
    return Usdc(value.quantize(MICRO, ROUND_CEILING))


def usdc_down(value: Decimal) -> Usdc:
    """Round an amount we receive down to the last whole micro-USDC."""
    return Usdc(value.quantize(MICRO, ROUND_FLOOR))


def shares_down(value: Decimal, step: Decimal = MICRO) -> Shares:
    """Round a size down to a multiple of ``step`` [shares]."""
    return Shares((value // step * step).quantize(MICRO))


def price_down(value: Decimal, tick: Decimal) -> Decimal:
    """Round a price down to the tick grid; the result may be 0, which is no price."""
    return value // tick * tick


def to_micro(value: Decimal) -> int:
    """Return the integer count of 10⁻⁶ units.

    Raises:
        ValueError: The value is not on that grid; nothing is ever rounded on the way to a record.
    """
    scaled = value * _PER_UNIT
    count = int(scaled)
    if count != scaled:
        raise ValueError(f"{value} is finer than 10⁻⁶")
    return count


def from_micro(count: int) -> Decimal:
    """Return the decimal of an integer count of 10⁻⁶ units."""
    return MICRO * count


def text_of(value: Decimal) -> str:
    """Return plain decimal text without exponent and without trailing zeros (``"12.5"``)."""
    text = format(value, "f")
    return (text.rstrip("0").rstrip(".") or "0") if "." in text else text


def _on_grid(number: Decimal, what: str) -> Decimal:
    snapped = number.quantize(MICRO)
    if snapped != number:
        raise ValueError(f"{what} must have at most 6 decimals, was {number}")
    return snapped
