"""Which events were heard already: a bounded memory before the ledger's own, which decides."""

from collections.abc import Iterable
from typing import Final

from polybot.domain.leaders import LeaderTradeKey

# Feeds repeat within seconds to minutes. What is forgotten here is stopped by the ledger's
# unique key; it only costs a transaction.
MOST_KEYS: Final = 20_000


class SeenKeys:
    """The newest keys; the oldest go first."""

    __slots__ = ("_keys", "_most")

    def __init__(self, most: int = MOST_KEYS) -> None:
        """Remember at most so many keys."""
        self._keys: dict[LeaderTradeKey, None] = {}
        self._most = most

    def __len__(self) -> int:
        """Return how many keys are remembered."""
        return len(self._keys)

    def is_new(self, key: LeaderTradeKey) -> bool:
        """Remember a key; whether it was not known."""
        keys = self._keys
        if key in keys:
            return False
        keys[key] = None
        if len(keys) > self._most:
            del keys[next(iter(keys))]
        return True

    def learn(self, keys: Iterable[LeaderTradeKey]) -> None:
        """Remember keys that the ledger has."""
        for key in keys:
            self.is_new(key)
