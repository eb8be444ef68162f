"""`polybot up --sandbox` as an operator starts it, with one leader, and hands to break it with."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx

from deployments.environment import PROJECT, isolated_environment
from deployments.loopback import free_port
from flows.names import COPY_DEPLOYMENT
from polybot.adapters.storage.ledger import SqlLedger, open_ledger
from polybot.copy_trading.parts import LEASE_NAME
from polybot.domain.leaders import (
    CopyPolicy,
    CopyVerdict,
    Leader,
    LeaderAddress,
    LeaderState,
    Lease,
)
from polybot.domain.markets import MarketSeries
from polybot.domain.modes import Mode
from tests.e2e.conftest import processes_of, wait_for

LEADER = LeaderAddress("0x" + "1eade" * 8)
SERIES = MarketSeries.parse("btc-15m")
STARTED_WITHIN_S = 240
# Room for hundreds of copies of three dollars.
SETTINGS = {
    "POLYBOT_MODE": "sandbox",
    "POLYBOT_PAPER__STARTING_CASH_USDC": "100000",
    "POLYBOT_RISK__MAX_EXPOSURE_USDC": "100000",
    "POLYBOT_RISK__MAX_WINDOW_EXPOSURE_USDC": "100000",
    "POLYBOT_RISK__MAX_DAILY_LOSS_USDC": "100000",
    "POLYBOT_RISK__MAX_TRADES_PER_DAY": "10000",
}
MANY = Decimal(100_000)
POLICY = CopyPolicy(
    scale=Decimal(1),
    max_trade_usdc=MANY,
    max_market_usdc=MANY,
    max_leader_usdc=MANY,
    max_day_usdc=MANY,
    max_repeats=10_000,
)


def held(ledger: SqlLedger) -> Lease | None:
    """Return the lease while somebody holds it."""
    lease = ledger.lease(LEASE_NAME)
    return lease if lease is not None and lease.expires_at > datetime.now(UTC) else None


def pid_of(lease: Lease) -> int:
    """Return the process that holds a lease."""
    return int(lease.holder.rsplit("-", 2)[1])


@dataclass
class Epochs:
    """Who held the lease, as a bystander saw it: one line a change."""

    seen: list[tuple[int, str]] = field(default_factory=list)

    def look(self, lease: Lease | None) -> None:
        if lease is not None and (lease.epoch, lease.holder) not in self.seen[-1:]:
            self.seen.append((lease.epoch, lease.holder))

    def are_one_at_a_time(self) -> bool:
        """Return whether each epoch had one holder, and none came back after the next."""
        epochs = [epoch for epoch, _ in self.seen]
        return epochs == sorted(set(epochs))


class CopyUp:
    """The stack of one home; it may be started, broken and started again."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = free_port()
        self.epochs = Epochs()
        self._up: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        return self.home.parent / f"{self.home.name}.log"

    def start(self, settings: Mapping[str, str] = SETTINGS) -> None:
        """Start `polybot up`; it is ready long after this returned."""
        with self.log.open("ab") as log:
            self._up = subprocess.Popen(
                (sys.executable, "-m", "deployments.up", "--sandbox", "--port", str(self.port)),
                cwd=PROJECT,
                env={**isolated_environment(), **settings, "POLYBOT_HOME": str(self.home)},
                stdout=log,
                stderr=log,
            )

    def stop(self) -> None:
        if self._up is not None and self._up.poll() is None:
            self._up.send_signal(signal.SIGCONT)
            self._up.send_signal(signal.SIGINT)
            self._up.wait(90)

    def pids(self, part: str) -> list[int]:
        """Return the processes whose command line holds some text."""
        return [pid for pid, command in processes_of(self.home).items() if part in command]

    def kill(self, part: str) -> int:
        """Kill one process, and only it, with SIGKILL; return which."""
        (pid,) = (pid for pid in self.pids(part) if os.getpgid(pid) == pid)
        os.kill(pid, signal.SIGKILL)
        return pid

    def kill_everything(self) -> None:
        """Pull the plug: whatever runs for this home is killed at once."""
        for pid in processes_of(self.home):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert self._up is not None
        self._up.wait(30)
        wait_for(lambda: not processes_of(self.home), "everything is dead")

    @contextlib.contextmanager
    def server_is_away(self) -> Iterator[None]:
        """Kill the server, and keep `polybot up` from starting another one meanwhile."""
        assert self._up is not None
        self._up.send_signal(signal.SIGSTOP)
        try:
            self.kill("server start")
            yield
        finally:
            self._up.send_signal(signal.SIGCONT)
        wait_for(self.answers, "the server is back", STARTED_WITHIN_S)

    def answers(self) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"http://127.0.0.1:{self.port}/api/health", timeout=5).is_success
        return False

    def api(self, method: str, path: str, body: object = None) -> Any:
        """Ask Prefect's server; 503 means that SQLite was busy."""
        for _attempt in range(20):
            answer = httpx.request(
                method, f"http://127.0.0.1:{self.port}/api{path}", json=body, timeout=30
            )
            if answer.status_code != 503:
                break
            time.sleep(0.5)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def submit(self, **parameters: object) -> str:
        """Start a run as the UI's button, or the schedule, does."""
        deployment = self.api("GET", f"/deployments/name/{COPY_DEPLOYMENT}")
        body = {"parameters": parameters, "state": {"type": "SCHEDULED"}}
        run = self.api("POST", f"/deployments/{deployment['id']}/create_flow_run", body)
        return str(run["id"])

    def state_of(self, run_id: str) -> tuple[str, str]:
        """Return type and name of a run's state."""
        state = self.api("GET", f"/flow_runs/{run_id}")["state"]
        return state["type"], state["name"]

    def running(self) -> str:
        """Return the run that copies."""
        body = {
            "flows": {"name": {"any_": ["copy-trading"]}},
            "flow_runs": {"state": {"type": {"any_": ["RUNNING"]}}},
        }
        (run,) = self.api("POST", "/flow_runs/filter", body)
        return str(run["id"])

    def cancel(self, run_id: str) -> None:
        """Press Cancel."""
        state = {"state": {"type": "CANCELLING", "name": "Cancelling"}}
        self.api("POST", f"/flow_runs/{run_id}/set_state", state)

    @contextlib.contextmanager
    def ledger(self) -> Iterator[SqlLedger]:
        with open_ledger(self.home / "sandbox.db", mode=Mode.SANDBOX) as ledger:
            yield ledger

    def lease(self, ledger: SqlLedger) -> Lease | None:
        lease = held(ledger)
        self.epochs.look(lease)
        return lease

    def follow(self, ledger: SqlLedger) -> None:
        """Follow the leader, from a second ago on."""
        at = datetime.now(UTC) - timedelta(seconds=1)
        ledger.add_leader(
            Leader(
                address=LEADER,
                name="somebody",
                policy=POLICY,
                state=LeaderState.ACTIVE,
                state_reason="",
                added_at=at,
                watermark=at,
            )
        )

    def trade(self) -> None:
        """Let the leader buy for three dollars; nothing where the venue is away.

        In the next window: before it begins, its price stays near a half. Later it may be so low
        that six shares are below every minimum, or move away before the copy, or time is up.
        """
        window = SERIES.window_at(SERIES.window_at(datetime.now(UTC)).end)
        wish = {"leader": LEADER, "kind": "BUY", "slug": window.slug, "outcome": "Up", "size": "6"}
        with contextlib.suppress(httpx.HTTPError, AssertionError):
            httpx.post(f"{self.sandbox_url()}/sandbox/leaders/trades", json=wish, timeout=5)

    def sandbox_url(self) -> str:
        for pid in self.pids("polybot.sandbox"):
            with contextlib.suppress(OSError):
                environ = Path(f"/proc/{pid}/environ").read_text().split("\0")
                return dict(item.partition("=")[::2] for item in environ)["POLYBOT_SANDBOX__URL"]
        raise AssertionError("no sandbox runs")

    def copied_since(self, ledger: SqlLedger, instant: datetime) -> int:
        """Return how many trades that a leader made since an instant were copied."""
        return sum(
            1
            for record in ledger.copy_log(address=LEADER, since=instant)
            if record.verdict is CopyVerdict.PLACED and record.trade.traded_at >= instant
        )

    def reasons(self, ledger: SqlLedger) -> list[tuple[str, str]]:
        """Return why the newest trades were not copied, for whoever reads a failure."""
        return [(one.reason_code, one.reason) for one in ledger.copy_log(limit=9)]

    def resumed_within(
        self, ledger: SqlLedger, limit_s: float, *, other_than: Lease | None = None
    ) -> float:
        """Return after how long a trade that was made from now on was copied [s].

        The leader goes on trading every two seconds meanwhile.
        """
        # Fills are dated in whole seconds.
        began_at = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
        began, next_trade = time.monotonic(), 0.0
        while not self._resumed(ledger, began_at, other_than):
            now = time.monotonic()
            assert now - began < limit_s, (
                f"nothing was copied within {limit_s} s: {self.reasons(ledger)}"
            )
            if now >= next_trade:
                self.trade()
                next_trade = now + 2.0
            time.sleep(0.05)
        return time.monotonic() - began

    def _resumed(self, ledger: SqlLedger, since: datetime, other_than: Lease | None) -> bool:
        lease = self.lease(ledger)
        if lease is None or (other_than is not None and lease.epoch <= other_than.epoch):
            return False
        return self.copied_since(ledger, since) > 0


def say(line: str) -> None:
    """Leave a measured figure in the suite's output."""
    sys.stdout.write(f"{line}\n")
