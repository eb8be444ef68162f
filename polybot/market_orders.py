"""The venue's grid for orders that take what is there: ticks, cents, minimums, expected fills.

Whoever decides on an order sizes it here, so that every order is on the same grid. Nothing is
rounded towards more risk: budgets and sizes down, limits towards the better price.
"""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final

from polybot.domain.books import OrderBook
from polybot.domain.markets import Market, Outcome
from polybot.domain.matching import fee_of, match_taker
from polybot.domain.money import (
    MICRO,
    ZERO_USDC,
    Price,
    Shares,
    Usdc,
    price_down,
    shares_down,
    usdc_down,
    usdc_up,
)
from polybot.domain.orders import DecisionKey, ExpectedFill, Order, Side, TimeInForce

# The venue takes market BUY budgets in whole cents and computes their shares to four decimals.
BUDGET_STEP: Final = Decimal("0.01")
SIZE_STEP: Final = Decimal("0.0001")
SALE_STEP: Final = Decimal("0.01")
"""Sizes of market SELLs have two decimals [shares]."""
# Both are enforced by the venue on every marketable BUY, whatever a market's own minimum says; the
# size also on every SELL.
MIN_SIZE: Final = Decimal(5)
MIN_NOTIONAL_USDC: Final = Decimal(1)


def least_size(market: Market, book: OrderBook | None) -> Decimal:
    """Return the fewest shares that an order may have."""
    if book is None:
        return max(MIN_SIZE, market.min_order_size)
    return max(MIN_SIZE, market.min_order_size, book.min_order_size)


def coarser_tick(market: Market, book: OrderBook | None) -> Decimal:
    """Return the tick to use: it can change inside a window, and the coarser is good on both."""
    return market.tick_size if book is None else max(market.tick_size, book.tick_size)


def highest_limit(wanted: Decimal, market: Market, book: OrderBook | None) -> Price | None:
    """Return the highest price on the grid that is not above ``wanted``, if there is one."""
    tick = coarser_tick(market, book)
    limit = price_down(min(wanted, 1 - tick), tick)
    return _on_market_grid(limit, market)


def lowest_limit(wanted: Decimal, market: Market, book: OrderBook | None) -> Price | None:
    """Return the lowest price on the grid that is not below ``wanted``.

    Where even the highest price of the grid is below it, the highest: a sale must have some limit.
    """
    tick = coarser_tick(market, book)
    limit = price_down(wanted, tick)
    if limit < wanted or limit == 0:
        limit += tick
    limit = min(limit, price_down(1 - tick, tick))
    return _on_market_grid(limit, market)


def budget_of(stake_usdc: Decimal) -> Usdc:
    """Round a stake down to whole cents."""
    return usdc_down(stake_usdc // BUDGET_STEP * BUDGET_STEP)


def bought_for(budget_usdc: Usdc, limit_price: Price) -> Shares:
    """Return the fewest shares that a budget brings at a limit price or better."""
    return shares_down(budget_usdc / limit_price, SIZE_STEP)


def build_market_buy(
    *,
    decision_key: DecisionKey,
    market: Market,
    outcome: Outcome,
    limit_price: Price,
    budget_usdc: Usdc,
    size: Shares | None = None,
) -> Order:
    """Return a BUY that spends at most a budget at once and leaves nothing in the book.

    Args:
        decision_key: The decision that the order carries out.
        market: The market.
        outcome: What is bought.
        limit_price: The worst price, on the grid.
        budget_usdc: Whole cents, > 0.
        size: ``bought_for`` both, where it is known.
    """
    return Order(
        decision_key=decision_key,
        market=market,
        outcome=outcome,
        side=Side.BUY,
        time_in_force=TimeInForce.FAK,
        limit_price=limit_price,
        size=bought_for(budget_usdc, limit_price) if size is None else size,
        budget_usdc=budget_usdc,
    )


def build_market_sell(
    *,
    decision_key: DecisionKey,
    market: Market,
    outcome: Outcome,
    limit_price: Price,
    size: Shares,
) -> Order:
    """Return a SELL of at most a size [shares] at once, never below a limit price."""
    return Order(
        decision_key=decision_key,
        market=market,
        outcome=outcome,
        side=Side.SELL,
        time_in_force=TimeInForce.FAK,
        limit_price=limit_price,
        size=size,
        budget_usdc=ZERO_USDC,
    )


def expect_fill(order: Order, book: OrderBook) -> ExpectedFill | None:
    """Return what an order should get from a book, ``None`` where nothing or one side is missing.

    Of a SELL the cost is what it brings, rounded down, and the break-even is what a share brings
    after its fee.
    """
    matches = match_taker(order, book)
    midpoint = book.midpoint
    if not matches or midpoint is None:
        return None
    size, value, paid = matches[0].size, matches[0].size * matches[0].price, matches[0].cost_usdc
    for match in matches[1:]:
        size = Shares(size + match.size)
        value += match.size * match.price
        paid = Usdc(paid + match.cost_usdc)
    fee = fee_of(matches, order.market.fees)
    if order.side is Side.BUY:
        cost, half_spread = paid, usdc_up(paid - size * midpoint)
        break_even = ((cost + fee) / size).quantize(MICRO, ROUND_CEILING)
    else:
        cost = usdc_down(value)
        half_spread = usdc_up(size * midpoint - cost)
        break_even = ((cost - fee) / size).quantize(MICRO, ROUND_FLOOR)
    return ExpectedFill(
        size=size,
        average_price=Price((value / size).quantize(MICRO)),
        cost_usdc=cost,
        fee_usdc=fee,
        half_spread_usdc=half_spread,
        break_even=break_even,
    )


def _on_market_grid(limit: Decimal, market: Market) -> Price | None:
    return Price(limit) if 0 < limit < 1 and limit % market.tick_size == 0 else None
