"""What the checks look at, and what they have found."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from tests.simulation.rows import LedgerRows
from tests.simulation.truth import VenueTruth

MICRO: Final = 1_000_000
DAY_US: Final = 86_400_000_000
OPEN: Final = ("sending", "unknown", "resting")
ABSENT: Final = ("rejected", "never-arrived")


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """The operator's limits [10⁻⁶ USDC, orders]."""

    stake: int
    min_cash: int
    trades: int
    daily_loss: int
    window: int
    total: int
    reconcile_age_us: int


@dataclass(slots=True)
class Sent:
    """One order as its bytes arrived at the venue."""

    decision: str
    maker: int
    taker: int
    is_buy: bool
    order_type: str


@dataclass(slots=True)
class Evidence:
    """One ledger, its venue, what was sent between them, and the first thing that was wrong."""

    rows: LedgerRows
    truth: VenueTruth
    caps: Caps
    sent: dict[str, Sent] = field(default_factory=dict)
    checks: Counter[str] = field(default_factory=Counter)
    broken: str = ""

    def fail(self, what: str) -> None:
        """Keep the first thing that was wrong; whoever drives the simulation stops there."""
        self.broken = self.broken or what
