"""The desk: where leaders' events arrive, one synchronous step each.

Heard before? Whose turn is it in the market? Can the ledger be written? Then the event is decided
on, recorded and its order handed to the sender; otherwise it waits here, in bounded memory.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, assert_never

import structlog

from polybot.copy_trading.conversions import Conversions
from polybot.copy_trading.notices import voided_alert
from polybot.copy_trading.placing import Bench, Placing
from polybot.copy_trading.seen import SeenKeys
from polybot.copy_trading.sending import EndedCopy
from polybot.copy_trading.turns import DeskEvent, ExitAgain, happened_at
from polybot.domain.leaders import (
    CopyPolicy,
    CopyRecord,
    Leader,
    LeaderAddress,
    LeaderConversion,
    LeaderEvent,
    LeaderTrade,
    LeaderTradeKey,
)
from polybot.domain.markets import ConditionId, OutcomeTokenId
from polybot.domain.money import Shares
from polybot.errors import PermanentError, TransientError

log = structlog.get_logger(__name__)

# Events that wait while the ledger cannot be written, or for their turn. More than that means a
# fault of hours: the loop then ends, and the next one reads everything from the watermark on.
MOST_HELD: Final = 10_000
# Shares that were just bought cannot be sold before their trade is mined: some seconds.
EXIT_AGAIN_AFTER_S: Final = 1.0
MOST_ATTEMPTS: Final = 10
# Less is the dust of the venue's grid [shares].
LEAST_REST: Final = Decimal("0.01")


class Desk:
    """Takes events from the feed; closed at first and in the end."""

    def __init__(
        self,
        bench: Bench,
        *,
        on_ledger_trouble: Callable[[Exception], None],
        on_overflow: Callable[[], None],
    ) -> None:
        """Take what the steps share.

        Args:
            bench: The collaborators.
            on_ledger_trouble: Told that nothing can be recorded; events wait from then on.
            on_overflow: Told that too many wait.
        """
        self._bench = bench
        self._placing = Placing(bench)
        self._conversions = Conversions(bench, self._placing)
        self._on_ledger_trouble = on_ledger_trouble
        self._on_overflow = on_overflow
        self._held: deque[DeskEvent] = deque()
        self._attempts: dict[LeaderTradeKey, ExitAgain] = {}
        self.seen = SeenKeys()
        self.is_open = False
        self.is_blocked = False
        """Whether the ledger could not be written; ``retry`` lifts it."""

    def __len__(self) -> int:
        """Return how many events wait."""
        return len(self._held) + len(self._bench.turns)

    def hear(self, event: LeaderEvent) -> None:
        """Take an event from the feed; never raises."""
        if not self.is_open:
            return
        leader = self._bench.roster.leaders.get(event.leader)
        # What happened before is part of what the leader was found to hold.
        if leader is None or happened_at(event) < leader.added_at:
            return
        tally = self._bench.tallies.of(event.leader)
        if not self.seen.is_new(event.key):
            tally.repeated += 1
            return
        if isinstance(event, LeaderTrade):
            tally.seen += 1
            if tally.last_trade_at is None or event.traded_at > tally.last_trade_at:
                tally.last_trade_at = event.traded_at
        if len(self) >= MOST_HELD:
            self._on_overflow()
        else:
            self._take_turn(event)

    def void(self, key: LeaderTradeKey) -> None:
        """Note that a leader's trade FAILED after it was told."""
        bench = self._bench
        address, _, token_id, *_rest = key.split(":")
        leader = bench.roster.leaders.get(LeaderAddress(address))
        market = bench.catalog.market_of(OutcomeTokenId(token_id))
        at = bench.ports.clock.instant()
        alert = voided_alert(
            key,
            token_id if market is None else market.slug,
            address if leader is None else leader.name,
            at=at,
            mode=bench.options.mode,
        )

        def write() -> None:
            bench.records.flush()
            if bench.ports.ledger.void_leader_trade(key, at=at, alert=alert):
                bench.tallies.of(LeaderAddress(address)).voided += 1
                bench.roster.reload_holdings(at, LeaderAddress(address))

        bench.later(write)

    def order_ended(self, ended: EndedCopy) -> None:
        """Give the market to whoever waits for it, on what is held now."""
        self._bench.turns.end(ended.condition_id)
        self.refresh(ended.leader)
        self._sell_rest(ended)
        self.drain(ended.condition_id)

    def refresh(self, leader: LeaderAddress) -> None:
        """Read again what a leader holds and we through him."""
        bench = self._bench
        try:
            if bench.records.flush():
                bench.roster.reload_holdings(bench.ports.clock.instant(), leader)
        except (TransientError, PermanentError) as problem:
            self.block(problem)

    def drain(self, condition_id: ConditionId) -> None:
        """Handle what waits for a market, until it is busy again."""
        while self.is_open and not self.is_blocked:
            event = self._bench.turns.next(condition_id)
            if event is None:
                return
            self._handle(event)

    def sweep(self) -> None:
        """Handle what has waited for its turn so long that it is not copied any more."""
        now = self._bench.ports.clock.instant()
        for event in [one for one in self._bench.turns.waiting() if self._is_overdue(one, now)]:
            if self.is_open and not self.is_blocked:
                self._bench.turns.take(event)
                self._handle(event)
        for condition_id in self._bench.turns.free_markets():
            self.drain(condition_id)

    def retry(self) -> None:
        """Try to write again, the oldest first; whatever fails keeps waiting."""
        if not self.is_blocked:
            return
        self.is_blocked = False
        if not self._bench.records.flush():
            return
        while self._held and not self.is_blocked:
            event = self._held.popleft()
            if self._bench.turns.must_wait(event.condition_id):
                self._bench.turns.wait(event)
            else:
                self._handle(event)
        if not self.is_blocked:
            self._bench.troubles.clear("ledger")

    def block(self, problem: Exception) -> None:
        """Hold events back: the ledger could not be written."""
        self.is_blocked = True
        self._bench.troubles.note("ledger", problem)
        self._on_ledger_trouble(problem)

    def recall(self, record: CopyRecord, size: Shares | None) -> None:
        """Take in what an earlier loop recorded of a trade, and its order's size [shares]."""
        self._placing.recall(record, size)

    def lifted(self, leader: LeaderAddress) -> None:
        """Forget what a leader was throttled for: a person has looked at him."""
        self._placing.echoes.forget(leader)

    def oldest_unrecorded(self, leader: LeaderAddress) -> datetime | None:
        """Return when the oldest of a leader's events happened that is not durable yet."""
        bench = self._bench
        held = (happened_at(event) for event in self._held if event.leader == leader)
        instants = (*held, bench.turns.oldest(leader), bench.records.oldest(leader))
        return min((one for one in instants if one is not None), default=None)

    def _sell_rest(self, ended: EndedCopy) -> None:
        """Let an exit that has sold too little have another turn in a moment."""
        if ended.exit is None:
            return
        before = self._attempts.pop(ended.exit.key, None)
        if ended.unsold < LEAST_REST:
            return
        again = ExitAgain(
            trade=ended.exit if before is None else before.trade,
            has_price=not ended.follows_conversion if before is None else before.has_price,
            size=ended.unsold,
            attempt=1 if before is None else before.attempt + 1,
        )
        if again.attempt <= MOST_ATTEMPTS:
            asyncio.get_running_loop().call_later(EXIT_AGAIN_AFTER_S, self._take_turn, again)

    def _take_turn(self, event: DeskEvent) -> None:
        if not self.is_open:
            return
        if self.is_blocked:
            self._held.append(event)
        elif self._bench.turns.must_wait(event.condition_id):
            self._bench.turns.wait(event)
        else:
            self._handle(event)

    def _handle(self, event: DeskEvent) -> None:
        leader = self._bench.roster.leaders.get(event.leader)
        if leader is None:
            return
        try:
            self._carry_out(event, leader)
        except (TransientError, PermanentError) as problem:
            self._held.appendleft(event)
            self.block(problem)
        # The feed must go on whatever one event does; what is lost here is heard of again after a
        # restart, because the ledger does not have it.
        except Exception as defect:
            with suppress(OSError):
                log.exception("handling a leader's event failed", key=event.key)
            self._bench.troubles.note("desk", defect)

    def _carry_out(self, event: DeskEvent, leader: Leader) -> None:
        now = self._bench.ports.clock.instant()
        if isinstance(event, LeaderTrade):
            self._placing.trade(event, leader, now=now)
        elif isinstance(event, ExitAgain):
            key = self._placing.exit_again(event, leader, now=now)
            if key is not None:
                self._attempts[key] = event
        elif not self._conversions.follow(event, leader, now=now):
            self._bench.turns.wait_first(event)

    def _is_overdue(self, event: DeskEvent, now: datetime) -> bool:
        leader = self._bench.roster.leaders.get(event.leader)
        if leader is None:
            return True
        return now - happened_at(event) > timedelta(seconds=_longest_s(event, leader.policy))


def _longest_s(event: DeskEvent, policy: CopyPolicy) -> float:
    """Return how old an event may be for its turn [s]."""
    match event:
        case LeaderTrade():
            return policy.max_age_s
        case LeaderConversion():
            return policy.max_conversion_age_s
        case ExitAgain():
            return event.max_age_s(policy)
        case _ as never:
            assert_never(never)
