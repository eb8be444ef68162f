"""Exact maker and taker amounts of an order, in integers, as the venue rounds them.

Both official clients compute these with rounding that the venue refuses or that moves the price
(floats floor 0.29 to 0.28; ticks finer than 0.01 give more decimals than market orders may have).
Here nothing is a float and nothing is rounded towards more risk: never more USDC than the budget,
never more shares than the size.

Sources: docs.polymarket.com/migrate/polymarket-v2/contract-integrations (2026-11-22);
github.com/Polymarket/py-sdk/issues/291; github.com/Polymarket/py-clob-client-v2/issues/99.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from polybot.domain.money import to_micro
from polybot.domain.orders import Order, Side
from polybot.errors import DataError

# Budgets are whole cents and sizes whole hundredths of a share, on every tick [micro-units].
CENT: Final = 10_000
# Market orders: the computed side has at most four decimals, three on the coarsest tick. Five are
# said to pass on a tick of 0.001; four pass everywhere [micro-units].
_MARKET_STEP: Final = {
    Decimal("0.1"): 1_000,
    Decimal("0.01"): 100,
    Decimal("0.005"): 100,
    Decimal("0.0025"): 100,
    Decimal("0.001"): 100,
    Decimal("0.0001"): 100,
}
TICK_SIZES: Final = tuple(_MARKET_STEP)
# Prices as counts of the finest tick, 10⁻⁴: every tick above is a multiple of it.
_PRICE_SCALE: Final = 10_000
_DECIMAL_SCALE: Final = Decimal(_PRICE_SCALE)
# Half the range of a signed 64-bit integer: far above any real order.
_LARGEST: Final = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderAmounts:
    """What an order offers and asks for, in 10⁻⁶ of a share or of a USDC."""

    maker: int
    """What we give: USDC of a BUY, shares of a SELL."""
    taker: int
    """The least that we get for all of it."""

    def __post_init__(self) -> None:
        """Refuse amounts that no exchange takes."""
        if not (0 < self.maker < _LARGEST and 0 < self.taker < _LARGEST):
            raise ValueError(f"order amounts must be positive, were {self.maker}/{self.taker}")


def amounts_of(order: Order) -> OrderAmounts:
    """Return the amounts to sign for an order.

    A resting order is signed at exactly its limit price. The price of a market order follows from
    its amounts: rounding the computed side down puts it at the limit or past it by less than the
    venue's finest tick, so that an offer at the limit is taken and no worse one can be, even where
    the market's tick becomes finer after signing. An order that cannot keep this (a few cents
    worth) is refused.

    Returns:
        Amounts with ``maker`` at most the budget (BUY) or the size (SELL), and ``taker`` of a
        resting BUY at most the size.

    Raises:
        DataError: ``tick-unsupported``; ``price-off-range``; ``amounts-inexpressible`` where the
            venue's decimals leave nothing, or less than a market BUY promises.
    """
    step = _MARKET_STEP.get(order.market.tick_size)
    if step is None:
        raise DataError(
            f"tick size must be one of {', '.join(map(str, TICK_SIZES))}, "
            f"was {order.market.tick_size}",
            reason="tick-unsupported",
        )
    price = _scaled_price(order)
    if order.time_in_force.rests:
        return _resting(order, price)
    if order.side is Side.BUY:
        return _market_buy(order, price, step)
    return _market_sell(order, price, step)


def _scaled_price(order: Order) -> int:
    price = int(order.limit_price * _DECIMAL_SCALE)
    tick = int(order.market.tick_size * _DECIMAL_SCALE)
    if not tick <= price <= _PRICE_SCALE - tick:
        raise DataError(
            f"limit price must be at least a tick inside (0, 1), was {order.limit_price}",
            reason="price-off-range",
        )
    return price


def _resting(order: Order, price: int) -> OrderAmounts:
    size = to_micro(order.size)
    if order.side is Side.BUY:
        size = min(size, to_micro(order.budget_usdc) * _PRICE_SCALE // price)
    size -= size % CENT
    # A whole number of hundredths times a price of four decimals is a whole number of millionths.
    cost = size * price // _PRICE_SCALE
    if order.side is Side.BUY:
        return _expressed(order, maker=cost, taker=size)
    return _expressed(order, maker=size, taker=cost)


def _market_buy(order: Order, price: int, step: int) -> OrderAmounts:
    budget = to_micro(order.budget_usdc)
    budget -= budget % CENT
    size = budget * _PRICE_SCALE // price
    size -= size % step
    promised = to_micro(order.size)
    # Strictly below the next price of the finest grid: budget / size < (price + 1) / scale.
    reaches_next_price = budget * _PRICE_SCALE >= size * (price + 1)
    if reaches_next_price or size < promised - promised % step:
        raise _inexpressible(order)
    return _expressed(order, maker=budget, taker=size)


def _market_sell(order: Order, price: int, step: int) -> OrderAmounts:
    size = to_micro(order.size)
    size -= size % CENT
    proceeds = size * price // _PRICE_SCALE
    proceeds -= proceeds % step
    if proceeds * _PRICE_SCALE <= size * (price - 1):
        raise _inexpressible(order)
    return _expressed(order, maker=size, taker=proceeds)


def _expressed(order: Order, *, maker: int, taker: int) -> OrderAmounts:
    try:
        return OrderAmounts(maker=maker, taker=taker)
    except ValueError as error:
        raise _inexpressible(order) from error


def _inexpressible(order: Order) -> DataError:
    return DataError(
        f"the venue's decimals cannot express {order.side} {order.size} at {order.limit_price} "
        f"with a budget of {order.budget_usdc} USDC on tick {order.market.tick_size}",
        reason="amounts-inexpressible",
    )
