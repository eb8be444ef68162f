"""Amounts are exact, within what risk approved, and never reach a worse price than the limit."""

import os
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from fractions import Fraction
from random import Random, SystemRandom

import pytest

from polybot.adapters.polymarket.amounts import TICK_SIZES, OrderAmounts, amounts_of
from polybot.domain.markets import Outcome
from polybot.domain.money import ZERO_USDC, Price, Shares, Usdc
from polybot.domain.orders import Order, Side, TimeInForce
from polybot.errors import DataError
from tests.builders import NOW, build_market, build_order
from tests.order_cases import tick_prices

FINEST_TICK = Fraction(1, 10_000)
RANDOM_ORDERS = int(os.environ.get("POLYBOT_TEST_AMOUNT_ORDERS", "25000"))
DECISION_KEY = build_order().decision_key
MARKETS = {tick: build_market(tick_size=tick) for tick in TICK_SIZES}
PRICES = {tick: list(tick_prices(tick)) for tick in TICK_SIZES}


@pytest.mark.parametrize(
    ("budget", "limit", "maker", "taker"),
    [
        ("10", "0.52", 10_000_000, 19_230_700),
        ("10", "0.53", 10_000_000, 18_867_900),
        ("9.999", "0.53", 9_990_000, 18_849_000),
        ("9.68", "0.53", 9_680_000, 18_264_100),
        # A float floor takes these three prices for the tick below.
        ("10", "0.29", 10_000_000, 34_482_700),
        ("10", "0.57", 10_000_000, 17_543_800),
        ("10", "0.58", 10_000_000, 17_241_300),
        # A float floor loses a cent of these budgets.
        ("1.13", "0.10", 1_130_000, 11_300_000),
        ("2.01", "0.30", 2_010_000, 6_700_000),
        ("2.03", "0.35", 2_030_000, 5_800_000),
    ],
)
def test_market_buy_spends_whole_cents_at_the_limit(
    budget: str, limit: str, maker: int, taker: int
) -> None:
    """Figures of the venue's own client, and those that it gets wrong."""
    order = build_order(
        limit_price=limit, budget_usdc=Usdc(Decimal(budget)), size=Shares(Decimal(1))
    )
    assert amounts_of(order) == OrderAmounts(maker=maker, taker=taker)


@pytest.mark.parametrize(
    ("order", "amounts"),
    [
        ((Side.SELL, TimeInForce.FAK, "0.50", "18.865"), (18_860_000, 9_430_000)),
        ((Side.SELL, TimeInForce.FOK, "0.57", "10"), (10_000_000, 5_700_000)),
        ((Side.BUY, TimeInForce.GTC, "0.53", "18.867"), (9_995_800, 18_860_000)),
        ((Side.SELL, TimeInForce.GTC, "0.53", "18.867"), (18_860_000, 9_995_800)),
        ((Side.BUY, TimeInForce.GTC, "0.50", "10"), (5_000_000, 10_000_000)),
        ((Side.BUY, TimeInForce.GTD, "0.50", "10"), (5_000_000, 10_000_000)),
    ],
)
def test_other_orders_trade_whole_hundredths_of_a_share(
    order: tuple[Side, TimeInForce, str, str], amounts: tuple[int, int]
) -> None:
    """Figures of the venue's own client."""
    side, time_in_force, limit, size = order
    budget = Usdc(Decimal(20)) if side is Side.BUY else ZERO_USDC
    built = build_order(side, time_in_force, limit, size=Shares(Decimal(size)), budget_usdc=budget)
    assert amounts_of(built) == OrderAmounts(maker=amounts[0], taker=amounts[1])


def test_resting_buy_is_cut_to_its_budget() -> None:
    """Size and budget both bound a resting BUY."""
    order = build_order(
        Side.BUY,
        TimeInForce.GTC,
        "0.50",
        size=Shares(Decimal(10)),
        budget_usdc=Usdc(Decimal("4.999")),
    )
    assert amounts_of(order) == OrderAmounts(maker=4_995_000, taker=9_990_000)


def test_market_sell_on_a_fine_tick_has_four_decimals() -> None:
    """Five decimals were refused; the sixth of a cent that is left out reaches no other price."""
    market = build_market(tick_size=Decimal("0.001"))
    order = build_order(
        Side.SELL, TimeInForce.FAK, "0.977", market=market, size=Shares(Decimal("5.03"))
    )
    assert amounts_of(order) == OrderAmounts(maker=5_030_000, taker=4_914_300)


def test_market_buy_that_cannot_bring_its_size_is_refused() -> None:
    """Risk promised a size; a budget that loses it to rounding is a contradiction."""
    order = build_order(budget_usdc=Usdc(Decimal("5.009")), size=Shares(Decimal("9.4509")))
    with pytest.raises(DataError, match="cannot express BUY"):
        amounts_of(order)


@pytest.mark.parametrize("size", ["0.004", "0.009999"])
def test_amounts_that_round_to_nothing_are_refused(size: str) -> None:
    """No order of zero is ever signed."""
    order = build_order(Side.SELL, TimeInForce.FAK, "0.50", size=Shares(Decimal(size)))
    with pytest.raises(DataError, match="cannot express SELL"):
        amounts_of(order)


def test_market_buy_that_would_reach_a_worse_price_is_refused() -> None:
    """A cent's worth at 0.99 rounds down to a price above 0.9901."""
    order = build_order(
        limit_price="0.97", budget_usdc=Usdc(Decimal("0.01")), size=Shares(Decimal("0.0103"))
    )
    assert Fraction(10_000, 10_300) >= Fraction(97, 100) + FINEST_TICK
    with pytest.raises(DataError, match="cannot express BUY"):
        amounts_of(order)


def test_unknown_tick_is_refused() -> None:
    """The venue's decimals are known for six ticks only."""
    market = build_market(tick_size=Decimal("0.02"))
    with pytest.raises(DataError, match="tick size must be one of") as caught:
        amounts_of(build_order(limit_price="0.52", market=market))
    assert caught.value.reason == "tick-unsupported"


def test_random_orders_keep_every_rule_on_every_tick() -> None:
    """Orders over all ticks, sides and kinds; the message has the seed.

    The long form sets POLYBOT_TEST_AMOUNT_ORDERS to 250,000 and more.
    """
    seed = SystemRandom().getrandbits(32)
    random = Random(seed)
    signed_count = 0
    for _ in range(RANDOM_ORDERS):
        order = random_order(random)
        try:
            amounts = amounts_of(order)
        except DataError:
            assert is_tiny(order), f"seed {seed}: refused {order}"
            continue
        signed_count += 1
        broken = broken_rule(order, amounts)
        assert broken is None, f"seed {seed}: {broken}: {order} → {amounts}"
    assert signed_count > RANDOM_ORDERS * 9 // 10


def test_every_price_of_every_tick_is_signed_as_itself() -> None:
    """Resting orders: exactly; market orders: the limit is reachable and the next tick is not."""
    for tick, prices in PRICES.items():
        for price in prices:
            for side, time_in_force in ((s, t) for s in Side for t in TimeInForce):
                order = order_at(tick, price, side, time_in_force, micro=20_000_000)
                amounts = amounts_of(order)
                assert broken_rule(order, amounts) is None, f"{order} → {amounts}"


def random_order(random: Random) -> Order:
    tick = random.choice(TICK_SIZES)
    price = random.choice(PRICES[tick])
    micro = random.randrange(5_000_000, 10 ** random.randrange(8, 13))
    return order_at(
        tick, price, random.choice(list(Side)), random.choice(list(TimeInForce)), micro=micro
    )


def order_at(
    tick: Decimal, price: Decimal, side: Side, time_in_force: TimeInForce, *, micro: int
) -> Order:
    """Return an order sized as risk sizes it: the shares that the budget brings at the limit."""
    budget = Decimal(micro).scaleb(-6)
    size = budget
    if side is Side.BUY and not time_in_force.rests:
        step = Decimal("0.001") if tick == Decimal("0.1") else Decimal("0.0001")
        cents = budget.quantize(Decimal("0.01"), ROUND_FLOOR)
        size = cents / price // step * step
    elif side is Side.BUY:
        size = (budget / price).quantize(Decimal("0.000001"), ROUND_FLOOR)
    return Order(
        decision_key=DECISION_KEY,
        market=MARKETS[tick],
        outcome=Outcome.UP,
        side=side,
        time_in_force=time_in_force,
        limit_price=Price(price),
        size=Shares(size),
        budget_usdc=Usdc(budget) if side is Side.BUY else ZERO_USDC,
        expires_at=NOW if time_in_force is TimeInForce.GTD else None,
    )


def is_tiny(order: Order) -> bool:
    """Whether a step of the venue's decimals is worth more than the finest tick."""
    step = Decimal("0.001") if order.market.tick_size == Decimal("0.1") else Decimal("0.0001")
    moved = step * order.limit_price if order.side is Side.BUY else step
    return order.size < 12 and moved / order.size * 2 > Decimal("0.0001")


@dataclass(frozen=True)
class Step:
    maker: int
    taker: int


def venue_steps(order: Order) -> Step:
    """Return the venue's decimals as steps of micro-units."""
    computed = 1_000 if order.market.tick_size == Decimal("0.1") else 100
    if not order.time_in_force.rests:
        return Step(maker=10_000, taker=computed)
    exact = int(order.market.tick_size * 1_000_000)
    finest = {100_000: 1_000, 10_000: 100, 5_000: 10, 2_500: 1, 1_000: 10, 100: 1}[exact]
    is_buy = order.side is Side.BUY
    return Step(maker=finest, taker=10_000) if is_buy else Step(maker=10_000, taker=finest)


def broken_rule(order: Order, amounts: OrderAmounts) -> str | None:
    limit = Fraction(order.limit_price)
    is_buy = order.side is Side.BUY
    cost, size = (amounts.maker, amounts.taker) if is_buy else (amounts.taker, amounts.maker)
    implied = Fraction(cost, size)
    steps = venue_steps(order)
    wrong_side = implied - limit if is_buy else limit - implied
    rules = {
        "spends more than the budget": is_buy and cost > order.budget_usdc * 1_000_000,
        "trades more than the size": size > order.size * 1_000_000,
        "maker has too many decimals": amounts.maker % steps.maker,
        "taker has too many decimals": amounts.taker % steps.taker,
        "reaches a worse price": wrong_side >= FINEST_TICK,
        "misses the limit price": wrong_side < 0,
        "rests off its limit": order.time_in_force.rests and wrong_side != 0,
        "leaves more than a cent of the budget": is_buy
        and not order.time_in_force.rests
        and order.budget_usdc * 1_000_000 - cost >= 10_000,
    }
    return next((rule for rule, is_broken in rules.items() if is_broken), None)
