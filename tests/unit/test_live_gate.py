"""Real orders pass one gate: two words, a green doctor of this very bot, reconciled books."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from polybot.adapters.health_file import health_path, read_health, write_health
from polybot.domain.modes import Mode
from polybot.domain.orders import Accepted, OrderReport, OrderStatus
from polybot.domain.reconciliation import ReconcileVerdict, ReconciliationRecord
from polybot.errors import DataError, PermanentError
from polybot.going_live import (
    GatedExchange,
    LiveAllowed,
    LivePermission,
    LiveRefused,
    LiveRequest,
    NotLive,
    may_trade_live,
    unreconciled,
)
from polybot.venue_clock import VenueClock, clock_difference
from tests.builders import NOW, build_approved, build_record
from tests.cli_steps import ledger_of
from tests.fakes import ScriptedExchange
from tests.fakes_copying import SetClock
from tests.fakes_live import FakeVenueAccount, Venue
from tests.live_records import AGREED, GREEN

REQUEST = LiveRequest(
    mode=Mode.LIVE,
    is_confirmed=True,
    fingerprint="f" * 32,
    key_address="0xKey",
    version="1",
    health=GREEN,
    doctor_max_age=timedelta(hours=24),
    clock_difference=timedelta(seconds=2),
    max_clock_difference=timedelta(seconds=2),
    now=NOW + timedelta(hours=1),
)


# The rule ---------------------------------------------------------------------------------------


def test_everything_in_place_is_allowed() -> None:
    assert may_trade_live(REQUEST) == LiveAllowed(examined_at=NOW)


@pytest.mark.parametrize("mode", [Mode.PAPER, Mode.SANDBOX])
def test_other_modes_have_no_gate(mode: Mode) -> None:
    """The second word in a paper run is no word for real money, and no obstacle."""
    for is_confirmed in (False, True):
        request = replace(REQUEST, mode=mode, is_confirmed=is_confirmed, health=None)
        assert may_trade_live(request) == NotLive(mode=mode)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"is_confirmed": False}, "set `live: true` in its parameters"),
        ({"health": None}, "no `polybot doctor` of live mode is on record"),
        ({"health": replace(GREEN, mode=Mode.PAPER)}, "is of paper mode"),
        ({"health": replace(GREEN, failures=("geoblock",))}, "found fault with geoblock"),
        ({"health": replace(GREEN, is_complete=False)}, "is not of every check"),
        ({"fingerprint": "e" * 32}, "the settings changed since the doctor looked"),
        ({"key_address": "0xOther"}, "looked at another key"),
        ({"health": replace(GREEN, key_address="")}, "looked at another key"),
        ({"version": "2"}, "the doctor looked at polybot 1, this is 2"),
        (
            {"clock_difference": timedelta(seconds=2.1)},
            "differs from the venue's by 2.1 s, at most 2",
        ),
        ({"clock_difference": None}, "the venue did not tell its time"),
        ({"now": NOW + timedelta(hours=24, seconds=1)}, "which is 86401 s ago"),
        ({"now": NOW - timedelta(seconds=6)}, "which is 6 s in the future"),
    ],
)
def test_each_missing_thing_refuses_and_is_named(change: dict[str, object], reason: str) -> None:
    """One reason, with what to do about it."""
    answer = may_trade_live(replace(REQUEST, **change))  # type: ignore[arg-type]
    assert isinstance(answer, LiveRefused)
    (told,) = answer.reasons
    assert reason in told


def test_everything_missing_is_named_at_once() -> None:
    broken = replace(GREEN, mode=Mode.SANDBOX, failures=("a",), is_complete=False, key_address="")
    answer = may_trade_live(
        replace(
            REQUEST,
            is_confirmed=False,
            health=broken,
            fingerprint="",
            version="2",
            now=NOW + timedelta(days=9),
        )
    )
    assert isinstance(answer, LiveRefused)
    assert len(answer.reasons) == 8


@pytest.mark.parametrize(
    ("told_s", "began_s", "ended_s", "off_s"),
    [
        (10, 10.0, 10.0, 0.0),
        (10, 10.9, 11.1, 0.0),
        (10, 10.0, 14.0, 1.0),
        (10, 7.0, 8.0, 2.5),
        (10, 16.0, 16.0, 5.0),
    ],
)
def test_clock_is_compared_with_the_whole_second_that_the_venue_told(
    told_s: float, began_s: float, ended_s: float, off_s: float
) -> None:
    """And with the middle of the question: nothing is held against a slow answer."""
    told, began, ended = (NOW + timedelta(seconds=each) for each in (told_s, began_s, ended_s))
    assert clock_difference(told, began=began, ended=ended) == timedelta(seconds=off_s)


@pytest.mark.parametrize(
    ("record", "after_s", "reason"),
    [
        (AGREED, 0, None),
        (replace(AGREED, verdict=ReconcileVerdict.EXPLAINED), 60, None),
        (AGREED, 61, "which is 61 s ago"),
        (AGREED, -6, "in the future"),
        (replace(AGREED, reconciled_at=None), 0, "was never reconciled"),
        (replace(AGREED, verdict=None), 0, "ended None"),
        (replace(AGREED, verdict=ReconcileVerdict.INCOMPLETE), 0, "ended incomplete"),
        (replace(AGREED, verdict=ReconcileVerdict.HALTED), 0, "ended halted"),
    ],
)
def test_orders_need_books_that_just_agreed(
    record: ReconciliationRecord, after_s: int, reason: str | None
) -> None:
    now = NOW + timedelta(seconds=after_s)
    answer = unreconciled(record, now=now, max_age=timedelta(seconds=60))
    if reason is None:
        assert answer is None
    else:
        assert answer is not None
        assert reason in answer.reasons[0]


# The exchange behind it -------------------------------------------------------------------------


REFUSED = LiveRefused(reasons=("why",))


@contextmanager
def gated(
    exchange: ScriptedExchange,
    permission: LivePermission,
    home: Path,
    *,
    agreed: bool = True,
    venue_clock: VenueClock | None = None,
) -> Iterator[GatedExchange]:
    with ledger_of(home, Mode.LIVE) as ledger:
        if agreed:
            ledger.record_reconciliation(AGREED)
        yield GatedExchange(
            exchange,
            permission,
            ledger=ledger,
            reconcile_max_age=timedelta(seconds=60),
            venue_clock=venue_clock,
        )


def willing() -> ScriptedExchange:
    """An exchange that takes every order."""
    return ScriptedExchange(lambda one: Accepted(order_id=one.order_id, is_resting=True, fills=()))


async def test_without_permission_nothing_is_prepared_or_sent(tmp_path: Path) -> None:
    """The last line of defence, whatever a flow forgot to ask."""
    exchange = willing()
    with gated(exchange, REFUSED, tmp_path) as gate:
        with pytest.raises(PermanentError, match="why"):
            gate.prepare(build_approved(), created_at=NOW)
        with pytest.raises(PermanentError, match="why"):
            await gate.submit(exchange.prepare(build_approved(), created_at=NOW))
    assert exchange.submitted == []


async def test_without_permission_orders_are_still_looked_up(tmp_path: Path) -> None:
    """Whoever may not trade must still learn what became of an order, and take it back."""
    exchange = willing()
    record = build_record()
    exchange.reports[record.order_id] = OrderReport(status=OrderStatus.UNFILLED)
    with gated(exchange, REFUSED, tmp_path) as gate:
        assert await gate.look_up(record) == await gate.cancel(record)
    assert exchange.looked_up == [record.order_id] * 2


async def test_nothing_is_signed_while_the_clock_is_off(tmp_path: Path) -> None:
    """Also where the run was allowed to start; it goes on once the clocks agree again."""
    account = FakeVenueAccount(Venue(now=NOW))
    account.venue.now = NOW - timedelta(seconds=4)
    clock = VenueClock(account, SetClock(NOW), most=timedelta(seconds=2))
    exchange = willing()
    with gated(exchange, LiveAllowed(examined_at=NOW), tmp_path, venue_clock=clock) as gate:
        await clock.compare()
        with pytest.raises(DataError, match=r"differs from the venue's by 3\.0 s") as caught:
            gate.prepare(build_approved(), created_at=NOW)
        assert caught.value.reason == "clock-off"
        account.venue.now = NOW
        await clock.compare()
        await gate.submit(gate.prepare(build_approved(), created_at=NOW))
    assert len(exchange.submitted) == 1


async def test_books_that_are_not_reconciled_decide_nothing(tmp_path: Path) -> None:
    """A window is skipped with the reason; the run goes on."""
    exchange = willing()
    allowed = LiveAllowed(examined_at=NOW)
    with gated(exchange, allowed, tmp_path / "a", agreed=False) as gate:
        with pytest.raises(DataError, match="never reconciled") as caught:
            gate.prepare(build_approved(), created_at=NOW)
        assert caught.value.reason == "unreconciled"
    with gated(exchange, allowed, tmp_path / "b") as gate:
        with pytest.raises(DataError, match="which is 61 s ago"):
            gate.prepare(build_approved(), created_at=NOW + timedelta(seconds=61))
        prepared = gate.prepare(build_approved(), created_at=NOW)
        await gate.submit(prepared)
    assert [one.order_id for one in exchange.submitted] == [prepared.order_id]


# The doctor's record ----------------------------------------------------------------------------


def test_a_record_comes_back_as_it_was_written(tmp_path: Path) -> None:
    """Whole, replaced by the next one, and its owner's alone."""
    for record in (replace(GREEN, failures=("a", "b")), GREEN):
        write_health(tmp_path / "home", record)
        assert read_health(tmp_path / "home", Mode.LIVE) == record
    assert list((tmp_path / "home").iterdir()) == [health_path(tmp_path / "home", Mode.LIVE)]
    assert health_path(tmp_path / "home", Mode.LIVE).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        "[" * 9_000,
        json.dumps({"mode": "live"}),
        '{"checked_at":"2026-11-22T12:00:00","mode":"live","fingerprint":"f","key_address":"k",'
        '"version":"1","is_complete":true,"failures":[]}',
        '{"checked_at":"2026-11-22T12:00:00+00:00","mode":"live","fingerprint":"f",'
        '"key_address":"k","version":"1","is_complete":"yes","failures":[]}',
        '{"checked_at":"2026-11-22T12:00:00+00:00","mode":"live","fingerprint":1,'
        '"key_address":"k","version":"1","is_complete":true,"failures":[]}',
    ],
)
def test_a_record_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    """No record opens no gate."""
    path = health_path(tmp_path, Mode.LIVE)
    path.write_text(text)
    path.chmod(0o600)
    assert read_health(tmp_path, Mode.LIVE) is None


def test_a_record_that_others_can_write_is_none(tmp_path: Path) -> None:
    write_health(tmp_path, GREEN)
    health_path(tmp_path, Mode.LIVE).chmod(0o620)
    assert read_health(tmp_path, Mode.LIVE) is None
