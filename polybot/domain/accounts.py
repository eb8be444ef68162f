"""What we own and owe: positions, running totals, settlements, records of orders."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from polybot.domain.markets import ConditionId, FeeSchedule, MarketWindow, Outcome, OutcomeTokenId
from polybot.domain.modes import TradingState
from polybot.domain.money import Price, Shares, Usdc
from polybot.domain.orders import DecisionKey, OrderId, OrderStatus, Side, TimeInForce


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Shares of one outcome token that we hold."""

    condition_id: ConditionId
    token_id: OutcomeTokenId
    outcome: Outcome
    window: MarketWindow
    size: Shares
    cost_usdc: Usdc
    """What the held shares cost, without fees [USDC]."""
    bid: Decimal | None
    """Last seen best bid [USDC/share]; ``None`` until one was seen."""

    @property
    def value_usdc(self) -> Decimal:
        """Worth at the bid [USDC]; 0 where nobody bids."""
        return self.size * (self.bid or Decimal(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountTotals:
    """The ledger's running totals, read in one transaction.

    Invariant: ``cash = deposits + realised P&L − position cost`` with fees inside realised P&L.
    """

    cash_usdc: Usdc
    reserved_usdc: Usdc
    """Held for open, in-flight and unknown BUY orders."""
    position_cost_usdc: Usdc
    position_value_usdc: Usdc
    """All positions at the bid, rounded down."""
    realised_pnl_usdc: Usdc
    """Booked by sales and settlements, after fees (fees count when they are paid)."""
    fees_usdc: Usdc
    deposits_usdc: Usdc
    high_water_usdc: Usdc
    """Highest equity ever recorded."""
    day: date
    """The UTC day that the counters below belong to."""
    day_opening_equity_usdc: Usdc
    """Equity when the day began, plus deposits made since."""
    day_trade_count: int
    """Orders sent on this day that were not proved absent; in-flight ones count."""
    day_realised_pnl_usdc: Usdc
    day_fees_usdc: Usdc
    trading_state: TradingState
    unknown_condition_ids: frozenset[ConditionId]
    """Markets with an order whose fate is not known: risk refuses new ones there."""

    @property
    def available_usdc(self) -> Usdc:
        """Cash that no order has a claim on."""
        return Usdc(self.cash_usdc - self.reserved_usdc)

    @property
    def equity_usdc(self) -> Usdc:
        """Cash plus positions at the bid."""
        return Usdc(self.cash_usdc + self.position_value_usdc)

    @property
    def exposure_usdc(self) -> Usdc:
        """USDC at risk in open positions and open buy orders."""
        return Usdc(self.position_cost_usdc + self.reserved_usdc)

    @property
    def day_loss_usdc(self) -> Usdc:
        """What this UTC day has lost so far: fees, settlements and open positions at the bid."""
        return Usdc(max(Decimal(0), self.day_opening_equity_usdc - self.equity_usdc))


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketExposure:
    """What is at risk in one market, and what we hold of it."""

    reserved_usdc: Usdc
    position_cost_usdc: Usdc
    held: dict[Outcome, Shares]
    selling: dict[Outcome, Shares]
    """Shares already promised to open SELL orders."""

    @property
    def exposure_usdc(self) -> Usdc:
        """USDC at risk in this market."""
        return Usdc(self.reserved_usdc + self.position_cost_usdc)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRecord:
    """An order of ours as the ledger has it."""

    order_id: OrderId
    decision_key: DecisionKey
    condition_id: ConditionId
    token_id: OutcomeTokenId
    outcome: Outcome
    window: MarketWindow
    side: Side
    time_in_force: TimeInForce
    limit_price: Price
    size: Shares
    budget_usdc: Usdc
    reserved_usdc: Usdc
    """Still held back [USDC]."""
    filled_size: Shares
    filled_cost_usdc: Usdc
    fee_usdc: Usdc
    status: OrderStatus
    reason: str
    created_at: datetime
    expires_at: datetime | None
    fees: FeeSchedule | None = None
    """The market's fees when the order was made; ``None`` in ledgers that did not keep them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """Our books closing one market after the venue's resolution."""

    condition_id: ConditionId
    window: MarketWindow
    winner: Outcome | None
    """``None``: the venue voided the market and each share pays 0.5."""
    payout_usdc: Usdc
    pnl_usdc: Usdc
    """Payout minus the cost of what was held, minus all fees paid in this market, plus the
    realised result of earlier sales in it [USDC]."""
    resolved_at: datetime
    settled_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingStateChange:
    """Who allowed or stopped trading, when and why."""

    state: TradingState
    reason: str
    by: str
    changed_at: datetime


class TradeLogKind(StrEnum):
    """What a row of the trade log tells."""

    DEPOSIT = "deposit"
    """Cash that came in from outside, or left to it (negative)."""
    DECISION = "decision"
    """A window that was not traded, or an order that did not fill."""
    FILL = "fill"
    SETTLEMENT = "settlement"
    ADJUSTMENT = "adjustment"
    """Fees that the venue rounded otherwise than our books."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeLogRow:
    """One event of the exported trade log; the money columns alone rebuild the books.

    ``cash`` is the sum of ``cash_change_usdc`` over all rows.
    """

    timestamp: datetime
    kind: TradeLogKind
    mode: str
    market: str
    """The venue's slug, e.g. ``btc-updown-15m-1791241200``; empty for a deposit."""
    market_name: str
    """The venue's question; hostile text until it is escaped."""
    outcome: str
    side: str
    size: Shares
    price: Decimal | None
    fee_usdc: Usdc
    cost_usdc: Usdc
    """Cost of shares bought, negative for the cost of shares given up [USDC]."""
    payout_usdc: Usdc
    pnl_usdc: Usdc | None
    cash_change_usdc: Usdc
    result: str
    """``filled``, ``won``, ``lost``, ``voided``, ``held``, ``refused``, ``skipped``, …"""
    paper_trade: bool
    reason: str
    order_id: str
    indicators: dict[str, float | int | None]
