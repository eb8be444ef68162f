"""The sandbox venue without HTTP: markets, books, trades, resolutions and candles at a second."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from polybot.domain.books import BookLevel, OrderBook
from polybot.domain.candles import Candle
from polybot.domain.markets import Outcome, OutcomeTokenId, Resolution
from polybot.domain.money import price, shares
from polybot.sandbox.books import TICK, TICKS, Ladder, build_ladder, fair_up
from polybot.sandbox.candles import candles_from
from polybot.sandbox.clock import RunningClock, VenueClock
from polybot.sandbox.listing import GeneratedListing, Listing, VenueMarket
from polybot.sandbox.prices import TWAP_S, GeneratedPrices, PriceSource
from polybot.sandbox.tape import BLOCK_S, Print, Tape

if TYPE_CHECKING:
    from polybot.sandbox.replay import Replay


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferencePrices:
    """The two averages that decide a market [USD/coin], as the venue publishes them."""

    price_to_beat: float
    final_price: float

    @property
    def winner(self) -> Outcome:
        """Up where the closing average is at least the opening one; so a tie is Up."""
        return Outcome.UP if self.final_price >= self.price_to_beat else Outcome.DOWN


class Depth(Protocol):
    """The Up token's book with everybody's orders, in 10⁻⁶."""

    def levels(self, market: VenueMarket, at_s: int, *, are_bids: bool) -> list[tuple[int, int]]:
        """Return price and size of one side, best level first."""
        ...


class SandboxVenue:
    """What the venue and an exchange would answer at a virtual second.

    Every method takes ``at_s`` [epoch s] and answers from nothing later; the clock is only read
    by the server, through ``now_s``.
    """

    def __init__(
        self,
        *,
        seed: int = 7,
        replay: "Replay | Path | None" = None,
        clock: VenueClock | None = None,
        prices: PriceSource | None = None,
        v2_share: float = 0.0,
        negative_risk_share: float = 0.0,
    ) -> None:
        """Open a venue.

        Args:
            seed: Everything generated depends on it.
            replay: A recording, or the folder that holds one; instead of generated prices.
            clock: Virtual time; by default the real one.
            prices: Another source of prices (tests).
            v2_share: Fraction of generated markets of version v2.
            negative_risk_share: Fraction of the others on the negative-risk exchange.

        Raises:
            ConfigurationError: The recording is missing, malformed or has no window to play.
        """
        if isinstance(replay, Path):
            from polybot.sandbox.replay import load_replay  # noqa: PLC0415 - only replays read CSV

            replay = load_replay(replay, seed=seed)
        self.seed = seed
        self.replay = replay
        self.clock = clock or RunningClock()
        self.prices: PriceSource = prices or (replay.prices if replay else GeneratedPrices(seed))
        self.listing: Listing = (
            replay.listing
            if replay
            else GeneratedListing(seed, v2_share=v2_share, negative_risk_share=negative_risk_share)
        )
        self.ticks: dict[str, Decimal] = {}
        """Tick sizes that have changed, by condition id [USDC]."""
        self.gamma_late_s = 0
        """How much later than the resolution Gamma shows a market as closed [s]."""
        self.clock_skew_ms = 0
        """How far off the venue's own clock is, as ``GET /time`` tells it."""
        self.depth: Depth | None = None
        """Who knows what of the book has been taken and what rests in it."""
        self._tape = Tape(seed, self.fair_up)

    def now_s(self) -> int:
        """Return the virtual second [epoch s]."""
        return self.clock.now_ms() // 1000

    def market(self, slug: str, at_s: int) -> VenueMarket | None:
        """Return the market of a slug, once it is listed."""
        return _listed(self.listing.by_slug(slug), at_s)

    def market_of_condition(self, condition_id: str, at_s: int) -> VenueMarket | None:
        """Return the market of a condition id, once it is listed."""
        return _listed(self.listing.by_condition(condition_id), at_s)

    def market_of_token(self, token_id: str, at_s: int) -> VenueMarket | None:
        """Return the market that an outcome token belongs to, once it is listed."""
        return _listed(self.listing.by_token(token_id), at_s)

    def fair_up(self, market: VenueMarket, at_s: int) -> float:
        """Return the probability of Up [0, 1] around which the book is built."""
        if self.replay is not None:
            recorded = self.replay.paths.up_price(market.window.slug, at_s)
            if recorded is not None:
                return recorded
        return fair_up(self.prices, market, at_s)

    def ladder(self, market: VenueMarket, at_s: int) -> Ladder:
        """Return the Up token's levels in ticks and hundredths of a share."""
        return build_ladder(self.seed, market, at_s, self.fair_up(market, at_s))

    def tick_size(self, market: VenueMarket) -> Decimal:
        """Return a market's tick size [USDC]."""
        return self.ticks.get(market.condition_id, TICK)

    def levels(
        self, market: VenueMarket, at_s: int, *, are_bids: bool, of_up: bool
    ) -> list[tuple[Decimal, Decimal]]:
        """Return one side of a token's book as it is shown: prices and sizes, best first."""
        # A bid for Up at p is an offer of Down at 1 − p.
        up_side = are_bids is of_up
        if self.depth is not None:
            found = [
                (Decimal(price) / 1_000_000, Decimal(size) / 1_000_000)
                for price, size in self.depth.levels(market, at_s, are_bids=up_side)
            ]
        else:
            ladder = self.ladder(market, at_s)
            found = [
                (Decimal(ticks) / TICKS, Decimal(size) / 100)
                for ticks, size in (ladder.bids if up_side else ladder.asks)
            ]
        return found if of_up else [(1 - price, size) for price, size in found]

    def book(self, token_id: str, at_s: int) -> OrderBook | None:
        """Return an outcome token's book; ``None`` where none exists (unknown or resolved)."""
        market = self.market_of_token(token_id, at_s)
        if market is None or market.is_resolved(at_s):
            return None
        of_up = token_id == market.up_token_id
        bids, asks = (
            tuple(
                BookLevel(price=price(at), size=shares(size))
                for at, size in self.levels(market, at_s, are_bids=are_bids, of_up=of_up)
            )
            for are_bids in (True, False)
        )
        return OrderBook(
            token_id=OutcomeTokenId(token_id),
            bids=bids,
            asks=asks,
            tick_size=self.tick_size(market),
            min_order_size=shares(5),
            as_of=datetime.fromtimestamp(at_s, UTC),
        )

    def reference_prices(self, market: VenueMarket) -> ReferencePrices | None:
        """Return the averages that decide a market; ``None`` where a recording lacks them."""
        if market.recorded_outcome is not None:
            return None
        asset = market.window.series.asset
        beat, final = (
            round(self.prices.mean(asset, end_s - TWAP_S, end_s), 8)
            for end_s in (market.start_s, market.end_s)
        )
        return ReferencePrices(price_to_beat=beat, final_price=final)

    def price_to_beat(self, market: VenueMarket, at_s: int) -> float | None:
        """Return the opening average [USD/coin] once the venue shows it."""
        if at_s < market.beat_known_s or market.recorded_outcome is not None:
            return None
        asset = market.window.series.asset
        return round(self.prices.mean(asset, market.start_s - TWAP_S, market.start_s), 8)

    def winner(self, market: VenueMarket, at_s: int) -> Outcome | None:
        """Return the outcome that won, once the venue has decided."""
        if not market.is_resolved(at_s):
            return None
        if market.recorded_outcome is not None:
            return market.recorded_outcome
        decided = self.reference_prices(market)
        return decided.winner if decided else None

    def resolution(self, market: VenueMarket, at_s: int) -> Resolution | None:
        """Return the venue's final word, or ``None`` while it is undecided."""
        winner = self.winner(market, at_s)
        if winner is None:
            return None
        return Resolution(
            condition_id=market.condition_id,
            payouts={winner: Decimal(1), winner.opposite: Decimal(0)},
            resolved_at=datetime.fromtimestamp(market.resolved_s, UTC),
        )

    def trades(self, market: VenueMarket, at_s: int) -> Iterator[Print]:
        """Yield everybody's trades in a market up to ``at_s``, newest first."""
        newest_s = min(at_s, market.end_s - 1)
        for open_s in range(newest_s - newest_s % BLOCK_S, market.listed_s - BLOCK_S, -BLOCK_S):
            yield from self._tape.minute(market, open_s, newest_s)

    def prints_at(self, market: VenueMarket, second_s: int) -> tuple[Print, ...]:
        """Return everybody's trades of one second, from the whole minute's."""
        open_s = second_s - second_s % BLOCK_S
        block = self._tape.minute(market, open_s, open_s + BLOCK_S)
        return tuple(one for one in block if one.traded_s == second_s)

    def last_trade(self, market: VenueMarket, at_s: int) -> Print | None:
        """Return the newest trade of the ten minutes before ``at_s``."""
        return self._tape.newest(market, min(at_s, market.end_s - 1))

    def candles(
        self, asset: str, *, timeframe_s: int, first_s: int, last_s: int, at_s: int
    ) -> tuple[Candle, ...]:
        """Return candles that open in ``[first_s, last_s]``, oldest first, the last unfinished.

        Args:
            asset: One of ``prices.assets``.
            timeframe_s: Length of a candle [s], a multiple of 60.
            first_s: Earliest opening [epoch s].
            last_s: Latest opening [epoch s].
            at_s: As of when [epoch s].
        """
        return tuple(
            candles_from(
                self.prices,
                asset,
                timeframe_s=timeframe_s,
                first_s=first_s,
                last_s=last_s,
                at_s=at_s,
            )
        )


def _listed(market: VenueMarket | None, at_s: int) -> VenueMarket | None:
    return market if market is not None and market.is_listed(at_s) else None
