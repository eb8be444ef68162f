"""The book feed against the sandbox's own socket: right in the end, whatever the socket does."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from polybot.adapters.clock import SystemClock
from polybot.adapters.polymarket.book_feed import PolymarketBookFeed
from polybot.adapters.polymarket.book_feed_check import BookTiming
from polybot.adapters.polymarket.market_data import PolymarketData
from polybot.domain.markets import OutcomeTokenId
from polybot.sandbox.exchange.gateway import PrivateGateway
from polybot.sandbox.fault_plan import FaultKind, FaultPlan, PlannedFault
from polybot.sandbox.venue import SandboxVenue
from tests.sandbox_server import serve_in_thread
from tests.venue_trader import Trader, advance, open_exchange

PATIENCE_S = 20
QUICK = BookTiming(
    ping_s=1,
    silence_s=5,
    compare_s=0.05,
    recover_s=0.05,
    settle_s=0.1,
    look_s=0.01,
    first_pause_s=0.01,
    longest_pause_s=0.02,
)
Levels = list[tuple[Decimal, Decimal]]


OLD = timedelta(days=30)


class VenueClock(SystemClock):
    """The sandbox's stepped clock, asked without a wire."""

    def __init__(self, venue: SandboxVenue) -> None:
        self._venue = venue

    def instant(self) -> datetime:
        return datetime.fromtimestamp(self._venue.clock.now_ms() / 1000, UTC)

    async def now(self) -> datetime:
        return self.instant()


@dataclass
class Rig:
    """A feed, the exchange that it listens to, and the two tokens."""

    trader: Trader
    feed: PolymarketBookFeed
    tokens: tuple[OutcomeTokenId, OutcomeTokenId]
    plan: FaultPlan

    def told(self, token: OutcomeTokenId) -> tuple[Levels, Levels] | None:
        """Return what the feed says."""
        book = self.feed.book(token)
        if book is None:
            return None
        return (
            [(level.price, level.size) for level in book.bids],
            [(level.price, level.size) for level in book.asks],
        )

    def true(self, token: OutcomeTokenId) -> tuple[Levels, Levels]:
        """Return what the venue knows."""
        venue = self.trader.exchange.venue
        market = venue.market_of_token(token, venue.now_s())
        assert market is not None
        is_up = token == market.up_token_id
        bids, asks = (
            [
                (level[0], level[1])
                for level in venue.levels(market, venue.now_s(), are_bids=side, of_up=is_up)
            ]
            for side in (True, False)
        )
        return bids, asks

    def is_right(self) -> bool:
        """Whether both books are the venue's."""
        return all(self.told(token) == self.true(token) for token in self.tokens)

    async def until(self, is_true: Callable[[], bool]) -> None:
        """Wait for something that has no event."""
        async with asyncio.timeout(PATIENCE_S):
            while not is_true():  # noqa: ASYNC110 - the feed has no event to wait for
                await asyncio.sleep(0.005)


@asynccontextmanager
async def rig(*faults: PlannedFault, timing: BookTiming = QUICK) -> AsyncIterator[Rig]:
    """Run a feed on a sandbox whose clock the test moves."""
    trader = Trader(PrivateGateway(open_exchange()))
    plan = FaultPlan(5, list(faults))
    venue = trader.exchange.venue

    clock = VenueClock(venue)
    with serve_in_thread(venue, gateway=trader.gateway, plan=plan) as url:
        data = PolymarketData(
            gamma_url=url, clob_url=url, data_url=url, timeout_s=5, clock=clock, max_book_age=OLD
        )
        async with data:
            feed = PolymarketBookFeed(
                url.replace("http", "ws") + "/ws/market",
                read_book=data.order_book,
                now=clock.instant,
                timing=timing,
            )
            tokens = (
                OutcomeTokenId(trader.market.up_token_id),
                OutcomeTokenId(trader.market.down_token_id),
            )
            feed.watch(tokens)
            running = asyncio.create_task(feed.run())
            try:
                yield Rig(trader, feed, tokens, plan)
                assert not running.done(), running.exception()
            finally:
                running.cancel()
                with suppress(asyncio.CancelledError):
                    await running


async def test_books_follow_the_venues_and_our_own_orders() -> None:
    """Without a single comparison: the stream alone, event by event."""
    calm = BookTiming(compare_s=60, recover_s=60, silence_s=60, look_s=0.01)
    async with rig(timing=calm) as found:
        await found.until(found.is_right)
        found.trader.post(found.trader.limit("BUY", "0.02", "100"))
        await found.until(
            lambda: (Decimal("0.02"), Decimal(100)) in (found.told(found.tokens[0]) or ([], []))[0]
        )
        for _ in range(40):
            advance(found.trader.exchange, 1)
            await found.until(found.is_right)
        assert found.feed.counts.gaps == 0
        assert found.feed.counts.connects == 1


@pytest.mark.parametrize(
    "kind",
    [
        "event-lost",
        "event-late",
        "event-duplicated",
        "event-reordered",
        "socket-frozen",
        "socket-closed",
    ],
)
async def test_books_are_right_again_after_every_fault(kind: FaultKind) -> None:
    """Half of all events are lost, late, doubled or turned round; or the socket goes mute."""
    fault = PlannedFault(
        kind=kind,
        route="/ws/market",
        probability=1 if kind.startswith("socket") else 0.5,
        count=2 if kind.startswith("socket") else 0,
        delay_ms=3_000,
        duration_s=120,
    )
    async with rig(fault) as found:
        await found.until(lambda: found.feed.book(found.tokens[0]) is not None)
        for _ in range(120):
            advance(found.trader.exchange, 1)
            await asyncio.sleep(0)
        await found.until(found.is_right)
        for _ in range(30):
            advance(found.trader.exchange, 1)
            await found.until(found.is_right)
        counts = found.feed.counts
        assert found.plan.fired[kind] > 0
        if kind == "event-duplicated":
            assert (counts.gaps, counts.connects) == (0, 1)
        elif kind.startswith("socket"):
            assert counts.connects > 1
        else:
            assert counts.gaps > 0
