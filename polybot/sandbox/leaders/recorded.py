"""Recorded wallets as leaders: their trades in windows that are being played, at their own pace.

Rows are those of the Data API, old (``proxyWallet``) or new (``proxy_wallet``), or frames of the
stream. Their times are moved by whole quarters of an hour, so that a trade of the third minute of
a window stays one, and a trade of a window that this venue lists becomes a trade of that window.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Final

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
from polybot.sandbox.leaders.recorded_rows import RecordedRow, read_recording
from polybot.sandbox.leaders.wallets import stranger
from polybot.sandbox.venue import SandboxVenue

QUARTER_S: Final = 900
_STEP: Final = Decimal(1) / MICRO


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
        rows, others = read_recording(path, left_out)
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


def _event(venue: SandboxVenue, row: RecordedRow, shift_s: int) -> WalletEvent:
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


def _token(venue: SandboxVenue, row: RecordedRow, shift_s: int) -> TradedToken:
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
