"""What the copy loop is put together from: the outside world and the operator's wishes."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol

from polybot.domain.leaders import LeaderAddress
from polybot.domain.markets import ASSETS, DURATIONS_S, MarketSeries
from polybot.domain.modes import Mode
from polybot.domain.reconciliation import ReconcileTiming
from polybot.limits import RiskLimits
from polybot.ports import (
    AccountExchange,
    BookFeed,
    CopyLedger,
    InstantClock,
    LeaderFeed,
    LeaderHistory,
    Ledger,
    MarketData,
    Notifier,
    VenueAccount,
)

LEASE_NAME: Final = "copy-trading"
"""The lease, and the desired state, of copy trading."""
ALL_SERIES: Final = tuple(
    MarketSeries(asset=asset, duration=duration) for asset in ASSETS for duration in DURATIONS_S
)


class CopyBooks(Ledger, CopyLedger, Protocol):
    """The whole ledger: copies share orders, money and limits with everything else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyPorts:
    """The outside world of a copy loop; whoever opened a part closes it."""

    ledger: CopyBooks
    exchange: AccountExchange
    account: VenueAccount | None
    """``None`` on paper."""
    clock: InstantClock
    market_data: MarketData
    feed: LeaderFeed
    books: BookFeed
    history: LeaderHistory
    machine_time: Callable[[], datetime]
    """The leases' clock, aware UTC: real time, also in a sandbox."""
    notifier: Notifier | None = None
    """Only for what cannot go through the ledger's outbox: that the ledger cannot be written."""
    compare_clocks: Callable[[], Awaitable[timedelta]] | None = None
    """Asks the venue for its time and returns how far ours is off; ``None`` on paper."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyOptions:
    """How a copy loop runs; whom it copies, and how, is in the ledger."""

    mode: Mode
    limits: RiskLimits
    holder: str
    """Names this loop among all that ever held the lease: host, process, a random part."""
    run_name: str = ""
    """Of the flow run, for decisions."""
    own_addresses: frozenset[LeaderAddress] = frozenset()
    """Our own wallet and key, in lower case: nobody copies himself."""
    series: tuple[MarketSeries, ...] = ALL_SERIES
    max_book_age_s: float = 10.0
    lease_s: float = 15.0
    drift_every_s: float = 60.0
    overlap_s: float = 120.0
    """Re-reading starts so long before a leader's watermark [s]."""
    reconcile_every_s: float = 40.0
    """Between two reconciliations with the venue's account, live only [s]."""
    reconcile_timing: ReconcileTiming = field(default_factory=ReconcileTiming)
    """How late the venue may tell of what was traded."""
    max_clock_difference: timedelta = timedelta(seconds=2)
    """Between our clock and the venue's; beyond, no order is signed."""
    stop_within_s: float = 8.0
    """On stop, answers of orders in flight are waited for so long; then they are UNKNOWN [s]."""
