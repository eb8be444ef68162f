"""Paper fills are what the real market would have given, or less."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from polybot.adapters import paper
from polybot.domain.accounts import OrderRecord
from polybot.domain.markets import MarketTrade
from polybot.domain.money import shares, usdc
from polybot.domain.orders import (
    Accepted,
    Fill,
    Liquidity,
    Order,
    OrderReport,
    OrderStatus,
    PreparedOrder,
    Rejected,
    Side,
    SubmitResult,
    TimeInForce,
)
from polybot.errors import DataError, PermanentError, TransientError
from tests.builders import (
    DOWN_TOKEN,
    NOW,
    WINDOW,
    build_approved,
    build_book,
    build_market,
    build_order,
    build_record,
    build_resting_order,
    build_trade,
)
from tests.fakes import FixedClock, ScriptedMarketData

DELAY_S = 0.25
ARRIVAL = NOW + timedelta(seconds=DELAY_S)
LATER = NOW + timedelta(minutes=2)
MICRO = Decimal("0.000001")


class Desk:
    """A paper exchange on a scripted market, with both at hand."""

    def __init__(self, book: Any = None, at: datetime = NOW, fills: tuple[Fill, ...] = ()) -> None:
        self.clock = FixedClock(at)
        self.market_data = ScriptedMarketData(build_market(), book or build_book())
        self.exchange = paper.PaperExchange(
            self.market_data, self.clock, delay_s=DELAY_S, fills_of=lambda _: fills
        )

    def prepare(self, order: Order) -> PreparedOrder:
        return self.exchange.prepare(build_approved(order), created_at=self.clock.instant)

    async def submit(self, order: Order) -> SubmitResult:
        return await self.exchange.submit(self.prepare(order))

    async def look_up(self, record: OrderRecord, *trades: MarketTrade) -> OrderReport:
        self.market_data.trades = list(trades)
        return await self.exchange.look_up(record)


async def accepted(order: Order, book: Any = None) -> Accepted:
    result = await Desk(book).submit(order)
    assert isinstance(result, Accepted), result
    return result


async def rejected(order: Order, book: Any = None, at: datetime = NOW) -> str:
    desk = Desk(book, at)
    prepared = desk.prepare(order)
    result = await desk.exchange.submit(prepared)
    assert isinstance(result, Rejected), result
    assert result.order_id == prepared.order_id
    return result.reason


def gtd(expires_in: timedelta, **changes: Any) -> Order:
    values = {"time_in_force": TimeInForce.GTD, "expires_at": NOW + expires_in}
    return build_resting_order(**{**values, **changes})


# Identity ---------------------------------------------------------------------------------------


def test_paper_id_is_a_digest_of_what_the_order_says() -> None:
    """The same order has the same id in every process; any other order has another."""
    desk = Desk()
    order_id = desk.prepare(build_order()).order_id
    assert order_id == Desk(at=LATER).prepare(build_order()).order_id
    assert len(order_id) == 66
    assert int(order_id, 16) > 0
    others = [
        build_order(limit_price="0.52"),
        build_order(size=shares("9.4338")),
        build_order(budget_usdc=usdc("5.01")),
        build_order(time_in_force=TimeInForce.FOK),
        build_order(decision_key="trend:other:btc-15m:1791241200"),
        build_order(Side.SELL),
        gtd(timedelta(minutes=4)),
        gtd(timedelta(minutes=5)),
    ]
    ids = {desk.prepare(order).order_id for order in others}
    assert len(ids) == len(others)
    assert order_id not in ids


# Taking -----------------------------------------------------------------------------------------


async def test_market_buy_walks_the_book_and_pays_the_fee_of_each_level() -> None:
    """Two levels, two fills, each with its own price and fee."""
    book = build_book([("0.49", "100")], [("0.51", "4"), ("0.52", "100")])
    result = await accepted(build_order(), book)
    assert not result.is_resting
    facts = [(fill.price, fill.size, fill.fee_usdc, fill.leg) for fill in result.fills]
    assert facts == [
        (Decimal("0.51"), Decimal(4), Decimal("0.06998"), 0),
        (Decimal("0.52"), Decimal("5.692307"), Decimal("0.09946"), 1),
    ]
    assert {fill.liquidity for fill in result.fills} == {Liquidity.TAKER}
    assert {fill.order_id for fill in result.fills} == {result.order_id}
    assert {fill.filled_at for fill in result.fills} == {ARRIVAL}
    assert len({(fill.trade_id, fill.order_id, fill.leg) for fill in result.fills}) == 2


async def test_order_meets_the_book_that_stands_when_it_arrives() -> None:
    """The book of the decision is gone after the delay; the next one counts."""
    desk = Desk()

    async def move_and_sleep(seconds: float) -> None:
        desk.clock.instant += timedelta(seconds=seconds)
        desk.market_data.book = build_book(asks=[("0.53", "100")])

    desk.clock.sleep = move_and_sleep  # type: ignore[method-assign]
    result = await desk.submit(build_order())
    assert isinstance(result, Accepted)
    assert [fill.price for fill in result.fills] == [Decimal("0.53")]
    assert desk.clock.instant == ARRIVAL
    assert desk.market_data.book_reads == 1


async def test_fak_kills_what_it_cannot_take() -> None:
    """A partial fill is final: nothing rests."""
    result = await accepted(build_order(), build_book(asks=[("0.51", "4"), ("0.54", "100")]))
    assert [fill.size for fill in result.fills] == [4]
    assert not result.is_resting


async def test_nothing_within_the_limit_is_a_rejection() -> None:
    """The venue answers a killed FAK and FOK with a refusal, and so does paper."""
    assert "0.53" in await rejected(build_order(), build_book(asks=[("0.54", "100")]))
    thin = build_book(asks=[("0.51", "4")])
    assert "nothing" in await rejected(build_order(time_in_force=TimeInForce.FOK), thin)


async def test_sale_fills_at_the_bids() -> None:
    """A SELL pays the taker's fee too."""
    sale = build_order(Side.SELL, limit_price="0.49")
    result = await accepted(sale, build_book([("0.50", "6"), ("0.49", "100")]))
    assert [(fill.price, fill.size) for fill in result.fills] == [
        (Decimal("0.50"), 6),
        (Decimal("0.49"), 4),
    ]
    assert result.fills[0].fee_usdc == Decimal("0.105")


async def test_resting_order_takes_what_crosses_and_rests_with_the_remainder() -> None:
    """The crossing part is a taker's; the rest waits."""
    book = build_book([("0.40", "5")], [("0.45", "4"), ("0.60", "9")])
    result = await accepted(build_resting_order(), book)
    assert result.is_resting
    assert [(f.size, f.liquidity) for f in result.fills] == [(4, Liquidity.TAKER)]
    whole = await accepted(build_resting_order(), build_book([("0.40", "5")], [("0.45", "10")]))
    assert not whole.is_resting
    waiting = await accepted(build_resting_order())
    assert waiting.is_resting
    assert waiting.fills == ()


@pytest.mark.parametrize(
    "problem",
    [
        TransientError("timed out"),
        DataError("crossed", reason="book-crossed"),
        PermanentError("gone"),
    ],
)
async def test_unreadable_book_is_a_rejection(problem: Exception) -> None:
    """On paper it is certain that nothing was matched."""
    assert str(problem) in await rejected(build_order(), problem)


async def test_unreadable_time_is_a_rejection() -> None:
    """The virtual clock is a server; when it does not answer, nothing was matched either."""
    desk = Desk()

    async def fail() -> datetime:
        raise TransientError("clock is away")

    desk.clock.now = fail  # type: ignore[method-assign]
    result = await desk.submit(build_order())
    assert isinstance(result, Rejected)


# What the venue would not take ------------------------------------------------------------------


async def test_closed_window_takes_no_orders() -> None:
    """The window's end is outside the window."""
    last = WINDOW.end - timedelta(seconds=DELAY_S)
    assert "closed" in await rejected(build_order(), at=last)
    desk = Desk(at=last - timedelta(microseconds=1))
    assert isinstance(await desk.submit(build_order()), Accepted)


async def test_price_off_the_books_tick_is_refused() -> None:
    """The tick may have changed since the market was read."""
    book = build_book([("0.50", "9")], [("0.52", "100")], tick_size=Decimal("0.02"))
    assert "tick" in await rejected(build_order(limit_price="0.53"), book)
    assert await accepted(build_order(limit_price="0.52"), book)


@pytest.mark.parametrize(("minimum", "is_taken"), [("9.4339", True), ("9.434", False)])
async def test_size_below_the_books_minimum_is_refused(minimum: str, is_taken: bool) -> None:
    """A market BUY is judged on its computed shares."""
    result = await Desk(build_book(min_order_size=shares(minimum))).submit(build_order())
    assert isinstance(result, Accepted) is is_taken


async def test_amounts_finer_than_the_venue_takes_are_refused() -> None:
    """Budgets are whole cents, sizes of other orders have two decimals."""
    assert "decimals" in await rejected(build_order(budget_usdc=usdc("5.001")))
    assert "decimals" in await rejected(build_resting_order(size="10.001"))
    assert "decimals" in await rejected(build_order(Side.SELL, size=shares("10.001")))
    assert await accepted(build_resting_order(size="10.01"))


async def test_marketable_buy_spends_at_least_one_dollar() -> None:
    """A BUY that only rests, and a SELL, may be worth less."""
    book = build_book([("0.05", "100")], [("0.10", "100")])
    cheap = {"limit_price": "0.10", "size": shares(9)}
    assert "1 USDC" in await rejected(build_order(**cheap, budget_usdc=usdc("0.99")), book)
    assert await accepted(build_order(**cheap, budget_usdc=usdc("1")), book)
    assert "1 USDC" in await rejected(build_resting_order(limit_price="0.10", size="9"), book)
    assert await accepted(build_resting_order(limit_price="0.09", size="9"), book)
    assert await accepted(build_order(Side.SELL, limit_price="0.05"), book)


async def test_gtd_must_expire_three_minutes_ahead() -> None:
    """Counted from its arrival."""
    least = timedelta(minutes=3, seconds=DELAY_S)
    assert "3 minutes" in await rejected(gtd(least - timedelta(microseconds=1)))
    assert (await accepted(gtd(least))).is_resting


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
