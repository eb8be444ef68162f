"""The polling reference is honest: it misses nothing that its requests show."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from benchmarks.poll_reference import PolledTrade, PollingReference
from polybot.sandbox.leaders.wallets import LeaderOptions
from tests.sandbox.conftest import SLUG
from tests.sandbox.leader_wire import QUIET, Wire, open_stage, serve_stage

PROMPT = LeaderOptions(leaders=1, crowd=0, noise=0, behaviour=QUIET, index_lag_ms=0)


class Poller:
    """A reference whose rounds are made by hand, with the trades it has placed."""

    def __init__(self, wire: Wire, http: httpx.AsyncClient, *, has_cache_buster: bool) -> None:
        self.trades: list[PolledTrade] = []
        self._http = http
        self.reference = PollingReference(
            wire.url, (wire.leader,), self._place, has_cache_buster=has_cache_buster
        )

    async def poll(self) -> int:
        """Poll once; return how many trades have been placed in all."""
        await self.reference.poll(self._http)
        return len(self.trades)

    async def _place(self, trade: PolledTrade) -> None:
        self.trades.append(trade)


@asynccontextmanager
async def _poller(wire: Wire, *, has_cache_buster: bool = True) -> AsyncIterator[Poller]:
    async with httpx.AsyncClient(base_url=wire.url, trust_env=False) as http:
        yield Poller(wire, http, has_cache_buster=has_cache_buster)


async def test_every_new_fill_is_placed_once_and_nothing_of_before() -> None:
    """Fills of one transaction and true repeats too, oldest first."""
    fill = {"size": "7.5", "price": "0.41"}
    with serve_stage(open_stage(PROMPT)) as wire:
        wire.act(slug=SLUG)
        async with _poller(wire) as poller:
            assert await poller.poll() == 0
            wire.act(slug=SLUG, fills=[fill, fill, {"size": 3, "price": "0.42"}])
            wire.act(slug=SLUG, kind="SELL", is_maker=True, size=2)
            assert await poller.poll() == 4
            assert await poller.poll() == 4
        truth = wire.truth()[1:]
    assert [one.occurrence for one in poller.trades] == [0, 1, 0, 0]
    assert [one.side for one in poller.trades] == ["BUY", "BUY", "BUY", "SELL"]
    assert [one.transaction_hash for one in poller.trades] == [
        one["transaction_hash"] for one in truth
    ]
    assert Counter(one.size for one in poller.trades) == {7.5: 2, 3: 1, 2: 1}
    assert poller.reference.counts.placed == 4
    assert poller.reference.counts.failures == 0


async def test_without_a_word_of_its_own_the_cache_answers() -> None:
    """The naive poller: nothing new for five minutes."""
    with serve_stage(open_stage(PROMPT)) as wire:
        async with _poller(wire, has_cache_buster=False) as poller:
            await poller.poll()
            wire.act(slug=SLUG)
            wire.advance(299)
            assert await poller.poll() == 0
            wire.advance(1)
            assert await poller.poll() == 1


async def test_errors_are_counted_and_polling_goes_on() -> None:
    with serve_stage(open_stage(PROMPT)) as wire:
        async with _poller(wire) as poller:
            await poller.poll()
            wire.arm(kind="rate-limited", route="GET /v2/trades", count=2, retry_after_s=1)
            wire.arm(kind="html", route="GET /v2/trades", count=1, status=200)
            wire.act(slug=SLUG)
            assert [await poller.poll() for _ in range(4)] == [0, 0, 0, 1]
        assert wire.fired() == {"rate-limited": 2, "html": 1}
    assert poller.reference.counts.failures == 3


async def test_it_polls_by_itself_until_it_is_cancelled() -> None:
    """The first round's trades are old; the next one's is placed."""
    with serve_stage(open_stage(PROMPT)) as wire:
        placed: asyncio.Queue[PolledTrade] = asyncio.Queue()
        reference = PollingReference(wire.url, (wire.leader,), placed.put, period_s=0.01)
        task = asyncio.create_task(reference.run())
        made: set[str] = set()
        trade = None
        async with asyncio.timeout(10):
            # Whatever the first round sees is old, so there is more until one is new.
            while trade is None:
                made.add(wire.act(slug=SLUG)[0]["transaction_hash"])
                try:
                    trade = await asyncio.wait_for(placed.get(), 0.05)
                except TimeoutError:
                    continue
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert trade.transaction_hash in made
    assert task.cancelled()
