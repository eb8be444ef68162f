"""Who gives and gets what in a trade, and the taker's fee.

Rounding goes against the maker: a maker's counter amount is rounded down by the exchange contract.
Source: docs.polymarket.com/migrate/polymarket-v2/contract-integrations and /trading/fees
(2026-11-22).
"""

from collections.abc import Sequence
from typing import Final, Literal

from polybot.sandbox.exchange.accounts import Transfer
from polybot.sandbox.exchange.orders import Match, VenueOrder, cost_down, cost_up
from polybot.sandbox.exchange.rules import MICRO

_RATE_PERCENT: Final = 7
_FEE_STEP: Final = 10


def taker_fee(size: int, price: int, rounding: Literal["half-up", "up", "down"]) -> int:
    """Return the fee of a fill: ``size × 0.07 × p × (1 − p)``, to 10⁻⁵, at least 10⁻⁵."""
    numerator = size * _RATE_PERCENT * price * (MICRO - price)
    divisor = 100 * MICRO * MICRO * _FEE_STEP
    if rounding == "half-up":
        steps = (2 * numerator + divisor) // (2 * divisor)
    else:
        steps = -(-numerator // divisor) if rounding == "up" else numerator // divisor
    return max(steps, 1) * _FEE_STEP


def taker_cost(taker: VenueOrder, match: Match) -> int:
    """Return what the taker pays or gets for one maker's part, without the fee."""
    pays_maker_price = taker.is_buy is not match.maker.is_buy
    if taker.is_buy and pays_maker_price:
        return cost_down(match.size, match.price)
    if taker.is_buy:
        # A mint: the other buyer pays its price, rounded up, and the taker the rest of the pair.
        return match.size - cost_up(match.size, MICRO - match.price)
    if pays_maker_price:
        return cost_up(match.size, match.price)
    return match.size - cost_down(match.size, MICRO - match.price)


def transfers(
    taker: VenueOrder, matches: Sequence[Match], fee: int
) -> tuple[tuple[Transfer, ...], tuple[Transfer, ...], int]:
    """Return what everybody gives, what everybody gets, and how many pairs are minted."""
    size = sum(match.size for match in matches)
    cost = sum(taker_cost(taker, match) for match in matches)
    gives, gets = [], []
    minted = 0
    if taker.is_buy:
        gives.append(Transfer(taker.account, cash=cost + fee))
        gets.append(Transfer(taker.account, token_id=taker.token_id, size=size))
    else:
        gives.append(Transfer(taker.account, token_id=taker.token_id, size=size))
        gets.append(Transfer(taker.account, cash=cost - fee))
    for match in matches:
        maker, part = match.maker, taker_cost(taker, match)
        is_pair = maker.is_buy is taker.is_buy
        money = match.size - part if is_pair else part
        if maker.is_buy:
            gives.append(Transfer(maker.account, cash=money))
            gets.append(Transfer(maker.account, token_id=maker.token_id, size=match.size))
        else:
            gives.append(Transfer(maker.account, token_id=maker.token_id, size=match.size))
            gets.append(Transfer(maker.account, cash=money))
        if is_pair:
            minted += match.size if taker.is_buy else -match.size
    return tuple(gives), tuple(gets), minted


def maker_given(match: Match, taker: VenueOrder) -> int:
    """Return what a match uses of the maker's signed amount."""
    if not match.maker.is_buy:
        return match.size
    part = taker_cost(taker, match)
    return match.size - part if taker.is_buy else part
