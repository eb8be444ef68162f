"""What every exchange promises, whichever it is; each adapter brings a venue to run it on."""

from collections.abc import Callable
from typing import Protocol

import pytest

from polybot.adapters.paper import PaperExchange
from polybot.domain.books import OrderBook
from polybot.domain.money import shares, usdc
from polybot.domain.orders import (
    Accepted,
    FillStatus,
    Order,
    OrderStatus,
    PreparedOrder,
    Rejected,
    Side,
    SubmitResult,
    TimeInForce,
    Unknown,
)
from polybot.errors import TransientError
from polybot.ports import Exchange
from tests.builders import (
    NOW,
    Levels,
    build_approved,
    build_book,
    build_market,
    build_order,
    build_record,
    build_resting_order,
)
from tests.fakes import FixedClock, ScriptedMarketData


class Venue(Protocol):
    """An exchange in front of a book that the test has set."""

    exchange: Exchange

    def show(self, book: OrderBook) -> None:
        """Make this the book of the Up token."""
        ...

    def go_silent(self) -> None:
        """Stop answering."""
        ...


class PaperVenue:
    """The paper exchange on a scripted market."""

    def __init__(self) -> None:
        self.market_data = ScriptedMarketData(build_market(), build_book())
        self.exchange: Exchange = PaperExchange(self.market_data, FixedClock(NOW), delay_s=0.25)

    def show(self, book: OrderBook) -> None:
        self.market_data.book = book

    def go_silent(self) -> None:
        self.market_data.book = TransientError("the venue did not answer")


VENUES: list[Callable[[], Venue]] = [PaperVenue]


@pytest.fixture(params=VENUES)
def venue(request: pytest.FixtureRequest) -> Venue:
    factory: Callable[[], Venue] = request.param
    return factory()


def prepare(venue: Venue, order: Order) -> PreparedOrder:
    return venue.exchange.prepare(build_approved(order), created_at=NOW)


async def submit(venue: Venue, order: Order) -> SubmitResult:
    """Submit an order, after asserting that the answer is about this order and no other."""
    prepared = prepare(venue, order)
    result = await venue.exchange.submit(prepared)
    assert result.order_id == prepared.order_id
    if isinstance(result, Accepted):
        assert {fill.order_id for fill in result.fills} <= {prepared.order_id}
    return result


def fill_facts(result: SubmitResult) -> Levels:
    assert isinstance(result, Accepted), result
    return [(str(fill.price.normalize()), str(fill.size.normalize())) for fill in result.fills]


def test_preparing_gives_an_id_and_changes_nothing(venue: Venue) -> None:
    """The id is a digest, known before anything is sent."""
    order = build_order()
    prepared = prepare(venue, order)
    assert prepared.order == order
    assert prepared.created_at == NOW
    assert len(prepared.order_id) == 66
    assert prepared.order_id.startswith("0x")
    assert int(prepared.order_id, 16) > 0


def test_different_orders_have_different_ids(venue: Venue) -> None:
    """Two windows, two orders."""
    orders = [build_order(), build_order(limit_price="0.52"), build_order(Side.SELL)]
    assert len({prepare(venue, order).order_id for order in orders}) == 3


async def test_market_buy_spends_its_budget_within_its_limit(venue: Venue) -> None:
    """Best level first, never beyond the limit price."""
    venue.show(build_book([("0.49", "9")], [("0.51", "4"), ("0.52", "100"), ("0.54", "9")]))
    result = await submit(venue, build_order())
    assert fill_facts(result) == [("0.51", "4"), ("0.52", "5.692307")]
    assert isinstance(result, Accepted)
    assert not result.is_resting
    assert all(fill.status is not FillStatus.FAILED for fill in result.fills)
    assert all(fill.fee_usdc > 0 for fill in result.fills)
    assert len({(fill.trade_id, fill.leg) for fill in result.fills}) == 2


@pytest.mark.parametrize("time_in_force", [TimeInForce.FAK, TimeInForce.FOK])
async def test_killed_order_is_rejected(venue: Venue, time_in_force: TimeInForce) -> None:
    """Nothing to match with proves that nothing was matched."""
    venue.show(build_book(asks=[("0.54", "100")]))
    result = await submit(venue, build_order(time_in_force=time_in_force))
    assert isinstance(result, Rejected)
    assert result.reason


async def test_fok_that_cannot_be_filled_whole_is_rejected(venue: Venue) -> None:
    """All or nothing."""
    venue.show(build_book(asks=[("0.51", "5")]))
    fok = build_order(time_in_force=TimeInForce.FOK)
    assert isinstance(await submit(venue, fok), Rejected)
    assert fill_facts(await submit(venue, build_order())) == [("0.51", "5")]


async def test_sale_takes_the_bids(venue: Venue) -> None:
    """A SELL of ten shares into two levels."""
    venue.show(build_book([("0.5", "6"), ("0.49", "100")], [("0.6", "1")]))
    sale = build_order(Side.SELL, limit_price="0.49")
    assert fill_facts(await submit(venue, sale)) == [("0.5", "6"), ("0.49", "4")]


async def test_order_that_crosses_nothing_rests(venue: Venue) -> None:
    """It is found again, unfilled, as often as one asks."""
    result = await submit(venue, build_resting_order())
    assert fill_facts(result) == []
    assert isinstance(result, Accepted)
    assert result.is_resting
    record = build_record(order_id=result.order_id)
    for _ in range(2):
        report = await venue.exchange.look_up(record)
        assert (report.status, report.fills) == (OrderStatus.RESTING, ())


async def test_resting_order_can_be_cancelled(venue: Venue) -> None:
    """An order that got nothing ends as unfilled."""
    result = await submit(venue, build_resting_order())
    report = await venue.exchange.cancel(build_record(order_id=result.order_id))
    assert (report.status, report.fills) == (OrderStatus.UNFILLED, ())


async def test_cancelled_order_keeps_what_it_took(venue: Venue) -> None:
    """Part of it crossed on arrival; the rest is taken out of the book."""
    venue.show(build_book([("0.4", "5")], [("0.5", "4"), ("0.6", "9")]))
    order = build_resting_order()
    result = await submit(venue, order)
    assert fill_facts(result) == [("0.5", "4")]
    venue.show(build_book([("0.4", "5")], [("0.6", "9")]))
    record = build_record(
        order, order_id=result.order_id, filled_size=shares(4), filled_cost_usdc=usdc(2)
    )
    report = await venue.exchange.cancel(record)
    assert report.status is OrderStatus.FILLED


@pytest.mark.parametrize("size", ["4.99", "10.001"])
async def test_size_that_the_venue_does_not_take_is_rejected(venue: Venue, size: str) -> None:
    """Below the minimum, or finer than two decimals."""
    assert isinstance(await submit(venue, build_resting_order(size=size)), Rejected)


async def test_silence_never_raises_and_is_never_an_acceptance(venue: Venue) -> None:
    """Rejected only where it is proved that nothing happened, Unknown otherwise."""
    venue.go_silent()
    assert isinstance(await submit(venue, build_order()), Rejected | Unknown)


async def test_silence_tells_nothing_about_a_resting_order(venue: Venue) -> None:
    """A look-up that learns nothing raises instead of guessing."""
    result = await submit(venue, build_resting_order())
    venue.go_silent()
    with pytest.raises(TransientError):
        await venue.exchange.look_up(build_record(order_id=result.order_id))
