"""Whether the simulation finds a fault of our own within a bounded number of seeds."""

from dataclasses import dataclass
from typing import Final

from tests.simulation.own_faults import OWN_FAULTS, OwnFault
from tests.simulation.player import play
from tests.simulation.races import race

# The rarest are met in one hour of fifteen.
MOST_HOURS: Final = 40
MOST_SCHEDULES: Final = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Bite:
    """One fault of our own, and what gave it away; empty where nothing did."""

    name: str
    caught: str


def bite(number: int) -> Bite:
    """Put a fault in and play until an invariant breaks."""
    fault = OWN_FAULTS[number]
    runs = MOST_SCHEDULES if fault.is_race else MOST_HOURS
    for seed in range(runs):
        found = _broken(fault, seed)
        if found:
            return Bite(name=fault.name, caught=f"seed {seed}, {found}")
    return Bite(name=fault.name, caught="")


def _broken(fault: OwnFault, seed: int) -> str:
    with fault.put_in():
        return race(seed).broken if fault.is_race else play(seed).broken
