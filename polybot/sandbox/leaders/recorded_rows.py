"""Recordings of wallets as files: rows of the Data API, old or new, and frames of the stream."""

import gzip
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NoReturn

import msgspec

from polybot.errors import ConfigurationError

_WALLET: Final = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
_HASH: Final = re.compile(r"0x[0-9a-fA-F]{64}", re.ASCII)


class RecordedRow(msgspec.Struct, rename={"usdc": "usdcSize", "condition": "conditionId"}):
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


def read_recording(
    path: Path, left_out: Counter[str]
) -> tuple[list[RecordedRow], list[tuple[int, str]]]:
    """Return a file's rows about wallets, and its frames about other things.

    Args:
        path: ``.jsonl`` or ``.json``, also with ``.gz``.
        left_out: Where rows that are no trade, split, merge or redemption are counted, by type.

    Raises:
        ConfigurationError: It cannot be read, or a row is impossible; names the line.
    """
    rows: list[RecordedRow] = []
    frames: list[tuple[int, str]] = []
    for line, found in _documents(path):
        frame = _other_frame(found)
        if frame is not None:
            frames.append(frame)
        for raw in _raw_rows(found):
            try:
                row = msgspec.convert(
                    {_NEW_NAMES.get(name, name): value for name, value in raw.items()},
                    type=RecordedRow,
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


def _check(row: RecordedRow) -> None:
    if not _WALLET.fullmatch(row.proxyWallet) or not _HASH.fullmatch(row.transactionHash):
        raise ValueError("malformed wallet or transaction hash")
    if row.type != "TRADE":
        return
    if row.side not in ("BUY", "SELL") or not 0 < row.price < 1 or row.size <= 0:
        raise ValueError(f"impossible trade: {row.side} {row.size} at {row.price}")
    if not (row.asset.isascii() and row.asset.isdecimal() and len(row.asset) <= 78):
        raise ValueError(f"malformed token id: {row.asset[:80]!r}")


def _refuse(path: Path, line: int, why: str) -> NoReturn:
    raise ConfigurationError(f"{path}, line {line}: {why}")
