"""The simulated exchange: real books, real fees, no money.

It reads the real (or the sandbox's) book after the delay that an order takes to arrive, and fills
from it what the order could have had. What it cannot know goes against us: other traders are
faster, a resting order is last in its queue, and our own fills take nothing out of the real book.
Paper orders live in the ledger alone; see docs/adr/0005-paper-fills.md.
"""

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from polybot.domain.accounts import OrderRecord
from polybot.domain.books import OrderBook
from polybot.domain.markets import taker_fee
from polybot.domain.matching import Match, match_taker
from polybot.domain.money import ZERO_USDC, Shares, shares_down, text_of
from polybot.domain.orders import (
    Accepted,
    ApprovedOrder,
    Fill,
    FillStatus,
    Liquidity,
    Order,
    OrderId,
    OrderReport,
    OrderStatus,
    PreparedOrder,
    Rejected,
    Side,
    SubmitResult,
    TradeId,
)
from polybot.errors import DataError, PolybotError, TransientError
from polybot.look_ups import look_up_each
from polybot.ports import Clock, MarketData

# The venue stops a GTD order one minute before its expiration, and takes none that expires in
# less than three (docs.polymarket.com/trading/orders, 2026-11-22).
GTD_STOPS_EARLY: Final = timedelta(minutes=1)
GTD_LEAST_LIFE: Final = timedelta(minutes=3)
# Public trades are published some seconds after the match. A resting order stays open for so long
# after it stopped, or it would miss the fills of its last moments, which are the losing ones.
TRADES_LAG: Final = timedelta(minutes=1)
# The venue refuses a marketable BUY of less, budgets that are not whole cents, and sizes of other
# orders with more than two decimals.
LEAST_NOTIONAL_USDC: Final = Decimal(1)
CENT: Final = Decimal("0.01")


class PaperExchange:
    """An exchange on paper; safe to share between runs, it keeps no state of its own."""

    def __init__(
        self,
        market_data: MarketData,
        clock: Clock,
        *,
        delay_s: float,
        fills_of: Callable[[OrderId], tuple[Fill, ...]] | None = None,
    ) -> None:
        """Take the real market.

        Args:
            market_data: The books and trades that decide what fills.
            clock: Waits for the delay and dates the fills.
            delay_s: From sending to matching: network plus the venue's taker delay [s].
            fills_of: The ledger's fills of an order, by which a resting order tells what it took
                on arrival from what it was given later. Without it all fills count as given
                later: such orders fill later than they would, never earlier.
        """
        self._market_data = market_data
        self._clock = clock
        self._delay_s = delay_s
        self._fills_of = fills_of

    def prepare(self, approved: ApprovedOrder, *, created_at: datetime) -> PreparedOrder:
        """Give an order its paper id: a digest of its decision key and all that it says."""
        order_id = OrderId("0x" + hashlib.sha256(_identity(approved.order)).hexdigest())
        return PreparedOrder(order_id=order_id, order=approved.order, created_at=created_at)

    def sign(self, prepared: PreparedOrder) -> None:
        """Do nothing: paper orders have no signature."""

    async def submit(self, prepared: PreparedOrder) -> SubmitResult:
        """Match an order with the book as it is once the delay has passed.

        Where the book or the time cannot be read the order is rejected: on paper it is certain
        that nothing was matched.
        """
        order = prepared.order
        try:
            await self._clock.sleep(self._delay_s)
            book = await self._market_data.order_book(order.token_id)
            now = await self._clock.now()
        except PolybotError as problem:
            return _rejected(prepared, f"no book to match with: {problem}")
        matches = match_taker(order, book)
        objection = _objection(order, book, matches, now)
        if objection is not None:
            return _rejected(prepared, objection)
        taken = sum((match.size for match in matches), Decimal())
        return Accepted(
            order_id=prepared.order_id,
            is_resting=order.time_in_force.rests and taken < order.size,
            fills=tuple(
                _taker_fill(prepared, leg, match, now) for leg, match in enumerate(matches)
            ),
        )

    async def look_up(self, record: OrderRecord) -> OrderReport:
        """Return what became of a paper order.

        An order whose submission was never recorded has not happened: fills exist only in the
        ledger. A resting order fills, at its own price and as the maker, as far as the market
        has traded through that price.

        Raises:
            TransientError: The market could not be read.
            DataError: What was read says nothing.
        """
        match record.status:
            case OrderStatus.SENDING | OrderStatus.UNKNOWN:
                reason = "on paper, an order whose answer was not recorded never happened"
                return OrderReport(status=OrderStatus.NEVER_ARRIVED, reason=reason)
            case OrderStatus.RESTING:
                return await self._look_at_resting(record)
            case _:
                return OrderReport(status=record.status, reason=record.reason)

    async def look_up_many(
        self, records: Sequence[OrderRecord]
    ) -> tuple[OrderReport | TransientError | DataError, ...]:
        """Return what became of each paper order, or why it is not known."""
        return await look_up_each(self, records)

    async def cancel(self, record: OrderRecord) -> OrderReport:
        """Take a resting order out of the book; what traded through it until now still counts."""
        report = await self.look_up(record)
        if report.status is not OrderStatus.RESTING:
            return report
        return _stopped(record, report.fills, "cancelled")

    async def _look_at_resting(self, record: OrderRecord) -> OrderReport:
        now = await self._clock.now()
        stops_at, why = _stop(record)
        is_closed = now < stops_at and await self._is_closed(record)
        through = await self._traded_through(record, until=min(stops_at, now))
        if now < stops_at and not is_closed:
            book = await self._market_data.order_book(record.token_id)
            through = max(through, _standing_through(record, book))
        fills = self._maker_fills(record, through, at=min(stops_at, now))
        rest = record.size - record.filled_size - sum((f.size for f in fills), Decimal())
        if rest <= 0:
            return OrderReport(status=OrderStatus.FILLED, fills=fills)
        if is_closed:
            return _stopped(record, fills, "the market is closed")
        if now >= stops_at + TRADES_LAG:
            return _stopped(record, fills, why)
        return OrderReport(status=OrderStatus.RESTING, fills=fills)

    async def _is_closed(self, record: OrderRecord) -> bool:
        market = await self._market_data.find_market(record.window)
        return market.is_closed

    async def _traded_through(self, record: OrderRecord, *, until: datetime) -> Decimal:
        """Return how many shares of our token traded beyond our limit while we rested.

        Trades are dated to the second: those of the second in which we arrived do not count.
        """
        arrived_at = record.created_at + timedelta(seconds=self._delay_s)
        trades = await self._market_data.trades_since(record.condition_id, record.created_at)
        sizes = (
            trade.size
            for trade in trades
            if trade.token_id == record.token_id
            and arrived_at < trade.traded_at < until
            and _is_through(record, trade.price)
        )
        return sum(sizes, Decimal())

    def _maker_fills(
        self, record: OrderRecord, through: Decimal, *, at: datetime
    ) -> tuple[Fill, ...]:
        """Return the fill that brings the order up to what the market traded through it.

        The trade id is counted in shares already filled: looking twice at the same record gives
        the same id, so recording it twice changes nothing.
        """
        given = record.filled_size
        if self._fills_of is not None:
            recorded = self._fills_of(record.order_id)
            given = shares_down(
                sum((f.size for f in recorded if f.liquidity is Liquidity.MAKER), Decimal())
            )
        size = min(through - given, record.size - record.filled_size)
        if record.side is Side.BUY:
            left = record.budget_usdc - record.filled_cost_usdc
            size = min(size, left / record.limit_price)
        size = shares_down(max(size, Decimal(0)))
        if size <= 0:
            return ()
        fill = Fill(
            trade_id=TradeId(f"paper-maker-{text_of(record.filled_size)}-{record.order_id}"),
            order_id=record.order_id,
            leg=0,
            price=record.limit_price,
            size=size,
            fee_usdc=ZERO_USDC,
            liquidity=Liquidity.MAKER,
            status=FillStatus.CONFIRMED,
            filled_at=at,
        )
        return (fill,)


def _identity(order: Order) -> bytes:
    fields = (
        order.decision_key,
        order.market.condition_id,
        order.token_id,
        order.side,
        order.time_in_force,
        text_of(order.limit_price),
        text_of(order.size),
        text_of(order.budget_usdc),
        order.expires_at.isoformat() if order.expires_at else "",
        *(("post-only",) if order.is_post_only else ()),
    )
    return "\n".join(fields).encode()


def _objection(
    order: Order, book: OrderBook, matches: tuple[Match, ...], now: datetime
) -> str | None:
    """Return why the venue would not take an order, if so."""
    limit, size = text_of(order.limit_price), text_of(order.size)
    notional = order.budget_usdc if matches and order.side is Side.BUY else LEAST_NOTIONAL_USDC
    lot = order.budget_usdc if order.is_market_buy else order.size
    stops_early = order.expires_at is not None and order.expires_at - now < GTD_LEAST_LIFE
    objections = (
        (now >= order.market.window.end, "the market is closed"),
        (bool(order.limit_price % book.tick_size), f"price {limit} breaks the tick of the book"),
        (order.size < book.min_order_size, f"size {size} is lower than the book's minimum"),
        (bool(lot % CENT), f"{text_of(lot)} has more than 2 decimals"),
        (notional < LEAST_NOTIONAL_USDC, "a marketable BUY must spend at least 1 USDC"),
        (stops_early, "a GTD order must expire at least 3 minutes ahead"),
        (order.is_post_only and bool(matches), "a post-only order must not match at once"),
        (not matches and not order.time_in_force.rests, f"nothing to match with up to {limit}"),
    )
    return next((text for is_wrong, text in objections if is_wrong), None)


def _rejected(prepared: PreparedOrder, reason: str) -> Rejected:
    return Rejected(order_id=prepared.order_id, reason=reason)


def _taker_fill(prepared: PreparedOrder, leg: int, match: Match, at: datetime) -> Fill:
    return Fill(
        trade_id=TradeId(f"paper-taker-{prepared.order_id}"),
        order_id=prepared.order_id,
        leg=leg,
        price=match.price,
        size=match.size,
        fee_usdc=taker_fee(match.size, match.price, prepared.order.market.fees),
        liquidity=Liquidity.TAKER,
        status=FillStatus.CONFIRMED,
        filled_at=at,
    )


def _stop(record: OrderRecord) -> tuple[datetime, str]:
    """Return when a resting order leaves the book by itself, and why."""
    if record.expires_at is not None and record.expires_at - GTD_STOPS_EARLY < record.window.end:
        return record.expires_at - GTD_STOPS_EARLY, "expired"
    return record.window.end, "the window ended"


def _stopped(record: OrderRecord, fills: tuple[Fill, ...], reason: str) -> OrderReport:
    is_filled = bool(fills) or record.filled_size > 0
    status = OrderStatus.FILLED if is_filled else OrderStatus.UNFILLED
    return OrderReport(status=status, fills=fills, reason=reason)


def _is_through(record: OrderRecord, price: Decimal) -> bool:
    if record.side is Side.BUY:
        return price < record.limit_price
    return price > record.limit_price


def _standing_through(record: OrderRecord, book: OrderBook) -> Shares:
    """Return how much rests on the other side beyond our limit: it would have met us first."""
    levels = book.asks if record.side is Side.BUY else book.bids
    sizes = (level.size for level in levels if _is_through(record, level.price))
    return Shares(sum(sizes, Decimal()))
