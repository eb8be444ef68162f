"""One decision per window and strategy, traded or not, with its reason."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from polybot.domain.books import OrderBook
from polybot.domain.markets import ConditionId, MarketWindow
from polybot.domain.orders import DecisionKey, OrderId, RiskCheck
from polybot.domain.signals import Direction


class Verdict(StrEnum):
    """What became of a window."""

    PENDING = "pending"
    """Claimed by a run that has not finished; the next run of the window finishes or skips it."""
    SKIPPED = "skipped"
    """Not decidable: data missing, too late, market unknown."""
    HELD = "held"
    """The signal said HOLD."""
    REFUSED = "refused"
    """Risk said no."""
    PLACED = "placed"
    """An order went out; the order tells the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BookSummary:
    """The book a decision was based on."""

    best_bid: Decimal | None
    best_ask: Decimal | None
    spread: Decimal | None
    ask_depth_usdc: Decimal
    """What all asks up to the limit price would cost [USDC]."""


def summarise_book(book: OrderBook, *, limit_price: Decimal | None) -> BookSummary:
    """Return what the card needs of a book; depth counts asks up to ``limit_price``."""
    depth = Decimal(0)
    for ask in book.asks:
        if limit_price is None or ask.price > limit_price:
            break
        depth += ask.price * ask.size
    return BookSummary(
        best_bid=book.best_bid,
        best_ask=book.best_ask,
        spread=book.spread,
        ask_depth_usdc=depth,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The record of one window: everything needed to explain it later."""

    key: DecisionKey
    strategy: str
    window: MarketWindow
    verdict: Verdict
    reason: str
    decided_at: datetime
    run_name: str
    direction: Direction | None = None
    signal_reason: str = ""
    condition_id: ConditionId | None = None
    question: str = ""
    """The venue's question, where the market was found; hostile text until it is escaped."""
    order_id: OrderId | None = None
    indicators: dict[str, float | int | None] = field(default_factory=dict)
    checks: tuple[RiskCheck, ...] = ()
    book: BookSummary | None = None
    price_to_beat: Decimal | None = None


def trend_key(strategy: str, window: MarketWindow) -> DecisionKey:
    """Return the key that at most one decision, and at most one order, ever has."""
    return DecisionKey(f"trend:{strategy}:{window.series}:{window.start_s}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A flow run as the operator's status page shows it."""

    run_id: str
    flow: str
    name: str
    state: str
    """``running``, ``completed`` or ``failed``."""
    started_at: datetime
    ended_at: datetime | None
    note: str
