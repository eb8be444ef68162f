"""Recorded wallets, from every source at once into the ledger: each fill once, nothing lost.

One of the recorded transactions holds the same fill four times, which only a complete walk of the
Data API can prove; the stream repeats what it likes.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

from polybot.adapters.polymarket.leader_feed.frames import FrameReader
from polybot.adapters.polymarket.leader_feed.identity import LeaderMerge
from polybot.adapters.polymarket.leader_feed.rows import read_row, wallet_of
from polybot.adapters.polymarket.wire.strict import decode_text
from polybot.adapters.storage.ledger import SqlLedger, open_ledger
from polybot.copy_trading.parts import LEASE_NAME
from polybot.domain.leaders import (
    CopyRecord,
    CopyVerdict,
    FeedSource,
    LeaderAddress,
    LeaderTrade,
)
from polybot.domain.modes import Mode
from polybot.domain.orders import Side
from tests.copy_builders import build_leader
from tests.ledgers import new_ledger
from tests.shared_data import require

TODAY = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
KEEP = timedelta(days=400)


class Recording:
    """One recorded wallet, as each source would tell of it."""

    def __init__(self, path: Path) -> None:
        self.lines = [line.strip() for line in path.open() if line.strip()]
        rows = [json.loads(line, parse_float=Decimal) for line in self.lines]
        self.rows = [row.get("trade", row) for row in rows]
        self.wallet = LeaderAddress(self.rows[0]["proxyWallet"].lower())

    def net(self) -> dict[str, Decimal]:
        """Return what adding up the file gives for each token [shares]."""
        summed: defaultdict[str, Decimal] = defaultdict(Decimal)
        for row in self.rows:
            size = Decimal(row["size"])
            summed[row["asset"]] += size if row["side"] == "BUY" else -size
        return dict(summed)

    def walk(self) -> list[LeaderTrade]:
        """Return a complete walk of the Data API."""
        found = []
        for line in self.lines:
            row = decode_text(line)
            assert isinstance(row, dict)
            row = row.get("trade", row)
            trade = read_row(
                row, wallet=wallet_of(row), received_at=TODAY, source=FeedSource.DATA_API
            )
            assert isinstance(trade, LeaderTrade)
            found.append(trade)
        return found

    def frames(self, random: Random) -> list[LeaderTrade]:
        """Return what the stream tells: out of order, a tenth lost, a third told again."""
        reader = FrameReader()
        reader.follow([self.wallet])
        told: list[LeaderTrade] = []
        for line in self.lines:
            row = json.loads(line)
            envelope = {"topic": "activity", "type": "trades", "payload": row.get("trade", row)}
            (trade,) = reader.read(json.dumps(envelope).encode(), lambda: TODAY)
            assert isinstance(trade, LeaderTrade)
            if random.random() > 0.1:
                told += [trade] * random.choice((1, 1, 2))
        random.shuffle(told)
        return told


def record(ledger: SqlLedger, trades: Sequence[LeaderTrade]) -> None:
    """Record trades as the loop records what it does not copy."""
    lease = ledger.acquire_lease(LEASE_NAME, "test", ttl_s=60, at=TODAY)
    assert lease is not None
    records = [
        CopyRecord(
            trade=trade,
            verdict=CopyVerdict.SKIPPED,
            reason_code="too-old",
            reason="recorded long ago",
            decided_at=TODAY,
        )
        for trade in trades
    ]
    ledger.record_leader_trades(records, lease=lease)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("name", "count", "windows"),
    [
        ("gabagool22_trades_2026-01-08.jsonl", 129, 4),
        ("wallet_0xe00740_trades_2026-01-08.jsonl", 41, None),
        ("detected_trades_0xdb27bf.jsonl", 7, None),
    ],
)
def test_recorded_wallet_gives_the_net_position_of_its_file(
    tmp_path: Path, name: str, count: int, windows: int | None, seed: int
) -> None:
    """Stream and Data API in any order, a process that ends in between, all of it told again."""
    recording, random = Recording(require("wallets", name)), Random(seed)
    (tmp_path / "paper.db").write_bytes(new_ledger(Decimal(100), at=TODAY))
    with open_ledger(tmp_path / "paper.db", mode=Mode.PAPER) as ledger:
        first = min(trade.traded_at for trade in recording.walk())
        ledger.add_leader(
            replace(build_leader(), address=recording.wallet, added_at=first, watermark=first)
        )
        for life in range(2):
            merge = LeaderMerge(keep=KEEP)
            merge.remember(ledger.seen_keys(recording.wallet, since=first), at=TODAY)
            told: list[LeaderTrade] = []
            frames = recording.frames(random)
            cut = random.randrange(len(frames)) if life == 0 else 0
            for trade in frames[:cut]:
                told += merge.hear(trade, by="stream-1")
            told += merge.hear_walk(recording.walk(), by="data-api")
            for trade in frames[cut:]:
                told += merge.hear(trade, by="stream-2")
            told += merge.hear_walk(recording.walk(), by="data-api")
            assert merge.conflicts == {}
            # The process ends before the rest is recorded; the next one hears it again.
            record(ledger, told[: len(told) // 2] if life == 0 else told)
        log = ledger.copy_log(address=recording.wallet)
        assert ledger.violations() == ()
    assert len(log) == len({one.trade.key for one in log}) == count
    net: defaultdict[str, Decimal] = defaultdict(Decimal)
    for one in log:
        size = Decimal(one.trade.size)
        net[one.trade.token_id] += size if one.trade.side is Side.BUY else -size
    assert dict(net) == recording.net()
    if windows is not None:
        assert len({one.trade.slug for one in log}) == windows
