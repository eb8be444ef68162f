"""A run of a day compares the clocks again and again, and signs nothing while they differ."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from polybot.copy_trading.status import CopyPhase
from polybot.domain.alerts import AlertKind
from polybot.errors import DataError, TransientError
from polybot.venue_clock import VenueClock
from tests.builders import NOW
from tests.copy_desk import World
from tests.fakes_copying import SetClock
from tests.fakes_live import FakeVenueAccount, Venue

MOST = timedelta(seconds=2)
MAX_AGE = timedelta(seconds=120)


class Compared:
    """Two clocks and a steady one, all moved by the test."""

    def __init__(self) -> None:
        self.venue = Venue(now=NOW)
        self.ours = SetClock(NOW)
        self.steady_s = 500.0
        self.clock = VenueClock(
            FakeVenueAccount(self.venue), self.ours, most=MOST, steady_s=lambda: self.steady_s
        )

    def pass_time(self, seconds: float) -> None:
        """Let honest time pass for everybody."""
        self.ours.move(seconds)
        self.steady_s += seconds
        self.venue.now += timedelta(seconds=seconds)

    async def compare(self, told: datetime) -> timedelta:
        self.venue.now = told
        return await self.clock.compare()

    def refusal(self) -> str:
        """Return why an order of now is not signed; empty where it is."""
        try:
            self.clock.require_agreement(self.ours.at)
        except DataError as refusal:
            return f"{refusal.reason}: {refusal}"
        return ""


@pytest.mark.parametrize(
    ("told_s", "is_refused"),
    [(0, False), (2, False), (2.001, True), (-3, False), (-3.001, True), (3600, True)],
)
async def test_two_seconds_are_the_most(told_s: float, is_refused: bool) -> None:
    """Boundary: two seconds may be reached; the venue tells whole ones, cut off."""
    compared = Compared()
    await compared.compare(NOW + timedelta(seconds=told_s))
    assert bool(compared.refusal()) is is_refused


async def test_clock_that_goes_wrong_later_signs_nothing_until_it_is_right() -> None:
    compared = Compared()
    compared.clock.expire_after(MAX_AGE)
    await compared.compare(NOW)
    assert compared.refusal() == ""
    compared.pass_time(20)
    await compared.compare(compared.ours.at + timedelta(seconds=5))
    assert "clock-off: this machine's clock differs from the venue's by 5.0 s" in compared.refusal()
    await compared.compare(compared.ours.at)
    assert compared.refusal() == ""


@pytest.mark.parametrize("step_s", [2.5, -2.5, 7200.0])
async def test_clock_that_is_set_between_two_comparisons_is_noticed_at_once(step_s: float) -> None:
    """Or a machine that slept: the steady clock did not."""
    compared = Compared()
    compared.clock.expire_after(MAX_AGE)
    await compared.compare(NOW)
    compared.ours.move(step_s)
    assert f"was set, or slept, by {abs(step_s):.1f} s" in compared.refusal()


async def test_small_corrections_are_no_objection() -> None:
    """Boundary: by exactly two seconds the clock may be corrected."""
    compared = Compared()
    compared.clock.expire_after(MAX_AGE)
    await compared.compare(NOW)
    compared.ours.move(2)
    assert compared.refusal() == ""


async def test_comparison_counts_for_so_long_only() -> None:
    """Boundary: two minutes; the venue that tells no time any more stops us then, not sooner."""
    compared = Compared()
    compared.clock.expire_after(MAX_AGE)
    await compared.compare(NOW)
    compared.venue.outages["server_time"] = 1
    with pytest.raises(TransientError):
        await compared.clock.compare()
    compared.pass_time(120)
    assert compared.refusal() == ""
    compared.pass_time(0.001)
    assert "last compared with the venue's 120 s ago" in compared.refusal()


async def test_short_run_that_compared_once_is_not_asked_again() -> None:
    compared = Compared()
    await compared.compare(NOW)
    compared.pass_time(10_000)
    assert compared.refusal() == ""


def test_long_run_that_never_compared_signs_nothing() -> None:
    compared = Compared()
    compared.clock.expire_after(MAX_AGE)
    assert "was not compared" in compared.refusal()


async def test_loop_compares_tells_the_owner_and_says_that_it_is_broken(tmp_path: Path) -> None:
    """Once an hour, in the status all the time, and over by itself."""
    differences = [timedelta(seconds=3)]

    async def compare() -> timedelta:
        return differences[0]

    async with World(path=tmp_path / "paper.db", compare_clocks=compare).looping() as running:
        await running.until(lambda: running.status.phase is CopyPhase.BROKEN)
        assert running.status.reason == "clock: our clock differs from the venue's by 3.0 s"
        (alert,) = [one.alert for one in running.ledger.due_alerts(at=NOW, limit=9)]
        assert alert.kind is AlertKind.COPYING
        assert "by 3.0 s: turn on NTP" in alert.body
        differences[0] = timedelta(0)
        await running.loop._upkeep.compare_clocks()


async def test_venue_that_tells_no_time_for_a_moment_is_trouble_and_no_stop(
    tmp_path: Path,
) -> None:
    async def compare() -> timedelta:
        raise TransientError("no answer")

    async with World(path=tmp_path / "paper.db", compare_clocks=compare).looping() as running:
        await running.trading()
        await running.until(lambda: "venue-time" in [t.part for t in running.status.troubles])
        assert running.status.phase is CopyPhase.TRADING
