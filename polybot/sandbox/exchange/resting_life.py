"""What becomes of an order that rests: others trade with it, it expires, its market ends."""

from collections.abc import Callable
from typing import Final

from polybot.sandbox.exchange.book import RestingOrders
from polybot.sandbox.exchange.crowd import Crowd
from polybot.sandbox.exchange.orders import OrderState, VenueOrder
from polybot.sandbox.exchange.rules import VenueRules
from polybot.sandbox.exchange.timeline import Timeline
from polybot.sandbox.listing import VenueMarket

_ONE_S: Final = 1000


class RestingLife:
    """Watches every market in which something rests, second by second of virtual time."""

    def __init__(
        self,
        rules: VenueRules,
        resting: RestingOrders,
        timeline: Timeline,
        crowd: Crowd,
        *,
        trade: Callable[[VenueOrder, int], object],
        close: Callable[[VenueOrder, int, str], None],
    ) -> None:
        """Take the book and the clock of the venue.

        Args:
            rules: When a GTD order stops.
            resting: What rests.
            timeline: Does things when they are due.
            crowd: Who else trades.
            trade: Matches an order of theirs at an instant [epoch ms].
            close: Ends an open order at an instant [epoch ms], with a status.
        """
        self._rules = rules
        self._resting = resting
        self._timeline = timeline
        self._crowd = crowd
        self._trade = trade
        self._close = close
        self._watched: set[str] = set()
        self._ticking: set[str] = set()

    def rest(self, order: VenueOrder, now_ms: int) -> None:
        """Put an order into the book and see to its end."""
        self._resting.add(order)
        market = order.market
        if order.expires_s:
            due_ms = (order.expires_s - self._rules.gtd_early_s) * 1000
            self._timeline.add(due_ms, lambda due: self._expire(order, due))
        if market.condition_id not in self._watched:
            self._watched.add(market.condition_id)
            self._timeline.add(market.end_s * 1000, lambda due: self._end(market, due))
        if market.condition_id not in self._ticking:
            self._ticking.add(market.condition_id)
            self._tick_at(market, now_ms - now_ms % _ONE_S + _ONE_S)

    def _tick_at(self, market: VenueMarket, due_ms: int) -> None:
        self._timeline.add(due_ms, lambda due: self._tick(market, due))

    def _tick(self, market: VenueMarket, due_ms: int) -> None:
        """Once a second: let the others trade with what rests in a market."""
        if not self._resting.of_market(market.condition_id) or due_ms // 1000 >= market.end_s:
            self._ticking.discard(market.condition_id)
            return
        for taker in self._crowd.takers(market, due_ms):
            self._trade(taker, due_ms)
        self._tick_at(market, due_ms + _ONE_S)

    def _expire(self, order: VenueOrder, due_ms: int) -> None:
        if order.state is OrderState.LIVE:
            self._close(order, due_ms, "CANCELED_EXPIRED_ORDER")

    def _end(self, market: VenueMarket, due_ms: int) -> None:
        for order in self._resting.of_market(market.condition_id):
            self._close(order, due_ms, "CANCELED_MARKET_RESOLVED")
