"""Recorded history instead of generated prices: candles, windows with outcomes, price paths.

Nothing here looks ahead: a candle is known by its opening alone until it has closed, and a
window's outcome only once its market is resolved.
"""

import csv
import gzip
import math
import re
import zlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final, NoReturn

from polybot.domain.candles import Candle
from polybot.domain.markets import MarketWindow, Outcome
from polybot.errors import ConfigurationError
from polybot.sandbox.listing import VenueMarket, build_market
from polybot.sandbox.prices import MINUTE_S

# Candles before the first window that are kept: a thousand of an hour, the most anyone asks for.
LEAD_S: Final = 1_000 * 3_600
_VOLATILITY_CANDLES: Final = 240
# Quiet candles must not make the model certain: 2 % a year.
_LEAST_VOLATILITY: Final = 0.02 / math.sqrt(365.25 * 86_400)
_CANDLE_COLUMNS: Final = ("open_time_ms", "open", "high", "low", "close", "volume")
_MARKET_COLUMNS: Final = (
    "slug",
    "start_s",
    "end_s",
    "condition_id",
    "up_token_id",
    "down_token_id",
    "outcome",
)
_CONDITION: Final = re.compile(r"0x[0-9a-fA-F]{64}", re.ASCII)
_TOKEN: Final = re.compile(r"[0-9]{1,78}", re.ASCII)
_PATH_COLUMNS: Final = ("slug", "ts_ms", "up_price")


class RecordedPrices:
    """1-minute candles of one asset as a price source."""

    def __init__(self, asset: str, candles: Sequence[Candle]) -> None:
        """Take candles in the order of their openings; holes are allowed."""
        self._asset = asset
        self._candles = candles
        self._opens = [candle.open_s for candle in candles]
        self._volatilities: dict[int, float] = {}

    @property
    def assets(self) -> Sequence[str]:
        """The one asset that was recorded."""
        return (self._asset,)

    def known_at(self, at_s: int) -> int:
        """Return the opening of the present minute: the last price that is known."""
        return at_s - at_s % MINUTE_S

    def spot(self, asset: str, second: int) -> float:
        """Return the opening price of the second's minute, or the last close before a hole."""
        index = bisect_right(self._opens, second) - 1
        candle = self._candles[max(index, 0)]
        return candle.open if second - candle.open_s < MINUTE_S else candle.close

    def mean(self, asset: str, start_s: int, end_s: int) -> float:
        """Return the middle of the opening prices at both ends of a whole minute.

        Shorter spans lie inside a minute that has not closed: its opening is all that is known.
        """
        if end_s - start_s < MINUTE_S:
            return self.spot(asset, start_s)
        return (self.spot(asset, start_s) + self.spot(asset, end_s)) / 2

    def volatility(self, asset: str, at_s: int) -> float:
        """Return the realised deviation per second over the last four hours of closed candles."""
        last = bisect_right(self._opens, at_s - MINUTE_S)
        known = self._volatilities.get(last)
        if known is None:
            closes = [one.close for one in self._candles[max(0, last - _VOLATILITY_CANDLES) : last]]
            steps = [math.log(after / before) for before, after in pairwise(closes)]
            variance = math.fsum(step * step for step in steps) / max(1, len(steps)) / MINUTE_S
            known = max(_LEAST_VOLATILITY, math.sqrt(variance))
            self._volatilities[last] = known
        return known

    def minute_candle(self, asset: str, open_s: int, at_s: int) -> Candle | None:
        """Return a recorded candle; only its opening while it is unfinished."""
        index = bisect_right(self._opens, open_s) - 1
        if open_s > at_s or index < 0 or asset != self._asset:
            return None
        candle = self._candles[index]
        if candle.open_s != open_s:
            return None
        if at_s >= open_s + MINUTE_S:
            return candle
        return Candle(
            open_s=open_s,
            open=candle.open,
            high=candle.open,
            low=candle.open,
            close=candle.open,
            volume=0.0,
        )


class RecordedListing:
    """The recorded windows that are played."""

    def __init__(self, markets: Sequence[VenueMarket]) -> None:
        """Index markets by each of their names."""
        self._by_slug = {market.window.slug: market for market in markets}
        self._by_condition = {market.condition_id.lower(): market for market in markets}
        self._by_token: dict[str, VenueMarket] = {
            token: market
            for market in markets
            for token in (market.up_token_id, market.down_token_id)
        }

    def by_slug(self, slug: str) -> VenueMarket | None:
        """Return the market of a slug."""
        return self._by_slug.get(slug)

    def by_condition(self, condition_id: str) -> VenueMarket | None:
        """Return the market of a condition id."""
        return self._by_condition.get(condition_id.lower())

    def by_token(self, token_id: str) -> VenueMarket | None:
        """Return the market that an outcome token belongs to."""
        return self._by_token.get(token_id)


class PricePaths:
    """Recorded prices of Up tokens over their windows."""

    def __init__(self, points: dict[str, tuple[list[int], list[float]]]) -> None:
        """Take times [epoch ms] and prices by slug, oldest first."""
        self._points = points

    def up_price(self, slug: str, at_s: int) -> float | None:
        """Return the last recorded price at or before a second, if there is one."""
        times, values = self._points.get(slug, ((), ()))
        index = bisect_right(times, at_s * 1000) - 1
        return values[index] if index >= 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """One recording, ready to play."""

    prices: RecordedPrices
    listing: RecordedListing
    paths: PricePaths
    windows: tuple[VenueMarket, ...]
    """The windows that are played, oldest first."""


def load_replay(folder: Path, *, seed: int) -> Replay:
    """Read a recording.

    Args:
        folder: Holds ``candles.csv``, ``markets.csv`` and maybe ``up_price_paths.csv``, each
            plain or with ``.gz``. Windows without an outcome are left out.
        seed: What listing and resolution times depend on.

    Raises:
        ConfigurationError: A file is missing or a row malformed; names the file and the line.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"replay folder {folder} does not exist")
    path = _find(folder, "markets") or _missing(folder, "markets")
    candles_path = _find(folder, "candles") or _missing(folder, "candles")
    windows = sorted(_read_markets(path, seed), key=lambda market: market.start_s)
    if not windows:
        raise ConfigurationError(f"{path}: no window has an outcome, so there is nothing to play")
    assets = {market.window.series.asset for market in windows}
    if len(assets) != 1:
        raise ConfigurationError(
            f"{path}: one asset per recording, found {', '.join(sorted(assets))}"
        )
    first_s, last_s = windows[0].start_s - LEAD_S, max(market.end_s for market in windows)
    candles = list(_read_candles(candles_path, first_s, last_s))
    if not candles or candles[0].open_s > windows[0].start_s:
        raise ConfigurationError(
            f"{candles_path}: no candle at or before the first window, "
            f"which starts at {windows[0].start_s}"
        )
    paths = _find(folder, "up_price_paths")
    return Replay(
        prices=RecordedPrices(assets.pop(), candles),
        listing=RecordedListing(windows),
        paths=PricePaths(_read_paths(paths) if paths else {}),
        windows=tuple(windows),
    )


def _read_markets(path: Path, seed: int) -> Iterator[VenueMarket]:
    seen: set[str] = set()
    for line, row in _rows(path, _MARKET_COLUMNS):
        slug, start, end, condition_id, up_token, down_token, outcome = row
        try:
            window = MarketWindow.parse_slug(slug)
            if (int(start), int(end)) != (
                window.start_s,
                window.start_s + window.series.duration_s,
            ):
                _refuse(path, line, f"start_s {start} and end_s {end} are not those of {slug}")
            if not outcome:
                continue
            if not (
                _CONDITION.fullmatch(condition_id)
                and _TOKEN.fullmatch(up_token)
                and _TOKEN.fullmatch(down_token)
            ):
                _refuse(path, line, f"condition or token ids of {slug} are malformed")
            if seen & {slug, condition_id, up_token, down_token} or up_token == down_token:
                _refuse(path, line, f"{slug} or one of its ids appears twice")
            seen |= {slug, condition_id, up_token, down_token}
            yield build_market(
                seed,
                window,
                condition_id=condition_id,
                up_token_id=up_token,
                down_token_id=down_token,
                recorded_outcome=Outcome(outcome),
            )
        except ValueError as error:
            _refuse(path, line, str(error))


def _read_candles(path: Path, first_s: int, last_s: int) -> Iterator[Candle]:
    previous_s = -1
    for line, row in _rows(path, _CANDLE_COLUMNS):
        try:
            open_s, rest_ms = divmod(int(row[0]), 1000)
            if rest_ms or open_s % MINUTE_S or open_s <= previous_s:
                _refuse(
                    path,
                    line,
                    f"open_time_ms {row[0]} is off the minute or not after the one before",
                )
            previous_s = open_s
            if open_s < first_s:
                continue
            if open_s > last_s:
                return
            opening, high, low, close, volume = map(float, row[1:])
            yield Candle(
                open_s=open_s, open=opening, high=high, low=low, close=close, volume=volume
            )
        except ValueError as error:
            _refuse(path, line, str(error))


def _read_paths(path: Path) -> dict[str, tuple[list[int], list[float]]]:
    points: dict[str, tuple[list[int], list[float]]] = {}
    for line, row in _rows(path, _PATH_COLUMNS):
        try:
            at_ms, value = int(row[1]), float(row[2])
        except ValueError as error:
            _refuse(path, line, str(error))
        times, values = points.setdefault(row[0], ([], []))
        if not 0 <= value <= 1:
            _refuse(path, line, f"up_price must be inside [0, 1], was {row[2]}")
        if times and at_ms < times[-1]:
            _refuse(path, line, f"ts_ms {at_ms} lies before the point before")
        times.append(at_ms)
        values.append(value)
    return points


def _find(folder: Path, name: str) -> Path | None:
    for suffix in (".csv", ".csv.gz"):
        if (folder / f"{name}{suffix}").is_file():
            return folder / f"{name}{suffix}"
    return None


def _missing(folder: Path, name: str) -> NoReturn:
    raise ConfigurationError(f"replay folder {folder} has neither {name}.csv nor {name}.csv.gz")


def _rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield each row's line and its wanted columns."""
    try:
        opened = gzip.open if path.suffix == ".gz" else open
        with opened(path, "rt", encoding="utf-8", newline="") as text:
            reader = csv.reader(text)
            header = next(reader, [])
            missing = [name for name in columns if name not in header]
            if missing:
                _refuse(path, 1, f"no column {', '.join(missing)}")
            wanted = [header.index(name) for name in columns]
            is_whole = wanted == list(range(len(header)))
            for row in reader:
                if len(row) != len(header):
                    _refuse(path, reader.line_num, f"{len(row)} fields where {len(header)} belong")
                yield reader.line_num, row if is_whole else [row[index] for index in wanted]
    except (OSError, EOFError, UnicodeDecodeError, zlib.error, csv.Error) as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}") from error


def _refuse(path: Path, line: int, why: str) -> NoReturn:
    raise ConfigurationError(f"{path}, line {line}: {why}")
