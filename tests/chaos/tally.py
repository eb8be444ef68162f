"""What came of many kills."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.chaos.model import Broken

_MOST_DETAILS = 40


@dataclass
class Tally:
    """What came of many kills."""

    kills: int = 0
    runs: int = 0
    rounds: int = 0
    orders: int = 0
    fills: int = 0
    had: Counter[str] = field(default_factory=Counter)
    """Kills around the order's request by whether the venue had the order afterwards."""
    broken: Counter[str] = field(default_factory=Counter)
    details: list[str] = field(default_factory=list)

    def note(self, found: Sequence[Broken], where: str) -> None:
        for one in found:
            self.broken[one.promise] += 1
            if len(self.details) < _MOST_DETAILS:
                self.details.append(f"{where}: {one.promise}: {one.detail}")
