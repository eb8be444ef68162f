"""Our fills against an independent implementation: the package polymarket-paper-trader.

It works in binary floats, takes books in any order and does not round shares; what differs by
design is bounded exactly here and explained in docs/adr/0005-paper-fills.md.
"""

import random
from collections.abc import Iterator
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal

import pytest
from pm_trader.models import FillResult
from pm_trader.models import OrderBook as OracleBook
from pm_trader.models import OrderBookLevel as OracleLevel
from pm_trader.orderbook import calculate_fee_schedule, simulate_buy_fill, simulate_sell_fill

from polybot.domain.books import BookLevel, OrderBook
from polybot.domain.markets import FeeSchedule, taker_fee
from polybot.domain.matching import Match, fee_of, match_taker
from polybot.domain.money import Price, Shares, price, shares, usdc
from polybot.domain.orders import Order, Side, TimeInForce
from tests.builders import NOW, UP_TOKEN, build_market, build_order

BOOK_COUNT = 2000
FIVE = Decimal("0.00001")
MICRO = Decimal("0.000001")
# Binary noise of sums of a few dozen floats around 100.
NOISE = Decimal("1e-9")


class Case:
    """A random book with a BUY and a SELL for it."""

    def __init__(self, seed: int) -> None:
        rng = random.Random(seed)
        self.tick = rng.choice([Decimal("0.01"), Decimal("0.001")])
        steps = int(1 / self.tick)
        middle = rng.randint(2, steps - 2)
        places = rng.choice([0, 2, 6])
        self.book = OrderBook(
            token_id=UP_TOKEN,
            bids=self._levels(rng, range(middle, 0, -1), places),
            asks=self._levels(rng, range(middle + 1, steps), places),
            tick_size=self.tick,
            min_order_size=Shares(Decimal(5)),
            as_of=NOW,
        )
        self.market = build_market(
            tick_size=self.tick,
            fees=FeeSchedule(rate=Decimal(rng.choice(["0", "0.04", "0.07", "0.072"])), exponent=1),
        )
        self.buy_limit = rng.randint(middle, steps - 1) * self.tick
        self.sell_limit = rng.randint(1, middle + 1) * self.tick
        self.budget = Decimal(rng.randint(100, 50_000)) / 100
        self.size = Decimal(rng.randint(500, 200_000)) / 100
        self.time_in_force = rng.choice([TimeInForce.FAK, TimeInForce.FAK, TimeInForce.FOK])

    def _levels(self, rng: random.Random, grid: range, places: int) -> tuple[BookLevel, ...]:
        count = min(len(grid), rng.randint(0, 12))
        steps = sorted(rng.sample(grid, count), reverse=grid.step < 0)
        sizes = [Decimal(rng.randint(1, 10 ** (3 + places))) / 10**places for _ in steps]
        return tuple(
            BookLevel(price=price(step * self.tick), size=shares(size))
            for step, size in zip(steps, sizes, strict=True)
        )

    @property
    def oracle_book(self) -> OracleBook:
        """The same book as the wire has it: best level last."""
        return OracleBook(
            bids=[OracleLevel(float(x.price), float(x.size)) for x in reversed(self.book.bids)],
            asks=[OracleLevel(float(x.price), float(x.size)) for x in reversed(self.book.asks)],
        )

    def buy(self) -> tuple[Order, FillResult]:
        order = build_order(
            market=self.market,
            time_in_force=self.time_in_force,
            limit_price=str(self.buy_limit),
            budget_usdc=usdc(self.budget),
        )
        return order, simulate_buy_fill(
            self.oracle_book,
            float(self.budget),
            0,
            self.time_in_force.lower(),
            max_price=float(self.buy_limit),
            fee_rate=float(self.market.fees.rate),
        )

    def sell(self) -> tuple[Order, FillResult]:
        order = build_order(
            Side.SELL,
            self.time_in_force,
            str(self.sell_limit),
            market=self.market,
            size=shares(self.size),
        )
        return order, simulate_sell_fill(
            self.oracle_book,
            float(self.size),
            0,
            self.time_in_force.lower(),
            min_price=float(self.sell_limit),
            fee_rate=float(self.market.fees.rate),
        )


def cases() -> Iterator[tuple[Order, OrderBook, FillResult]]:
    for seed in range(BOOK_COUNT):
        case = Case(seed)
        for order, theirs in (case.buy(), case.sell()):
            yield order, case.book, theirs


def exact(value: float) -> Decimal:
    """Return the decimal that a float stands for, as people write it."""
    return Decimal(repr(value))


def their_fee(match: Match, schedule: FeeSchedule) -> Decimal:
    """Return the documented fee rounded to the nearest 10⁻⁵, which is the oracle's reading."""
    return exact_fee(match, schedule).quantize(FIVE, ROUND_HALF_EVEN)


def exact_fee(match: Match, schedule: FeeSchedule) -> Decimal:
    return match.size * schedule.rate * match.price * (1 - match.price)


def test_fills_equal_the_oracles_level_by_level() -> None:
    """Same levels, same prices, same shares but for the micros that rounding takes from us."""
    compared = partial = untouched = 0
    for order, book, theirs in cases():
        ours = match_taker(order, book)
        assert [match.price for match in ours] == [exact(fill.price) for fill in theirs.fills]
        paid_more = Decimal()
        for match, fill in zip(ours, theirs.fills, strict=True):
            # What rounding up cost on earlier levels is missing from the last one's budget.
            missing = paid_more / match.price if order.is_market_buy else Decimal()
            lost = exact(fill.shares) - match.size
            assert lost == 0 or -NOISE <= lost - missing < MICRO + NOISE
            paid_more += match.cost_usdc - match.price * match.size
        compared += bool(ours)
        partial += theirs.is_partial
        untouched += not ours
    assert compared > BOOK_COUNT
    assert partial > 200
    assert untouched > 200


def test_fills_equal_to_five_decimals_where_levels_cost_whole_micros() -> None:
    """Books of hundredths of shares, as the venue's limit orders make them, need no rounding."""
    compared = 0
    for order, book, theirs in cases():
        ours = match_taker(order, book)
        if any(level.size % Decimal("0.01") for level in (*book.asks, *book.bids)):
            continue
        for match, fill in zip(ours, theirs.fills, strict=True):
            assert abs(match.size - exact(fill.shares)) < MICRO + NOISE
            assert abs(match.cost_usdc - exact(fill.cost)) < NOISE
        compared += bool(ours)
    assert compared > 1000


def test_whole_order_costs_what_the_oracle_says() -> None:
    """Total cost agrees to a micro a level, the average price to 5 decimals."""
    for order, book, theirs in cases():
        ours = match_taker(order, book)
        cost = sum((match.cost_usdc for match in ours), Decimal())
        size = sum((match.size for match in ours), Decimal())
        assert abs(cost - exact(theirs.total_cost)) < max(len(ours), 1) * MICRO
        if ours:
            assert 0 <= cost / size - exact(theirs.avg_price) + NOISE < FIVE


def test_fees_equal_the_oracles_but_for_rounding_against_us() -> None:
    """Each fill: the nearest 10⁻⁵ for them, the next one up for us, at least one step."""
    stepped = fills = 0
    for order, book, theirs in cases():
        schedule = order.market.fees
        ours = match_taker(order, book)
        nearest = sum((their_fee(match, schedule) for match in ours), Decimal())
        # Their shares are not rounded and their sums are floats: at a tie one step may tip.
        ties = sum(is_tie(match, schedule) for match in ours)
        assert abs(exact(theirs.fee) - nearest) <= ties * FIVE
        difference = Decimal()
        for match in ours:
            step = taker_fee(match.size, match.price, schedule) - their_fee(match, schedule)
            raw = exact_fee(match, schedule)
            expected = max(raw.quantize(FIVE, ROUND_CEILING), FIVE if schedule.rate else Decimal())
            assert taker_fee(match.size, match.price, schedule) == expected
            assert step in (0, FIVE)
            difference += step
        assert fee_of(ours, schedule) == nearest + difference
        fills += len(ours)
        stepped += int(difference / FIVE)
    # Half of all fills end below the middle of a step, so about half of them are rounded apart.
    assert 0.2 < stepped / fills < 0.8


def is_tie(match: Match, schedule: FeeSchedule) -> bool:
    """Whether less than a micro-share and float noise decide the oracle's rounding."""
    rest = exact_fee(match, schedule) % FIVE
    return abs(rest - FIVE / 2) < MICRO * schedule.rate


@pytest.mark.parametrize(
    ("size", "at", "fee"),
    [("25", "0.64", "0.40320"), ("108", "0.36", "1.74183")],
)
def test_fees_of_known_fills(size: str, at: str, fee: str) -> None:
    """Two fills whose fee on the chain is public: 0.4032 and 1.741820, the last rounded up by us.

    108 × 0.07 × 0.36 × 0.64 is 1.741824.
    """
    schedule = FeeSchedule(rate=Decimal("0.07"), exponent=1)
    assert taker_fee(Shares(Decimal(size)), Price(Decimal(at)), schedule) == Decimal(fee)
    theirs = calculate_fee_schedule(0.07, 1, float(at), float(size))
    assert 0 <= Decimal(fee) - exact(theirs) <= FIVE
