"""A wallet's winnings that wait to be redeemed, from the Data API's positions.

Source: docs.polymarket.com/api-reference/positions (v2, 2026-11-22). The API hides dust below a
tenth of a share.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import msgspec

from polybot.adapters.polymarket.wire.strict import condition_id, decode, number
from polybot.domain.markets import ConditionId
from polybot.errors import DataError

# Bounds are exclusive: nothing at all is a fine value.
_NOTHING: Final = Decimal("-1E-30")
MALFORMED: Final = "positions-malformed"
REDEEMABLE: Final = "REDEEMABLE"
"""Of a position that pays; one that lost is ``REDEEMABLE_LOST`` and worth nothing."""


class _PositionWire(msgspec.Struct):
    condition_id: Any
    status: str
    current_value: Any


class _Pagination(msgspec.Struct):
    has_more: bool = False
    next_cursor: str | None = None


class _PageWire(msgspec.Struct):
    data: list[_PositionWire]
    pagination: _Pagination = msgspec.field(default_factory=_Pagination)


@dataclass(frozen=True, slots=True, kw_only=True)
class RedeemablePage:
    """What resolved markets owe a wallet, by market, and where the next page begins."""

    payouts: tuple[tuple[ConditionId, Decimal], ...]
    """By market [USDC]."""
    next_cursor: str | None


def parse_redeemable_page(body: bytes) -> RedeemablePage:
    """Read a page of ``GET /v2/positions``; rows that wait for nothing are left out.

    Raises:
        DataError: ``positions-malformed``.
    """
    page = decode(body, _PageWire, reason=MALFORMED)
    if page.pagination.has_more and not page.pagination.next_cursor:
        raise DataError("positions go on nowhere", reason=MALFORMED)
    return RedeemablePage(
        payouts=tuple(
            (
                condition_id(row.condition_id, reason=MALFORMED),
                number(
                    row.current_value, "value", reason=MALFORMED, above=_NOTHING, at_most=10**12
                ),
            )
            for row in page.data
            if row.status == REDEEMABLE
        ),
        next_cursor=page.pagination.next_cursor if page.pagination.has_more else None,
    )
