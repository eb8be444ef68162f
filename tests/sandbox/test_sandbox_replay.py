"""Recorded history: played as it was, and never ahead of its time."""

import csv
import gzip
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from polybot.domain.markets import Outcome
from polybot.errors import ConfigurationError
from polybot.sandbox.clock import SteppedClock
from polybot.sandbox.venue import SandboxVenue
from tests.shared_data import require

# 2025-12-12T20:15:00Z
START_S = 1_765_570_500
CANDLES = "open_time_ms,open,high,low,close,volume"
MARKETS = "slug,start_s,end_s,condition_id,up_token_id,down_token_id,outcome"


def _candle_rows(count: int = 120) -> list[str]:
    first_s = START_S - 60 * 60
    rows = []
    for number in range(count):
        price = 90_000 + 20 * math.sin(number / 5)
        rows.append(
            f"{(first_s + 60 * number) * 1000},{price:.2f},{price + 9:.2f},{price - 9:.2f},"
            f"{price + 1:.2f},{1 + number}"
        )
    return rows


def _market_row(number: int, outcome: str) -> str:
    start_s = START_S + 900 * number
    return (
        f"btc-updown-15m-{start_s},{start_s},{start_s + 900},0x{start_s:064x},"
        f"{1000 + abs(number)},{2000 + abs(number)},{outcome}"
    )


def _write(folder: Path, name: str, header: str, rows: list[str]) -> None:
    (folder / name).write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two hours of candles, three windows of which one has no outcome, and a short path."""
    _write(tmp_path, "candles.csv", CANDLES, _candle_rows())
    outcomes = ("Down", "", "Up")
    _write(tmp_path, "markets.csv", MARKETS, [_market_row(n, o) for n, o in enumerate(outcomes)])
    path = [
        f"btc-updown-15m-{START_S},{(START_S + at) * 1000},{price}"
        for at, price in ((60, 0.7), (120, 0.2))
    ]
    _write(tmp_path, "up_price_paths.csv", "slug,ts_ms,up_price", path)
    return tmp_path


def test_windows_with_an_outcome_are_played_and_others_do_not_exist(folder: Path) -> None:
    """Recorded ids and outcomes; the outcome shows only after the resolution."""
    venue = SandboxVenue(replay=folder)
    market = venue.market(f"btc-updown-15m-{START_S}", START_S)
    assert market is not None
    assert venue.market(f"btc-updown-15m-{START_S + 900}", START_S) is None
    assert venue.market_of_token("1000", START_S) == market
    assert venue.market_of_condition(market.condition_id, START_S) == market

    assert venue.resolution(market, market.resolved_s - 1) is None
    resolution = venue.resolution(market, market.resolved_s)
    assert resolution is not None
    assert resolution.winner is Outcome.DOWN
    assert venue.price_to_beat(market, market.resolved_s) is None


def test_book_stands_around_the_last_recorded_point(folder: Path) -> None:
    """The model before the first point, then each point until the next."""
    venue = SandboxVenue(replay=folder)
    market = venue.market(f"btc-updown-15m-{START_S}", START_S)
    assert market is not None
    assert venue.fair_up(market, START_S + 59) != 0.7
    assert [venue.fair_up(market, START_S + at) for at in (60, 119, 120, 800)] == [
        0.7,
        0.7,
        0.2,
        0.2,
    ]
    book = venue.book("1000", START_S + 100)
    assert book is not None
    assert book.midpoint is not None
    assert abs(float(book.midpoint) - 0.7) <= 0.01


def test_unfinished_candle_shows_its_opening_alone(folder: Path) -> None:
    """High, low, close and volume of a running minute lie in the future."""
    venue = SandboxVenue(replay=folder)
    span = {"timeframe_s": 60, "first_s": START_S, "last_s": START_S}
    (running,) = venue.candles("btc", **span, at_s=START_S + 59)
    (closed,) = venue.candles("btc", **span, at_s=START_S + 60)

    assert {running.open, running.high, running.low, running.close} == {closed.open}
    assert running.volume == 0
    assert closed.high > closed.open
    assert venue.candles("btc", **span, at_s=START_S - 1) == ()


def test_nothing_before_an_instant_depends_on_what_was_recorded_after_it(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Other candles, points and outcomes after an instant leave every earlier answer as it was."""
    at_s = START_S + 100
    other = tmp_path_factory.mktemp("other")
    rows = _candle_rows()
    last_known = rows[(at_s - (START_S - 3600)) // 60]
    opening = last_known.split(",")[:2]
    changed = [f"{opening[0]},{opening[1]},99999,10,50000,7"] + [
        f"{row.split(',')[0]},50000,50001,49999,50000.5,1"
        for row in rows[rows.index(last_known) + 1 :]
    ]
    _write(other, "candles.csv", CANDLES, rows[: rows.index(last_known)] + changed)
    _write(
        other, "markets.csv", MARKETS, [_market_row(n, o) for n, o in enumerate(("Up", "", "Down"))]
    )
    path = f"btc-updown-15m-{START_S},{(START_S + 60) * 1000},0.7"
    _write(other, "up_price_paths.csv", "slug,ts_ms,up_price", [path])
    one, two = SandboxVenue(replay=folder), SandboxVenue(replay=other)

    for second in range(START_S - 300, at_s + 1):
        for number in (0, 2):
            slug = f"btc-updown-15m-{START_S + 900 * number}"
            first, second_market = one.market(slug, second), two.market(slug, second)
            assert first is not None
            assert second_market is not None
            assert one.fair_up(first, second) == two.fair_up(second_market, second)
            assert one.winner(first, second) is two.winner(second_market, second) is None
        span = {"timeframe_s": 900, "first_s": START_S - 3600, "last_s": second, "at_s": second}
        assert one.candles("btc", **span) == two.candles("btc", **span)


def _replace(name: str, line: int, text: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        lines = (folder / name).read_text().splitlines()
        lines[line - 1] = text
        (folder / name).write_text("\n".join(lines) + "\n")

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_replace("candles.csv", 1, "a,b"), "candles.csv, line 1: no column open_time_ms"),
        (_replace("candles.csv", 3, "1,2"), "candles.csv, line 3: 2 fields"),
        (_replace("candles.csv", 3, "x,1,1,1,1,1"), "candles.csv, line 3: invalid literal"),
        (_replace("candles.csv", 3, "60000,1,1,1,1,1"), "candles.csv, line 3: open_time_ms"),
        (
            _replace("candles.csv", 2, f"{(START_S - 3600) * 1000},1,1,2,1,1"),
            "candles.csv, line 2: candle",
        ),
        (
            _replace("candles.csv", 2, f"{(START_S - 3600) * 1000},nan,1,1,1,1"),
            "candles.csv, line 2: candle",
        ),
        (_replace("markets.csv", 2, _market_row(0, "up")), "markets.csv, line 2: 'up'"),
        (_replace("markets.csv", 4, _market_row(0, "Up")), "markets.csv, line 4: .* twice"),
        (
            _replace("markets.csv", 2, _market_row(0, "Up").replace(f",{START_S},", ",5,")),
            "markets.csv, line 2: start_s 5",
        ),
        (
            _replace("markets.csv", 2, _market_row(0, "Up").replace("0x", "0y")),
            "markets.csv, line 2: condition",
        ),
        (
            _replace("markets.csv", 2, _market_row(0, "Up").replace("btc-", "doge-")),
            "markets.csv, line 2: ",
        ),
        (
            _replace("up_price_paths.csv", 3, f"btc-updown-15m-{START_S},1,0.5"),
            "up_price_paths.csv, line 3: ts_ms",
        ),
        (
            _replace("up_price_paths.csv", 2, f"btc-updown-15m-{START_S},1,1.5"),
            "up_price_paths.csv, line 2: up_price",
        ),
        (lambda folder: (folder / "candles.csv").unlink(), "neither candles.csv nor"),
        (lambda folder: (folder / "markets.csv").write_bytes(b"\xff\xfe"), "cannot be read"),
        (
            lambda folder: _write(folder, "markets.csv", MARKETS, [_market_row(0, "")]),
            "nothing to play",
        ),
        (
            lambda folder: _write(folder, "markets.csv", MARKETS, [_market_row(-20, "Up")]),
            "no candle at or before the first window",
        ),
    ],
)
def test_malformed_recording_is_one_sentence_with_file_and_line(
    folder: Path, change: Callable[[Path], None], words: str
) -> None:
    """Nothing of a bad recording is played."""
    change(folder)
    with pytest.raises(ConfigurationError, match=words):
        SandboxVenue(replay=folder)


def test_truncated_gzip_is_one_sentence(folder: Path) -> None:
    """A broken download is told, not half played."""
    whole = gzip.compress((folder / "candles.csv").read_bytes())
    (folder / "candles.csv").unlink()
    (folder / "candles.csv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ConfigurationError, match=r"candles\.csv\.gz: cannot be read"):
        SandboxVenue(replay=folder)


def test_real_recorded_week_plays(tmp_path: Path) -> None:
    """A week of exchange candles, 15-minute windows and price paths of December 2025."""
    candles = require("candles", "btcusdt_1m_2025-12-12_2025-12-19.csv.gz")
    markets = require("updown", "btc_15m_markets_2025-12-12_2025-12-19.csv.gz")
    paths = require("updown", "btc_15m_up_price_paths_2025-12-12_2025-12-19.csv.gz")
    shutil.copy(candles, tmp_path / "candles.csv.gz")
    shutil.copy(paths, tmp_path / "up_price_paths.csv.gz")
    outcomes = {}
    with gzip.open(markets, "rt") as text, (tmp_path / "markets.csv").open("w") as out:
        writer = csv.writer(out)
        writer.writerow(MARKETS.split(","))
        for row in csv.DictReader(text):
            last = float(row["last_up_price"] or 0.5)
            outcome = "Up" if last > 0.9 else "Down" if last < 0.1 else ""
            outcomes[row["slug"]] = outcome
            writer.writerow([*(row[name] for name in MARKETS.split(",")[:-1]), outcome])

    venue = SandboxVenue(replay=tmp_path, clock=SteppedClock(0))
    assert venue.replay is not None
    assert len(venue.replay.windows) == sum(map(bool, outcomes.values())) == 359
    for market in venue.replay.windows:
        assert str(venue.winner(market, market.resolved_s)) == outcomes[market.window.slug]
        for second in (-30, 3, 200, 880):
            assert venue.book(market.up_token_id, market.start_s + second) is not None
    with gzip.open(candles, "rt") as text:
        recorded = list(csv.reader(text))[1:]
    first_s, last_s = (int(recorded[index][0]) // 1000 for index in (0, -1))
    played = venue.candles("btc", timeframe_s=60, first_s=first_s, last_s=last_s, at_s=last_s + 60)
    # Nothing after the last window's end is kept.
    assert len(played) >= len(recorded) - 60
    for row, candle in zip(recorded, played, strict=False):
        assert [int(row[0]) // 1000, *map(float, row[1:])] == [
            candle.open_s,
            candle.open,
            candle.high,
            candle.low,
            candle.close,
            candle.volume,
        ]
