"""Which policies make sense: a leader's policy is refused whole, with everything that is wrong.

The ledger keeps what it is given; whoever takes a policy from a person asks here first.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from fnmatch import fnmatchcase
from itertools import pairwise, product
from typing import Final

from polybot.copy_trading.activity import MAX_COPIES
from polybot.domain.leaders import CopyPolicy, Sizing
from polybot.domain.markets import ASSETS, DURATIONS_S, MarketSeries
from polybot.domain.money import MICRO, text_of

TAGS: Final = (*ASSETS, *DURATIONS_S)
_LARGEST_USDC: Final = Decimal(1_000_000)
_LARGEST_SCALE: Final = Decimal(100)
_LONGEST_S: Final = 86_400
# What market names are made of, with the signs of shell patterns.
_PATTERN: Final = re.compile(r"[a-z0-9*?\[\]!-]{1,80}", re.ASCII)
_PATTERN_PART: Final = re.compile(r"\*|\[!?\]?[^\]]*\]|.")
_DIGITS: Final = "0123456789"
# Epoch seconds have ten digits until the year 2286.
_START: Final = (_DIGITS,) * 10
_AMOUNTS: Final = (
    "fixed_usdc",
    "max_trade_usdc",
    "max_market_usdc",
    "max_leader_usdc",
    "max_day_usdc",
)


def problems_of(policy: CopyPolicy) -> tuple[str, ...]:
    """Return everything that is wrong with a policy, a sentence each; empty: nothing is."""
    return (
        *_sizing_problems(policy),
        *_cap_problems(policy),
        *_price_problems(policy),
        *_market_problems(policy),
        *_time_problems(policy),
    )


def _sizing_problems(policy: CopyPolicy) -> Iterator[str]:
    if not 0 < policy.scale <= _LARGEST_SCALE:
        yield f"scale must be above 0 and at most {_LARGEST_SCALE}, was {text_of(policy.scale)}"
    equity = policy.leader_equity_usdc
    if policy.sizing is Sizing.EQUITY_RATIO and equity is None:
        yield "sizing equity_ratio needs the leader's equity"
    if equity is not None and not 0 < equity <= _LARGEST_USDC * 1000:
        yield f"the leader's equity must be above 0, was {text_of(equity)}"
    if policy.sizing is Sizing.FIXED and policy.fixed_usdc > policy.max_trade_usdc:
        yield (
            f"fixed stake {text_of(policy.fixed_usdc)} is above the cap on a trade, "
            f"{text_of(policy.max_trade_usdc)} USDC"
        )


def _cap_problems(policy: CopyPolicy) -> Iterator[str]:
    for name in _AMOUNTS:
        value: Decimal = getattr(policy, name)
        if not 0 < value <= _LARGEST_USDC or value % MICRO:
            yield f"{name} must be above 0, at most a million USDC, was {text_of(value)}"
    stake = policy.min_leader_stake_usdc
    if not 0 <= stake <= _LARGEST_USDC:
        yield f"min_leader_stake_usdc must be 0 to a million USDC, was {text_of(stake)}"
    caps = [(name, getattr(policy, name)) for name in _AMOUNTS[1:4]]
    for (small, low), (large, high) in pairwise(caps):
        if low > high:
            yield f"{small} must be at most {large} ({text_of(high)}), was {text_of(low)}"
    if policy.max_trade_usdc > policy.max_day_usdc:
        yield f"max_trade_usdc must be at most max_day_usdc ({text_of(policy.max_day_usdc)})"


def _price_problems(policy: CopyPolicy) -> Iterator[str]:
    for name in ("max_price_above", "max_price_fraction", "max_from_book"):
        value: Decimal = getattr(policy, name)
        if not 0 <= value <= 1:
            yield f"{name} must be 0 to 1, was {text_of(value)}"
    if not 0 < policy.min_price < policy.max_price < 1:
        yield (
            f"prices must be inside (0, 1) and the least below the most, were "
            f"{text_of(policy.min_price)} to {text_of(policy.max_price)}"
        )


def _market_problems(policy: CopyPolicy) -> Iterator[str]:
    if not policy.sides:
        yield "sides must name BUY or SELL"
    single = tuple(_name_problems(policy))
    yield from single
    if not single and not any(_leaves(policy, *series) for series in product(ASSETS, DURATIONS_S)):
        named = ", ".join((*policy.series, *policy.tags, *policy.slugs))
        yield (
            f"nothing could be copied: no market named {'|'.join(ASSETS)}-updown-"
            f"{'|'.join(DURATIONS_S)}-START is left by {named}"
        )


def _name_problems(policy: CopyPolicy) -> Iterator[str]:
    for series in policy.series:
        try:
            MarketSeries.parse(series)
        except ValueError as error:
            yield str(error)
    for tag in policy.tags:
        if tag not in TAGS:
            yield f"tag must be one of {'|'.join(TAGS)}, was {tag[:20]!a}"
    for pattern in policy.slugs:
        if not _PATTERN.fullmatch(pattern):
            yield f"slug must be a pattern such as btc-updown-15m-*, was {pattern[:80]!a}"


def _leaves(policy: CopyPolicy, asset: str, duration: str) -> bool:
    """Return whether a policy lets any window of a series be copied."""
    if policy.series and f"{asset}-{duration}" not in policy.series:
        return False
    if policy.tags and asset not in policy.tags and duration not in policy.tags:
        return False
    name = (*f"{asset}-updown-{duration}-", *_START)
    return not policy.slugs or any(_may_match(pattern, name) for pattern in policy.slugs)


def _may_match(pattern: str, name: Sequence[str]) -> bool:
    """Return whether a shell pattern matches any of the names that a template stands for.

    Args:
        pattern: As ``fnmatch`` reads it.
        name: For each place the characters that may stand there.
    """
    parts: list[str] = _PATTERN_PART.findall(pattern)

    def past_stars(places: Iterable[int]) -> set[int]:
        found = set(places)
        for at, part in enumerate(parts):
            if at in found and part == "*":
                found.add(at + 1)
        return found

    places = past_stars([0])
    for letters in name:
        places = past_stars(
            at if parts[at] == "*" else at + 1
            for at in places
            if at < len(parts) and any(fnmatchcase(one, parts[at]) for one in letters)
        )
    return len(parts) in places


def _time_problems(policy: CopyPolicy) -> Iterator[str]:
    # NaN is not inside any range.
    for name, least in (
        ("max_age_s", 0.001),
        ("max_conversion_age_s", 0.001),
        ("min_time_left_s", 0),
        ("accumulate_s", 0),
        ("repeat_window_s", 1),
        ("flip_s", 0),
    ):
        value: float = getattr(policy, name)
        if not least <= value <= _LONGEST_S:
            yield f"{name} must be {least} to {_LONGEST_S} s, was {value:g}"
    if not 1 <= policy.max_repeats <= MAX_COPIES:
        yield f"max_repeats must be 1 to {MAX_COPIES}, was {policy.max_repeats}"
