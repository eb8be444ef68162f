"""Who answers in a simulated hour, and what goes wrong with each request before it is answered."""

from collections import Counter
from contextvars import ContextVar
from typing import Any, Final

from starlette.applications import Starlette

from polybot.sandbox.exchange.gateway import PrivateGateway, VenueRequest
from polybot.sandbox.fault_plan import PlannedFault
from polybot.sandbox.injector import FaultInjector
from polybot.sandbox.public import PublicRoutes
from tests.simulation.direct import Answered, ask
from tests.simulation.remembered import OneDraw

Decided = tuple[tuple[str, float] | None, PlannedFault | None]
DECIDED: Final[ContextVar[list[Decided] | None]] = ContextVar("DECIDED", default=None)
"""What becomes of the request that this context sends; whoever reads its bytes takes it out."""


class CableFaults:
    """What goes wrong on the cable itself, which no venue can know: chosen from a seed."""

    def __init__(self, seed: int, share: float) -> None:
        self._seed = seed
        self._share = share
        self._count = 0
        self.fired: Counter[str] = Counter()

    def on_connect(self) -> bool:
        """Whether this connection is refused."""
        return self._draw("connect", self._share / 2) is not None and self._note("refused")

    def on_request(self, method: str, path: str) -> tuple[str, float] | None:
        """Return a fault of this request: its kind and a number in [0, 1)."""
        is_order = (method, path) == ("POST", "/order")
        number = self._draw("request", self._share * (20 if is_order else 1))
        if number is None:
            return None
        kinds = ("cut-request", "late-arrival") if is_order else ("cut-request",)
        kind = kinds[int(number * 1000) % len(kinds)]
        self._note(kind)
        return kind, number

    def _draw(self, name: str, share: float) -> float | None:
        self._count += 1
        drawn = OneDraw("cable", self._seed, name, self._count).random()
        return drawn / share if drawn < share else None

    def _note(self, kind: str) -> bool:
        self.fired[kind] += 1
        return True


class MemoryVenue:
    """Everything that answers: the private gateway, the public routes, the user socket."""

    def __init__(
        self, gateway: PrivateGateway, injector: FaultInjector, cable: CableFaults
    ) -> None:
        self.gateway = gateway
        self.injector = injector
        self.cable = cable
        self.requests: Counter[str] = Counter()
        self.on_order: list[Any] = []
        """Called with the body of every ``POST /order`` before it is answered."""
        self.on_step: list[Any] = []
        """Called before a request is answered and after."""
        self._public = Starlette(routes=PublicRoutes(gateway.exchange.venue).routes())
        self._private = {path for _, path in gateway.routes()}

    def is_refused(self) -> bool:
        return self.cable.on_connect()

    def is_troubled(self, method: str, path: str) -> bool:
        """Decide what becomes of a request before it leaves; trouble meets it on the cable."""
        decided = self.decide(method, path)
        if decided == (None, None):
            self.count(method, path)
            return False
        DECIDED.set([decided])
        return True

    def decide(self, method: str, path: str) -> Decided:
        """Return what the cable and what the venue does wrong; it never hears what is cut off."""
        trouble = self.cable.on_request(method, path)
        return trouble, None if trouble else self.injector.on_request(method, path)

    def count(self, method: str, path: str) -> None:
        self.requests[f"{method} {path.split('/')[1]}"] += 1

    async def answer(self, request: VenueRequest) -> Answered:
        """Return the true answer: status, body, headers."""
        name = request.path
        if name in self._private or name.startswith("/data/order/"):
            if (request.method, name) == ("POST", "/order"):
                for hear in self.on_order:
                    hear(request.body)
            reply = self.gateway.handle(request)
            return reply.status, reply.body, dict(reply.headers)
        return await ask(self._public, request)
