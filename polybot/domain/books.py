"""Order books, best level first (the venue sends the best level last)."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from polybot.domain.markets import OutcomeTokenId
from polybot.domain.money import Price, Shares


@dataclass(frozen=True, slots=True, kw_only=True)
class BookLevel:
    """One price and all that rests there."""

    price: Price
    size: Shares

    def __post_init__(self) -> None:
        """Refuse empty levels."""
        if not 0 < self.price < 1 or self.size <= 0:
            raise ValueError(f"impossible book level: {self.size} at {self.price}")


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderBook:
    """Bids and asks of one outcome token at one instant."""

    token_id: OutcomeTokenId
    bids: tuple[BookLevel, ...]
    """Best (highest) first."""
    asks: tuple[BookLevel, ...]
    """Best (lowest) first."""
    tick_size: Decimal
    min_order_size: Shares
    as_of: datetime

    def __post_init__(self) -> None:
        """Refuse books that are out of order or crossed."""
        bids = [level.price for level in self.bids]
        asks = [level.price for level in self.asks]
        if bids != sorted(set(bids), reverse=True) or asks != sorted(set(asks)):
            raise ValueError(f"book levels must be distinct and best first: {self.token_id[:20]}")
        if bids and asks and bids[0] >= asks[0]:
            raise ValueError(f"book is crossed: bid {bids[0]}, ask {asks[0]}")

    @property
    def best_bid(self) -> Price | None:
        """Highest bid [USDC/share], if any."""
        return self.bids[0].price if self.bids else None

    @property
    def best_ask(self) -> Price | None:
        """Lowest ask [USDC/share], if any."""
        return self.asks[0].price if self.asks else None

    @property
    def midpoint(self) -> Decimal | None:
        """Half-way between best bid and best ask [USDC/share]; ``None`` for a one-sided book."""
        if not self.bids or not self.asks:
            return None
        return (self.bids[0].price + self.asks[0].price) / 2

    @property
    def spread(self) -> Decimal | None:
        """Best ask minus best bid [USDC/share]; ``None`` for a one-sided book."""
        if not self.bids or not self.asks:
            return None
        return self.asks[0].price - self.bids[0].price


@dataclass(frozen=True, slots=True, kw_only=True)
class BookFeedHealth:
    """How a feed of order books is doing; counts since its start."""

    is_connected: bool = False
    watched: int = 0
    """Tokens."""
    known: int = 0
    """Of them, whose book is known to be right now."""
    reconnects: int = 0
    frames: int = 0
    agreements: int = 0
    """Comparisons with the venue's own answer that found the same."""
    gaps: int = 0
    """Books that turned out to be wrong, or incomplete, although the connection held."""
    freezes: int = 0
    """Silences that were noticed."""
    rejected: dict[str, int] = field(default_factory=dict)
    """Messages and answers that were thrown away, by reason."""
