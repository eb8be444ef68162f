"""How long a copy takes: from the bytes of a stream's frame to the signed bytes of our order.

Ours is the product's own path: the frame is read and merged, the trade decided on (guards, caps,
sizing, our book), the order hashed, and in one durable transaction of a SQLite ledger with
``synchronous=FULL`` recorded with all limits; then signed and serialised. The clock stops when the
bytes of the request are there. Peers and a floor take turns with it inside one run:

- ``json.loads`` and both of the official client's create-order calls, as installed and with
  ``coincurve``: no decision, no limits, no record;
- the floor: 700 bytes appended to a file and synchronised, and one bare signature.

Then the same path on ledgers of 1,000 and of 1,000,000 rows, taking turns.

Run: ``make bench`` or ``python benchmarks/bench_copy.py [--rounds 60] [--rows 1000000]``
"""
# Every name in the statements below is written in this file.
# ruff: noqa: S608

import argparse
import asyncio
import gc
import json
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from bench_order import CREDENTIALS, REFUSAL, floor, timed
from bench_signing import POSITION, SIGNER, build_order, in_pure_python, unified
from turns import Turn, machine, report, take_turns

from polybot.adapters.clock import SystemClock
from polybot.adapters.polymarket.auth import ApiCredentials
from polybot.adapters.polymarket.clob_client import ClobClient, RawAnswer
from polybot.adapters.polymarket.exchange import PolymarketExchange
from polybot.adapters.polymarket.leader_feed import FeedSources, PolymarketLeaderFeed
from polybot.adapters.polymarket.order_fields import SignatureType, TradingAccount, fields_of
from polybot.adapters.polymarket.signing import order_id_of
from polybot.adapters.polymarket.venue_memory import VenueMemory
from polybot.adapters.storage.ledger import open_ledger
from polybot.copy_trading.assembly import Assembly
from polybot.copy_trading.parts import CopyOptions, CopyPorts
from polybot.domain.books import BookFeedHealth, BookLevel, OrderBook
from polybot.domain.leaders import (
    CopyPolicy,
    Leader,
    LeaderAddress,
    LeaderPosition,
    LeaderState,
    LeaderTrade,
)
from polybot.domain.markets import Market, MarketSeries, MarketWindow, OutcomeTokenId
from polybot.domain.modes import Mode
from polybot.domain.money import Price, Shares, usdc
from polybot.domain.orders import PreparedOrder
from polybot.limits import RiskLimits
from polybot.ports import MarketData
from polybot.sqlite_driver import sqlite_module

LEADER = LeaderAddress("0x1015bb260154f51e5f432cb0a3227c1619fcbac8")
WIDE = Decimal(1_000_000)
LIMITS = RiskLimits(
    stake_usdc=Decimal(10),
    max_stake_usdc=Decimal(50),
    min_cash_usdc=Decimal(50),
    max_trades_per_day=10_000_000,
    max_daily_loss_usdc=Decimal(5000),
    max_window_exposure_usdc=Decimal(5000),
    max_exposure_usdc=Decimal(5000),
    max_spread=Decimal("0.05"),
    max_slippage=Decimal("0.03"),
    min_time_left_s=60,
)
POLICY = CopyPolicy(
    max_market_usdc=WIDE,
    max_leader_usdc=WIDE,
    max_day_usdc=WIDE,
    max_repeats=1000,
    repeat_window_s=0.001,
    flip_s=0.0,
)
OURS = "polybot: frame to signed bytes, durable (FULL)"
FLOOR = "floor: fdatasync of 700 B and one signature"
INSTALLED = "json + polymarket-client, as installed"
QUICK = "json + polymarket-client, coincurve"

CLOCK = SystemClock()


class _LastMetre(ClobClient):
    """Takes the body of an order and refuses the order."""

    known_owner = CREDENTIALS.key_id

    async def credentials(self) -> ApiCredentials:
        return CREDENTIALS

    async def post_order(
        self, body: bytes, credentials: ApiCredentials, *, at: datetime
    ) -> RawAnswer:
        return RawAnswer(status=400, headers={}, body=REFUSAL)


class _TimedExchange(PolymarketExchange):
    """Notes when an order's bytes are there, signed; its intent is durable by then."""

    signed_at = 0.0

    def sign(self, prepared: PreparedOrder) -> None:
        super().sign(prepared)
        self.signed_at = time.perf_counter()


class _OneMarket(MarketData):
    """A venue with one window that has begun a while ago."""

    def __init__(self) -> None:
        series = MarketSeries(asset="btc", duration="4h")
        now = datetime.now(UTC)
        window = series.window_at(now)
        if window.end - now < timedelta(minutes=30):
            window = series.window_at(window.end)
        self.market = replace(build_order().market, window=window)

    async def find_market(self, window: MarketWindow) -> Market:
        return self.market


class _StillBooks:
    """A book that is always of this moment."""

    def __init__(self, token_id: OutcomeTokenId) -> None:
        self._book = OrderBook(
            token_id=token_id,
            bids=tuple(_level(f"0.{48 - n}", 300 + n) for n in range(20)),
            asks=tuple(_level(f"0.{49 + n}", 300 + n) for n in range(20)),
            tick_size=Decimal("0.01"),
            min_order_size=Shares(Decimal(5)),
            as_of=datetime.now(UTC),
        )

    def watch(self, token_ids: Iterable[OutcomeTokenId]) -> None:
        """Watch nothing."""

    def refresh(self) -> None:
        """Be of this moment; the feed does so beside the path."""
        self._book = replace(self._book, as_of=datetime.now(UTC))

    def book(self, token_id: OutcomeTokenId) -> OrderBook | None:
        return self._book

    async def run(self) -> None:
        """Never run."""

    def health(self) -> BookFeedHealth:
        """Show nothing."""
        return BookFeedHealth()


class _NoHistory:
    """Nobody holds anything."""

    async def recent_trades(self, leader: LeaderAddress, *, limit: int) -> tuple[LeaderTrade, ...]:
        return ()

    async def leader_positions(self, leader: LeaderAddress) -> tuple[LeaderPosition, ...]:
        return ()


def _level(price: str, size: int) -> BookLevel:
    return BookLevel(price=Price(Decimal(price)), size=Shares(Decimal(size)))


class CopyDesk:
    """One ledger and everything between a frame and the last metre; the network is not there."""

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / f"{name}.db"
        self.ledger = open_ledger(self.path, mode=Mode.LIVE)
        now = datetime.now(UTC)
        self.ledger.deposit(usdc(10_000), reference="start", at=now)
        since = now - timedelta(hours=1)
        self.ledger.add_leader(
            Leader(
                address=LEADER,
                name="whale",
                policy=POLICY,
                state=LeaderState.ACTIVE,
                state_reason="",
                added_at=since,
                watermark=since,
            )
        )
        client = _LastMetre(
            "http://127.0.0.1:9", SIGNER, clock=CLOCK, timeout_s=1, order_timeout_s=1
        )
        self.data = _OneMarket()
        self.exchange = _exchange(folder / name, client, self.data)
        self.books = _StillBooks(OutcomeTokenId(POSITION))
        self.feed = PolymarketLeaderFeed(
            FeedSources(stream_url="ws://127.0.0.1:9", data_url=None), now=CLOCK.instant
        )
        self.parts = Assembly(
            CopyPorts(
                ledger=self.ledger,
                exchange=self.exchange,
                account=None,
                clock=CLOCK,
                market_data=self.data,
                feed=self.feed,
                books=self.books,
                history=_NoHistory(),
                machine_time=CLOCK.instant,
            ),
            CopyOptions(mode=Mode.LIVE, limits=LIMITS, holder="bench", run_name="bench"),
            on_lost=_never,
            on_ledger_trouble=_raise,
            on_overflow=_never,
        )
        self._number = 0

    async def open(self) -> None:
        """Take the lease and learn everything that the path looks up in memory."""
        parts, now = self.parts, datetime.now(UTC)
        if not parts.lease.take():
            raise TypeError("the lease is somebody else's")
        parts.roster.reload_leaders()
        parts.roster.reload_account(now)
        parts.catalog.cover([self.data.market.window.series])
        await parts.catalog.refresh()
        self.feed.follow({LEADER: now})
        self.feed._sink = parts.desk.hear  # noqa: SLF001 - what run() does first
        parts.desk.is_open = True

    async def copy_once(self) -> float:
        """Hear a frame with a new trade; return the time to the signed bytes [s]."""
        # The counts of repeated copies, of a window that is always over by now.
        self.books.refresh()
        frame = self._frame()
        source = self.feed._streams[0]  # noqa: SLF001 - as its connection does with each frame
        self.exchange.signed_at = 0.0
        start = time.perf_counter()
        source._take(source._reader.read(frame, CLOCK.instant))  # noqa: SLF001
        if not self.exchange.signed_at:
            raise TypeError(f"not copied: {self.ledger.copy_log(limit=1)}")
        taken = self.exchange.signed_at - start
        await self.settle()
        return taken

    async def settle(self) -> None:
        """Let the answer be recorded, and write what may wait."""
        parts, market = self.parts, self.data.market
        while parts.sender.in_flight or parts.turns.must_wait(market.condition_id):  # noqa: ASYNC110
            await asyncio.sleep(0)
        self.parts.records.flush()

    def _frame(self) -> bytes:
        self._number += 1
        now_ms = int(time.time() * 1000)
        payload = {
            "asset": POSITION,
            "bio": "",
            "conditionId": self.data.market.condition_id,
            "eventSlug": self.data.market.slug,
            "icon": "https://example.com/BTC.png",
            "name": "whale",
            "outcome": "Up",
            "outcomeIndex": 0,
            "price": 0.49,
            "profileImage": "",
            "proxyWallet": LEADER,
            "pseudonym": "Grown-Cantaloupe",
            "side": "BUY",
            # Sizes differ, or the leader would seem to answer our orders.
            "size": 200 + 120 * (self._number % 2),
            "slug": self.data.market.slug,
            "timestamp": now_ms // 1000,
            "title": "Bitcoin Up or Down",
            "transactionHash": f"0x{now_ms:032x}{self._number:032x}",
        }
        envelope = {
            "connection_id": "gZexFa6cUWeIKEiTDA==",
            "payload": payload,
            "timestamp": now_ms,
            "topic": "activity",
            "type": "trades",
        }
        return json.dumps(envelope, separators=(",", ":")).encode()


def _exchange(home: Path, client: ClobClient, data: MarketData) -> _TimedExchange:
    account = TradingAccount(
        key_address=SIGNER.address, funder=SIGNER.address, signature_type=SignatureType.EOA
    )
    memory = VenueMemory(home)
    # The first order of an installation is a canary and waits for one more file: once in a life.
    first = fields_of(build_order(), account, salt=1, timestamp_ms=1_795_348_800_000)
    memory.claim_canary(order_id_of(first), first)
    memory.pass_canary(order_id_of(first))
    return _TimedExchange(client, SIGNER, account, market_data=data, clock=CLOCK, memory=memory)


def _never() -> None:
    raise TypeError("this bench never comes here")


def _raise(problem: Exception) -> None:
    raise problem


# A ledger with a past ---------------------------------------------------------------------------

# Most of what leaders do is not copied.
SHARES_OF_ROWS = {"leader_events": 0.8, "decisions": 0.1, "orders": 0.1}
UNIQUE = {
    "leader_events": {"key": 64, "transaction_hash": 64},
    "decisions": {"key": 64},
    "orders": {"order_id": 64, "decision_key": 64},
}


def add_rows(desk: CopyDesk, rows: int) -> None:
    """Multiply a ledger's last copy, which is over, until there are so many rows."""
    sqlite = sqlite_module()
    connection = sqlite.connect(str(desk.path), isolation_level=None, timeout=60)
    try:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("BEGIN IMMEDIATE")
        for table, share in SHARES_OF_ROWS.items():
            names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            columns = [name for name in names if name != "id"]
            values = [
                f"printf('0x%064x', numbers.n) || '{table}{column}'"
                if column in UNIQUE[table]
                else f"last.{column}"
                for column in columns
            ]
            insert = f"INSERT INTO {table} ({', '.join(columns)})"
            numbers = f"SELECT 1 UNION ALL SELECT n + 1 FROM numbers LIMIT {round(rows * share)}"
            last = f"(SELECT * FROM {table} ORDER BY id DESC LIMIT 1) AS last"
            copying = (
                f"WITH RECURSIVE numbers(n) AS ({numbers}) "
                f"{insert} SELECT {', '.join(values)} FROM numbers, {last}"
            )
            connection.execute(copying)
        connection.execute("COMMIT")
        connection.execute("ANALYZE")
    finally:
        connection.close()


# Measuring --------------------------------------------------------------------------------------


def peer(sign: Callable[[SignatureType], Callable[[], object]]) -> Turn:
    """Return what a simple bot does with a frame: parse it and let the client make an order."""
    create = sign(SignatureType.EOA)
    frame = json.dumps({"payload": {"proxyWallet": LEADER, "price": 0.49, "size": 200.0}})

    def run() -> object:
        json.loads(frame)
        return create()

    return timed(run)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60, help="rows of turns")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the large ledger")
    options = parser.parse_args()
    loop = asyncio.new_event_loop()
    # On a disk that lasts: a temporary folder in memory would synchronise nothing.
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        desks = [CopyDesk(Path(name), which) for which in ("path", "small", "large")]
        for desk in desks:
            loop.run_until_complete(desk.open())
        # As ``open_copier`` does.
        gc.collect()
        gc.freeze()
        path, small, large = desks
        first_us = loop.run_until_complete(path.copy_once()) * 1e6
        print(f"from a frame's bytes to the signed order's bytes, microseconds; {machine()}")
        turns: dict[str, Turn] = {
            OURS: lambda: loop.run_until_complete(path.copy_once()),
            FLOOR: floor(Path(name), SignatureType.EOA),
            INSTALLED: peer(in_pure_python(unified)),
            QUICK: peer(unified),
        }
        taken = take_turns(turns, options.rounds, slow=(INSTALLED,))
        report(taken, OURS)
        ratio = taken[INSTALLED].median / taken[OURS].median
        print(f"first copy of a process: {first_us:.0f}")
        print(f"{INSTALLED}: {ratio:.1f}x ours (goal: at least 8)")
        print("goals on an idle machine: median at most 500, p99 at most 2000")
        compare_ledgers(small, large, options.rows, options.rounds, loop)
        for desk in desks:
            desk.ledger.close()
    loop.close()


def compare_ledgers(
    small: CopyDesk, large: CopyDesk, rows: int, rounds: int, loop: asyncio.AbstractEventLoop
) -> None:
    """Print the path on a small and on a large ledger."""
    for desk, count in ((small, 1_000), (large, rows)):
        for _ in range(3):
            loop.run_until_complete(desk.copy_once())
        add_rows(desk, count)
    names = {"ledger of 1,000 rows": small, f"ledger of {rows:,} rows": large}
    taken = take_turns(
        {
            name: lambda desk=desk: loop.run_until_complete(desk.copy_once())
            for name, desk in names.items()
        },
        rounds,
    )
    print("\nthe same with a past, microseconds")
    first, second = names
    report(taken, first)
    ratio = taken[second].median / taken[first].median
    print(f"large to small: {ratio:.3f}x of medians (goal: at most 1.1)")


if __name__ == "__main__":
    main()
