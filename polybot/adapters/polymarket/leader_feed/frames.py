"""Frames of the real-time stream: the few about followed wallets out of all that are not.

The stream tells of everybody. A frame as the venue writes it is dismissed by one look at the 42
bytes behind ``"proxyWallet":"``; inside a JSON text that pattern cannot occur, because quotes are
escaped there. Whatever looks otherwise (a list, other spacing, escapes, the field twice or not at
all) is decoded. A frame that names a followed wallet is decoded strictly, and only that.

Source: the frame in github.com/Polymarket/real-time-data-client (2026-11-22) and frames recorded
in July and September 2026.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any, Final

import msgspec

from polybot.adapters.polymarket.leader_feed.rows import NotTaken, read_row_of, wallet_of
from polybot.adapters.polymarket.wire.strict import decode_text, exact_number, quote
from polybot.domain.leaders import FeedSource, LeaderAddress, LeaderEvent
from polybot.errors import DataError

Outcome = LeaderEvent | NotTaken

# A frame is about 600 bytes, with the longest texts that traders choose a few kilobytes. What is
# longer would take longer to decode than a frame may; the Data API tells what it said.
LONGEST_FRAME: Final = 1 << 16
_FIELD: Final = b"proxyWallet"
# Of both spellings of the field.
_FIELD_PART: Final = b"proxy"
_OPENING: Final = b'"proxyWallet":"'
_TO_WALLET: Final = len(_OPENING) - 1
_TO_END: Final = _TO_WALLET + 43
# How JSON can spell an ASCII letter without writing it.
_HIDDEN_LETTER: Final = b"\\u00"
_SMALL_TALK: Final = frozenset({b"", b"PONG", b"pong"})
_TRADE_TYPES: Final = frozenset({"trades", "orders_matched"})
_NOTHING: Final[tuple[Outcome, ...]] = ()


class _Who(msgspec.Struct):
    proxyWallet: Any = None  # noqa: N815 - the venue's spelling
    proxy_wallet: Any = None


class _Envelope(msgspec.Struct):
    topic: Any = None
    type: Any = None
    payload: list[_Who] | _Who | None = None


_PROBE: Final = msgspec.json.Decoder(list[_Envelope] | _Envelope)
_QUICK: Final = msgspec.json.Decoder(dict[str, Any], float_hook=exact_number)
_LARGEST_WHOLE: Final = 1 << 63


class FrameReader:
    """Tells followed wallets' trades from everybody else's."""

    def __init__(self) -> None:
        """Follow nobody."""
        self._wallets: frozenset[str] = frozenset()
        self._quoted: frozenset[bytes] = frozenset()

    def follow(self, wallets: Iterable[LeaderAddress]) -> None:
        """Set whom to follow."""
        self._wallets = frozenset(wallets)
        # With the closing quote: a longer text that only begins like a wallet is another's.
        self._quoted = frozenset(f'{wallet}"'.encode() for wallet in self._wallets)

    def read(self, frame: bytes, now: Callable[[], datetime]) -> tuple[Outcome, ...]:
        """Return what a frame tells about followed wallets, empty for nearly all frames.

        Args:
            frame: One message's bytes, already capped in size.
            now: Asked only where the frame is about a followed wallet.
        """
        at = frame.find(_FIELD)
        if (
            at > 0
            and frame[at - 1 : at + _TO_WALLET] == _OPENING
            and frame.rfind(_FIELD) == at
            # Looking for one byte is several times quicker than for four, and nearly all have none.
            and (frame.find(b"\\") < 0 or _HIDDEN_LETTER not in frame)
        ):
            if frame[at + _TO_WALLET : at + _TO_END].lower() not in self._quoted:
                return _NOTHING
            return self._read_strictly(frame, now())
        return self._read_unusual(frame, now)

    @staticmethod
    def names_nobody(frame: bytes) -> bool:
        """Whether a frame cannot be about a wallet, in whatever spelling: it may go unread."""
        return frame.find(_FIELD_PART) < 0 and frame.find(b"\\") < 0

    def _read_unusual(self, frame: bytes, now: Callable[[], datetime]) -> tuple[Outcome, ...]:
        """Read a frame that is not written as the venue writes them."""
        if len(frame) > LONGEST_FRAME:
            return (NotTaken(reason="frame-too-long", detail=f"{len(frame)} bytes"),)
        if frame.strip() in _SMALL_TALK:
            return _NOTHING
        envelopes = _probed(frame)
        if isinstance(envelopes, NotTaken):
            return (envelopes,)
        if self._is_followed(envelopes, frame):
            return self._read_strictly(frame, now())
        if any(_is_of_trades(one.topic, one.type) for one in envelopes):
            return _NOTHING
        return (NotTaken(reason="other-topic"),)

    def _is_followed(self, envelopes: list[_Envelope], frame: bytes) -> bool:
        """Whether any row names a followed wallet, also where a later field hides it."""
        named: list[object] = []
        for envelope in envelopes:
            rows = envelope.payload if isinstance(envelope.payload, list) else [envelope.payload]
            named += [row.proxyWallet for row in rows if row is not None]
            named += [row.proxy_wallet for row in rows if row is not None]
        if any(isinstance(one, str) and one.lower() in self._wallets for one in named):
            return True
        parts = frame.lower().split(b'"0x')[1:]
        return any(b"0x" + part[:41] in self._quoted for part in parts)

    def _read_strictly(self, frame: bytes, received_at: datetime) -> tuple[Outcome, ...]:
        """Read a frame that names a followed wallet."""
        if len(frame) > LONGEST_FRAME:
            return (NotTaken(reason="frame-too-long", detail=f"{len(frame)} bytes"),)
        envelope = _plain(frame)
        if envelope is not None and _is_of_trades(envelope.get("topic"), envelope.get("type")):
            return self._read_row(envelope["payload"], received_at)
        try:
            decoded = decode_text(frame.decode("utf-8"))
        except UnicodeDecodeError:
            return (NotTaken(reason="answer-encoding", detail="frame is not UTF-8"),)
        except DataError as error:
            return (NotTaken(reason=error.reason, detail=str(error)),)
        envelopes = decoded if isinstance(decoded, list) else [decoded]
        return tuple(
            outcome for one in envelopes for outcome in self._read_envelope(one, received_at)
        )

    def _read_envelope(self, envelope: object, received_at: datetime) -> Iterator[Outcome]:
        if not isinstance(envelope, dict) or not _is_of_trades(
            envelope.get("topic"), envelope.get("type")
        ):
            yield NotTaken(reason="other-topic")
            return
        payload = envelope.get("payload")
        for row in payload if isinstance(payload, list) else [payload]:
            yield from self._read_row(row, received_at)

    def _read_row(self, row: object, received_at: datetime) -> tuple[Outcome, ...]:
        try:
            wallet = wallet_of(row)
        except DataError as error:
            return (NotTaken(reason=error.reason, detail=str(error)),)
        if wallet not in self._wallets:
            return _NOTHING
        return (read_row_of(row, wallet=wallet, received_at=received_at, source=FeedSource.STREAM),)


def _probed(frame: bytes) -> list[_Envelope] | NotTaken:
    """Return a frame's outline, read quickly and not strictly."""
    try:
        found = _PROBE.decode(frame)
    except msgspec.ValidationError as error:
        return NotTaken(reason="frame-malformed", detail=quote(str(error)))
    except (msgspec.DecodeError, ValueError, RecursionError):
        begins = quote(frame[:24].decode("ascii", "replace"))
        return NotTaken(reason="frame-not-json", detail=f"begins {begins}")
    return found if isinstance(found, list) else [found]


def _plain(frame: bytes) -> dict[str, Any] | None:
    """Return the envelope of a frame as the venue writes them, ``None`` for any other.

    The fast decoder keeps the last of two equal keys. In ASCII without escapes every quote opens
    or closes a text, so where the decoded texts account for all quotes, no key was there twice.
    """
    if not frame.isascii() or b"\\" in frame:
        return None
    try:
        envelope = _QUICK.decode(frame)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    payload = envelope.get("payload")
    if type(payload) is not dict:
        return None
    texts = len(envelope) + len(payload)
    for values in (envelope.values(), payload.values()):
        for value in values:
            kind = type(value)
            if kind is str:
                texts += 1
            elif kind is int:
                if not -_LARGEST_WHOLE <= value < _LARGEST_WHOLE:
                    return None
            elif kind is list or (kind is dict and value is not payload):
                return None
    return envelope if frame.count(b'"') == 2 * texts else None


def _is_of_trades(topic: object, kind: object) -> bool:
    return topic == "activity" and isinstance(kind, str) and kind in _TRADE_TYPES
