"""One real stack for all end-to-end tests: `polybot demo --json --keep`."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from deployments.environment import PROJECT, isolated_environment
from deployments.loopback import free_port
from deployments.player import PlannedRun, SandboxStepClock, play
from deployments.runs import DEPLOYMENT_OF
from polybot.adapters.storage.ledger import SqlLedger, open_ledger
from polybot.domain.modes import Mode

# Generous: the whole demo on a machine that has other things to do.
DEMO_TIMEOUT_S = 280


def wait_for(
    condition: Callable[[], object],
    what: str,
    timeout_s: float = 60,
    why: Callable[[], object] = str,
) -> Any:
    """Return the first true value of a condition; ``why`` tells more where it never comes."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} within {timeout_s} s: {why()}"
        time.sleep(0.05)
    return value


async def until(condition: Callable[[], Awaitable[object]]) -> Any:
    """Return the first true value of a condition; the test's time-out bounds it."""
    while True:
        if value := await condition():
            return value
        await asyncio.sleep(0.05)


def processes_of(home: Path) -> dict[int, str]:
    """Return every living process that was started for a home: pid and command line."""
    mark = f"POLYBOT_HOME={home}\0".encode()
    found = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and mark in (entry / "environ").read_bytes() + b"\0":
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                # What has ended and was not yet reaped has neither.
                if command:
                    found[int(entry.name)] = command
    return found


@dataclass
class DemoProcess:
    """A demo that runs by itself, as a child of this process."""

    home: Path
    port: int
    process: "subprocess.Popen[str]"

    @property
    def ui_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def said(self) -> str:
        """What it wrote to standard error so far."""
        return (self.home.parent / f"{self.home.name}.stderr").read_text()

    def environment(self) -> dict[str, str]:
        return {
            **isolated_environment(),
            "POLYBOT_HOME": str(self.home),
            "POLYBOT_MODE": "sandbox",
            "PREFECT_API_URL": f"{self.ui_url}/api",
            "PREFECT_HOME": str(self.home / "prefect"),
        }

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)


def start_demo(home: Path, *arguments: str) -> DemoProcess:
    """Start a demo in an empty folder."""
    port = free_port()
    command = (sys.executable, "-m", "deployments.demo", "--home", str(home), "--port", str(port))
    with (home.parent / f"{home.name}.stderr").open("w") as errors:
        process = subprocess.Popen(
            (*command, *arguments),
            cwd=PROJECT,
            env=isolated_environment(),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    return DemoProcess(home=home, port=port, process=process)


@dataclass
class Stack:
    """The kept demo, with what it printed."""

    demo: DemoProcess
    text: str

    @property
    def result(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads(self.text)
        return loaded

    @property
    def sandbox_url(self) -> str:
        for pid, command in processes_of(self.demo.home).items():
            if "polybot.sandbox" in command:
                environ = Path(f"/proc/{pid}/environ").read_text().split("\0")
                return dict(item.partition("=")[::2] for item in environ)["POLYBOT_SANDBOX__URL"]
        raise AssertionError("no sandbox runs")

    def worker_pid(self) -> int | None:
        """Return the worker's process id, which is also its group's."""
        for pid, command in processes_of(self.demo.home).items():
            if "worker start" in command and os.getpgid(pid) == pid:
                return pid
        return None

    def ledger(self) -> SqlLedger:
        return open_ledger(self.demo.home / "sandbox.db", mode=Mode.SANDBOX)

    async def api(self, method: str, path: str, body: object = None) -> Any:
        async with httpx.AsyncClient(base_url=f"{self.demo.ui_url}/api", timeout=30) as http:
            answer = await http.request(method, path, json=body)
            # Prefect on SQLite says 503 where another writer was faster; its own client waits too.
            while answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
                await asyncio.sleep(1)
                answer = await http.request(method, path, json=body)
            answer.raise_for_status()
            return answer.json() if answer.content else None

    async def submit(self, flow: str, due: datetime) -> UUID:
        """Create a run of a flow's deployment, as the UI's button does."""
        deployment = await self.api("GET", f"/deployments/name/{flow}/{DEPLOYMENT_OF[flow]}")
        run = await self.api(
            "POST",
            f"/deployments/{deployment['id']}/create_flow_run",
            {"parameters": {"scheduled_at": due.isoformat()}, "state": {"type": "SCHEDULED"}},
        )
        return UUID(run["id"])

    async def state_of(self, run_id: UUID) -> str:
        run = await self.api("GET", f"/flow_runs/{run_id}")
        return str(run["state"]["type"])

    async def ended(self, run_id: UUID) -> str:
        async def state() -> str:
            found = await self.state_of(run_id)
            return found if found in {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"} else ""

        return str(await until(state))

    async def play_run(self, flow: str, due: datetime) -> str:
        """Run one flow in virtual time and return the type of its final state."""

        async def run(planned: PlannedRun) -> str:
            return await self.ended(await self.submit(planned.flow, planned.due))

        planned = PlannedRun(flow=flow, due=due, parameters={})
        async with SandboxStepClock(self.sandbox_url) as clock:
            (state,) = await play(
                [planned], clock=clock, run_flow=run, ahead=1, ended=lambda *_: None
            )
        return state


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A demo of eight windows that has ended and was left running."""
    demo = start_demo(tmp_path_factory.mktemp("stack") / "home", "--json", "--keep", "--seed", "7")
    try:
        assert demo.process.stdout is not None
        os.set_blocking(demo.process.stdout.fileno(), False)
        text = wait_for(
            lambda: demo.process.stdout.readline() if demo.process.poll() is None else demo.said,
            "the demo printed its result",
            DEMO_TIMEOUT_S,
        )
        assert text.startswith("{"), demo.said
        yield Stack(demo=demo, text=text)
    finally:
        if demo.process.poll() is None:
            demo.stop()
        # Closed here, or the interpreter complains about it at a moment of its own choice.
        demo.process.stdout.close()
