"""Orders: a chain of types, so that skipping a step is a type error.

``Order → ApprovedOrder | RefusedOrder → PreparedOrder → Accepted | Rejected | Unknown → Fill``
"""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NewType

from polybot.domain.markets import FeeSchedule, Market, Outcome, OutcomeTokenId
from polybot.domain.money import ZERO_USDC, Price, Shares, Usdc, usdc_up

OrderId = NewType("OrderId", str)
"""The order's EIP-712 hash on the venue; a digest of the decision key on paper."""
DecisionKey = NewType("DecisionKey", str)
"""``trend:<strategy>:<series>:<window start>``: at most one order has it, ever."""
TradeId = NewType("TradeId", str)


class Side(StrEnum):
    """What we do with the outcome token."""

    BUY = "BUY"
    SELL = "SELL"


class TimeInForce(StrEnum):
    """How long an order may wait."""

    GTC = "GTC"
    """Rests until it is cancelled."""
    GTD = "GTD"
    """Rests until ``expires_at``."""
    FOK = "FOK"
    """All at once or nothing."""
    FAK = "FAK"
    """What can be had at once; the rest is killed."""

    @property
    def rests(self) -> bool:
        """Whether an unfilled rest stays in the book."""
        return self in (TimeInForce.GTC, TimeInForce.GTD)


class Liquidity(StrEnum):
    """Which side of a match we were."""

    TAKER = "TAKER"
    MAKER = "MAKER"


class FillStatus(StrEnum):
    """A fill's life; it never goes back, and FAILED voids exactly this fill."""

    MATCHED = "MATCHED"
    MINED = "MINED"
    CONFIRMED = "CONFIRMED"
    FAILED = "FAILED"


def max_buy_fee(budget_usdc: Usdc, schedule: FeeSchedule) -> Usdc:
    """Return the most that spending a budget can be charged on top of it [USDC].

    ``size × rate × (p(1−p))^n`` is at most ``cost × rate`` at any price; a cent covers the
    rounding of up to a thousand fills.
    """
    if schedule.rate == 0:
        return ZERO_USDC
    return usdc_up(budget_usdc * schedule.rate + Decimal("0.01"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What the strategy wants to trade, before risk has seen it.

    A market BUY (FAK, FOK) is a budget, as it is on the venue: it spends at most ``budget_usdc``
    at ``limit_price`` or better, so a better book brings more shares than ``size``. Every other
    order trades at most ``size``.
    """

    decision_key: DecisionKey
    market: Market
    outcome: Outcome
    side: Side
    time_in_force: TimeInForce
    limit_price: Price
    """The worst price we accept [USDC/share], on the tick grid."""
    size: Shares
    """[shares]; for a market BUY the fewest shares that the budget must bring."""
    budget_usdc: Usdc
    """Most that a BUY may spend, without the fee [USDC]; 0 for a SELL."""
    expires_at: datetime | None = None
    """Only for GTD."""
    is_post_only: bool = False
    """Whether the venue must refuse it where it would match at once; only for orders that rest."""

    def __post_init__(self) -> None:
        """Refuse orders that no venue could take."""
        if self.size <= 0:
            raise ValueError(f"order size must be positive, was {self.size}")
        if self.limit_price % self.market.tick_size:
            raise ValueError(
                f"limit price must be on the tick {self.market.tick_size}, was {self.limit_price}"
            )
        if (self.budget_usdc > 0) is not (self.side is Side.BUY):
            raise ValueError(f"only a BUY has a budget: {self.side}, {self.budget_usdc}")
        if (self.expires_at is not None) is not (self.time_in_force is TimeInForce.GTD):
            raise ValueError(f"only GTD expires: {self.time_in_force}, {self.expires_at}")
        if self.is_post_only and not self.time_in_force.rests:
            raise ValueError(f"only resting orders are post-only, not {self.time_in_force}")

    @property
    def token_id(self) -> OutcomeTokenId:
        """The outcome token that is traded."""
        return self.market.token_ids[self.outcome]

    @property
    def is_market_buy(self) -> bool:
        """Whether the budget, not the size, bounds the order."""
        return self.side is Side.BUY and not self.time_in_force.rests

    @property
    def max_fee_usdc(self) -> Usdc:
        """The most a BUY is charged on top of its cost [USDC]; a SELL's fee is in its proceeds."""
        if self.side is Side.SELL:
            return ZERO_USDC
        return max_buy_fee(self.budget_usdc, self.market.fees)

    @property
    def max_outlay_usdc(self) -> Usdc:
        """The most cash that can leave us [USDC]: what risk reserves."""
        return Usdc(self.budget_usdc + self.max_fee_usdc)


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskCheck:
    """One limit, looked at once; every check runs and every result is recorded."""

    name: str
    passed: bool
    detail: str
    """One sentence with the value and the limit, e.g. ``"exposure 5 + 5.2 of at most 25 USDC"``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovedOrder:
    """An order that passed every check; the only thing execution takes."""

    order: Order
    checks: tuple[RiskCheck, ...]
    expected: "ExpectedFill | None" = None
    """What the book should give; ``None`` where nobody asks, because working it out takes time."""

    def __post_init__(self) -> None:
        """Refuse approvals with a failed check."""
        if not self.checks or any(not check.passed for check in self.checks):
            raise ValueError("an approved order must have passed every check")


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedOrder:
    """An order that risk stopped, with every check's result."""

    reason: str
    """The failed checks' details, joined."""
    checks: tuple[RiskCheck, ...]
    order: Order | None = None
    """``None`` where no order could even be sized."""
    expected: "ExpectedFill | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedFill:
    """What an order should cost against the book as it was seen, known before it is sent."""

    size: Shares
    average_price: Price
    cost_usdc: Usdc
    fee_usdc: Usdc
    half_spread_usdc: Usdc
    """What crossing from the midpoint costs [USDC]: ``size × (average price − midpoint)``."""
    break_even: Decimal
    """Probability of winning at which the trade earns nothing [fraction]: (cost + fee) / size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedOrder:
    """An approved order with the id it will have on the venue; nothing has been sent."""

    order_id: OrderId
    order: Order
    created_at: datetime
    wire: dict[str, str | int] = field(default_factory=dict)
    """The signed fields that a resend needs (salt, timestamp, contract, domain version, …)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One execution of our order, keyed by (trade id, order id, leg)."""

    trade_id: TradeId
    order_id: OrderId
    leg: int
    price: Price
    size: Shares
    fee_usdc: Usdc
    liquidity: Liquidity
    status: FillStatus
    filled_at: datetime

    def __post_init__(self) -> None:
        """Refuse fills of nothing."""
        if self.size <= 0 or self.fee_usdc < 0:
            raise ValueError(f"impossible fill: {self.size} shares, fee {self.fee_usdc}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The venue has the order; ``is_resting`` says whether an unfilled rest waits in the book."""

    order_id: OrderId
    is_resting: bool
    fills: tuple[Fill, ...] = ()
    """Fills the answer proved; live fills arrive through trades instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """The answer proves that the order does not exist and never will."""

    order_id: OrderId
    reason: str
    must_halt: bool = False
    """Whether every further order would be refused the same way until a person acts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """The answer proves nothing: reconcile by id, never resend with a new one."""

    order_id: OrderId
    reason: str


SubmitResult = Accepted | Rejected | Unknown


class OrderStatus(StrEnum):
    """Where an order of ours stands in the ledger; the last four are final."""

    SENDING = "sending"
    """The intent is durable; the request may or may not have left."""
    UNKNOWN = "unknown"
    RESTING = "resting"
    FILLED = "filled"
    """Nothing more can fill: filled fully, or partly and the rest killed."""
    UNFILLED = "unfilled"
    """Accepted, and killed, cancelled or expired without any fill."""
    REJECTED = "rejected"
    NEVER_ARRIVED = "never-arrived"
    """Proved after an unknown answer: the venue never had it."""

    @property
    def is_open(self) -> bool:
        """Whether the order still holds a reservation."""
        return self in (OrderStatus.SENDING, OrderStatus.UNKNOWN, OrderStatus.RESTING)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderReport:
    """What is proved about one order: by the venue's answer, by a later look-up, by its trades."""

    status: OrderStatus
    fills: tuple[Fill, ...] = ()
    """All fills that are proved so far; those already recorded change nothing."""
    reason: str = ""
