"""The truth about leaders and what was made of their trades."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from polybot.domain.alerts import Alert
from polybot.domain.decisions import Decision
from polybot.domain.leaders import (
    CopyLatency,
    CopyPolicy,
    CopyRecord,
    CopyRecorded,
    DesiredState,
    Leader,
    LeaderAddress,
    LeaderConversion,
    LeaderHolding,
    LeaderPosition,
    LeaderSpending,
    LeaderState,
    LeaderTradeKey,
    Lease,
)
from polybot.domain.orders import PreparedOrder, RiskCheck
from polybot.ports.ledger import LimitChecks

CapChecks = Callable[[LeaderSpending], Sequence[RiskCheck]]
"""A leader's own caps, looked at inside the transaction that records a copy; the spending holds
at least the order's own market."""


class CopyLedger(Protocol):
    """The ledger's part about leaders; the same rules as ``Ledger``, in the same database."""

    # Leaders ------------------------------------------------------------------------------------
    def add_leader(self, leader: Leader) -> bool:
        """Follow a wallet; ``False`` where it is followed already. A removed one comes back."""
        ...

    def set_policy(self, address: LeaderAddress, policy: CopyPolicy, *, at: datetime) -> bool:
        """Replace a leader's policy; ``False`` where nobody such is followed."""
        ...

    def set_leader_state(
        self,
        address: LeaderAddress,
        state: LeaderState,
        *,
        reason: str,
        at: datetime,
        alert: Alert | None = None,
    ) -> bool:
        """Pause, resume, throttle or remove; ``False`` where nobody such is followed."""
        ...

    def leaders(self) -> tuple[Leader, ...]:
        """Return everybody who is not removed, in the order in which they were added."""
        ...

    def leaders_version(self) -> int:
        """Return a number that grows with every change to a leader, cheap to ask every second."""
        ...

    def seed_holdings(
        self, address: LeaderAddress, positions: Iterable[LeaderPosition], *, at: datetime
    ) -> None:
        """Remember what a leader held before its first recorded trade; again: replace the sizes."""
        ...

    def advance_watermarks(self, until: Mapping[LeaderAddress, datetime]) -> None:
        """Note that everything of leaders up to an instant is recorded; none goes back."""
        ...

    # The hot path -------------------------------------------------------------------------------
    def record_copy(
        self,
        record: CopyRecord,
        prepared: PreparedOrder,
        decision: Decision,
        *,
        checks: LimitChecks,
        caps: CapChecks,
        lease: Lease,
    ) -> CopyRecorded:
        """Make a leader trade and the order that copies it durable, in one transaction.

        In this order: the lease must still be ours (its epoch is the newest), the trade's key
        must be new, the leader must be ACTIVE (for a SELL, THROTTLED will do), every ledger limit
        (``checks``) and the leader's own caps on market, leader and day (``caps``, against its
        running totals) must hold; then trade, decision (as PLACED) and order (as SENDING) are
        inserted, the outlay is reserved, and the leader's holding, pending amounts (cleared) and
        spending change; the leader's own size does not where the record ``follows_conversion``.
        Where a limit fails the trade is recorded as REFUSED, with the failed checks' sentences as
        reason, and its decision too.
        """
        ...

    def record_leader_trades(
        self, records: Sequence[CopyRecord], *, lease: Lease
    ) -> dict[LeaderTradeKey, CopyRecorded]:
        """Record trades that are not copied, many in one transaction.

        The leader's holding changes with each; an ACCUMULATED one adds to the pending amounts
        (by ``accumulate_usdc`` and ``accumulate_size``; ``pending_since`` is that of the first).
        A record that ``clears_pending`` first sets the token's pending amounts, both, to zero.
        """
        ...

    def record_conversion(
        self, conversion: LeaderConversion, *, reason: str, lease: Lease
    ) -> CopyRecorded:
        """Record a split, merge or redemption and change the leader's holdings by it."""
        ...

    def record_latencies(self, latencies: Iterable[CopyLatency]) -> None:
        """Note when copies left and when they were answered; afterwards, off the hot path."""
        ...

    def void_leader_trade(self, key: LeaderTradeKey, *, at: datetime, alert: Alert) -> bool:
        """Flag a trade that FAILED after it was recorded; ``False`` where that is known."""
        ...

    # Looking back -------------------------------------------------------------------------------
    def seen_keys(self, address: LeaderAddress, *, since: datetime) -> frozenset[LeaderTradeKey]:
        """Return the keys of trades and conversions that happened since an instant."""
        ...

    def holdings(self, address: LeaderAddress | None = None) -> tuple[LeaderHolding, ...]:
        """Return what leaders hold and we through them, in markets that are not settled."""
        ...

    def spending(self, address: LeaderAddress, *, at: datetime) -> LeaderSpending:
        """Return a leader's running totals."""
        ...

    def copy_log(
        self,
        *,
        address: LeaderAddress | None = None,
        since: datetime | None = None,
        limit: int | None = None,
    ) -> tuple[CopyRecord, ...]:
        """Return recorded leader trades, newest first."""
        ...

    def copy_counts(self, *, since: datetime | None = None) -> dict[tuple[str, str, str], int]:
        """Return how many trades were recorded by (leader, verdict, reason code)."""
        ...

    # One loop at a time -------------------------------------------------------------------------
    def acquire_lease(self, name: str, holder: str, *, ttl_s: float, at: datetime) -> Lease | None:
        """Take a lease that is free, expired or our own; ``None`` while another's runs."""
        ...

    def renew_lease(self, lease: Lease, *, ttl_s: float, at: datetime) -> Lease | None:
        """Extend a lease; ``None`` where another took over."""
        ...

    def release_lease(self, lease: Lease) -> None:
        """Give a lease back, so that the next one need not wait; another's is left alone."""
        ...

    def lease(self, name: str) -> Lease | None:
        """Return who holds a lease, expired or not."""
        ...

    def desired_state(self, name: str) -> DesiredState | None:
        """Return what a person wants of a loop; ``None``: nobody has said."""
        ...

    def set_desired_state(self, state: DesiredState, *, alert: Alert | None = None) -> None:
        """Record what a person wants."""
        ...
