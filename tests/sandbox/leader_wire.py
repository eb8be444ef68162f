"""A stage with its venue, served; and clients of the stream and of the node."""

import itertools
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import httpx

from polybot.sandbox.clock import SteppedClock
from polybot.sandbox.fault_plan import FaultPlan, PlannedFault
from polybot.sandbox.leaders.stage import LeaderStage
from polybot.sandbox.leaders.wallets import Behaviour, LeaderOptions
from polybot.sandbox.venue import SandboxVenue
from tests.sandbox.conftest import START_S
from tests.sandbox_server import serve_in_thread

SUBSCRIBE = {"action": "subscribe", "subscriptions": [{"topic": "activity", "type": "trades"}]}
QUIET = Behaviour(rate=0)
"""Wallets that do only what they are told."""


def open_stage(options: LeaderOptions | None = None, *, at_s: int = START_S - 10) -> LeaderStage:
    """Return a stage on a stepped venue."""
    venue = SandboxVenue(seed=7, clock=SteppedClock(at_s * 1000))
    return LeaderStage(venue, options or LeaderOptions(noise=0))


@dataclass
class Wire:
    """A served stage."""

    stage: LeaderStage
    url: str
    http: httpx.Client
    count: Iterator[int] = field(default_factory=itertools.count)

    @property
    def leader(self) -> str:
        """The first leader's address."""
        return self.stage.leaders[0].address

    def advance(self, seconds: float) -> None:
        """Let virtual time pass."""
        clock = self.stage.venue.clock
        assert isinstance(clock, SteppedClock)
        clock.advance(seconds)

    def get(self, path: str, **query: object) -> Any:
        """Ask for something that no edge has kept; return the JSON."""
        asked = {**query, "_": next(self.count)}
        answer = self.http.get(path, params={name: str(value) for name, value in asked.items()})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def rows(self, path: str = "/v2/trades", **query: object) -> list[dict[str, Any]]:
        """Return all rows about the first leader, makers' too, page by page."""
        found: list[dict[str, Any]] = []
        cursor: dict[str, object] = {}
        while True:
            asked = {"user": self.leader, "taker_only": "false", **query, **cursor}
            page = self.get(path, **asked)
            found += page["data"]
            if not page["pagination"]["has_more"]:
                assert page["pagination"]["next_cursor"] is None
                return found
            cursor = {"cursor": page["pagination"]["next_cursor"]}

    def act(self, **wanted: object) -> list[dict[str, Any]]:
        """Let the first leader do something now; return what it did."""
        answer = self.http.post("/sandbox/leaders/trades", json={"leader": self.leader, **wanted})
        assert answer.status_code == 200, answer.text
        rows: list[dict[str, Any]] = answer.json()["trades"]
        return rows

    def arm(self, **rule: object) -> None:
        """Arm a planned fault."""
        answer = self.http.post("/sandbox/faults", json=rule)
        assert answer.status_code == 200, answer.text

    def fired(self) -> dict[str, int]:
        """Return how often each planned fault has fired."""
        fired: dict[str, int] = self.get("/sandbox/status")["planned_faults"]["fired"]
        return fired

    def truth(self, **query: object) -> list[dict[str, Any]]:
        """Return everything that leaders have ever done."""
        trades: list[dict[str, Any]] = self.get("/sandbox/leaders/trades", **query)["trades"]
        return trades


@contextmanager
def serve_stage(stage: LeaderStage, *rules: PlannedFault) -> Iterator[Wire]:
    """Serve a stage on loopback."""
    plan = FaultPlan(7, list(rules))
    with (
        serve_in_thread(stage.venue, plan=plan, stage=stage) as url,
        httpx.Client(base_url=url, trust_env=False) as http,
    ):
        yield Wire(stage, url, http)


class StreamClient:
    """One connection of the stream."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def subscribe(self, message: object = SUBSCRIBE) -> None:
        """Subscribe; the venue confirms with an empty frame."""
        await self.socket.send_json(message)
        while await self.socket.receive_str(timeout=5) != "":
            pass

    async def heard(self) -> list[dict[str, Any]]:
        """Return the messages that were due until now."""
        await self.socket.send_str("PING")
        found = []
        while (text := await self.socket.receive_str(timeout=20)) != "PONG":
            if text:
                found.append(json.loads(text))
        return found


@asynccontextmanager
async def stream(url: str) -> AsyncIterator[StreamClient]:
    """Connect to the stream and subscribe to everybody's trades."""
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{url}/rtds") as socket:
        client = StreamClient(socket)
        await client.subscribe()
        yield client


def name_of(message: dict[str, Any]) -> tuple[object, ...]:
    """Return what a row, a message's payload or a line of the truth is about."""
    row = message.get("payload", message)
    return (
        row.get("transaction_hash") or row["transactionHash"],
        row.get("token_id") or row["asset"],
        (row.get("proxy_wallet") or row.get("wallet") or row["proxyWallet"]).lower(),
        row["side"],
        round(float(row["price"]), 6),
        float(row["size"]),
    )
