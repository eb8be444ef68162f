"""The sandbox over HTTP: one port on loopback for Gamma, CLOB, Data API, exchanges and control.

Adapters and the official clients reach it by their base URLs alone.
"""

import asyncio
import signal
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from polybot.errors import ConfigurationError
from polybot.sandbox.candle_routes import CandleRoutes
from polybot.sandbox.chain import ChainRoutes
from polybot.sandbox.control import ControlRoutes
from polybot.sandbox.cutting import CuttingProtocol
from polybot.sandbox.exchange.gateway import PrivateGateway
from polybot.sandbox.exchange.matching import MatchingExchange
from polybot.sandbox.fault_plan import FaultPlan
from polybot.sandbox.faults import FaultBox, FaultMiddleware
from polybot.sandbox.injector import FaultInjector
from polybot.sandbox.leaders.routes import LeaderRoutes
from polybot.sandbox.leaders.stage import LeaderStage
from polybot.sandbox.own_wallets import OwnWalletRoutes
from polybot.sandbox.planned_faults import PlannedFaultMiddleware
from polybot.sandbox.private import PrivateRoutes
from polybot.sandbox.public import PublicRoutes
from polybot.sandbox.relayer import RelayerRoutes
from polybot.sandbox.sockets import SocketRoutes
from polybot.sandbox.venue import SandboxVenue


class _CountingMiddleware:
    """Count requests by route, those that a fault answers included."""

    def __init__(self, app: ASGIApp, counter: Counter[str], templates: list[str]) -> None:
        self._app = app
        self._counter = counter
        # The longest prefix wins: /markets/slug/ before /markets.
        self._prefixes = sorted(
            ((template.partition("{")[0], template) for template in templates),
            key=lambda pair: -len(pair[0]),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = scope["path"]
            found = (name for prefix, name in self._prefixes if path.startswith(prefix))
            self._counter[next(found, "other")] += 1
        await self._app(scope, receive, send)


def create_app(
    venue: SandboxVenue,
    gateway: PrivateGateway | None = None,
    plan: FaultPlan | None = None,
    stage: LeaderStage | None = None,
) -> Starlette:
    """Return the application that speaks for a venue; ``app.state.close()`` ends waits."""
    box, counter = FaultBox(), Counter[str]()
    gateway = gateway or PrivateGateway(MatchingExchange(venue))
    injector = FaultInjector(gateway.exchange, plan or FaultPlan(venue.seed))
    control = ControlRoutes(gateway, box, injector.plan, counter)
    sockets = SocketRoutes(gateway, injector)
    public = PublicRoutes(venue)
    leaders = LeaderRoutes(stage or LeaderStage(venue), injector.plan, public.trades)
    told = {route.path: route.endpoint for route in leaders.routes()}
    own = OwnWalletRoutes(gateway.exchange, told["/v2/positions"])
    routes = [
        *own.routes(),
        # Before the public ones: trades of a wallet have the same path as those of a market.
        *leaders.routes(),
        *public.routes(),
        *CandleRoutes(venue).routes(),
        *PrivateRoutes(gateway).routes(),
        *RelayerRoutes(gateway.exchange).routes(),
        *ChainRoutes(gateway.exchange).routes(),
        *control.routes(),
    ]

    def close() -> None:
        control.close()
        sockets.close()
        leaders.close()

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        close()

    app = Starlette(
        routes=[*routes, *sockets.routes(), *leaders.sockets()],
        lifespan=lifespan,
        exception_handlers={ClientDisconnect: _hung_up},
    )
    app.state.close = close
    # Added last, runs first: requests are counted, then faulted, then answered.
    app.add_middleware(FaultMiddleware, box=box)
    app.add_middleware(PlannedFaultMiddleware, injector=injector)
    app.add_middleware(
        _CountingMiddleware, counter=counter, templates=[route.path for route in routes]
    )
    return app


async def _hung_up(request: Request, error: Exception) -> Response:
    """Answer into the void: whoever sent half a request is gone, which is no error of ours."""
    return Response(status_code=400)


def bind_loopback(port: int) -> socket.socket:
    """Return a listening socket on 127.0.0.1; port 0 lets the system choose.

    Raises:
        ConfigurationError: The port is taken or not allowed.
    """
    # Naming the protocol makes asyncio set TCP_NODELAY; without it every answer costs 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"port {port} of 127.0.0.1 cannot be used ({error.strerror}); choose another one"
        ) from error
    listener.listen(128)
    return listener


class _Server(uvicorn.Server):
    """uvicorn that says when it answers and leaves signals to its owner."""

    def __init__(self, config: uvicorn.Config, when_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._when_ready = when_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._when_ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        # The original raises each signal again after a clean stop, which then kills the process.
        yield


class SandboxServer:
    """A running sandbox that can be told to stop, from any thread."""

    def __init__(
        self,
        venue: SandboxVenue,
        listener: socket.socket,
        *,
        when_ready: Callable[[str], None],
        gateway: PrivateGateway | None = None,
        plan: FaultPlan | None = None,
        stage: LeaderStage | None = None,
    ) -> None:
        """Take a venue, the socket to serve it on, and who is told the URL once it answers.

        Args:
            venue: Markets, books and clock.
            listener: Where to serve.
            when_ready: Called with the URL.
            gateway: The private half; by default a fresh exchange on the venue.
            plan: Faults that are planned from the start.
            stage: Whose wallets trade; by default two leaders and a small crowd.
        """
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._listener = listener
        self._app = create_app(venue, gateway, plan, stage)
        config = uvicorn.Config(
            self._app,
            log_level="warning",
            access_log=False,
            lifespan="on",
            http=CuttingProtocol,
            ws="websockets-sansio",
            # A stopping sandbox cuts slow answers: whoever stops it does not read them any more.
            timeout_graceful_shutdown=1,
        )
        self._server = _Server(config, lambda: when_ready(self.url))
        self._loop: asyncio.AbstractEventLoop | None = None

    async def serve(self) -> None:
        """Serve until :meth:`stop`."""
        self._loop = asyncio.get_running_loop()
        await self._server.serve([self._listener])

    def stop(self) -> None:
        """Ask the server to stop; answers everybody who waits for the clock."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop)

    def stop_on_signals(self) -> None:
        """Stop on SIGTERM and SIGINT; call it inside the running event loop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)

    def _stop(self) -> None:
        self._app.state.close()
        self._server.should_exit = True
