"""The virtual clock over HTTP: who waits, who is woken, who is forgotten."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import httpx
import pytest

from polybot.sandbox.clock import RunningClock, SteppedClock
from polybot.sandbox.venue import SandboxVenue
from tests.sandbox.conftest import START_S, Served
from tests.sandbox_server import serve_in_thread

NOW_MS = (START_S - 10) * 1000


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Run long polls beside the test."""
    with ThreadPoolExecutor(4) as threads:
        yield threads


def _waiting(http: httpx.Client) -> list[dict[str, object]]:
    waiting: list[dict[str, object]] = http.get("/sandbox/clock").json()["waiting"]
    return waiting


def _until_waiting(http: httpx.Client, count: int) -> list[dict[str, object]]:
    """Ask until so many wait; each question gives the server time to notice."""
    for _ in range(20_000):
        waiting = _waiting(http)
        if len(waiting) == count:
            return waiting
    raise AssertionError(f"{count} should wait, but these do: {_waiting(http)}")


def _wait(served: Served, name: str, until_ms: int) -> httpx.Response:
    return httpx.post(
        f"{served.http.base_url}/sandbox/clock/wait".replace("//sandbox", "/sandbox"),
        json={"id": name, "until_ms": until_ms},
        timeout=30,
        trust_env=False,
    )


def test_stepped_clock_tells_where_it_stands(served: Served) -> None:
    """It does not move by itself."""
    for _ in range(2):
        assert served.get("/sandbox/clock").json() == {
            "now_ms": NOW_MS,
            "mode": "stepped",
            "speed": 0.0,
            "waiting": [],
        }


def test_clock_moves_forward_and_never_back(served: Served) -> None:
    """Setting and advancing move /time; an earlier instant is refused and changes nothing."""
    assert served.http.post("/sandbox/clock", json={"now_ms": NOW_MS + 1500}).json() == {
        "now_ms": NOW_MS + 1500
    }
    assert served.http.post("/sandbox/clock/advance", json={"seconds": 2.5}).json() == {
        "now_ms": NOW_MS + 4000
    }
    answer = served.http.post("/sandbox/clock", json={"now_ms": NOW_MS})
    assert answer.status_code == 409
    assert "never goes back" in answer.json()["error"]
    assert served.http.post("/sandbox/clock/advance", json={"seconds": -1}).status_code == 400
    assert served.get("/time").json() == START_S - 6


@pytest.mark.parametrize("body", [b"", b"[]", b'{"now":1}', b'{"now_ms":"x"}', b"\xff"])
def test_malformed_control_bodies_are_refused(served: Served, body: bytes) -> None:
    """With a sentence, and without moving anything."""
    for path in ("/sandbox/clock", "/sandbox/clock/advance", "/sandbox/clock/wait"):
        assert served.http.post(path, content=body).status_code == 400
    assert served.clock.now_ms() == NOW_MS


def test_wait_answers_at_once_where_the_instant_has_passed(served: Served) -> None:
    """Nobody waits for the past."""
    assert _wait(served, "late", NOW_MS).json() == {"now_ms": NOW_MS}


def test_waiters_are_listed_and_woken_when_their_time_comes(
    served: Served, pool: ThreadPoolExecutor
) -> None:
    """A move wakes exactly those whose instant has come."""
    early: Future[httpx.Response] = pool.submit(_wait, served, "early", NOW_MS + 1000)
    late: Future[httpx.Response] = pool.submit(_wait, served, "late", NOW_MS + 5000)
    waiting = _until_waiting(served.http, 2)
    assert sorted(waiting, key=str) == [
        {"id": "early", "until_ms": NOW_MS + 1000},
        {"id": "late", "until_ms": NOW_MS + 5000},
    ]

    served.http.post("/sandbox/clock", json={"now_ms": NOW_MS + 2000})
    assert early.result(10).json() == {"now_ms": NOW_MS + 2000}
    assert _until_waiting(served.http, 1) == [{"id": "late", "until_ms": NOW_MS + 5000}]
    assert not late.done()

    # A move by another thread than the server's wakes as well.
    served.clock.move_to(NOW_MS + 5000)
    assert late.result(10).json() == {"now_ms": NOW_MS + 5000}
    assert _waiting(served.http) == []


def test_killed_client_disappears_from_the_waiting(served: Served) -> None:
    """``kill -9`` of a waiting process leaves nobody in the list."""
    code = (
        "import sys, httpx; httpx.post(sys.argv[1] + '/sandbox/clock/wait', trust_env=False,"
        " json={'id': 'doomed', 'until_ms': 9_000_000_000_000}, timeout=60)"
    )
    client = subprocess.Popen([sys.executable, "-c", code, str(served.http.base_url)])
    try:
        assert _until_waiting(served.http, 1)[0]["id"] == "doomed"
    finally:
        client.kill()
        client.wait(10)

    assert _until_waiting(served.http, 0) == []


def test_impatient_client_disappears_from_the_waiting(served: Served) -> None:
    """A client's own time-out ends its wait on the server, too."""
    with pytest.raises(httpx.ReadTimeout):
        served.http.post(
            "/sandbox/clock/wait", json={"id": "hasty", "until_ms": NOW_MS + 1}, timeout=0.2
        )

    assert _until_waiting(served.http, 0) == []


def test_running_clock_moves_by_itself_at_its_speed() -> None:
    """A hundred virtual seconds pass while a wait of 0.1 real seconds is answered."""
    clock = RunningClock(START_S * 1000, speed=1000)
    venue = SandboxVenue(seed=7, clock=clock)
    with serve_in_thread(venue) as url, httpx.Client(base_url=url, trust_env=False) as http:
        shown = http.get("/sandbox/clock").json()
        assert (shown["mode"], shown["speed"]) == ("running", 1000)
        until_ms = shown["now_ms"] + 100_000
        answer = http.post("/sandbox/clock/wait", json={"id": "one", "until_ms": until_ms})

        assert answer.json()["now_ms"] >= until_ms
        refused = http.post("/sandbox/clock", json={"now_ms": until_ms + 10**9})
        assert refused.status_code == 409


def test_running_clock_refuses_impossible_speeds() -> None:
    """Time neither stands still nor runs backwards."""
    for speed in (0, -1, 1e9, float("nan")):
        with pytest.raises(ValueError, match="speed"):
            RunningClock(speed=speed)


def test_stopping_server_answers_those_who_wait(pool: ThreadPoolExecutor) -> None:
    """A stop does not leave a waiter hanging."""
    venue = SandboxVenue(seed=7, clock=SteppedClock(NOW_MS))
    with serve_in_thread(venue) as url, httpx.Client(base_url=url, trust_env=False) as http:
        body = {"id": "last", "until_ms": NOW_MS + 1}
        waiter = pool.submit(
            httpx.post, f"{url}/sandbox/clock/wait", json=body, timeout=30, trust_env=False
        )
        _until_waiting(http, 1)

    assert waiter.result(10).status_code == 503
