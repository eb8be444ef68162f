"""How large a copy should be, before caps: stakes of entries [USDC], sizes of exits [shares].

Rounding is always down: a copy is never larger than the policy says.
"""

from datetime import timedelta
from decimal import Decimal
from typing import Final, assert_never

from polybot.copy_trading.guards import Refusal
from polybot.copy_trading.reasons import ReasonCode
from polybot.copy_trading.situation import CopySituation
from polybot.domain.leaders import LeaderHolding, LeaderTrade, Sizing
from polybot.domain.money import ZERO_SHARES, Shares, Usdc, shares_down, text_of, usdc_down
from polybot.market_orders import SALE_STEP

ZERO: Final = Decimal(0)


def wanted_stake(trade: LeaderTrade, situation: CopySituation) -> Usdc | Refusal:
    """Return what a copy of a leader's BUY should spend by the policy alone [USDC], > 0."""
    policy = situation.leader.policy
    match policy.sizing:
        case Sizing.PROPORTIONAL:
            stake = policy.scale * trade.stake_usdc
        case Sizing.FIXED:
            stake = policy.fixed_usdc
        case Sizing.EQUITY_RATIO:
            if policy.leader_equity_usdc is None or policy.leader_equity_usdc <= 0:
                return (
                    ReasonCode.LEADER_EQUITY,
                    "equity_ratio needs leader_equity_usdc, which is not set",
                )
            ratio = max(situation.equity_usdc, ZERO) / policy.leader_equity_usdc
            stake = policy.scale * trade.stake_usdc * ratio
        case Sizing.POSITION_TARGET:
            return _missing_stake(trade, situation)
        case _:
            assert_never(policy.sizing)
    rounded = usdc_down(stake)
    if rounded <= 0:
        return ReasonCode.BELOW_MINIMUM, f"the stake comes to {stake:.9f} USDC"
    return rounded


def _missing_stake(trade: LeaderTrade, situation: CopySituation) -> Usdc | Refusal:
    policy, holding = situation.leader.policy, situation.holding
    before, ours, in_flight = ZERO, ZERO, ZERO
    if holding is not None:
        # What is being sold may fail to be; what is being bought counts as bought.
        before, ours, in_flight = holding.leader_size, holding.our_size, holding.in_flight_usdc
    target = policy.scale * (max(before, ZERO) + trade.size)
    stake = usdc_down((target - ours) * trade.price - in_flight)
    if stake > 0:
        return stake
    return (
        ReasonCode.TARGET_REACHED,
        f"we hold {text_of(ours)} shares, with {text_of(in_flight)} USDC in flight, of "
        f"{target.normalize():f} wanted",
    )


def pending_stake(situation: CopySituation) -> Decimal:
    """Return the accumulated stake that a BUY may add [USDC]; 0 where it has waited too long.

    A position target remembers by itself what is missing.
    """
    holding, policy = situation.holding, situation.leader.policy
    if holding is None or policy.sizing is Sizing.POSITION_TARGET:
        return ZERO
    return ZERO if has_lapsed(holding, situation) else holding.pending_usdc


def has_lapsed(holding: LeaderHolding, situation: CopySituation) -> bool:
    """Return whether what is pending has waited longer than the policy lets it."""
    since = holding.pending_since
    if since is None:
        return False
    return situation.now - since > timedelta(seconds=situation.leader.policy.accumulate_s)


def free_size(situation: CopySituation) -> Decimal:
    """Return how many of our shares held through the leader are not promised to an exit."""
    holding = situation.holding
    return ZERO if holding is None else max(holding.our_size - situation.selling_size, ZERO)


def pending_size(situation: CopySituation) -> Decimal:
    """Return the accumulated size that an exit may add [shares]; 0 where it waited too long."""
    holding = situation.holding
    if holding is None or has_lapsed(holding, situation):
        return ZERO
    return min(holding.pending_size, free_size(situation))


def wanted_exit(sold: Decimal, situation: CopySituation) -> Shares:
    """Return how many shares an exit should sell by this event alone, never more than are free.

    The leader's fraction of what we hold and have not promised to earlier exits. A position of
    the leader that is unknown, or smaller than what was sold, counts as left altogether.

    Args:
        sold: What the leader sold, merged or redeemed [shares], > 0.
        situation: With the holding before it.

    Returns:
        The size [shares], on the grid of 10⁻⁶, rounded down; 0 where nothing is left to sell.
    """
    holding = situation.holding
    if holding is None:
        return ZERO_SHARES
    rest = free_size(situation) - pending_size(situation)
    if sold >= holding.leader_size:
        return shares_down(rest)
    return shares_down(rest * sold / holding.leader_size)


def exit_size(wanted: Shares, situation: CopySituation) -> Shares:
    """Return the size of an exit's order with what was pending, on the venue's grid [shares]."""
    return shares_down(wanted + pending_size(situation), SALE_STEP)
