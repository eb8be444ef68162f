"""Being the only copy loop: a lease that is taken, kept, and given back."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Final

from polybot.copy_trading.background import Troubles
from polybot.copy_trading.parts import LEASE_NAME
from polybot.domain.leaders import Lease
from polybot.errors import TransientError
from polybot.ports import CopyLedger

_ASK_EVERY_S: Final = 1.0


class LeaseKeeper:
    """Holds the lease of copy trading; every transaction that copies names it (fencing)."""

    def __init__(
        self,
        ledger: CopyLedger,
        *,
        holder: str,
        ttl_s: float,
        machine_time: Callable[[], datetime],
        troubles: Troubles,
    ) -> None:
        """Take what the lease needs; nothing is asked yet."""
        self._ledger = ledger
        self._holder = holder
        self._ttl_s = ttl_s
        self._now = machine_time
        self._troubles = troubles
        self.lease: Lease | None = None

    @property
    def others(self) -> str:
        """Who holds the lease, for people."""
        held = self._ledger.lease(LEASE_NAME)
        return "nobody" if held is None else held.holder

    def take(self) -> bool:
        """Take the lease where it is free; whether it is ours now.

        Raises:
            TransientError: The ledger cannot be written at the moment.
        """
        self.lease = self._ledger.acquire_lease(
            LEASE_NAME, self._holder, ttl_s=self._ttl_s, at=self._now()
        )
        return self.lease is not None

    async def take_when_free(self, is_over: Callable[[], bool]) -> bool:
        """Wait for the lease; whether it is ours, or ``is_over`` said to give up."""
        while not is_over():
            try:
                if self.take():
                    self._troubles.clear("lease")
                    return True
            except TransientError as problem:
                self._troubles.note("lease", problem)
            await asyncio.sleep(min(_ASK_EVERY_S, self._ttl_s / 3))
        return False

    async def keep(self) -> None:
        """Renew the lease until it is lost; then return at once."""
        while self.lease is not None:
            await asyncio.sleep(self._ttl_s / 3)
            try:
                renewed = self._ledger.renew_lease(self.lease, ttl_s=self._ttl_s, at=self._now())
            except TransientError as problem:
                self._troubles.note("lease", problem)
                # Not renewed is not lost, until it has run out: then another may have begun.
                if self._now() >= self.lease.expires_at:
                    self.lease = None
                continue
            self._troubles.clear("lease")
            self.lease = renewed

    def give_back(self) -> None:
        """Release the lease, so that the next loop need not wait; a failure only costs time."""
        if self.lease is None:
            return
        try:
            self._ledger.release_lease(self.lease)
        except TransientError as problem:
            self._troubles.note("lease", problem)
        self.lease = None
