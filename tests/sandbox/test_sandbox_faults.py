"""Misbehaviour on request, counted and reported."""

import socket
import time

import httpx
import pytest

from polybot.sandbox.clock import SteppedClock
from polybot.sandbox.venue import SandboxVenue
from tests.sandbox.conftest import SLUG, START_S, Served
from tests.sandbox_server import serve_in_thread


def _arm(served: Served, **rule: object) -> None:
    answer = served.http.post("/sandbox/faults", json=rule)
    assert answer.status_code == 200, answer.text


def test_armed_fault_answers_so_many_requests_of_its_route_only(served: Served) -> None:
    """Three bad answers, then the true one; other routes never notice."""
    _arm(
        served, route="/book", count=3, status=503, body="<html>no</html>", content_type="text/html"
    )
    token = served.market.up_token_id
    answers = [served.get("/book", token_id=token) for _ in range(4)]

    assert [one.status_code for one in answers] == [503, 503, 503, 200]
    assert answers[0].text == "<html>no</html>"
    assert answers[0].headers["content-type"] == "text/html"
    assert served.get("/time").status_code == 200
    status = served.get("/sandbox/status").json()
    assert status["faults"] == {"armed": [], "fired": {"/book": 3}}
    assert status["requests"]["/book"] == 4
    assert status["seed"] == 7


def test_truncated_answer_is_valid_http_with_half_a_body(served: Served) -> None:
    """The status stays 200: only the JSON is cut."""
    whole = served.get(f"/markets/slug/{SLUG}").text
    _arm(served, route="/markets", truncate_at=100)
    answer = served.get(f"/markets/slug/{SLUG}")

    assert answer.status_code == 200
    assert answer.text == whole[:100]


def test_delayed_answer_is_late_and_true(served: Served) -> None:
    """A delay alone changes nothing else."""
    _arm(served, route="/time", delay_ms=60)
    before = time.monotonic()
    answer = served.get("/time")

    assert time.monotonic() - before >= 0.06
    assert answer.json() == served.get("/time").json()


def test_cleared_faults_do_not_fire(served: Served) -> None:
    """DELETE disarms; what has fired stays counted."""
    _arm(served, route="/time", count=5, status=500)
    assert served.get("/time").status_code == 500
    assert served.get("/sandbox/status").json()["faults"]["armed"] == [
        {"route": "/time", "left": 4}
    ]
    served.http.delete("/sandbox/faults")

    assert served.get("/time").status_code == 200
    assert served.get("/sandbox/status").json()["faults"] == {"armed": [], "fired": {"/time": 1}}


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"route": "book"},
        {"route": "/sandbox/clock"},
        {"route": "/book", "count": 0},
        {"route": "/book", "status": 99},
        {"route": "/book", "delay_ms": -1},
        {"route": "/book", "truncate_at": -1},
        {"route": "/book", "surprise": 1},
    ],
)
def test_impossible_rules_are_refused(served: Served, rule: dict[str, object]) -> None:
    """Nothing is armed by a rule that makes no sense."""
    assert served.http.post("/sandbox/faults", json=rule).status_code == 400
    assert served.get("/sandbox/status").json()["faults"]["armed"] == []


def test_client_that_hangs_up_in_the_middle_leaves_no_traceback(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Half a request of any route is forgotten; the next client is answered."""
    venue = SandboxVenue(seed=7, clock=SteppedClock(START_S * 1000))
    with serve_in_thread(venue) as url:
        address = ("127.0.0.1", int(url.rpartition(":")[2]))
        for path in ("/order", "/orders", "/books", "/submit", "/sandbox/accounts"):
            with socket.create_connection(address) as connection:
                head = f"POST {path} HTTP/1.1\r\nHost: venue\r\nContent-Length: 100\r\n\r\n"
                connection.sendall(head.encode() + b'{"order":')
        assert httpx.get(f"{url}/time", trust_env=False).status_code == 200
    assert "Traceback" not in capfd.readouterr().err
