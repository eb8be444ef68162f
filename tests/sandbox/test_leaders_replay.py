"""Recorded wallets and frames, played in the sandbox's own time."""

import json
from collections import Counter, defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from polybot.errors import ConfigurationError
from polybot.sandbox.clock import SteppedClock
from polybot.sandbox.leaders.recorded import RecordedLeaders, is_leader_recording, load_leaders
from polybot.sandbox.leaders.stage import LeaderStage
from polybot.sandbox.leaders.wallets import LeaderOptions
from polybot.sandbox.venue import SandboxVenue
from tests.sandbox.conftest import START_S
from tests.sandbox.leader_wire import serve_stage, stream
from tests.shared_data import require

NOBODY = LeaderOptions(leaders=0, crowd=0, noise=0)


def _stage(*paths: Path, at_s: int = START_S - 10) -> tuple[LeaderStage, RecordedLeaders]:
    venue = SandboxVenue(seed=7, clock=SteppedClock(at_s * 1000))
    recording = load_leaders(paths, venue)
    return LeaderStage(venue, NOBODY, recording=recording), recording


def _row(**fields: object) -> dict[str, object]:
    return {
        "proxyWallet": "0x" + "1" * 40,
        "side": "BUY",
        "asset": "123",
        "conditionId": "0x" + "2" * 64,
        "size": 10,
        "price": 0.4,
        "timestamp": 1_767_841_819,
        "slug": "btc-updown-15m-1767841200",
        "outcome": "Down",
        "transactionHash": "0x" + "3" * 64,
        **fields,
    }


def _file(folder: Path, *rows: object) -> Path:
    path = folder / "wallet.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


async def test_a_recorded_wallet_trades_the_windows_that_are_being_played() -> None:
    """129 rows of four windows: every one told by the stream, net positions as in the file."""
    path = require("wallets", "gabagool22_trades_2026-01-08.jsonl")
    recorded = [json.loads(line) for line in path.read_text().splitlines()]
    stage, recording = _stage(path)
    assert len(recording) == 129
    with serve_stage(stage) as wire:
        async with stream(wire.url) as client:
            wire.advance(2 * 3_600)
            heard = [one["payload"] for one in await client.heard()]
        rows = wire.truth()
    assert len(rows) == len(heard) == 129
    net: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for row in recorded:
        net[row["slug"], row["outcome"]] += Decimal(str(row["size"]))
    played: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for row in rows:
        played[row["slug"], row["outcome"]] += Decimal(row["size"])
        market = stage.venue.listing.by_token(row["token_id"])
        assert market is not None
        assert market.window.slug == row["slug"]
        assert market.start_s <= row["timestamp"] <= market.end_s + 60
    assert sorted(net.values()) == sorted(played.values())
    assert Counter(one["price"] for one in heard) == Counter(one["price"] for one in recorded)
    first = min(one["timestamp"] for one in rows)
    assert START_S - 10 <= first < START_S + 890
    assert first % 900 == min(one["timestamp"] for one in recorded) % 900


def test_every_recorded_wallet_plays_or_is_counted() -> None:
    """The whole folder: trades, merges and redemptions; what is neither is counted."""
    folder = require("wallets")
    stage, recording = _stage(folder)
    assert isinstance(stage.venue.clock, SteppedClock)
    stage.venue.clock.advance(4 * 86_400)
    stage.advance()
    assert len(stage.entries) == len(recording) == 129 + 41 + 7 + 500 + 2
    assert recording.left_out == {}
    assert {one.event.wallet for one in stage.entries} == set(recording.wallets)
    assert all(one.is_leaders for one in stage.entries)


async def test_recorded_frames_about_other_things_are_told_as_they_were() -> None:
    """Prices of the same topic service: whoever follows trades must not stumble over them."""
    path = require("ws", "rtds_frames_2026-09-05.jsonl")
    recorded = [json.loads(line)["frame"] for line in path.read_text().splitlines()]
    stage, _ = _stage(path)
    with serve_stage(stage) as wire:
        async with stream(wire.url) as client:
            wire.advance(4 * 3_600)
            heard = await client.heard()
    assert Counter(map(str, heard)) == Counter(str(json.loads(text)) for text in recorded)


def test_both_spellings_and_every_wrapping_are_read(tmp_path: Path) -> None:
    old: dict[str, Any] = _row()
    new = {
        "proxy_wallet": old["proxyWallet"],
        "token_id": old["asset"],
        "condition_id": old["conditionId"],
        "transaction_hash": "0x" + "4" * 64,
        **{name: old[name] for name in ("side", "size", "price", "slug", "outcome")},
        "timestamp": str(old["timestamp"]),
        "type": "TRADE",
    }
    merge = {**new, "type": "MERGE", "token_id": "", "side": "", "price": 0, "usdc_size": 3}
    frame = json.dumps({"topic": "activity", "type": "trades", "payload": old})
    path = _file(
        tmp_path,
        old,
        {"trade": old},
        {"data": [new, merge, {**merge, "type": "REWARD"}]},
        {"frame": frame},
    )
    stage, recording = _stage(path)
    assert len(recording) == 5
    assert recording.left_out == {"REWARD": 1}
    venue = stage.venue
    slug = f"btc-updown-15m-{START_S}"
    market = venue.listing.by_slug(slug)
    assert market is not None
    events = recording.between(0, 1 << 60)
    trades = [one for one in events if hasattr(one, "token")]
    assert {one.token.token_id for one in trades} == {market.down_token_id}
    assert {one.timestamp for one in events} == {START_S + 619}


def test_markets_that_are_no_windows_keep_their_names(tmp_path: Path) -> None:
    stage, recording = _stage(_file(tmp_path, _row(slug="will-it-rain")))
    (event,) = recording.between(0, 1 << 60)
    assert event.token.token_id == "123"  # type: ignore[union-attr]
    assert stage.venue.listing.by_slug("will-it-rain") is None


@pytest.mark.parametrize(
    "row",
    [
        _row(price=1.5),
        _row(size=0),
        _row(side="HOLD"),
        _row(asset="0x1"),
        _row(timestamp="soon"),
        {name: value for name, value in _row().items() if name != "size"},
    ],
)
def test_an_impossible_row_names_its_file_and_line(tmp_path: Path, row: object) -> None:
    path = _file(tmp_path, _row(), row)
    with pytest.raises(ConfigurationError, match=r"wallet\.jsonl, line 2"):
        _stage(path)


def test_a_recording_of_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("{}\n")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(ConfigurationError, match=r"empty\.jsonl"):
        _stage(tmp_path / "empty.jsonl")
    with pytest.raises(ConfigurationError, match=r"broken\.json"):
        _stage(tmp_path)


def test_recordings_of_markets_and_of_wallets_are_told_apart(tmp_path: Path) -> None:
    wallets, markets = tmp_path / "wallets", tmp_path / "markets"
    wallets.mkdir()
    markets.mkdir()
    _file(wallets, _row())
    for name in ("candles.csv", "markets.csv"):
        (markets / name).write_text("")
    assert is_leader_recording(wallets)
    assert is_leader_recording(wallets / "wallet.jsonl")
    assert not is_leader_recording(markets)
    assert not is_leader_recording(tmp_path / "nothing")
