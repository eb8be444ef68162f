"""Markets: Gamma's description of a window and the CLOB's, and one market out of both.

Source: live captures of 2026-10-05 and docs.polymarket.com/migrate/polymarket-v2 (2026-11-22).
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from polybot.adapters.polymarket.wire.fees import FEES, clob_fees, gamma_fees
from polybot.adapters.polymarket.wire.outcomes import outcomes_of, tokens_by_label
from polybot.adapters.polymarket.wire.strict import (
    condition_id,
    decode,
    free_text,
    instant,
    number,
    quote,
    shaped,
    text_list,
    tick_size,
)
from polybot.domain.markets import (
    ConditionId,
    FeeSchedule,
    Market,
    MarketVersion,
    MarketWindow,
    Outcome,
    OutcomeTokenId,
)
from polybot.domain.money import Shares, shares
from polybot.errors import DataError

MALFORMED: Final = "market-malformed"
MISMATCH: Final = "market-mismatch"
VERSION: Final = "market-version"
_LARGEST_MINIMUM: Final = 1_000_000
_LONGEST_LOOKBACK_S: Final = 3600
_LONGEST_QUESTION: Final = 300
_LARGEST_PRICE: Final = 10**9


class _GammaWire(msgspec.Struct, rename="camel"):
    slug: str
    question: str
    condition_id: str
    event_start_time: str
    end_date: str
    outcomes: str
    active: bool
    closed: bool
    accepting_orders: bool
    enable_order_book: bool
    neg_risk: bool
    fees_enabled: bool
    order_price_min_tick_size: Any
    order_min_size: Any
    clob_token_ids: Any = None
    position_ids: Any = None
    fee_type: Any = None
    fee_schedule: Any = None
    crypto_market_config: Any = None


class _ConfigWire(msgspec.Struct, rename="camel"):
    asset: str
    duration: str
    twap_enabled: bool
    twap_lookback_seconds: int | None = None


class _MetadataWire(msgspec.Struct, rename="camel"):
    price_to_beat: Any = None


class _EventWire(msgspec.Struct, rename="camel"):
    slug: str
    markets: list[dict[str, Any]]
    event_metadata: _MetadataWire | None = None


class _ClobTokenWire(msgspec.Struct):
    t: str
    o: str


class _ClobWire(msgspec.Struct):
    c: str
    t: list[_ClobTokenWire]
    mts: Any
    mos: Any
    # The CLOB leaves out what is false or empty.
    ao: bool = False
    nr: bool = False
    fd: Any = None
    v: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GammaMarket:
    """What Gamma says about the market of a window."""

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
    price_to_beat: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClobMarket:
    """What the CLOB says about a market; orders are judged by this."""

    condition_id: ConditionId
    version: MarketVersion
    token_ids: dict[Outcome, OutcomeTokenId]
    tick_size: Decimal
    min_order_size: Shares
    fees: FeeSchedule
    is_accepting_orders: bool
    is_negative_risk: bool


def event_market(body: bytes, window: MarketWindow) -> tuple[dict[str, Any], Any]:
    """Return the market object of a window inside a Gamma event, and its price to beat.

    Raises:
        DataError: Malformed, or the event holds no or several markets of that name.
    """
    event = decode(body, _EventWire, reason=MALFORMED)
    found = [market for market in event.markets if market.get("slug") == window.slug]
    if event.slug != window.slug or len(found) != 1:
        raise DataError(
            f"asked for {window.slug}, got {quote(event.slug)} with {len(found)} such markets",
            reason=MISMATCH,
        )
    return found[0], event.event_metadata.price_to_beat if event.event_metadata else None


def parse_gamma_market(body: bytes, window: MarketWindow) -> GammaMarket:
    """Read ``GET /events/slug/{slug}``.

    Args:
        body: The answer.
        window: What was asked for; the market must be about exactly this window.

    Raises:
        DataError: ``market-version`` or ``fee-schedule`` where either is unknown,
            ``market-mismatch`` where the market is of another window, ``market-malformed``.
    """
    raw, beat = event_market(body, window)
    version = _version(raw.get("version"))
    wire = shaped(raw, _GammaWire, reason=MALFORMED)
    _check_window(wire, window)
    return GammaMarket(
        condition_id=condition_id(wire.condition_id, reason=MALFORMED),
        window=window,
        question=free_text(wire.question, "question", reason=MALFORMED, longest=_LONGEST_QUESTION),
        version=version,
        token_ids=_gamma_tokens(wire, version),
        tick_size=tick_size(wire.order_price_min_tick_size, reason=MALFORMED),
        min_order_size=_minimum(wire.order_min_size),
        fees=gamma_fees(
            is_enabled=wire.fees_enabled, fee_type=wire.fee_type, schedule=wire.fee_schedule
        ),
        is_accepting_orders=wire.accepting_orders
        and wire.enable_order_book
        and wire.active
        and not wire.closed,
        is_closed=wire.closed,
        is_negative_risk=wire.neg_risk,
        twap_lookback_s=_twap_lookback(wire.crypto_market_config, window),
        price_to_beat=None
        if beat is None
        else number(beat, "price to beat", reason=MALFORMED, above=0, at_most=_LARGEST_PRICE),
    )


def parse_clob_market(body: bytes) -> ClobMarket | None:
    """Read ``GET /clob-markets/{conditionId}``; ``None`` while its tokens are not listed yet.

    Raises:
        DataError: ``market-version``, ``fee-schedule`` or ``market-malformed``.
    """
    wire = decode(body, _ClobWire, reason=MALFORMED)
    if not wire.t:
        return None
    labels = [token.o for token in wire.t]
    return ClobMarket(
        condition_id=condition_id(wire.c, reason=MALFORMED),
        version=_version(wire.v),
        token_ids=tokens_by_label(labels, [token.t for token in wire.t], reason=MALFORMED),
        tick_size=tick_size(wire.mts, reason=MALFORMED),
        min_order_size=_minimum(wire.mos),
        fees=clob_fees(wire.fd),
        is_accepting_orders=wire.ao,
        is_negative_risk=wire.nr,
    )


def build_market(gamma: GammaMarket, clob: ClobMarket | None, *, fetched_at: datetime) -> Market:
    """Return one market out of both descriptions.

    Args:
        gamma: Gamma's description.
        clob: The CLOB's, which decides tick and minimum size; ``None`` where the CLOB has
            forgotten a closed market.
        fetched_at: When they were read.

    Raises:
        DataError: They contradict each other about anything that does not merely lag.
    """
    if clob is not None:
        _check_agreement(gamma, clob)
    return Market(
        condition_id=gamma.condition_id,
        window=gamma.window,
        question=gamma.question,
        version=gamma.version,
        token_ids=gamma.token_ids,
        # Gamma lags behind tick changes.
        tick_size=clob.tick_size if clob else gamma.tick_size,
        min_order_size=clob.min_order_size if clob else gamma.min_order_size,
        fees=gamma.fees,
        is_accepting_orders=gamma.is_accepting_orders
        and clob is not None
        and clob.is_accepting_orders,
        is_closed=gamma.is_closed,
        is_negative_risk=gamma.is_negative_risk,
        twap_lookback_s=gamma.twap_lookback_s,
        price_to_beat=gamma.price_to_beat,
        fetched_at=fetched_at,
    )


def _check_agreement(gamma: GammaMarket, clob: ClobMarket) -> None:
    if clob.condition_id != gamma.condition_id:
        raise DataError(
            f"the CLOB answered about another market than {gamma.window.slug}", reason=MISMATCH
        )
    if clob.version is not gamma.version:
        raise DataError(f"Gamma says {gamma.version} and the CLOB {clob.version}", reason=VERSION)
    if clob.fees != gamma.fees:
        raise DataError(
            f"Gamma says fee rate {gamma.fees.rate}, exponent {gamma.fees.exponent} and the CLOB "
            f"{clob.fees.rate}, {clob.fees.exponent}",
            reason=FEES,
        )
    if clob.token_ids != gamma.token_ids or clob.is_negative_risk != gamma.is_negative_risk:
        raise DataError(
            f"Gamma and the CLOB disagree about the tokens of {gamma.window.slug}", reason=MISMATCH
        )


def _check_window(wire: _GammaWire, window: MarketWindow) -> None:
    start = instant(wire.event_start_time, "eventStartTime", reason=MALFORMED)
    end = instant(wire.end_date, "endDate", reason=MALFORMED)
    if (start, end) != (window.start, window.end):
        raise DataError(
            f"{window.slug} must be about {window.start:%FT%TZ} to {window.end:%FT%TZ}, "
            f"was about {start:%FT%TZ} to {end:%FT%TZ}",
            reason=MISMATCH,
        )


def _version(value: object) -> MarketVersion:
    # Recorded objects from before September 2026 have no version: nothing says which contracts
    # such a market trades on, so they are refused like any unknown one.
    if value not in tuple(MarketVersion):
        raise DataError(f"market version is unknown: {quote(value)}", reason=VERSION)
    return MarketVersion(str(value))


def _gamma_tokens(wire: _GammaWire, version: MarketVersion) -> dict[Outcome, OutcomeTokenId]:
    if version is MarketVersion.V1:
        ids = text_list(wire.clob_token_ids, "clobTokenIds", reason=MALFORMED)
    else:
        ids = shaped(wire.position_ids, list[str], reason=MALFORMED)
    return tokens_by_label(
        list(outcomes_of(wire.outcomes, reason=MALFORMED)), ids, reason=MALFORMED
    )


def _minimum(value: object) -> Shares:
    size = number(value, "minimum size", reason=MALFORMED, above=0, at_most=_LARGEST_MINIMUM)
    try:
        return shares(size)
    except ValueError as error:
        raise DataError(f"minimum size is too fine: {quote(size)}", reason=MALFORMED) from error


def _twap_lookback(value: object, window: MarketWindow) -> int | None:
    if value is None:
        return None
    config = shaped(value, _ConfigWire, reason=MALFORMED)
    if (config.asset, config.duration) != (window.series.asset, window.series.duration):
        raise DataError(
            f"{window.slug} is configured for {quote(config.asset)}, {quote(config.duration)}",
            reason=MISMATCH,
        )
    if not config.twap_enabled:
        return None
    lookback_s = config.twap_lookback_seconds
    if lookback_s is None or not 0 < lookback_s <= _LONGEST_LOOKBACK_S:
        raise DataError(f"averaging window is impossible: {lookback_s}", reason=MALFORMED)
    return lookback_s
