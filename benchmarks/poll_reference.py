"""A leader watched the way public copy bots do it: the Data API, asked once a second.

It is meant to be as good as such a bot can be, so that what is compared with it is not its
mistakes: connections are kept alive, the cadence does not drift with the time an answer takes,
every request has a word of its own so that no cache answers it, makers' fills are asked for, fills
that share a transaction are told apart, and true repeats are counted. What is left is what polling
costs: the API's own delay, and on average half a period.

As a library, with anything that places an order::

    reference = PollingReference(url, (leader,), place)
    task = asyncio.create_task(reference.run())

``place`` is awaited for each new trade, at once and in the order in which the trades happened.

Run: ``python benchmarks/poll_reference.py http://127.0.0.1:8640 --seconds 60`` beside a running
``polybot sandbox``: it prints how long after each fill the poller would have placed its order.
"""

import argparse
import asyncio
import itertools
import statistics
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import httpx

TradeName = tuple[str, str, str, str, Decimal, Decimal]
"""Wallet, transaction, token, side, price, size: as much as the API tells a trade by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolledTrade:
    """One trade as a poller sees it."""

    leader: str
    transaction_hash: str
    token_id: str
    condition_id: str
    slug: str
    side: str
    price: Decimal
    size: Decimal
    traded_at_s: int
    """The block's second [epoch s]."""
    occurrence: int
    """0 for the first, n for the n-th true repeat."""

    @property
    def name(self) -> TradeName:
        """What the API tells it by."""
        return (
            self.leader,
            self.transaction_hash,
            self.token_id,
            self.side,
            self.price,
            self.size,
        )


Place = Callable[[PolledTrade], Awaitable[None]]


@dataclass(slots=True)
class PollCounts:
    """What a poller has done so far."""

    requests: int = 0
    failures: int = 0
    """Answers that were none: errors, 429, time-outs."""
    rows: int = 0
    placed: int = 0


class PollingReference:
    """Polls some leaders' trades and places an order for each new one."""

    def __init__(
        self,
        data_api_url: str,
        leaders: Sequence[str],
        place: Place,
        *,
        period_s: float = 1.0,
        limit: int = 100,
        has_cache_buster: bool = True,
    ) -> None:
        """Take whom to watch and what to do about a trade.

        Args:
            data_api_url: The Data API's base URL; a sandbox's own.
            leaders: Wallets, one request each a period.
            place: Places the order of a trade.
            period_s: From the beginning of one round to that of the next [s].
            limit: Rows of one request.
            has_cache_buster: Whether every request differs; naive pollers forget it.
        """
        self._url = data_api_url.rstrip("/")
        self._leaders = tuple(leaders)
        self._place = place
        self._period_s = period_s
        self._limit = limit
        self._words = itertools.count() if has_cache_buster else None
        self._known: dict[str, Counter[TradeName]] = {}
        self.counts = PollCounts()

    async def run(self) -> None:
        """Poll until cancelled; what was there in the first round is not placed."""
        loop = asyncio.get_running_loop()
        async with httpx.AsyncClient(base_url=self._url, trust_env=False, timeout=10) as http:
            due_s = loop.time()
            while True:
                await self.poll(http)
                due_s = max(due_s + self._period_s, loop.time())
                await asyncio.sleep(due_s - loop.time())

    async def poll(self, http: httpx.AsyncClient) -> None:
        """Ask once about every leader and place what is new."""
        # One leader's slow answer must not delay another's order.
        await asyncio.gather(*(self._poll(http, leader) for leader in self._leaders))

    async def _poll(self, http: httpx.AsyncClient, leader: str) -> None:
        rows = await self._rows(http, leader)
        if rows is None:
            return
        is_first = leader not in self._known
        known = self._known.setdefault(leader, Counter())
        seen: Counter[TradeName] = Counter()
        for row in reversed(rows):
            trade = _read(row, leader, seen)
            seen[trade.name] += 1
            if seen[trade.name] <= known[trade.name]:
                continue
            known[trade.name] += 1
            if not is_first:
                await self._place(trade)
                self.counts.placed += 1

    async def _rows(self, http: httpx.AsyncClient, leader: str) -> list[dict[str, Any]] | None:
        query: dict[str, str | int] = {
            "user": leader,
            "taker_only": "false",
            "limit": self._limit,
        }
        if self._words is not None:
            query["_"] = next(self._words)
        self.counts.requests += 1
        try:
            answer = await http.get("/v2/trades", params=query)
            answer.raise_for_status()
            rows: list[dict[str, Any]] = answer.json()["data"]
        except (httpx.HTTPError, ValueError, KeyError):
            self.counts.failures += 1
            return None
        self.counts.rows += len(rows)
        return rows


def _read(row: dict[str, Any], leader: str, seen: Counter[TradeName]) -> PolledTrade:
    trade = PolledTrade(
        leader=leader,
        transaction_hash=row["transaction_hash"],
        token_id=row["token_id"],
        condition_id=row["condition_id"],
        slug=row["slug"],
        side=row["side"],
        price=Decimal(str(row["price"])),
        size=Decimal(str(row["size"])),
        traded_at_s=int(row["timestamp"]),
        occurrence=0,
    )
    return replace(trade, occurrence=seen[trade.name])


async def _watch(url: str, seconds: float, period_s: float) -> None:
    """Watch every leader of a sandbox and print how late its trades were seen."""
    async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
        cast = (await http.get("/sandbox/leaders")).json()
        leaders = [one["address"] for one in cast["wallets"] if one["is_leader"]]
        seen: list[tuple[PolledTrade, int]] = []

        async def place(trade: PolledTrade) -> None:
            clock = (await http.get("/sandbox/clock")).json()
            seen.append((trade, clock["now_ms"]))

        reference = PollingReference(url, leaders, place, period_s=period_s)
        task = asyncio.create_task(reference.run())
        await asyncio.sleep(seconds)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        truth = (await http.get("/sandbox/leaders/trades")).json()["trades"]
    fills = {(one["transaction_hash"], one.get("token_id")): one["at_ms"] for one in truth}
    late_s = [
        (now_ms - fills[trade.transaction_hash, trade.token_id]) / 1000 for trade, now_ms in seen
    ]
    print(f"{len(leaders)} leaders, every {period_s:g} s for {seconds:g} s: {reference.counts}")
    if len(late_s) > 1:
        parts = statistics.quantiles(late_s, n=100)
        print(
            f"fill to order (virtual): p50 {parts[49]:.2f} s, p95 {parts[94]:.2f} s, "
            f"max {max(late_s):.2f} s of {len(late_s)}"
        )


def main() -> None:
    """Read the options and watch."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("url", help="of a running sandbox")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--period", type=float, default=1.0)
    options = parser.parse_args()
    asyncio.run(_watch(options.url, options.seconds, options.period))


if __name__ == "__main__":
    main()
