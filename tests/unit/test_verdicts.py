"""What the venue's order and trades, taken together, prove about an order of ours."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from polybot.adapters.polymarket.order_wire import PlacedState
from polybot.adapters.polymarket.verdicts import Evidence, Patience, judge
from polybot.domain.money import price, shares
from polybot.domain.orders import (
    Liquidity,
    OrderId,
    OrderReport,
    OrderStatus,
    Side,
    TimeInForce,
    TradeId,
)
from polybot.domain.venue_account import (
    VenueOrder,
    VenueOrderStatus,
    VenueTrade,
    VenueTradeStatus,
)
from tests.builders import (
    CRYPTO_FEES,
    NOW,
    UP_TOKEN,
    build_market,
    build_order,
    build_record,
    build_resting_order,
)

ID = OrderId("0x" + "ab" * 32)
LONG_AFTER = NOW + timedelta(minutes=10)


def shown(status: VenueOrderStatus, matched: str | None, *trade_ids: str) -> VenueOrder:
    return VenueOrder(
        order_id=ID,
        condition_id=build_market().condition_id,
        token_id=UP_TOKEN,
        side=Side.BUY,
        price=Decimal("0.5"),
        original_size=Decimal(10),
        matched_size=None if matched is None else shares(matched),
        status=status,
        created_at=NOW,
        trade_ids=frozenset(map(TradeId, trade_ids)),
    )


def trade(size: str, name: str = "trade-1", **changes: Any) -> VenueTrade:
    values: dict[str, Any] = {
        "trade_id": TradeId(name),
        "order_id": ID,
        "leg": 0,
        "condition_id": build_market().condition_id,
        "token_id": UP_TOKEN,
        "side": Side.BUY,
        "price": price("0.5"),
        "size": shares(size),
        "liquidity": Liquidity.TAKER,
        "status": VenueTradeStatus.MATCHED,
        "matched_at": NOW,
        "transaction_hash": "",
    }
    return VenueTrade(**{**values, **changes})


def verdict(
    order: VenueOrder | None,
    *trades: VenueTrade,
    kind: TimeInForce = TimeInForce.FAK,
    side: Side = Side.BUY,
    known: OrderStatus = OrderStatus.UNKNOWN,
    at: datetime = NOW + timedelta(seconds=5),
    incomplete: bool = False,
    absent_since: datetime | None = None,
    taken: PlacedState | None = None,
) -> OrderReport:
    asked = build_order(time_in_force=kind, side=side)
    if kind.rests:
        asked = build_resting_order(side=side)
    record = build_record(asked, order_id=ID, status=known, created_at=NOW)
    evidence = Evidence(
        order=order,
        trades=trades,
        is_incomplete=incomplete,
        absent_since=absent_since,
        taken=taken,
    )
    return judge(record, evidence, CRYPTO_FEES, now=at, patience=Patience())


def test_live_order_rests_with_the_fills_it_has() -> None:
    """Partly filled, the rest waits."""
    report = verdict(shown(VenueOrderStatus.LIVE, "4"), trade("4"), kind=TimeInForce.GTC)
    assert report.status is OrderStatus.RESTING
    assert [fill.size for fill in report.fills] == [4]


@pytest.mark.parametrize(
    "status", [VenueOrderStatus.LIVE, VenueOrderStatus.DELAYED, VenueOrderStatus.UNMATCHED]
)
def test_market_order_that_may_still_match_stays_unknown(status: VenueOrderStatus) -> None:
    """Held for the taker delay, or in a state that nobody documents."""
    assert verdict(shown(status, "0"), at=LONG_AFTER).status is OrderStatus.UNKNOWN


@pytest.mark.parametrize("kind", [TimeInForce.FAK, TimeInForce.FOK, TimeInForce.GTC])
def test_matched_order_with_all_its_trades_is_filled(kind: TimeInForce) -> None:
    """As many shares in the trades as the order says."""
    order = shown(VenueOrderStatus.MATCHED, "10", "trade-1", "trade-2")
    report = verdict(order, trade("4"), trade("6", "trade-2"), kind=kind)
    assert report.status is OrderStatus.FILLED
    assert len(report.fills) == 2


@pytest.mark.parametrize("status", [VenueOrderStatus.MATCHED, VenueOrderStatus.CANCELED])
def test_order_whose_trades_lag_behind_stays_open(status: VenueOrderStatus) -> None:
    """A fill not seen yet would be lost, however long it takes."""
    partly = verdict(shown(status, "10"), trade("4"), at=LONG_AFTER)
    assert partly.status is OrderStatus.UNKNOWN
    assert [fill.size for fill in partly.fills] == [4]
    named = verdict(shown(status, "4", "trade-1", "trade-9"), trade("4"), at=LONG_AFTER)
    assert named.status is OrderStatus.UNKNOWN
    untold = verdict(shown(status, "4"), trade("4"), incomplete=True, at=LONG_AFTER)
    assert untold.status is OrderStatus.UNKNOWN


def test_killed_order_without_a_match_is_unfilled_at_once() -> None:
    """The venue says so itself: nothing matched."""
    for status in (VenueOrderStatus.CANCELED, VenueOrderStatus.INVALID):
        assert verdict(shown(status, "0")).status is OrderStatus.UNFILLED


def test_killed_rest_of_a_partly_filled_order_is_filled() -> None:
    """Nothing more can fill."""
    report = verdict(shown(VenueOrderStatus.CANCELED, "4"), trade("4"))
    assert report.status is OrderStatus.FILLED


@pytest.mark.parametrize("matched", [None, "0"])
def test_matched_order_that_tells_no_size_waits_for_the_trades(matched: str | None) -> None:
    """Contradictory or silent: time decides, not a guess."""
    order = shown(VenueOrderStatus.MATCHED, matched)
    assert verdict(order, trade("4")).status is OrderStatus.UNKNOWN
    assert verdict(order, trade("4"), at=LONG_AFTER).status is OrderStatus.FILLED


def test_order_whose_only_trade_failed_is_unfilled() -> None:
    """The failed trade counts as matched, and as no fill."""
    report = verdict(
        shown(VenueOrderStatus.MATCHED, "4"), trade("4", status=VenueTradeStatus.FAILED)
    )
    assert report.status is OrderStatus.UNFILLED
    assert [fill.status for fill in report.fills] == ["FAILED"]


def test_order_that_is_not_shown_may_still_arrive() -> None:
    """Not found is not refused."""
    for seconds in (0, 60, 119.9):
        report = verdict(None, at=NOW + timedelta(seconds=seconds))
        assert report.status is OrderStatus.UNKNOWN


def test_order_that_nobody_knows_after_the_grace_never_arrived() -> None:
    """Neither the order nor a trade of it."""
    report = verdict(None, at=NOW + timedelta(seconds=120))
    assert report.status is OrderStatus.NEVER_ARRIVED


def test_order_that_the_venue_said_it_matched_is_waited_for_longer() -> None:
    """Its trades must show; once they cannot any more, it was taken and not filled."""
    taken = PlacedState.MATCHED
    early = verdict(None, taken=taken, at=LONG_AFTER - timedelta(seconds=1))
    assert early.status is OrderStatus.UNKNOWN
    assert verdict(None, taken=taken, at=LONG_AFTER).status is OrderStatus.UNFILLED


def test_order_that_was_held_and_left_no_trace_was_killed() -> None:
    """It did arrive."""
    at = NOW + timedelta(seconds=120)
    assert verdict(None, taken=PlacedState.DELAYED, at=at).status is OrderStatus.UNFILLED


def test_trades_show_an_order_that_the_venue_does_not() -> None:
    """A killed FAK may not be listed: its fills count at once, its end when no more can follow."""
    early = verdict(None, trade("4"), at=NOW + timedelta(seconds=29))
    assert (early.status, len(early.fills)) == (OrderStatus.UNKNOWN, 1)
    late = verdict(None, trade("4"), at=NOW + timedelta(seconds=30))
    assert late.status is OrderStatus.FILLED
    failed = trade("4", status=VenueTradeStatus.FAILED)
    assert verdict(None, failed, at=LONG_AFTER).status is OrderStatus.UNFILLED


def test_fresh_trade_keeps_an_order_open() -> None:
    """A second one may follow within seconds."""
    recent = trade("4", matched_at=LONG_AFTER - timedelta(seconds=29))
    assert verdict(None, recent, at=LONG_AFTER).status is OrderStatus.UNKNOWN
    assert verdict(None, trade("4"), incomplete=True, at=LONG_AFTER).status is OrderStatus.UNKNOWN


def test_resting_order_that_left_the_book_waits_for_its_trades() -> None:
    """It was there: whether it was cancelled or matched shows a little later."""
    kept: dict[str, Any] = {"kind": TimeInForce.GTC, "known": OrderStatus.RESTING, "at": LONG_AFTER}
    assert verdict(None, **kept).status is OrderStatus.RESTING
    just_gone = LONG_AFTER - timedelta(seconds=29)
    assert verdict(None, absent_since=just_gone, **kept).status is OrderStatus.RESTING
    long_gone = LONG_AFTER - timedelta(seconds=30)
    assert verdict(None, absent_since=long_gone, **kept).status is OrderStatus.UNFILLED
    assert verdict(None, trade("4"), absent_since=long_gone, **kept).status is OrderStatus.FILLED


def test_order_that_its_trades_use_up_needs_no_patience() -> None:
    """Nothing of its budget is left for another match, shown or not."""
    report = verdict(None, trade("6", "a"), trade("3.99", "b"))
    assert report.status is OrderStatus.FILLED
    assert len(report.fills) == 2


def test_order_with_a_cent_left_may_still_match() -> None:
    """A market order fills level by level, and its trades show one after another."""
    assert verdict(None, trade("9.98")).status is OrderStatus.UNKNOWN


@pytest.mark.parametrize(
    ("kind", "side"),
    [
        (TimeInForce.FAK, Side.SELL),
        (TimeInForce.GTC, Side.BUY),
        (TimeInForce.GTC, Side.SELL),
    ],
)
def test_orders_in_shares_are_used_up_by_shares_whatever_they_cost(
    kind: TimeInForce, side: Side
) -> None:
    """Only a market BUY spends a budget; the others may match at better prices than their own."""
    whole = trade("10", side=side, price=price("0.9"))
    assert verdict(None, whole, kind=kind, side=side).status is OrderStatus.FILLED
    cheap = trade("10", side=side, price=price("0.01"))
    assert verdict(None, cheap, kind=kind, side=side).status is OrderStatus.FILLED
    part = trade("9.99", side=side, price=price("0.9"))
    assert verdict(None, part, kind=kind, side=side).status is OrderStatus.UNKNOWN


def test_resting_order_that_its_trades_use_up_is_over_at_once() -> None:
    """Not so where one of them failed: the rest may be in the book again."""
    kept: dict[str, Any] = {"kind": TimeInForce.GTC, "known": OrderStatus.RESTING, "at": LONG_AFTER}
    parts = (trade("4"), trade("6", "trade-2"))
    assert verdict(None, *parts, **kept).status is OrderStatus.FILLED
    failed = trade("6", "trade-2", status=VenueTradeStatus.FAILED)
    assert verdict(None, parts[0], failed, **kept).status is OrderStatus.RESTING


def test_killed_order_that_tells_no_size_may_have_matched() -> None:
    """No figure is no zero: its trades may show within two minutes."""
    killed = shown(VenueOrderStatus.CANCELED, None)
    limit = NOW + timedelta(minutes=2)
    assert verdict(killed, at=limit - timedelta(seconds=1)).status is OrderStatus.UNKNOWN
    assert verdict(killed, at=limit).status is OrderStatus.UNFILLED
