"""Which faults an hour has, from its seed: every kind there is, mixed."""

from decimal import Decimal
from random import Random
from typing import Final

from polybot.sandbox.fault_plan import (
    EVENT_FAULTS,
    MATCH_FAULTS,
    REQUEST_FAULTS,
    TRADE_FAULTS,
    VENUE_FAULTS,
    FaultPlan,
    PlannedFault,
)
from tests.simulation.remembered import RememberingPlan

ALL_KINDS: Final = (
    *REQUEST_FAULTS,
    *VENUE_FAULTS,
    *TRADE_FAULTS,
    *MATCH_FAULTS,
    *EVENT_FAULTS,
    "refused",
    "cut-request",
    "late-arrival",
    "run-cancelled",
    "restarted",
    "deposited",
    "withdrawn",
    "halted",
    "resumed",
)
"""Faults of the venue, the cable, the process, and what an operator does in between."""
_STATES: Final = {"restart": 0, "cancel-only": 100, "disabled": 60, "gamma-late": 200}
_STATUSES: Final = (500, 502, 503, 504, 520)


def plan_hour(
    seed: int, random: Random, *, start_s: int, length_s: int, slugs: list[str]
) -> FaultPlan:
    """Return the plan of one hour; a third of the hours has few faults, a third many."""
    weight = random.choice((0.3, 1.0, 2.0))
    end_s = start_s + length_s
    rules = []
    for kind in REQUEST_FAULTS:
        for route, share in (("", 0.003), ("POST /order", 0.04), ("DELETE /order", 0.04)):
            rules.append(
                PlannedFault(
                    kind=kind,
                    route=route,
                    probability=min(share * weight, 1),
                    count=0,
                    until_s=end_s,
                    status=random.choice(_STATUSES),
                    at_byte=random.randrange(400),
                    delay_ms=random.choice((300, 4_000)),
                    retry_after_s=random.choice((None, 1, 30)),
                )
            )
    for kind in VENUE_FAULTS:
        if kind == "balance-change" or random.random() > 0.4 * weight:
            # Money from outside is the operator's; see the hour itself.
            continue
        rules.append(_venue_fault(kind, random, start_s, length_s, slugs))
    shares = {"trade-retried": 0.08, "trade-failed": 0.1, "match-delayed": 0.12}
    shares |= dict.fromkeys(EVENT_FAULTS, 0.06)
    for kind, share in shares.items():
        probability = min(share * weight, 1)
        rules.append(
            PlannedFault(
                kind=kind,
                probability=probability,
                count=0,
                until_s=end_s,
                delay_ms=random.choice((1_500, 40_000)),
                duration_s=120,
            )
        )
    return RememberingPlan(seed, rules)


def _venue_fault(
    kind: str, random: Random, start_s: int, length_s: int, slugs: list[str]
) -> PlannedFault:
    return PlannedFault(
        kind=kind,
        from_s=start_s + random.randrange(60, max(length_s - 300, 61)),
        duration_s=_STATES.get(kind, 90),
        skew_s=random.choice((-90, -20, 20, 90)),
        slug=random.choice(slugs) if kind == "tick-change" else "",
        tick=Decimal("0.001"),
    )
