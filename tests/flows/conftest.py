"""A real Prefect API for the flow tests, started once, without the services they do not need."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from polybot.adapters.storage.ledger import SqlLedger, open_ledger
from polybot.domain.markets import MarketSeries, MarketWindow
from polybot.domain.modes import Mode
from polybot.sandbox.clock import SteppedClock
from polybot.sandbox.venue import SandboxVenue
from tests.sandbox_server import serve_in_thread

# They digest events for the UI; a test's flows neither need nor wait for them.
_SERVICES = (
    "TASK_RUN_RECORDER",
    "EVENT_PERSISTER",
    "TRIGGERS",
    "SCHEDULER",
    "LATE_RUNS",
    "FOREMAN",
    "REPOSSESSOR",
    "PAUSE_EXPIRATIONS",
    "CANCELLATION_CLEANUP",
)
START_S = 1_791_190_800
"""The first window that the tests play: 2026-10-05T09:00:00Z."""


@pytest.fixture(scope="session")
def prefect_api() -> Iterator[None]:
    """Run a Prefect server for the whole session; plain unit tests never start it."""
    ours = {f"PREFECT_SERVER_SERVICES_{name}_ENABLED": "false" for name in _SERVICES} | {
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_LOGGING_LEVEL": "WARNING",
    }
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    from prefect.settings import (
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
        PREFECT_LOGGING_TO_API_ENABLED,
        temporary_settings,
    )
    from prefect.testing.utilities import prefect_test_harness

    quiet = {PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None, PREFECT_LOGGING_TO_API_ENABLED: False}
    try:
        with prefect_test_harness(server_startup_timeout=120), temporary_settings(quiet):
            yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@dataclass(frozen=True, slots=True)
class Desk:
    """A sandbox, a ledger of its own, and the flows between them."""

    venue: SandboxVenue
    url: str
    home: Path

    def ledger(self) -> SqlLedger:
        """Open the ledger that the flows write."""
        return open_ledger(self.home / "sandbox.db", mode=Mode.SANDBOX)

    def set_clock(self, instant: datetime) -> None:
        """Move the venue's clock forward to an instant, unless it is there already."""
        clock = self.venue.clock
        assert isinstance(clock, SteppedClock)
        clock.move_to(max(clock.now_ms(), int(instant.timestamp() * 1000)))

    def window(self, number: int = 0, series: str = "btc-15m") -> MarketWindow:
        """Return the window so many windows after the first."""
        parsed = MarketSeries.parse(series)
        return MarketWindow(series=parsed, start_s=START_S + number * parsed.duration_s)

    async def trend(self, window: MarketWindow, late_by: float = 0.0) -> None:
        """Run the trend flow for a window, with the clock where the run would find it."""
        from flows.trend import trend

        self.set_clock(window.start + timedelta(seconds=3 + late_by))
        await trend(scheduled_at=window.start)

    async def settle(self, at: datetime) -> None:
        """Run the settle flow at an instant."""
        from flows.settle import settle

        self.set_clock(at)
        await settle(scheduled_at=at)


@pytest.fixture
def make_desk(
    prefect_api: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[SandboxVenue], Desk]]:
    """Serve a venue and point the flows' settings at it."""
    with ExitStack() as stack:

        def make(venue: SandboxVenue) -> Desk:
            url = stack.enter_context(serve_in_thread(venue))
            monkeypatch.chdir(tmp_path)
            monkeypatch.setenv("POLYBOT_MODE", "sandbox")
            monkeypatch.setenv("POLYBOT_HOME", str(tmp_path / "home"))
            monkeypatch.setenv("POLYBOT_SANDBOX__URL", url)
            # Any crossover counts, however old, so that most windows have a direction.
            monkeypatch.setenv("POLYBOT_STRATEGY__CROSS_MAX_AGE", "300")
            return Desk(venue=venue, url=url, home=tmp_path / "home")

        yield make


@pytest.fixture
def desk(make_desk: Callable[[SandboxVenue], Desk]) -> Desk:
    """A generated venue whose clock stands a minute before the first window."""
    return make_desk(SandboxVenue(seed=7, clock=SteppedClock((START_S - 60) * 1000)))
