"""What the market makers of the sandbox believe and quote.

The fair price is the probability of Up under the walk's own model, so that buying at it earns
nothing on average. Quotes are fair on average too: the ladder is placed by a seeded dither, never
rounded to one side. A taker therefore pays half the spread and the fee, and nothing else.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from polybot.sandbox.listing import VenueMarket
from polybot.sandbox.prices import TWAP_S, PriceSource
from polybot.sandbox.seeds import stream

TICKS: Final = 100
"""Ticks of 0.01 USDC in one USDC."""
TICK: Final = Decimal("0.01")
# Makers place their quotes anew every so often; in between only the fair price moves them.
_QUOTE_LIFE_S: Final = 10
_LEVELS: Final = 8

Fair = Callable[[VenueMarket, int], float]
"""Probability of Up in [0, 1], as of a second, from nothing later than that second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """The Up token's book in whole ticks and hundredths of a share, best level first.

    The Down token's book is its mirror: a bid for Up at p is an offer of Down at 1 − p.
    """

    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]

    def mirrored(self) -> "Ladder":
        """Return the same book seen from the Down token."""
        return Ladder(
            bids=tuple((TICKS - ticks, size) for ticks, size in self.asks),
            asks=tuple((TICKS - ticks, size) for ticks, size in self.bids),
        )


def fair_up(prices: PriceSource, market: VenueMarket, at_s: int) -> float:
    """Return the model's probability that the closing average is at least the opening one.

    Both averages are linear in the price's future steps, so their difference is normal: its mean
    holds the steps that are over, its variance the weight of each one to come.

    Args:
        prices: Asked for nothing after ``at_s``.
        market: Whose window it is.
        at_s: As of when [epoch s].
    """
    asset = market.window.series.asset
    now_s = prices.known_at(min(at_s, market.end_s - 1))
    price = prices.spot(asset, now_s)
    lead = _expected_mean(prices, asset, market.end_s, now_s, price) - _expected_mean(
        prices, asset, market.start_s, now_s, price
    )
    deviation = (
        price
        * prices.volatility(asset, now_s)
        * math.sqrt(_variance_weight(market.start_s, market.end_s, now_s))
    )
    if deviation == 0:
        return 1.0 if lead >= 0 else 0.0
    return 0.5 * math.erfc(-lead / deviation / math.sqrt(2))


def build_ladder(seed: int, market: VenueMarket, at_s: int, fair: float) -> Ladder:
    """Return the Up token's book at a second.

    Args:
        seed: The venue's.
        market: Whose book.
        at_s: When [epoch s]; after the window's end the last book stays.
        fair: Probability of Up [0, 1].
    """
    rng = stream("quote", seed, market.condition_id, min(at_s, market.end_s - 1) // _QUOTE_LIFE_S)
    spread = rng.choices((1, 2, 3), weights=(60, 30, 10))[0]
    # floor(x + u) with u uniform on [0, 1) is x on average.
    best_bid = math.floor(fair * TICKS - spread / 2 + rng.random())
    sizes = [
        (rng.randint(6_000, 40_000), rng.randint(6_000, 40_000))
        if level == 0
        else (rng.randint(10_000, 90_000), rng.randint(10_000, 90_000))
        for level in range(_LEVELS)
    ]
    best_bid = min(best_bid, TICKS - 1)
    best_ask = max(best_bid + spread, 1)
    return Ladder(
        bids=tuple(
            (best_bid - level, bid) for level, (bid, _) in enumerate(sizes) if best_bid - level >= 1
        ),
        asks=tuple(
            (best_ask + level, ask)
            for level, (_, ask) in enumerate(sizes)
            if best_ask + level <= TICKS - 1
        ),
    )


def _expected_mean(prices: PriceSource, asset: str, end_s: int, now_s: int, price: float) -> float:
    """Return the forecast, as of ``now_s``, of the average over the 60 s before ``end_s``."""
    known_s = min(TWAP_S, max(0, now_s + 1 - (end_s - TWAP_S)))
    if known_s == 0:
        return price
    known = prices.mean(asset, end_s - TWAP_S, end_s - TWAP_S + known_s)
    return (known * known_s + price * (TWAP_S - known_s)) / TWAP_S


def _variance_weight(start_s: int, end_s: int, now_s: int) -> float:
    """Return the sum over future steps of their squared weight in (closing − opening average).

    A step at second j moves the share ``(end − j) / 60``, at most 1, of an average that ends at
    ``end``. Before the window's opening minute both averages share a step fully: weight 0.
    """
    first = max(now_s + 1, start_s - TWAP_S + 1)
    opening = sum((1 - (start_s - step) / TWAP_S) ** 2 for step in range(first, start_s))
    whole = max(0, end_s - TWAP_S - max(first, start_s) + 1)
    closing = sum(
        ((end_s - step) / TWAP_S) ** 2 for step in range(max(first, end_s - TWAP_S + 1), end_s)
    )
    return opening + whole + closing
