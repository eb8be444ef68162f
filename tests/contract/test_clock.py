"""Both clocks keep the port's promises; the sandbox's is asked on a real sandbox."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from polybot.adapters.clock import SandboxClock, SystemClock
from polybot.adapters.web import WebClient
from polybot.errors import DataError, TransientError
from polybot.sandbox.clock import RunningClock, SteppedClock, VenueClock
from polybot.sandbox.venue import SandboxVenue
from tests.sandbox_server import serve_in_thread
from tests.scripted_server import ScriptedServer, body, scripted_server

START = datetime(2026, 10, 5, 23, 0, tzinfo=UTC)
START_MS = int(START.timestamp() * 1000)


def serve(clock: VenueClock) -> Iterator[str]:
    with serve_in_thread(SandboxVenue(seed=7, clock=clock)) as url:
        yield url


@pytest.fixture
def stepped() -> SteppedClock:
    return SteppedClock(START_MS)


@pytest.fixture
def stepped_url(stepped: SteppedClock) -> Iterator[str]:
    yield from serve(stepped)


async def test_system_clock_is_aware_utc() -> None:
    """Naive times would compare with nothing."""
    with time_machine.travel(START, tick=False):
        assert await SystemClock().now() == START


async def test_system_clock_does_not_wait_for_the_past() -> None:
    """An instant that has passed costs nothing."""
    with time_machine.travel(START, tick=False):
        await asyncio.wait_for(SystemClock().sleep_until(START - timedelta(hours=1)), 1)
        await asyncio.wait_for(SystemClock().sleep_until(START), 1)
    await asyncio.wait_for(SystemClock().sleep(-5), 1)


async def test_system_clock_wakes_when_the_time_has_come() -> None:
    """And never before."""
    clock = SystemClock()
    due = await clock.now() + timedelta(milliseconds=30)
    await asyncio.wait_for(clock.sleep_until(due), 5)
    assert await clock.now() >= due


async def test_system_clock_notices_a_clock_that_is_set_back() -> None:
    """Sleeping follows the clock, not the number of seconds that were left at first."""
    with time_machine.travel(START) as traveller:
        due = START + timedelta(milliseconds=40)
        waiting = asyncio.create_task(SystemClock().sleep_until(due))
        await asyncio.sleep(0)
        traveller.move_to(START - timedelta(milliseconds=60))
        await asyncio.wait_for(waiting, 5)
        assert await SystemClock().now() >= due


async def test_sandbox_clock_tells_the_virtual_time(stepped_url: str) -> None:
    """To the millisecond, aware UTC."""
    async with SandboxClock(stepped_url + "/") as clock:
        assert await clock.now() == START


async def test_sleeping_moves_a_stepped_clock(stepped: SteppedClock, stepped_url: str) -> None:
    """Nobody else would move it in time for a start delay of three seconds."""
    async with SandboxClock(stepped_url) as clock:
        await clock.sleep(3.25)
        await clock.sleep(0)
        await clock.sleep(-1)
    assert stepped.now_ms() == START_MS + 3250


async def test_waiter_returns_when_the_clock_is_stepped(
    stepped: SteppedClock, stepped_url: str
) -> None:
    """It shows among the waiting until somebody moves the clock far enough."""
    due = START + timedelta(minutes=15)
    async with SandboxClock(stepped_url) as clock, SandboxClock(stepped_url) as other:
        waiting = asyncio.create_task(clock.sleep_until(due))
        while not await waiters(stepped_url):
            await other.now()
        stepped.advance(899.999)
        await other.now()
        assert not waiting.done()
        stepped.advance(0.001)
        await asyncio.wait_for(waiting, 5)
        assert await other.now() == due


async def test_nobody_waits_for_the_past(stepped_url: str) -> None:
    """An instant that has passed costs one request."""
    async with SandboxClock(stepped_url) as clock:
        await asyncio.wait_for(clock.sleep_until(START - timedelta(days=1)), 5)
        await asyncio.wait_for(clock.sleep_until(START), 5)


async def test_running_clock_is_waited_for_at_its_speed() -> None:
    """A virtual minute takes 30 ms at two thousand times real time."""
    served = serve(RunningClock(START_MS, 2000.0))
    url = next(served)
    try:
        async with SandboxClock(url) as clock:
            before = await clock.now()
            await asyncio.wait_for(clock.sleep(60), 5)
            after = await clock.now()
            assert after - before >= timedelta(seconds=60)
            due = after + timedelta(seconds=60)
            await asyncio.wait_for(clock.sleep_until(due), 5)
            assert await clock.now() >= due
    finally:
        served.close()


async def test_absent_sandbox_may_come_back() -> None:
    """Every question to nobody is transient."""
    async with scripted_server() as gone:
        url = gone.url
    async with SandboxClock(url) as clock:
        for question in (clock.now(), clock.sleep(1), clock.sleep_until(START)):
            with pytest.raises(TransientError):
                await question


async def test_server_without_a_clock_is_no_sandbox(server: ScriptedServer) -> None:
    """Another program on that port is said to be none."""
    async with SandboxClock(server.url) as clock:
        with pytest.raises(TransientError, match="no sandbox answers"):
            await clock.now()


async def test_sandbox_that_stops_lets_its_waiters_go(server: ScriptedServer) -> None:
    """The run fails and is tried again; it does not hang."""
    server.on("/sandbox/clock/wait", body({"error": "the sandbox is stopping"}, status=503))
    async with SandboxClock(server.url) as clock:
        with pytest.raises(TransientError):
            await clock.sleep_until(START)


async def test_answer_that_comes_early_is_not_believed(server: ScriptedServer) -> None:
    """The waiter asks again until the time has come."""
    due_ms = START_MS + 60_000
    server.on("/sandbox/clock/wait", {"now_ms": due_ms - 1}, {"now_ms": due_ms})
    async with SandboxClock(server.url) as clock:
        await asyncio.wait_for(clock.sleep_until(START + timedelta(minutes=1)), 5)
    assert len(server.requests) == 2


async def test_instants_are_rounded_up_to_the_millisecond(server: ScriptedServer) -> None:
    """Waking half a millisecond early would be early."""
    server.on("/sandbox/clock/wait", {"now_ms": START_MS + 2})
    async with SandboxClock(server.url) as clock:
        await clock.sleep_until(START + timedelta(microseconds=1500))
    assert f'"until_ms": {START_MS + 2}'.encode() in await server.requests[0].read()


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>", b"[]", b"{}", b'{"now_ms": "soon"}', b'{"now_ms": -1}', b'{"now_ms": 1.5}'],
)
async def test_answers_without_a_time_are_bad_data(server: ScriptedServer, content: bytes) -> None:
    """No default time."""
    server.on("/sandbox/clock", content)
    async with SandboxClock(server.url) as clock:
        with pytest.raises(DataError) as caught:
            await clock.now()
    assert caught.value.reason == "clock-malformed"


@pytest.mark.parametrize(
    "state",
    [{"mode": "running", "speed": 0}, {"mode": "running"}, {"mode": "running", "speed": "2"}, {}],
)
async def test_clock_without_speed_is_not_slept_on(
    server: ScriptedServer, state: dict[str, object]
) -> None:
    """A division by zero, or a wait without end."""
    server.on("/sandbox/clock", {"now_ms": START_MS, **state})
    async with SandboxClock(server.url) as clock:
        with pytest.raises(DataError, match="speed"):
            await clock.sleep(1)


async def waiters(url: str) -> bool:
    """Return whether anybody waits for the sandbox's clock."""
    async with WebClient(timeout_s=5) as web:
        shown = await web.get(f"{url}/sandbox/clock")
    return shown is not None and b'"until_ms"' in shown


async def test_system_clock_tells_the_instant_without_waiting() -> None:
    """On the path where nothing may wait."""
    with time_machine.travel(START, tick=False):
        assert SystemClock().instant() == START


async def test_sandbox_clock_knows_no_instant_before_it_was_asked(stepped_url: str) -> None:
    """Guessing the time would date trades wrongly."""
    async with SandboxClock(stepped_url) as clock:
        with pytest.raises(TransientError, match="never asked"):
            clock.instant()
        await clock.now()
        assert clock.instant() == START


async def test_followed_sandbox_clock_keeps_up_with_a_stepped_one(
    stepped: SteppedClock, stepped_url: str
) -> None:
    """Nobody asks it on the hot path, and still it is right a moment later."""
    async with SandboxClock(stepped_url) as clock:
        await clock.follow()
        stepped.advance(60)
        async with asyncio.timeout(10):
            while clock.instant() == START:  # noqa: ASYNC110 - nothing tells of a look
                await asyncio.sleep(0)
        assert clock.instant() == START + timedelta(seconds=60)


async def test_sandbox_clock_reckons_with_the_speed_of_a_running_one() -> None:
    """Between two answers the virtual time goes on at its own pace, and never back."""
    for url in serve(RunningClock(START_MS, speed=1000.0)):
        async with SandboxClock(url) as clock:
            first = await clock.now()
            reckoned = clock.instant()
            last = await clock.now()
            assert first <= reckoned <= last + timedelta(seconds=60)
            assert clock.instant() >= reckoned
