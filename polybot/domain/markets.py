"""Markets: series, windows, outcomes, fee schedules, resolutions.

A window is named by the epoch second it starts at, never by its title (titles are in Eastern
Time and ambiguous when clocks change).
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum
from typing import Final, NewType, Self

from polybot.domain.money import Price, Shares, Usdc, usdc_up

ConditionId = NewType("ConditionId", str)
OutcomeTokenId = NewType("OutcomeTokenId", str)
"""Opaque decimal text: a ``clobTokenId`` in v1 markets, a ``positionId`` in v2 markets."""

DURATIONS_S: Final = {"5m": 300, "15m": 900, "4h": 14_400}
ASSETS: Final = ("btc", "eth", "sol", "xrp")
_SLUG: Final = re.compile(r"([a-z]{2,5})-updown-(5m|15m|4h)-([0-9]{9,11})", re.ASCII)
# The venue charges fees in steps of 10⁻⁵ USDC, at least one step where the rate is not zero.
FEE_STEP: Final = Decimal("0.00001")


class Outcome(StrEnum):
    """The two outcomes, found by label and never by index."""

    UP = "Up"
    DOWN = "Down"

    @property
    def opposite(self) -> "Outcome":
        """Return the other outcome."""
        return Outcome.DOWN if self is Outcome.UP else Outcome.UP


class MarketVersion(StrEnum):
    """Which contracts a market trades on; anything else is refused."""

    V1 = "v1"
    V2 = "v2"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class MarketSeries:
    """A recurring family of markets: one asset, one duration."""

    asset: str
    duration: str

    def __post_init__(self) -> None:
        """Refuse series that the venue does not list."""
        if self.asset not in ASSETS or self.duration not in DURATIONS_S:
            raise ValueError(
                f"market series must be one of {'|'.join(ASSETS)} and one of "
                f"{'|'.join(DURATIONS_S)}, was {self.asset}-{self.duration}"
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``btc-15m``."""
        asset, _, duration = text.partition("-")
        return cls(asset=asset, duration=duration)

    @property
    def duration_s(self) -> int:
        """Length of one window [s]."""
        return DURATIONS_S[self.duration]

    def window_at(self, instant: datetime) -> "MarketWindow":
        """Return the window that contains an instant."""
        epoch = int(instant.timestamp())
        return MarketWindow(series=self, start_s=epoch - epoch % self.duration_s)

    def __str__(self) -> str:
        """Return ``btc-15m``."""
        return f"{self.asset}-{self.duration}"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class MarketWindow:
    """The interval ``[start, end)`` that a market's question is about, UTC."""

    series: MarketSeries
    start_s: int

    def __post_init__(self) -> None:
        """Refuse starts that are off the series' grid."""
        if self.start_s <= 0 or self.start_s % self.series.duration_s:
            raise ValueError(
                f"window start must be a positive multiple of {self.series.duration_s} s, "
                f"was {self.start_s}"
            )

    @classmethod
    def parse_slug(cls, slug: str) -> Self:
        """Read ``btc-updown-15m-1791241200``."""
        match = _SLUG.fullmatch(slug)
        if match is None:
            raise ValueError(f"not an Up/Down market slug: {slug[:80]!r}")
        return cls(series=MarketSeries(asset=match[1], duration=match[2]), start_s=int(match[3]))

    @property
    def start(self) -> datetime:
        """First instant of the window."""
        return datetime.fromtimestamp(self.start_s, UTC)

    @property
    def end(self) -> datetime:
        """First instant after the window."""
        return datetime.fromtimestamp(self.start_s + self.series.duration_s, UTC)

    @property
    def slug(self) -> str:
        """The venue's name of the market: ``btc-updown-15m-1791241200``."""
        return f"{self.series.asset}-updown-{self.series.duration}-{self.start_s}"


def is_up_down_slug(slug: str) -> bool:
    """Return whether a slug names a window of the crypto Up/Down family."""
    try:
        MarketWindow.parse_slug(slug)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeSchedule:
    """A market's own fees: takers pay ``size × rate × (p(1−p))^exponent``, makers nothing."""

    rate: Decimal
    exponent: int

    def __post_init__(self) -> None:
        """Refuse schedules that the formula does not cover."""
        if not 0 <= self.rate <= 1:
            raise ValueError(f"fee rate must be a fraction in [0, 1], was {self.rate}")
        if not 1 <= self.exponent <= 4:
            raise ValueError(f"fee exponent must be 1 to 4, was {self.exponent}")


def taker_fee(size: Shares, price: Price, schedule: FeeSchedule) -> Usdc:
    """Return what the venue charges a taker for one fill.

    Args:
        size: Filled quantity [shares], > 0.
        price: Fill price [USDC/share].
        schedule: The market's own schedule; never a constant.

    Returns:
        Fee [USDC], rounded up to 10⁻⁵ and at least 10⁻⁵ where the rate is not zero. The venue's
        own rounding mode is not published; up is against us.

    Source: docs.polymarket.com/trading/fees (2026-11-22).
    """
    if schedule.rate == 0:
        return Usdc(Decimal(0))
    exact = size * schedule.rate * (price * (1 - price)) ** schedule.exponent
    return usdc_up(max(exact.quantize(FEE_STEP, ROUND_CEILING), FEE_STEP))


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """One market as the venue described it at ``fetched_at``."""

    condition_id: ConditionId
    window: MarketWindow
    question: str
    version: MarketVersion
    token_ids: dict[Outcome, OutcomeTokenId]
    tick_size: Decimal
    min_order_size: Shares
    fees: FeeSchedule
    is_accepting_orders: bool
    is_closed: bool
    is_negative_risk: bool
    twap_lookback_s: int | None
    """Averaging window of the resolution price [s]; ``None`` where the spot tick decides."""
    price_to_beat: Decimal | None
    """Reference price at the window's start [USD]; the venue often gives it a minute late."""
    fetched_at: datetime

    def __post_init__(self) -> None:
        """Refuse markets without exactly one token for each outcome."""
        if set(self.token_ids) != set(Outcome) or len(set(self.token_ids.values())) != 2:
            raise ValueError(f"market must have one token for Up and one for Down: {self.slug}")
        if not 0 < self.tick_size < 1:
            raise ValueError(f"tick size must be inside (0, 1), was {self.tick_size}")

    @property
    def slug(self) -> str:
        """The venue's name of the market."""
        return self.window.slug

    def outcome_of(self, token_id: OutcomeTokenId) -> Outcome:
        """Return which outcome a token is the claim on."""
        for outcome, known in self.token_ids.items():
            if known == token_id:
                return outcome
        raise ValueError(f"token {token_id[:20]} is not of market {self.slug}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """The venue's final word: what one share of each outcome pays [USDC]."""

    condition_id: ConditionId
    payouts: dict[Outcome, Decimal]
    resolved_at: datetime

    def __post_init__(self) -> None:
        """Refuse payouts that are not fractions of one."""
        if set(self.payouts) != set(Outcome) or sum(self.payouts.values()) != 1:
            raise ValueError(f"payouts must add up to 1, were {self.payouts}")
        if any(not 0 <= payout <= 1 for payout in self.payouts.values()):
            raise ValueError(f"payouts must be inside [0, 1], were {self.payouts}")

    @property
    def winner(self) -> Outcome | None:
        """The winning outcome, or ``None`` where the venue voided the market."""
        return next((outcome for outcome, pay in self.payouts.items() if pay == 1), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketTrade:
    """Somebody else's execution in a market we watch."""

    token_id: OutcomeTokenId
    price: Decimal
    """[USDC/share]; an average of several fills is not on the tick grid."""
    size: Shares
    traded_at: datetime
    transaction_hash: str
