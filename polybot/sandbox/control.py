"""The sandbox's own routes: its clock, its faults, its status."""

import asyncio
from collections import Counter
from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from polybot.sandbox.clock import SteppedClock
from polybot.sandbox.exchange.gateway import PrivateGateway
from polybot.sandbox.fault_plan import FaultPlan, PlannedFault
from polybot.sandbox.faults import FaultBox, FaultRule
from polybot.sandbox.wire import json_answer

_Body = TypeVar("_Body")


class _MoveRequest(msgspec.Struct, forbid_unknown_fields=True):
    now_ms: int


class _AdvanceRequest(msgspec.Struct, forbid_unknown_fields=True):
    seconds: float


class _WaitRequest(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    until_ms: int


class ControlRoutes:
    """Handlers over one venue's clock and one box of faults."""

    def __init__(
        self, gateway: PrivateGateway, box: FaultBox, plan: FaultPlan, requests: Counter[str]
    ) -> None:
        """Take what is controlled, and where requests are counted."""
        self._gateway = gateway
        self._venue = gateway.exchange.venue
        self._box = box
        self._plan = plan
        self._requests = requests
        self._waiting: dict[int, _WaitRequest] = {}
        self._wait_count = 0
        self._closing = asyncio.Event()

    def routes(self) -> list[Route]:
        """Return every control route."""
        return [
            Route("/sandbox/clock", self.show_clock, methods=["GET"]),
            Route("/sandbox/clock", self.move_clock, methods=["POST"]),
            Route("/sandbox/clock/advance", self.advance_clock, methods=["POST"]),
            Route("/sandbox/clock/wait", self.wait, methods=["POST"]),
            Route("/sandbox/status", self.status, methods=["GET"]),
            Route("/sandbox/faults", self.arm_fault, methods=["POST"]),
            Route("/sandbox/faults", self.replace_faults, methods=["PUT"]),
            Route("/sandbox/faults", self.clear_faults, methods=["DELETE"]),
        ]

    def close(self) -> None:
        """Answer everybody who still waits, so that the server can stop."""
        self._closing.set()

    async def show_clock(self, request: Request) -> Response:
        """Tell the virtual time and who waits for which instant."""
        clock = self._venue.clock
        return json_answer(
            {
                "now_ms": clock.now_ms(),
                "mode": clock.mode,
                "speed": clock.speed,
                "waiting": [
                    {"id": one.id, "until_ms": one.until_ms} for one in self._waiting.values()
                ],
            }
        )

    async def move_clock(self, request: Request) -> Response:
        """Move a stepped clock to an instant and wake those whose time has come."""
        wanted = await _decode(request, _MoveRequest)
        if isinstance(wanted, Response):
            return wanted
        return self._move(wanted.now_ms)

    async def advance_clock(self, request: Request) -> Response:
        """Move a stepped clock forward by a duration."""
        wanted = await _decode(request, _AdvanceRequest)
        if isinstance(wanted, Response):
            return wanted
        if not 0 <= wanted.seconds <= 10**9:
            return json_answer({"error": f"seconds must be 0 to 10⁹, was {wanted.seconds}"}, 400)
        return self._move(self._venue.clock.now_ms() + round(wanted.seconds * 1000))

    async def wait(self, request: Request) -> Response:
        """Answer once the virtual time has come; forget a client that goes away."""
        wanted = await _decode(request, _WaitRequest)
        if isinstance(wanted, Response):
            return wanted
        self._wait_count += 1
        number = self._wait_count
        self._waiting[number] = wanted
        racers = [
            asyncio.ensure_future(racer)
            for racer in (
                self._until(wanted.until_ms),
                self._closing.wait(),
                _gone(request),
            )
        ]
        try:
            await asyncio.wait(racers, return_when=asyncio.FIRST_COMPLETED)
        finally:
            del self._waiting[number]
            for racer in racers:
                racer.cancel()
        now_ms = self._venue.clock.now_ms()
        if now_ms < wanted.until_ms:
            return json_answer({"error": "the sandbox is stopping"}, 503)
        return json_answer({"now_ms": now_ms})

    async def status(self, request: Request) -> Response:
        """Tell what is played and what has been asked for so far."""
        replay = self._venue.replay
        watch = self._gateway.watch
        self._gateway.exchange.advance()
        return json_answer(
            {
                "seed": self._venue.seed,
                "source": "generated" if replay is None else "replay",
                "assets": list(self._venue.prices.assets),
                "windows": None
                if replay is None
                else {
                    "count": len(replay.windows),
                    "first_start_s": replay.windows[0].start_s,
                    "last_end_s": replay.windows[-1].end_s,
                },
                "requests": dict(self._requests),
                "faults": {"armed": self._box.armed(), "fired": dict(self._box.fired)},
                "planned_faults": {
                    "armed": self._plan.armed(),
                    "fired": dict(self._plan.fired),
                },
                "orders": len(self._gateway.exchange.orders),
                "trades": len(self._gateway.exchange.settlement.trades),
                "audit": self._gateway.exchange.audit(),
                "ledger": None if watch is None else watch.summary(),
            }
        )

    async def arm_fault(self, request: Request) -> Response:
        """Arm one rule: a planned fault where it has a ``kind``."""
        kinds = _decode_quietly(await request.body())
        if "kind" in kinds:
            planned = await _decode(request, PlannedFault)
            if isinstance(planned, Response):
                return planned
            self._plan.arm(planned)
            return json_answer({"armed": self._plan.armed()})
        rule = await _decode(request, FaultRule)
        if isinstance(rule, Response):
            return rule
        self._box.arm(rule)
        return json_answer({"armed": self._box.armed()})

    async def replace_faults(self, request: Request) -> Response:
        """Plan these faults, all with a ``kind``, in place of every one that is armed."""
        planned = await _decode(request, list[PlannedFault])
        if isinstance(planned, Response):
            return planned
        self._box.clear()
        self._plan.clear()
        for fault in planned:
            self._plan.arm(fault)
        return json_answer({"armed": self._plan.armed()})

    async def clear_faults(self, request: Request) -> Response:
        """Disarm every fault rule."""
        self._box.clear()
        self._plan.clear()
        return json_answer({"armed": []})

    def _move(self, now_ms: int) -> Response:
        clock = self._venue.clock
        if not isinstance(clock, SteppedClock):
            return json_answer({"error": "the clock runs by itself; start with --stepped"}, 409)
        try:
            clock.move_to(now_ms)
        except ValueError as error:
            return json_answer({"error": str(error)}, 409)
        return json_answer({"now_ms": clock.now_ms()})

    async def _until(self, until_ms: int) -> None:
        clock = self._venue.clock
        if not isinstance(clock, SteppedClock):
            # One millisecond more, so that rounding never answers early.
            await asyncio.sleep(clock.real_seconds_until(until_ms) + 0.001)
            return
        loop, moved = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            # The clock may be moved by another thread than the server's.
            loop.call_soon_threadsafe(moved.set)

        clock.add_listener(wake)
        try:
            while clock.now_ms() < until_ms:
                await moved.wait()
                moved.clear()
        finally:
            clock.remove_listener(wake)


async def _gone(request: Request) -> None:
    """Return when the client has closed its connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _decode_quietly(body: bytes) -> dict[str, object]:
    try:
        return msgspec.json.decode(body, type=dict[str, object])
    except msgspec.DecodeError:
        return {}


async def _decode(request: Request, kind: type[_Body]) -> _Body | Response:
    try:
        return msgspec.json.decode(await request.body(), type=kind)
    except msgspec.DecodeError as error:
        return json_answer({"error": str(error)}, 400)
