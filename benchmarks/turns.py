"""Measures variants of a thing beside each other, so that only their ratios have to be believed.

The variants take turns in short rows: a busy moment of the machine meets all of them, and what one
leaves behind in the processor's caches does not make the next one slow. The first turn of a row,
which meets the caches as the others left them, is told apart.
"""

import platform
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

Turn = Callable[[], float]
"""Do one turn; return the seconds that count."""

_ROW = 10
_WARM_UP = 20


@dataclass(slots=True)
class Taken:
    """What one variant took [µs]."""

    in_a_row: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The middle one in a row."""
        return statistics.median(self.in_a_row)

    @property
    def p99(self) -> float:
        """The 99th percentile in a row."""
        return statistics.quantiles(self.in_a_row, n=100)[98]

    @property
    def best(self) -> float:
        """The quickest in a row: what it takes where nothing disturbs."""
        return min(self.in_a_row)


def take_turns(
    turns: dict[str, Turn], rounds: int, *, slow: tuple[str, ...] = ()
) -> dict[str, Taken]:
    """Return what each variant took; ``slow`` ones take shorter rows."""
    taken = {name: Taken() for name in turns}
    for name, turn in turns.items():
        for _ in range(2 if name in slow else _WARM_UP):
            turn()
    for _ in range(rounds):
        for name, turn in turns.items():
            found = taken[name]
            found.first.append(turn() * 1e6)
            for _ in range(2 if name in slow else _ROW):
                found.in_a_row.append(turn() * 1e6)
    return taken


def report(taken: dict[str, Taken], ours: str) -> None:
    """Print what each variant took, and how many times ours that is."""
    print(f"{'':52}{'median':>9}{'p99':>9}{'best':>9}{'first':>9}{'to ours':>9}")
    for name, one in taken.items():
        ratio = one.median / taken[ours].median
        print(
            f"{name:52}{one.median:9.0f}{one.p99:9.0f}{one.best:9.0f}"
            f"{statistics.median(one.first):9.0f}{ratio:8.2f}x"
        )


def machine() -> str:
    """Return what the figures depend on most: whose build of which interpreter."""
    return f"{platform.python_implementation()} {platform.python_version()} of {sys.base_prefix}"
