"""A copy over loopback, live against the sandbox's strict exchange; and a poller beside it.

One leader trades in a sandbox that is a process of its own. Our copier hears it on the stream and
posts signed orders, each durable first; a poller that asks the Data API once a second, as public
copy bots do, watches the same leader at the same time. Two times are told:

- from the arrival of the stream's frame until the venue's answer to our order is parsed;
- from the leader's fill to the order: ours until the venue has answered, the poller's only until
  it has seen the trade, as if its orders took no time at all.

How late stream and Data API tell of a fill is the sandbox's setting: 0.8 and 3 seconds, as the
real ones were measured (2026-11).

Run: ``make bench`` or ``python benchmarks/bench_copy_venue.py [--trades 40]``
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
from poll_reference import PolledTrade, PollingReference
from pydantic import SecretStr

from polybot.adapters.health_file import installed_version, write_health
from polybot.adapters.keystore import create_keystore
from polybot.bootstrap import Access
from polybot.bootstrap_copying import Copier, open_copier
from polybot.config import Settings, load_settings
from polybot.copy_trading.status import CopyPhase
from polybot.domain.health import HealthRecord
from polybot.domain.leaders import CopyPolicy, CopyRecord, Leader, LeaderAddress, LeaderState
from polybot.domain.markets import MarketSeries
from polybot.domain.modes import Mode

KEY = 64 * "3"
PASSPHRASE = "of-a-benchmark"  # noqa: S105 - of a key that nobody has
CASH_USDC = 100_000
WIDE = Decimal(1_000_000)
# Between two trades of the leader: an order's end is known by then.
PAUSE_S = 1.3
POLICY = CopyPolicy(
    scale=Decimal("0.05"),
    max_market_usdc=WIDE,
    max_leader_usdc=WIDE,
    max_day_usdc=WIDE,
    max_price_above=Decimal("0.2"),
    max_price_fraction=Decimal(1),
    max_from_book=Decimal("0.3"),
    min_price=Decimal("0.02"),
    max_price=Decimal("0.98"),
    max_repeats=1000,
    flip_s=0.0,
)


@contextmanager
def sandbox() -> Iterator[str]:
    """Serve a venue in real time in a process of its own; its leaders wait for orders."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "polybot.sandbox",
            "--port",
            "0",
            "--leader-rate",
            "0",
            "--crowd",
            "0",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        if process.stdout is None:
            raise TypeError("a pipe was asked for")
        yield json.loads(process.stdout.readline())["url"]
    finally:
        process.terminate()
        process.wait(10)


def ask(url: str, body: object = None) -> Any:
    """Ask the sandbox's control room."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    answer = httpx.request("GET" if body is None else "POST", url, content=data, headers=headers)
    return answer.raise_for_status().json()


def settings_for(home: Path, url: str) -> Settings:
    """Return live settings with an examined key and an account at the venue."""
    os.environ["POLYBOT_KEY_PASSPHRASE"] = PASSPHRASE
    address = create_keystore(
        home / "keystore.json", SecretStr(KEY), SecretStr(PASSPHRASE), work_factor=2
    )
    ask(f"{url}/sandbox/accounts", {"address": address.lower(), "cash_usdc": str(CASH_USDC)})
    socket = f"ws{url.removeprefix('http')}"
    names = ("gamma_url", "clob_url", "data_url", "relayer_url", "rpc_url")
    settings = load_settings(
        home=home,
        mode=Mode.LIVE,
        venue={
            **dict.fromkeys(names, url),
            "geoblock_url": f"{url}/api/geoblock",
            "user_socket_url": f"{socket}/ws/user",
            "market_socket_url": f"{socket}/ws/market",
            "stream_url": f"{socket}/rtds",
        },
        risk={
            "max_stake_usdc": 1000,
            "max_window_exposure_usdc": 100_000,
            "max_exposure_usdc": 100_000,
            "max_daily_loss_usdc": 100_000,
            "max_trades_per_day": 10_000,
        },
    )
    record = HealthRecord(
        checked_at=datetime.now(UTC),
        mode=Mode.LIVE,
        fingerprint=settings.fingerprint,
        key_address=address,
        version=installed_version(),
        is_complete=True,
        failures=(),
    )
    write_health(home, record)
    return settings


async def play(url: str, leader: str, trades: int) -> None:
    """Let the leader buy again and again, at moments that no period fits."""
    series = MarketSeries.parse("btc-4h")
    now = datetime.now(UTC)
    window = series.window_at(now)
    if window.end - now < timedelta(seconds=120 + 2 * PAUSE_S * trades):
        window = series.window_at(window.end)
    for number in range(trades):
        # Sizes differ, or the leader would seem to answer our orders.
        size = 200 if number % 2 else 320
        await asyncio.to_thread(
            ask,
            f"{url}/sandbox/leaders/trades",
            {"leader": leader, "slug": window.slug, "kind": "BUY", "size": size},
        )
        await asyncio.sleep(PAUSE_S + 0.37 * (number % 3))


async def measure(url: str, home: Path, trades: int) -> None:
    """Copy and poll side by side, and print."""
    leader = ask(f"{url}/sandbox/leaders")["wallets"][0]["address"]
    polled: dict[str, datetime] = {}

    async def place(trade: PolledTrade) -> None:
        polled[trade.transaction_hash] = datetime.now(UTC)

    async with open_copier(settings_for(home, url), access=Access.ORDERS) as copier:
        copier.bot.require_orders()
        follow(copier, LeaderAddress(leader))
        stop = asyncio.Event()
        looping = asyncio.create_task(copier.loop.run(stop))
        polling = asyncio.create_task(PollingReference(url, (leader,), place).run())
        while copier.loop.status().phase is not CopyPhase.TRADING:  # noqa: ASYNC110 - as people do
            await asyncio.sleep(0.05)
        await asyncio.sleep(2)
        await play(url, leader, trades)
        # The Data API is three seconds behind.
        await asyncio.sleep(6)
        polling.cancel()
        stop.set()
        await asyncio.gather(looping, polling, return_exceptions=True)
        records = copier.ledger.copy_log()
    truth = ask(f"{url}/sandbox/leaders/trades")["trades"]
    fills = {one["transaction_hash"]: _instant(one["at_ms"]) for one in truth}
    report([one for one in records if one.acknowledged_at is not None], fills, polled, len(records))


def follow(copier: Copier, leader: LeaderAddress) -> None:
    """Follow the leader from now on."""
    now = datetime.now(UTC) - timedelta(seconds=1)
    copier.ledger.add_leader(
        Leader(
            address=leader,
            name="whale",
            policy=POLICY,
            state=LeaderState.ACTIVE,
            state_reason="",
            added_at=now,
            watermark=now,
        )
    )


def report(
    copies: list[CopyRecord],
    fills: dict[str, datetime],
    polled: dict[str, datetime],
    recorded: int,
) -> None:
    """Print percentiles of all that was measured."""
    print(f"{len(copies)} of {recorded} recorded trades copied; {len(polled)} seen by the poller")
    decided = [(c.decided_at - c.trade.received_at).total_seconds() * 1e3 for c in copies]
    sent = [(c.sent_at - c.trade.received_at).total_seconds() * 1e3 for c in copies if c.sent_at]
    answered = [
        (c.acknowledged_at - c.trade.received_at).total_seconds() * 1e3
        for c in copies
        if c.acknowledged_at
    ]
    show("frame received to decided [ms]", decided)
    show("frame received to submission begun, durable [ms]", sent)
    show("frame received to answer parsed [ms]", answered)
    ours = [
        (c.acknowledged_at - fills[c.trade.transaction_hash]).total_seconds()
        for c in copies
        if c.acknowledged_at and c.trade.transaction_hash in fills
    ]
    theirs = [(at - fills[name]).total_seconds() for name, at in polled.items() if name in fills]
    show("leader's fill to our answered order [s]", ours)
    show("leader's fill to the poller's sight of it [s]", theirs)
    if ours and theirs:
        ratio = statistics.median(theirs) / statistics.median(ours)
        print(f"the poller's median is {ratio:.1f}x ours")


def show(name: str, values: list[float]) -> None:
    """Print one line."""
    if len(values) < 2:
        print(f"{name:52} too few")
        return
    parts = statistics.quantiles(values, n=100, method="inclusive")
    print(
        f"{name:52}p50 {parts[49]:8.2f}  p95 {parts[94]:8.2f}  p99 {parts[98]:8.2f}  "
        f"best {min(values):8.2f}"
    )


def _instant(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trades", type=int, default=40, help="of the leader")
    options = parser.parse_args()
    # On a disk that lasts: a temporary folder in memory would synchronise nothing.
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name, sandbox() as url:
        asyncio.run(measure(url, Path(name), options.trades))


if __name__ == "__main__":
    main()
