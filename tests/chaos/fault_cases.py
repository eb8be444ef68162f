"""The fault cases that every submission policy meets: the same number, the same case."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from polybot.sandbox.exchange import refusals
from polybot.sandbox.fault_plan import PlannedFault

_ON_ORDER = (
    "none",
    "error-before",
    "error-after",
    "timeout-before",
    "timeout-after",
    "cut-before",
    "cut-after",
    "truncated",
    "html",
    "html-after",
    "rate-limited",
    "late-arrival",
    "refused",
    "restart",
)
_CRASHES = ("", "", "", "before-the-request", "after-the-answer")


@dataclass(frozen=True)
class FaultCase:
    """What goes wrong around one order."""

    number: int
    on_order: str
    """What happens to the first request; ``late-arrival``: it is there after the time-out."""
    crash: str
    """When the process of the first run dies; empty: it lives."""
    fate: str
    """Of the trades: confirmed, tried again, or failed."""
    is_delayed: bool
    """Whether the match is held for the taker delay."""
    is_resting: bool
    """Whether the order rests in the book instead of taking."""
    deaf_look_ups: int
    """How many of the first look-ups of an order fail."""
    at_byte: int

    def faults(self, slug: str) -> Iterator[PlannedFault]:
        """Yield what the venue is to do."""
        match self.on_order:
            case "none" | "late-arrival":
                pass
            case "refused":
                body = f'{{"error":"{refusals.FAK_KILLED}"}}'
                yield PlannedFault(kind="error-before", route="POST /order", status=400, body=body)
            case "restart":
                yield PlannedFault(kind="restart", route="POST /order")
            case kind:
                yield PlannedFault(kind=kind, route="POST /order", at_byte=self.at_byte)  # type: ignore[arg-type]
        if self.fate:
            yield PlannedFault(kind=self.fate, route=f"TRADE {slug}", count=0)  # type: ignore[arg-type]
        if self.is_delayed:
            yield PlannedFault(kind="match-delayed", route=f"MATCH {slug}", count=0)
        if self.deaf_look_ups:
            yield PlannedFault(
                kind="error-before", route="/data/order/", count=self.deaf_look_ups, status=502
            )


def fault_case(seed: int, number: int) -> FaultCase:
    """Return a case; every kind of request fault comes round in turn."""
    random = Random(f"case {seed} {number}")
    return FaultCase(
        number=number,
        on_order=_ON_ORDER[number % len(_ON_ORDER)],
        crash=random.choice(_CRASHES),
        fate=random.choices(("", "trade-retried", "trade-failed"), (70, 10, 20))[0],
        is_delayed=random.random() < 0.15,
        is_resting=random.random() < 0.2,
        deaf_look_ups=random.choice((0, 0, 0, 1, 2)),
        at_byte=random.randrange(60),
    )
