"""Leaders' merges and redemptions: ours are closed by sales, one market's orders in turn.

The exits are recorded before the conversion itself: after a crash in between it is heard again.
"""

from collections import OrderedDict
from datetime import datetime
from typing import Final

from polybot.copy_trading.decide import CopyOrder, CopySkip, decide_exit
from polybot.copy_trading.placing import Bench, Placing
from polybot.domain.leaders import (
    CopyAnswer,
    Leader,
    LeaderConversion,
    LeaderTradeKey,
)
from polybot.domain.markets import OutcomeTokenId

_MOST: Final = 1024


class Conversions:
    """Follows leaders out of markets."""

    def __init__(self, bench: Bench, placing: Placing) -> None:
        """Take what the steps share."""
        self._bench = bench
        self._placing = placing
        # Tokens whose exit was tried, of conversions that are not recorded yet.
        self._tried: OrderedDict[LeaderTradeKey, set[OutcomeTokenId]] = OrderedDict()

    def follow(self, conversion: LeaderConversion, leader: Leader, *, now: datetime) -> bool:
        """Send the next exit of a conversion, or record that all were tried.

        Returns:
            Whether the conversion is recorded; otherwise call again once the market is free.

        Raises:
            TransientError, PermanentError: Nothing is recorded; call again.
        """
        tried = self._tried.setdefault(conversion.key, set())
        if len(self._tried) > _MOST:
            self._tried.popitem(last=False)
        for decision in self._decisions(conversion, leader, now):
            token_id = decision.record.trade.token_id
            if token_id in tried:
                continue
            match decision:
                case CopyOrder():
                    answer = self._placing.order(decision, leader, now=now)
                    if answer is CopyAnswer.LEASE_LOST:
                        return False
                    tried.add(token_id)
                    if answer is CopyAnswer.RECORDED:
                        return False
                case CopySkip(record=record):
                    tried.add(token_id)
                    self._placing.skip(record)
        self._record(conversion)
        return True

    def _decisions(
        self, conversion: LeaderConversion, leader: Leader, now: datetime
    ) -> tuple[CopyOrder | CopySkip, ...]:
        bench = self._bench
        held = bench.roster.holdings_in(leader.address, conversion.condition_id)
        situations = [
            bench.roster.situation(
                leader,
                holding.token_id,
                market=bench.catalog.market_of(holding.token_id),
                book=bench.ports.books.book(holding.token_id),
                now=now,
            )
            for holding in held
            if holding.our_size > 0
        ]
        return decide_exit(conversion, situations)

    def _record(self, conversion: LeaderConversion) -> None:
        bench = self._bench
        lease = bench.lease()
        if lease is None:
            return
        # The skips before it belong to the state before it.
        bench.records.flush()
        tried = len(self._tried.get(conversion.key, ()))
        reason = f"{conversion.kind} of {conversion.size}; {tried} of our tokens looked at"
        recorded = bench.ports.ledger.record_conversion(conversion, reason=reason, lease=lease)
        self._tried.pop(conversion.key, None)
        if recorded.answer is CopyAnswer.LEASE_LOST:
            bench.on_lost()
        elif recorded.answer is CopyAnswer.RECORDED:
            bench.tallies.of(conversion.leader).conversions += 1
            bench.roster.apply_conversion(conversion)
