"""Policies between the command line and the ledger: from options, and to tables and JSON."""

from collections.abc import Mapping
from dataclasses import fields, replace
from decimal import Decimal
from typing import Any, Final

import typer

from polybot.domain.leaders import CopyPolicy, Sizing
from polybot.domain.money import text_of
from polybot.domain.orders import Side

ALL: Final = "all"
"""In place of names: no restriction."""
# Options by the field that they set; those that take a number with decimals are read exactly.
_DECIMALS: Final = {
    "scale": "scale",
    "fixed": "fixed_usdc",
    "leader_equity": "leader_equity_usdc",
    "max_trade": "max_trade_usdc",
    "max_market": "max_market_usdc",
    "max_leader": "max_leader_usdc",
    "max_day": "max_day_usdc",
    "min_leader_stake": "min_leader_stake_usdc",
    "max_price_above": "max_price_above",
    "max_price_fraction": "max_price_fraction",
    "max_from_book": "max_from_book",
    "min_price": "min_price",
    "max_price": "max_price",
}
_AS_GIVEN: Final = {
    "sizing": "sizing",
    "max_age": "max_age_s",
    "max_conversion_age": "max_conversion_age_s",
    "min_time_left": "min_time_left_s",
    "small_copies": "small_copies",
    "accumulate": "accumulate_s",
    "max_repeats": "max_repeats",
    "repeat_window": "repeat_window_s",
    "flip": "flip_s",
}
_NAMES: Final = {"series": "series", "tag": "tags", "slug": "slugs"}


def changed_policy(policy: CopyPolicy, options: Mapping[str, Any]) -> CopyPolicy:
    """Return a policy with the given options.

    Args:
        policy: What holds where an option is not given.
        options: The command's parameters by name; ``None`` where not given.

    Raises:
        typer.BadParameter: Everything that is wrong, in one sentence.
    """
    from polybot.copy_trading.policy_rules import problems_of

    changes: dict[str, Any] = {}
    for option, name in _DECIMALS.items():
        if options.get(option) is not None:
            changes[name] = _decimal(option, options[option])
    for option, name in _AS_GIVEN.items():
        if options.get(option) is not None:
            changes[name] = options[option]
    for option, name in _NAMES.items():
        if options.get(option):
            changes[name] = _names(options[option])
    if options.get("side"):
        changes["sides"] = frozenset(_side(one) for one in options["side"])
    found = replace(policy, **changes)
    problems = problems_of(found)
    if problems:
        raise typer.BadParameter("; ".join(problems))
    return found


def differences(before: CopyPolicy, after: CopyPolicy) -> dict[str, tuple[str, str]]:
    """Return the fields that differ, as text before and after."""
    old, new = policy_document(before), policy_document(after)
    return {name: (_text(old[name]), _text(new[name])) for name in new if old[name] != new[name]}


def policy_document(policy: CopyPolicy) -> dict[str, Any]:
    """Return a policy as JSON shows it, in the order of its fields."""
    return {one.name: _plain(getattr(policy, one.name)) for one in fields(policy)}


def sizing_line(policy: CopyPolicy) -> str:
    """Return in a few words how large copies are."""
    scale = text_of(policy.scale)
    match policy.sizing:
        case Sizing.PROPORTIONAL:
            return f"{scale} × its stake"
        case Sizing.FIXED:
            return f"{text_of(policy.fixed_usdc)} USDC"
        case Sizing.EQUITY_RATIO:
            return f"{scale} × its stake × equity ratio"
        case Sizing.POSITION_TARGET:
            return f"to {scale} × its position"


def caps_line(policy: CopyPolicy) -> str:
    """Return the four caps in a few words [USDC]."""
    caps = (policy.max_trade_usdc, policy.max_market_usdc)
    more = (policy.max_leader_usdc, policy.max_day_usdc)
    return " / ".join(text_of(cap) for cap in (*caps, *more))


def filter_line(policy: CopyPolicy) -> str:
    """Return in a few words which markets are copied."""
    parts = (*policy.series, *policy.tags, *policy.slugs)
    sides = "" if len(policy.sides) == len(Side) else f", {'|'.join(sorted(policy.sides))} only"
    return (", ".join(parts) or ALL) + sides


def _decimal(option: str, text: str) -> Decimal:
    from polybot.domain.money import parse_decimal

    try:
        return parse_decimal(text)
    except ValueError as error:
        raise typer.BadParameter(f"--{option.replace('_', '-')} {error}") from error


def _names(given: list[str]) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(part for one in given for part in one.replace(",", " ").split()))
    if ALL in names and len(names) > 1:
        raise typer.BadParameter(f"`{ALL}` stands alone, was given with {', '.join(names)}")
    return () if names == (ALL,) else names


def _side(text: str) -> Side:
    try:
        return Side(text.upper())
    except ValueError as error:
        raise typer.BadParameter(f"--side must be BUY or SELL, was {text[:20]!a}") from error


def _plain(value: object) -> object:
    if isinstance(value, frozenset):
        return sorted(str(one) for one in value)
    if isinstance(value, tuple):
        return list(value)
    return value


def _text(value: object) -> str:
    if isinstance(value, Decimal):
        return text_of(value)
    if isinstance(value, list):
        return ", ".join(map(str, value)) or ALL
    return "none" if value is None else str(value)
