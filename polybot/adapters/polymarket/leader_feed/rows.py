"""One row about a wallet: a typed trade, a typed conversion, or a named reason why neither.

The real-time stream and the older recordings write ``proxyWallet``, ``asset``, ``conditionId``;
the Data API v2 writes ``proxy_wallet``, ``token_id``, ``condition_id``. Nothing is guessed: a row
that is not exactly what it should be is a ``NotTaken``, and its reason is one of a closed set, so
that what comes from outside can neither raise nor make the counters grow.

Sources: docs.polymarket.com/migrate/data-api-v1-to-v2 and the models of polymarket-client 0.14.0
(both 2026-11-22); rows recorded from January to September 2026.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from polybot.adapters.polymarket.wire.strict import (
    condition_id,
    epoch,
    free_text,
    number,
    quote,
    token_id,
)
from polybot.domain.leaders import (
    ConversionKind,
    FeedSource,
    LeaderAddress,
    LeaderConversion,
    LeaderEvent,
    LeaderTrade,
)
from polybot.domain.money import LARGEST, MICRO, Shares
from polybot.domain.orders import Side
from polybot.errors import DataError

_WALLET: Final = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
_TRANSACTION: Final = re.compile(r"0x[0-9a-fA-F]{64}", re.ASCII)
_ZERO_WALLET: Final = "0x" + 40 * "0"
_LARGEST_SIZE: Final = 10**9
# Sizes are whole counts of 10⁻⁶ on chain; what floats add to them stays far below this.
_FLOAT_NOISE: Final = Decimal("1e-9")
_LONGEST_SLUG: Final = 256
_MAX_CLOCK_LEAD: Final = timedelta(seconds=60)
_SIDES: Final = {"BUY": Side.BUY, "SELL": Side.SELL}
_CONVERSIONS: Final = {
    "SPLIT": ConversionKind.SPLIT,
    "MERGE": ConversionKind.MERGE,
    "REDEEM": ConversionKind.REDEEM,
    "CONVERSION": ConversionKind.CONVERSION,
}
_MONEY_TYPES: Final = frozenset(
    {
        "REWARD",
        "MIGRATION",
        "DEPOSIT",
        "WITHDRAWAL",
        "YIELD",
        "MAKER_REBATE",
        "TAKER_REBATE",
        "REFERRAL_REWARD",
        "TIP",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NotTaken:
    """A row or frame that tells of no trade, or not in a way that can be believed."""

    reason: str
    """One of a closed set of slugs, by which they are counted."""
    detail: str = ""
    """A sentence for people, with short escaped pieces of what came."""


@dataclass(frozen=True, slots=True)
class _Names:
    """What the fields are called."""

    wallet: str
    token: str
    condition: str
    transaction: str
    usdc: str


_STREAM_NAMES: Final = _Names("proxyWallet", "asset", "conditionId", "transactionHash", "usdcSize")
_API_NAMES: Final = _Names(
    "proxy_wallet", "token_id", "condition_id", "transaction_hash", "usdc_size"
)


def wallet_of(row: object) -> LeaderAddress:
    """Return whose row it is, in lower case.

    Raises:
        DataError: ``row-malformed``, ``wallet-malformed``, or ``wallet-ambiguous`` where the two
            spellings of the field name two wallets.
    """
    if not isinstance(row, dict):
        raise DataError(f"a row is no object: {quote(row)}", reason="row-malformed")
    both = [row[names.wallet] for names in (_STREAM_NAMES, _API_NAMES) if names.wallet in row]
    if not both:
        raise DataError("a row names no wallet", reason="wallet-missing")
    if len(both) == 1:
        return _address(both[0])
    wallets = {_address(one) for one in both}
    if len(wallets) != 1:
        raise DataError("a row names two wallets", reason="wallet-ambiguous")
    return wallets.pop()


def read_row(
    row: object, *, wallet: LeaderAddress, received_at: datetime, source: FeedSource
) -> LeaderEvent | NotTaken:
    """Return what a strictly decoded row tells.

    Args:
        row: From ``strict.decode_text``: exact numbers, no key twice.
        wallet: Whose row it must be.
        received_at: When it came; a row from the future is not taken.
        source: Where it came from.
    """
    try:
        if wallet_of(row) != wallet:
            raise DataError("a row is another wallet's", reason="wallet-not-asked")
    except DataError as error:
        return NotTaken(reason=error.reason, detail=str(error))
    return read_row_of(row, wallet=wallet, received_at=received_at, source=source)


def read_row_of(
    row: object, *, wallet: LeaderAddress, received_at: datetime, source: FeedSource
) -> LeaderEvent | NotTaken:
    """Return what a row tells that ``wallet_of`` found to be a wallet's; as ``read_row``."""
    assert isinstance(row, dict)  # noqa: S101 - wallet_of has refused all else
    try:
        names = _API_NAMES if _API_NAMES.wallet in row else _STREAM_NAMES
        kind = row.get("type", "TRADE")
        if row.get("is_combo") is True or row.get("isCombo") is True:
            return NotTaken(reason="combo")
        if kind == "TRADE":
            return _trade(row, names, wallet, received_at, source)
        if isinstance(kind, str) and kind in _CONVERSIONS:
            return _conversion(row, names, wallet, received_at, _CONVERSIONS[kind])
        if isinstance(kind, str) and kind in _MONEY_TYPES:
            return NotTaken(reason="no-trade", detail=kind)
        raise DataError(f"activity type is unknown: {quote(kind)}", reason="type-unknown")
    except DataError as error:
        return NotTaken(reason=error.reason, detail=str(error))


def _trade(
    row: dict[str, object],
    names: _Names,
    wallet: LeaderAddress,
    received_at: datetime,
    source: FeedSource,
) -> LeaderTrade:
    side = row.get("side")
    if not isinstance(side, str) or side not in _SIDES:
        raise DataError(f"side must be BUY or SELL, was {quote(side)}", reason="side-unknown")
    return LeaderTrade(
        leader=wallet,
        transaction_hash=_transaction(row.get(names.transaction)),
        token_id=token_id(row.get(names.token), reason="token-malformed"),
        condition_id=condition_id(row.get(names.condition), reason="condition-malformed"),
        slug=_slug(row.get("slug")),
        side=_SIDES[side],
        price=_price(row.get("price")),
        size=_size(row.get("size")),
        traded_at=_instant(row.get("timestamp"), received_at),
        received_at=received_at,
        source=source,
    )


def _conversion(
    row: dict[str, object],
    names: _Names,
    wallet: LeaderAddress,
    received_at: datetime,
    kind: ConversionKind,
) -> LeaderConversion | NotTaken:
    # A redemption shows its shares as 0 and what was paid; a losing one shows 0 for both.
    amounts = [
        _amount(row[name]) for name in ("size", names.usdc) if row.get(name) not in (None, 0)
    ]
    if not amounts:
        return NotTaken(reason="conversion-of-nothing", detail=kind)
    return LeaderConversion(
        leader=wallet,
        transaction_hash=_transaction(row.get(names.transaction)),
        condition_id=condition_id(row.get(names.condition), reason="condition-malformed"),
        slug=_slug(row.get("slug")),
        kind=kind,
        size=amounts[0],
        happened_at=_instant(row.get("timestamp"), received_at),
        received_at=received_at,
    )


def _address(value: object) -> LeaderAddress:
    if not isinstance(value, str) or not _WALLET.fullmatch(value) or value == _ZERO_WALLET:
        raise DataError(f"wallet is no address: {quote(value)}", reason="wallet-malformed")
    return LeaderAddress(value.lower())


def _transaction(value: object) -> str:
    if not isinstance(value, str) or not _TRANSACTION.fullmatch(value):
        raise DataError(f"transaction hash is malformed: {quote(value)}", reason="hash-malformed")
    return value.lower()


def _price(value: object) -> Decimal:
    exact = number(value, "price", reason="price-out-of-range", above=0, at_most=1)
    # An average of several fills has all the digits of a float; 10⁻⁶ is finer than any tick.
    rounded = exact.quantize(MICRO, ROUND_HALF_EVEN)
    if not 0 < rounded < 1:
        raise DataError(
            f"price must be inside (0, 1), was {quote(exact)}", reason="price-out-of-range"
        )
    return rounded


def _size(value: object) -> Shares:
    exact = number(value, "size", reason="size-out-of-range", above=0, at_most=_LARGEST_SIZE)
    return _on_grid(exact)


def _amount(value: object) -> Shares:
    """Return a converted amount: one wallet may merge more than anybody trades at once."""
    exact = number(value, "amount", reason="size-out-of-range", above=0, at_most=LARGEST)
    return _on_grid(exact)


def _on_grid(exact: Decimal) -> Shares:
    rounded = exact.quantize(MICRO, ROUND_HALF_EVEN)
    if rounded <= 0 or abs(rounded - exact) > _FLOAT_NOISE:
        raise DataError(
            f"size must have at most 6 decimals, was {quote(exact)}", reason="size-off-grid"
        )
    return Shares(rounded)


def _instant(value: object, received_at: datetime) -> datetime:
    at = epoch(value, "trade time", reason="time-malformed")
    if at > received_at + _MAX_CLOCK_LEAD:
        raise DataError(f"trade is from the future: {at:%FT%TZ}", reason="time-in-future")
    return at


def _slug(value: object) -> str:
    """Return the market's name; it stays hostile, and nothing is found by it alone."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise DataError(f"slug is no text: {quote(value)}", reason="slug-malformed")
    return free_text(value, "slug", reason="slug-malformed", longest=_LONGEST_SLUG)
