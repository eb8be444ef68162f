"""A venue account in memory: orders, trades with a life, balances, redemptions, all kept by itself.

It does its own arithmetic on integers of 10⁻⁶ and shares no code with the books it is compared
with. Its balances may lag, its answers may be missing, and strangers may use the account.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import ROUND_FLOOR, Decimal

from polybot.domain.accounts import OrderRecord
from polybot.domain.markets import ConditionId, OutcomeTokenId
from polybot.domain.money import Price, Shares, Usdc
from polybot.domain.orders import (
    ApprovedOrder,
    Fill,
    Liquidity,
    OrderId,
    OrderReport,
    OrderStatus,
    PreparedOrder,
    Side,
    SubmitResult,
    TradeId,
)
from polybot.domain.venue_account import (
    Cancellation,
    NothingToRedeem,
    Redeemed,
    RedemptionResult,
    VenueOrder,
    VenueOrderStatus,
    VenueTrade,
    VenueTrades,
    VenueTradeStatus,
)
from polybot.errors import DataError, TransientError
from polybot.look_ups import look_up_each

RATE = Decimal("0.07")


def floored_fee(size: Decimal, price: Decimal) -> Decimal:
    """Round the crypto fee down to 10⁻⁵: the opposite of what our books do."""
    return (size * RATE * price * (1 - price)).quantize(Decimal("0.00001"), ROUND_FLOOR)


@dataclass
class Venue:
    """The truth about one account."""

    now: datetime
    cash: Decimal = Decimal(0)
    shares: dict[str, Decimal] = field(default_factory=dict)
    orders: dict[str, VenueOrder] = field(default_factory=dict)
    trades: list[VenueTrade] = field(default_factory=list)
    hidden: set[str] = field(default_factory=set)
    """Trades that the list does not show (yet)."""
    payouts: dict[str, Decimal] = field(default_factory=dict)
    """What a share pays, by token, once its market is resolved."""
    answers: list[RedemptionResult | Exception] = field(default_factory=list)
    """Scripted answers to redeem, used up first."""
    redeem_calls: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    outages: dict[str, int] = field(default_factory=dict)
    """How many more calls of a method fail."""
    after_cash: list[Callable[[], object]] = field(default_factory=list)
    """What happens between telling the cash and the asker's hearing it."""
    asked_after: list[datetime] = field(default_factory=list)

    def trade(
        self,
        order_id: str,
        condition_id: str,
        token_id: str,
        *,
        side: Side,
        size: Decimal,
        price: Decimal,
        status: VenueTradeStatus = VenueTradeStatus.CONFIRMED,
        liquidity: Liquidity = Liquidity.TAKER,
        leg: int = 0,
        name: str = "",
    ) -> VenueTrade:
        """Make a trade happen: cash and shares move at once."""
        made = VenueTrade(
            trade_id=TradeId(name or f"t{len(self.trades)}"),
            order_id=OrderId(order_id),
            leg=leg,
            condition_id=ConditionId(condition_id),
            token_id=OutcomeTokenId(token_id),
            side=side,
            price=Price(price),
            size=Shares(size),
            liquidity=liquidity,
            status=status,
            matched_at=self.now,
            transaction_hash="0xt",
        )
        self.trades.append(made)
        if status is not VenueTradeStatus.FAILED:
            self._move(made, 1)
        return made

    def advance(self, trade_id: str, status: VenueTradeStatus) -> None:
        """Move a trade's status; one that fails gives everything back."""
        for index, trade in enumerate(self.trades):
            if trade.trade_id == trade_id and trade.status is not VenueTradeStatus.FAILED:
                self.trades[index] = replace(trade, status=status)
                if status is VenueTradeStatus.FAILED:
                    self._move(trade, -1)

    def _move(self, trade: VenueTrade, sign: int) -> None:
        fee = Decimal(0)
        if trade.liquidity is Liquidity.TAKER:
            fee = floored_fee(trade.size, trade.price)
        gross = trade.size * trade.price
        direction = sign if trade.side is Side.BUY else -sign
        self.cash -= direction * gross + sign * fee
        held = self.shares.get(trade.token_id, Decimal(0))
        self.shares[trade.token_id] = held + direction * trade.size

    def rest(self, order_id: str, condition_id: str, token_id: str, side: Side = Side.BUY) -> None:
        """Show an order in the book."""
        self.orders[order_id] = VenueOrder(
            order_id=OrderId(order_id),
            condition_id=ConditionId(condition_id),
            token_id=OutcomeTokenId(token_id),
            side=side,
            price=Decimal("0.1"),
            original_size=Decimal(10),
            matched_size=Shares(Decimal(0)),
            status=VenueOrderStatus.LIVE,
            created_at=self.now,
        )

    def answer(self, method: str) -> None:
        """Fail where an outage is scripted."""
        if self.outages.get(method, 0) > 0:
            self.outages[method] -= 1
            raise TransientError(f"{method} was not answered")


class FakeVenueAccount:
    """The ``VenueAccount`` port on a ``Venue``."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue

    async def open_orders(self) -> tuple[VenueOrder, ...]:
        self.venue.answer("open_orders")
        return tuple(self.venue.orders.values())

    async def order(self, order_id: OrderId) -> VenueOrder | None:
        return self.venue.orders.get(order_id)

    async def trades(
        self, *, after: datetime, condition_id: ConditionId | None = None
    ) -> VenueTrades:
        self.venue.answer("trades")
        self.venue.asked_after.append(after)
        return VenueTrades(
            trades=tuple(
                trade
                for trade in self.venue.trades
                if trade.trade_id not in self.venue.hidden
                and trade.matched_at >= after
                and condition_id in (None, trade.condition_id)
            )
        )

    async def cash_usdc(self) -> Usdc:
        self.venue.answer("cash")
        told = Usdc(self.venue.cash)
        if self.venue.after_cash:
            self.venue.after_cash.pop()()
        return told

    async def allowances(self) -> dict[str, Decimal]:
        return {}

    async def holdings(self, token_ids: Sequence[OutcomeTokenId]) -> dict[OutcomeTokenId, Shares]:
        self.venue.answer("holdings")
        return {t: Shares(self.venue.shares.get(t, Decimal(0))) for t in token_ids}

    async def server_time(self) -> datetime:
        self.venue.answer("server_time")
        return self.venue.now

    async def is_closed_only(self) -> bool:
        return False

    async def cancel_all(self) -> Cancellation:
        raise AssertionError("nothing here may cancel what is not ours")

    async def redeem(
        self, condition_id: ConditionId, token_ids: Sequence[OutcomeTokenId]
    ) -> RedemptionResult:
        self.venue.redeem_calls.append(condition_id)
        if self.venue.answers:
            answer = self.venue.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            if not isinstance(answer, Redeemed):
                return answer
        held = {t: self.venue.shares.get(t, Decimal(0)) for t in token_ids}
        if not any(held.values()):
            return NothingToRedeem(reason="no shares")
        for token_id, size in held.items():
            self.venue.cash += size * self.venue.payouts[token_id]
            self.venue.shares[token_id] = Decimal(0)
        return Redeemed(transaction_hash="0xredeemed")


class FakeLiveExchange:
    """The ``Exchange`` port on a ``Venue``: looks orders up by id and trades, sends nothing."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.never_arrived: set[str] = set()

    def prepare(self, approved: ApprovedOrder, *, created_at: datetime) -> PreparedOrder:
        raise AssertionError("reconciling prepares no order")

    def sign(self, prepared: PreparedOrder) -> None:
        raise AssertionError("reconciling signs no order")

    async def submit(self, prepared: PreparedOrder) -> SubmitResult:
        raise AssertionError("reconciling sends no order")

    async def look_up(self, record: OrderRecord) -> OrderReport:
        self.venue.answer("look_up")
        fills = self._fills(record)
        if record.order_id in self.venue.orders:
            return OrderReport(status=OrderStatus.RESTING, fills=fills)
        if record.order_id in self.never_arrived:
            return OrderReport(status=OrderStatus.NEVER_ARRIVED)
        if fills:
            return OrderReport(status=OrderStatus.FILLED, fills=fills)
        return OrderReport(status=OrderStatus.UNKNOWN, reason="not shown yet")

    async def look_up_many(
        self, records: Sequence[OrderRecord]
    ) -> tuple[OrderReport | TransientError | DataError, ...]:
        return await look_up_each(self, records)

    async def cancel(self, record: OrderRecord) -> OrderReport:
        self.venue.cancelled.append(record.order_id)
        self.venue.orders.pop(record.order_id, None)
        return OrderReport(status=OrderStatus.UNFILLED, fills=self._fills(record))

    def _fills(self, record: OrderRecord) -> tuple[Fill, ...]:
        assert record.fees is not None
        return tuple(
            trade.fill(record.fees)
            for trade in self.venue.trades
            if trade.order_id == record.order_id and trade.trade_id not in self.venue.hidden
        )
