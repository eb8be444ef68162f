"""Trades of everybody: one page of ``GET /v2/trades`` of the Data API."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from polybot.adapters.polymarket.wire.strict import (
    condition_id,
    decode,
    epoch,
    number,
    quote,
    token_id,
)
from polybot.domain.markets import ConditionId, MarketTrade
from polybot.domain.money import shares_down
from polybot.errors import DataError

MALFORMED: Final = "trades-malformed"
_LARGEST_SIZE: Final = 10**9
_LONGEST_CURSOR: Final = 4096
_LONGEST_HASH: Final = 66
_MAX_CLOCK_LEAD: Final = timedelta(seconds=60)


class _TradeWire(msgspec.Struct):
    token_id: str
    condition_id: str
    size: Any
    price: Any
    timestamp: Any
    transaction_hash: str


class _PaginationWire(msgspec.Struct):
    has_more: bool
    next_cursor: str | None = None


class _PageWire(msgspec.Struct):
    data: list[_TradeWire]
    pagination: _PaginationWire


@dataclass(frozen=True, slots=True, kw_only=True)
class TradePage:
    """One page, in the venue's order, and where the next one begins."""

    trades: tuple[MarketTrade, ...]
    next_cursor: str | None


def parse_trade_page(body: bytes, asked: ConditionId, *, as_of: datetime) -> TradePage:
    """Read a page of trades of one market.

    Args:
        body: The answer.
        asked: The market that every row must be of.
        as_of: Now; a trade from the future is refused.

    Raises:
        DataError: ``trades-malformed``. One bad row refuses the page: a gap would go unseen.
    """
    wire = decode(body, _PageWire, reason=MALFORMED)
    cursor = wire.pagination.next_cursor or None
    if wire.pagination.has_more != (cursor is not None):
        raise DataError("page says it is the last and names a next one, or not", reason=MALFORMED)
    if cursor is not None and (len(cursor) > _LONGEST_CURSOR or not cursor.isascii()):
        raise DataError(f"cursor is malformed: {quote(cursor)}", reason=MALFORMED)
    return TradePage(
        trades=tuple(_trade(row, asked, as_of) for row in wire.data), next_cursor=cursor
    )


def _trade(row: _TradeWire, asked: ConditionId, as_of: datetime) -> MarketTrade:
    if condition_id(row.condition_id, reason=MALFORMED) != asked:
        raise DataError(f"trade is of market {quote(row.condition_id)}", reason=MALFORMED)
    traded_at = epoch(row.timestamp, "trade time", reason=MALFORMED)
    if traded_at > as_of + _MAX_CLOCK_LEAD:
        raise DataError(f"trade is from the future: {traded_at:%FT%TZ}", reason=MALFORMED)
    price = number(row.price, "trade price", reason=MALFORMED, above=0, at_most=1)
    size = number(row.size, "trade size", reason=MALFORMED, above=0, at_most=_LARGEST_SIZE)
    transaction = row.transaction_hash
    if len(transaction) > _LONGEST_HASH or not transaction.isalnum() or not transaction.isascii():
        raise DataError(f"transaction hash is malformed: {quote(transaction)}", reason=MALFORMED)
    return MarketTrade(
        token_id=token_id(row.token_id, reason=MALFORMED),
        price=price,
        # The Data API computes with floats: beyond the sixth decimal it is noise.
        size=shares_down(size),
        traded_at=traded_at,
        transaction_hash=transaction,
    )
