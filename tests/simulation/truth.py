"""What the venue knows to be true of one account."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from polybot.sandbox.exchange.accounts import Account
from polybot.sandbox.exchange.gateway import PrivateGateway
from polybot.sandbox.exchange.orders import OrderState, Trade
from polybot.sandbox.exchange.orders import VenueOrder as SandboxOrder
from polybot.sandbox.listing import VenueMarket


@dataclass(slots=True)
class VenueTruth:
    """One account at one venue, behind everything that can go wrong on the way."""

    gateway: PrivateGateway
    account: Account
    _winners: dict[str, str] = field(default_factory=dict)

    def own_orders(self) -> list[SandboxOrder]:
        orders = self.gateway.exchange.orders.values()
        return [order for order in orders if order.account is self.account]

    def own_trades(self) -> list[tuple[Trade, SandboxOrder, list[tuple[int, int]]]]:
        """Return our part of every trade: the order, and its price and size at each price."""
        found = []
        for trade in self.gateway.exchange.settlement.trades.values():
            if trade.taker.account is self.account:
                found.append((trade, trade.taker, [(trade.price, trade.size)]))
            makers: dict[str, Counter[int]] = defaultdict(Counter)
            own = {}
            for match in trade.makers:
                if match.maker.account is self.account:
                    own[match.maker.order_id] = match.maker
                    makers[match.maker.order_id][match.maker.price] += match.size
            found += [
                (trade, own[order_id], list(sizes.items())) for order_id, sizes in makers.items()
            ]
        return found

    def may_fill(self, order_id: str) -> bool:
        known = self.gateway.exchange.orders.get(order_id)
        return known is not None and known.state in (OrderState.LIVE, OrderState.DELAYED)

    def winner(self, condition_id: str) -> str:
        if condition_id not in self._winners:
            venue = self.gateway.exchange.venue
            market: VenueMarket | None = venue.listing.by_condition(condition_id)
            decided = market and venue.reference_prices(market)
            self._winners[condition_id] = decided.winner.value if decided else ""
        return self._winners[condition_id]
