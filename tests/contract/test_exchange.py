"""What every exchange promises, whichever it is; each adapter brings a venue to run it on."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest

from polybot.adapters.paper import PaperExchange
from polybot.domain.accounts import OrderRecord
from polybot.domain.books import OrderBook
from polybot.domain.money import shares, usdc
from polybot.domain.orders import (
    Accepted,
    Fill,
    FillStatus,
    Order,
    OrderReport,
    OrderStatus,
    PreparedOrder,
    Rejected,
    Side,
    SubmitResult,
    TimeInForce,
    Unknown,
)
from polybot.errors import TransientError
from polybot.execution import report_of
from polybot.ports import Exchange
from polybot.sandbox.exchange.rules import VenueRules
from tests.builders import (
    NOW,
    WINDOW,
    Levels,
    build_approved,
    build_book,
    build_market,
    build_order,
    build_record,
    build_resting_order,
)
from tests.fakes import FixedClock, ScriptedMarketData
from tests.live_sandbox import LiveSandbox, live_sandbox


class Venue(Protocol):
    """An exchange in front of a book that the test has set."""

    exchange: Exchange

    def show(self, book: OrderBook) -> None:
        """Make this the book of the Up token."""
        ...

    def go_silent(self) -> None:
        """Stop answering."""
        ...

    def later(self, seconds: float) -> None:
        """Let time pass, for the venue and for the exchange."""
        ...


class PaperVenue:
    """The paper exchange on a scripted market."""

    def __init__(self) -> None:
        self.market_data = ScriptedMarketData(build_market(), build_book())
        self.clock = FixedClock(NOW)
        self.exchange: Exchange = PaperExchange(self.market_data, self.clock, delay_s=0.25)

    def show(self, book: OrderBook) -> None:
        self.market_data.book = book

    def go_silent(self) -> None:
        self.market_data.book = TransientError("the venue did not answer")

    def later(self, seconds: float) -> None:
        self.clock.instant += timedelta(seconds=seconds)


@asynccontextmanager
async def paper(_: Path) -> AsyncIterator[PaperVenue]:
    yield PaperVenue()


def live_on_a_venue_that_shows_all(home: Path) -> AbstractAsyncContextManager[LiveSandbox]:
    return live_sandbox(home, VenueRules(shows_terminal_orders=True))


def live_on_a_venue_that_shows_open_orders(home: Path) -> AbstractAsyncContextManager[LiveSandbox]:
    return live_sandbox(home, VenueRules(shows_terminal_orders=False))


@pytest.fixture(
    params=[paper, live_on_a_venue_that_shows_all, live_on_a_venue_that_shows_open_orders]
)
async def venue(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Venue]:
    async with request.param(tmp_path) as opened:
        yield opened


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


async def fills_of(venue: Venue, order: Order) -> tuple[Fill, ...]:
    """Submit an order and return its fills: told by the answer, or found by looking."""
    result = await submit(venue, order)
    assert isinstance(result, Accepted), result
    if result.fills or result.is_resting:
        return result.fills
    return (await venue.exchange.look_up(sent(order, result))).fills


def sent(order: Order, result: SubmitResult, **changes: Any) -> OrderRecord:
    """Return the ledger's record of an order after its answer."""
    report = report_of(result)
    return build_record(order, order_id=result.order_id, status=report.status, **changes)


async def ending(venue: Venue, record: OrderRecord, report: OrderReport) -> OrderReport:
    """Look again and again until the order's fate is known."""
    for _ in range(10):
        if not report.status.is_open:
            return report
        venue.later(60)
        report = await venue.exchange.look_up(replace(record, status=report.status))
    raise AssertionError(f"still open after ten minutes: {report}")


def facts(fills: tuple[Fill, ...]) -> Levels:
    return [(str(fill.price.normalize()), str(fill.size.normalize())) for fill in fills]


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
    fills = await fills_of(venue, build_order())
    assert sorted(facts(fills)) == [("0.51", "4"), ("0.52", "5.692307")]
    assert all(fill.status is not FillStatus.FAILED for fill in fills)
    assert all(fill.fee_usdc > 0 for fill in fills)
    assert len({(fill.trade_id, fill.leg) for fill in fills}) == 2


async def test_market_order_ends_with_the_fills_it_took(venue: Venue) -> None:
    """Nothing of it is left to wait, and no fill is added later."""
    order = build_order()
    result = await submit(venue, order)
    assert isinstance(result, Accepted)
    assert not result.is_resting
    report = report_of(result)
    if report.status.is_open:
        report = await ending(venue, sent(order, result), report)
    assert report.status is OrderStatus.FILLED
    assert facts(report.fills) == [("0.51", "9.803921")]


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
    assert facts(await fills_of(venue, build_order())) == [("0.51", "5")]


async def test_sale_takes_the_bids(venue: Venue) -> None:
    """A SELL of ten shares into two levels."""
    venue.show(build_book([("0.5", "6"), ("0.49", "100")], [("0.6", "1")]))
    sale = build_order(Side.SELL, limit_price="0.49")
    assert sorted(facts(await fills_of(venue, sale))) == [("0.49", "4"), ("0.5", "6")]


async def test_order_that_crosses_nothing_rests(venue: Venue) -> None:
    """It is found again, unfilled, as often as one asks."""
    order = build_resting_order(limit_price="0.49")
    result = await submit(venue, order)
    assert isinstance(result, Accepted)
    assert (result.is_resting, result.fills) == (True, ())
    for _ in range(2):
        report = await venue.exchange.look_up(sent(order, result))
        assert (report.status, report.fills) == (OrderStatus.RESTING, ())


@pytest.mark.parametrize("kind", [TimeInForce.GTC, TimeInForce.GTD])
async def test_resting_order_can_be_cancelled(venue: Venue, kind: TimeInForce) -> None:
    """An order that got nothing ends as unfilled."""
    until = WINDOW.end if kind is TimeInForce.GTD else None
    order = build_resting_order(limit_price="0.49", time_in_force=kind, expires_at=until)
    record = sent(order, await submit(venue, order))
    report = await venue.exchange.cancel(record)
    report = await ending(venue, record, report)
    assert (report.status, report.fills) == (OrderStatus.UNFILLED, ())


async def test_cancelled_order_keeps_what_it_took(venue: Venue) -> None:
    """Part of it crossed on arrival; the rest is taken out of the book."""
    venue.show(build_book([("0.4", "5")], [("0.5", "4"), ("0.6", "9")]))
    order = build_resting_order()
    result = await submit(venue, order)
    venue.show(build_book([("0.4", "5")], [("0.6", "9")]))
    record = sent(order, result, filled_size=shares(4), filled_cost_usdc=usdc(2))
    report = await venue.exchange.cancel(record)
    assert (await ending(venue, record, report)).status is OrderStatus.FILLED


async def test_post_only_order_that_would_match_is_rejected(venue: Venue) -> None:
    """Makers only; one tick lower it waits."""
    crossing = build_resting_order(limit_price="0.51", is_post_only=True)
    assert isinstance(await submit(venue, crossing), Rejected)
    waiting = build_resting_order(limit_price="0.50", is_post_only=True)
    assert isinstance(await submit(venue, waiting), Accepted)


async def test_size_below_the_minimum_is_rejected(venue: Venue) -> None:
    """Five shares at least."""
    assert isinstance(await submit(venue, build_resting_order(size="4.99")), Rejected)


async def test_size_that_the_venue_cannot_express_never_trades_more(venue: Venue) -> None:
    """Finer than two decimals: refused, or rounded down, never up."""
    venue.show(build_book([("0.40", "9")], [("0.50", "100")]))
    order = build_resting_order(size="10.009")
    result = await submit(venue, order)
    if isinstance(result, Accepted):
        fills = result.fills or (await venue.exchange.look_up(sent(order, result))).fills
        assert sum(fill.size for fill in fills) == 10
    else:
        assert isinstance(result, Rejected)


async def test_silence_never_raises_and_is_never_an_acceptance(venue: Venue) -> None:
    """Rejected only where it is proved that nothing happened, Unknown otherwise."""
    venue.go_silent()
    assert isinstance(await submit(venue, build_order()), Rejected | Unknown)


async def test_silence_tells_nothing_about_a_resting_order(venue: Venue) -> None:
    """A look-up that learns nothing raises instead of guessing."""
    order = build_resting_order()
    record = sent(order, await submit(venue, order))
    venue.go_silent()
    with pytest.raises(TransientError):
        await venue.exchange.look_up(record)
