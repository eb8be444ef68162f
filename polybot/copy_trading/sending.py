"""Orders on their way: sent once, timed, recorded, and looked up until their end is known."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Final

from polybot.copy_trading.background import Troubles
from polybot.copy_trading.parts import CopyBooks
from polybot.domain.accounts import OrderRecord
from polybot.domain.alerts import Alert
from polybot.domain.leaders import CopyLatency, CopyRecord, LeaderAddress, LeaderTrade
from polybot.domain.markets import ConditionId
from polybot.domain.orders import (
    ApprovedOrder,
    Fill,
    OrderId,
    OrderReport,
    OrderStatus,
    PreparedOrder,
    Side,
    SubmitResult,
)
from polybot.errors import PolybotError
from polybot.execution import send_recorded
from polybot.ports import Exchange, InstantClock

# The venue matches one taker order in tens of milliseconds; more at once would only queue there.
MOST_AT_ONCE: Final = 16
# The first look comes at once: an accepted order tells its fills only by its trades.
LOOK_AFTER_S: Final = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)


_IS_OPEN: Final = (OrderStatus.SENDING, OrderStatus.UNKNOWN)
_AlertFor = Callable[[Fill], Alert]


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedCopy:
    """A copy of which is known what became of it; it may rest, but none is in flight."""

    leader: LeaderAddress
    condition_id: ConditionId
    exit: LeaderTrade | None = None
    """The leader's sale that the order was to follow; ``None`` for purchases."""
    follows_conversion: bool = False
    """Whether that sale was none, and its price means nothing."""
    unsold: Decimal = Decimal(0)
    """Of the exit's size [shares]."""


class Sender:
    """Sends recorded copies, a bounded number at once."""

    def __init__(
        self,
        ledger: CopyBooks,
        exchange: Exchange,
        clock: InstantClock,
        troubles: Troubles,
        *,
        alert_for: Callable[[Fill, PreparedOrder, CopyRecord], Alert],
        on_latency: Callable[[CopyRecord, CopyLatency], None],
        on_end: Callable[[EndedCopy], None],
    ) -> None:
        """Take everything that sending needs.

        Args:
            ledger: Holds the intents.
            exchange: Where orders go.
            clock: Dates sending and answers.
            troubles: Shows what could not be recorded or looked up.
            alert_for: Builds the alert of a copy's fill.
            on_latency: Told when an answer came.
            on_end: Told when an order's end is known.
        """
        self._ledger = ledger
        self._exchange = _Stopwatch(exchange, clock)
        self._clock = clock
        self._troubles = troubles
        self._alert_for = alert_for
        self._on_latency = on_latency
        self._on_end = on_end
        self._gate = asyncio.Semaphore(MOST_AT_ONCE)
        self._sending: set[asyncio.Task[None]] = set()
        self._looking: set[asyncio.Task[None]] = set()
        self.filled = 0
        self.unfilled = 0

    @property
    def in_flight(self) -> int:
        """Orders that are sent and not answered."""
        return len(self._sending)

    @property
    def unknown(self) -> int:
        """Orders that are being looked up."""
        return len(self._looking)

    def send(self, record: CopyRecord, prepared: PreparedOrder) -> None:
        """Send an order whose intent was just recorded."""
        task = asyncio.get_running_loop().create_task(self._send(record, prepared))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)
        # After the task is there: whatever signing does, the order is sent or looked up. What is
        # wrong now is wrong again a moment later, where it is recorded.
        with suppress(PolybotError):
            self._exchange.sign(prepared)

    def recover(self, order: OrderRecord, leader: LeaderAddress, alert_for: _AlertFor) -> None:
        """Look up an order that an earlier loop left behind."""
        ended = EndedCopy(leader=leader, condition_id=order.condition_id)
        self._start_looking(order.order_id, alert_for, ended)

    async def finish(self, within_s: float) -> None:
        """Wait for answers a while; what is not answered then is recorded as UNKNOWN."""
        for task in self._looking:
            task.cancel()
        waiting = self._sending | self._looking
        if self._sending:
            await asyncio.wait(self._sending, timeout=within_s)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    async def _send(self, record: CopyRecord, prepared: PreparedOrder) -> None:
        def alert_for(fill: Fill) -> Alert:
            return self._alert_for(fill, prepared, record)

        order: OrderRecord | None = None
        try:
            async with self._gate:
                placed = await send_recorded(
                    prepared, exchange=self._exchange, ledger=self._ledger, alert_for=alert_for
                )
            order = placed.order
            self._troubles.clear("orders")
        # The answer could not be recorded, or a defect lost it: the order is open in the ledger,
        # and is looked up; its market waits for that.
        except Exception as problem:
            self._troubles.note("orders", problem)
        self._note_latency(record, prepared.order_id)
        trade = record.trade
        ended = EndedCopy(
            leader=trade.leader,
            condition_id=prepared.order.market.condition_id,
            exit=trade if trade.side is Side.SELL else None,
            follows_conversion=record.follows_conversion,
        )
        if order is None or order.status in _IS_OPEN:
            self._start_looking(prepared.order_id, alert_for, ended)
        else:
            self._end(order, ended)

    def _start_looking(self, order_id: OrderId, alert_for: _AlertFor, ended: EndedCopy) -> None:
        looking = self._look_up(order_id, alert_for, ended)
        task = asyncio.get_running_loop().create_task(looking)
        self._looking.add(task)
        task.add_done_callback(self._looking.discard)

    async def _look_up(self, order_id: OrderId, alert_for: _AlertFor, ended: EndedCopy) -> None:
        pauses = iter(LOOK_AFTER_S)
        pause_s = LOOK_AFTER_S[0]
        while True:
            pause_s = next(pauses, pause_s)
            await asyncio.sleep(pause_s)
            try:
                order = await self._look_once(order_id, alert_for)
            # As above: a market that nobody looks after any more would wait for ever.
            except Exception as problem:
                self._troubles.note("orders", problem)
                continue
            self._troubles.clear("orders")
            if order is None or order.status not in _IS_OPEN:
                self._end(order, ended)
                return

    async def _look_once(self, order_id: OrderId, alert_for: _AlertFor) -> OrderRecord | None:
        known = self._ledger.order(order_id)
        if known is None or known.status not in _IS_OPEN:
            # Somebody else, the reconciliation for one, was faster.
            return known
        report = await self._exchange.look_up(known)
        self._ledger.record_report(order_id, report, at=self._clock.instant(), alert_for=alert_for)
        return self._ledger.order(order_id)

    def _note_latency(self, record: CopyRecord, order_id: OrderId) -> None:
        instants = self._exchange.instants_of(order_id)
        if instants is not None:
            sent_at, acknowledged_at = instants
            key = record.trade.key
            self._on_latency(
                record, CopyLatency(key=key, sent_at=sent_at, acknowledged_at=acknowledged_at)
            )

    def _end(self, order: OrderRecord | None, ended: EndedCopy) -> None:
        if order is not None and order.filled_size > 0:
            self.filled += 1
        else:
            self.unfilled += 1
        if ended.exit is not None and order is not None:
            ended = replace(ended, unsold=order.size - order.filled_size)
        self._on_end(ended)


class _Stopwatch:
    """An exchange that remembers when each submission began and ended."""

    def __init__(self, exchange: Exchange, clock: InstantClock) -> None:
        self._exchange = exchange
        self._clock = clock
        self._instants: dict[OrderId, tuple[datetime, datetime]] = {}

    def instants_of(self, order_id: OrderId) -> tuple[datetime, datetime] | None:
        """Return, once, when an order left and when it was answered."""
        return self._instants.pop(order_id, None)

    def prepare(self, approved: ApprovedOrder, *, created_at: datetime) -> PreparedOrder:
        return self._exchange.prepare(approved, created_at=created_at)

    def sign(self, prepared: PreparedOrder) -> None:
        self._exchange.sign(prepared)

    async def submit(self, prepared: PreparedOrder) -> SubmitResult:
        sent_at = self._clock.instant()
        result = await self._exchange.submit(prepared)
        self._instants[prepared.order_id] = (sent_at, self._clock.instant())
        return result

    async def look_up(self, record: OrderRecord) -> OrderReport:
        return await self._exchange.look_up(record)

    async def cancel(self, record: OrderRecord) -> OrderReport:
        return await self._exchange.cancel(record)
