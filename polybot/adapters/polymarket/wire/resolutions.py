"""Resolutions: what Gamma and the Data API say about a market's end, and only if they agree.

A price of 0.99 is not an outcome. Only a market that is called resolved, with payouts of exactly
1 and 0 or one half each, settles anything.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec

from polybot.adapters.polymarket.wire.markets import event_market
from polybot.adapters.polymarket.wire.outcomes import outcomes_of
from polybot.adapters.polymarket.wire.strict import (
    condition_id,
    decode,
    instant,
    number,
    quote,
    shaped,
    text_list,
)
from polybot.domain.markets import ConditionId, MarketWindow, Outcome, Resolution
from polybot.errors import DataError

MALFORMED: Final = "resolution-malformed"
CONFLICT: Final = "resolution-conflict"
_HALF: Final = Decimal("0.5")
_CLEAR: Final = frozenset({(Decimal(1), Decimal(0)), (Decimal(0), Decimal(1)), (_HALF, _HALF)})
_LARGEST_PAYOUT: Final = 10**12
_MAX_CLOCK_LEAD: Final = timedelta(seconds=60)


class _GammaWire(msgspec.Struct, rename="camel"):
    condition_id: str
    outcomes: str
    closed: bool
    outcome_prices: Any = None
    uma_resolution_status: str | None = None
    resolution_status: str | None = None
    closed_time: Any = None


class _RowWire(msgspec.Struct):
    condition_id: str
    status: str
    payouts: list[Any] | None = None
    resolved_at: Any = None


class _AnswerWire(msgspec.Struct):
    data: list[_RowWire]


@dataclass(frozen=True, slots=True, kw_only=True)
class GammaResolution:
    """Gamma's word; ``payouts`` is ``None`` until it calls the market resolved."""

    condition_id: ConditionId
    outcomes: tuple[Outcome, Outcome]
    """In the venue's order, by which the Data API numbers its payouts."""
    payouts: tuple[Decimal, Decimal] | None
    resolved_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DataResolution:
    """The Data API's word; ``payouts`` is ``None`` until it calls the market resolved."""

    payouts: tuple[Decimal, Decimal] | None
    resolved_at: datetime | None


def parse_gamma_resolution(body: bytes, window: MarketWindow) -> GammaResolution:
    """Read the end of a market from ``GET /events/slug/{slug}``.

    Raises:
        DataError: Malformed, of another market, or resolved without clear payouts.
    """
    raw, _ = event_market(body, window)
    wire = shaped(raw, _GammaWire, reason=MALFORMED)
    outcomes = outcomes_of(wire.outcomes, reason=MALFORMED)
    payouts = None
    if wire.closed and "resolved" in (wire.uma_resolution_status, wire.resolution_status):
        prices = text_list(wire.outcome_prices, "outcomePrices", reason=MALFORMED)
        payouts = _clear(prices)
    closed_at = None
    if payouts is not None and wire.closed_time is not None:
        closed_at = instant(wire.closed_time, "closedTime", reason=MALFORMED)
    return GammaResolution(
        condition_id=condition_id(wire.condition_id, reason=MALFORMED),
        outcomes=outcomes,
        payouts=payouts,
        resolved_at=closed_at,
    )


def parse_data_resolution(body: bytes, asked: ConditionId) -> DataResolution | None:
    """Read ``GET /v2/resolutions``; ``None`` where the Data API has no word on the market yet.

    Raises:
        DataError: Malformed, of another market, or resolved without clear payouts.
    """
    rows = decode(body, _AnswerWire, reason=MALFORMED).data
    if any(condition_id(row.condition_id, reason=MALFORMED) != asked for row in rows):
        raise DataError("resolution is of another market", reason=CONFLICT)
    if len(rows) > 1:
        raise DataError(f"market has {len(rows)} resolutions", reason=CONFLICT)
    if not rows:
        return None
    row = rows[0]
    if row.status != "resolved":
        return DataResolution(payouts=None, resolved_at=None)
    return DataResolution(
        payouts=_clear(row.payouts or []),
        resolved_at=None
        if row.resolved_at is None
        else instant(row.resolved_at, "resolved_at", reason=MALFORMED),
    )


def agree_on_resolution(
    gamma: GammaResolution,
    data: DataResolution | None,
    window: MarketWindow,
    *,
    as_of: datetime,
) -> Resolution | None:
    """Return the resolution that both sources can stand for, or ``None`` while one waits.

    Args:
        gamma: Gamma's word.
        data: The Data API's word; ``None`` where it does not know the market.
        window: The market's window.
        as_of: Now; dates the resolution where neither source does.

    Raises:
        DataError: ``resolution-conflict`` where they differ, or where the market would have been
            resolved before its window ended or in the future.
    """
    words = [word for word in (gamma.payouts, data.payouts if data else None) if word is not None]
    if not words or (data is not None and data.payouts is None):
        return None
    if len(set(words)) > 1:
        raise DataError(
            f"{window.slug}: Gamma pays {_text(words[0])}, the Data API {_text(words[1])}",
            reason=CONFLICT,
        )
    resolved_at = (data.resolved_at if data else None) or gamma.resolved_at or as_of
    if not window.end <= resolved_at <= as_of + _MAX_CLOCK_LEAD:
        raise DataError(
            f"{window.slug} ends {window.end:%FT%TZ} and cannot have been resolved at "
            f"{resolved_at:%FT%TZ}",
            reason=CONFLICT,
        )
    return Resolution(
        condition_id=gamma.condition_id,
        payouts=dict(zip(gamma.outcomes, words[0], strict=True)),
        resolved_at=resolved_at,
    )


def _clear(values: list[Any]) -> tuple[Decimal, Decimal]:
    """Return what each outcome pays, as fractions of their sum (the Data API counts in 10⁻⁶)."""
    if len(values) != 2:
        raise DataError(f"market must pay two outcomes, pays {len(values)}", reason=MALFORMED)
    first, second = (
        number(value, "payout", reason=MALFORMED, above=-1, at_most=_LARGEST_PAYOUT)
        for value in values
    )
    total = first + second
    payouts = (first / total, second / total) if total else (first, second)
    if payouts not in _CLEAR:
        raise DataError(
            f"payouts are not clear: {quote(first)} and {quote(second)}", reason=MALFORMED
        )
    return payouts


def _text(payouts: tuple[Decimal, Decimal]) -> str:
    return f"{payouts[0]}/{payouts[1]}"
