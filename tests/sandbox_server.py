"""A real sandbox on a free port of loopback, for tests that need the wire."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from polybot.sandbox.exchange.gateway import PrivateGateway
from polybot.sandbox.fault_plan import FaultPlan
from polybot.sandbox.leaders.stage import LeaderStage
from polybot.sandbox.server import SandboxServer, bind_loopback
from polybot.sandbox.venue import SandboxVenue


@contextmanager
def serve_in_thread(
    venue: SandboxVenue,
    *,
    gateway: PrivateGateway | None = None,
    plan: FaultPlan | None = None,
    stage: LeaderStage | None = None,
) -> Iterator[str]:
    """Serve a venue in a thread of its own and give its URL; the clock stays the caller's."""
    ready = threading.Event()
    server = SandboxServer(
        venue,
        bind_loopback(0),
        when_ready=lambda _: ready.set(),
        gateway=gateway,
        plan=plan,
        stage=stage,
    )
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    try:
        assert ready.wait(10), "the sandbox did not start within 10 s"
        yield server.url
    finally:
        server.stop()
        thread.join(10)
        assert not thread.is_alive(), "the sandbox did not stop within 10 s"
