"""Booking what comparing with the venue proves: redeemed payouts, rounding, transfers, acceptance.

Every booking of cash names the version of the record that it was compared with. Whoever booked
first wins; the other compares again.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from polybot.account_comparison import CashAnswer, Comparison, ShareDifference
from polybot.alerts import cash_alert, shares_alert
from polybot.domain.modes import Mode
from polybot.domain.money import Shares, Usdc, text_of
from polybot.domain.orders import FillStatus, Side, TradeId
from polybot.domain.reconciliation import (
    ACCEPTED_BY_HAND,
    AccountSnapshot,
    ForeignTrade,
    Reconciliation,
    RedemptionState,
)
from polybot.ports import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Booking:
    """What one comparison brought into the books."""

    result: Reconciliation
    """What was found so far, with what was booked now."""
    has_booked: bool = True
    has_raced: bool = False
    """Whether somebody booked something since the two sides were read; nothing was booked then."""


def book_comparison(
    ledger: Ledger,
    ours: AccountSnapshot,
    compared: Comparison,
    result: Reconciliation,
    *,
    accepted_difference: str,
    accepted_shares: str,
    at: datetime,
    mode: Mode,
) -> Booking:
    """Book what a comparison proves, or what a person accepts of it.

    Args:
        ledger: Our record.
        ours: What was compared.
        compared: What came of it.
        result: What was found so far.
        accepted_difference: Why a person accepts cash that nothing explains; empty: nobody does.
        accepted_shares: The same of shares.
        at: When the sides were read.
        mode: For the alerts.
    """
    _close_redemptions(ledger, ours, compared, at=at)
    change = compared.cash_difference_usdc
    if compared.cash is CashAnswer.ROUNDING:
        alert = cash_alert(
            change, "by the venue's rounding of fees", version=ours.version, at=at, mode=mode
        )
        is_first = ledger.adjust_fees(change, unless_newer_than=ours.version, at=at, alert=alert)
        total = Usdc(result.fee_adjustment_usdc + (change if is_first else 0))
        return Booking(result=replace(result, fee_adjustment_usdc=total), has_raced=not is_first)
    why = _why_transferred(compared, result, accepted_difference)
    if why:
        return _transfer(ledger, ours, change, why, result, at=at, mode=mode)
    if accepted_shares and compared.shares:
        return _accept(ledger, compared.shares, accepted_shares, result, at=at, mode=mode)
    return Booking(result=result, has_booked=bool(compared.redeemed))


def _close_redemptions(
    ledger: Ledger, ours: AccountSnapshot, compared: Comparison, *, at: datetime
) -> None:
    for redemption in ours.redemptions:
        if redemption.condition_id in compared.redeemed:
            was_asked = redemption.state is RedemptionState.REQUESTED
            ledger.record_redemption(
                redemption.condition_id,
                RedemptionState.CONFIRMED if was_asked else RedemptionState.ALREADY,
                at=at,
                reason="the venue shows no share of it any more",
            )


def _why_transferred(compared: Comparison, result: Reconciliation, accepted: str) -> str:
    """Return why cash counts as a deposit or a withdrawal; empty where it does not."""
    if compared.cash is CashAnswer.TRANSFER:
        is_deposit = compared.cash_difference_usdc > 0
        return "came from outside the bot" if is_deposit else "left to outside the bot"
    is_alone = compared.cash is CashAnswer.UNEXPLAINED and len(result.differences) == 1
    return f"accepted: {accepted}" if accepted and is_alone else ""


def _transfer(
    ledger: Ledger,
    ours: AccountSnapshot,
    change: Decimal,
    why: str,
    result: Reconciliation,
    *,
    at: datetime,
    mode: Mode,
) -> Booking:
    alert = cash_alert(change, why, version=ours.version, at=at, mode=mode)
    if not ledger.book_transfer(change, unless_newer_than=ours.version, at=at, alert=alert):
        return Booking(result=result, has_raced=True)
    total = Usdc(result.transferred_usdc + change)
    return Booking(result=replace(result, transferred_usdc=total, differences=()))


def _accept(
    ledger: Ledger,
    shares: tuple[ShareDifference, ...],
    why: str,
    result: Reconciliation,
    *,
    at: datetime,
    mode: Mode,
) -> Booking:
    """Note shares that a person accepts; the next pass judges cash beside them."""
    ledger.record_foreign_trades(tuple(_accepted_shares(found, at) for found in shares), at=at)
    for found in shares:
        alert = shares_alert(found.token, found.size, why, at=at, mode=mode)
        ledger.add_alert(alert, at=at)
    said = (*result.accepted_shares, *_sentences(shares))
    return Booking(result=replace(result, accepted_shares=said))


def _accepted_shares(found: ShareDifference, at: datetime) -> ForeignTrade:
    token = found.token
    return ForeignTrade(
        trade_id=TradeId(f"accepted:{token.token_id}:{at.isoformat()}"),
        order_id=ACCEPTED_BY_HAND,
        leg=0,
        condition_id=token.condition_id,
        token_id=token.token_id,
        side=Side.BUY if found.size > 0 else Side.SELL,
        price=Decimal(0),
        size=Shares(abs(found.size)),
        status=FillStatus.CONFIRMED,
        traded_at=at,
    )


def _sentences(shares: tuple[ShareDifference, ...]) -> tuple[str, ...]:
    return tuple(
        f"{found.token.window.slug} {found.token.outcome}: {text_of(abs(found.size))} shares "
        f"{'more' if found.size > 0 else 'less'} at the venue were accepted"
        for found in shares
    )
