"""One supervised process: its own group, its own log, stopped with everything it started."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

_TAIL_BYTES = 16_384
_POLL_S = 0.05
# A copy-trading run that is told to end records what is in flight, which may take ten seconds.
GROUP_GRACE_S = 12.0


class Service:
    """A child process that waits for its ``go``; see ``deployments.child``.

    The group outlives its leader: signals go to the group, so that the flow runs of a worker that
    was killed are found and stopped too.
    """

    def __init__(self, name: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
        """Wrap a process that leads its own group."""
        self.name = name
        self.log = log
        self._process = process

    @classmethod
    def spawn(
        cls,
        name: str,
        command: tuple[str, ...],
        *,
        environment: Mapping[str, str],
        cwd: Path,
        logs: Path,
    ) -> "Service":
        """Start ``module:function argument…``; it imports and then waits for ``go``."""
        log = logs / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                (sys.executable, "-m", "deployments.child", *command),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                cwd=cwd,
                start_new_session=True,
            )
        return cls(name, process, log)

    @property
    def pid(self) -> int:
        """Process id of the group's leader."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How the leader ended, or ``None`` while it runs."""
        return self._process.poll()

    def go(self) -> None:
        """Let the process begin its work."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(b"\n")
                self._process.stdin.flush()

    def interrupt(self) -> None:
        """Ask the leader alone to end: a worker stops taking runs, a server answers no more."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)

    def wait(self, timeout_s: float) -> bool:
        """Return whether the whole group is gone within a time [s]."""
        deadline = time.monotonic() + timeout_s
        while self._group_lives():
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_S)
        return True

    def stop(self, *, grace_s: float) -> None:
        """End the group: leader first, then everyone, then by force. Safe to call twice.

        Args:
            grace_s: How long the leader may take to end by itself [s].
        """
        self.interrupt()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(grace_s)
        # Whoever is left has lost its leader or ignored it.
        for number, wait_s in ((signal.SIGTERM, GROUP_GRACE_S), (signal.SIGKILL, 3.0)):
            if self._group_lives():
                self._signal_group(number)
                self.wait(wait_s)
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()

    def kill(self) -> None:
        """Kill the whole group at once, as a power cut would."""
        self._signal_group(signal.SIGKILL)
        self.wait(5.0)

    def last_lines(self, count: int = 6) -> str:
        """Return the end of the log."""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - _TAIL_BYTES))
            text = file.read().decode(errors="replace")
        return "\n".join([line for line in text.splitlines() if line.strip()][-count:])

    def _group_lives(self) -> bool:
        if self._process.poll() is None:
            return True
        try:
            os.killpg(self.pid, 0)
        except (ProcessLookupError, PermissionError):
            return False
        return _has_living_member(self.pid)

    def _signal_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


def _has_living_member(group: int) -> bool:
    """Return whether a process group has more than zombies, where the system can tell."""
    processes = Path("/proc")
    if not (processes / "self" / "stat").exists():
        return True
    for entry in processes.iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            # "pid (command) state ppid pgrp …": the command may contain spaces and brackets.
            state, _, member_of = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
            if int(member_of) == group and state not in "ZX":
                return True
    return False
