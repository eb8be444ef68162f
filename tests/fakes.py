"""Stand-ins for the outside world with state to assert on; none of them ever waits."""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from polybot.domain.accounts import OrderRecord
from polybot.domain.books import OrderBook
from polybot.domain.markets import (
    ConditionId,
    Market,
    MarketTrade,
    MarketWindow,
    OutcomeTokenId,
    Resolution,
)
from polybot.domain.orders import (
    ApprovedOrder,
    OrderId,
    OrderReport,
    PreparedOrder,
    SubmitResult,
)
from polybot.errors import DataError, TransientError
from polybot.look_ups import look_up_each


class FixedClock:
    """A clock that moves only when somebody sleeps on it or sets it."""

    def __init__(self, instant: datetime) -> None:
        self.instant = instant

    async def now(self) -> datetime:
        return self.instant

    async def sleep_until(self, instant: datetime) -> None:
        self.instant = max(self.instant, instant)

    async def sleep(self, seconds: float) -> None:
        self.instant += timedelta(seconds=seconds)


class ScriptedMarketData:
    """The venue's public side as the test wrote it; an error in place of data is raised."""

    def __init__(self, market: Market, book: OrderBook | Exception) -> None:
        self.market = market
        self.book = book
        self.trades: list[MarketTrade] | Exception = []
        self.resolved: Resolution | None = None
        self.book_reads = 0

    async def find_market(self, window: MarketWindow) -> Market:
        if window != self.market.window:
            raise TransientError(f"market {window.slug} is not listed yet")
        return self.market

    async def order_book(self, token_id: OutcomeTokenId) -> OrderBook:
        self.book_reads += 1
        if isinstance(self.book, Exception):
            raise self.book
        if token_id != self.book.token_id:
            raise AssertionError(f"the test scripted no book of token {token_id}")
        return self.book

    async def resolution(self, window: MarketWindow) -> Resolution | None:
        return self.resolved if window == self.market.window else None

    async def trades_since(
        self, condition_id: ConditionId, since: datetime
    ) -> tuple[MarketTrade, ...]:
        if isinstance(self.trades, Exception):
            raise self.trades
        if condition_id != self.market.condition_id:
            return ()
        return tuple(trade for trade in self.trades if trade.traded_at >= since)


class ScriptedExchange:
    """An exchange whose answers the test wrote; it remembers what it was asked."""

    def __init__(
        self, answer: Callable[[PreparedOrder], SubmitResult] | BaseException | None = None
    ) -> None:
        self.answer = answer
        self.reports: dict[OrderId, OrderReport | Exception] = {}
        self.signed: list[PreparedOrder] = []
        self.submitted: list[PreparedOrder] = []
        self.looked_up: list[OrderId] = []
        self.on_submit: Callable[[PreparedOrder], None] = lambda _: None

    def prepare(self, approved: ApprovedOrder, *, created_at: datetime) -> PreparedOrder:
        order_id = OrderId("0x" + hashlib.sha256(approved.order.decision_key.encode()).hexdigest())
        return PreparedOrder(order_id=order_id, order=approved.order, created_at=created_at)

    def sign(self, prepared: PreparedOrder) -> None:
        self.signed.append(prepared)

    async def submit(self, prepared: PreparedOrder) -> SubmitResult:
        self.submitted.append(prepared)
        self.on_submit(prepared)
        if self.answer is None:
            await asyncio.Event().wait()
            raise AssertionError("unreachable")
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer(prepared)

    async def look_up(self, record: OrderRecord) -> OrderReport:
        self.looked_up.append(record.order_id)
        report = self.reports[record.order_id]
        if isinstance(report, Exception):
            raise report
        return report

    async def look_up_many(
        self, records: Sequence[OrderRecord]
    ) -> tuple[OrderReport | TransientError | DataError, ...]:
        return await look_up_each(self, records)

    async def cancel(self, record: OrderRecord) -> OrderReport:
        return await self.look_up(record)
