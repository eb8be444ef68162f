"""A leader who answers our own orders is suspected, then known to follow us; nobody else is."""

from datetime import timedelta
from decimal import Decimal

import pytest

from polybot.copy_trading.echoes import MOST_TURNS, TRUSTED_FOR, Echo, EchoWatch
from polybot.domain.orders import Side
from tests.builders import NOW
from tests.copy_builders import LEADER, build_trade


def _echo(watch: EchoWatch, turn: int, *, after_s: float = 1.0, size: str = "5") -> Echo:
    """Place an order of ours of ten shares, then let the leader answer it."""
    at = NOW + timedelta(seconds=20 * turn)
    watch.note_order(build_trade(), Decimal(10), at)
    return watch.hear(build_trade(size=size, traded_at=at + timedelta(seconds=after_s)))


def _suspect(watch: EchoWatch, first_turn: int = 0) -> list[Echo]:
    """Let the leader answer until he is suspected."""
    return [_echo(watch, first_turn + turn) for turn in range(MOST_TURNS)]


def test_leader_who_answers_every_order_is_suspected() -> None:
    """In the same token and direction, with the same share of our size, again and again."""
    assert _suspect(EchoWatch()) == [Echo.NONE] * (MOST_TURNS - 1) + [Echo.SUSPECTED]


def test_suspect_who_falls_silent_twice_follows_us() -> None:
    """Without our orders he has nothing to do."""
    watch = EchoWatch()
    _suspect(watch)
    later = 2 * MOST_TURNS
    assert _suspect(watch, later)[-1] is Echo.SUSPECTED
    assert _echo(watch, 2 * later) is Echo.LOOP


def test_suspect_who_goes_on_by_himself_is_trusted() -> None:
    """A steady trader loses one copy an hour at most."""
    watch = EchoWatch()
    _suspect(watch)
    last = NOW + timedelta(seconds=20 * (MOST_TURNS - 1) + 1)
    assert watch.hear(build_trade(size="5", traded_at=last + timedelta(seconds=2))) is Echo.NONE
    assert Echo.SUSPECTED not in _suspect(watch, MOST_TURNS)
    in_an_hour = MOST_TURNS + int(TRUSTED_FOR.total_seconds() / 20)
    assert Echo.SUSPECTED in _suspect(watch, in_an_hour)


@pytest.mark.parametrize("odd", ["late", "other size", "twice", "other side"])
def test_leader_on_his_own_business_is_left_alone(odd: str) -> None:
    """One trade out of the pattern begins the count again."""
    watch = EchoWatch()
    for turn in range(MOST_TURNS - 1):
        assert _echo(watch, turn) is Echo.NONE
    last = MOST_TURNS
    if odd == "late":
        _echo(watch, last, after_s=60)
    elif odd == "other size":
        _echo(watch, last, size="70")
    elif odd == "twice":
        watch.hear(build_trade(traded_at=NOW + timedelta(seconds=20 * (last - 2) + 2)))
    else:
        at = NOW + timedelta(seconds=20 * last)
        watch.note_order(build_trade(), Decimal(10), at)
        assert watch.hear(build_trade(Side.SELL, traded_at=at)) is Echo.NONE
        watch.hear(build_trade(size="70", traded_at=at))
    assert _echo(watch, last + 1) is Echo.NONE


def test_lifted_leader_is_counted_from_none_again() -> None:
    """A person has looked at him."""
    watch = EchoWatch()
    _suspect(watch)
    watch.forget(LEADER)
    assert _echo(watch, 2 * MOST_TURNS) is Echo.NONE


def test_watch_that_recalls_what_another_saw_goes_on_as_that_one() -> None:
    """Whatever the moment of the restart: the same suspicions, and the same conclusion."""
    turns = 2 * MOST_TURNS + 1
    whole = EchoWatch()
    seen = [_echo(whole, _apart(turn)) for turn in range(turns)]
    assert seen[-1] is Echo.LOOP
    for restart in range(turns):
        anew = EchoWatch()
        for turn in range(restart):
            at = NOW + timedelta(seconds=20 * _apart(turn))
            # In a loop our order copies his trade, which answers our order before it.
            anew.note_order(build_trade(), Decimal(10), at)
            answer = build_trade(size="5", traded_at=at + timedelta(seconds=1))
            anew.recall(answer, was_left_out=seen[turn] is Echo.SUSPECTED)
        rest = [_echo(anew, _apart(turn)) for turn in range(restart, turns)]
        assert rest == seen[restart:], restart


def _apart(turn: int) -> int:
    """Leave a silence after every suspicion."""
    return turn + 10 * (turn // MOST_TURNS)


def test_what_was_done_counts_and_not_what_is_concluded_from_the_rest() -> None:
    """A trade was left out although the turns before it are not read; another was copied."""
    watch = EchoWatch()
    watch.recall(build_trade(traded_at=NOW), was_left_out=True)
    assert _suspect(watch, 3)[-1] is Echo.SUSPECTED
    assert _echo(watch, 60) is Echo.LOOP
    watch = EchoWatch()
    for turn in range(MOST_TURNS):
        at = NOW + timedelta(seconds=20 * turn)
        watch.note_order(build_trade(), Decimal(10), at)
        watch.recall(build_trade(size="5", traded_at=at), was_left_out=False)
    assert _suspect(watch, 30)[-1] is Echo.SUSPECTED
    # That was the first trade that was left out.
    assert _suspect(watch, 60)[-1] is Echo.SUSPECTED
    assert _echo(watch, 99) is Echo.LOOP
