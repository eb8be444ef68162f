"""The sandbox's own answers, reached with less work: what never changes is worked out once.

Nothing here makes an answer of the venue different; its seconds, books and faults stay seeded.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from random import Random
from typing import Any, Final
from unittest import mock

from polybot.domain.markets import Outcome
from polybot.sandbox import fault_plan, gamma
from polybot.sandbox import venue as venue_module
from polybot.sandbox.books import Fair
from polybot.sandbox.fault_plan import FaultPlan, PlannedFault
from polybot.sandbox.gamma import title_of
from polybot.sandbox.leaders import data_routes
from polybot.sandbox.leaders import markets as leader_markets
from polybot.sandbox.leaders.positions import Position, position_row
from polybot.sandbox.leaders.wording import Json
from polybot.sandbox.listing import GeneratedListing, VenueMarket
from polybot.sandbox.prices import MINUTE_S, GeneratedPrices
from polybot.sandbox.tape import BLOCK_S, Print, Tape
from polybot.sandbox.venue import SandboxVenue

_MOST: Final = 20_000


class RememberedPrices(GeneratedPrices):
    """Generated prices whose averages are added up once, a minute at a time."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._means: dict[tuple[str, int, int], float] = {}

    def mean(self, asset: str, start_s: int, end_s: int) -> float:
        """Return the same average: ``fsum`` is exact, so parts and order make no difference."""
        key = (asset, start_s, end_s)
        found = self._means.get(key)
        if found is None:
            if len(self._means) >= _MOST:
                self._means.clear()
            found = math.fsum(self._spots(asset, start_s, end_s)) / (end_s - start_s)
            self._means[key] = found
        return found

    def _spots(self, asset: str, start_s: int, end_s: int) -> Iterator[float]:
        for minute in range(start_s // MINUTE_S, (end_s - 1) // MINUTE_S + 1):
            first_s = minute * MINUTE_S
            seconds = self._minute(asset, minute)[0]
            yield from seconds[max(start_s - first_s, 0) : end_s - first_s]


class RememberedListing(GeneratedListing):
    """Generated markets whose ids are decoded once."""

    def __init__(self, seed: int, **shares: float) -> None:
        super().__init__(seed, **shares)
        self._by_token: dict[str, VenueMarket | None] = {}

    def by_token(self, token_id: str) -> VenueMarket | None:
        if token_id not in self._by_token:
            if len(self._by_token) >= _MOST:
                self._by_token.clear()
            self._by_token[token_id] = super().by_token(token_id)
        return self._by_token[token_id]


class LazyTape(Tape):
    """Everybody's trades; where only the newest is asked for, only that one gets its price."""

    def __init__(self, seed: int, fair: Fair) -> None:
        super().__init__(seed, fair)
        self._newest: dict[tuple[str, int], Print | None] = {}
        self._traded: set[int] = set()
        self._priced_s: int | None = None

    def newest(self, market: VenueMarket, at_s: int) -> Print | None:
        open_s = at_s - at_s % BLOCK_S
        for start_s in range(open_s, open_s - 10 * BLOCK_S, -BLOCK_S):
            found = self._newest_of(market, start_s, at_s)
            if found is not None:
                return found
        return None

    def _newest_of(self, market: VenueMarket, open_s: int, at_s: int) -> Print | None:
        if open_s + BLOCK_S > at_s:
            return self._look_for_newest(market, open_s, at_s)
        key = (market.condition_id, open_s)
        if key not in self._newest:
            if len(self._newest) >= _MOST:
                self._newest.clear()
            self._newest[key] = self._look_for_newest(market, open_s, at_s)
        return self._newest[key]

    def _look_for_newest(self, market: VenueMarket, open_s: int, at_s: int) -> Print | None:
        """Draw the minute's trades, then price them second by second, the last one first."""
        self._traded, self._priced_s = set(), -1
        try:
            self._generate(market, open_s, at_s)
            for second in sorted(self._traded, reverse=True):
                self._priced_s = second
                found = self._generate(market, open_s, at_s)
                if found:
                    return found[0]
        finally:
            self._priced_s = None
        return None

    def _price(
        self, market: VenueMarket, traded_s: int, outcome: Outcome, side: str, depth: int
    ) -> int | None:
        if self._priced_s in (None, traded_s):
            return super()._price(market, traded_s, outcome, side, depth)
        self._traded.add(traded_s)
        return None


class RememberingPlan(FaultPlan):
    """A plan that looks for the rules of an occasion once, and asks the same rules as ever."""

    def __init__(self, seed: int, rules: list[PlannedFault] | None = None) -> None:
        super().__init__(seed, rules)
        self._known: dict[tuple[tuple[str, ...], str], list[Any]] = {}
        self._known_of = (0, 0)

    def all_for(self, kinds: tuple[str, ...], route: str, now_s: int) -> list[PlannedFault]:
        fitting = self._fitting(kinds, route)
        return [one.rule for one in fitting if self._fires(one, kinds, route, now_s)]

    def first_for(self, kinds: tuple[str, ...], route: str, now_s: int) -> PlannedFault | None:
        for one in self._fitting(kinds, route):
            if self._fires(one, kinds, route, now_s):
                found: PlannedFault = one.rule
                return found
        return None

    def _fitting(self, kinds: tuple[str, ...], route: str) -> list[Any]:
        # Rules are added one at a time, and taken away one at a time or all at once.
        if self._known_of != (self._count, len(self._armed)):
            self._known, self._known_of = {}, (self._count, len(self._armed))
        found = self._known.get((kinds, route))
        if found is None:
            fitting = (one for one in self._armed if one.rule.kind in kinds)
            found = [one for one in fitting if one.rule.fits(route)]
            self._known[kinds, route] = found
        return found


class RememberedTitles:
    """Titles of windows, which are worded once."""

    def __init__(self) -> None:
        self._of: dict[str, str] = {}

    def __call__(self, market: VenueMarket) -> str:
        slug = market.window.slug
        if slug not in self._of:
            self._of[slug] = title_of(market)
        return self._of[slug]


class RememberedRows:
    """Rows of positions: one that is as it was, in a market that is decided, stays as it is."""

    def __init__(self) -> None:
        self._of: dict[tuple[str, str], tuple[tuple[object, ...], Json]] = {}

    def __call__(
        self, venue: SandboxVenue, wallet: str, one: Position, at_s: int, opposite: str
    ) -> Json:
        key = (wallet, one.token.token_id)
        state = (one.size, one.bought, one.cost, one.fees, one.realised, one.last_s, opposite)
        known = self._of.get(key)
        if known is not None and known[0] == state:
            return dict(known[1])
        row = position_row(venue, wallet, one, at_s, opposite)
        market = venue.listing.by_token(one.token.token_id)
        if market is not None and venue.winner(market, at_s) is not None:
            self._of[key] = (state, dict(row))
        return row


class DrawsInOrder:
    """One stream of numbers for each rule of a plan: the n-th still depends on seed and n alone.

    A rule counts the occasions on which it draws and skips none, so that its next draw is the
    next number; a whole random generator for every draw costs many times as much.
    """

    def __init__(self) -> None:
        self._of: dict[tuple[str, int, int], Random] = {}

    def __call__(self, name: str, seed: int, number: int, seen: int) -> Random:
        key = (name, seed, number)
        found = self._of.get(key)
        if found is None:
            found = self._of[key] = Random(f"{name}-{seed}-{number}")
        return found


class OneDraw:
    """One number in [0, 1) that depends on every part and on nothing else.

    A whole random generator behind a single draw costs ten times the draw.
    """

    def __init__(self, *parts: object) -> None:
        text = "\x1f".join(map(str, parts))
        self._number = int.from_bytes(blake2b(text.encode(), digest_size=6).digest()) / (1 << 48)

    def random(self) -> float:
        return self._number


@contextmanager
def quick_venue() -> Iterator[None]:
    """Let every venue that is opened meanwhile answer as above, and every plan draw in order."""
    titles = RememberedTitles()
    with (
        mock.patch.object(venue_module, "GeneratedPrices", RememberedPrices),
        mock.patch.object(venue_module, "GeneratedListing", RememberedListing),
        mock.patch.object(venue_module, "Tape", LazyTape),
        mock.patch.object(fault_plan, "stream", DrawsInOrder()),
        mock.patch.object(gamma, "title_of", titles),
        mock.patch.object(leader_markets, "title_of", titles),
        mock.patch.object(data_routes, "position_row", RememberedRows()),
    ):
        yield
