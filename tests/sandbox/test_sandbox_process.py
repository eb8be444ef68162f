"""``python -m polybot.sandbox`` as a process of its own."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import httpx
import pytest

from tests.sandbox.conftest import START_S
from tests.sandbox.leader_wire import SUBSCRIBE

COMMAND = [sys.executable, "-m", "polybot.sandbox"]


@contextmanager
def _started(*options: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """Start the sandbox and read its one line."""
    process = subprocess.Popen(
        [*COMMAND, "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process, json.loads(process.stdout.readline())["url"]
    finally:
        process.kill()
        process.communicate(timeout=10)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_process_serves_and_stops_cleanly_on_a_signal(
    number: signal.Signals, tmp_path: Path
) -> None:
    """Exit code 0 and silent, also while somebody waits for the clock."""
    ready = tmp_path / "ready.json"
    options = ("--stepped", "--start", str(START_S), "--ready-file", str(ready))
    with _started(*options) as (process, url), ThreadPoolExecutor(1) as pool:
        assert json.loads(ready.read_text()) == {"url": url}
        with httpx.Client(base_url=url, trust_env=False, timeout=10) as http:
            assert http.get("/time").json() == START_S
            wait = {"id": "one", "until_ms": (START_S + 1) * 1000}
            waiter = pool.submit(
                httpx.post, f"{url}/sandbox/clock/wait", json=wait, timeout=10, trust_env=False
            )
            while not http.get("/sandbox/clock").json()["waiting"]:
                assert not waiter.done()
            process.send_signal(number)
            assert waiter.result(10).status_code == 503
        output, errors = process.communicate(timeout=10)
        assert process.returncode == 0
        assert (output, errors) == ("", "")


def test_port_in_use_is_one_sentence() -> None:
    """Exit code 1 and the port's number."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        run = subprocess.run(
            [*COMMAND, "--port", str(port)], capture_output=True, text=True, timeout=20, check=False
        )

    assert run.returncode == 1
    assert run.stdout == ""
    assert run.stderr.count("\n") == 1
    assert f"port {port} " in run.stderr


def test_missing_replay_folder_and_bad_speed_are_one_sentence() -> None:
    """Nothing is served on settings that cannot work."""
    for options in (["--replay", "/nonexistent"], ["--speed", "0"]):
        run = subprocess.run(
            [*COMMAND, "--port", "0", *options],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        assert run.returncode == 1
        assert run.stderr.count("\n") == 1


def test_start_up_imports_nothing_heavy() -> None:
    """The sandbox starts in a fraction of a second because of what it leaves out."""
    code = (
        "import sys, polybot.sandbox.__main__;"
        "print([m for m in ('pandas','sqlalchemy','prefect','ccxt','pydantic','numpy')"
        " if m in sys.modules], [m for m in sys.modules if m.startswith('polybot.adapters')])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=True
    )
    assert run.stdout.strip() == "[] []"


def test_faults_and_the_watched_ledger_are_named_on_the_command_line(tmp_path: Path) -> None:
    faults, ledger = tmp_path / "faults.yaml", tmp_path / "ledger.db"
    faults.write_text("faults: [{kind: html, route: GET /version, status: 502}]")
    options = ("--faults", str(faults), "--watch-ledger", str(ledger), "--v2-share", "1")
    with _started(*options) as (_, url), httpx.Client(base_url=url, trust_env=False) as http:
        assert [http.get("/version").status_code for _ in range(2)] == [502, 200]
        status = http.get("/sandbox/status").json()
    assert status["planned_faults"]["fired"] == {"html": 1}
    assert status["ledger"] == {"path": str(ledger), "looked": 0, "violations": []}
    faults.write_text("faults: [{kind: surprise}]")
    refused = subprocess.run(
        [*COMMAND, *options], check=False, capture_output=True, text=True, timeout=30
    )
    assert refused.returncode == 1
    assert "faults.yaml" in refused.stderr


def test_leaders_and_their_recordings_are_named_on_the_command_line(tmp_path: Path) -> None:
    """Three seeded ones and a recorded one; what cannot be played is one sentence."""
    recording = tmp_path / "wallet.jsonl"
    recording.write_text(
        json.dumps(
            {
                "proxyWallet": "0x" + "1" * 40,
                "side": "BUY",
                "asset": "123",
                "conditionId": "0x" + "2" * 64,
                "size": 10,
                "price": 0.4,
                "timestamp": START_S + 2,
                "slug": "btc-updown-15m-1767841200",
                "outcome": "Down",
                "transactionHash": "0x" + "3" * 64,
            }
        )
    )
    options = ("--stepped", "--start", str(START_S), "--replay", str(recording), "--noise", "0")
    seeded = ("--leaders", "3", "--leader-rate", "30", "--crowd", "0", "--index-lag", "0")
    with (
        _started(*options, *seeded) as (_, url),
        httpx.Client(base_url=url, trust_env=False) as http,
    ):
        http.post("/sandbox/clock/advance", json={"seconds": 60})
        wallets = http.get("/sandbox/leaders").json()["wallets"]
        truth = http.get("/sandbox/leaders/trades").json()["trades"]
        recorded = http.get("/v2/trades", params={"user": "0x" + "1" * 40}).json()["data"]
    assert [one["is_leader"] for one in wallets] == [True] * 3
    assert {one["wallet"] for one in truth} == {
        *(one["address"] for one in wallets),
        "0x" + "1" * 40,
    }
    assert [one["timestamp"] for one in recorded] == [START_S + 2]
    for wrong in (("--leaders", "-1"), ("--noise", "-1"), ("--replay", str(tmp_path / "no.jsonl"))):
        run = subprocess.run(
            [*COMMAND, "--port", "0", *wrong],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        assert run.returncode == 1
        assert run.stderr.count("\n") == 1


async def test_open_streams_do_not_keep_the_process_from_stopping() -> None:
    """They are closed, under noise and while the node tells of heads; by us or by the server."""
    with _started("--noise", "5000") as (process, url):
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{url}/rtds") as stream,
            session.ws_connect(f"{url}/chain") as node,
        ):
            await stream.send_json(SUBSCRIBE)
            await node.send_json({"id": 1, "method": "eth_subscribe", "params": ["newHeads"]})
            for one in (stream, node):
                await one.receive_str(timeout=10)
            process.send_signal(signal.SIGTERM)
            for one in (stream, node):
                while (await one.receive(timeout=10)).type is aiohttp.WSMsgType.TEXT:
                    pass
                # Going away (ours), restarting (the server's own), or cut while it was writing.
                assert one.close_code in (1001, 1012, 1006)
        _, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (0, "")
