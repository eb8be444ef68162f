"""Orders of our account: pages of ``GET /data/orders``, and ``GET /data/order/{id}``.

Sources: docs.polymarket.com/api-reference/trade/get-user-orders, /resources/error-codes
(2026-11-22); frames recorded by the nautilus_trader project (July 2026).
"""

import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from polybot.adapters.polymarket.wire.strict import (
    condition_id,
    decode,
    epoch,
    instant,
    number,
    quote,
    shaped,
    token_id,
)
from polybot.domain.money import Shares, shares
from polybot.domain.orders import OrderId, Side, TradeId
from polybot.domain.venue_account import Cancellation, VenueOrder, VenueOrderStatus
from polybot.errors import DataError

MALFORMED: Final = "orders-malformed"
LAST_CURSOR: Final = "LTE="
_ORDER_ID: Final = re.compile(r"0x[0-9a-fA-F]{64}", re.ASCII)
_TRADE_ID: Final = re.compile(r"[0-9A-Za-z-]{1,80}", re.ASCII)
_CURSOR: Final = re.compile(r"[0-9A-Za-z+/=_-]{1,256}", re.ASCII)
_DIGITS: Final = re.compile(r"[0-9]{1,16}", re.ASCII)
_LARGEST_SIZE: Final = 10**9
# Seconds of the year 2100; larger counts are milliseconds.
_LATEST_S: Final = 4_102_444_800


class OrderWire(msgspec.Struct):
    """One order as REST and the user socket send it."""

    id: str
    market: str
    asset_id: str
    side: str
    price: Any
    original_size: Any
    size_matched: Any
    status: str
    created_at: Any = None
    associate_trades: list[str] | None = None


class _PageWire(msgspec.Struct):
    data: list[Any]
    next_cursor: str | None = None


class _CancelWire(msgspec.Struct):
    canceled: list[str] | None = None
    not_canceled: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPage:
    """One page of orders, and where the next one begins."""

    orders: tuple[VenueOrder, ...]
    next_cursor: str | None


def parse_order_page(body: bytes) -> OrderPage:
    """Read a page of open orders.

    Raises:
        DataError: ``orders-malformed``. One bad row refuses the page: an order would go unseen.
    """
    rows, cursor = page_of(body, reason=MALFORMED)
    orders = (venue_order(shaped(row, OrderWire, reason=MALFORMED)) for row in rows)
    return OrderPage(orders=tuple(orders), next_cursor=cursor)


def parse_order(body: bytes, asked: OrderId) -> VenueOrder | None:
    """Read one order; ``None`` where the venue answers that there is none.

    Raises:
        DataError: ``orders-malformed``, also where it is another order.
    """
    found: object = decode(body, Any, reason=MALFORMED)
    if not found and (found is None or isinstance(found, dict)):
        return None
    order = venue_order(shaped(found, OrderWire, reason=MALFORMED))
    if order.order_id != asked:
        raise DataError(f"asked for {asked}, got order {order.order_id}", reason=MALFORMED)
    return order


def parse_cancellation(body: bytes) -> Cancellation:
    """Read the answer to a cancel of one order or of all.

    Raises:
        DataError: ``cancel-malformed``.
    """
    wire = decode(body, _CancelWire, reason="cancel-malformed")
    refused = {
        order_id(one, reason="cancel-malformed"): quote(why)
        for one, why in (wire.not_canceled or {}).items()
    }
    return Cancellation(
        cancelled=tuple(order_id(one, reason="cancel-malformed") for one in wire.canceled or ()),
        refused=refused,
    )


def venue_order(wire: OrderWire) -> VenueOrder:
    """Return one order from its row; errors as in ``parse_order``."""
    trades = wire.associate_trades or []
    return VenueOrder(
        order_id=order_id(wire.id, reason=MALFORMED),
        condition_id=condition_id(wire.market, reason=MALFORMED),
        token_id=token_id(wire.asset_id, reason=MALFORMED),
        side=side(wire.side, reason=MALFORMED),
        price=number(wire.price, "order price", reason=MALFORMED, above=0, at_most=1),
        original_size=_size(wire.original_size, "order size"),
        matched_size=_matched(wire.size_matched),
        status=_status(wire.status),
        created_at=moment(wire.created_at, "order time", reason=MALFORMED),
        trade_ids=frozenset(trade_id(one, reason=MALFORMED) for one in trades),
    )


def page_of(body: bytes, *, reason: str) -> tuple[list[Any], str | None]:
    """Return the rows of a page and the next page's cursor, ``None`` after the last."""
    wire = decode(body, _PageWire, reason=reason)
    cursor = wire.next_cursor or LAST_CURSOR
    if cursor == LAST_CURSOR:
        return wire.data, None
    if not _CURSOR.fullmatch(cursor):
        raise DataError(f"cursor is malformed: {quote(cursor)}", reason=reason)
    return wire.data, cursor


def order_id(value: object, *, reason: str) -> OrderId:
    """Return an order's hash in lower case."""
    if not isinstance(value, str) or not _ORDER_ID.fullmatch(value):
        raise DataError(f"order id is malformed: {quote(value)}", reason=reason)
    return OrderId(value.lower())


def trade_id(value: object, *, reason: str) -> TradeId:
    """Return a trade's id, opaque text."""
    if not isinstance(value, str) or not _TRADE_ID.fullmatch(value):
        raise DataError(f"trade id is malformed: {quote(value)}", reason=reason)
    return TradeId(value)


def side(value: object, *, reason: str) -> Side:
    """Return what was done with the token."""
    if value not in ("BUY", "SELL"):
        raise DataError(f"side is neither BUY nor SELL: {quote(value)}", reason=reason)
    return Side(value)


def moment(value: object, name: str, *, reason: str) -> datetime | None:
    """Return an instant that comes as seconds, milliseconds or ISO text; ``None`` where empty."""
    if value in (None, "", 0, "0"):
        return None
    if isinstance(value, str) and not _DIGITS.fullmatch(value):
        return instant(value, name, reason=reason)
    count: object = int(value) if isinstance(value, str) else value
    is_ms = isinstance(count, int) and count >= _LATEST_S
    return epoch(count, name, reason=reason, per_second=1000 if is_ms else 1)


def on_grid(value: Decimal, name: str, *, reason: str) -> Shares:
    """Return a size on the grid of 10⁻⁶ shares."""
    try:
        return shares(value)
    except ValueError as error:
        raise DataError(f"{name} is off the grid: {quote(value)}", reason=reason) from error


def _matched(value: object) -> Shares | None:
    if value is None or value == "":
        return None
    return _size(value, "matched size")


def _size(value: object, name: str) -> Shares:
    # The grid's own check refuses what is negative and above -1.
    size = number(value, name, reason=MALFORMED, above=-1, at_most=_LARGEST_SIZE)
    return on_grid(size, name, reason=MALFORMED)


def _status(text: str) -> VenueOrderStatus:
    """Return a status; ``CANCELED_`` may be followed by any reason."""
    plain = text.removeprefix("ORDER_STATUS_").upper()
    for known in VenueOrderStatus:
        if plain == known or (plain.startswith(f"{known}_") and known is VenueOrderStatus.CANCELED):
            return known
    if plain == "CANCELLED" or plain.startswith("CANCELLED_"):
        return VenueOrderStatus.CANCELED
    raise DataError(f"order status is unknown: {quote(text)}", reason=MALFORMED)
