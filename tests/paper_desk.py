"""A paper exchange on a scripted market, for one test of taking or resting."""

from datetime import datetime, timedelta
from typing import Any

from polybot.adapters import paper
from polybot.domain.accounts import OrderRecord
from polybot.domain.markets import MarketTrade
from polybot.domain.orders import (
    Accepted,
    Fill,
    Order,
    OrderReport,
    PreparedOrder,
    Rejected,
    SubmitResult,
    TimeInForce,
)
from tests.builders import NOW, build_approved, build_book, build_market, build_resting_order
from tests.fakes import FixedClock, ScriptedMarketData

DELAY_S = 0.25
ARRIVAL = NOW + timedelta(seconds=DELAY_S)
LATER = NOW + timedelta(minutes=2)


class Desk:
    """A paper exchange on a scripted market, with both at hand."""

    def __init__(self, book: Any = None, at: datetime = NOW, fills: tuple[Fill, ...] = ()) -> None:
        self.clock = FixedClock(at)
        self.market_data = ScriptedMarketData(build_market(), book or build_book())
        self.exchange = paper.PaperExchange(
            self.market_data, self.clock, delay_s=DELAY_S, fills_of=lambda _: fills
        )

    def prepare(self, order: Order) -> PreparedOrder:
        return self.exchange.prepare(build_approved(order), created_at=self.clock.instant)

    async def submit(self, order: Order) -> SubmitResult:
        return await self.exchange.submit(self.prepare(order))

    async def look_up(self, record: OrderRecord, *trades: MarketTrade) -> OrderReport:
        self.market_data.trades = list(trades)
        return await self.exchange.look_up(record)


async def accepted(order: Order, book: Any = None) -> Accepted:
    result = await Desk(book).submit(order)
    assert isinstance(result, Accepted), result
    return result


async def rejected(order: Order, book: Any = None, at: datetime = NOW) -> str:
    desk = Desk(book, at)
    prepared = desk.prepare(order)
    result = await desk.exchange.submit(prepared)
    assert isinstance(result, Rejected), result
    assert result.order_id == prepared.order_id
    return result.reason


def gtd(expires_in: timedelta, **changes: Any) -> Order:
    values = {"time_in_force": TimeInForce.GTD, "expires_at": NOW + expires_in}
    return build_resting_order(**{**values, **changes})
