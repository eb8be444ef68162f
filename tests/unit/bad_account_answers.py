"""The corpus of what the venue must not be believed about our account, each case with its name."""

import copy
import json
from typing import Any

from polybot.domain.orders import OrderId, PreparedOrder
from tests.builders import NOW, build_order
from tests.live_desk import FUNDER, order_row, trade_row
from tests.payloads import encoded
from tests.unit.bad_answers import not_json, shapeless

ORDER_ID = OrderId("0x" + "a1" * 32)
_PREPARED = PreparedOrder(order_id=ORDER_ID, order=build_order(), created_at=NOW)

Case = tuple[str, str, bytes, str]
"""Name, parser, answer, reason."""

GOOD: dict[str, Any] = {
    "order": order_row(_PREPARED),
    "orders": {"data": [order_row(_PREPARED)], "next_cursor": "LTE="},
    "own-trades": {"data": [trade_row(_PREPARED, ("0.51", "6"))], "next_cursor": "LTE="},
    "balance": {"balance": "12345678", "allowances": {FUNDER: "5"}},
    "closed-only": {"closed_only": False},
    "cancel": {"canceled": [ORDER_ID], "not_canceled": {}},
    "redeemable": {
        "data": [
            {"condition_id": "0x" + "c3" * 32, "status": "REDEEMABLE", "current_value": 7.25},
            {"condition_id": "0x" + "c4" * 32, "status": "OPEN", "current_value": "1"},
        ],
        "pagination": {"limit": 500, "has_more": True, "next_cursor": "abc"},
    },
}
_REASONS = {
    "order": "orders-malformed",
    "orders": "orders-malformed",
    "own-trades": "own-trades-malformed",
    "balance": "balance-malformed",
    "closed-only": "closed-only-malformed",
    "cancel": "cancel-malformed",
    "redeemable": "positions-malformed",
}
# Row 8 and row 11: what is no plain finite number, as text and as JSON.
_NO_NUMBERS: dict[str, Any] = {
    "nan": "NaN",
    "infinity": "Infinity",
    "minus-infinity": "-inf",
    "1e400": "1e400",
    "underscore": "1_000",
    "fullwidth": "１２.５",
    "arabic": "٣",
    "space": " 1",
    "newline": "1\n",
    "plus": "+1",
    "hex": "0x1",
    "comma": "1,5",
    "point-only": ".5",
    "5000-digits": "9" * 5000,
    "1e30": "1e30",
    "negative": "-1",
    "negative-fraction": "-0.5",
    "true": True,
    "list": [1],
    "object": {"a": 1},
}
_NO_TOKENS: dict[str, Any] = {
    "empty": "",
    "zero": "0",
    "negative": "-5",
    "hex": "0x12",
    "2-to-the-256": str(1 << 256),
    "79-digits": "1" * 79,
    "leading-zero": "01",
    "fullwidth": "１２",
    "newline": "12\n",
    "number": 12,
    "null": None,
}
_NO_IDS: dict[str, Any] = {
    "empty": "",
    "63-digits": "0x" + "a" * 63,
    "65-digits": "0x" + "a" * 65,
    "0X": "0X" + "a" * 64,
    "no-prefix": "a" * 64,
    "homoglyph": "0x" + "а" + "a" * 63,
    "newline": "0x" + "a" * 64 + "\n",
    "number": 10**63,
    "null": None,
}
_NO_SIDES: dict[str, Any] = {
    "lower-case": "buy",
    "trailing-space": "BUY ",
    "fullwidth": "ＢＵＹ",
    "unknown": "HOLD",
    "empty": "",
    "number": 0,
    "null": None,
}
_NO_MOMENTS: dict[str, Any] = {
    "negative": -1,
    "microseconds": 1_791_241_200_000_000,
    "nanoseconds": 1_791_241_200_000_000_000,
    "year-2286": 9_999_999_999_999_999,
    "year-million": "+1000000-01-01T00:00:00Z",
    "of-1970": 12,
    "arabic": "١٧٩١٢٤١٢٠٠",
    "fraction": 1_791_241_200.5,
    "naive": "2026-10-05T23:00:00",
    "offset": "2026-10-05T19:00:00-04:00",
    "true": True,
    "list": [1_791_241_200],
    "words": "yesterday",
}


def _changed(parser: str, path: tuple[str | int, ...], value: Any) -> bytes:
    payload = copy.deepcopy(GOOD[parser])
    node = payload
    for step in path[:-1]:
        node = node[step]
    assert path[-1] in node, path
    node[path[-1]] = value
    return encoded(payload)


def _field(
    parser: str, path: tuple[str | int, ...], values: dict[str, Any], *, fine: tuple[str, ...] = ()
) -> list[Case]:
    """Return a case for each wrong value of one field, but for those that mean something there."""
    return [
        (
            f"{parser}-{path[-1]}-{name}",
            parser,
            _changed(parser, path, value),
            _REASONS[parser],
        )
        for name, value in values.items()
        if name not in fine
    ]


def _missing(parser: str, path: tuple[str | int, ...], keys: tuple[str, ...]) -> list[Case]:
    cases = []
    for key in keys:
        payload = copy.deepcopy(GOOD[parser])
        node = payload
        for step in path:
            node = node[step]
        del node[key]
        cases.append((f"{parser}-{key}-missing", parser, encoded(payload), _REASONS[parser]))
    return cases


_ORDER_KEYS = (
    "id", "market", "asset_id", "side", "price", "original_size", "size_matched", "status",
)  # fmt: skip
_TRADE_KEYS = (
    "id", "taker_order_id", "market", "asset_id", "side", "size", "price", "status", "match_time",
    "trader_side",
)  # fmt: skip
_TRADE = ("data", 0)
_MAKER = ("data", 0, "maker_orders", 0)
_ZERO = {"zero": "0", "zero-number": 0, "minus-zero": "-0.0", "1e-400": "1e-400", "empty": ""}
_ONE = {"one": "1", "above-one": "1.01"}
# Empty answers about one order say that there is none, and an order or a page may be a list.
_MEANT = {
    "order": {"order-is-null", "order-is-{}"},
    "cancel": {"cancel-is-{}"},
}

CASES: list[Case] = [
    case
    for parser, good in GOOD.items()
    for case in (*not_json(parser, encoded(good)), *shapeless(parser, _REASONS[parser]))
    if case[0] not in _MEANT.get(parser, ())
]
CASES += [
    *_missing("order", (), _ORDER_KEYS),
    *_missing("own-trades", _TRADE, _TRADE_KEYS),
    *_missing("own-trades", _MAKER, ("order_id", "matched_amount")),
    *_field("order", ("id",), _NO_IDS),
    *_field("order", ("asset_id",), _NO_TOKENS),
    *_field("order", ("side",), _NO_SIDES),
    *_field("order", ("price",), {**_NO_NUMBERS, **_ZERO, "above-one": "1.01"}),
    *_field("order", ("original_size",), {**_NO_NUMBERS, "empty": "", "fine": "0.0000001"}),
    *_field("order", ("size_matched",), {**_NO_NUMBERS, "fine": "0.0000001"}),
    *_field("order", ("created_at",), _NO_MOMENTS),
    *_field("own-trades", (*_TRADE, "taker_order_id"), _NO_IDS),
    *_field("own-trades", (*_TRADE, "asset_id"), _NO_TOKENS),
    *_field("own-trades", (*_TRADE, "side"), _NO_SIDES),
    *_field("own-trades", (*_TRADE, "price"), {**_NO_NUMBERS, **_ZERO, **_ONE}),
    *_field("own-trades", (*_TRADE, "size"), {**_NO_NUMBERS, **_ZERO}),
    *_field("own-trades", (*_TRADE, "match_time"), {**_NO_MOMENTS, "zero": 0, "null": None}),
    *_field("own-trades", (*_MAKER, "order_id"), _NO_IDS),
    *_field("own-trades", (*_MAKER, "matched_amount"), {**_NO_NUMBERS, **_ZERO}),
    *_field("balance", ("balance",), {**_NO_NUMBERS, "fraction": "1.5", "null": None}),
    *_field("balance", ("allowances", FUNDER), {**_NO_NUMBERS, "null": None}),
    *_field("closed-only", ("closed_only",), {"text": "false", "zero": 0, "null": None}),
    *_missing("redeemable", ("data", 0), ("condition_id", "status", "current_value")),
    *_field("redeemable", ("data", 0, "condition_id"), _NO_IDS),
    *_field("redeemable", ("data", 0, "current_value"), {**_NO_NUMBERS, "null": None}),
    *_field("redeemable", ("pagination", "next_cursor"), {"null": None, "empty": "", "number": 1}),
    *_field("cancel", ("canceled",), {"text": ORDER_ID, "object": {}, "number": 1}),
    *_field("cancel", ("canceled",), {f"id-{name}": [bad] for name, bad in _NO_IDS.items()}),
]


def _order_frames() -> list[tuple[str, str]]:
    """The same orders as events of the user socket, broken JSON included."""
    return [
        (f"frame-{name}", '{"event_type":"order",' + body[1:].decode())
        for name, parser, body, reason in CASES
        if parser == "order" and body.startswith(b"{") and reason != "answer-encoding"
    ]


def _trade_frames() -> list[tuple[str, str]]:
    """The same trades as events of the user socket."""
    return [
        (f"frame-{name}", json.dumps({"event_type": "trade", **json.loads(body)["data"][0]}))
        for name, parser, body, reason in CASES
        if parser == "own-trades" and reason == _REASONS[parser] and body.startswith(b'{"data": [{')
    ]


FRAMES: list[tuple[str, str]] = [*_order_frames(), *_trade_frames()]
