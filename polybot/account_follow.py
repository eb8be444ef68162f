"""Hearing of our fills as they happen: every event says "look now", and reading decides.

The user socket replays nothing and may leave fields out, so nothing is booked from it: a trade
that is heard of is read again, and each (re)connection re-reads everything.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, assert_never

from polybot.account_trades import record_trades
from polybot.domain.modes import Mode
from polybot.domain.orders import Fill
from polybot.domain.reconciliation import ReconcileTiming
from polybot.domain.venue_account import (
    OrderSeen,
    Reconnected,
    TradesSeen,
    Unreadable,
    UserEvent,
)
from polybot.errors import DataError, TransientError
from polybot.ports import AccountExchange, Clock, Ledger, VenueAccount
from polybot.reconciliation import DEFAULT_TIMING, reconcile_account

# The socket may date a trade otherwise than the list of trades.
_OVERLAP: Final = timedelta(minutes=1)
BEAT_EVERY_S: Final = 5.0
"""Half of what the venue waits (docs.polymarket.com/api-reference/trade/send-heartbeat)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """What listening has brought so far."""

    events: int = 0
    reconciliations: int = 0
    new_fills: tuple[Fill, ...] = ()
    voided_fills: tuple[Fill, ...] = ()


async def follow_account(
    events: AsyncIterator[UserEvent],
    ledger: Ledger,
    exchange: AccountExchange,
    account: VenueAccount,
    clock: Clock,
    *,
    mode: Mode,
    timing: ReconcileTiming = DEFAULT_TIMING,
) -> Followed:
    """Keep our record up to date for as long as events come; the caller ends it.

    Args:
        events: Of the user socket, which reconnects by itself.
        ledger: Our record.
        exchange: Looks up our open orders.
        account: What is heard of is read here.
        clock: Read at each event.
        mode: For the alerts.
        timing: How late the venue may be.

    Raises:
        PermanentError: The venue refuses to be asked, or the socket refuses the credentials.
    """
    listener = _Listener(ledger, exchange, account, clock, mode=mode, timing=timing)
    async for event in events:
        await listener.hear(event)
    return listener.followed


@asynccontextmanager
async def beating(beat: Callable[[], Awaitable[None]] | None) -> AsyncIterator[None]:
    """Keep the venue's dead-man switch from going off while the block runs.

    A beat that was not answered is followed by the next one; the venue waits for two.

    Args:
        beat: Renews it; ``None``: nobody started it.

    Raises:
        PermanentError: The venue refuses the beats; a person must mend that.
    """
    if beat is None:
        yield
        return
    heart = asyncio.create_task(_keep_beating(beat))
    try:
        yield
    finally:
        heart.cancel()
        with suppress(asyncio.CancelledError):
            await heart


async def _keep_beating(beat: Callable[[], Awaitable[None]]) -> None:
    while True:
        with suppress(TransientError, DataError):
            await beat()
        # By this machine's timers: the venue counts real seconds.
        await asyncio.sleep(BEAT_EVERY_S)


class _Listener:
    """Reads what is heard of."""

    def __init__(
        self,
        ledger: Ledger,
        exchange: AccountExchange,
        account: VenueAccount,
        clock: Clock,
        *,
        mode: Mode,
        timing: ReconcileTiming,
    ) -> None:
        self._ledger = ledger
        self._exchange = exchange
        self._account = account
        self._clock = clock
        self._mode = mode
        self._timing = timing
        self.followed = Followed()

    async def hear(self, event: UserEvent) -> None:
        self.followed = replace(self.followed, events=self.followed.events + 1)
        match event:
            case TradesSeen():
                await self._read_trades(event)
            case OrderSeen():
                # Strangers' orders are none of our business.
                if self._ledger.order(event.order.order_id) is not None:
                    await self._read_everything()
            case Reconnected() | Unreadable():
                await self._read_everything()
            case _ as never:
                assert_never(never)

    async def _read_trades(self, event: TradesSeen) -> None:
        now = await self._clock.now()
        since = min((trade.matched_at for trade in event.found.trades), default=now) - _OVERLAP
        try:
            seen = await self._account.trades(after=since)
        except (TransientError, DataError):
            # The reconciliation meets the same trouble, says so, and holds new orders back.
            await self._read_everything()
            return
        found = record_trades(self._ledger, seen, at=now, mode=self._mode)
        self._add(found.new_fills, found.voided_fills)

    async def _read_everything(self) -> None:
        found = await reconcile_account(
            self._ledger,
            self._exchange,
            self._account,
            self._clock,
            mode=self._mode,
            timing=self._timing,
        )
        count = self.followed.reconciliations + 1
        self.followed = replace(self.followed, reconciliations=count)
        self._add(found.new_fills, found.voided_fills)

    def _add(self, new_fills: tuple[Fill, ...], voided_fills: tuple[Fill, ...]) -> None:
        self.followed = replace(
            self.followed,
            new_fills=self.followed.new_fills + new_fills,
            voided_fills=self.followed.voided_fills + voided_fills,
        )
