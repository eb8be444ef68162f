"""The market's one book: resting orders in price-time order beside the generated quotes."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Final

from polybot.sandbox.books import TICKS
from polybot.sandbox.exchange.orders import VenueOrder
from polybot.sandbox.exchange.rules import CENT, MICRO
from polybot.sandbox.listing import VenueMarket
from polybot.sandbox.venue import SandboxVenue

_TICK: Final = MICRO // TICKS
# Market makers quote anew every ten seconds; until then what was taken from a level is gone.
_QUOTE_LIFE_S: Final = 10

Level = tuple[int, int]
"""Price of the Up token and size, in base units."""


class GeneratedQuotes:
    """The market makers' quotes of the sandbox, less what has been taken from them."""

    def __init__(self, venue: SandboxVenue) -> None:
        """Take the venue whose quotes they are."""
        self._venue = venue
        self._taken: dict[str, tuple[int, Counter[tuple[bool, int]]]] = {}

    def levels(self, market: VenueMarket, at_s: int, *, are_bids: bool) -> list[Level]:
        """Return what is left of one side of the Up token's book, best level first."""
        ladder = self._venue.ladder(market, at_s)
        taken = self._taken_in(market, at_s)
        levels = []
        for ticks, hundredths in ladder.bids if are_bids else ladder.asks:
            price = ticks * _TICK
            left = hundredths * CENT - taken[are_bids, price]
            if left > 0:
                levels.append((price, left))
        return levels

    def take(
        self, market: VenueMarket, at_s: int, *, are_bids: bool, price: int, size: int
    ) -> None:
        """Note that a level has been traded against."""
        self._taken_in(market, at_s)[are_bids, price] += size

    def _taken_in(self, market: VenueMarket, at_s: int) -> Counter[tuple[bool, int]]:
        epoch = at_s // _QUOTE_LIFE_S
        known = self._taken.get(market.condition_id)
        if known is None or known[0] != epoch:
            known = (epoch, Counter())
            self._taken[market.condition_id] = known
        return known[1]


class RestingOrders:
    """Orders that wait, by market."""

    def __init__(self) -> None:
        """Start empty."""
        self._by_market: defaultdict[str, list[VenueOrder]] = defaultdict(list)

    def add(self, order: VenueOrder) -> None:
        """Let an order wait."""
        self._by_market[order.market.condition_id].append(order)

    def remove(self, order: VenueOrder) -> None:
        """Take an order off; one that is not there is no matter."""
        waiting = self._by_market.get(order.market.condition_id, [])
        if order in waiting:
            waiting.remove(order)

    def of_market(self, condition_id: str) -> list[VenueOrder]:
        """Return a market's orders, oldest first."""
        return list(self._by_market.get(condition_id, ()))

    def against(self, taker: VenueOrder) -> Iterator[VenueOrder]:
        """Yield what a taker may meet, best price first, then oldest first.

        An account's own orders are passed over: whether the venue matches them is unverified.
        """
        limit = taker.up_price
        found = [
            order
            for order in self._by_market.get(taker.market.condition_id, ())
            if order.is_bid is not taker.is_bid
            and order.account is not taker.account
            and (order.up_price <= limit if taker.is_bid else order.up_price >= limit)
        ]
        found.sort(key=lambda one: (one.up_price if taker.is_bid else -one.up_price, one.number))
        yield from found

    def levels(self, market: VenueMarket, *, are_bids: bool) -> Counter[int]:
        """Return the shares waiting at each price of the Up token."""
        total: Counter[int] = Counter()
        for order in self._by_market.get(market.condition_id, ()):
            if order.is_bid is are_bids:
                total[order.up_price] += order.remaining
        return total


class OpenBook:
    """Both kinds of liquidity together, as the venue shows them."""

    def __init__(self, quotes: GeneratedQuotes, resting: RestingOrders) -> None:
        """Take what is quoted and what rests."""
        self._quotes = quotes
        self._resting = resting

    def levels(self, market: VenueMarket, at_s: int, *, are_bids: bool) -> list[Level]:
        """Return one side of the Up token's book, best level first."""
        total = self._resting.levels(market, are_bids=are_bids)
        for price, size in self._quotes.levels(market, at_s, are_bids=are_bids):
            total[price] += size
        return sorted(total.items(), reverse=are_bids)
