"""How far we are from our leaders: compared now and then, shown, never traded on.

The comparison also mends what we believe a leader holds: his trades before we followed, those
that no feed told, and those that failed are in what the venue says, and in no record of ours.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from polybot.copy_trading.status import Drift
from polybot.domain.leaders import Leader, LeaderHolding, LeaderPosition, Sizing
from polybot.domain.markets import is_up_down_slug
from polybot.domain.money import ZERO_SHARES

# The Data API shows positions about a minute late; a leader quiet for so long is shown in full.
QUIET: Final = timedelta(seconds=180)
# Venue and record may differ by the dust of roundings [shares].
DUST: Final = Decimal("0.01")
SIZED_BY_SHARE: Final = frozenset({Sizing.PROPORTIONAL, Sizing.POSITION_TARGET})
"""A fixed stake, or one that follows the equities, has no share of the leader's to compare with."""
_NONE: Final = Decimal(0)


def compare_holdings(
    leader: Leader, positions: Sequence[LeaderPosition], holdings: Sequence[LeaderHolding]
) -> tuple[Drift, ...]:
    """Return every token that the leader, or we through him, hold in markets that can be copied.

    Args:
        leader: Whose scale says what we should hold.
        positions: What the venue says that he holds.
        holdings: What the ledger says that he, and we through him, hold.
    """
    shown = {one.token_id: one for one in positions if one.is_open and is_up_down_slug(one.slug)}
    known = {one.token_id: one for one in holdings}
    has_share = leader.policy.sizing in SIZED_BY_SHARE
    drifts = []
    for token_id in dict.fromkeys((*known, *shown)):
        position, holding = shown.get(token_id), known.get(token_id)
        size = _NONE if position is None else position.size
        drift = Drift(
            leader=leader.address,
            token_id=token_id,
            slug=_slug_of(position, holding),
            leader_size=size,
            recorded_leader_size=_NONE if holding is None else holding.leader_size,
            expected_size=size * leader.policy.scale if has_share else None,
            our_size=_NONE if holding is None else holding.our_size,
        )
        if drift.leader_size or drift.recorded_leader_size or drift.our_size:
            drifts.append(drift)
    return tuple(drifts)


def needs_seeding(
    drifts: Sequence[Drift], *, last_trade_at: datetime | None, now: datetime
) -> bool:
    """Return whether what we believe a leader holds should be replaced by what the venue says.

    Not while he trades: a trade may be in one of the two and not yet in the other.
    """
    if last_trade_at is not None and now - last_trade_at < QUIET:
        return False
    return any(abs(one.leader_size - one.recorded_leader_size) > DUST for one in drifts)


def seeds_of(
    positions: Sequence[LeaderPosition], holdings: Sequence[LeaderHolding]
) -> tuple[LeaderPosition, ...]:
    """Return the sizes to believe from now on: 0 for what the venue does not show any more."""
    shown = tuple(one for one in positions if one.is_open and is_up_down_slug(one.slug))
    names = {one.token_id for one in shown}
    gone = (one for one in holdings if one.leader_size and one.token_id not in names)
    return (*shown, *map(_nothing_of, gone))


def _nothing_of(holding: LeaderHolding) -> LeaderPosition:
    return LeaderPosition(
        token_id=holding.token_id,
        condition_id=holding.condition_id,
        slug=holding.slug,
        title="",
        outcome="",
        size=ZERO_SHARES,
        average_price=_NONE,
        value_usdc=_NONE,
        realised_pnl_usdc=_NONE,
        is_open=False,
    )


def _slug_of(position: LeaderPosition | None, holding: LeaderHolding | None) -> str:
    if position is not None:
        return position.slug
    return "" if holding is None else holding.slug
