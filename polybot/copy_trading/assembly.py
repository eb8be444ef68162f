"""The parts of a copy loop, put together once, and what they show together."""

import asyncio
from collections.abc import Callable
from datetime import datetime

from polybot.copy_trading.background import Troubles
from polybot.copy_trading.catalog import MarketCatalog
from polybot.copy_trading.desk import Desk
from polybot.copy_trading.feed_watch import FeedWatch
from polybot.copy_trading.lease import LeaseKeeper
from polybot.copy_trading.notices import copied_fill_alert
from polybot.copy_trading.parts import CopyOptions, CopyPorts
from polybot.copy_trading.placing import Bench
from polybot.copy_trading.records import PendingRecords
from polybot.copy_trading.roster import Roster
from polybot.copy_trading.sending import EndedCopy, Sender
from polybot.copy_trading.status import (
    CopyEnd,
    CopyPhase,
    CopyStatus,
    Drift,
    LeaderStatus,
    OrderCounts,
)
from polybot.copy_trading.tally import Latencies, Tallies
from polybot.copy_trading.throttles import Throttles
from polybot.copy_trading.turns import MarketTurns
from polybot.domain.alerts import Alert
from polybot.domain.leaders import CopyLatency, CopyRecord, LeaderAddress
from polybot.domain.orders import Fill, PreparedOrder
from polybot.errors import PolybotError


class Assembly:
    """Everything that a loop consists of, wired; it does nothing by itself."""

    def __init__(
        self,
        ports: CopyPorts,
        options: CopyOptions,
        *,
        on_lost: Callable[[], None],
        on_ledger_trouble: Callable[[Exception], None],
        on_overflow: Callable[[], None],
    ) -> None:
        """Wire the parts.

        Args:
            ports: The outside world.
            options: How the loop runs.
            on_lost: Told when another loop took over.
            on_ledger_trouble: Told when nothing can be recorded.
            on_overflow: Told when too many events wait.
        """
        self._ports = ports
        self._options = options
        self.troubles = Troubles(ports.clock.instant)
        self.lease = LeaseKeeper(
            ports.ledger,
            holder=options.holder,
            ttl_s=options.lease_s,
            machine_time=ports.machine_time,
            troubles=self.troubles,
        )
        self.roster = Roster(ports.ledger, options)
        self.catalog = MarketCatalog(
            ports.market_data, ports.clock, self.troubles, on_change=ports.books.watch
        )
        self.turns = MarketTurns()
        self.tallies = Tallies()
        self.feed_lag, self.own_time, self.venue_time = Latencies(), Latencies(), Latencies()
        self.records = PendingRecords(
            ports.ledger,
            lease=lambda: self.lease.lease,
            on_lost=on_lost,
            on_trouble=self._ledger_trouble,
            on_surprise=lambda leader: self.later(lambda: self.desk.refresh(leader)),
        )
        self.sender = Sender(
            ports.ledger,
            ports.exchange,
            ports.clock,
            self.troubles,
            alert_for=self._fill_alert,
            on_latency=self._note_latency,
            on_end=self._order_ended,
        )
        self.feed_watch = FeedWatch(
            ports.feed,
            ports.books,
            ports.ledger,
            ports.clock,
            mode=options.mode,
            later=self.later,
        )
        self.throttles = Throttles(
            ports.ledger,
            self.roster,
            mode=options.mode,
            own_addresses=options.own_addresses,
            later=self.later,
        )
        self.desk = Desk(
            Bench(
                ports=ports,
                options=options,
                roster=self.roster,
                catalog=self.catalog,
                records=self.records,
                sender=self.sender,
                turns=self.turns,
                tallies=self.tallies,
                feed_lag=self.feed_lag,
                throttles=self.throttles,
                troubles=self.troubles,
                lease=lambda: self.lease.lease,
                on_lost=on_lost,
                later=self.later,
            ),
            on_ledger_trouble=on_ledger_trouble,
            on_overflow=on_overflow,
        )

    def later(self, work: Callable[[], None]) -> None:
        """Do something once the present event is done; a failure is shown, and not raised."""

        def guarded() -> None:
            try:
                work()
            except PolybotError as problem:
                self.troubles.note("afterwards", problem)
            else:
                self.troubles.clear("afterwards")

        asyncio.get_running_loop().call_soon(guarded)

    def status(
        self,
        *,
        phase: CopyPhase,
        at: datetime,
        started_at: datetime,
        end: CopyEnd | None,
        reason: str,
        drift: tuple[Drift, ...],
        drift_at: datetime | None,
    ) -> CopyStatus:
        """Return what there is to show."""
        return CopyStatus(
            phase=phase,
            at=at,
            started_at=started_at,
            end=end,
            reason=reason,
            holder=self._options.holder,
            lease=self.lease.lease,
            trading_state=self.roster.trading_state,
            leaders=tuple(self._leader_status(one) for one in self.roster.leaders),
            counts=self.tallies.total(),
            orders=OrderCounts(
                in_flight=self.sender.in_flight,
                unknown=self.sender.unknown,
                filled=self.sender.filled,
                unfilled=self.sender.unfilled,
                waiting_trades=len(self.desk),
            ),
            feed_lag=self.feed_lag.summary(),
            own_time=self.own_time.summary(),
            venue_time=self.venue_time.summary(),
            sources=self._ports.feed.health(),
            known_markets=len(self.catalog),
            drift=drift,
            drift_at=drift_at,
            troubles=self.troubles.listed(),
            books=self._ports.books.health(),
            later_than_first=self._ports.feed.lags(),
            contradictions=dict(self.feed_watch.contradictions),
        )

    def _leader_status(self, address: LeaderAddress) -> LeaderStatus:
        leader, tally = self.roster.leaders[address], self.tallies.of(address)
        return LeaderStatus(
            address=address,
            name=leader.name,
            state=leader.state,
            state_reason=leader.state_reason,
            counts=tally.counts(),
            last_trade_at=tally.last_trade_at,
            watermark=leader.watermark,
        )

    def _fill_alert(self, fill: Fill, prepared: PreparedOrder, record: CopyRecord) -> Alert:
        leader = self.roster.leaders.get(record.trade.leader)
        name = record.trade.leader if leader is None else leader.name
        return copied_fill_alert(fill, prepared.order, name, mode=self._options.mode)

    def _note_latency(self, record: CopyRecord, latency: CopyLatency) -> None:
        self.records.add_latency(latency)
        received_at = record.trade.received_at
        self.own_time.add((latency.sent_at - received_at).total_seconds())
        self.venue_time.add((latency.acknowledged_at - latency.sent_at).total_seconds())

    def _ledger_trouble(self, problem: Exception) -> None:
        self.desk.block(problem)

    def _order_ended(self, ended: EndedCopy) -> None:
        self.later(lambda: self.desk.order_ended(ended))
