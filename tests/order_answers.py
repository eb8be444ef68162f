"""What the venue answers to an order, right until changed, and how we read it."""

import json
from datetime import UTC, datetime
from typing import Any

from polybot.adapters.polymarket.order_wire import VenueAnswer, read_order_answer
from polybot.domain.orders import OrderId, TimeInForce

OURS = OrderId("0x" + "ab" * 32)
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ACCEPTED: dict[str, Any] = {
    "success": True,
    "errorMsg": "",
    "orderID": OURS,
    "status": "live",
    "makingAmount": "0",
    "takingAmount": "0",
    "transactionsHashes": [],
    "tradeIDs": [],
}
POST_ONLY = "post-only mode: only post-only orders and cancels are allowed"
FAK_KILLED = (
    "no orders found to match with FAK order. FAK orders are partially filled or killed if no "
    "match is found."
)


def read(
    status: int, body: dict[str, object], time_in_force: TimeInForce = TimeInForce.FAK
) -> VenueAnswer:
    return read_order_answer(
        OURS, time_in_force, status=status, headers={}, body=json.dumps(body).encode(), now=NOW
    )


def without(body: dict[str, object], key: str) -> dict[str, object]:
    return {name: value for name, value in body.items() if name != key}
