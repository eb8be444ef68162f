"""Which logs a client of a node asks for.

Source: ethereum.org/en/developers/docs/apis/json-rpc, ``eth_getLogs`` (2026-11-22).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from polybot.sandbox.leaders.wording import Json

Alternatives = frozenset[str] | None
"""What a topic may be; ``None`` for anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFilter:
    """Addresses, topics and blocks."""

    addresses: frozenset[str]
    """Lower case; empty for all."""
    topics: tuple[Alternatives, ...]
    from_block: int | None = None
    to_block: int | None = None
    """``None`` for the newest."""

    def fits(self, log: Json) -> bool:
        """Whether a log is asked for, whatever its block."""
        if self.addresses and log["address"] not in self.addresses:
            return False
        topics = log["topics"]
        if not isinstance(topics, list) or len(self.topics) > len(topics):
            return False
        return all(
            wanted is None or topic in wanted
            for wanted, topic in zip(self.topics, topics, strict=False)
        )


def read_filter(asked: Any) -> LogFilter:
    """Return a filter as a client words it.

    Raises:
        ValueError: It is malformed.
    """
    if not isinstance(asked, dict):
        raise ValueError("a filter must be an object")  # noqa: TRY004 - a client's mistake
    address = asked.get("address")
    addresses = [address] if isinstance(address, str) else address or []
    topics = asked.get("topics") or []
    if not isinstance(topics, list) or len(topics) > 4 or not isinstance(addresses, list):
        raise ValueError("topics must be a list of at most four, address one or a list")
    return LogFilter(
        addresses=frozenset(str(one).lower() for one in addresses),
        topics=tuple(_alternatives(one) for one in topics),
        from_block=_block(asked.get("fromBlock")),
        to_block=_block(asked.get("toBlock")),
    )


def _alternatives(topic: Any) -> Alternatives:
    if topic is None:
        return None
    several: Sequence[Any] = topic if isinstance(topic, list) else [topic]
    if None in several:
        return None
    return frozenset(str(one).lower() for one in several)


def _block(text: Any) -> int | None:
    if text in (None, "latest", "pending", "safe", "finalized"):
        return None
    if text == "earliest":
        return 0
    if not isinstance(text, str) or not text.startswith("0x"):
        raise ValueError(f"a block must be 0x… or a tag, was {str(text)[:40]!r}")
    return int(text, 16)
