"""What a copy is decided on, all of it in memory, and the two things that can come of it."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from polybot.copy_trading.activity import RecentActivity
from polybot.domain.books import OrderBook
from polybot.domain.decisions import Decision
from polybot.domain.leaders import CopyRecord, Leader, LeaderHolding, LeaderSpending
from polybot.domain.markets import Market
from polybot.domain.orders import ApprovedOrder
from polybot.limits import RiskLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class CopySituation:
    """Everything known at the moment a leader's trade arrives; nothing here is waited for."""

    leader: Leader
    holding: LeaderHolding | None
    """The trade's token as the leader and we held it before the trade; ``None``: neither did."""
    market: Market | None
    """``None``: the catalog does not know the trade's token."""
    book: OrderBook | None
    """Of the trade's token."""
    equity_usdc: Decimal
    """Ours, as of a moment ago [USDC]."""
    recent: RecentActivity
    """Without the trade itself."""
    now: datetime
    limits: RiskLimits
    max_book_age_s: float
    spending: LeaderSpending | None = None
    """The leader's totals as of a moment ago, to cut an order to what the caps leave; the
    transaction looks again. Without them the order is not cut and may be refused there."""
    selling_size: Decimal = Decimal(0)
    """Of ``holding.our_size``, promised to exits whose end is not known [shares]."""
    run_name: str = "copy-trading"
    """Told with every decision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyOrder:
    """An order to send: ``CopyLedger.record_copy`` takes its parts, with ``caps_of``."""

    approved: ApprovedOrder
    decision: Decision
    """PLACED, under the key ``copy:<trade key>``; without the order's id."""
    record: CopyRecord
    """PLACED; without the order's id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CopySkip:
    """A trade that is not copied: ``CopyLedger.record_leader_trades`` takes its record."""

    record: CopyRecord
    must_throttle: bool = False
    """Whether the leader's state must become THROTTLED, with an alert."""


CopyDecision = CopyOrder | CopySkip
