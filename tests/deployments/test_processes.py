"""A stack leaves no process behind, however it ends."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments import child
from deployments.environment import isolated_environment, stack_environment
from deployments.loopback import free_port, require_free
from deployments.plan import StackPlan
from deployments.processes import Service
from deployments.stack import LocalStack
from polybot.errors import ConfigurationError

ROOT = Path(__file__).resolve().parents[2]
# Stands for a worker: starts a child of its own, which ignores SIGTERM, and writes down both.
WORKER = """
    import os, signal, subprocess, sys, time

    def main():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
        flow = subprocess.Popen([sys.executable, "-c", deaf])
        with open("pids.draft", "w") as file:
            file.write(f"{os.getpid()} {flow.pid} {sys.argv[1:]}")
        os.rename("pids.draft", "pids")
        time.sleep(600)
"""


def lives(pid: int) -> bool:
    with contextlib.suppress(OSError):
        stat = Path(f"/proc/{pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] not in "ZX"
    return False


def wait_for(condition: object, what: str) -> None:
    assert callable(condition)
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pretend.py").write_text(textwrap.dedent(WORKER))
    return tmp_path


@pytest.fixture
def service(project: Path) -> Iterator[Service]:
    environment = {**isolated_environment(), "PYTHONPATH": f"{project}{os.pathsep}{ROOT}"}
    started = Service.spawn(
        "worker",
        ("pretend:main", "json", "--", "one", "two"),
        environment=environment,
        cwd=project,
        logs=project,
    )
    yield started
    started.kill()


def pids_of(project: Path) -> tuple[int, int]:
    wait_for((project / "pids").exists, "the process did not begin")
    leader, flow = (project / "pids").read_text().split()[:2]
    return int(leader), int(flow)


def test_a_process_waits_for_its_go(service: Service, project: Path) -> None:
    """It imports meanwhile; what it was given reaches it as arguments."""
    assert service.exit_code is None
    assert not (project / "pids").exists()
    service.go()
    assert pids_of(project)[0] == service.pid
    assert (project / "pids").read_text().endswith("['one', 'two']")


def test_stopping_takes_the_children_along(service: Service, project: Path) -> None:
    """Even where all of them ignore SIGTERM."""
    service.go()
    leader, flow = pids_of(project)
    service.stop(grace_s=0.1)
    assert not lives(leader)
    assert not lives(flow)


def test_orphans_of_a_killed_worker_are_stopped(service: Service, project: Path) -> None:
    """A worker that died by itself leaves flow runs that nobody else would find."""
    service.go()
    leader, flow = pids_of(project)
    os.kill(leader, signal.SIGKILL)
    wait_for(lambda: service.exit_code is not None, "the leader did not die")
    assert lives(flow)
    service.stop(grace_s=0.1)
    assert not lives(flow)


def test_everything_dies_with_the_parent(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGKILL leaves a parent no time to clean up; the life line does it."""
    parent = textwrap.dedent(
        """
        import sys, time
        from pathlib import Path
        from deployments.environment import isolated_environment
        from deployments.processes import Service
        here = Path.cwd()
        import os
        environment = {**isolated_environment(), "PYTHONPATH": os.environ["PYTHONPATH"]}
        service = Service.spawn("worker", ("pretend:main", "--"), environment=environment,
                                cwd=here, logs=here)
        service.go()
        time.sleep(600)
        """
    )
    monkeypatch.setenv("PYTHONPATH", f"{project}{os.pathsep}{ROOT}")
    process = subprocess.Popen([sys.executable, "-c", parent], cwd=project)
    leader, flow = pids_of(project)
    process.kill()
    process.wait()
    wait_for(lambda: not lives(leader) and not lives(flow), "a process outlived its parent")
    assert child.GRACE_S <= 5


def test_the_log_tells_why_a_process_died(project: Path) -> None:
    service = Service.spawn(
        "worker",
        ("nothing_of_that_name:main", "--"),
        environment=isolated_environment(),
        cwd=project,
        logs=project,
    )
    wait_for(lambda: service.exit_code is not None, "it did not die")
    assert "nothing_of_that_name" in service.last_lines()
    service.stop(grace_s=0.1)


def plan_in(home: Path) -> StackPlan:
    port = free_port()
    return StackPlan(home=home, port=port, environment=stack_environment(home, port=port))


def test_two_stacks_in_one_home_are_refused(tmp_path: Path) -> None:
    with (
        LocalStack(plan_in(tmp_path), tell=print),
        pytest.raises(ConfigurationError, match=f"process {os.getpid()}"),
        LocalStack(plan_in(tmp_path), tell=print),
    ):
        pytest.fail("the second stack was let in")
    with LocalStack(plan_in(tmp_path), tell=print):
        assert (tmp_path / "prefect").stat().st_mode & 0o077 == 0


def test_a_port_in_use_is_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=rf"port {port} .* in use.* --port"):
            require_free(port, purpose="Prefect's server", option="--port")


def test_another_prefect_is_left_alone(tmp_path: Path) -> None:
    inherited = {
        "PREFECT_API_URL": "https://api.prefect.cloud/somebody",
        "PREFECT_API_KEY": "theirs",
        "PREFECT_PROFILE": "work",
        "PREFECT_LOGGING_LEVEL": "DEBUG",
        "PREFECT_SERVER_API_AUTH_STRING": "user:word",
    }
    environment = stack_environment(tmp_path, port=4321, inherited=inherited)
    assert environment["PREFECT_API_URL"] == "http://127.0.0.1:4321/api"
    assert environment["PREFECT_HOME"] == str(tmp_path / "prefect")
    assert "PREFECT_API_KEY" not in environment
    assert "PREFECT_PROFILE" not in environment
    assert environment["PREFECT_LOGGING_LEVEL"] == "DEBUG"
    assert environment["PREFECT_API_AUTH_STRING"] == "user:word"
    assert environment["PREFECT_SERVER_API_HOST"] == "127.0.0.1"
