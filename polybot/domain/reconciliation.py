"""What bringing our record to what the venue says is made of; none of it reads or writes."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

from polybot.domain.accounts import OrderRecord
from polybot.domain.markets import ConditionId, MarketWindow, Outcome, OutcomeTokenId
from polybot.domain.money import ZERO_USDC, Shares, Usdc
from polybot.domain.orders import Fill, FillStatus, OrderId, Side, TradeId
from polybot.domain.venue_account import LATE_FILL_WATCH

ACCEPTED_BY_HAND: Final = OrderId("accepted-by-hand")
"""The order of a ``ForeignTrade`` that nobody traded: shares whose difference a person accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileTiming:
    """How late the venue may be; none of it is published, so each is a setting."""

    quiet: timedelta = timedelta(minutes=2)
    """Balances lag behind trades by no more than this."""
    overlap: timedelta = timedelta(hours=1)
    """Trades are read again so far back: a late one is dated to its match, not to its arrival."""
    deep_overlap: timedelta = timedelta(days=3)
    """The same where something differed: the missing piece may be very late."""
    late_fills: timedelta = LATE_FILL_WATCH
    """An order that was closed without a fill may still show one for so long."""


class RedemptionState(StrEnum):
    """Where turning a settled market's winning shares into cash stands."""

    DUE = "due"
    """Nothing was asked for yet."""
    REQUESTED = "requested"
    """Asked for; not known to have happened."""
    NEEDS_PERSON = "needs-person"
    """The wallet cannot do it by itself; somebody has to."""
    CONFIRMED = "confirmed"
    ALREADY = "already"
    """The shares were gone when we looked: somebody or something redeemed them."""

    @property
    def is_final(self) -> bool:
        """Whether the cash is ours and nothing is left to do."""
        return self in (RedemptionState.CONFIRMED, RedemptionState.ALREADY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Redemption:
    """A settled market that paid, and how far its payout is from being cash on the venue."""

    condition_id: ConditionId
    window: MarketWindow
    token_ids: tuple[OutcomeTokenId, ...]
    """Both outcomes' tokens, as far as they are known."""
    holdings: dict[OutcomeTokenId, Shares]
    """Our paying shares when the market was settled, by outcome token."""
    payout_usdc: Usdc
    state: RedemptionState
    transaction_id: str
    attempts: int
    """How often it was asked for."""
    reason: str
    settled_at: datetime
    updated_at: datetime | None
    """``None`` while it is DUE."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignTrade:
    """A trade of the account by an order that is not ours; listed, never booked as a fill."""

    trade_id: TradeId
    order_id: OrderId
    leg: int
    condition_id: ConditionId
    token_id: OutcomeTokenId
    side: Side
    price: Decimal
    """[USDC/share]."""
    size: Shares
    status: FillStatus
    traded_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldToken:
    """Shares of one outcome token that the venue should show for us."""

    token_id: OutcomeTokenId
    condition_id: ConditionId
    window: MarketWindow
    outcome: Outcome
    size: Shares
    """By our fills; 0 where we traded it and hold nothing."""
    is_settled: bool
    """A winner of a settled market that waits for redemption."""
    foreign_size: Decimal
    """Bought minus sold by orders that are not ours, as far as their trades were seen [shares]."""
    accepted_size: Decimal = Decimal(0)
    """What a person accepted that the venue has more (negative: less) than our record [shares]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MovingFill:
    """A fill whose shares and cash the venue may or may not show yet."""

    fill: Fill
    token_id: OutcomeTokenId
    side: Side


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSnapshot:
    """Our side of the comparison, read in one transaction."""

    version: int
    """Grows with everything that is booked."""
    cash_usdc: Usdc
    unredeemed_usdc: Usdc
    """Payouts that are booked as cash and not known to be redeemed."""
    fee_adjustments_usdc: Usdc
    """Sum of all adjustments of fees so far; positive: the venue charged less than we booked."""
    fill_count: int
    """All fills that were ever booked, also those that were voided later."""
    taker_fill_count: int
    """Those of them in which we were the taker."""
    void_count: int
    """Those of them that were voided later."""
    held: tuple[HeldToken, ...]
    moving: tuple[MovingFill, ...]
    """Fills that are not final, or were made a moment ago."""
    unproved_usdc: Usdc
    """What fills moved, booked or voided since cash last agreed, to the rounding of fees."""
    arriving_usdc: Usdc
    """Payouts that were found redeemed a moment ago."""
    open_orders: tuple[OrderRecord, ...]
    late_orders: tuple[OrderRecord, ...]
    """Closed without a fill a moment ago; a killed order may still turn out to have filled."""
    redemptions: tuple[Redemption, ...]
    """Not final."""


class ReconcileVerdict(StrEnum):
    """What one reconciliation came to."""

    AGREED = "agreed"
    """The venue and our record say the same."""
    EXPLAINED = "explained"
    """They differ by no more than what is still on its way; everything else agrees."""
    INCOMPLETE = "incomplete"
    """The venue could not be asked everything: nothing may be traded until it could."""
    HALTED = "halted"
    """They differ, and nothing known explains it; trading was halted."""
    ORDERS_ONLY = "orders-only"
    """Paper: there is no account to compare with, open orders were looked up."""

    @property
    def allows_trading(self) -> bool:
        """Whether new orders may be based on the record."""
        return self not in (ReconcileVerdict.INCOMPLETE, ReconcileVerdict.HALTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignOrder:
    """An open order of the account that is not ours; listed, never touched."""

    order_id: OrderId
    condition_id: ConditionId
    token_id: OutcomeTokenId
    side: Side
    price: Decimal
    size: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """What one reconciliation found, did and could not do."""

    verdict: ReconcileVerdict
    started_at: datetime
    passes: int
    asked_count: int = 0
    """Orders that were looked up in the last pass."""
    new_fills: tuple[Fill, ...] = ()
    voided_fills: tuple[Fill, ...] = ()
    closed: tuple[OrderId, ...] = ()
    """Orders whose fate became known."""
    foreign_orders: tuple[ForeignOrder, ...] = ()
    foreign_trades: tuple[ForeignTrade, ...] = ()
    """Seen in this run's trades, known before or not."""
    fee_adjustment_usdc: Usdc = ZERO_USDC
    """Booked because the venue rounds fees otherwise; positive: in our favour."""
    transferred_usdc: Usdc = ZERO_USDC
    """Booked as deposited (positive) or withdrawn (negative) outside the bot."""
    accepted_shares: tuple[str, ...] = ()
    """One sentence for every difference of shares that a person accepted in this run."""
    expected_cash_usdc: Decimal | None = None
    venue_cash_usdc: Decimal | None = None
    waiting: tuple[str, ...] = ()
    """One sentence for everything that is on its way."""
    problems: tuple[str, ...] = ()
    """One sentence for every question that the venue did not answer."""
    differences: tuple[str, ...] = ()
    """One sentence for every difference that nothing explains."""

    def summary(self) -> str:
        """Return one sentence for people."""
        counts = [
            (len(self.new_fills), "new fills"),
            (len(self.voided_fills), "voided fills"),
            (len(self.closed), "orders closed"),
            (len(self.foreign_orders), "foreign orders"),
            (len(self.foreign_trades), "foreign trades"),
        ]
        said = [f"{count} {what}" for count, what in counts if count]
        said += [*self.differences, *self.accepted_shares, *self.problems, *self.waiting]
        passes = "1 pass" if self.passes == 1 else f"{self.passes} passes"
        return f"{self.verdict} after {passes}" + (": " + "; ".join(said) if said else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconciliationRecord:
    """What the ledger keeps of the reconciliations so far."""

    reconciled_at: datetime | None
    """When record and venue last said the same; ``None``: never."""
    attempted_at: datetime | None
    verdict: ReconcileVerdict | None
    trades_since: datetime | None
    """Trades are read from here on; everything earlier is final and recorded."""
    agreed_fill_count: int
    """Fills booked, and once more those voided, when cash last agreed, to the rounding of fees."""
    detail: dict[str, object] = field(default_factory=dict)
