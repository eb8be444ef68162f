"""How an order that crosses the spread meets a book: level by level, at the book's prices.

Risk uses it to know what an order should cost, the paper exchange to fill it, so the two cannot
disagree. It sees one book at one instant; it does not know queues, delays or other traders.
"""

from dataclasses import dataclass
from decimal import Decimal

from polybot.domain.books import BookLevel, OrderBook
from polybot.domain.markets import FeeSchedule, taker_fee
from polybot.domain.money import Price, Shares, Usdc, shares_down, usdc_up
from polybot.domain.orders import Order, Side, TimeInForce


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """What one book level gives."""

    price: Price
    size: Shares

    @property
    def cost_usdc(self) -> Usdc:
        """Price times size, rounded up to the micro-USDC as a buyer pays it."""
        return usdc_up(self.price * self.size)


def match_taker(order: Order, book: OrderBook) -> tuple[Match, ...]:
    """Return what an order takes from a book at once, best level first.

    A market BUY spends its budget: whole levels while they last, then as many micro-shares of the
    next one as the rest of the budget pays for, rounded down. Every other order takes its size; a
    resting BUY never spends more than its budget either. No level beyond the limit price is
    touched. FOK takes everything or nothing, and a level thinner than a micro-share is nothing.

    Source: docs.polymarket.com/migrate/polymarket-v2/contract-integrations (2026-11-22): the
    counter amount of a fill is rounded down.
    """
    is_buy = order.side is Side.BUY
    wanted: Decimal | None = None if order.is_market_buy else order.size
    budget: Decimal = order.budget_usdc
    matches = []
    for level in _levels_within(order, book):
        takes = shares_down(level.size)
        if is_buy:
            affordable = shares_down(budget / level.price)
            if not affordable:
                # Every further level costs more.
                break
            takes = min(takes, affordable)
        if wanted is not None:
            takes = min(takes, Shares(wanted))
        if takes <= 0:
            continue
        match = Match(price=level.price, size=takes)
        matches.append(match)
        budget -= match.cost_usdc
        if wanted is not None:
            wanted -= takes
    rest = budget if wanted is None else wanted
    if order.time_in_force is TimeInForce.FOK and rest > 0:
        return ()
    return tuple(matches)


def fee_of(matches: tuple[Match, ...], schedule: FeeSchedule) -> Usdc:
    """Return the taker fee of all matches [USDC]; the venue charges, and rounds, each one."""
    return Usdc(sum((taker_fee(match.size, match.price, schedule) for match in matches), Decimal()))


def _levels_within(order: Order, book: OrderBook) -> tuple[BookLevel, ...]:
    if order.side is Side.BUY:
        return tuple(level for level in book.asks if level.price <= order.limit_price)
    return tuple(level for level in book.bids if level.price >= order.limit_price)
