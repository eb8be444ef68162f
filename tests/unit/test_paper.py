"""Paper fills are what the real market would have given, or less, and refusals are the venue's."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from polybot.domain.money import shares, usdc
from polybot.domain.orders import Accepted, Liquidity, Rejected, Side, TimeInForce
from polybot.errors import DataError, PermanentError, TransientError
from tests.builders import WINDOW, build_book, build_order, build_resting_order
from tests.paper_desk import ARRIVAL, DELAY_S, LATER, Desk, accepted, gtd, rejected

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
