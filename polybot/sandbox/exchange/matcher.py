"""Finds what a taker meets, best price first, and no more than it can pay for.

It changes nothing: the exchange books what it finds, or drops it when the order must fill whole.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from polybot.sandbox.exchange.accounts import Account
from polybot.sandbox.exchange.book import GeneratedQuotes, RestingOrders
from polybot.sandbox.exchange.clearing import taker_cost, taker_fee
from polybot.sandbox.exchange.orders import Match, VenueOrder
from polybot.sandbox.exchange.rules import MICRO, VenueRules
from polybot.sandbox.seeds import digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What an order would match at once."""

    matches: tuple[Match, ...]
    is_whole: bool
    """Whether nothing of the order would be left."""


class Matcher:
    """Price-time priority over resting orders and generated quotes."""

    def __init__(
        self, seed: int, rules: VenueRules, quotes: GeneratedQuotes, resting: RestingOrders
    ) -> None:
        """Take the two kinds of liquidity."""
        self._seed = seed
        self._rules = rules
        self._quotes = quotes
        self._resting = resting

    def plan(self, taker: VenueOrder, at_s: int, *, free_cash: int, house: Account) -> Plan:
        """Return what a taker meets.

        Args:
            taker: The order; its ``matched`` and ``given`` count.
            at_s: When [epoch s].
            free_cash: What its account can pay, fees included.
            house: The market makers' account; its own orders do not meet its quotes.
        """
        matches: list[Match] = []
        size_left = taker.size - taker.matched
        budget = taker.maker_amount - taker.given
        is_whole = False
        for maker in self._counters(taker, at_s, house):
            price = maker.up_price if taker.is_up else MICRO - maker.up_price
            wanted = budget * MICRO // price if taker.is_buy else size_left
            if not taker.is_market_buy:
                wanted = min(wanted, size_left)
            wanted -= wanted % self._rules.fill_step
            size = min(wanted, maker.remaining)
            if taker.is_buy and not taker.account.is_house:
                size = min(size, self._affordable(free_cash, price))
            if size > 0:
                match = Match(maker=maker, price=price, size=size)
                matches.append(match)
                cost = taker_cost(taker, match)
                budget -= cost if taker.is_buy else size
                # A fee of several matches at one price may be a step above the sum of theirs.
                free_cash -= cost + taker_fee(size, price, "up") + 10
                size_left -= size
            if size == wanted:
                is_whole = True
                break
            if size < maker.remaining:
                break
        return Plan(matches=tuple(matches), is_whole=is_whole)

    def _counters(self, taker: VenueOrder, at_s: int, house: Account) -> Iterator[VenueOrder]:
        """Yield makers, best price first; quotes stand before orders at the same price."""
        quotes = [] if taker.account is house else self._house_orders(taker, at_s, house)
        resting = list(self._resting.against(taker))
        sign = 1 if taker.is_bid else -1
        while quotes or resting:
            if quotes and (not resting or sign * quotes[0].up_price <= sign * resting[0].up_price):
                yield quotes.pop(0)
            else:
                yield resting.pop(0)

    def _house_orders(self, taker: VenueOrder, at_s: int, house: Account) -> list[VenueOrder]:
        market, are_bids = taker.market, not taker.is_bid
        found = []
        for up_price, size in self._quotes.levels(market, at_s, are_bids=are_bids):
            if (up_price > taker.up_price) if taker.is_bid else (up_price < taker.up_price):
                break
            found.append(self._house_order(taker, up_price, size, at_s, house))
        return found

    def _house_order(
        self, taker: VenueOrder, up_price: int, size: int, at_s: int, house: Account
    ) -> VenueOrder:
        market, is_bid = taker.market, not taker.is_bid
        name = ("quote", self._seed, market.condition_id, is_bid, up_price, at_s // 10)
        raw = digest(*name)
        # Half of the quotes stand in the other token: meeting them mints or merges a pair.
        is_up = bool(raw[0] & 1)
        is_buy = is_bid is is_up
        price = up_price if is_up else MICRO - up_price
        return VenueOrder(
            order_id="0x" + raw.hex(),
            account=house,
            owner="00000000-0000-0000-0000-" + digest("house-key", self._seed, size=6).hex(),
            market=market,
            is_up=is_up,
            is_buy=is_buy,
            order_type="GTC",
            price=price,
            size=size,
            maker_amount=-(-size * price // MICRO) if is_buy else size,
            created_ms=0,
            number=0,
        )

    def _affordable(self, free_cash: int, price: int) -> int:
        """Return the shares that cash pays for with their fee, rounded down to a step."""
        per_share = MICRO * price + 7 * price * (MICRO - price) // 100
        size = max(0, free_cash - 30) * MICRO * MICRO // per_share
        return size - size % self._rules.fill_step
