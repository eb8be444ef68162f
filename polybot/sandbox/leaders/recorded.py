"""Recorded wallets as leaders: their trades in windows that are being played, at their own pace.

Rows are those of the Data API, old (``proxyWallet``) or new (``proxy_wallet``), or frames of the
stream. Their times are moved by whole quarters of an hour, so that a trade of the third minute of
a window stays one, and a trade of a window that this venue lists becomes a trade of that window.
"""

import gzip
import re
import zlib
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NoReturn

import msgspec

from polybot.domain.markets import MarketWindow, Outcome
from polybot.errors import ConfigurationError
from polybot.sandbox.exchange.rules import MICRO, V1_EXCHANGE
from polybot.sandbox.leaders.events import (
    ActivityType,
    TradedToken,
    WalletConversion,
    WalletEvent,
    WalletTrade,
)
from polybot.sandbox.leaders.markets import window_token
from polybot.sandbox.leaders.wallets import stranger
from polybot.sandbox.venue import SandboxVenue

QUARTER_S: Final = 900
_WALLET: Final = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
_HASH: Final = re.compile(r"0x[0-9a-fA-F]{64}", re.ASCII)
_STEP: Final = Decimal(1) / MICRO


class _Row(msgspec.Struct, rename={"usdc": "usdcSize", "condition": "conditionId"}):
    """A row of the Data API v1, and a payload of the stream."""

    proxyWallet: str  # noqa: N815 - the venue's spelling
    timestamp: int
    transactionHash: str  # noqa: N815 - the venue's spelling
    size: Decimal
    condition: str
    asset: str = ""
    side: str = ""
    price: Decimal = Decimal(0)
    slug: str = ""
    eventSlug: str = ""  # noqa: N815 - the venue's spelling
    title: str = ""
    outcome: str = ""
    outcomeIndex: int = 0  # noqa: N815 - the venue's spelling
    name: str = ""
    type: str = "TRADE"
    usdc: Decimal | None = None


_PLAYED: Final = frozenset({"TRADE", "SPLIT", "MERGE", "REDEEM"})
_NEW_NAMES: Final = {
    "proxy_wallet": "proxyWallet",
    "transaction_hash": "transactionHash",
    "condition_id": "conditionId",
    "token_id": "asset",
    "event_slug": "eventSlug",
    "outcome_index": "outcomeIndex",
    "usdc_size": "usdcSize",
}


class RecordedLeaders:
    """Events and other frames of recordings, moved into the venue's time."""

    def __init__(
        self,
        events: Sequence[WalletEvent],
        frames: Sequence[tuple[int, str]],
        left_out: Counter[str],
    ) -> None:
        """Take the events and what of the recording is none.

        Args:
            events: Any order.
            frames: Texts of the stream about other things, with their instants [epoch ms].
            left_out: Rows that are no trade, split, merge or redemption, by their type.
        """
        self._events = sorted(events, key=lambda one: one.at_ms)
        self._instants = [one.at_ms for one in self._events]
        self._frames = sorted(frames)
        self.left_out = left_out

    def between(self, after_ms: int, until_ms: int) -> Sequence[WalletEvent]:
        """Return the events of ``(after_ms, until_ms]``, oldest first."""
        first, last = (bisect_right(self._instants, at) for at in (after_ms, until_ms))
        return self._events[first:last]

    def frames_between(self, after_ms: int, until_ms: int) -> Sequence[tuple[int, str]]:
        """Return instants and texts of the other frames of ``(after_ms, until_ms]``."""
        first, last = (
            bisect_right(self._frames, at, key=lambda one: one[0]) for at in (after_ms, until_ms)
        )
        return self._frames[first:last]

    @property
    def wallets(self) -> Sequence[str]:
        """Whose events they are."""
        return tuple(dict.fromkeys(one.wallet for one in self._events))

    def __len__(self) -> int:
        """Return how many events there are."""
        return len(self._events)


def load_leaders(paths: Sequence[Path], venue: SandboxVenue) -> RecordedLeaders:
    """Read recorded wallets and frames and move each file to the venue's present.

    Args:
        paths: Files (``.jsonl``, ``.json``, each also with ``.gz``) or folders that hold some.
        venue: Whose clock and windows.

    Raises:
        ConfigurationError: A file cannot be read, or there is nothing to play; names the file and
            the line.
    """
    left_out: Counter[str] = Counter()
    events: list[WalletEvent] = []
    frames: list[tuple[int, str]] = []
    start_s = venue.now_s()
    for path in [one for given in paths for one in (_files(given) if given.is_dir() else [given])]:
        rows, others = _read(path, left_out)
        seconds = [row.timestamp for row in rows] + [at_ms // 1000 for at_ms, _ in others]
        if not seconds:
            continue
        # The smallest whole number of quarters that puts nothing before the venue's present.
        shift_s = -((min(seconds) - start_s) // QUARTER_S) * QUARTER_S
        events += [_event(venue, row, shift_s) for row in rows]
        frames += [(at_ms + shift_s * 1000, text) for at_ms, text in others]
    if not events and not frames:
        shown = ", ".join(str(path) for path in paths)
        raise ConfigurationError(f"--replay {shown}: no wallet's trade and no frame of the stream")
    return RecordedLeaders(events, frames, left_out)


def is_leader_recording(path: Path) -> bool:
    """Whether a path holds recorded wallets or frames, not candles and markets."""
    if path.is_dir():
        return not any(path.glob("candles.csv*")) and bool(_files(path))
    return path.is_file() and ".json" in path.name


def _files(folder: Path) -> list[Path]:
    return sorted(one for one in folder.iterdir() if one.is_file() and ".json" in one.name)


def _read(path: Path, left_out: Counter[str]) -> tuple[list[_Row], list[tuple[int, str]]]:
    """Return a file's rows about wallets, and its frames about other things."""
    rows: list[_Row] = []
    frames: list[tuple[int, str]] = []
    for line, found in _documents(path):
        frame = _other_frame(found)
        if frame is not None:
            frames.append(frame)
        for raw in _raw_rows(found):
            try:
                row = msgspec.convert(
                    {_NEW_NAMES.get(name, name): value for name, value in raw.items()},
                    type=_Row,
                    strict=False,
                )
                _check(row)
            except (msgspec.ValidationError, ValueError) as error:
                _refuse(path, line, str(error))
            if row.type in _PLAYED:
                rows.append(row)
            else:
                left_out[row.type] += 1
    return rows, frames


def _other_frame(found: Any) -> tuple[int, str] | None:
    """Return a recorded frame of the stream that is not about wallets, with its instant."""
    if not isinstance(found, dict):
        return None
    text = found.get("frame") or found.get("payload")
    frame = _unpacked(text)
    if (
        not isinstance(text, str)
        or not isinstance(frame, dict)
        or frame.get("topic")
        in (
            None,
            "activity",
        )
    ):
        return None
    at_ms = found.get("recv_wall_ts") or frame.get("timestamp")
    return (at_ms, text) if isinstance(at_ms, int) else None


def _documents(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield each JSON document of a file with its line."""
    try:
        raw = path.read_bytes()
        text = gzip.decompress(raw) if path.suffix == ".gz" else raw
        if ".jsonl" not in path.name:
            yield 1, msgspec.json.decode(text)
            return
        for line, part in enumerate(text.splitlines(), 1):
            if part.strip():
                yield line, msgspec.json.decode(part)
    except (OSError, EOFError, zlib.error, msgspec.DecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}") from error


def _raw_rows(found: Any) -> Iterator[dict[str, Any]]:
    """Yield what looks like a wallet's row, however it is wrapped."""
    if isinstance(found, list):
        for one in found:
            yield from _raw_rows(one)
    elif isinstance(found, dict):
        if {"proxyWallet", "proxy_wallet"} & found.keys() and {
            "transactionHash",
            "transaction_hash",
        } & found.keys():
            yield found
            return
        for name in ("trade", "payload", "frame", "data", "activity", "trades"):
            yield from _raw_rows(_unpacked(found.get(name)))


def _unpacked(value: Any) -> Any:
    """Return what a recorder kept as text."""
    if not isinstance(value, str) or not value.startswith(("{", "[")):
        return value
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError:
        return None


def _check(row: _Row) -> None:
    if not _WALLET.fullmatch(row.proxyWallet) or not _HASH.fullmatch(row.transactionHash):
        raise ValueError("malformed wallet or transaction hash")
    if row.type != "TRADE":
        return
    if row.side not in ("BUY", "SELL") or not 0 < row.price < 1 or row.size <= 0:
        raise ValueError(f"impossible trade: {row.side} {row.size} at {row.price}")
    if not (row.asset.isascii() and row.asset.isdecimal() and len(row.asset) <= 78):
        raise ValueError(f"malformed token id: {row.asset[:80]!r}")


def _event(venue: SandboxVenue, row: _Row, shift_s: int) -> WalletEvent:
    wallet, at_ms = row.proxyWallet.lower(), (row.timestamp + shift_s) * 1000
    token = _token(venue, row, shift_s)
    if row.type == ActivityType.TRADE:
        size = row.size.quantize(_STEP)
        return WalletTrade(
            wallet=wallet,
            name=row.name,
            token=token,
            side=row.side,
            size=size,
            usdc=(row.price * size).quantize(_STEP),
            at_ms=at_ms,
            transaction_hash=row.transactionHash.lower(),
            counterparty=stranger(venue.seed, int(row.transactionHash[-4:], 16)),
            is_taker=True,
            told_price=row.price,
        )
    return WalletConversion(
        wallet=wallet,
        name=row.name,
        kind=ActivityType(row.type),
        slug=token.slug,
        event_slug=token.event_slug,
        title=token.title,
        condition_id=token.condition_id,
        size=row.size,
        usdc=row.size if row.usdc is None else row.usdc,
        at_ms=at_ms,
        transaction_hash=row.transactionHash.lower(),
    )


def _token(venue: SandboxVenue, row: _Row, shift_s: int) -> TradedToken:
    """Return the recorded token, or that of the played window that stands in its place."""
    recorded = TradedToken(
        slug=row.slug,
        event_slug=row.eventSlug,
        title=row.title,
        condition_id=row.condition,
        token_id=row.asset,
        outcome=row.outcome,
        outcome_index=row.outcomeIndex,
        contract=V1_EXCHANGE.contract,
    )
    try:
        window = MarketWindow.parse_slug(row.slug)
        moved = replace(window, start_s=window.start_s + shift_s)
    except ValueError:
        return recorded
    market = venue.listing.by_slug(moved.slug)
    if market is None:
        return recorded
    return window_token(market, is_up=row.outcome != Outcome.DOWN)


def _refuse(path: Path, line: int, why: str) -> NoReturn:
    raise ConfigurationError(f"{path}, line {line}: {why}")
