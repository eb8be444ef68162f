"""Deciding on one leader trade and making its copy durable; the order then is the sender's.

Errors of the ledger are raised to the caller, who keeps the event: nothing was recorded then.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, assert_never

import structlog

from polybot.copy_trading.background import Troubles
from polybot.copy_trading.catalog import MarketCatalog
from polybot.copy_trading.decide import (
    CopyOrder,
    CopySituation,
    CopySkip,
    caps_of,
    decide_copy,
    decide_rest,
)
from polybot.copy_trading.echoes import MOMENT, MOST_TURNS, Echo, EchoWatch
from polybot.copy_trading.notices import refused_copy_alert, unsold_alert
from polybot.copy_trading.parts import CopyOptions, CopyPorts
from polybot.copy_trading.records import PendingRecords
from polybot.copy_trading.roster import Roster
from polybot.copy_trading.sending import Sender
from polybot.copy_trading.tally import Latencies, Tallies
from polybot.copy_trading.throttles import Throttles
from polybot.copy_trading.turns import ExitAgain, MarketTurns
from polybot.domain.alerts import Alert
from polybot.domain.leaders import (
    CopyAnswer,
    CopyRecord,
    CopyRecorded,
    CopyVerdict,
    Leader,
    LeaderTrade,
    LeaderTradeKey,
    Lease,
)
from polybot.domain.money import ZERO_SHARES, Shares
from polybot.domain.orders import PreparedOrder, Side
from polybot.errors import DataError, PermanentError
from polybot.limits import ledger_checks

log = structlog.get_logger(__name__)

# Reason codes of the loop itself; the others are the policy's.
FOLLOWER_LOOP: Final = "follower-loop"
"""He may follow us: this one trade is left uncopied, to see whether he goes on."""
FOLLOWS_US: Final = "follows-us"
"""He does, and is throttled from here on."""
NOT_PERMITTED: Final = "not-permitted"
DEFECT: Final = "defect"
_MAY_FOLLOW: Final = (
    f"{MOST_TURNS} times in a row he traded within {MOMENT.total_seconds():g} s after our own "
    "order, alike in token, direction and size: not copied, to see whether he goes on"
)
_FOLLOWS: Final = "he trades only after our own orders, and not without them: he seems to follow us"
# Apart from true repeats of the leader's own trade.
_ATTEMPTS_FROM: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What the steps of copying share."""

    ports: CopyPorts
    options: CopyOptions
    roster: Roster
    catalog: MarketCatalog
    records: PendingRecords
    sender: Sender
    turns: MarketTurns
    tallies: Tallies
    feed_lag: Latencies
    throttles: Throttles
    troubles: Troubles
    lease: Callable[[], Lease | None]
    on_lost: Callable[[], None]
    later: Callable[[Callable[[], None]], None]
    """Runs something once the present event is done; its failures are shown."""


class Placing:
    """Turns leader trades into records and orders."""

    def __init__(self, bench: Bench) -> None:
        """Take what the steps share."""
        self._bench = bench
        self.echoes = EchoWatch()

    def trade(self, trade: LeaderTrade, leader: Leader, *, now: datetime) -> None:
        """Decide on a trade, once; record what comes of it."""
        bench = self._bench
        echo = self.echoes.hear(trade)
        if echo is Echo.NONE:
            self._decide(trade, leader, now)
        elif echo is Echo.SUSPECTED:
            self.skip(_skipped(trade, FOLLOWER_LOOP, _MAY_FOLLOW, at=now))
        else:
            self._stop_loop(trade, leader, now)
        bench.roster.recent.note(trade, now)

    def recall(self, record: CopyRecord, size: Shares | None) -> None:
        """Take in what an earlier loop recorded of a trade, for the watch over followers.

        Args:
            record: Of a trade that the leader made; later ones follow.
            size: Of the order that copied it [shares].
        """
        trade = record.trade
        self.echoes.recall(trade, was_left_out=record.reason_code == FOLLOWER_LOOP)
        if size is not None and trade.side is Side.BUY:
            self.echoes.note_order(trade, size, record.decided_at)

    def exit_again(
        self, again: ExitAgain, leader: Leader, *, now: datetime
    ) -> LeaderTradeKey | None:
        """Try to sell what an exit has left over; give up, and tell, where that is not allowed.

        Shares that were just bought cannot be sold before their trade is mined, and a book may be
        empty for a moment. The record is one of a sale that the leader did not make, as after a
        conversion, under a key of its own.

        Returns:
            The key of the order's record; ``None`` where there is no order.

        Raises:
            TransientError, PermanentError: As ``order``.
        """
        bench = self._bench
        occurrence = again.trade.occurrence + _ATTEMPTS_FROM * again.attempt
        trade = replace(again.trade, occurrence=occurrence)
        situation = self._situation(trade, leader, now)
        holding, book = situation.holding, situation.book
        if holding is None or holding.our_size <= 0:
            return None
        if not again.has_price and book is not None and book.best_bid is not None:
            trade = replace(trade, price=book.best_bid)
        # All that is left over, as if he had sold all that he had.
        rest = replace(
            holding,
            leader_size=trade.size,
            our_size=Shares(min(again.size, holding.our_size)),
            pending_size=ZERO_SHARES,
        )
        left = replace(situation, holding=rest)
        decision = decide_rest(trade, left, max_age_s=again.max_age_s(leader.policy))
        if isinstance(decision, CopyOrder):
            answer = self.order(decision, leader, now=now)
            return trade.key if answer is CopyAnswer.RECORDED else None
        reason = decision.record.reason
        log.warning("exit given up", key=again.trade.key, size=str(again.size), reason=reason)
        mode = bench.options.mode
        alert = unsold_alert(again.trade, again.size, reason, leader.name, at=now, mode=mode)
        bench.later(lambda: _tell(bench, alert, now))
        return None

    def skip(self, record: CopyRecord) -> None:
        """Record soon that a trade is not copied."""
        bench = self._bench
        tally = bench.tallies.of(record.trade.leader)
        if record.verdict is CopyVerdict.ACCUMULATED:
            tally.accumulated += 1
        else:
            tally.skip(record.reason_code)
        bench.roster.apply(record)
        bench.records.add(record)

    def order(self, copy: CopyOrder, leader: Leader, *, now: datetime) -> CopyAnswer | None:
        """Sign an order, record it durably and send it.

        Returns:
            What recording it did; ``None`` where no order could be made and a skip was recorded.

        Raises:
            TransientError, PermanentError: Nothing is recorded, and nothing was sent.
        """
        bench = self._bench
        lease = bench.lease()
        if lease is None:
            return CopyAnswer.LEASE_LOST
        trade = copy.record.trade
        prepared = self._prepared(copy, now)
        if isinstance(prepared, CopyRecord):
            self.skip(prepared)
            return None
        if bench.records.has_pending_amounts(trade.leader, trade.token_id):
            bench.records.flush()
        order = prepared.order
        recorded = bench.ports.ledger.record_copy(
            copy.record,
            prepared,
            copy.decision,
            checks=ledger_checks(order, bench.options.limits, now=now),
            caps=caps_of(leader.policy, order),
            lease=lease,
        )
        self._after(copy.record, prepared, leader, recorded, now)
        return recorded.answer

    def _stop_loop(self, trade: LeaderTrade, leader: Leader, now: datetime) -> None:
        self._bench.throttles.throttle(leader, _FOLLOWS, at=now)
        if trade.side is Side.SELL:
            # A throttle stops entries alone.
            self._decide(trade, leader, now)
        else:
            self.skip(_skipped(trade, FOLLOWS_US, _FOLLOWS, at=now))

    def _decide(self, trade: LeaderTrade, leader: Leader, now: datetime) -> None:
        bench = self._bench
        situation = self._situation(trade, leader, now)
        try:
            decision = decide_copy(trade, situation)
        # A defect in a decision must stop neither the loop nor the other leaders.
        except Exception as defect:
            with suppress(OSError):
                log.exception("deciding on a leader trade failed", key=trade.key)
            bench.troubles.note("decisions", defect)
            self.skip(_skipped(trade, DEFECT, f"deciding failed: {defect}"[:300], at=now))
            return
        match decision:
            case CopyOrder():
                self.order(decision, leader, now=now)
            case CopySkip(record=record, must_throttle=must_throttle):
                if must_throttle:
                    bench.throttles.throttle(leader, record.reason, at=now)
                self.skip(record)
            case _ as never:
                assert_never(never)

    def _situation(self, trade: LeaderTrade, leader: Leader, now: datetime) -> CopySituation:
        bench = self._bench
        market = bench.catalog.market_of(trade.token_id)
        if market is None:
            bench.catalog.ask_for(trade.slug)
        book = bench.ports.books.book(trade.token_id)
        return bench.roster.situation(leader, trade.token_id, market=market, book=book, now=now)

    def _prepared(self, copy: CopyOrder, now: datetime) -> PreparedOrder | CopyRecord:
        try:
            return self._bench.ports.exchange.prepare(copy.approved, created_at=now)
        except DataError as problem:
            return _not_copied(copy.record, problem.reason, str(problem))
        except PermanentError as problem:
            return _not_copied(copy.record, NOT_PERMITTED, str(problem))

    def _after(
        self,
        record: CopyRecord,
        prepared: PreparedOrder,
        leader: Leader,
        recorded: CopyRecorded,
        now: datetime,
    ) -> None:
        bench, trade = self._bench, record.trade
        tally = bench.tallies.of(trade.leader)
        match recorded.answer:
            case CopyAnswer.RECORDED:
                bench.turns.begin(trade.condition_id)
                bench.sender.send(record, prepared)
                tally.copied += 1
                # The order does not wait for what only later trades need to know.
                reads = bench.roster.reads_of(trade.leader)
                bench.later(lambda: self._remember(record, prepared, now, reads))
            case CopyAnswer.ALREADY_SEEN:
                tally.repeated += 1
                bench.later(lambda: bench.roster.reload_holdings(now, trade.leader))
            case CopyAnswer.REFUSED:
                failed = recorded.failed
                tally.refuse(failed[0].name if failed else "limit")
                bench.roster.apply(replace(record, verdict=CopyVerdict.REFUSED))
                alert = refused_copy_alert(record, failed, leader, mode=bench.options.mode)
                bench.later(lambda: _tell(bench, alert, now))
            case CopyAnswer.LEASE_LOST:
                bench.on_lost()
            case _ as never:
                assert_never(never)

    def _remember(
        self, record: CopyRecord, prepared: PreparedOrder, now: datetime, reads: int
    ) -> None:
        bench, trade = self._bench, record.trade
        # Where the ledger was read since, the trade is in what was read.
        if bench.roster.reads_of(trade.leader) == reads:
            bench.roster.apply(record)
        bench.roster.recent.note_copy(trade.leader, now)
        if trade.side is Side.BUY:
            self.echoes.note_order(trade, prepared.order.size, now)
        bench.feed_lag.add((trade.received_at - trade.traded_at).total_seconds())


def _tell(bench: Bench, alert: Alert, now: datetime) -> None:
    bench.ports.ledger.add_alert(alert, at=now)


def _skipped(trade: LeaderTrade, reason_code: str, reason: str, *, at: datetime) -> CopyRecord:
    return CopyRecord(
        trade=trade,
        verdict=CopyVerdict.SKIPPED,
        reason_code=reason_code,
        reason=reason,
        decided_at=at,
    )


def _not_copied(record: CopyRecord, reason_code: str, reason: str) -> CopyRecord:
    return replace(
        record,
        verdict=CopyVerdict.SKIPPED,
        reason_code=reason_code,
        reason=reason,
        decision_key=None,
    )
