"""Which markets exist, and under which ids.

A generated id carries its market inside, masked by its own digest. So a restarted sandbox knows
every id it ever gave out without having kept any of them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from polybot.domain.markets import (
    ASSETS,
    DURATIONS_S,
    ConditionId,
    MarketSeries,
    MarketWindow,
    Outcome,
    OutcomeTokenId,
)
from polybot.sandbox.prices import EARLIEST_S, TWAP_S
from polybot.sandbox.seeds import digest, stream

_DURATIONS: Final = tuple(DURATIONS_S)
_KINDS: Final = ("condition", Outcome.UP.value, Outcome.DOWN.value)
_DIGEST_BYTES: Final = 24
_PAYLOAD_BYTES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueMarket:
    """One market of the sandbox, with everything about it that never changes."""

    window: MarketWindow
    condition_id: ConditionId
    up_token_id: OutcomeTokenId
    down_token_id: OutcomeTokenId
    listed_s: int
    """When it appears and takes orders [epoch s], about 23.85 h before its window starts."""
    beat_known_s: int
    """When Gamma shows the price to beat [epoch s]."""
    resolved_s: int
    """When the venue decides [epoch s], 53-152 s after the window's end."""
    version: str = "v1"
    """``v1`` (CTF tokens) or ``v2`` (positions of ExchangeV3)."""
    is_negative_risk: bool = False
    recorded_outcome: Outcome | None = None
    """The outcome of a replayed market; ``None`` where the prices decide."""

    @property
    def start_s(self) -> int:
        """First second of the window [epoch s]."""
        return self.window.start_s

    @property
    def end_s(self) -> int:
        """First second after the window [epoch s]."""
        return self.window.start_s + self.window.series.duration_s

    def is_listed(self, at_s: int) -> bool:
        """Whether the venue shows the market yet."""
        return at_s >= self.listed_s

    def is_trading(self, at_s: int) -> bool:
        """Whether the venue takes orders."""
        return self.listed_s <= at_s < self.end_s

    def is_resolved(self, at_s: int) -> bool:
        """Whether the venue has decided."""
        return at_s >= self.resolved_s


class Listing(Protocol):
    """Finds markets, whether they are listed yet or not."""

    def by_slug(self, slug: str) -> VenueMarket | None:
        """Return the market of a slug."""
        ...

    def by_condition(self, condition_id: str) -> VenueMarket | None:
        """Return the market of a condition id (any case)."""
        ...

    def by_token(self, token_id: str) -> VenueMarket | None:
        """Return the market that an outcome token belongs to."""
        ...


class GeneratedListing:
    """Every window of every series, for ever."""

    def __init__(self, seed: int) -> None:
        """Take the seed that ids and times depend on."""
        self._seed = seed
        self._known: dict[str, VenueMarket] = {}

    def by_slug(self, slug: str) -> VenueMarket | None:
        """Return the market of a slug, if it names a window of a known series."""
        market = self._known.get(slug)
        if market is None:
            try:
                window = MarketWindow.parse_slug(slug)
            except ValueError:
                return None
            if window.start_s - TWAP_S < EARLIEST_S:
                return None
            market = self._build(window)
            if len(self._known) >= 10_000:
                self._known.clear()
            self._known[slug] = market
        return market

    def by_condition(self, condition_id: str) -> VenueMarket | None:
        """Return the market of a condition id."""
        try:
            raw = bytes.fromhex(condition_id.lower().removeprefix("0x"))
        except ValueError:
            return None
        return self._decode(raw, ("condition",))

    def by_token(self, token_id: str) -> VenueMarket | None:
        """Return the market that an outcome token belongs to."""
        if not (token_id.isascii() and token_id.isdecimal() and len(token_id) <= 78):
            return None
        number = int(token_id)
        if number >= 1 << 256:
            return None
        return self._decode(number.to_bytes(32), _KINDS[1:])

    def _build(self, window: MarketWindow) -> VenueMarket:
        return build_market(
            self._seed,
            window,
            condition_id="0x" + self._encode(window, "condition").hex(),
            up_token_id=str(int.from_bytes(self._encode(window, Outcome.UP.value))),
            down_token_id=str(int.from_bytes(self._encode(window, Outcome.DOWN.value))),
        )

    def _encode(self, window: MarketWindow, kind: str) -> bytes:
        payload = bytes(
            (
                ASSETS.index(window.series.asset),
                _DURATIONS.index(window.series.duration),
                _KINDS.index(kind),
            )
        ) + window.start_s.to_bytes(5)
        head = digest("id", self._seed, window.slug, kind, size=_DIGEST_BYTES)
        return head + _masked(payload, head)

    def _decode(self, raw: bytes, kinds: Iterable[str]) -> VenueMarket | None:
        if len(raw) != _DIGEST_BYTES + _PAYLOAD_BYTES:
            return None
        payload = _masked(raw[_DIGEST_BYTES:], raw[:_DIGEST_BYTES])
        if payload[0] >= len(ASSETS) or payload[1] >= len(_DURATIONS) or payload[2] >= len(_KINDS):
            return None
        kind = _KINDS[payload[2]]
        series = MarketSeries(asset=ASSETS[payload[0]], duration=_DURATIONS[payload[1]])
        slug = f"{series.asset}-updown-{series.duration}-{int.from_bytes(payload[3:])}"
        market = self.by_slug(slug)
        if market is None or kind not in kinds or self._encode(market.window, kind) != raw:
            return None
        return market


def build_market(
    seed: int,
    window: MarketWindow,
    *,
    condition_id: str,
    up_token_id: str,
    down_token_id: str,
    recorded_outcome: Outcome | None = None,
) -> VenueMarket:
    """Return a window's market with seeded times.

    Listed 23.85 h before the start, give or take 9 minutes; price to beat 50-75 s after the
    start; resolved 53-152 s after the end, half of the time within 55 s. Source: public studies
    of the venue's markets of 2026.
    """
    rng = stream("times", seed, window.slug)
    end_s = window.start_s + window.series.duration_s
    return VenueMarket(
        window=window,
        condition_id=ConditionId(condition_id),
        up_token_id=OutcomeTokenId(up_token_id),
        down_token_id=OutcomeTokenId(down_token_id),
        listed_s=window.start_s - 85_860 + rng.randint(-540, 540),
        beat_known_s=window.start_s + rng.randint(50, 75),
        resolved_s=end_s + 53 + int(100 * rng.random() ** 5.6),
        recorded_outcome=recorded_outcome,
    )


def _masked(payload: bytes, head: bytes) -> bytes:
    mask = digest("mask", head.hex(), size=_PAYLOAD_BYTES)
    return bytes(left ^ right for left, right in zip(payload, mask, strict=True))
