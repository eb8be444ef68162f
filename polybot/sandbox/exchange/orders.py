"""Orders, matches and trades inside the venue; amounts in base units, prices in 10⁻⁶ pUSD.

One book per market: an order in the Down token is one in the Up token at ``1 − price`` on the
other side. So BUY Up meets SELL Up (a transfer), or BUY Down (a new pair is minted).
"""

from dataclasses import dataclass, field
from enum import StrEnum

from polybot.domain.markets import Outcome
from polybot.sandbox.exchange.accounts import Account, Transfer
from polybot.sandbox.exchange.rules import MICRO
from polybot.sandbox.listing import VenueMarket


class OrderState(StrEnum):
    """Where an order stands, in the venue's words."""

    LIVE = "LIVE"
    DELAYED = "DELAYED"
    MATCHED = "MATCHED"
    CANCELED = "CANCELED"

    @property
    def is_over(self) -> bool:
        """Whether nothing more can happen to the order."""
        return self in (OrderState.MATCHED, OrderState.CANCELED)


class TradeState(StrEnum):
    """A trade's way to the chain, in the venue's words."""

    MATCHED = "MATCHED"
    MINED = "MINED"
    CONFIRMED = "CONFIRMED"
    RETRYING = "RETRYING"
    FAILED = "FAILED"

    @property
    def is_settled(self) -> bool:
        """Whether the parties have what they traded for."""
        return self in (TradeState.MINED, TradeState.CONFIRMED)


@dataclass(slots=True, eq=False, kw_only=True)
class VenueOrder:
    """An order that the venue has taken, or a market maker's stand-in for one."""

    order_id: str
    account: Account
    owner: str
    """Id of the API key that sent it."""
    market: VenueMarket
    is_up: bool
    is_buy: bool
    order_type: str
    price: int
    size: int
    """Shares wanted or offered; of a market BUY the fewest that its budget brings."""
    maker_amount: int
    """The most that the order can ever give: what its signature allows."""
    created_ms: int
    number: int
    """Its place in time among all orders."""
    is_post_only: bool = False
    expires_s: int = 0
    matched: int = 0
    given: int = 0
    state: OrderState = OrderState.LIVE
    trade_ids: list[str] = field(default_factory=list)

    @property
    def token_id(self) -> str:
        """The outcome token it is in."""
        return self.market.up_token_id if self.is_up else self.market.down_token_id

    @property
    def outcome(self) -> Outcome:
        """The outcome whose token it is in."""
        return Outcome.UP if self.is_up else Outcome.DOWN

    @property
    def side(self) -> str:
        """``BUY`` or ``SELL``."""
        return "BUY" if self.is_buy else "SELL"

    @property
    def is_bid(self) -> bool:
        """Whether it stands on the buying side of the Up token's book."""
        return self.is_buy is self.is_up

    @property
    def up_price(self) -> int:
        """Its price as one of the Up token."""
        return self.price if self.is_up else MICRO - self.price

    @property
    def rests(self) -> bool:
        """Whether an unfilled rest stays in the book."""
        return self.order_type in ("GTC", "GTD")

    @property
    def is_market_buy(self) -> bool:
        """Whether its budget, not its size, bounds it."""
        return self.is_buy and not self.rests

    @property
    def shown_matched(self) -> int:
        """Matched shares, at most the size as the venue shows it."""
        return min(self.matched, self.size)

    @property
    def remaining(self) -> int:
        """Shares that can still match at the order's own price."""
        left = self.maker_amount - self.given
        if not self.is_buy:
            return left
        bought = left * MICRO // self.price
        return bought if self.is_market_buy else min(bought, self.size - self.matched)

    @property
    def held_cash(self) -> int:
        """Cash that an open BUY keeps from other orders."""
        if not self.is_buy or self.state.is_over:
            return 0
        return min(self.maker_amount - self.given, cost_up(self.remaining, self.price))

    @property
    def held_tokens(self) -> int:
        """Shares that an open SELL keeps from other orders."""
        return 0 if self.is_buy or self.state.is_over else self.remaining


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """One maker's part of what a taker gets."""

    maker: VenueOrder
    price: int
    """In the taker's token."""
    size: int


@dataclass(slots=True, eq=False, kw_only=True)
class Trade:
    """A taker's execution at one price, against one or more makers."""

    trade_id: str
    taker: VenueOrder
    price: int
    size: int
    fee: int
    makers: tuple[Match, ...]
    matched_ms: int
    updated_ms: int
    bucket_index: int
    transaction_hash: str
    gives: tuple[Transfer, ...]
    gets: tuple[Transfer, ...]
    minted: int
    """New pairs less merged ones [base units]: how the collateral changes."""
    state: TradeState = TradeState.MATCHED
    attempts: int = 0
    fate: str = "confirm"
    """``confirm``, ``retry`` or ``fail``: decided when it matched."""

    @property
    def held_cash(self) -> int:
        """Cash that is neither here nor there."""
        if self.state.is_settled or self.state is TradeState.FAILED:
            return 0
        return sum(transfer.cash for transfer in self.gives)

    def involves(self, owner: str) -> bool:
        """Whether an API key's orders are part of it."""
        return self.taker.owner == owner or any(match.maker.owner == owner for match in self.makers)


def cost_down(size: int, price: int) -> int:
    """Return ``size × price``, rounded down [base units]."""
    return size * price // MICRO


def cost_up(size: int, price: int) -> int:
    """Return ``size × price``, rounded up [base units]."""
    return -(-size * price // MICRO)
