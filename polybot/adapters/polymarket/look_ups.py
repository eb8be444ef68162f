"""What became of our orders: one by its id, or many with the account's lists.

Reads alone. What is not proved leaves an order open; see ``verdicts`` for what proves what.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from polybot.adapters.polymarket.account import PolymarketAccount
from polybot.adapters.polymarket.venue_memory import VenueMemory
from polybot.adapters.polymarket.verdicts import Evidence, Patience, judge
from polybot.domain.accounts import OrderRecord
from polybot.domain.markets import FeeSchedule, MarketWindow
from polybot.domain.orders import OrderId, OrderReport, OrderStatus, Side
from polybot.domain.venue_account import VenueOrder, VenueTrade, VenueTrades
from polybot.errors import DataError, TransientError
from polybot.ports import Clock, MarketData

# Trades are asked for from so long before the order was made: two clocks are compared.
_CLOCK_MARGIN: Final = timedelta(seconds=60)
# Below the connections of one session, so that an order's own request never waits behind looks.
_MOST_AT_ONCE: Final = 16
# Budgets are whole cents: less than one left over is rounding, and buys nothing more.
_CENT: Final = Decimal("0.01")


class OrderLookUps:
    """Asks about orders of one account."""

    def __init__(
        self,
        venue: PolymarketAccount,
        market_data: MarketData,
        *,
        clock: Clock,
        memory: VenueMemory,
        patience: Patience,
    ) -> None:
        """Take whom to ask.

        Args:
            venue: The account.
            market_data: Tells a market's fees, which trades do not carry.
            clock: Dates the looks.
            memory: What other runs have to know, too.
            patience: How long silence proves nothing.
        """
        self._venue = venue
        self._market_data = market_data
        self._clock = clock
        self._memory = memory
        self._patience = patience
        self._fees: dict[MarketWindow, FeeSchedule] = {}

    async def look_up(self, record: OrderRecord) -> OrderReport:
        """Return what the order itself and the account's trades prove.

        Raises:
            TransientError: The venue did not answer; nothing is known.
            DataError: What it answered says nothing.
        """
        fees = record.fees or await self._fees_of(record.window)
        order = await self._venue.order(record.order_id)
        # The trades are read last: what matched before the order was read is in them or will be.
        found = await self._venue.trades(
            after=record.created_at - _CLOCK_MARGIN, condition_id=record.condition_id
        )
        trades = tuple(trade for trade in found.trades if trade.order_id == record.order_id)
        now = await self._clock.now()
        is_incomplete = record.order_id in found.incomplete
        return self._judge(record, order, trades, fees, is_incomplete=is_incomplete, now=now)

    async def look_up_many(
        self, records: Sequence[OrderRecord]
    ) -> tuple[OrderReport | TransientError | DataError, ...]:
        """Return what is proved about many orders, with few questions.

        The lists of open orders and of trades answer for most. An order that rests in neither, or
        whose trades leave room for more, is asked for by its id, a bounded number at a time.
        """
        if not records:
            return ()
        since = min(record.created_at for record in records) - _CLOCK_MARGIN
        try:
            shown = {order.order_id: order for order in await self._venue.open_orders()}
            found = await self._venue.trades(after=since)
            rest = [one for one in records if not _is_answered(one, shown, found)]
            singles = dict(zip(rest, await self._ask_each(rest), strict=True))
            if rest:
                # Read last again: what matched before an order was read is in them or will be.
                found = await self._venue.trades(after=since)
        except (TransientError, DataError) as problem:
            return (problem,) * len(records)
        now = await self._clock.now()
        by_order: dict[OrderId, list[VenueTrade]] = defaultdict(list)
        for trade in found.trades:
            by_order[trade.order_id].append(trade)
        return tuple(
            [
                await self._judged(
                    record,
                    singles.get(record, shown.get(record.order_id)),
                    tuple(by_order[record.order_id]),
                    is_incomplete=record.order_id in found.incomplete,
                    now=now,
                )
                for record in records
            ]
        )

    async def _ask_each(
        self, records: Sequence[OrderRecord]
    ) -> list[VenueOrder | TransientError | DataError | None]:
        gate = asyncio.Semaphore(_MOST_AT_ONCE)

        async def ask(record: OrderRecord) -> VenueOrder | TransientError | DataError | None:
            async with gate:
                try:
                    return await self._venue.order(record.order_id)
                except (TransientError, DataError) as problem:
                    return problem

        return await asyncio.gather(*(ask(record) for record in records))

    async def _judged(
        self,
        record: OrderRecord,
        order: VenueOrder | TransientError | DataError | None,
        trades: tuple[VenueTrade, ...],
        *,
        is_incomplete: bool,
        now: datetime,
    ) -> OrderReport | TransientError | DataError:
        if isinstance(order, TransientError | DataError):
            return order
        try:
            fees = record.fees or await self._fees_of(record.window)
        except (TransientError, DataError) as problem:
            return problem
        return self._judge(record, order, trades, fees, is_incomplete=is_incomplete, now=now)

    def _judge(
        self,
        record: OrderRecord,
        order: VenueOrder | None,
        trades: tuple[VenueTrade, ...],
        fees: FeeSchedule,
        *,
        is_incomplete: bool,
        now: datetime,
    ) -> OrderReport:
        absent_since = None
        if order is None and record.status is OrderStatus.RESTING:
            absent_since = self._memory.absent_since(record.order_id, at=now)
        evidence = Evidence(
            order=order,
            trades=trades,
            is_incomplete=is_incomplete,
            absent_since=absent_since,
            taken=self._memory.taken(record.order_id),
        )
        report = judge(record, evidence, fees, now=now, patience=self._patience)
        self._remember(record, evidence, report)
        return report

    def _remember(self, record: OrderRecord, evidence: Evidence, report: OrderReport) -> None:
        if evidence.order is not None or evidence.trades:
            self._memory.pass_canary(record.order_id)
        elif report.status is OrderStatus.NEVER_ARRIVED:
            self._memory.release_canary(record.order_id)
        if not report.status.is_open:
            self._memory.forget(record.order_id)
        elif evidence.order is not None:
            self._memory.forget_absence(record.order_id)

    async def _fees_of(self, window: MarketWindow) -> FeeSchedule:
        if window not in self._fees:
            self._fees[window] = (await self._market_data.find_market(window)).fees
        return self._fees[window]


def _is_answered(
    record: OrderRecord, shown: Mapping[OrderId, VenueOrder], found: VenueTrades
) -> bool:
    """Whether the lists say of an order what a look by its id could say."""
    if record.order_id in shown:
        return True
    own = [trade for trade in found.trades if trade.order_id == record.order_id]
    if record.side is Side.BUY and not record.time_in_force.rests:
        # A market BUY is a budget; how many shares it brings follows from the price.
        spent = sum((trade.size * trade.price for trade in own), Decimal())
        return record.budget_usdc - spent < _CENT
    return sum((trade.size for trade in own), Decimal()) >= record.size
