"""Where a process is killed: named moments of named steps, counted from outside of the bot.

The bot's ports and its connections are wrapped; nothing of it knows that it is watched. A moment
is reached once a call: ``before`` it, ``inside`` it and ``after`` it. Inside a ledger transaction
means with everything written and nothing committed, or at a random instant of the commit itself.
Inside a network call there are four: half of the request has left, all of it, the answer has
arrived unread, half of it was read.
"""

import inspect
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp.connector
from aiohttp.client_proto import ResponseHandler
from sqlalchemy import event

from polybot.adapters.storage import lean_sqlite

LEDGER_STEPS = {
    "record_run": "run record",
    "claim_decision": "claim",
    "record_intent": "intent",
    "record_report": "order report",
    "finish_decision": "decision log",
    "record_reconciliation": "verdict",
    "adjust_fees": "fee rounding",
    "book_transfer": "transfer",
    "settle": "pay-out",
    "request_redemption": "redemption request",
    "record_redemption": "redemption record",
    "record_alert_sent": "alert sent",
    "acquire_lease": "lease taken",
    "renew_lease": "lease renewed",
    "release_lease": "lease given back",
    "record_copy": "copy recorded",
    "record_leader_trades": "skips recorded",
    "record_conversion": "conversion recorded",
    "record_latencies": "latency recorded",
    "advance_watermarks": "watermark",
}
EXCHANGE_STEPS = {
    "submit": "post",
    "look_up": "look-up",
    "look_up_many": "look-up",
    "cancel": "cancel",
}
ACCOUNT_STEPS = {
    "open_orders": "account read",
    "trades": "account read",
    "holdings": "account read",
    "cash_usdc": "account read",
    "redeem": "redeem",
}
MARKET_STEPS = {"find_market": "fetch", "order_book": "fetch", "resolution": "resolution"}
# Where the moments inside a request have names of their own.
_SENDING = ("post",)


@dataclass(frozen=True)
class Target:
    """The moment at which to die."""

    point: str
    occurrence: int = 1
    commit_delay_s: float | None = None
    """Inside a commit: how long after its beginning; ``None``: just before it."""


def kill() -> None:
    """End this process as ``kill -9`` does; nothing of Python runs afterwards."""
    os.kill(os.getpid(), signal.SIGKILL)


class Probe:
    """Counts the moments that one process reaches, and kills it at one of them."""

    def __init__(self, flow: str, target: Target | None = None, *, terminate: bool = False) -> None:
        self.flow = flow
        self.target = target
        self.counts: Counter[str] = Counter()
        self.mood = ""
        self._steps: list[str] = []
        self._terminate = terminate

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Be in a step; where it raises, ``after`` is not reached."""
        self._steps.append(name)
        try:
            self.reach("before", name)
            yield
            self.reach("after", name)
        finally:
            # Concurrent reads end in any order.
            del self._steps[len(self._steps) - 1 - self._steps[::-1].index(name)]

    def reach(self, moment: str, step: str = "") -> None:
        """Die here, if it is here."""
        if self.is_here(moment, step):
            kill()

    def is_here(self, moment: str, step: str = "") -> bool:
        """Count a moment of a step, by default the innermost; whether it is the one to die at."""
        step = step or (self._steps[-1] if self._steps else "")
        if not step:
            return False
        if step == "post" and moment not in ("before", "half sent"):
            moment = f"{moment}, {self.mood}"
        point = f"{self.flow}: {step}: {moment}"
        self.counts[point] += 1
        target = self.target
        return (
            target is not None and target.point == point and target.occurrence == self.counts[point]
        )

    # Transactions -------------------------------------------------------------------------------
    def on_commit(self, *_: object) -> None:
        if self._steps and self._steps[-1] in LEDGER_STEPS.values() and self.is_here("inside"):
            assert self.target is not None
            delay_s = self.target.commit_delay_s
            if delay_s is None:
                kill()
            threading.Thread(target=_kill_later, args=(delay_s,), daemon=True).start()

    # Connections --------------------------------------------------------------------------------
    def on_send(self, data: bytes, send: Callable[[bytes], None]) -> None:
        is_sending = bool(self._steps) and self._steps[-1] in _SENDING
        if is_sending and self.is_here("half sent"):
            send(data[: len(data) // 2])
            kill()
        send(data)
        self.reach("sent" if is_sending else "inside")
        if self._terminate and self._steps and self._steps[-1] == "post":
            self._terminate = False
            os.kill(os.getpid(), signal.SIGTERM)

    def on_receive(self, data: bytes, receive: Callable[[bytes], None]) -> None:
        is_sending = bool(self._steps) and self._steps[-1] in _SENDING
        self.reach("answered" if is_sending else "inside")
        if is_sending and self.is_here("half read"):
            receive(data[: len(data) // 2])
            kill()
        receive(data)


def _kill_later(delay_s: float) -> None:
    time.sleep(delay_s)
    kill()


class Watched:
    """A port whose calls are steps."""

    def __init__(self, port: Any, probe: Probe, steps: dict[str, str]) -> None:
        self._port = port
        self._probe = probe
        self._names = steps

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        step = self._names.get(name)
        if step is None:
            return found
        probe = self._probe
        if inspect.iscoroutinefunction(found):

            async def ask(*args: Any, **more: Any) -> Any:
                with probe.step(step):
                    return await found(*args, **more)

            return ask

        def call(*args: Any, **more: Any) -> Any:
            with probe.step(step):
                return found(*args, **more)

        return call


_LeanTransaction = lean_sqlite.LeanTransaction
"""Itself, whoever watches already: a process may do many runs."""


def watch_transactions(ledger: Any, probe: Probe) -> None:
    """Let the probe see every commit of a ledger, on both ways that it has."""
    event.listen(ledger._database.engine, "commit", probe.on_commit)

    class WatchedTransaction(_LeanTransaction):
        __slots__ = ()

        def commit(self) -> None:
            probe.on_commit()
            super().commit()

    lean_sqlite.LeanTransaction = WatchedTransaction  # type: ignore[misc]


def watch_connections(probe: Probe) -> None:
    """Let the probe see every byte of every connection that is opened from now on."""

    class WatchedTransport:
        def __init__(self, inner: Any) -> None:
            self._inner = inner

        def write(self, data: bytes) -> None:
            probe.on_send(bytes(data), self._inner.write)

        def writelines(self, chunks: Any) -> None:
            self.write(b"".join(chunks))

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

    class WatchedHandler(ResponseHandler):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(WatchedTransport(transport))

        def data_received(self, data: bytes) -> None:
            probe.on_receive(data, super().data_received)

    aiohttp.connector.ResponseHandler = WatchedHandler  # type: ignore[misc]
