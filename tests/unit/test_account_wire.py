"""Reading what the venue says of our account: orders, trades, balances, cancels."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from polybot.adapters.polymarket import wire
from polybot.adapters.polymarket.wire.own_trades import own_trades
from polybot.domain.orders import FillStatus, Liquidity, OrderId, PreparedOrder, Side
from polybot.domain.venue_account import VenueOrderStatus, VenueTrade, VenueTradeStatus
from polybot.errors import DataError
from tests.builders import CRYPTO_FEES, NOW, build_market, build_order
from tests.live_desk import FUNDER, maker_row, order_row, trade_row
from tests.payloads import encoded
from tests.shared_data import require
from tests.unit.bad_account_answers import GOOD as ACCOUNT

ORDER_ID = OrderId("0x" + "a1" * 32)
OTHER_ID = "0x" + "b2" * 32
UP, DOWN = build_market().token_ids.values()


def prepared(side: Side = Side.BUY) -> PreparedOrder:
    return PreparedOrder(order_id=ORDER_ID, order=build_order(side), created_at=NOW)


def read(row: dict[str, Any]) -> tuple[VenueTrade, ...]:
    return own_trades(json.loads(json.dumps(row)), funder=FUNDER).trades


def facts(trades: tuple[VenueTrade, ...]) -> list[tuple[int, str, str]]:
    return [
        (one.leg, str(one.price.normalize()), format(one.size.normalize(), "f")) for one in trades
    ]


def _shouted(hexadecimal: str) -> str:
    return "0x" + hexadecimal[2:].upper()


def fixture(name: str) -> Any:
    """Return a recorded answer; its order ids were made up a byte too long."""
    text = require("ws", "nautilus_polymarket_fixtures.json").read_text()
    return json.loads(text.replace(4 * "1234567890abcdef" + "12", ORDER_ID[2:]))[name]


# Trades -----------------------------------------------------------------------------------------


def test_taker_pays_what_its_makers_asked() -> None:
    """The row's own price is the limit; one leg a price, the best first."""
    (first, second) = trades = read(trade_row(prepared(), ("0.52", "4"), ("0.51", "6")))
    assert facts(trades) == [(0, "0.51", "6"), (1, "0.52", "4")]
    assert {first.order_id, second.order_id} == {ORDER_ID}
    assert (first.side, first.token_id, first.liquidity) == (Side.BUY, UP, Liquidity.TAKER)


def test_seller_gets_its_best_price_first() -> None:
    """Bids of two makers."""
    trades = read(trade_row(prepared(Side.SELL), ("0.49", "4"), ("0.5", "6")))
    assert facts(trades) == [(0, "0.5", "6"), (1, "0.49", "4")]


def test_makers_at_one_price_are_one_leg() -> None:
    """A leg is a price, so that its number never changes with the makers' order."""
    assert facts(read(trade_row(prepared(), ("0.51", "4"), ("0.51", "6")))) == [(0, "0.51", "10")]


def test_legs_do_not_depend_on_the_makers_order() -> None:
    """A later look at the same trade gives the same legs."""
    one = read(trade_row(prepared(), ("0.52", "4"), ("0.51", "6")))
    other = read(trade_row(prepared(), ("0.51", "6"), ("0.52", "4")))
    assert facts(one) == facts(other)


def test_maker_in_the_other_outcome_gives_the_rest_of_the_pair() -> None:
    """A buyer of Down at 0.48 lets us have Up at 0.52."""
    row = trade_row(prepared(), ("0.51", "6"), size="10")
    row["maker_orders"].append(maker_row(OTHER_ID, DOWN, "BUY", "0.48", "4"))
    assert facts(read(row)) == [(0, "0.51", "6"), (1, "0.52", "4")]


@pytest.mark.parametrize("status", ["MATCHED", "MINED", "RETRYING"])
def test_taker_trade_without_its_makers_waits(status: str) -> None:
    """Its price is not known for sure, and a recorded fill never changes."""
    row = trade_row(prepared(), ("0.51", "6"), maker_orders=None, status=status)
    found = own_trades(row, funder=FUNDER)
    assert not found.trades
    assert found.incomplete == {ORDER_ID}
    partly = trade_row(prepared(), ("0.51", "6"), size="10", status=status)
    assert own_trades(partly, funder=FUNDER).incomplete == {ORDER_ID}


@pytest.mark.parametrize(("side", "counted"), [(Side.BUY, "0.512346"), (Side.SELL, "0.512345")])
def test_confirmed_trade_without_makers_counts_at_its_own_price(side: Side, counted: str) -> None:
    """Nothing more will come; an average is rounded against us."""
    row = trade_row(prepared(side), ("0.51", "6"), maker_orders=[], status="CONFIRMED")
    row["price"] = "0.5123456"
    assert facts(read(row)) == [(0, counted, "6")]


@pytest.mark.parametrize(
    ("taker_side", "maker_token", "side", "ours"),
    [
        ("BUY", UP, "SELL", Side.SELL),
        ("BUY", DOWN, "BUY", Side.BUY),
        ("SELL", UP, "BUY", Side.BUY),
        ("SELL", DOWN, "SELL", Side.SELL),
        ("BUY", DOWN, None, Side.BUY),
        ("SELL", UP, None, Side.BUY),
    ],
)
def test_maker_order_keeps_its_own_token_side_and_price(
    taker_side: str, maker_token: str, side: str | None, ours: Side
) -> None:
    """Whatever the taker did; the side may be left out and follows from the tokens."""
    mine = maker_row(_shouted(ORDER_ID), maker_token, side, "0.44", "7")
    mine["maker_address"] = _shouted(FUNDER)
    row = trade_row(prepared(), side=taker_side, taker_order_id=OTHER_ID, size="12")
    row["trader_side"] = "MAKER"
    row["maker_orders"] = [maker_row("0x" + "c3" * 32, UP, None, "0.6", "5"), mine]
    (trade,) = read(row)
    assert (trade.order_id, trade.token_id, trade.side) == (ORDER_ID, maker_token, ours)
    assert facts((trade,)) == [(0, "0.44", "7")]
    assert trade.liquidity is Liquidity.MAKER
    assert trade.fill(CRYPTO_FEES).fee_usdc == 0


def test_maker_on_an_impossible_side_is_refused() -> None:
    """A seller of Up cannot be met by a seller of Up."""
    row = trade_row(prepared(), ("0.51", "6"))
    row["maker_orders"][0]["side"] = "BUY"
    with pytest.raises(DataError, match="cannot"):
        read(row)


def test_fee_follows_from_the_schedule() -> None:
    """The venue's trades carry none: 25 shares at 0.64 cost 0.4032, as on chain."""
    (trade,) = read(trade_row(prepared(), ("0.64", "25"), fee_rate_bps="0"))
    fill = trade.fill(CRYPTO_FEES)
    assert fill.fee_usdc == Decimal("0.4032")
    assert (fill.trade_id, fill.leg, fill.filled_at) == ("trade-1", 0, NOW)


@pytest.mark.parametrize("prefix", ["", "TRADE_STATUS_"])
@pytest.mark.parametrize(
    ("text", "status", "fill"),
    [
        ("MATCHED", VenueTradeStatus.MATCHED, FillStatus.MATCHED),
        ("MATCHED_NOT_BROADCASTED", VenueTradeStatus.MATCHED, FillStatus.MATCHED),
        ("MINED", VenueTradeStatus.MINED, FillStatus.MINED),
        ("RETRYING", VenueTradeStatus.RETRYING, FillStatus.MATCHED),
        ("CONFIRMED", VenueTradeStatus.CONFIRMED, FillStatus.CONFIRMED),
        ("FAILED", VenueTradeStatus.FAILED, FillStatus.FAILED),
    ],
)
def test_status_is_read_with_and_without_prefix(
    prefix: str, text: str, status: VenueTradeStatus, fill: FillStatus
) -> None:
    """REST and the socket write them differently."""
    (trade,) = read(trade_row(prepared(), ("0.51", "6"), status=prefix + text))
    assert (trade.status, trade.status.as_fill) == (status, fill)


@pytest.mark.parametrize(
    "value", ["1791241204", 1791241204, "1791241204000", "2026-10-05T23:00:04Z"]
)
def test_match_time_comes_in_three_forms(value: object) -> None:
    """Seconds, milliseconds, ISO."""
    (trade,) = read(trade_row(prepared(), ("0.51", "6"), match_time=value))
    assert trade.matched_at == datetime(2026, 10, 5, 23, 0, 4, tzinfo=UTC)


BAD_TRADES: list[dict[str, Any]] = [
    {"status": "DONE"},
    {"status": "matched"},
    {"size": "0"},
    {"size": "-1"},
    {"size": "NaN"},
    {"size": "0.0000001"},
    {"price": "1"},
    {"price": "0"},
    {"price": "1.01"},
    {"match_time": ""},
    {"match_time": None},
    {"match_time": "yesterday"},
    {"match_time": 17912412},
    {"side": "buy"},
    {"trader_side": "BOTH"},
    {"taker_order_id": "0x12"},
    {"asset_id": "0x12"},
    {"market": "0x12"},
    {"id": ""},
    {"id": "a b"},
    {"transaction_hash": "0x" + "z\n" * 9},
    {"maker_orders": [{}]},
    {"maker_orders": "none"},
]


@pytest.mark.parametrize("change", BAD_TRADES, ids=range(len(BAD_TRADES)))
def test_impossible_trade_refuses_the_whole_page(change: dict[str, Any]) -> None:
    """A row left out would be a fill unseen."""
    good = trade_row(prepared(), ("0.51", "6"))
    bad = {**good, "id": "trade-2", "status": "CONFIRMED", "maker_orders": [], **change}
    body = json.dumps({"data": [good, bad], "next_cursor": "LTE="}).encode()
    with pytest.raises(DataError) as refused:
        wire.parse_own_trade_page(body, funder=FUNDER)
    assert refused.value.reason == "own-trades-malformed"


def test_page_joins_what_it_repeats() -> None:
    """Pages move while they are read: the furthest status counts, once, oldest first."""
    rows = [
        trade_row(prepared(), ("0.51", "6"), status="CONFIRMED"),
        trade_row(prepared(), ("0.51", "6"), status="MATCHED"),
        trade_row(prepared(), ("0.5", "1"), id="trade-0", match_time="1791241200"),
    ]
    body = json.dumps({"data": rows, "next_cursor": "MTAw"}).encode()
    page = wire.parse_own_trade_page(body, funder=FUNDER)
    assert page.next_cursor == "MTAw"
    shown = [(one.trade_id, one.status) for one in page.found.trades]
    assert shown == [("trade-0", "MATCHED"), ("trade-1", "CONFIRMED")]


# Orders -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("LIVE", VenueOrderStatus.LIVE),
        ("live", VenueOrderStatus.LIVE),
        ("ORDER_STATUS_LIVE", VenueOrderStatus.LIVE),
        ("MATCHED", VenueOrderStatus.MATCHED),
        ("DELAYED", VenueOrderStatus.DELAYED),
        ("UNMATCHED", VenueOrderStatus.UNMATCHED),
        ("INVALID", VenueOrderStatus.INVALID),
        ("CANCELED", VenueOrderStatus.CANCELED),
        ("CANCELLED", VenueOrderStatus.CANCELED),
        ("CANCELED_order couldn't be fully filled.", VenueOrderStatus.CANCELED),
        ("ORDER_STATUS_CANCELED_MARKET_RESOLVED", VenueOrderStatus.CANCELED),
    ],
)
def test_order_status_may_carry_a_reason(text: str, status: VenueOrderStatus) -> None:
    """The words behind a cancel are free text."""
    body = json.dumps(order_row(prepared(), status=text)).encode()
    order = wire.parse_order(body, ORDER_ID)
    assert order is not None
    assert order.status is status
    assert order.matched_size == 0


def test_empty_texts_are_unknown_not_zero() -> None:
    """The venue leaves fields of killed orders empty."""
    row = order_row(prepared(), size_matched="", created_at="", associate_trades=None)
    order = wire.parse_order(json.dumps(row).encode(), ORDER_ID)
    assert order is not None
    assert (order.matched_size, order.created_at, order.trade_ids) == (None, None, frozenset())


@pytest.mark.parametrize("body", [b"null", b"{}"])
def test_empty_answer_is_no_order(body: bytes) -> None:
    """Some services say so instead of 404."""
    assert wire.parse_order(body, ORDER_ID) is None


BAD_ORDERS: list[dict[str, Any]] = [
    {"id": OTHER_ID},
    {"status": "SLEEPING"},
    {"status": ""},
    {"status": "LIVELY"},
    {"size_matched": "-1"},
    {"size_matched": "x"},
    {"original_size": None},
    {"price": "2"},
    {"side": "HOLD"},
    {"associate_trades": [1]},
    {"created_at": "soon"},
]


@pytest.mark.parametrize("change", BAD_ORDERS, ids=range(len(BAD_ORDERS)))
def test_impossible_order_is_refused(change: dict[str, Any]) -> None:
    """Another order's state must not be taken for ours."""
    with pytest.raises(DataError):
        wire.parse_order(json.dumps(order_row(prepared(), **change)).encode(), ORDER_ID)


@pytest.mark.parametrize("body", [b"[]", b'"no"', b"7", b"<html>", b"", b"\xff"])
def test_answer_that_is_no_order_is_refused(body: bytes) -> None:
    """Not an absence: nothing is known."""
    with pytest.raises(DataError):
        wire.parse_order(body, ORDER_ID)


def test_page_of_orders_names_the_next_one() -> None:
    """Until the venue's word for the end."""
    body = json.dumps({"data": [order_row(prepared())], "next_cursor": "MTAw"}).encode()
    page = wire.parse_order_page(body)
    assert ([one.order_id for one in page.orders], page.next_cursor) == ([ORDER_ID], "MTAw")
    with pytest.raises(DataError, match="cursor"):
        wire.parse_order_page(b'{"data":[],"next_cursor":"a b"}')


# Balances and cancels ---------------------------------------------------------------------------


def test_balance_is_counted_in_millionths() -> None:
    """Text or number, with an unlimited allowance capped."""
    unlimited = str((1 << 256) - 1)
    body = json.dumps({"balance": "12345678", "allowances": {FUNDER: unlimited}}).encode()
    balance = wire.parse_balance(body)
    assert balance.amount == Decimal("12.345678")
    assert balance.allowances == {FUNDER.lower(): Decimal(10**12)}
    assert wire.parse_balance(b'{"balance":0}').amount == 0


@pytest.mark.parametrize("balance", ['"250.5"', '"-1"', "1.5", "true", "null", '""', '"1e6"'])
def test_balance_in_an_unknown_unit_is_refused(balance: str) -> None:
    """A decimal point may mean dollars: a factor of a million is not guessed."""
    with pytest.raises(DataError, match="balance"):
        wire.parse_balance(b'{"balance":' + balance.encode() + b"}")


def test_cancellation_names_what_was_not_cancelled() -> None:
    """With the venue's reason, escaped."""
    body = json.dumps({"canceled": [ORDER_ID], "not_canceled": {OTHER_ID: "already matched\n"}})
    found = wire.parse_cancellation(body.encode())
    assert found.cancelled == (ORDER_ID,)
    assert found.refused == {OTHER_ID: "'already matched\\n'"}


# Recorded by others -----------------------------------------------------------------------------


def test_recorded_orders_are_read() -> None:
    """REST answers of July 2026."""
    for name in ("http_open_order", "http_open_order_sell_fok"):
        row = fixture(name)
        order = wire.parse_order(json.dumps(row).encode(), OrderId(row["id"]))
        assert order is not None
        assert str(order.matched_size) == str(
            Decimal(row["size_matched"]).quantize(Decimal("1e-6"))
        )
    page = wire.parse_order_page(json.dumps(fixture("http_open_orders_page")).encode())
    assert len(page.orders) == 2


def test_recorded_confirmed_trade_counts_once() -> None:
    """Its invented makers do not add up to it, so the trade's own price and size count."""
    row = fixture("http_trade_report")
    row["transaction_hash"] = row["transaction_hash"][:66]
    for number, maker in enumerate(row["maker_orders"]):
        maker["order_id"] = f"0x{number:064x}"
    assert facts(read(row)) == [(0, "0.5", "25")]


def test_recorded_trade_before_it_is_confirmed_waits_for_its_makers() -> None:
    """MINED, and no makers told."""
    page = wire.parse_own_trade_page(
        json.dumps(fixture("http_trades_page")).encode(), funder=FUNDER
    )
    assert page.found.trades == ()
    assert len(page.found.incomplete) == 1


def test_winnings_are_those_that_pay() -> None:
    """Open positions and worthless ones wait for nothing."""
    page = wire.parse_redeemable_page(encoded(ACCOUNT["redeemable"]))
    assert page.payouts == (("0x" + "c3" * 32, Decimal("7.25")),)
    assert page.next_cursor == "abc"
    last = wire.parse_redeemable_page(b'{"data": [], "pagination": {"has_more": false}}')
    assert (last.payouts, last.next_cursor) == ((), None)
