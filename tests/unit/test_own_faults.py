"""The faults that the simulation puts into our own code still fit the code.

Trying them takes minutes and is left to ``make chaos``; one whose place has moved would be found
there only.
"""

import pytest

from polybot import execution
from tests.simulation.own_faults import OWN_FAULTS, OwnFault, edit


@pytest.mark.parametrize("fault", OWN_FAULTS, ids=lambda fault: fault.name)
def test_fault_has_its_place_in_the_code(fault: OwnFault) -> None:
    """Each edit finds the words that it replaces, exactly once."""
    with fault.put_in():
        pass


def test_fault_that_has_lost_its_place_says_so() -> None:
    """Words that are gone are no fault that was caught."""
    with pytest.raises(LookupError, match="0 times"), edit(execution, "place", ("¿", ""))():
        pass
