"""Candles from outside: the checks that each series must pass, and the files that keep them."""

import hashlib
import json
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from polybot.domain.candles import Candle, CandleSeries
from polybot.errors import DataError

MALFORMED: Final = "candles-malformed"
GAP: Final = "candles-gap"
IMPLAUSIBLE: Final = "candles-implausible"
# No minute in the history of the coins we trade moved by this much; a typing error does.
_LARGEST_MOVE: Final = 0.30
_FIELDS: Final = 6
_MAX_FILES: Final = 50
_MAX_FILE_BYTES: Final = 1 << 20

CacheKey = tuple[str, int, int, int, tuple[str, ...], str | None]
"""Asset, timeframe [s], end [epoch s], count, exchanges asked, address asked instead."""


def checked_candles(
    rows: list[Any], *, timeframe_s: int, end_s: int, count: int
) -> tuple[Candle, ...]:
    """Return rows as consecutive closed candles, oldest first.

    Args:
        rows: ``[open time in ms, open, high, low, close, volume]``, oldest first; a candle that
            opens at ``end_s`` or later is not closed yet and left out.
        timeframe_s: Length of a candle [s].
        end_s: When the last one should close [epoch s].
        count: How many there should be; fewer are returned where the newest are missing.

    Raises:
        DataError: ``candles-malformed``, ``candles-gap`` (holes, repeats, disorder, or too few at
            the beginning) or ``candles-implausible`` (impossible values or a jump in the close).
    """
    candles = [candle for candle in map(_candle, rows) if candle.open_s < end_s]
    first_s = end_s - count * timeframe_s
    for place, candle in enumerate(candles):
        if candle.open_s != first_s + place * timeframe_s:
            raise DataError(
                f"candle {place} of {count} opens at {candle.open_s}, not at "
                f"{first_s + place * timeframe_s}",
                reason=GAP,
            )
    for before, after in pairwise(candles):
        if abs(after.close / before.close - 1) > _LARGEST_MOVE:
            raise DataError(
                f"close jumps from {before.close:g} to {after.close:g} at {after.open_s}",
                reason=IMPLAUSIBLE,
            )
    return tuple(candles)


def _candle(row: Any) -> Candle:
    if not isinstance(row, list) or len(row) != _FIELDS:
        raise DataError("a candle must have six values", reason=MALFORMED)
    if any(isinstance(value, bool) or not isinstance(value, (int, float)) for value in row):
        raise DataError("a candle has a value that is no number", reason=MALFORMED)
    open_ms, *values = row
    if not isinstance(open_ms, int) or not 0 < open_ms < 10**14 or open_ms % 1000:
        raise DataError(f"a candle opens at {str(open_ms)[:20]} ms", reason=MALFORMED)
    try:
        first, high, low, close, volume = map(float, values)
        return Candle(
            open_s=open_ms // 1000, open=first, high=high, low=low, close=close, volume=volume
        )
    except (ValueError, OverflowError) as error:
        raise DataError(str(error)[:120], reason=IMPLAUSIBLE) from error


class CandleCache:
    """One small file for each series that was fetched; a broken file is as good as none."""

    def __init__(self, folder: Path) -> None:
        """Keep where the files lie; the folder is made when the first one is written."""
        self._folder = folder

    def load(self, key: CacheKey) -> CandleSeries | None:
        """Return what was stored under a key, if it still holds."""
        asset, timeframe_s, end_s, count, _, _ = key
        try:
            path = self._path(key)
            if path.stat().st_size > _MAX_FILE_BYTES:
                return None
            kept = json.loads(path.read_text(encoding="utf-8"))
            series = CandleSeries(
                symbol=str(kept["symbol"]),
                timeframe_s=timeframe_s,
                source=str(kept["source"]),
                candles=checked_candles(
                    kept["rows"], timeframe_s=timeframe_s, end_s=end_s, count=count
                ),
            )
        except (OSError, ValueError, LookupError, TypeError, RecursionError, DataError):
            return None
        is_whole = len(series.candles) == count and series.symbol.startswith(f"{asset.upper()}/")
        return series if is_whole and kept.get("key") == list(map(str, key)) else None

    def store(self, key: CacheKey, series: CandleSeries) -> None:
        """Keep a series; a disk that is full or read-only only costs the next run a request."""
        path = self._path(key)
        content = {
            "key": list(map(str, key)),
            "symbol": series.symbol,
            "source": series.source,
            "rows": [
                [one.open_s * 1000, one.open, one.high, one.low, one.close, one.volume]
                for one in series.candles
            ],
        }
        draft = path.with_name(f"{path.name}.{uuid4().hex}.draft")
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            try:
                draft.write_text(json.dumps(content), encoding="utf-8")
                draft.replace(path)
            finally:
                draft.unlink(missing_ok=True)
            self._prune()

    def _path(self, key: CacheKey) -> Path:
        digest = hashlib.sha256(repr(key).encode()).hexdigest()[:24]
        return self._folder / f"candles-{digest}.json"

    def _prune(self) -> None:
        """Remove all but the newest files, and drafts that a killed process left behind."""
        aged: list[tuple[float, Path]] = []
        for path in self._folder.glob("candles-*"):
            # Another process may prune at the same moment.
            with suppress(OSError):
                aged.append((path.stat().st_mtime, path))
        for _, path in sorted(aged, reverse=True)[_MAX_FILES:]:
            with suppress(OSError):
                path.unlink()
