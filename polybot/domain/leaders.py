"""Leaders: the wallets we copy, what they did, and what we made of it."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NewType

from polybot.domain.markets import ConditionId, OutcomeTokenId, is_up_down_slug
from polybot.domain.money import Shares, Usdc
from polybot.domain.orders import DecisionKey, OrderId, RiskCheck, Side

LeaderAddress = NewType("LeaderAddress", str)
"""The leader's ``proxyWallet`` in lower case: ``0x`` and 40 hexadecimal digits."""
LeaderTradeKey = NewType("LeaderTradeKey", str)
"""``<leader>:<tx hash>:<token>:<side>:<price>:<size>:<n>``: one leader trade has it, ever."""


class FeedSource(StrEnum):
    """Where a leader's trade was heard of."""

    STREAM = "stream"
    """The venue's real-time stream (RTDS)."""
    DATA_API = "data-api"
    CHAIN = "chain"
    """Logs of the exchange contracts from a Polygon node."""


class ConversionKind(StrEnum):
    """What a leader can do to a position without trading."""

    SPLIT = "split"
    """USDC becomes one share of each outcome."""
    MERGE = "merge"
    """One share of each outcome becomes USDC."""
    REDEEM = "redeem"
    """Shares of a resolved market become USDC."""
    CONVERSION = "conversion"
    """Negative-risk shares become others; we copy none of it and count it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaderTrade:
    """One execution of a leader, as it was first heard of."""

    leader: LeaderAddress
    transaction_hash: str
    token_id: OutcomeTokenId
    condition_id: ConditionId
    slug: str
    """The venue's name of the market; hostile text until it is matched with a known market."""
    side: Side
    price: Decimal
    """[USDC/share], inside (0, 1); an average of several fills is not on the tick grid."""
    size: Shares
    occurrence: int = 0
    """0 for the first, n for the n-th true repeat of everything above."""
    traded_at: datetime
    """The block's second: the leader's fill."""
    received_at: datetime
    source: FeedSource
    key: LeaderTradeKey = field(init=False, repr=False, compare=False)
    """The identity: every sighting of the trade, from any source, gives the same text."""

    def __post_init__(self) -> None:
        """Refuse trades of nothing, and put the identity together, once."""
        if not 0 < self.price < 1 or self.size <= 0 or self.occurrence < 0:
            raise ValueError(f"impossible leader trade: {self.size} at {self.price}")
        key = (
            f"{self.leader}:{self.transaction_hash}:{self.token_id}:{self.side}:"
            f"{self.price.normalize():f}:{self.size.normalize():f}:{self.occurrence}"
        )
        object.__setattr__(self, "key", key)

    @property
    def stake_usdc(self) -> Decimal:
        """What the leader paid or received, without fees [USDC]."""
        return self.price * self.size


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaderConversion:
    """A leader's split, merge or redemption: only the Data API tells of it."""

    leader: LeaderAddress
    transaction_hash: str
    condition_id: ConditionId
    slug: str
    kind: ConversionKind
    size: Shares
    """Shares of each outcome (split, merge); shares redeemed."""
    occurrence: int = 0
    happened_at: datetime
    received_at: datetime

    @property
    def key(self) -> LeaderTradeKey:
        """The identity, in the same space as those of trades."""
        return LeaderTradeKey(
            f"{self.leader}:{self.transaction_hash}:{self.condition_id}:{self.kind}:"
            f"{self.size.normalize():f}:{self.occurrence}"
        )


LeaderEvent = LeaderTrade | LeaderConversion


class Sizing(StrEnum):
    """How a copy's stake follows from the leader's."""

    PROPORTIONAL = "proportional"
    """``scale`` × the leader's stake."""
    FIXED = "fixed"
    """``fixed_usdc``, whatever the leader staked."""
    EQUITY_RATIO = "equity_ratio"
    """``scale`` × the leader's stake × our equity / ``leader_equity_usdc``."""
    POSITION_TARGET = "position_target"
    """What is missing until we hold ``scale`` × the leader's position."""


class SmallCopies(StrEnum):
    """What becomes of a copy below the venue's minimum."""

    SKIP = "skip"
    ACCUMULATE = "accumulate"
    """Added to the next ones of the same token and side, for at most ``accumulate_s``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyPolicy:
    """How one leader is copied; the risk limits apply beside it, to all leaders together."""

    sizing: Sizing = Sizing.PROPORTIONAL
    scale: Decimal = Decimal("0.1")
    """[fraction]"""
    fixed_usdc: Decimal = Decimal(5)
    leader_equity_usdc: Decimal | None = None
    """Only for ``equity_ratio``."""
    max_trade_usdc: Decimal = Decimal(10)
    max_market_usdc: Decimal = Decimal(20)
    """Spent on one market through this leader, orders in flight included."""
    max_leader_usdc: Decimal = Decimal(50)
    """Cost of all open copies of this leader, orders in flight included."""
    max_day_usdc: Decimal = Decimal(100)
    """Spent in a UTC day through this leader."""
    min_leader_stake_usdc: Decimal = Decimal(1)
    max_age_s: float = 10.0
    """Counted from the leader's fill [s]."""
    max_conversion_age_s: float = 60.0
    """The same for merges and redemptions, which are told late; ours close until then [s]."""
    max_price_above: Decimal = Decimal("0.03")
    """Worse than the leader's price by at most this [USDC/share] …"""
    max_price_fraction: Decimal = Decimal("0.10")
    """… and by at most this fraction of it."""
    max_from_book: Decimal = Decimal("0.05")
    """The leader's price may be so far from our book's touch; further is bait [USDC/share]."""
    sides: frozenset[Side] = frozenset(Side)
    series: tuple[str, ...] = ()
    """Market series such as ``btc-15m``; empty: all that the bot knows."""
    tags: tuple[str, ...] = ()
    """Assets or durations (``btc``, ``15m``); empty: all."""
    slugs: tuple[str, ...] = ()
    """Shell patterns of market names; empty: all."""
    min_price: Decimal = Decimal("0.05")
    max_price: Decimal = Decimal("0.95")
    min_time_left_s: int = 60
    small_copies: SmallCopies = SmallCopies.ACCUMULATE
    accumulate_s: float = 120.0
    max_repeats: int = 20
    """So many copies within ``repeat_window_s``, then a person must lift the throttle."""
    repeat_window_s: float = 60.0
    flip_s: float = 5.0
    """A BUY this close to a SELL of the same token is no signal and is not copied; the SELL still
    closes what we hold; 0 switches the guard off [s]."""


class LeaderState(StrEnum):
    """Whether a leader is copied now."""

    ACTIVE = "active"
    PAUSED = "paused"
    """A person said so; trades are recorded as skipped."""
    THROTTLED = "throttled"
    """A guard of entries said so: his exits alone are mirrored; only a person lifts it."""
    REMOVED = "removed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leader:
    """A wallet that is followed."""

    address: LeaderAddress
    name: str
    """The owner's own name for it."""
    policy: CopyPolicy
    state: LeaderState
    state_reason: str
    added_at: datetime
    """Nothing older is ever copied."""
    watermark: datetime
    """Every trade up to here is recorded; re-reading starts a little before it."""


class CopyVerdict(StrEnum):
    """What became of one leader trade."""

    PLACED = "placed"
    """An order went out; the order tells the rest."""
    ACCUMULATED = "accumulated"
    """Too small alone; it waits for company."""
    SKIPPED = "skipped"
    """The leader's policy, a guard, or its age said no."""
    REFUSED = "refused"
    """Risk said no."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyRecord:
    """One leader trade with what we made of it; the five instants tell how late we were."""

    trade: LeaderTrade
    verdict: CopyVerdict
    reason_code: str
    """Short stable name by which reasons are counted, e.g. ``too-old``; empty for PLACED."""
    reason: str
    decided_at: datetime
    decision_key: DecisionKey | None = None
    order_id: OrderId | None = None
    sent_at: datetime | None = None
    acknowledged_at: datetime | None = None
    accumulate_usdc: Decimal = Decimal(0)
    """What an ACCUMULATED BUY adds to the pending amount [USDC]."""
    accumulate_size: Decimal = Decimal(0)
    """What an ACCUMULATED SELL adds to the pending size [shares]."""
    clears_pending: bool = False
    """Whether what was pending of the token before, bought or sold, lapses with this record: it
    waited too long, or the leader turned round; ``accumulate_*`` then begin anew."""
    follows_conversion: bool = False
    """Whether this is the exit after a conversion, told as a SELL that the leader never made: the
    leader's own holding does not change by it, and the trade's price means nothing."""
    is_voided: bool = False
    """The leader's trade FAILED later: the copy stands alone."""


def begins_holding(trade: LeaderTrade, verdict: CopyVerdict) -> bool:
    """Return whether a trade begins a holding where none is known of its token.

    A leader may trade in thousands of markets that nobody could copy; what he holds there is of
    no use and is not kept.
    """
    return verdict is not CopyVerdict.SKIPPED or is_up_down_slug(trade.slug)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaderHolding:
    """One token as a leader holds it and as we hold it through that leader."""

    leader: LeaderAddress
    token_id: OutcomeTokenId
    condition_id: ConditionId
    slug: str
    leader_size: Shares
    """[shares]; of the trades and conversions recorded, on top of what was held at the start."""
    our_size: Shares
    """[shares] bought through this leader and not sold; what this leader's exits may sell."""
    our_cost_usdc: Usdc
    in_flight_usdc: Usdc
    """Held for BUY orders of this leader and token whose end is not known."""
    pending_usdc: Usdc
    """Accumulated small BUY copies."""
    pending_size: Shares
    """Accumulated small SELL copies."""
    pending_since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaderSpending:
    """Running totals of one leader."""

    leader: LeaderAddress
    day_usdc: Usdc
    """Spent on the UTC day asked for, orders in flight included."""
    open_usdc: Usdc
    """Cost of what we hold through the leader, orders in flight included."""
    market_usdc: dict[ConditionId, Usdc] = field(default_factory=dict)
    """Cost of what we hold, orders in flight included, by market that is not settled."""


class CopyAnswer(StrEnum):
    """What recording a leader trade has done."""

    RECORDED = "recorded"
    ALREADY_SEEN = "already-seen"
    """Its key was there: nothing changed."""
    REFUSED = "refused"
    """A limit was reached: the trade is recorded as REFUSED, no order exists."""
    LEASE_LOST = "lease-lost"
    """Another loop took over: nothing changed, and this loop must stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyRecorded:
    """The answer with the failed checks of a refusal."""

    answer: CopyAnswer
    failed: tuple[RiskCheck, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyLatency:
    """When a copy left and when it was answered."""

    key: LeaderTradeKey
    sent_at: datetime
    acknowledged_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to be the only one of its name; ``epoch`` grows with each taker (fencing)."""

    name: str
    holder: str
    epoch: int
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredState:
    """What a person wants of a long-running loop, whatever its scheduler does."""

    name: str
    is_wanted: bool
    by: str
    reason: str
    changed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceHealth:
    """How one connection of a feed is doing."""

    source: FeedSource
    name: str
    """``stream-1``, ``stream-2``, ``data-api``, ``chain``."""
    is_connected: bool
    last_heard_at: datetime | None
    reconnects: int
    freezes: int
    """Silences that were noticed."""
    messages: int
    followed: int
    """Messages about a followed wallet."""
    first: int
    """Followed trades that this source was the first to tell."""
    rejected: dict[str, int] = field(default_factory=dict)
    """Messages that were thrown away, by reason."""
    shed: int = 0
    """Messages about nobody we follow that were dropped unread under pressure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaderPosition:
    """What the venue says a leader holds."""

    token_id: OutcomeTokenId
    condition_id: ConditionId
    slug: str
    title: str
    outcome: str
    size: Shares
    average_price: Decimal
    value_usdc: Decimal
    realised_pnl_usdc: Decimal
    is_open: bool
