"""What several runs have to know about the venue: files that survive processes and damage."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from polybot.adapters.polymarket.answers import Restriction
from polybot.adapters.polymarket.contracts import V1_NORMAL, V2
from polybot.adapters.polymarket.order_fields import OrderFields, SignatureType
from polybot.adapters.polymarket.order_wire import PlacedState
from polybot.adapters.polymarket.venue_memory import VenueMemory
from polybot.domain.orders import OrderId, Side
from tests.builders import NOW
from tests.order_cases import random_fields

ONE, TWO = OrderId("0x" + "a1" * 32), OrderId("0x" + "b2" * 32)
EOA = SignatureType.EOA
FIELDS: OrderFields = random_fields(Random(1), V2, Side.BUY, EOA)
ON_V1: OrderFields = random_fields(Random(1), V1_NORMAL, Side.BUY, EOA)


def test_newest_restriction_counts_until_its_time(tmp_path: Path) -> None:
    """In every process of the home."""
    memory, other = VenueMemory(tmp_path), VenueMemory(tmp_path)
    assert other.restriction(at=NOW) is None
    memory.restrict(Restriction.RESTARTING, until=NOW + timedelta(seconds=90))
    memory.restrict(Restriction.POST_ONLY, until=NOW + timedelta(seconds=120))
    active = other.restriction(at=NOW + timedelta(seconds=119))
    assert active is not None
    assert active.restriction is Restriction.POST_ONLY
    assert active.stops(is_post_only=False)
    assert not active.stops(is_post_only=True)
    assert other.restriction(at=NOW + timedelta(seconds=120)) is None


@pytest.mark.parametrize("restriction", [one for one in Restriction if one != "post-only"])
def test_only_post_only_mode_takes_makers(tmp_path: Path, restriction: Restriction) -> None:
    """Every other restriction stops them, too."""
    memory = VenueMemory(tmp_path)
    memory.restrict(restriction, until=NOW + timedelta(seconds=1))
    active = memory.restriction(at=NOW)
    assert active is not None
    assert active.stops(is_post_only=True)


def test_first_order_is_one_of_many_that_race(tmp_path: Path) -> None:
    """Whoever comes first goes; everybody else waits for that order."""
    ids = [OrderId(f"0x{number:064x}") for number in range(40)]
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda one: VenueMemory(tmp_path).claim_canary(one, FIELDS), ids))
    assert answers.count(None) == 1
    winner = ids[answers.index(None)]
    assert all(winner in answer for answer in answers if answer is not None)
    assert not list(tmp_path.glob("*.tmp"))


def test_first_order_may_be_claimed_again_by_itself(tmp_path: Path) -> None:
    """The same order, asked about twice."""
    memory = VenueMemory(tmp_path)
    assert memory.claim_canary(ONE, FIELDS) is None
    assert memory.claim_canary(ONE, FIELDS) is None
    assert memory.claim_canary(TWO, FIELDS) is not None
    assert memory.claim_canary(TWO, ON_V1) is None


def test_passing_and_releasing_concern_their_own_order(tmp_path: Path) -> None:
    """Another order's fate says nothing about the first."""
    memory = VenueMemory(tmp_path)
    memory.claim_canary(ONE, FIELDS)
    memory.pass_canary(TWO)
    memory.release_canary(TWO)
    assert memory.claim_canary(TWO, FIELDS) is not None
    memory.pass_canary(ONE)
    memory.release_canary(ONE)
    assert memory.claim_canary(TWO, FIELDS) is None
    assert VenueMemory(tmp_path).claim_canary(TWO, FIELDS) is None


def test_absence_counts_from_the_first_look(tmp_path: Path) -> None:
    """Across processes; an order that is shown again begins anew."""
    memory = VenueMemory(tmp_path)
    later = NOW + timedelta(seconds=50)
    assert memory.absent_since(ONE, at=NOW) == NOW
    assert VenueMemory(tmp_path).absent_since(ONE, at=later) == NOW
    memory.forget_absence(ONE)
    assert memory.absent_since(ONE, at=later) == later


def test_taken_order_is_remembered_until_its_fate_is_known(tmp_path: Path) -> None:
    """And nothing is known of others."""
    memory = VenueMemory(tmp_path)
    memory.note_taken(ONE, PlacedState.MATCHED)
    assert VenueMemory(tmp_path).taken(ONE) is PlacedState.MATCHED
    assert memory.taken(TWO) is None
    memory.forget(ONE)
    assert memory.taken(ONE) is None


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"null", b'{"restriction":7}', b"\xff\x00"])
def test_damaged_files_cost_a_wait_and_no_wrong_conclusion(tmp_path: Path, damage: bytes) -> None:
    """No restriction, nothing taken, absence anew; a first order that cannot be read stops."""
    for name in ("restriction.json", "absences.json", "taken.json", "canary-0-3.json"):
        (tmp_path / name).write_bytes(damage)
    memory = VenueMemory(tmp_path)
    assert memory.restriction(at=NOW) is None
    assert memory.absent_since(ONE, at=NOW) == NOW
    assert memory.taken(ONE) is None
    objection = memory.claim_canary(ONE, FIELDS)
    assert objection is not None
    assert "canary-0-3.json" in objection


def test_folder_is_for_its_owner_alone(tmp_path: Path) -> None:
    """It tells what is traded."""
    memory = VenueMemory(tmp_path / "venue")
    memory.note_taken(ONE, PlacedState.MATCHED)
    assert (tmp_path / "venue").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "venue" / "taken.json").stat().st_mode & 0o777 == 0o600
