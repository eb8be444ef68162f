"""Orders that rest on paper fill only with what trades through them, and end as the venue's do."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from polybot.adapters import paper
from polybot.domain.money import shares, usdc
from polybot.domain.orders import Liquidity, Order, OrderReport, OrderStatus, Side
from polybot.errors import DataError, TransientError
from tests.builders import (
    DOWN_TOKEN,
    NOW,
    WINDOW,
    build_book,
    build_market,
    build_record,
    build_resting_order,
    build_trade,
)
from tests.fakes import FixedClock, ScriptedMarketData
from tests.paper_desk import ARRIVAL, DELAY_S, LATER, Desk, accepted, gtd

# Resting ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("side", "limit", "price", "is_filled"),
    [
        (Side.BUY, "0.50", "0.49", True),
        (Side.BUY, "0.50", "0.499999", True),
        (Side.BUY, "0.50", "0.50", False),
        (Side.BUY, "0.50", "0.51", False),
        (Side.SELL, "0.51", "0.52", True),
        (Side.SELL, "0.51", "0.51", False),
        (Side.SELL, "0.51", "0.50", False),
    ],
)
async def test_resting_order_fills_only_when_the_market_trades_through(
    side: Side, limit: str, price: str, is_filled: bool
) -> None:
    """A trade at our price may have been anybody's ahead of us in the queue."""
    record = build_record(build_resting_order(side, limit))
    report = await Desk(at=LATER).look_up(record, build_trade(price, "100"))
    assert (report.status is OrderStatus.FILLED) is is_filled
    assert [(f.price, f.size) for f in report.fills] == (
        [(Decimal(limit), 10)] if is_filled else []
    )


async def test_maker_pays_no_fee_and_fills_at_its_own_price() -> None:
    """The price improvement is the taker's; the schedule charges takers only."""
    report = await Desk(at=LATER).look_up(build_record(), build_trade("0.30", "100"))
    (fill,) = report.fills
    assert (fill.fee_usdc, fill.liquidity, fill.price) == (0, Liquidity.MAKER, Decimal("0.50"))
    assert fill.filled_at == LATER


async def test_resting_order_gets_no_more_than_was_traded_and_not_twice() -> None:
    """Six shares traded through: six are ours, once."""
    record = build_record()
    trade = build_trade("0.49", "6")
    first = await Desk(at=LATER).look_up(record, trade)
    assert first.status is OrderStatus.RESTING
    assert [fill.size for fill in first.fills] == [6]
    again = await Desk(at=LATER).look_up(record, trade)
    assert [f.trade_id for f in again.fills] == [f.trade_id for f in first.fills]
    recorded = build_record(filled_size=shares(6), filled_cost_usdc=usdc(3))
    settled = await Desk(at=LATER, fills=first.fills).look_up(recorded, trade)
    assert settled.fills == ()
    more = await Desk(at=LATER, fills=first.fills).look_up(
        recorded, trade, build_trade("0.48", "1.5")
    )
    assert [fill.size for fill in more.fills] == [Decimal("1.5")]
    assert more.fills[0].trade_id != first.fills[0].trade_id


async def test_what_was_taken_on_arrival_does_not_use_up_later_trades() -> None:
    """With the ledger's fills at hand, only what was given later counts as used."""
    taken = (
        await accepted(build_resting_order(), build_book([("0.4", "5")], [("0.45", "4")]))
    ).fills
    record = build_record(filled_size=shares(4), filled_cost_usdc=usdc("1.8"))
    trade = build_trade("0.49", "3")
    exact = await Desk(at=LATER, fills=taken).look_up(record, trade)
    assert [fill.size for fill in exact.fills] == [3]
    market_data = ScriptedMarketData(build_market(), build_book())
    market_data.trades = [trade]
    blind = paper.PaperExchange(market_data, FixedClock(LATER), delay_s=DELAY_S)
    assert (await blind.look_up(record)).fills == ()


@pytest.mark.parametrize(
    ("changes", "is_counted"),
    [
        ({"at": ARRIVAL}, False),
        ({"at": ARRIVAL + timedelta(microseconds=1)}, True),
        ({"at": LATER - timedelta(microseconds=1)}, True),
        ({"at": LATER}, False),
        ({"token_id": DOWN_TOKEN}, False),
    ],
)
async def test_only_trades_of_our_token_while_we_rested_count(
    changes: dict[str, Any], is_counted: bool
) -> None:
    """Neither what traded before we arrived nor the other outcome's trades fill us."""
    report = await Desk(at=LATER).look_up(build_record(), build_trade("0.49", "100", **changes))
    assert bool(report.fills) is is_counted


@pytest.mark.parametrize(("ask", "size"), [("0.49", "7"), ("0.50", None)])
async def test_ask_standing_below_our_bid_would_have_met_us(ask: str, size: str | None) -> None:
    """Liquidity that rests strictly beyond our limit counts like a trade of its size."""
    desk = Desk(build_book([("0.40", "5")], [(ask, "7"), ("0.60", "50")]), at=LATER)
    report = await desk.look_up(build_record())
    assert [fill.size for fill in report.fills] == ([Decimal(size)] if size else [])
    both = await desk.look_up(build_record(), build_trade("0.49", "3"))
    assert sum(fill.size for fill in both.fills) == (7 if size else 3)


async def test_bid_standing_above_our_offer_would_have_met_us() -> None:
    """The same on the other side."""
    desk = Desk(build_book([("0.52", "2"), ("0.51", "50")], [("0.60", "5")]), at=LATER)
    report = await desk.look_up(build_record(build_resting_order(Side.SELL, "0.51")))
    assert [fill.size for fill in report.fills] == [2]


async def test_resting_buy_never_spends_more_than_its_budget() -> None:
    """A budget smaller than size times price bounds the shares."""
    record = build_record(budget_usdc=usdc("3"))
    report = await Desk(at=LATER).look_up(record, build_trade("0.49", "100"))
    assert [fill.size for fill in report.fills] == [6]
    spent = build_record(budget_usdc=usdc("3"), filled_cost_usdc=usdc("3"), filled_size=shares(6))
    assert (await Desk(at=LATER).look_up(spent, build_trade("0.49", "100"))).fills == ()


async def test_resting_sale_gives_no_more_than_it_has_left() -> None:
    """Six of ten are sold: four are left, however much trades through."""
    sale = build_record(build_resting_order(Side.SELL, "0.51"), filled_size=shares(6))
    report = await Desk(at=LATER).look_up(sale, build_trade("0.52", "100"))
    assert (report.status, [fill.size for fill in report.fills]) == (OrderStatus.FILLED, [4])


async def test_many_at_once_say_what_each_by_itself_says() -> None:
    """One that cannot be read leaves the others as they are."""
    desk = Desk(at=LATER)
    resting, lost = build_record(), build_record(status=OrderStatus.UNKNOWN)
    desk.market_data.trades = [build_trade("0.49", "100")]
    filled, gone = await desk.exchange.look_up_many([resting, lost])
    assert filled == await desk.exchange.look_up(resting)
    assert gone == await desk.exchange.look_up(lost)
    desk.market_data.trades = TransientError("no trades now")
    unread, gone = await desk.exchange.look_up_many([resting, lost])
    assert isinstance(unread, TransientError)
    assert isinstance(gone, OrderReport)
    assert gone.status is OrderStatus.NEVER_ARRIVED


# The end of an order ----------------------------------------------------------------------------


@pytest.mark.parametrize("status", [OrderStatus.SENDING, OrderStatus.UNKNOWN])
async def test_order_without_a_recorded_answer_never_happened(status: OrderStatus) -> None:
    """Fills exist only in the ledger, so their absence proves the order's."""
    report = await Desk(at=LATER).look_up(build_record(status=status))
    assert report.status is OrderStatus.NEVER_ARRIVED
    assert report.fills == ()


async def test_final_order_stays_as_it_is() -> None:
    """There is nothing to learn about it any more."""
    report = await Desk(TransientError("away")).look_up(build_record(status=OrderStatus.FILLED))
    assert report.status is OrderStatus.FILLED


@pytest.mark.parametrize(
    ("order", "stops_at", "why"),
    [
        (build_resting_order(), WINDOW.end, "window"),
        (gtd(timedelta(minutes=6)), NOW + timedelta(minutes=5), "expired"),
        (gtd(timedelta(hours=1)), WINDOW.end, "window"),
    ],
)
async def test_resting_order_stops_and_closes_when_the_last_trades_are_known(
    order: Order, stops_at: datetime, why: str
) -> None:
    """GTD stops a minute before it expires; the losing fills of the last moments count."""
    record = build_record(order)
    last = build_trade("0.49", "2", at=stops_at - timedelta(microseconds=1))
    late = build_trade("0.49", "5", at=stops_at)
    closing = stops_at + timedelta(minutes=1)
    waiting = await Desk(at=closing - timedelta(microseconds=1)).look_up(record, last, late)
    assert waiting.status is OrderStatus.RESTING
    assert [(fill.size, fill.filled_at) for fill in waiting.fills] == [(2, stops_at)]
    closed = await Desk(at=closing).look_up(record, last, late)
    assert closed.status is OrderStatus.FILLED
    assert why in closed.reason
    unfilled = await Desk(at=closing).look_up(record, late)
    assert (unfilled.status, unfilled.fills) == (OrderStatus.UNFILLED, ())


async def test_stopped_order_no_longer_looks_at_the_book() -> None:
    """After the window its book is gone; before, it decides."""
    through = build_book([("0.40", "5")], [("0.45", "50")])
    after = Desk(through, at=WINDOW.end)
    assert (await after.look_up(build_record())).fills == ()
    assert after.market_data.book_reads == 0
    before = Desk(through, at=WINDOW.end - timedelta(microseconds=1))
    assert (await before.look_up(build_record())).status is OrderStatus.FILLED


async def test_market_that_closed_early_kills_the_order() -> None:
    """With what it was given before."""
    desk = Desk(TransientError("no book"), at=LATER)
    desk.market_data.market = build_market(is_closed=True)
    report = await desk.look_up(build_record(), build_trade("0.49", "3"))
    assert (report.status, [fill.size for fill in report.fills]) == (OrderStatus.FILLED, [3])
    assert "closed" in report.reason
    empty = await desk.look_up(build_record())
    assert empty.status is OrderStatus.UNFILLED


async def test_unreadable_market_leaves_a_resting_order_alone() -> None:
    """Not knowing is not a fate."""
    with pytest.raises(TransientError):
        await Desk(TransientError("away"), at=LATER).look_up(build_record())
    desk = Desk(at=LATER)
    desk.market_data.trades = DataError("garbled", reason="trades-malformed")
    with pytest.raises(DataError):
        await desk.exchange.look_up(build_record())


async def test_cancel_closes_with_what_was_given_until_now() -> None:
    """A cancelled order keeps its fills and gets no more."""
    desk = Desk(at=LATER)
    assert (await desk.exchange.cancel(build_record())).status is OrderStatus.UNFILLED
    desk.market_data.trades = [build_trade("0.49", "3")]
    report = await desk.exchange.cancel(build_record())
    assert (report.status, [fill.size for fill in report.fills]) == (OrderStatus.FILLED, [3])
    assert report.reason == "cancelled"
    partly = build_record(filled_size=shares(3), filled_cost_usdc=usdc("1.5"))
    desk.market_data.trades = []
    assert (await desk.exchange.cancel(partly)).status is OrderStatus.FILLED
    unknown = await desk.exchange.cancel(build_record(status=OrderStatus.UNKNOWN))
    assert unknown.status is OrderStatus.NEVER_ARRIVED
