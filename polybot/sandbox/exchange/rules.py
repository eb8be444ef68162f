"""What the venue demands of orders, and its habits that no source settles.

A habit marked *unverified* is a setting, so that tests can run a bot against both answers.
Source: docs.polymarket.com and public studies of 2026, read 2026-11-22.
"""

from dataclasses import dataclass
from typing import Final, Literal

MICRO: Final = 1_000_000
"""Base units in one pUSD and in one share."""
CENT: Final = 10_000
CHAIN_ID: Final = 137


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueRules:
    """Limits and habits of one venue; amounts in base units, times as the name says."""

    min_size: int = 5 * MICRO
    min_marketable_buy: int = MICRO
    auth_past_s: int = 60
    """How old an authentication's timestamp may be [s]; unverified."""
    auth_future_s: int = 5
    """How far ahead it may be [s]; unverified."""
    gtd_ahead_s: int = 180
    """How far ahead a GTD expiration must lie [s]."""
    gtd_early_s: int = 60
    """How long before its expiration a GTD order stops [s]."""
    taker_delay_ms: int = 150
    """How long a delayed order is held [ms]."""
    mined_after_ms: int = 2_000
    confirmed_after_ms: int = 8_000
    """From the match to the last confirmation [ms]."""
    retry_after_ms: int = 5_000
    """From a failed attempt to settle to the next [ms]."""
    fill_step: int = 100
    """Fills are multiples of this many base units; 1 makes costs need rounding. Unverified."""
    fee_rounding: Literal["half-up", "up", "down"] = "half-up"
    """To 10⁻⁵. A public fill (108 shares at 0.36 cost 1.74182) rules out "up"; unverified."""
    dedupes_terminal_orders: bool = True
    """Whether an order that is over still makes its copy a duplicate; unverified."""
    checks_balance_before_duplicates: bool = False
    """Whether a copy may be refused for its balance instead; unverified."""
    shows_terminal_orders: bool = False
    """Whether ``GET /data/order/{id}`` finds orders that are over; unverified."""
    answers_in_decimals: bool = False
    """Whether making and taking amounts are decimals instead of base units; unverified."""
    answers_transactions: bool = True
    """Whether a matched answer already names its transactions; both have been seen."""
    restart_s: int = 90
    """How long an engine restart answers 425 [s]."""
    post_only_s: int = 120
    """How long only post-only orders are taken afterwards [s]."""
    heartbeat_s: int = 10
    """How long a started heartbeat may pause before all orders of its key go [s]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeDomain:
    """One exchange contract as orders are signed for it."""

    version: str
    contract: str


V1_EXCHANGE: Final = ExchangeDomain(
    version="2", contract="0xE111180000d2663C0091e4f400237545B87B996B"
)
NEGATIVE_RISK_EXCHANGE: Final = ExchangeDomain(
    version="2", contract="0xe2222d279d744050d28e00520010520000310F59"
)
V2_EXCHANGE: Final = ExchangeDomain(
    version="3", contract="0xe3333700cA9d93003F00f0F71f8515005F6c00Aa"
)
EXCHANGES: Final = (V1_EXCHANGE, NEGATIVE_RISK_EXCHANGE, V2_EXCHANGE)
