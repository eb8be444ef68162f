"""One leader trade is told once, whatever the sources repeat, reorder, delay or contradict.

The venue gives fills no id. The identity is (transaction, token, wallet, side, price, size) with
a counter for true repeats; real transactions hold up to several exactly equal fills. Who may say
that a repeat is true: one complete walk of the Data API, which lists every fill once, and the
chain, where every log has its index. The stream delivers again what it delivered, so it never
may. What contradicts an earlier sighting is held back and reported, never told.
"""

from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Final

from polybot.adapters.polymarket.leader_feed.sightings import MOST_FILLS, FillGroup, ToldFill
from polybot.domain.leaders import (
    FeedSource,
    LeaderAddress,
    LeaderConversion,
    LeaderTrade,
    LeaderTradeKey,
)
from polybot.ports import LAG_BUCKETS_S

_Group = tuple[str, str, str, str]
# Blocks and the stream differ by seconds; more means that one of them is about something else.
_SAME_TIME: Final = timedelta(seconds=60)
# The slowest row of two studies was listed after 23 s. What is not there by now never settled.
_LISTED_WITHIN: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """A sighting that contradicts what was told; it is not told."""

    trade: LeaderTrade
    told: tuple[LeaderTradeKey, ...]
    """What was told of the same transaction, token and side."""
    reason: str
    """``fills-differ`` (another number or size of fills) or ``content-differs`` (same identity,
    another market or time)."""


class LeaderMerge:
    """Joins the sightings of every source; told once each."""

    def __init__(
        self,
        *,
        keep: timedelta,
        max_groups: int = 200_000,
        on_conflict: Callable[[Conflict], None] = lambda _: None,
    ) -> None:
        """Start with nothing told.

        Args:
            keep: How long a transaction is remembered after it was last seen.
            max_groups: How many (transaction, token, wallet, side) are remembered at most; the
                ledger's keys decide about what is forgotten.
            on_conflict: Hears of every contradiction, once.
        """
        self._keep = keep
        self._max_groups = max_groups
        self._on_conflict = on_conflict
        self._groups: OrderedDict[_Group, FillGroup] = OrderedDict()
        self._conversions: OrderedDict[LeaderTradeKey, datetime] = OrderedDict()
        self._lags: defaultdict[FeedSource, list[int]] = defaultdict(
            lambda: [0] * (len(LAG_BUCKETS_S) + 1)
        )
        # Told, and not old enough to be missed where the Data API does not list them.
        self._young: defaultdict[LeaderAddress, dict[LeaderTradeKey, ToldFill]] = defaultdict(dict)
        self._walks = 0
        self._listed_until: datetime | None = None
        self.first: Counter[str] = Counter()
        """Trades told first by each source, by its name."""
        self.conflicts: Counter[str] = Counter()

    def __len__(self) -> int:
        """Return how many groups and conversions are remembered."""
        return len(self._groups) + len(self._conversions)

    def lags(self) -> dict[FeedSource, tuple[int, ...]]:
        """Return how much later than the first each source told a trade, by ``LAG_BUCKETS_S``."""
        return {source: tuple(counts) for source, counts in self._lags.items()}

    def remember(self, keys: Iterable[LeaderTradeKey], *, at: datetime) -> None:
        """Take over what the ledger knows, so that it is not told again after a restart."""
        for key in keys:
            parts = key.split(":")
            try:
                if len(parts) == 7:
                    group = self._group((parts[0], parts[1], parts[2], parts[3]), at)
                    if all(fill.key != key for fill in group.told):
                        price, size = Decimal(parts[4]), Decimal(parts[5])
                        group.told.append(ToldFill(key=key, price=price, size=size, trade=None))
                else:
                    self._conversions[key] = at
            except InvalidOperation:
                continue
        self.prune(at)

    def hear(
        self, trade: LeaderTrade, *, by: str, log_index: int | None = None
    ) -> tuple[LeaderTrade, ...]:
        """Take a single sighting and return what is to be told now.

        Args:
            trade: From the stream or the chain, with occurrence 0.
            by: The name of the connection.
            log_index: Where in the block the chain has it; makes a repeat a true one.
        """
        group = self._group(_group_of(trade), trade.received_at)
        if not group.told and not group.held:
            return (self._tell(group, trade, by, log_index),)
        found = group.match(trade, log_index=log_index)
        if found is not None:
            self._again(group, found, trade, log_index)
            return self._released(group, trade.source, by)
        if not group.is_complete_for(trade.source):
            group.hold(trade, log_index)
            return ()
        return (self._tell(group, trade, by, log_index),)

    def hear_walk(self, trades: Sequence[LeaderTrade], *, by: str) -> tuple[LeaderTrade, ...]:
        """Take a complete walk of one leader's trades and return what is to be told, oldest first.

        Args:
            trades: Every fill between two instants, each as often as it happened.
            by: The name of the source.
        """
        self._walks += 1
        groups: dict[_Group, list[LeaderTrade]] = {}
        for trade in trades:
            if self._listed_until is None or trade.traded_at > self._listed_until:
                self._listed_until = trade.traded_at
            groups.setdefault(_group_of(trade), []).append(trade)
        told: list[LeaderTrade] = []
        for name, rows in groups.items():
            told += self._compare(self._group(name, rows[0].received_at), rows, by)
        return tuple(sorted(told, key=lambda trade: trade.traded_at))

    def take_unlisted(
        self, leader: LeaderAddress, *, start: datetime, end: datetime, now: datetime
    ) -> tuple[LeaderTradeKey, ...]:
        """Return, once, the told fills that the walk heard last should list and does not.

        They failed: their transaction never came onto the chain, or was taken back. A list that
        ends before them proves nothing (it is late), nor does one that contradicts them (that was
        reported), and what a node has shown is the node's to take back.

        Args:
            leader: Whose walk it was.
            start: From where on it is complete.
            end: Until when.
            now: When it was read.
        """
        until = min(end, now - _LISTED_WITHIN)
        missing: list[LeaderTradeKey] = []
        for fill in list(self._young.get(leader, {}).values()):
            trade = fill.trade
            if trade is None or not start <= trade.traded_at <= until:
                continue
            is_certain = fill.last_walk == self._walks or FeedSource.CHAIN in fill.seen_by
            if not is_certain and not self._is_passed(trade):
                continue
            self._grow_up(leader, fill)
            if not is_certain and not self._groups[_group_of(trade)].held:
                missing.append(fill.key)
        return tuple(missing)

    def hear_conversions(
        self, conversions: Sequence[LeaderConversion]
    ) -> tuple[LeaderConversion, ...]:
        """Take a complete walk of one leader's conversions; return the new ones, oldest first."""
        counted: Counter[LeaderTradeKey] = Counter()
        new: list[LeaderConversion] = []
        for one in conversions:
            numbered = replace(one, occurrence=counted[one.key])
            counted[one.key] += 1
            if numbered.key not in self._conversions:
                new.append(numbered)
            self._conversions[numbered.key] = one.received_at
            self._conversions.move_to_end(numbered.key)
        return tuple(sorted(new, key=lambda one: one.happened_at))

    def take_back(self, trade: LeaderTrade, *, log_index: int) -> LeaderTradeKey | None:
        """Return the key of a told fill whose log the chain took back, if there is one.

        The log's place becomes free: should the transaction come back in another block, it is
        the same fill and is not told again.
        """
        group = self._groups.get(_group_of(trade))
        for fill in group.told if group else ():
            if fill.log_index == log_index:
                fill.log_index = None
                return fill.key
        return None

    def prune(self, now: datetime) -> None:
        """Forget what was last seen too long ago, and the oldest where there is too much."""
        earliest = now - self._keep
        while self._groups:
            group = next(iter(self._groups.values()))
            if group.touched_at >= earliest and len(self._groups) <= self._max_groups:
                break
            self._report(group, None)
            name, _ = self._groups.popitem(last=False)
            for fill in group.told:
                self._grow_up(LeaderAddress(name[0]), fill)
        while self._conversions:
            at = next(iter(self._conversions.values()))
            if at >= earliest and len(self._conversions) <= self._max_groups:
                break
            self._conversions.popitem(last=False)

    def _is_passed(self, trade: LeaderTrade) -> bool:
        """Whether the Data API lists somebody's later fill: it has read the trade's block."""
        return self._listed_until is not None and self._listed_until > trade.traded_at

    def _grow_up(self, leader: LeaderAddress, fill: ToldFill) -> None:
        """Miss a fill no more."""
        young = self._young.get(leader)
        if young is not None and young.pop(fill.key, None) is not None and not young:
            del self._young[leader]

    def _group(self, name: _Group, at: datetime) -> FillGroup:
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = FillGroup(touched_at=at)
            self.prune(at)
        else:
            group.touched_at = max(group.touched_at, at)
            self._groups.move_to_end(name)
        return group

    def _compare(self, group: FillGroup, rows: list[LeaderTrade], by: str) -> list[LeaderTrade]:
        """Compare a transaction's complete fills with what was told of it."""
        pairs, new, missing = group.match_all(rows[:MOST_FILLS])
        for trade in rows[MOST_FILLS:]:
            group.hold(trade)
        for fill, trade in pairs:
            self._again(group, fill, trade, None)
        told: list[LeaderTrade] = []
        for trade in new:
            # With something missing either side may be wrong: nothing is told until they agree.
            if missing:
                group.hold(trade)
            else:
                told.append(self._tell(group, trade, by, None))
        self._report(group, rows[0].received_at)
        return told

    def _again(
        self, group: FillGroup, fill: ToldFill, trade: LeaderTrade, log_index: int | None
    ) -> None:
        """Note that a source has seen what was told."""
        first = fill.trade
        if first is not None:
            if first.source is not trade.source and trade.source not in fill.seen_by:
                self._count_lag(trade, first)
            is_other = (
                first.condition_id != trade.condition_id
                or abs(first.traded_at - trade.traded_at) > _SAME_TIME
            )
            if is_other and not fill.is_disputed:
                fill.is_disputed = True
                self._conflict(trade, group, "content-differs")
        fill.see(trade)
        if trade.source is FeedSource.DATA_API:
            fill.last_walk = self._walks
        if log_index is not None:
            fill.log_index = log_index

    def _tell(
        self, group: FillGroup, trade: LeaderTrade, by: str, log_index: int | None
    ) -> LeaderTrade:
        count = group.count_like(trade)
        numbered = trade if trade.occurrence == count else replace(trade, occurrence=count)
        fill = ToldFill(
            key=numbered.key,
            price=trade.price,
            size=trade.size,
            trade=numbered,
            seen_by={trade.source},
            log_index=log_index,
            last_walk=self._walks if trade.source is FeedSource.DATA_API else 0,
        )
        group.told.append(fill)
        self._young[trade.leader][fill.key] = fill
        group.absorb(fill)
        self.first[by] += 1
        return numbered

    def _released(self, group: FillGroup, source: FeedSource, by: str) -> tuple[LeaderTrade, ...]:
        """Tell what a source showed before it showed what others had told."""
        told: list[LeaderTrade] = []
        while waiting := group.take_held(source):
            told += [self._tell(group, one.trade, by, one.log_index) for one in waiting]
        return tuple(told)

    def _report(self, group: FillGroup, now: datetime | None) -> None:
        for trade in group.overdue(now):
            self._conflict(trade, group, "fills-differ")

    def _conflict(self, trade: LeaderTrade, group: FillGroup, reason: str) -> None:
        self.conflicts[reason] += 1
        told = tuple(fill.key for fill in group.told)
        self._on_conflict(Conflict(trade=trade, told=told, reason=reason))

    def _count_lag(self, trade: LeaderTrade, first: LeaderTrade) -> None:
        late_s = (trade.received_at - first.received_at).total_seconds()
        index = sum(late_s > end for end in LAG_BUCKETS_S)
        self._lags[trade.source][index] += 1


def _group_of(trade: LeaderTrade) -> _Group:
    return (trade.leader, trade.transaction_hash, trade.token_id, trade.side)
