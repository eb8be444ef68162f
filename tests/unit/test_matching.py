"""A crossing order takes the book level by level, within its limit, its budget and its size."""

from decimal import Decimal

import pytest

from polybot.domain import matching
from polybot.domain.markets import FeeSchedule
from polybot.domain.money import shares, usdc
from polybot.domain.orders import Order, Side, TimeInForce
from tests.builders import CRYPTO_FEES, Levels, build_book, build_order, build_resting_order


def taken(order: Order, bids: Levels | None = None, asks: Levels | None = None) -> Levels:
    """Return the matches as text, which is how a reader compares them with the book."""
    matches = matching.match_taker(order, build_book(bids, asks))
    return [(str(match.price), format(match.size.normalize(), "f")) for match in matches]


def test_market_buy_spends_its_budget_at_better_prices() -> None:
    """2.04 + 2.96 USDC: cheaper asks bring more shares than the order's size."""
    asks = [("0.51", "4"), ("0.52", "100"), ("0.53", "100")]
    assert taken(build_order(), asks=asks) == [("0.51", "4"), ("0.52", "5.692307")]


def test_market_buy_takes_a_level_that_its_budget_pays_exactly() -> None:
    """10 shares at 0.50 are 5 USDC: nothing is left for the next level."""
    order = build_order()
    assert taken(order, [("0.48", "9")], [("0.50", "10"), ("0.51", "5")]) == [("0.50", "10")]


@pytest.mark.parametrize(("ask", "expected"), [("0.53", [("0.53", "9.433962")]), ("0.54", [])])
def test_limit_price_is_inclusive(ask: str, expected: Levels) -> None:
    """The limit is the worst price we accept, and we accept it."""
    assert taken(build_order(), asks=[(ask, "100")]) == expected


@pytest.mark.parametrize(("bid", "expected"), [("0.50", [("0.50", "10")]), ("0.49", [])])
def test_sale_walks_the_bids_down_to_its_limit(bid: str, expected: Levels) -> None:
    """A SELL takes bids at its limit or above."""
    order = build_order(Side.SELL, limit_price="0.50")
    assert taken(order, [(bid, "100")], [("0.60", "1")]) == expected


def test_sale_is_bounded_by_its_size() -> None:
    """Ten shares: three at the best bid, seven at the next."""
    order = build_order(Side.SELL, limit_price="0.40")
    bids = [("0.50", "3"), ("0.49", "100"), ("0.48", "100")]
    assert taken(order, bids) == [("0.50", "3"), ("0.49", "7")]


def test_resting_buy_is_bounded_by_size_and_budget() -> None:
    """A GTC BUY wants its size; better prices do not make it larger."""
    asks = [("0.45", "4"), ("0.46", "100")]
    assert taken(build_resting_order(), [("0.40", "1")], asks) == [("0.45", "4"), ("0.46", "6")]
    poor = build_resting_order(budget_usdc=usdc("2.5"))
    assert taken(poor, [("0.40", "1")], [("0.50", "100")]) == [("0.50", "5")]


@pytest.mark.parametrize(
    ("depth", "expected"),
    [("9.803920", [("0.51", "9.80392")]), ("9.803919", [])],
)
def test_fok_buy_is_all_or_nothing(depth: str, expected: Levels) -> None:
    """9.803920 shares cost 5 USDC, rounded up; one micro-share less and nothing is taken."""
    order = build_order(time_in_force=TimeInForce.FOK)
    assert taken(order, asks=[("0.51", depth)]) == expected


@pytest.mark.parametrize(("depth", "expected"), [("10", [("0.50", "10")]), ("9.999999", [])])
def test_fok_sale_is_all_or_nothing(depth: str, expected: Levels) -> None:
    """The same for a SELL, counted in shares."""
    order = build_order(Side.SELL, TimeInForce.FOK, "0.50")
    assert taken(order, [("0.50", depth)]) == expected


def test_level_thinner_than_a_micro_share_is_skipped() -> None:
    """Dust cannot be booked, so it is not taken; what is behind it is."""
    asks = [("0.50", "0.0000009"), ("0.51", "1.0000019")]
    assert taken(build_order(), [("0.48", "9")], asks) == [("0.51", "1.000001")]


def test_cost_is_rounded_up_and_never_beyond_the_budget() -> None:
    """A third of a micro-dollar is paid as a whole one."""
    order = build_resting_order(limit_price="0.33", size="10")
    (match,) = matching.match_taker(order, build_book([("0.20", "9")], [("0.33", "1.000001")]))
    assert match.cost_usdc == Decimal("0.330001")


def test_fees_are_charged_and_rounded_for_each_match() -> None:
    """Two fills of a micro-share pay the smallest fee twice."""
    book = build_book(asks=[("0.51", "0.000001"), ("0.52", "0.000001")])
    matches = matching.match_taker(build_order(), book)
    assert matching.fee_of(matches, CRYPTO_FEES) == Decimal("0.00002")
    assert matching.fee_of(matches, FeeSchedule(rate=Decimal(0), exponent=1)) == 0
    assert matching.fee_of((), CRYPTO_FEES) == 0


def test_empty_side_gives_nothing() -> None:
    """A one-sided book is ordinary."""
    assert taken(build_order(), asks=[]) == []
    assert taken(build_order(Side.SELL, limit_price="0.01"), bids=[]) == []


def test_size_bounds_only_orders_that_are_not_market_buys() -> None:
    """The size of a market BUY is what its budget must bring at least."""
    order = build_order(size=shares("0.0001"))
    assert taken(order, asks=[("0.51", "100")]) == [("0.51", "9.803921")]
