"""What the pipeline should have done on recorded windows, worked out a second time, by hand.

Shares nothing with the product but the recording: its own averages, its own walk of the book,
its own fee. Floats where the strategy has floats, decimals where there is money.
"""

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Forecast:
    """A direction, and how near its decision was to falling otherwise."""

    direction: str
    is_close_call: bool


def ema(values: list[float], span: int) -> list[float]:
    """Return an exponential average that begins with the first value."""
    weight, out = 2 / (span + 1), [values[0]]
    for value in values[1:]:
        out.append(out[-1] + weight * (value - out[-1]))
    return out


def rsi(values: list[float], period: int) -> float:
    """Return the last relative strength index, smoothed with weight 1/period."""
    gain = loss = 0.0
    for index, (before, after) in enumerate(pairwise(values)):
        up, down = max(after - before, 0.0), max(before - after, 0.0)
        weight = 1.0 if index == 0 else 1 / period
        gain, loss = gain + weight * (up - gain), loss + weight * (down - loss)
    return 100.0 - 100.0 / (1.0 + gain / loss)


def forecast(closes: list[float], *, max_age: int) -> Forecast:
    """Return the direction of EMA 9/21, RSI 14 within 30-70 and MACD 12/26/9."""
    fast, slow = ema(closes, 9), ema(closes, 21)
    gaps = [a - b for a, b in zip(fast, slow, strict=True)][20:]
    crossed = [i for i in range(1, len(gaps)) if gaps[i] * gaps[i - 1] < 0]
    age = len(gaps) - 1 - crossed[-1] if crossed else max_age + 1
    line = [a - b for a, b in zip(ema(closes, 12), ema(closes, 26), strict=True)]
    histogram = line[-1] - ema(line[25:], 9)[-1]
    strength = rsi(closes, 14)
    side = "UP" if gaps[-1] > 0 else "DOWN"
    agrees = histogram > 0 if side == "UP" else histogram < 0
    within = strength <= 70 if side == "UP" else strength >= 30
    price = closes[-1]
    close_call = (
        min(abs(gaps[-1]), abs(histogram)) < 1e-9 * price
        or min(abs(strength - 70), abs(strength - 30)) < 1e-6
    )
    return Forecast(side if age <= max_age and agrees and within else "HOLD", close_call)


def buy(asks: list[tuple[Decimal, Decimal]], budget: Decimal, limit: Decimal) -> list[Decimal]:
    """Return [shares, cost, fee] of spending a budget on asks, best first, at 7 % × p × (1−p)."""
    bought = cost = fee = Decimal(0)
    for price, size in asks:
        left = budget - cost
        if price > limit or left <= 0:
            break
        taken = min(size, (left / price).quantize(Decimal("0.000001"), ROUND_FLOOR))
        if taken <= 0:
            break
        bought += taken
        cost += (taken * price).quantize(Decimal("0.000001"), ROUND_CEILING)
        fee += (taken * Decimal("0.07") * price * (1 - price)).quantize(
            Decimal("0.00001"), ROUND_CEILING
        )
    return [bought, cost, fee]
