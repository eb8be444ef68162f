"""The copy loop: from a leader's trade to our order, with nothing slow in between.

The loop owns the order of things: the lease before anything, the books reconciled before the
first copy, what leaders hold before their trades; and in the end no new copies, every order in
flight recorded, the lease given back. What it does with one trade is the desk's.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

import structlog

from polybot.copy_trading.assembly import Assembly
from polybot.copy_trading.background import keep_running, repeat
from polybot.copy_trading.notices import ledger_trouble_alert
from polybot.copy_trading.parts import CopyOptions, CopyPorts
from polybot.copy_trading.status import CopyEnd, CopyPhase, CopyStatus
from polybot.copy_trading.upkeep import Upkeep
from polybot.copy_trading.wanted import is_wanted
from polybot.domain.leaders import LeaderTrade, LeaderTradeKey
from polybot.domain.markets import Market, OutcomeTokenId
from polybot.errors import DataError, PolybotError, TransientError

log = structlog.get_logger(__name__)

_WISHES_EVERY_S: Final = 1.0
_LEADERS_EVERY_S: Final = 1.0
_WAITING_EVERY_S: Final = 0.5
_RELOAD_EVERY_S: Final = 5.0
_WATERMARKS_EVERY_S: Final = 5.0
_FEEDS_EVERY_S: Final = 5.0
_CLOCKS_EVERY_S: Final = 20.0
_RETRY_START_S: Final = 2.0
# A leader's fresh trade should find a book; without any in time the loop starts all the same.
_BOOKS_WITHIN_S: Final = 5.0
_LOOK_FOR_BOOKS_S: Final = 0.05
# The background ends at its next await; this bounds a part that does not.
_BACKGROUND_ENDS_WITHIN_S: Final = 1.0
# Without these nothing is copied.
_VITAL: Final = ("ledger", "feed", "books", "start", "clock")


class CopyLoop:
    """Copies leaders' trades for as long as it runs; one value of it runs once."""

    def __init__(self, ports: CopyPorts, options: CopyOptions) -> None:
        """Take everything; nothing is read or sent before ``run``."""
        self._ports = ports
        self._options = options
        self._ended = asyncio.Event()
        self._end: CopyEnd | None = None
        self._reason = ""
        self._fault: PolybotError | None = None
        self._phase = CopyPhase.WAITING
        self._parts = Assembly(
            ports,
            options,
            on_lost=self._lose,
            on_ledger_trouble=self._tell_ledger_trouble,
            on_overflow=self._overflow,
        )
        self._upkeep = Upkeep(ports, options, self._parts)
        self._started_at = ports.clock.instant()
        self._tasks: set[asyncio.Task[None]] = set()
        self._told_trouble_since: datetime | None = None

    async def run(self, stop: asyncio.Event) -> CopyStatus:
        """Trade until ``stop`` is set, the lease is lost, or nobody wants copies any more.

        Waits while another loop holds the lease. Ends within ten seconds of its reason: no new
        copies, orders in flight recorded, background work ended, the lease given back. A
        cancellation ends it the same way, without waiting for answers.

        Returns:
            The last status; ``end`` says why.

        Raises:
            PermanentError: The venue refuses to be asked, or the ledger is damaged.
            TransientError: More trades wait than may be kept in memory.
        """
        self._spawn(self._listen(stop))
        patience_s = 0.0
        try:
            if await self._parts.lease.take_when_free(self._ended.is_set):
                self._spawn(self._keep_lease())
                await self._start()
                await self._ended.wait()
            patience_s = self._options.stop_within_s
        finally:
            self._stop_because(CopyEnd.STOP, "ended from outside")
            await self._finish(patience_s)
        if self._fault is not None:
            raise self._fault
        return self.status()

    def status(self) -> CopyStatus:
        """Return what there is to show now; cheap, at any time."""
        phase, reason = self._phase, self._reason
        if phase is CopyPhase.TRADING:
            broken = [
                t for t in self._parts.troubles.listed() if t.part in _VITAL and not t.is_over
            ]
            if broken:
                phase, reason = CopyPhase.BROKEN, f"{broken[0].part}: {broken[0].problem}"
        return self._parts.status(
            phase=phase,
            at=self._ports.clock.instant(),
            started_at=self._started_at,
            end=self._end,
            reason=reason,
            drift=self._upkeep.drift,
            drift_at=self._upkeep.drift_at,
        )

    def void(self, key: LeaderTradeKey) -> None:
        """Take in that a leader's trade FAILED after it was told: flag it, alert, keep the copy."""
        self._parts.desk.void(key)

    def contradict(self, trade: LeaderTrade, reason: str) -> None:
        """Take in that a source contradicts another: count it, tell the owner, trade nothing."""
        self._parts.feed_watch.contradict(trade, reason)

    def market_of(self, token_id: OutcomeTokenId) -> Market | None:
        """Return the market of a token, where it can be copied and is known."""
        return self._parts.catalog.market_of(token_id)

    async def _start(self) -> None:
        """Make everything ready for the first trade, then listen; tried until it works."""
        self._phase = CopyPhase.STARTING
        while not self._ended.is_set():
            try:
                await self._upkeep.reconcile()
                self._upkeep.recover_orders()
                await self._upkeep.reload()
                await self._upkeep.follow_leaders()
                break
            except (TransientError, DataError) as problem:
                self._parts.troubles.note("start", problem)
                await self._sleep(_RETRY_START_S)
        self._parts.troubles.clear("start")
        self._keep("catalog", self._parts.catalog.run)
        self._keep("books", self._ports.books.run)
        await self._wait_for_books()
        self._parts.desk.is_open = not self._ended.is_set()
        self._keep("feed", lambda: self._ports.feed.run(self._parts.desk.hear))
        self._begin_chores()
        if not self._ended.is_set():
            self._phase = CopyPhase.TRADING
            log.info("copying", leaders=len(self._parts.roster.leaders))

    def _begin_chores(self) -> None:
        upkeep = self._upkeep
        self._repeat("waiting", _WAITING_EVERY_S, upkeep.serve_waiting)
        self._repeat("leaders", _LEADERS_EVERY_S, upkeep.follow_leaders)
        self._repeat("holdings", _RELOAD_EVERY_S, upkeep.reload)
        self._repeat("watermarks", _WATERMARKS_EVERY_S, upkeep.advance_watermarks)
        self._repeat("rejections", _FEEDS_EVERY_S, upkeep.look_at_feeds)
        self._repeat("drift", self._options.drift_every_s, upkeep.compare)
        if self._ports.compare_clocks is not None:
            self._repeat("clock", _CLOCKS_EVERY_S, upkeep.compare_clocks)
        if self._ports.account is not None:
            self._repeat("reconciliation", self._options.reconcile_every_s, upkeep.reconcile)

    async def _wait_for_books(self) -> None:
        looks = round(_BOOKS_WITHIN_S / _LOOK_FOR_BOOKS_S)
        for _look in range(looks):
            if self._ended.is_set() or self._has_books():
                return
            await asyncio.sleep(_LOOK_FOR_BOOKS_S)

    def _has_books(self) -> bool:
        tokens = self._parts.catalog.current_tokens()
        return bool(tokens) and all(self._ports.books.book(one) is not None for one in tokens)

    async def _finish(self, patience_s: float) -> None:
        """End everything, in the order in which nothing is lost."""
        self._phase = CopyPhase.STOPPING
        self._parts.desk.is_open = False
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_BACKGROUND_ENDS_WITHIN_S)
        await self._parts.sender.finish(patience_s)
        try:
            self._parts.throttles.write()
            self._upkeep.write_watermarks()
        except PolybotError as problem:
            log.warning("not everything was recorded in the end", problem=str(problem))
        self._parts.lease.give_back()
        self._phase = CopyPhase.STOPPED

    async def _listen(self, stop: asyncio.Event) -> None:
        """End the loop when it is told to, or when nobody wants it any more."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_WISHES_EVERY_S):
                    await stop.wait()
            if stop.is_set():
                self._stop_because(CopyEnd.STOP, "asked to stop")
                return
            with suppress(PolybotError):
                if not is_wanted(self._ports.ledger):
                    self._stop_because(CopyEnd.NOT_WANTED, "nobody wants copies now")
                    return

    async def _keep_lease(self) -> None:
        await self._parts.lease.keep()
        self._lose()

    def _lose(self) -> None:
        self._parts.lease.lease = None
        self._stop_because(CopyEnd.LEASE_LOST, "another loop took over")

    def _overflow(self) -> None:
        self._fault = TransientError("too many leader trades wait; they are read again")
        self._stop_because(CopyEnd.STOP, str(self._fault))

    def _stop_because(self, end: CopyEnd, reason: str) -> None:
        """Take no event any more; the first reason counts."""
        self._parts.desk.is_open = False
        if self._end is None:
            self._end, self._reason = end, reason
            log.info("copying ends", why=end, reason=reason)
        self._ended.set()

    def _tell_ledger_trouble(self, problem: Exception) -> None:
        """Tell the owner directly, once: the outbox is in the ledger that cannot be written."""
        notifier, since = self._ports.notifier, self._parts.troubles.since("ledger")
        if notifier is None or since == self._told_trouble_since:
            return
        self._told_trouble_since = since
        at = self._ports.clock.instant()
        alert = ledger_trouble_alert(str(problem), at=at, mode=self._options.mode)

        async def tell() -> None:
            await notifier.send(alert)

        self._spawn(tell())

    async def _sleep(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ended.wait()

    def _keep(self, part: str, work: Callable[[], Awaitable[None]]) -> None:
        self._spawn(keep_running(part, work, self._parts.troubles))

    def _repeat(self, part: str, every_s: float, work: Callable[[], Awaitable[None]]) -> None:
        self._spawn(repeat(part, every_s, work, self._parts.troubles))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
