"""Comparing our record of the account with what the venue shows; nothing is read or booked here.

The venue's balances follow its trades after a while, so whatever is on its way gives room: a fill
that is not final, an order that may fill at any moment, a payout that is being redeemed. Inside
that room nothing can be judged and nothing is booked; outside it there is a difference.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

from polybot.accounting import FillAmounts, most_rounding
from polybot.domain.accounts import OrderRecord
from polybot.domain.markets import ConditionId, OutcomeTokenId
from polybot.domain.money import from_micro, text_of, to_micro
from polybot.domain.orders import FillStatus, Side, max_buy_fee
from polybot.domain.reconciliation import (
    AccountSnapshot,
    HeldToken,
    MovingFill,
    Redemption,
    RedemptionState,
)

# The finest price grid of the venue: the most shares that a budget could ever bring.
_LEAST_PRICE: Final = Decimal("0.0001")


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How far the venue may be below and above our record before it is a difference."""

    below: Decimal = Decimal(0)
    above: Decimal = Decimal(0)

    def wider(self, *, below: Decimal = Decimal(0), above: Decimal = Decimal(0)) -> "Room":
        """Return the room with more on either side."""
        return Room(below=self.below + below, above=self.above + above)

    def holds(self, difference: Decimal) -> bool:
        """Whether a difference (venue minus record) is inside."""
        return -self.below <= difference <= self.above

    @property
    def is_empty(self) -> bool:
        """Whether nothing is on its way."""
        return not self.below and not self.above


class CashAnswer(StrEnum):
    """What a difference of cash means."""

    EQUAL = "equal"
    MOVING = "moving"
    """Explained by what is on its way."""
    TOO_EARLY = "too-early"
    """More than what is on its way explains; it can be judged when that has arrived."""
    ROUNDING = "rounding"
    """The venue rounded fees otherwise than we did."""
    TRANSFER = "transfer"
    """Somebody deposited, withdrew or traded outside the bot."""
    UNEXPLAINED = "unexplained"
    """Fills were booked since cash last agreed, and the difference could be theirs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareDifference:
    """Shares that nothing explains, with nothing of their token on its way."""

    token: HeldToken
    size: Decimal
    """More at the venue than by our record (negative: less) [shares]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What the two sides of an account say about each other."""

    expected_cash_usdc: Decimal
    cash_difference_usdc: Decimal
    """The venue's collateral minus what it should be."""
    cash: CashAnswer
    redeemed: tuple[ConditionId, ...]
    """Payouts whose shares are gone: they became cash."""
    waiting: tuple[str, ...]
    differences: tuple[str, ...]
    shares: tuple[ShareDifference, ...] = ()
    """Those of the differences that a person could accept."""
    proves_fills: bool = False
    """Whether cash shows every fill that was booked, to the rounding of fees."""


def compare_account(
    ours: AccountSnapshot,
    *,
    cash_usdc: Decimal,
    holdings: Mapping[OutcomeTokenId, Decimal],
) -> Comparison:
    """Compare our record with the venue's balances.

    Args:
        ours: Read before the balances; nothing was booked since.
        cash_usdc: The venue's collateral [USDC].
        holdings: The venue's shares of every token in ``ours.held``; one that is missing is not
            known, which is a difference and never a zero.
    """
    waiting: list[str] = []
    differences: list[str] = []
    shares = tuple(
        found
        for token in ours.held
        if not token.is_settled
        and (found := _compare_token(token, holdings, ours, waiting, differences)) is not None
    )
    moving = {moving.token_id for moving in ours.moving}
    redeemed = tuple(
        redemption.condition_id
        for redemption in ours.redemptions
        if _is_redeemed(redemption, holdings) and not moving & redemption.holdings.keys()
    )
    expected = ours.cash_usdc - ours.unredeemed_usdc
    answer = _judge_cash(
        ours, cash_usdc - expected, agrees_otherwise=not differences and not redeemed
    )
    sentence = _cash_sentence(answer, cash_usdc - expected)
    if answer is CashAnswer.UNEXPLAINED:
        differences.append(sentence)
    elif answer in (CashAnswer.MOVING, CashAnswer.TOO_EARLY):
        waiting.append(sentence)
    return Comparison(
        expected_cash_usdc=expected,
        cash_difference_usdc=cash_usdc - expected,
        cash=answer,
        redeemed=redeemed,
        waiting=tuple(waiting),
        differences=tuple(differences),
        shares=shares,
        proves_fills=not differences and _is_rounding(ours, cash_usdc - expected),
    )


def tokens_to_ask(ours: AccountSnapshot) -> tuple[OutcomeTokenId, ...]:
    """Return the tokens whose balances the comparison needs."""
    return tuple(dict.fromkeys(token.token_id for token in ours.held))


def _compare_token(
    token: HeldToken,
    holdings: Mapping[OutcomeTokenId, Decimal],
    ours: AccountSnapshot,
    waiting: list[str],
    differences: list[str],
) -> ShareDifference | None:
    """Say what differs about one token; return it where a person could accept it."""
    name = f"{token.window.slug} {token.outcome}"
    shown = holdings.get(token.token_id)
    if shown is None:
        differences.append(f"{name}: the venue did not say how many shares we hold")
        return None
    moving = _token_room(token, ours)
    # What strangers bought with this account may be there or not: it is not ours.
    foreign = max(token.foreign_size, Decimal(0))
    difference = shown - token.size - token.accepted_size
    sentence = f"{name}: {text_of(token.size)} shares by our record, {text_of(shown)} at the venue"
    if token.foreign_size < 0:
        sentence += f" ({text_of(-token.foreign_size)} were sold by orders that are not ours)"
    if token.accepted_size:
        sentence += f" ({text_of(token.accepted_size)} were accepted by hand)"
    if not moving.wider(above=foreign).holds(difference):
        differences.append(sentence)
        beyond = difference - foreign if difference > 0 else difference
        return ShareDifference(token=token, size=beyond) if moving.is_empty else None
    if difference and not 0 < difference <= token.foreign_size:
        waiting.append(f"{sentence}; on its way")
    return None


def _token_room(token: HeldToken, ours: AccountSnapshot) -> Room:
    room = Room()
    for moving in ours.moving:
        if moving.token_id == token.token_id:
            size: Decimal = moving.fill.size
            room = room.wider(below=size) if _adds_shares(moving) else room.wider(above=size)
    for order in (*ours.open_orders, *ours.late_orders):
        if order.token_id == token.token_id:
            size = _most_shares(order)
            is_buy = order.side is Side.BUY
            room = room.wider(above=size) if is_buy else room.wider(below=size)
    return room


def _adds_shares(moving: MovingFill) -> bool:
    """Whether our record has shares by this fill that the venue may not show yet."""
    is_void = moving.fill.status is FillStatus.FAILED
    return (moving.side is Side.BUY) is not is_void


def _most_shares(order: OrderRecord) -> Decimal:
    """Return how many shares an open order may still trade."""
    if order.side is Side.BUY and not order.time_in_force.rests:
        return max(order.budget_usdc - order.filled_cost_usdc, Decimal(0)) / _LEAST_PRICE
    return max(order.size - order.filled_size, Decimal(0))


def _is_redeemed(redemption: Redemption, holdings: Mapping[OutcomeTokenId, Decimal]) -> bool:
    """Whether every paying share is gone; a balance that is not known proves nothing."""
    shown = [holdings.get(token_id) for token_id in redemption.holdings]
    return bool(shown) and all(size == 0 for size in shown)


def _judge_cash(
    ours: AccountSnapshot, difference: Decimal, *, agrees_otherwise: bool
) -> CashAnswer:
    if difference == 0:
        return CashAnswer.EQUAL
    trading, most = _trading_room(ours), _most_rounding(ours)
    room = trading.wider(below=ours.arriving_usdc, above=_asked_payouts(ours))
    # A payout that was asked for can only add cash: what is missing beside it is missing for good.
    is_missing = difference < 0 and trading.is_empty and not room.below
    if not (room.is_empty or is_missing):
        is_inside = room.wider(below=most, above=most).holds(difference)
        return CashAnswer.MOVING if is_inside else CashAnswer.TOO_EARLY
    if not agrees_otherwise or 0 < difference <= ours.unredeemed_usdc:
        # Also where a person is redeeming by hand: the cash may show before the shares go.
        return CashAnswer.TOO_EARLY
    if _is_rounding(ours, difference):
        return CashAnswer.ROUNDING
    if abs(difference) <= ours.unproved_usdc:
        return CashAnswer.UNEXPLAINED
    return CashAnswer.TRANSFER


def _most_rounding(ours: AccountSnapshot) -> Decimal:
    return from_micro(
        most_rounding(fill_count=ours.fill_count, taker_fill_count=ours.taker_fill_count)
    )


def _is_rounding(ours: AccountSnapshot, difference: Decimal) -> bool:
    """Whether cash differs by no more than the rounding of fees may come to; 0 always does."""
    return difference == 0 or abs(ours.fee_adjustments_usdc + difference) <= _most_rounding(ours)


def _asked_payouts(ours: AccountSnapshot) -> Decimal:
    """Return payouts that may be cash already while their shares still show, or the reverse."""
    asked = (r.payout_usdc for r in ours.redemptions if r.state is not RedemptionState.NEEDS_PERSON)
    return sum(asked, Decimal(0))


def _trading_room(ours: AccountSnapshot) -> Room:
    """Return what fills and orders may move that the venue does not show yet, or shows already."""
    room = Room()
    for moving in ours.moving:
        amount = _cash_of(moving)
        room = room.wider(above=amount) if _adds_shares(moving) else room.wider(below=amount)
    for order in ours.open_orders:
        if order.side is Side.BUY:
            room = room.wider(below=order.reserved_usdc)
        else:
            # No share brings more than 1 USDC.
            room = room.wider(above=_most_shares(order))
    for order in ours.late_orders:
        if order.side is Side.BUY and order.fees is not None:
            fee = max_buy_fee(order.budget_usdc, order.fees)
            room = room.wider(below=order.budget_usdc + fee)
        else:
            room = room.wider(above=_most_shares(order))
    return room


def _cash_of(moving: MovingFill) -> Decimal:
    fill = moving.fill
    amounts = FillAmounts(
        side=moving.side,
        size=to_micro(fill.size),
        price=to_micro(fill.price),
        fee=to_micro(fill.fee_usdc),
    )
    sign = 1 if moving.side is Side.BUY else -1
    return from_micro(amounts.gross + sign * amounts.fee)


def _cash_sentence(answer: CashAnswer, difference: Decimal) -> str:
    amount = f"{text_of(abs(difference))} USDC {'more' if difference > 0 else 'less'}"
    said = f"cash: the venue has {amount} than our record"
    match answer:
        case CashAnswer.MOVING:
            return f"{said}; on its way"
        case CashAnswer.TOO_EARLY:
            return f"{said}; judged when everything has arrived"
        case CashAnswer.UNEXPLAINED:
            return f"{said}, beyond the rounding of fees; fills since then could be the cause"
        case _:
            return said
