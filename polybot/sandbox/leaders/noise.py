"""Everybody else on the stream: frames made once, sent as fast as a socket takes them."""

from typing import Final

import msgspec

from polybot.sandbox.leaders.markets import foreign_token
from polybot.sandbox.leaders.wording import text_frame
from polybot.sandbox.seeds import digest, stream

_FRAMES: Final = 2_048
# Ten digits that stand for the present second, in the frames' text and in their milliseconds.
_SECOND: Final = b"1000000000"
_EMPTY_EVERY: Final = 512


class Noise:
    """A ring of frames about wallets that nobody follows, one ring for each type."""

    def __init__(self, seed: int, kind: str, lookalikes: tuple[str, ...]) -> None:
        """Make the ring.

        Args:
            seed: The venue's.
            kind: ``trades`` or ``orders_matched``.
            lookalikes: Addresses of which a few frames have a near miss.
        """
        frames = [_frame(seed, kind, number, lookalikes) for number in range(_FRAMES)]
        self._ring = b"".join(frames)
        self._starts = [0]
        for frame in frames:
            self._starts.append(self._starts[-1] + len(frame))

    def take(self, position: int, count: int, now_ms: int) -> bytes:
        """Return so many frames from a position of the ring on, dated now."""
        now = b"%010d" % (now_ms // 1000)
        parts = []
        first = position % _FRAMES
        while count > 0:
            last = min(first + count, _FRAMES)
            parts.append(self._ring[self._starts[first] : self._starts[last]])
            count -= last - first
            first = 0
        return b"".join(parts).replace(_SECOND, now)


def _frame(seed: int, kind: str, number: int, lookalikes: tuple[str, ...]) -> bytes:
    if number % _EMPTY_EVERY == _EMPTY_EVERY - 1:
        return text_frame(b"")
    rng = stream("noise", seed, kind, number)
    wallet = "0x" + digest("noise-wallet", seed, number, size=20).hex()
    if lookalikes and number % 64 == 0:
        known = lookalikes[number // 64 % len(lookalikes)]
        # People compare the first and the last four digits.
        wallet = known[:8] + wallet[8:36] + known[36:]
    token = foreign_token(seed, rng.randrange(1 << 16), is_up=rng.random() < 0.5)
    second: object = int(_SECOND)
    if rng.random() < 0.1:
        second = _SECOND.decode()
    payload: dict[str, object] = {
        "asset": token.token_id,
        "bio": "",
        "conditionId": token.condition_id,
        "eventSlug": token.event_slug,
        "icon": "https://polymarket-upload.s3.us-east-2.amazonaws.com/some+picture.png",
        "name": f"somebody-{number}",
        "outcome": token.outcome,
        "outcomeIndex": token.outcome_index,
        "price": rng.randint(1, 99) / 100,
        "profileImage": "",
        "proxyWallet": wallet,
        "pseudonym": "Some-Body",
        "side": rng.choice(("BUY", "SELL")),
        "size": rng.randint(100, 90_000) / 100,
        "slug": token.slug,
        "timestamp": second,
        "title": token.title,
        "transactionHash": "0x" + digest("noise-tx", seed, number).hex(),
    }
    if rng.random() < 0.5:
        payload["fee"] = rng.randint(0, 90_000) / 100_000
    message = {
        "connection_id": "NoBodyInParticular=",
        "payload": payload,
        "timestamp": int(_SECOND) * 1000 + rng.randint(100, 999),
        "topic": "activity",
        "type": kind,
    }
    return text_frame(msgspec.json.encode(message))
