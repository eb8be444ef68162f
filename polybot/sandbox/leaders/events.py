"""What wallets do: trades and conversions, with the instants at which each source tells of them."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class ActivityType(StrEnum):
    """The types of the Data API's activity that are played here."""

    TRADE = "TRADE"
    SPLIT = "SPLIT"
    MERGE = "MERGE"
    REDEEM = "REDEEM"
    MAKER_REBATE = "MAKER_REBATE"


@dataclass(frozen=True, slots=True, kw_only=True)
class TradedToken:
    """One outcome of one market, with what the venue says of it in every row."""

    slug: str
    event_slug: str
    title: str
    condition_id: str
    token_id: str
    outcome: str
    outcome_index: int
    contract: str
    """The exchange contract that settles it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletTrade:
    """One row of ``/v2/trades``, one frame of the stream, one log of the chain."""

    wallet: str
    name: str
    token: TradedToken
    side: str
    """BUY or SELL, of the wallet's own order, as maker too."""
    size: Decimal
    """[shares], whole counts of 10⁻⁶."""
    usdc: Decimal
    """Paid or received without fees [USDC], whole counts of 10⁻⁶."""
    at_ms: int
    """When it happened: the block [epoch ms]."""
    transaction_hash: str
    counterparty: str
    is_taker: bool
    is_bait: bool = False
    """Far from the book, on purpose."""
    told_price: Decimal | None = None
    """A recorded price, which need not be what size and money give [USDC/share]."""

    @property
    def price(self) -> Decimal:
        """[USDC/share]; an average of several fills is not on the tick grid."""
        return self.usdc / self.size if self.told_price is None else self.told_price

    @property
    def timestamp(self) -> int:
        """The block's second [epoch s]."""
        return self.at_ms // 1000

    @property
    def fee(self) -> Decimal:
        """What a taker pays [USDC]; makers pay nothing."""
        if not self.is_taker:
            return Decimal(0)
        price = self.price
        return (self.size * price * (1 - price) * 7 / 100).quantize(Decimal("0.00001"))


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletConversion:
    """A split, merge, redemption or rebate: only the activity tells of it."""

    wallet: str
    name: str
    kind: ActivityType
    slug: str
    event_slug: str
    title: str
    condition_id: str
    size: Decimal
    """Shares of each outcome; shares redeemed. 0 where a redemption paid nothing."""
    usdc: Decimal
    at_ms: int
    transaction_hash: str

    @property
    def timestamp(self) -> int:
        """The block's second [epoch s]."""
        return self.at_ms // 1000


WalletEvent = WalletTrade | WalletConversion


@dataclass(slots=True, kw_only=True)
class Entry:
    """One event in the order of everything, and what becomes of it."""

    number: int
    event: WalletEvent
    is_leaders: bool
    """Whether the wallet is one of the leaders, not of the crowd or a stranger."""
    log_index: int
    stream_ms: int
    """When the stream tells of it [epoch ms]."""
    index_ms: int
    """When the Data API knows it [epoch ms]."""
    chain_ms: int
    """When a node tells of it [epoch ms]."""
    is_unheard: bool = False
    """The stream never tells of it."""
    failed_ms: int | None = None
    """When it was undone: the chain removed it, the Data API forgot it [epoch ms]."""
    reorged_ms: int | None = None
    """When the chain dropped its block, to take it up again in another [epoch ms]."""

    def is_indexed(self, now_ms: int) -> bool:
        """Whether the Data API shows it."""
        return self.index_ms <= now_ms and not self.is_failed(now_ms)

    def is_failed(self, now_ms: int) -> bool:
        """Whether it has been undone."""
        return self.failed_ms is not None and self.failed_ms <= now_ms
