"""Pages of the Data API about one wallet: trades, activity, positions.

A page is read as a whole or not at all only in its envelope: one bad row is counted and the
others are taken, because a row that can never be read must not hide a leader's trades for ever.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final

import msgspec

from polybot.adapters.polymarket.leader_feed.rows import NotTaken, read_row, wallet_of
from polybot.adapters.polymarket.wire.strict import (
    condition_id,
    decode,
    free_text,
    number,
    quote,
    shaped,
    token_id,
)
from polybot.domain.leaders import (
    FeedSource,
    LeaderAddress,
    LeaderConversion,
    LeaderPosition,
    LeaderTrade,
)
from polybot.domain.money import LARGEST, MICRO, Shares
from polybot.errors import DataError

MALFORMED: Final = "leader-page-malformed"
_LONGEST_CURSOR: Final = 4096
_LONGEST_TEXT: Final = 256
# A row takes some 20 microseconds, and a page has 500.
_ROWS_AT_ONCE: Final = 40


class _PaginationWire(msgspec.Struct):
    has_more: bool = False
    next_cursor: str | None = None


class _PageWire(msgspec.Struct):
    data: list[Any]
    pagination: _PaginationWire | None = None


class _PositionWire(msgspec.Struct):
    proxy_wallet: str
    token_id: Any
    condition_id: Any
    current_size: Any
    avg_price: Any = 0
    current_value: Any = 0
    realized_pnl: Any = 0
    status: str | None = None
    title: str | None = None
    slug: str | None = None
    outcome: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaderPage:
    """One page of a wallet's rows, in the venue's order, and where the next one begins."""

    trades: tuple[LeaderTrade, ...]
    conversions: tuple[LeaderConversion, ...]
    not_taken: Counter[str]
    """Rows by the reason why they tell of neither."""
    row_count: int
    next_cursor: str | None


async def read_leader_page(
    body: bytes, leader: LeaderAddress, *, received_at: datetime
) -> LeaderPage:
    """Read a page of a wallet's trades or activity: a v2 page, or a bare v1 list.

    Args:
        body: The answer.
        leader: The wallet that every row must be of.
        received_at: When it came.

    Raises:
        DataError: ``leader-page-malformed`` or an ``answer-…`` reason: the page tells nothing.
    """
    rows, cursor = _rows_of(body)
    trades: list[LeaderTrade] = []
    conversions: list[LeaderConversion] = []
    not_taken: Counter[str] = Counter()
    async for row in _unhurried(rows):
        found = read_row(row, wallet=leader, received_at=received_at, source=FeedSource.DATA_API)
        match found:
            case LeaderTrade():
                trades.append(found)
            case LeaderConversion():
                conversions.append(found)
            case NotTaken():
                not_taken[found.reason] += 1
    return LeaderPage(
        trades=tuple(trades),
        conversions=tuple(conversions),
        not_taken=not_taken,
        row_count=len(rows),
        next_cursor=cursor,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionPage:
    """One page of a wallet's positions."""

    positions: tuple[LeaderPosition, ...]
    not_taken: Counter[str]
    next_cursor: str | None


async def read_position_page(body: bytes, leader: LeaderAddress) -> PositionPage:
    """Read a page of ``GET /v2/positions`` of a wallet; errors as for trades."""
    rows, cursor = _rows_of(body)
    positions: list[LeaderPosition] = []
    not_taken: Counter[str] = Counter()
    async for row in _unhurried(rows):
        try:
            positions.append(_position(row, leader))
        except DataError as error:
            not_taken[error.reason] += 1
    return PositionPage(positions=tuple(positions), not_taken=not_taken, next_cursor=cursor)


def _rows_of(body: bytes) -> tuple[list[Any], str | None]:
    decoded = decode(body, Any, reason=MALFORMED)
    if isinstance(decoded, list):
        return decoded, None
    page = shaped(decoded, _PageWire, reason=MALFORMED)
    pagination = page.pagination or _PaginationWire()
    cursor = pagination.next_cursor or None
    if pagination.has_more != (cursor is not None):
        raise DataError("page says it is the last and names a next one, or not", reason=MALFORMED)
    if cursor is not None and (len(cursor) > _LONGEST_CURSOR or not cursor.isascii()):
        raise DataError(f"cursor is malformed: {quote(cursor)}", reason=MALFORMED)
    return page.data, cursor


async def _unhurried(rows: list[Any]) -> AsyncIterator[Any]:
    """Yield every row, and let frames of the stream be heard in between."""
    for count, row in enumerate(rows, start=1):
        yield row
        if count % _ROWS_AT_ONCE == 0:
            await asyncio.sleep(0)


def _position(row: object, leader: LeaderAddress) -> LeaderPosition:
    if wallet_of(row) != leader:
        raise DataError("a position is another wallet's", reason="wallet-not-asked")
    wire = shaped(row, _PositionWire, reason="position-malformed")
    return LeaderPosition(
        token_id=token_id(wire.token_id, reason="token-malformed"),
        condition_id=condition_id(wire.condition_id, reason="condition-malformed"),
        slug=_text(wire.slug),
        title=_text(wire.title),
        outcome=_text(wire.outcome),
        size=Shares(_amount(wire.current_size, "size", above=-1)),
        average_price=_amount(wire.avg_price, "average price", above=-1),
        value_usdc=_amount(wire.current_value, "value", above=-1),
        realised_pnl_usdc=_amount(wire.realized_pnl, "profit", above=-LARGEST),
        is_open=wire.status != "CLOSED",
    )


def _amount(value: object, name: str, *, above: Decimal | int) -> Decimal:
    """Return an amount as the venue computed it with floats, on the grid of 10⁻⁶."""
    exact = number(value, name, reason="position-malformed", above=above, at_most=LARGEST)
    if above == -1 and exact < 0:
        raise DataError(f"{name} is negative: {quote(exact)}", reason="position-malformed")
    return exact.quantize(MICRO, ROUND_HALF_EVEN)


def _text(value: str | None) -> str:
    return free_text(value or "", "text", reason="position-malformed", longest=_LONGEST_TEXT)
