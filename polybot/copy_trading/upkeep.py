"""What goes on beside the hot path: who is followed, how far all is recorded, how far we drifted.

Each chore is short, runs every few seconds, and is tried again by whoever runs it.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final

import structlog

from polybot.alerts import recorded_fill_alert
from polybot.copy_trading.activity import MAX_TRADES
from polybot.copy_trading.assembly import Assembly
from polybot.copy_trading.drift import compare_holdings, needs_seeding, seeds_of
from polybot.copy_trading.echoes import TRUSTED_FOR
from polybot.copy_trading.notices import clock_alert
from polybot.copy_trading.parts import CopyOptions, CopyPorts
from polybot.copy_trading.placing import FOLLOWS_US
from polybot.copy_trading.reasons import ReasonCode
from polybot.copy_trading.status import Drift
from polybot.domain.accounts import OrderRecord
from polybot.domain.alerts import Alert
from polybot.domain.leaders import CopyVerdict, Leader, LeaderAddress
from polybot.domain.orders import Fill, OrderStatus, Side
from polybot.errors import DataError, TransientError
from polybot.reconciliation import reconcile_account

log = structlog.get_logger(__name__)

COPY_KEY: Final = "copy:"
_THROTTLED: Final = (ReasonCode.THROTTLED, ReasonCode.LEADER_THROTTLED, FOLLOWS_US)
# Written for the next start alone, which re-reads a while before it anyway.
_WATERMARK_STEP: Final = timedelta(seconds=2)
# Leaders per transaction: frames are heard between two of them.
_WATERMARKS_AT_ONCE: Final = 20
# The feed reads back an hour before its last sweep, of which there is one every five minutes.
_LISTED_LATE: Final = timedelta(minutes=65)
# Each may need its order looked up; a loop of followers shows within a hundred.
_MOST_TURNS_READ: Final = 300


class Upkeep:
    """The chores of a loop."""

    def __init__(self, ports: CopyPorts, options: CopyOptions, parts: Assembly) -> None:
        """Take what the chores are about."""
        self._ports = ports
        self._options = options
        self._parts = parts
        self._followed: dict[LeaderAddress, datetime] = {}
        self._is_followed = False
        """Whether the last change to the leaders was taken up."""
        self._began_at = ports.clock.instant()
        self.drift: tuple[Drift, ...] = ()
        self.drift_at: datetime | None = None

    async def reconcile(self) -> None:
        """Bring our record to what the venue says; on paper, look up open orders."""
        ports = self._ports
        await reconcile_account(
            ports.ledger,
            ports.exchange,
            ports.account,
            ports.clock,
            mode=self._options.mode,
            timing=self._options.reconcile_timing,
        )

    def recover_orders(self) -> None:
        """Look up the copies that an earlier loop left in flight; their markets wait for them.

        They are nobody's: whoever sent them has lost the lease.
        """
        for order in self._ports.ledger.open_orders():
            is_open = order.status in (OrderStatus.SENDING, OrderStatus.UNKNOWN)
            if not is_open or not order.decision_key.startswith(COPY_KEY):
                continue
            leader = LeaderAddress(order.decision_key.split(":", 2)[1])
            self._parts.turns.begin(order.condition_id)
            self._parts.sender.recover(order, leader, self._alert_of(order))

    async def follow_leaders(self) -> None:
        """Take up changes to leaders; whoever is new is looked at before he is heard."""
        parts = self._parts
        parts.throttles.write()
        if not parts.roster.reload_leaders() and self._is_followed:
            return
        self._is_followed = False
        now = self._ports.clock.instant()
        parts.throttles.reapply()
        parts.throttles.refuse_ourselves(at=now)
        leaders = parts.roster.leaders
        parts.tallies.keep_only(leaders)
        for address in parts.roster.take_lifted():
            parts.desk.lifted(address)
        new = [one for one in leaders.values() if one.added_at != self._followed.get(one.address)]
        for leader in new:
            await self._welcome(leader, now)
        self._followed = {one.address: one.added_at for one in leaders.values()}
        parts.catalog.cover(parts.roster.series())
        if new or len(self._followed) != len(leaders):
            log.info("following", leaders=len(leaders), new=len(new))
        self._ports.feed.follow({one.address: one.watermark for one in leaders.values()})
        self._is_followed = True

    async def reload(self) -> None:
        """Read equity, trading state and holdings again: others change them too."""
        roster, now = self._parts.roster, self._ports.clock.instant()
        roster.reload_account(now)
        for address in tuple(roster.leaders):
            # What is not written yet would be missing from what is read.
            if not self._parts.records.flush():
                return
            if address in roster.leaders:
                roster.reload_holdings(now, address)
            # Frames are heard between two leaders: all together may take a tenth of a second.
            await asyncio.sleep(0)

    async def serve_waiting(self) -> None:
        """Let events go that have waited for the ledger, or for their turn, long enough."""
        self._parts.desk.retry()
        self._parts.desk.sweep()

    async def compare_clocks(self) -> None:
        """Compare our clock with the venue's; the exchange signs nothing while they differ.

        Raises:
            DataError: They differ by too much; the owner is told.
        """
        if self._ports.compare_clocks is None:
            return
        try:
            difference = await self._ports.compare_clocks()
        except TransientError as problem:
            # What was found before still counts for a while; the exchange knows how long.
            self._parts.troubles.note("venue-time", problem)
            return
        self._parts.troubles.clear("venue-time")
        if difference <= self._options.max_clock_difference:
            return
        at = self._ports.clock.instant()
        self._ports.ledger.add_alert(clock_alert(difference, at=at, mode=self._options.mode), at=at)
        off_s = difference.total_seconds()
        raise DataError(f"our clock differs from the venue's by {off_s:.1f} s", reason="clock-off")

    async def look_at_feeds(self) -> None:
        """Tell the owner what the feeds threw away."""
        self._parts.feed_watch.look()

    async def advance_watermarks(self) -> None:
        """Note how far every leader is recorded; frames are heard in between."""
        for _batch in self._watermarks_written():
            await asyncio.sleep(0)

    def write_watermarks(self) -> None:
        """Note how far every leader is recorded: told for certain, and durable."""
        for _batch in self._watermarks_written():
            """Nothing else goes on any more."""

    def _watermarks_written(self) -> Iterator[None]:
        """Write a few leaders' watermarks with each step."""
        told = tuple(self._ports.feed.read_until().items())
        start = 0
        # What is told and not written yet must not be passed, nor be lost in the end.
        while self._parts.records.flush() and start < len(told):
            moved = dict(self._moved_watermarks(told[start : start + _WATERMARKS_AT_ONCE]))
            start += _WATERMARKS_AT_ONCE
            if moved:
                self._ports.ledger.advance_watermarks(moved)
                for address, until in moved.items():
                    self._parts.roster.note_watermark(address, until)
            yield

    def _moved_watermarks(
        self, told: Iterable[tuple[LeaderAddress, datetime]]
    ) -> Iterator[tuple[LeaderAddress, datetime]]:
        for address, until in told:
            leader = self._parts.roster.leaders.get(address)
            if leader is None:
                continue
            waiting = self._parts.desk.oldest_unrecorded(address)
            recorded = until if waiting is None else min(until, waiting)
            if recorded - leader.watermark >= _WATERMARK_STEP:
                yield address, recorded

    async def compare(self) -> None:
        """Compare our holdings with our leaders', and mend what we believe of theirs."""
        found: list[Drift] = []
        problem: TransientError | DataError | None = None
        for leader in tuple(self._parts.roster.leaders.values()):
            try:
                found += await self._compare_with(leader)
            except (TransientError, DataError) as error:
                problem = error
        self.drift, self.drift_at = tuple(found), self._ports.clock.instant()
        if problem is not None:
            raise problem

    async def _compare_with(self, leader: Leader) -> Iterable[Drift]:
        roster = self._parts.roster
        positions = await self._ports.history.leader_positions(leader.address)
        holdings = roster.holdings_of(leader.address)
        drifts = compare_holdings(leader, positions, holdings)
        now = self._ports.clock.instant()
        last = self._parts.tallies.of(leader.address).last_trade_at or self._began_at
        if needs_seeding(drifts, last_trade_at=last, now=now) and self._parts.records.flush():
            seeds = seeds_of(positions, holdings)
            self._ports.ledger.seed_holdings(leader.address, seeds, at=now)
            roster.reload_holdings(now, leader.address)
            drifts = compare_holdings(leader, positions, roster.holdings_of(leader.address))
        return drifts

    async def _welcome(self, leader: Leader, now: datetime) -> None:
        """Learn what was recorded of a leader and, where that is nothing, what he holds."""
        ledger, desk = self._ports.ledger, self._parts.desk
        known = ledger.seen_keys(leader.address, since=self._read_from(leader))
        desk.seen.learn(known)
        self._ports.feed.remember(known)
        self._recall(leader, now)
        self._recall_turns(leader, now)
        if leader.watermark <= leader.added_at:
            try:
                positions = await self._ports.history.leader_positions(leader.address)
                ledger.seed_holdings(leader.address, seeds_of(positions, ()), at=now)
            except (TransientError, DataError) as problem:
                # Until the comparison mends it, his sales count as full exits.
                self._parts.troubles.note("history", problem)
            else:
                self._parts.troubles.clear("history")
        self._parts.roster.reload_holdings(now, leader.address)

    def _recall(self, leader: Leader, now: datetime) -> None:
        """Count again what was copied a moment ago: a restart lifts no throttle and hides no flip.

        Whoever was throttled then and is active now was lifted by a person: what was copied
        before is forgiven, as it is where the loop itself sees the lift. His exits go on while he
        is throttled, so they count again only once an entry proves the lift.
        """
        policy, recent = leader.policy, self._parts.roster.recent
        longest_s = max(policy.repeat_window_s, policy.flip_s) + policy.max_age_s
        since = max(leader.added_at, now - timedelta(seconds=longest_s))
        recent.forget(leader.address)
        records = self._ports.ledger.copy_log(address=leader.address, since=since, limit=MAX_TRADES)
        is_throttled = False
        for record in reversed(records):
            is_placed = record.verdict is CopyVerdict.PLACED
            if record.reason_code in _THROTTLED:
                recent.forget(leader.address)
                is_throttled = True
            elif is_placed and record.trade.side is Side.BUY:
                is_throttled = False
            if is_placed and not is_throttled:
                recent.note_copy(leader.address, record.decided_at)
            if not record.follows_conversion:
                recent.note(record.trade, record.decided_at)

    def _recall_turns(self, leader: Leader, now: datetime) -> None:
        """Watch again how he traded in turn with us: a restart hides no loop of followers."""
        ledger, desk = self._ports.ledger, self._parts.desk
        desk.lifted(leader.address)
        since = max(leader.added_at, now - TRUSTED_FOR)
        records = ledger.copy_log(address=leader.address, since=since, limit=_MOST_TURNS_READ)
        oldest_first = records[::-1]
        # As they were decided: what is not copied is written a moment later than what is.
        for record in sorted(oldest_first, key=lambda one: one.decided_at):
            if record.reason_code in _THROTTLED:
                desk.lifted(leader.address)
            elif not record.follows_conversion:
                order = None if record.order_id is None else ledger.order(record.order_id)
                desk.recall(record, None if order is None else order.size)

    def _read_from(self, leader: Leader) -> datetime:
        """Return from where on the feed tells again what the ledger has."""
        overlap = timedelta(seconds=self._options.overlap_s)
        return max(leader.added_at, leader.watermark - overlap - _LISTED_LATE)

    def _alert_of(self, order: OrderRecord) -> Callable[[Fill], Alert]:
        return lambda fill: recorded_fill_alert(fill, order, mode=self._options.mode)
