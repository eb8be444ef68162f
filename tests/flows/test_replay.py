"""The whole pipeline on recorded candles and windows, compared with a second working-out."""

import csv
import gzip
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from polybot.domain.accounts import TradeLogKind
from polybot.domain.decisions import Verdict
from polybot.domain.markets import MarketWindow, Outcome, OutcomeTokenId
from polybot.sandbox.clock import SteppedClock
from polybot.sandbox.venue import SandboxVenue
from tests.flows.conftest import Desk
from tests.flows.replay_oracle import buy, forecast
from tests.shared_data import require

CANDLES = ("candles", "btcusdt_1m_2025-12-12_2025-12-19.csv.gz")
COLUMNS = ("slug", "start_s", "end_s", "condition_id", "up_token_id", "down_token_id", "outcome")
MAX_AGE = 300
RESOLVED_AFTER = timedelta(seconds=200)


def rows_of(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def quarter_hours() -> Iterator[dict[str, str]]:
    """Real 15-minute windows with their ids; the outcome is the token's last price where it was
    all but certain, and the recorded exchange's direction elsewhere (they agree on 98.9 %)."""
    for row in rows_of(require("updown", "btc_15m_markets_2025-12-12_2025-12-19.csv.gz")):
        if not row["binance_open"]:
            continue
        last = float(row["last_up_price"] or 0.5)
        is_up = (
            last > 0.5
            if not 0.1 <= last <= 0.9
            else (float(row["binance_close"]) >= float(row["binance_open"]))
        )
        yield {**row, "outcome": "Up" if is_up else "Down"}


def five_minutes() -> Iterator[dict[str, str]]:
    """Real 5-minute windows with the venue's own outcomes; that file has no ids, so made up."""
    for row in rows_of(require("updown", "btc_5m_outcomes_2025-12-18_2026-01-15.csv.gz")):
        digest = hashlib.sha256(row["slug"].encode()).hexdigest()
        yield {
            "slug": row["slug"],
            "start_s": row["start_s"],
            "end_s": str(int(row["start_s"]) + 300),
            "condition_id": f"0x{digest}",
            "up_token_id": str(int(digest, 16)),
            "down_token_id": str(int(digest, 16) ^ 1),
            "outcome": row["outcome"],
        }


@dataclass(frozen=True, slots=True)
class Recording:
    series: str
    windows: Callable[[], Iterator[dict[str, str]]]
    first_s: int
    count: int
    settings: dict[str, str]


RECORDINGS = [
    pytest.param(Recording("btc-15m", quarter_hours, 1_765_591_200, 100, {}), id="btc-15m"),
    pytest.param(
        Recording(
            "btc-5m",
            five_minutes,
            1_766_044_800,
            12,
            {"POLYBOT_SERIES": '["btc-5m"]', "POLYBOT_RISK__MIN_TIME_LEFT_S": "60"},
        ),
        id="btc-5m",
    ),
]


def build_recording(folder: Path, recording: Recording) -> list[dict[str, str]]:
    """Write a replay folder and return the windows that are played, oldest first."""
    folder.mkdir()
    played = sorted(
        (row for row in recording.windows() if int(row["start_s"]) >= recording.first_s),
        key=lambda row: int(row["start_s"]),
    )[: recording.count]
    (folder / "candles.csv.gz").write_bytes(require(*CANDLES).read_bytes())
    paths = require("updown", "btc_15m_up_price_paths_2025-12-12_2025-12-19.csv.gz")
    (folder / "up_price_paths.csv.gz").write_bytes(paths.read_bytes())
    with (folder / "markets.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(played)
    return played


@pytest.mark.parametrize("recording", RECORDINGS)
async def test_recorded_windows_replay_and_the_books_balance(
    recording: Recording,
    make_desk: Callable[[SandboxVenue], Desk],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every window is decided once, no run fails, and directions, fills, fees and P&L equal an
    independent working-out from the candles, the books and the outcomes."""
    played = build_recording(tmp_path / "recording", recording)
    windows = [MarketWindow.parse_slug(row["slug"]) for row in played]
    venue = SandboxVenue(
        replay=tmp_path / "recording",
        clock=SteppedClock((windows[0].start_s - 60) * 1000),
    )
    desk = make_desk(venue)
    for name, value in recording.settings.items():
        monkeypatch.setenv(name, value)

    for number, window in enumerate(windows):
        await desk.trend(window)
        if number % 5 == 4:
            await desk.settle(window.start + RESOLVED_AFTER)
    await desk.settle(windows[-1].end + RESOLVED_AFTER)

    with desk.ledger() as ledger:
        assert ledger.violations() == ()
        made = ledger.decisions_between(windows[0].start, windows[-1].end)
        log = ledger.trade_log()
        totals = ledger.totals(at=windows[-1].end + RESOLVED_AFTER)
        assert {run.state for run in ledger.recent_runs(1000)} == {"completed"}
        assert ledger.positions() == ()
    assert [one.window for one in made] == windows
    assert {one.verdict for one in made} <= {Verdict.PLACED, Verdict.HELD, Verdict.REFUSED}

    closes = {int(r["open_time_ms"]) // 1000: float(r["close"]) for r in rows_of(require(*CANDLES))}
    expected_pnl = Decimal(0)
    traded = 0
    for decision, row in zip(made, played, strict=True):
        start = decision.window.start_s
        wanted = forecast([closes[start - 60 * n] for n in range(300, 0, -1)], max_age=MAX_AGE)
        if not wanted.is_close_call:
            assert decision.direction == wanted.direction, decision.window.slug
        fills = [
            entry
            for entry in log
            if entry.kind is TradeLogKind.FILL and entry.market == decision.window.slug
        ]
        if not fills:
            continue
        traded += 1
        outcome = Outcome.UP if decision.direction == "UP" else Outcome.DOWN
        token = row["up_token_id"] if outcome is Outcome.UP else row["down_token_id"]
        book = venue.book(OutcomeTokenId(token), start + 3)
        assert book is not None
        asks = [(Decimal(level.price), Decimal(level.size)) for level in book.asks]
        bought, cost, fee = buy(asks, Decimal(5), asks[0][0] + Decimal("0.03"))
        assert sum(entry.size for entry in fills) == bought
        assert sum(entry.cost_usdc for entry in fills) == cost
        assert sum(entry.fee_usdc for entry in fills) == fee
        expected_pnl += (bought if row["outcome"] == outcome else Decimal(0)) - cost - fee
    assert traded >= recording.count // 5, "a replay that hardly trades proves little"
    assert totals.realised_pnl_usdc == expected_pnl
    assert totals.cash_usdc == totals.deposits_usdc + expected_pnl
    assert sum(entry.cash_change_usdc for entry in log) == totals.cash_usdc
