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
# A v2 condition id has 31 bytes, eight of them zero, by which clients know a v2 position id.
_V2_DIGEST_BYTES: Final = 15
_V2_ZEROS: Final = bytes(8)
_V2_OUTCOMES: Final = {Outcome.UP: 0, Outcome.DOWN: 1}


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

    def __init__(
        self, seed: int, *, v2_share: float = 0.0, negative_risk_share: float = 0.0
    ) -> None:
        """Take what ids and times depend on.

        Args:
            seed: The venue's.
            v2_share: Fraction of the windows whose market is of version v2.
            negative_risk_share: Fraction of the other ones on the negative-risk exchange.
        """
        self._seed = seed
        self._v2_share = v2_share
        self._negative_risk_share = negative_risk_share
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
        if len(raw) == 32 and raw[31] == 0 and raw[19:27] == _V2_ZEROS:
            return self._decode_v2(raw[:31])
        return self._decode(raw, ("condition",))

    def by_token(self, token_id: str) -> VenueMarket | None:
        """Return the market that an outcome token belongs to."""
        if not (token_id.isascii() and token_id.isdecimal() and len(token_id) <= 78):
            return None
        number = int(token_id)
        if number >= 1 << 256:
            return None
        raw = number.to_bytes(32)
        if raw[19:27] == _V2_ZEROS:
            return self._decode_v2(raw[:31]) if raw[31] in _V2_OUTCOMES.values() else None
        return self._decode(raw, _KINDS[1:])

    def _build(self, window: MarketWindow) -> VenueMarket:
        draw = stream("version", self._seed, window.slug).random
        if draw() < self._v2_share:
            condition = self._encode_v2(window)
            up, down = (condition + bytes((index,)) for index in _V2_OUTCOMES.values())
            return build_market(
                self._seed,
                window,
                condition_id="0x" + condition.hex() + "00",
                up_token_id=str(int.from_bytes(up)),
                down_token_id=str(int.from_bytes(down)),
                version="v2",
            )
        return build_market(
            self._seed,
            window,
            condition_id="0x" + self._encode(window, "condition").hex(),
            up_token_id=str(int.from_bytes(self._encode(window, Outcome.UP.value))),
            down_token_id=str(int.from_bytes(self._encode(window, Outcome.DOWN.value))),
            is_negative_risk=draw() < self._negative_risk_share,
        )

    def _encode_v2(self, window: MarketWindow) -> bytes:
        payload = _payload(window, "condition")
        head = digest("id-v2", self._seed, window.slug, size=_V2_DIGEST_BYTES)
        masked = _masked(payload, head)
        return head + masked[:4] + _V2_ZEROS + masked[4:]

    def _decode_v2(self, raw: bytes) -> VenueMarket | None:
        head = raw[:_V2_DIGEST_BYTES]
        payload = _masked(raw[_V2_DIGEST_BYTES:19] + raw[27:], head)
        market = self._named(payload)
        if market is None or market.version != "v2" or self._encode_v2(market.window) != raw:
            return None
        return market

    def _encode(self, window: MarketWindow, kind: str) -> bytes:
        payload = _payload(window, kind)
        head = digest("id", self._seed, window.slug, kind, size=_DIGEST_BYTES)
        return head + _masked(payload, head)

    def _decode(self, raw: bytes, kinds: Iterable[str]) -> VenueMarket | None:
        if len(raw) != _DIGEST_BYTES + _PAYLOAD_BYTES:
            return None
        payload = _masked(raw[_DIGEST_BYTES:], raw[:_DIGEST_BYTES])
        market = self._named(payload)
        if market is None or market.version != "v1":
            return None
        kind = _KINDS[payload[2]]
        if kind not in kinds or self._encode(market.window, kind) != raw:
            return None
        return market

    def _named(self, payload: bytes) -> VenueMarket | None:
        """Return the market that an id's payload names, if it names one."""
        if payload[0] >= len(ASSETS) or payload[1] >= len(_DURATIONS) or payload[2] >= len(_KINDS):
            return None
        series = MarketSeries(asset=ASSETS[payload[0]], duration=_DURATIONS[payload[1]])
        slug = f"{series.asset}-updown-{series.duration}-{int.from_bytes(payload[3:])}"
        return self.by_slug(slug)


def build_market(
    seed: int,
    window: MarketWindow,
    *,
    condition_id: str,
    up_token_id: str,
    down_token_id: str,
    recorded_outcome: Outcome | None = None,
    version: str = "v1",
    is_negative_risk: bool = False,
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
        version=version,
        is_negative_risk=is_negative_risk,
    )


def _payload(window: MarketWindow, kind: str) -> bytes:
    return bytes(
        (
            ASSETS.index(window.series.asset),
            _DURATIONS.index(window.series.duration),
            _KINDS.index(kind),
        )
    ) + window.start_s.to_bytes(5)


def _masked(payload: bytes, head: bytes) -> bytes:
    mask = digest("mask", head.hex(), size=_PAYLOAD_BYTES)
    return bytes(left ^ right for left, right in zip(payload, mask, strict=True))
