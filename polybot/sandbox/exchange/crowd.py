"""Everybody else: whoever trades with what rests in the book.

A resting order fills when the generated quotes move across it, or when a print of the public
tape goes through its price. A print at its own price leaves it alone: others stood there first.
"""

from collections.abc import Iterator

from polybot.domain.markets import Outcome
from polybot.sandbox.exchange.accounts import Account
from polybot.sandbox.exchange.book import GeneratedQuotes, RestingOrders
from polybot.sandbox.exchange.orders import VenueOrder
from polybot.sandbox.exchange.rules import MICRO
from polybot.sandbox.listing import VenueMarket
from polybot.sandbox.seeds import digest
from polybot.sandbox.venue import SandboxVenue

_CENT = 10_000


class Crowd:
    """Makes takers out of quotes and prints."""

    def __init__(
        self, venue: SandboxVenue, house: Account, quotes: GeneratedQuotes, resting: RestingOrders
    ) -> None:
        """Take the venue, the account that pays for the crowd, and the book."""
        self._venue = venue
        self._house = house
        self._quotes = quotes
        self._resting = resting

    def takers(self, market: VenueMarket, now_ms: int) -> Iterator[VenueOrder]:
        """Yield the takers of one second; each sees what the one before has left."""
        at_s = now_ms // 1000
        for are_bids in (True, False):
            for up_price, size in self._quotes.levels(market, at_s, are_bids=are_bids):
                if not self._is_crossed(market, up_price, is_bid=are_bids):
                    break
                self._quotes.take(market, at_s, are_bids=are_bids, price=up_price, size=size)
                yield self._taker(market, up_price, size, is_bid=are_bids, now_ms=now_ms)
        for one in self._venue.prints_at(market, at_s):
            is_up = one.outcome is Outcome.UP
            price = int(one.price * MICRO)
            is_bid = (one.side == "BUY") is is_up
            up_price = price if is_up else MICRO - price
            # One cent short of the print: only what it went through.
            through = up_price - _CENT if is_bid else up_price + _CENT
            if _CENT <= through <= MICRO - _CENT and self._is_crossed(
                market, through, is_bid=is_bid
            ):
                size = int(one.size * MICRO)
                yield self._taker(market, through, size, is_bid=is_bid, now_ms=now_ms)

    def _is_crossed(self, market: VenueMarket, up_price: int, *, is_bid: bool) -> bool:
        waiting = self._resting.levels(market, are_bids=not is_bid)
        if is_bid:
            return any(price <= up_price for price in waiting)
        return any(price >= up_price for price in waiting)

    def _taker(
        self, market: VenueMarket, up_price: int, size: int, *, is_bid: bool, now_ms: int
    ) -> VenueOrder:
        name = ("crowd", self._venue.seed, market.condition_id, now_ms, up_price, size, is_bid)
        raw = digest(*name)
        is_up = bool(raw[0] & 1)
        is_buy = is_bid is is_up
        price = up_price if is_up else MICRO - up_price
        return VenueOrder(
            order_id="0x" + raw.hex(),
            account=self._house,
            owner="00000000-0000-0000-0000-" + digest("crowd-key", raw.hex(), size=6).hex(),
            market=market,
            is_up=is_up,
            is_buy=is_buy,
            # Bounded by its size, not by a budget.
            order_type="GTC",
            price=price,
            size=size,
            maker_amount=-(-size * price // MICRO) if is_buy else size,
            created_ms=now_ms,
            number=0,
        )
