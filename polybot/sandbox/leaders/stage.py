"""Where wallets act: plays the script up to the present and keeps everything that happened.

Safe to use from several threads: tests move the clock and act while a server answers.
"""

import heapq
import threading
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from polybot.sandbox.fault_plan import FaultPlan, PlannedFault
from polybot.sandbox.leaders.events import Entry, WalletEvent, WalletTrade
from polybot.sandbox.leaders.plans import Planned
from polybot.sandbox.leaders.playing import play
from polybot.sandbox.leaders.script import Script
from polybot.sandbox.leaders.wallets import LeaderOptions, Wallet, make_wallets
from polybot.sandbox.seeds import stream
from polybot.sandbox.venue import SandboxVenue

_AHEAD_MS: Final = 60_000
_UNSEEN_MS: Final = 86_400_000
"""A first look plays no more than the last day: nobody saw what was before."""
REORG_GAP_MS: Final = 2_000
"""How long a block that the chain dropped is gone before its transactions are in another."""
NoticeKind = Literal["made", "removed", "restored"]


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that whoever tells of wallets may have to tell."""

    kind: NoticeKind
    at_ms: int
    entry: Entry


class Recording(Protocol):
    """Events that were recorded elsewhere, to be played in between."""

    def between(self, after_ms: int, until_ms: int) -> Sequence[WalletEvent]:
        """Return the events of ``(after_ms, until_ms]``, oldest first."""
        ...

    def frames_between(self, after_ms: int, until_ms: int) -> Sequence[tuple[int, str]]:
        """Return instants and texts of other frames of the stream in ``(after_ms, until_ms]``."""
        ...

    @property
    def wallets(self) -> Sequence[str]:
        """Whose events they are."""
        ...


class LeaderStage:
    """Every wallet and all it has done."""

    def __init__(
        self,
        venue: SandboxVenue,
        options: LeaderOptions | None = None,
        *,
        plan: FaultPlan | None = None,
        recording: Recording | None = None,
    ) -> None:
        """Open the stage at the venue's present.

        Args:
            venue: Whose windows are traded.
            options: How many wallets, and how late each source is.
            plan: Faults of single transactions; the server's takes its place.
            recording: Events to play besides.
        """
        self.venue = venue
        self.options = options or LeaderOptions()
        self.plan = plan
        self.wallets: list[Wallet] = make_wallets(venue.seed, self.options)
        self.entries: list[Entry] = []
        """Everything that ever happened, in order."""
        self.notices: list[Notice] = []
        """Everything there was to tell, in order."""
        self.recording = recording
        self._leaders = {one.address for one in self.wallets if one.is_leader}
        if recording is not None:
            self._leaders.update(recording.wallets)
        self._by_wallet: defaultdict[str, list[Entry]] = defaultdict(list)
        self._by_transaction: defaultdict[str, list[Entry]] = defaultdict(list)
        self._script = Script(venue)
        self._ahead: list[Planned] = []
        self._played_ms = venue.clock.now_ms() - self.options.history_s * 1000
        self._ahead_ms = self._played_ms
        self._later: list[tuple[int, int, NoticeKind, Entry]] = []
        self._count = 0
        self._scheduled = 0
        self._block = (0, 0)
        self._listeners: list[Callable[[], None]] = []
        self._lock = threading.RLock()

    # Time ---------------------------------------------------------------------------------------
    def advance(self) -> int:
        """Play everything that has come due; return the present instant [epoch ms]."""
        with self._lock:
            now_ms = self.venue.clock.now_ms()
            if now_ms <= self._played_ms:
                return self._played_ms
            if not self.entries and self.recording is None:
                self._played_ms = max(self._played_ms, now_ms - _UNSEEN_MS)
                self._ahead_ms = max(self._ahead_ms, self._played_ms)
            if now_ms > self._ahead_ms:
                self._look_ahead(now_ms)
            due = [one for one in self._ahead if one.at_ms <= now_ms]
            del self._ahead[: len(due)]
            self._play(due, now_ms)
            self._played_ms = now_ms
            return now_ms

    def next_due_ms(self) -> int:
        """Return when the next thing happens, or from when on that is not known [epoch ms]."""
        with self._lock:
            planned = (one.at_ms for one in self._ahead[:1])
            return min((self._ahead_ms, *planned, *(one[0] for one in self._later[:1])))

    def add_listener(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` after everything that was done by hand, in whatever thread."""
        self._listeners.append(listener)

    def remove_listener(self, listener: Callable[[], None]) -> None:
        """Stop calling a listener."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    # Wallets ------------------------------------------------------------------------------------
    @property
    def leaders(self) -> tuple[Wallet, ...]:
        """The wallets that are meant to be followed."""
        return tuple(one for one in self.wallets if one.is_leader)

    def set_wallets(self, wallets: Sequence[Wallet]) -> None:
        """Let other wallets trade from now on; what has happened stays."""
        with self._lock:
            self.advance()
            self.wallets = list(wallets)
            self._leaders.update(one.address for one in wallets if one.is_leader)
            self._script = Script(self.venue)
            self._ahead, self._ahead_ms = [], self._played_ms
        self._wake()

    def of_wallet(self, address: str) -> list[Entry]:
        """Return a wallet's events, oldest first."""
        with self._lock:
            return list(self._by_wallet.get(address.lower(), ()))

    def since(self, at_ms: int) -> list[Entry]:
        """Return everything from an instant on, oldest first."""
        with self._lock:
            first = bisect_left(self.entries, at_ms, key=lambda one: one.event.at_ms)
            return self.entries[first:]

    # By hand ------------------------------------------------------------------------------------
    def add(self, events: Sequence[WalletEvent]) -> list[Entry]:
        """Let events happen now that nobody planned; their instants must be the present."""
        with self._lock:
            entries = self._record(events)
        self._wake()
        return entries

    def fail(self, transaction_hash: str, at_ms: int) -> list[Entry]:
        """Undo a transaction at an instant: the chain removes it, the Data API forgets it."""
        with self._lock:
            entries = [
                one
                for one in self._by_transaction.get(transaction_hash, ())
                if one.failed_ms is None
            ]
            for one in entries:
                one.failed_ms = at_ms
                self._schedule(at_ms, "removed", one)
            self._tell_later(self.advance())
        self._wake()
        return entries

    # Inside -------------------------------------------------------------------------------------
    def _look_ahead(self, now_ms: int) -> None:
        until_ms = now_ms + _AHEAD_MS
        self._ahead += self._script.between(self.wallets, self._ahead_ms, until_ms)
        self._ahead_ms = until_ms

    def _play(self, due: Sequence[Planned], now_ms: int) -> None:
        recorded: Sequence[WalletEvent] = ()
        if self.recording is not None:
            recorded = self.recording.between(self._played_ms, now_ms)
        groups: dict[str, list[WalletEvent]] = {}
        for event in recorded:
            groups.setdefault(event.transaction_hash, []).append(event)
        acts: list[tuple[int, Planned | list[WalletEvent]]] = [(one.at_ms, one) for one in due]
        acts += [(rows[0].at_ms, rows) for rows in groups.values()]
        for at_ms, one in sorted(acts, key=lambda act: act[0]):
            self._tell_later(at_ms)
            self._record(one if isinstance(one, list) else play(self.venue, one))
        self._tell_later(now_ms)

    def _record(self, events: Sequence[WalletEvent]) -> list[Entry]:
        """Keep the events of one transaction, with the faults planned for it."""
        if not events:
            return []
        entries = [self._entry(one) for one in events]
        self._spoil(entries)
        for entry in entries:
            self.entries.append(entry)
            self._by_wallet[entry.event.wallet].append(entry)
            self._by_transaction[entry.event.transaction_hash].append(entry)
            self.notices.append(Notice("made", entry.event.at_ms, entry))
        return entries

    def _entry(self, event: WalletEvent) -> Entry:
        options, at_ms = self.options, event.at_ms
        second, index = self._block
        self._block = (at_ms // 1000, index + 1 if at_ms // 1000 == second else 0)
        # Between three quarters and one and a half times the usual; the same for one transaction.
        factor = stream("lag", self.venue.seed, event.transaction_hash).uniform(0.75, 1.5)
        self._count += 1
        return Entry(
            number=self._count,
            event=event,
            is_leaders=event.wallet in self._leaders,
            log_index=self._block[1],
            stream_ms=at_ms + int(options.stream_lag_ms * factor),
            index_ms=at_ms + int(options.index_lag_ms * factor),
            chain_ms=at_ms + int(options.chain_lag_ms * factor),
        )

    def _spoil(self, entries: list[Entry]) -> None:
        """Let the plan decide about one transaction of a leader."""
        leader = next((one for one in entries if one.is_leaders), None)
        if self.plan is None or leader is None:
            return
        route, at_ms = f"LEADER {leader.event.wallet}", leader.event.at_ms

        def fault(kind: str) -> PlannedFault | None:
            assert self.plan is not None  # noqa: S101 - looked at above
            return self.plan.first_for((kind,), route, at_ms // 1000)

        unheard, late = fault("trade-unheard"), fault("index-late")
        failed, reorged = fault("leader-trade-failed"), fault("chain-reorg")
        for one in entries:
            one.is_unheard = unheard is not None
            if late is not None:
                one.index_ms += late.delay_ms
            if reorged is not None and isinstance(one.event, WalletTrade):
                one.reorged_ms = one.chain_ms + reorged.delay_ms
                self._schedule(one.reorged_ms, "removed", one)
                self._schedule(one.reorged_ms + REORG_GAP_MS, "restored", one)
            if failed is not None:
                one.failed_ms = at_ms + failed.duration_s * 1000
                self._schedule(one.failed_ms, "removed", one)

    def _schedule(self, at_ms: int, kind: NoticeKind, entry: Entry) -> None:
        self._scheduled += 1
        heapq.heappush(self._later, (at_ms, self._scheduled, kind, entry))

    def _tell_later(self, now_ms: int) -> None:
        while self._later and self._later[0][0] <= now_ms:
            at_ms, _, kind, entry = heapq.heappop(self._later)
            self.notices.append(Notice(kind, at_ms, entry))

    def _wake(self) -> None:
        for listener in tuple(self._listeners):
            listener()
