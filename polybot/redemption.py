"""Turning settled winnings into cash: explicitly, once per market, and again until it is known.

Asking twice does no harm (the second finds nothing to redeem), so what is not known is simply
asked again by the next run. The intention is recorded before the venue hears of it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, assert_never

from polybot.alerts import redemption_alert
from polybot.domain.modes import Mode
from polybot.domain.reconciliation import Redemption, RedemptionState
from polybot.domain.venue_account import (
    NothingToRedeem,
    RedeemByHand,
    Redeemed,
    RedemptionPending,
    RedemptionResult,
)
from polybot.errors import DataError, TransientError
from polybot.ports import Ledger, VenueAccount

# The venue takes a while to show a transaction; asking each minute is soon enough at first.
FIRST_WAIT: Final = timedelta(minutes=1)
LONGEST_WAIT: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class RedemptionRound:
    """What one pass over the settled winnings achieved."""

    redeemed: tuple[Redemption, ...]
    pending: tuple[Redemption, ...]
    """Asked for, or to be asked for again."""
    by_hand: tuple[Redemption, ...]
    problems: tuple[str, ...]
    """One sentence for each that was not answered; the next run asks again."""


async def redeem_settled(
    ledger: Ledger, account: VenueAccount, *, at: datetime, mode: Mode
) -> RedemptionRound:
    """Redeem every settled market that paid and whose payout is not cash yet.

    Args:
        ledger: Knows what was settled and what was asked for.
        account: Redeems; what was redeemed before is a success.
        at: The current instant.
        mode: For the alert that a person is needed.

    Raises:
        PermanentError: The venue refuses to be asked; a person must mend that.
    """
    redeemed: list[Redemption] = []
    pending: list[Redemption] = []
    by_hand: list[Redemption] = []
    problems: list[str] = []
    waiting = ledger.open_redemptions()
    # Nothing waits in most minutes; then nothing more is read.
    moving = ledger.account_snapshot(moving_since=at).moving if waiting else ()
    arriving = {fill.token_id for fill in moving}
    for redemption in waiting:
        # Shares that are not ours for good yet may be missing without having been redeemed.
        if at < _next_attempt_at(redemption) or arriving & redemption.holdings.keys():
            pending.append(redemption)
            continue
        ledger.request_redemption(redemption.condition_id, at=at)
        try:
            result = await account.redeem(redemption.condition_id, redemption.token_ids)
        except (TransientError, DataError) as problem:
            problems.append(f"{redemption.window.slug}: {problem}")
            pending.append(redemption)
            continue
        state = _record(ledger, redemption, result, at=at, mode=mode)
        if state.is_final:
            redeemed.append(redemption)
        elif state is RedemptionState.NEEDS_PERSON:
            by_hand.append(redemption)
        else:
            pending.append(redemption)
    return RedemptionRound(
        redeemed=tuple(redeemed),
        pending=tuple(pending),
        by_hand=tuple(by_hand),
        problems=tuple(problems),
    )


def _next_attempt_at(redemption: Redemption) -> datetime:
    """Return when to ask (again): at once, then after 1, 2, 4 … minutes up to an hour."""
    if redemption.updated_at is None:
        return redemption.settled_at
    if redemption.state is RedemptionState.NEEDS_PERSON:
        return redemption.updated_at + LONGEST_WAIT
    # 2⁶ minutes are beyond the longest wait; the bound keeps the power small.
    doublings = min(max(redemption.attempts - 1, 0), 6)
    # Runs are a minute apart and never exactly: one that is a second early must not wait twice.
    slack = timedelta(seconds=5)
    return redemption.updated_at + min(FIRST_WAIT * (1 << doublings), LONGEST_WAIT) - slack


def _record(
    ledger: Ledger, redemption: Redemption, result: RedemptionResult, *, at: datetime, mode: Mode
) -> RedemptionState:
    condition_id = redemption.condition_id
    state = RedemptionState.REQUESTED
    match result:
        case Redeemed(transaction_hash=transaction):
            state = RedemptionState.CONFIRMED
            ledger.record_redemption(condition_id, state, at=at, transaction_id=transaction)
        case NothingToRedeem(reason=reason):
            state = RedemptionState.ALREADY
            ledger.record_redemption(condition_id, state, at=at, reason=reason)
        case RedemptionPending(transaction_id=transaction, reason=reason):
            ledger.record_redemption(
                condition_id, state, at=at, transaction_id=transaction, reason=reason
            )
        case RedeemByHand(instruction=instruction):
            state = RedemptionState.NEEDS_PERSON
            alert = redemption_alert(redemption, instruction, mode=mode)
            ledger.record_redemption(condition_id, state, at=at, reason=instruction, alert=alert)
        case _ as never:
            assert_never(never)
    return state
