"""What may wait a moment to be written: trades that are not copied, and latencies.

Skips go into one transaction for many, at the latest a tenth of a second after the first. They
are lost in a crash before that, and heard again: the watermark never passes them.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Final

from polybot.domain.leaders import (
    CopyAnswer,
    CopyLatency,
    CopyRecord,
    CopyVerdict,
    LeaderAddress,
    Lease,
)
from polybot.domain.markets import OutcomeTokenId
from polybot.errors import PermanentError, TransientError
from polybot.ports import CopyLedger

MOST_WAITING: Final = 100
LONGEST_WAIT_S: Final = 0.1


class PendingRecords:
    """Collects records and writes them in batches, in the order in which they came."""

    def __init__(
        self,
        ledger: CopyLedger,
        *,
        lease: Callable[[], Lease | None],
        on_lost: Callable[[], None],
        on_trouble: Callable[[Exception], None],
        on_surprise: Callable[[LeaderAddress], None],
    ) -> None:
        """Take the ledger and whom to tell.

        Args:
            ledger: Where records go.
            lease: Ours, ``None`` once it is lost.
            on_lost: Told when the ledger says that another loop took over.
            on_trouble: Told that nothing could be written; the records are kept.
            on_surprise: Told whose trade the ledger knew already, or refused: the mirror of his
                holdings is wrong.
        """
        self._ledger = ledger
        self._lease = lease
        self._on_lost = on_lost
        self._on_trouble = on_trouble
        self._on_surprise = on_surprise
        self._records: list[CopyRecord] = []
        self._latencies: list[CopyLatency] = []
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """Return how many records wait."""
        return len(self._records)

    def add(self, record: CopyRecord) -> None:
        """Write a record soon."""
        self._records.append(record)
        if len(self._records) >= MOST_WAITING:
            self.flush()
        else:
            self._wake()

    def add_latency(self, latency: CopyLatency) -> None:
        """Write an order's instants soon."""
        self._latencies.append(latency)
        self._wake()

    def has_pending_amounts(self, leader: LeaderAddress, token_id: OutcomeTokenId) -> bool:
        """Return whether a waiting record adds to, or clears, what is pending of a token.

        Such records must be written before the order that takes the pending amount along.
        """
        return any(
            record.trade.token_id == token_id
            and record.trade.leader == leader
            and (record.verdict is CopyVerdict.ACCUMULATED or record.clears_pending)
            for record in self._records
        )

    def oldest(self, leader: LeaderAddress) -> datetime | None:
        """Return the fill of the oldest of a leader's waiting records."""
        instants = (r.trade.traded_at for r in self._records if r.trade.leader == leader)
        return min(instants, default=None)

    def flush(self) -> bool:
        """Write everything now; whether nothing waits any more."""
        self._sleep()
        lease = self._lease()
        if lease is None:
            return False
        try:
            self._write_records(lease)
            self._write_latencies()
        except (TransientError, PermanentError) as problem:
            self._on_trouble(problem)
            return False
        return True

    def _write_records(self, lease: Lease) -> None:
        if not self._records:
            return
        records = tuple(self._records)
        answers = self._ledger.record_leader_trades(records, lease=lease)
        found = {key: recorded.answer for key, recorded in answers.items()}
        if CopyAnswer.LEASE_LOST in found.values():
            self._on_lost()
            return
        self._records.clear()
        surprised = {
            record.trade.leader
            for record in records
            if found.get(record.trade.key) is not CopyAnswer.RECORDED
        }
        for leader in surprised:
            self._on_surprise(leader)

    def _write_latencies(self) -> None:
        if self._latencies:
            self._ledger.record_latencies(self._latencies)
            self._latencies.clear()

    def _wake(self) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(LONGEST_WAIT_S, self.flush)

    def _sleep(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
