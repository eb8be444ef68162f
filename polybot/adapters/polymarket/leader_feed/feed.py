"""What leaders do, from every source that is on, told once each.

The sources run side by side on one event loop and share one memory of what was told, so there is
no lock, and from a frame to the ear there is no queue and no change of task.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Final

import aiohttp

from polybot.adapters.polymarket.leader_feed.chain import ChainSource, ChainTiming
from polybot.adapters.polymarket.leader_feed.frames import FrameReader
from polybot.adapters.polymarket.leader_feed.identity import Conflict, LeaderMerge
from polybot.adapters.polymarket.leader_feed.logs import FilledLog, MarketOfToken
from polybot.adapters.polymarket.leader_feed.poller import SWEEP_BACK, LeaderPoller
from polybot.adapters.polymarket.leader_feed.stream import StreamSource, StreamTiming
from polybot.adapters.polymarket.leader_feed.tally import Pace, SourceTally
from polybot.adapters.polymarket.leader_feed.walks import CONVERSION_TYPES, Walk, WalkReader
from polybot.adapters.web import WebClient, open_session
from polybot.domain.leaders import (
    FeedSource,
    LeaderAddress,
    LeaderEvent,
    LeaderTrade,
    LeaderTradeKey,
    SourceHealth,
)

# The venue allows 300 and 200 requests in 10 s; a fifth stays for people who look at a leader.
_TRADES_PER_SECOND: Final = 24.0
_ACTIVITY_PER_SECOND: Final = 16.0
_TIDY_EVERY_S: Final = 30.0
_HANDSHAKE_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedSources:
    """Where leaders are heard of; ``None`` switches a source off."""

    stream_url: str | None
    """``wss://…`` of the real-time stream."""
    data_url: str | None
    """``https://…`` of the Data API."""
    node_url: str | None = field(default=None, repr=False)
    """``wss://…`` of a Polygon node; a secret."""
    stream_connections: int = 2
    max_frame_bytes: int = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedTiming:
    """How often, how soon and how far back [s]."""

    stream: StreamTiming = field(default_factory=StreamTiming)
    chain: ChainTiming = field(default_factory=ChainTiming)
    data_api_every_s: float = 3.0
    activity_every_s: float = 15.0
    overlap_s: float = 120.0
    request_timeout_s: float = 10.0


def _session() -> aiohttp.ClientSession:
    return open_session(timeout_s=_HANDSHAKE_TIMEOUT_S)


def _unknown(_: str) -> None:
    return None


class PolymarketLeaderFeed:
    """The venue's stream, its Data API and a node, as one."""

    def __init__(
        self,
        sources: FeedSources,
        *,
        now: Callable[[], datetime],
        timing: FeedTiming | None = None,
        random: Random | None = None,
        open_session: Callable[[], aiohttp.ClientSession] = _session,
        market_of: MarketOfToken = _unknown,
        on_conflict: Callable[[Conflict], None] = lambda _: None,
        on_removed: Callable[[LeaderTradeKey], None] = lambda _: None,
    ) -> None:
        """Keep where to listen; nothing is opened before ``run``.

        Args:
            sources: What to listen to.
            now: The clock; it must answer without waiting.
            timing: Pings, silences, intervals.
            random: Spreads pauses and turns.
            open_session: Gives a session that refuses redirects, for the sockets.
            market_of: Finds a token's market in memory; only logs of the chain need it.
            on_conflict: Hears of contradictions between sources; what contradicts is not told.
            on_removed: Hears of told trades that failed: the chain took their block back, or the
                Data API, which lists later ones, does not list them ten minutes after the fill.
        """
        self._timing = timing or FeedTiming()
        self._now = now
        self._random = random or Random()  # noqa: S311 - spreads load, hides nothing
        self._open_session = open_session
        self._on_removed = on_removed
        self._keep = timedelta(seconds=self._timing.overlap_s) + SWEEP_BACK + timedelta(hours=1)
        self._merge = LeaderMerge(keep=self._keep, on_conflict=on_conflict)
        self._sink: Callable[[LeaderEvent], None] | None = None
        self._watermarks: dict[LeaderAddress, datetime] = {}
        self._reader = FrameReader()
        self._streams = self._stream_sources(sources)
        self._chain = self._chain_source(sources, market_of)
        self._web: WebClient | None = None
        self._data_tally = SourceTally(source=FeedSource.DATA_API, name="data-api")
        self._pollers = self._data_pollers(sources)

    def follow(self, watermarks: dict[LeaderAddress, datetime]) -> None:
        """Set whom to follow, also while running; the instants say from where to re-read."""
        self._watermarks = dict(watermarks)
        self._reader.follow(watermarks)
        for poller in self._pollers:
            poller.follow(watermarks)
        if self._chain is not None:
            self._chain.follow(frozenset(watermarks))

    def remember(self, keys: Iterable[LeaderTradeKey]) -> None:
        """Take over keys that the ledger holds, so that they are not told again."""
        self._merge.remember(keys, at=self._now())

    async def run(self, sink: Callable[[LeaderEvent], None]) -> None:
        """Tell every event until cancelled; reconnects and fills gaps by itself."""
        self._sink = sink
        try:
            async with asyncio.TaskGroup() as group:
                for stream in self._streams:
                    group.create_task(stream.run(), name=stream.tally.name)
                for poller in self._pollers:
                    group.create_task(poller.run(), name="data-api")
                if self._chain is not None:
                    group.create_task(self._chain.run(), name="chain")
                group.create_task(self._tidy(), name="tidy")
        finally:
            if self._web is not None:
                await self._web.aclose()

    def read_until(self) -> dict[LeaderAddress, datetime]:
        """Return up to which instant every trade and conversion has been told for certain.

        Only the Data API gives that certainty; without it the watermarks stay where they were.
        """
        found = dict(self._watermarks)
        if self._pollers:
            proved = [poller.read_until() for poller in self._pollers]
            for leader, watermark in self._watermarks.items():
                found[leader] = max(watermark, min(each[leader] for each in proved))
        return found

    def health(self) -> tuple[SourceHealth, ...]:
        """Return how each source is doing."""
        tallies = [stream.tally for stream in self._streams]
        if self._pollers:
            tallies.append(self._data_tally)
        if self._chain is not None:
            tallies.append(self._chain.tally)
        return tuple(each.health(first=self._merge.first[each.name]) for each in tallies)

    def lags(self) -> dict[FeedSource, tuple[int, ...]]:
        """Return how much later than the first each source told a trade, by ``LAG_BUCKETS_S``."""
        return self._merge.lags()

    def conflicts(self) -> dict[str, int]:
        """Return how many contradictions were held back, by reason."""
        return dict(self._merge.conflicts)

    # From the sources ---------------------------------------------------------------------------
    def _tell(self, event: LeaderEvent) -> None:
        if self._sink is not None:
            self._sink(event)

    def _hear_frame(self, trade: LeaderTrade, stream: SourceTally) -> None:
        if self._pollers and trade.received_at - trade.traded_at > self._keep:
            # Too late to be compared with what was told; the Data API has told it long ago.
            stream.rejected["older-than-memory"] += 1
            return
        by = stream.name
        for told in self._merge.hear(trade, by=by):
            self._tell(told)

    def _hear_walk(self, walk: Walk) -> None:
        for trade in self._merge.hear_walk(walk.trades, by=self._data_tally.name):
            self._tell(trade)
        # A row that could not be read may be the very one that seems to be missing.
        if not walk.not_taken:
            now = self._now()
            for key in self._merge.take_unlisted(
                walk.leader, start=walk.start, end=walk.end or now, now=now
            ):
                self._on_removed(key)

    def _hear_activity(self, walk: Walk) -> None:
        for conversion in self._merge.hear_conversions(walk.conversions):
            self._tell(conversion)

    def _hear_log(self, log: FilledLog, by: str) -> None:
        if log.is_removed:
            key = self._merge.take_back(log.trade, log_index=log.log_index)
            if key is not None:
                self._on_removed(key)
            return
        for told in self._merge.hear(log.trade, by=by, log_index=log.log_index):
            self._tell(told)

    def _fill_gap(self) -> None:
        """Read everybody at once: trades may have been missed."""
        for poller in self._pollers:
            poller.ask_now()

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(_TIDY_EVERY_S)
            self._merge.prune(self._now())

    # What there is to listen to -----------------------------------------------------------------
    def _stream_sources(self, sources: FeedSources) -> tuple[StreamSource, ...]:
        if sources.stream_url is None:
            return ()
        return tuple(
            StreamSource(
                sources.stream_url,
                name=f"stream-{number}",
                reader=self._reader,
                tell=self._hear_frame,
                on_gap=self._fill_gap,
                open_session=self._open_session,
                now=self._now,
                random=self._random,
                timing=self._timing.stream,
                max_frame_bytes=sources.max_frame_bytes,
            )
            for number in range(1, sources.stream_connections + 1)
        )

    def _chain_source(self, sources: FeedSources, market_of: MarketOfToken) -> ChainSource | None:
        if sources.node_url is None:
            return None
        return ChainSource(
            sources.node_url,
            hear=self._hear_log,
            on_gap=self._fill_gap,
            market_of=market_of,
            open_session=self._open_session,
            now=self._now,
            random=self._random,
            timing=self._timing.chain,
        )

    def _data_pollers(self, sources: FeedSources) -> tuple[LeaderPoller, ...]:
        if sources.data_url is None:
            return ()
        self._web = WebClient(timeout_s=self._timing.request_timeout_s)
        base = sources.data_url.rstrip("/")
        return (
            self._poller(
                f"{base}/v2/trades",
                {"taker_only": "false"},
                take=self._hear_walk,
                every_s=self._timing.data_api_every_s,
                pace=Pace(per_second=_TRADES_PER_SECOND),
                web=self._web,
            ),
            self._poller(
                f"{base}/v2/activity",
                {"type": CONVERSION_TYPES},
                take=self._hear_activity,
                every_s=self._timing.activity_every_s,
                pace=Pace(per_second=_ACTIVITY_PER_SECOND),
                web=self._web,
            ),
        )

    def _poller(
        self,
        url: str,
        params: dict[str, str],
        *,
        take: Callable[[Walk], None],
        every_s: float,
        pace: Pace,
        web: WebClient,
    ) -> LeaderPoller:
        return LeaderPoller(
            WalkReader(url, params, web=web, pace=pace, now=self._now),
            take=take,
            tally=self._data_tally,
            every_s=every_s,
            pace=pace,
            overlap_s=self._timing.overlap_s,
            now=self._now,
            random=self._random,
        )
