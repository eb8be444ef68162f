"""What the venue says of our account: orders, trades, allowances, redemptions.

These are the venue's words about us; our own record is the ledger's. ``polybot.reconciliation``
brings the two together.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

from polybot.domain.markets import ConditionId, FeeSchedule, OutcomeTokenId, taker_fee
from polybot.domain.money import ZERO_USDC, Price, Shares
from polybot.domain.orders import Fill, FillStatus, Liquidity, OrderId, Side, TradeId

LATE_FILL_WATCH: Final = timedelta(minutes=10)
"""A killed FAK or FOK order may still show fills: trades of orders that were refused as not filled
count as ours for so long, at least (github.com/Polymarket/clob-client/issues/317)."""


class VenueOrderStatus(StrEnum):
    """Where an order stands, in the venue's words."""

    LIVE = "LIVE"
    MATCHED = "MATCHED"
    """Nothing of it is left to match."""
    DELAYED = "DELAYED"
    """Held for the taker delay."""
    UNMATCHED = "UNMATCHED"
    """Held, then not matched: what follows is not documented."""
    CANCELED = "CANCELED"
    """By us, by its expiration, by the venue, or killed as a FAK or FOK."""
    INVALID = "INVALID"

    @property
    def is_dead(self) -> bool:
        """Whether it cannot match any more."""
        return self in (
            VenueOrderStatus.MATCHED,
            VenueOrderStatus.CANCELED,
            VenueOrderStatus.INVALID,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueOrder:
    """One order of the account, ours or somebody else's with the same wallet."""

    order_id: OrderId
    condition_id: ConditionId
    token_id: OutcomeTokenId
    side: Side
    price: Decimal
    """[USDC/share]."""
    original_size: Decimal
    """As the venue says it; of a market BUY it is not documented in which unit."""
    matched_size: Shares | None
    """``None`` where the venue leaves it empty."""
    status: VenueOrderStatus
    created_at: datetime | None
    trade_ids: frozenset[TradeId] = frozenset()
    """Trades that the venue names with it; always empty from 2026-12-14 on."""


class VenueTradeStatus(StrEnum):
    """A trade's way to the chain; only CONFIRMED and FAILED are final."""

    MATCHED = "MATCHED"
    MINED = "MINED"
    CONFIRMED = "CONFIRMED"
    RETRYING = "RETRYING"
    """Its transaction failed and is tried again."""
    FAILED = "FAILED"
    """It did not happen after all."""

    @property
    def as_fill(self) -> FillStatus:
        """What it means for a fill: one that is tried again is matched and no more."""
        if self is VenueTradeStatus.RETRYING:
            return FillStatus.MATCHED
        return FillStatus(self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueTrade:
    """One execution of one order of the account, in that order's own token, side and price.

    A taker's trade against makers at several prices is one leg a price, best price first.
    """

    trade_id: TradeId
    order_id: OrderId
    leg: int
    condition_id: ConditionId
    token_id: OutcomeTokenId
    side: Side
    price: Price
    size: Shares
    liquidity: Liquidity
    status: VenueTradeStatus
    matched_at: datetime
    transaction_hash: str
    """Empty until it is broadcast; several trades may share one."""

    def fill(self, fees: FeeSchedule) -> Fill:
        """Return our fill, with the fee that the market's schedule asks of a taker.

        The venue's trades carry no fee (their ``fee_rate_bps`` is a leftover that is always 0).
        It may round otherwise by a step of 10⁻⁵; comparing cash shows that.
        """
        is_taker = self.liquidity is Liquidity.TAKER
        return Fill(
            trade_id=self.trade_id,
            order_id=self.order_id,
            leg=self.leg,
            price=self.price,
            size=self.size,
            fee_usdc=taker_fee(self.size, self.price, fees) if is_taker else ZERO_USDC,
            liquidity=self.liquidity,
            status=self.status.as_fill,
            filled_at=self.matched_at,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueTrades:
    """Executions of the account's orders, oldest first."""

    trades: tuple[VenueTrade, ...]
    incomplete: frozenset[OrderId] = frozenset()
    """Orders with a trade whose makers the venue has not told yet: look again, nothing of such a
    trade is in ``trades``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancellation:
    """What the venue said to a cancel."""

    cancelled: tuple[OrderId, ...]
    refused: Mapping[OrderId, str]
    """Orders that were not cancelled, and why: matched before, or not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Redeemed:
    """The payout is ours, on chain."""

    transaction_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NothingToRedeem:
    """The wallet holds no shares of the market: redeemed before, by whomever. A success."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RedemptionPending:
    """It was sent, and what came of it is not known yet: ask again later, do not hurry."""

    transaction_id: str
    """Of the relayer, or the transaction's hash; empty where not even that is known."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RedeemByHand:
    """This wallet cannot do it here; a person has to."""

    instruction: str


RedemptionResult = Redeemed | NothingToRedeem | RedemptionPending | RedeemByHand


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconnected:
    """The socket listens (again): whatever happened before is not in it; re-read everything."""

    is_first: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSeen:
    """An order of the account was placed, changed or cancelled."""

    order: VenueOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class TradesSeen:
    """A match with an order of the account, at some stage of its way to the chain."""

    found: VenueTrades


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A frame arrived that says nothing we can rely on: re-read everything."""

    reason: str


UserEvent = Reconnected | OrderSeen | TradesSeen | Unreadable
