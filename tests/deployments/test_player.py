"""The player moves virtual time only when everybody waits for it."""

import asyncio
import random
from datetime import UTC, datetime, timedelta

import pytest

from deployments import player
from deployments.demo_plan import plan_end, plan_runs
from deployments.player import PlannedRun, play
from polybot.domain.markets import MarketSeries, MarketWindow
from polybot.errors import PermanentError

START = datetime(2026, 10, 5, 9, tzinfo=UTC)


def ms(instant: datetime) -> int:
    return round(instant.timestamp() * 1000)


class FakeClock:
    """A stepped clock that several runs wait for, as the sandbox has one."""

    def __init__(self, now: datetime) -> None:
        self.now_ms = ms(now)
        self.waiting: list[tuple[int, asyncio.Event]] = []

    async def waiting_until_ms(self) -> list[int]:
        return [until_ms for until_ms, _ in self.waiting]

    async def move_to_ms(self, now_ms: int) -> None:
        assert now_ms >= self.now_ms
        self.now_ms = now_ms
        due = [item for item in self.waiting if item[0] <= now_ms]
        self.waiting = [item for item in self.waiting if item[0] > now_ms]
        for _, event in due:
            event.set()

    async def wait_until(self, until_ms: int) -> None:
        if until_ms > self.now_ms:
            event = asyncio.Event()
            self.waiting.append((until_ms, event))
            await event.wait()


class Runs:
    """Runs that start after a random real delay, wait for their time and write down when it was."""

    def __init__(self, clock: FakeClock, seed: int) -> None:
        self.clock = clock
        self.random = random.Random(seed)
        self.acted: list[tuple[str, int]] = []
        self.under_way = 0
        self.most_under_way = 0

    async def __call__(self, run: PlannedRun) -> str:
        self.under_way += 1
        self.most_under_way = max(self.under_way, self.most_under_way)
        await asyncio.sleep(self.random.uniform(0, 0.02))
        await self.clock.wait_until(ms(run.due) + 3000)
        self.acted.append((run.flow, self.clock.now_ms))
        await asyncio.sleep(self.random.uniform(0, 0.02))
        await self.clock.wait_until(self.clock.now_ms + 250)
        self.acted.append((f"{run.flow} again", self.clock.now_ms))
        self.under_way -= 1
        return "Completed"


def plan(count: int) -> list[PlannedRun]:
    series = MarketSeries.parse("btc-15m")
    first = ms(START) // 1000
    windows = [MarketWindow(series=series, start_s=first + 900 * n) for n in range(count)]
    return [*plan_runs(windows), *plan_end(windows, None)]


async def played(seed: int, ahead: int) -> Runs:
    clock = FakeClock(START - timedelta(minutes=1))
    runs = Runs(clock, seed)
    counts = await play(
        plan(6), clock=clock, run_flow=runs, ahead=ahead, ended=lambda run, state: None
    )
    assert counts == {"Completed": 10}
    return runs


async def test_the_same_story_whatever_the_machine_does() -> None:
    """Random start-up times and another number of runs ahead change nothing."""
    stories = [(await played(seed, ahead)).acted for seed, ahead in ((1, 4), (2, 4), (3, 2))]
    assert stories[0] == stories[1] == stories[2]


async def test_every_run_acts_exactly_when_it_is_due() -> None:
    runs = await played(4, 4)
    wanted = sorted((run.flow, ms(run.due) + 3000) for run in plan(6))
    assert sorted(item for item in runs.acted if "again" not in item[0]) == wanted


async def test_no_more_runs_than_allowed_are_under_way() -> None:
    assert (await played(5, 3)).most_under_way == 3


async def test_a_run_that_fails_to_be_submitted_stops_the_play() -> None:
    async def refuse(run: PlannedRun) -> str:
        raise PermanentError(f"no {run.flow}")

    with pytest.raises(PermanentError, match="no trend"):
        await play(plan(1), clock=FakeClock(START), run_flow=refuse, ahead=1, ended=lambda *_: None)


async def test_a_run_that_never_waits_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stuck run ends the play with a sentence, not with silence."""
    monkeypatch.setattr(player, "STALL_TIMEOUT_S", 0.2)

    async def hang(run: PlannedRun) -> str:
        await asyncio.Event().wait()
        return run.flow

    with pytest.raises(PermanentError, match="trend due 09:00"):
        await play(plan(1), clock=FakeClock(START), run_flow=hang, ahead=1, ended=lambda *_: None)


def test_the_plan_settles_every_second_window_and_the_last() -> None:
    """The venue resolves a window within three minutes of its end."""
    order = [(run.flow, (run.due - START) / timedelta(minutes=1)) for run in plan(3)]
    assert sorted(order, key=lambda item: item[1]) == [
        ("trend", 0),
        ("trend", 15),
        ("trend", 30),
        ("settle", 33),
        ("settle", 48),
        ("report", 49),
    ]
