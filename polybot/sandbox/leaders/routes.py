"""Everything about wallets over HTTP and WebSocket, in one piece for the server."""

from starlette.routing import BaseRoute, Route

from polybot.sandbox.fault_plan import FaultPlan
from polybot.sandbox.leaders.admin import LeaderAdminRoutes
from polybot.sandbox.leaders.data_routes import Handler, WalletRoutes
from polybot.sandbox.leaders.node import NodeRoutes
from polybot.sandbox.leaders.rtds import RtdsRoutes
from polybot.sandbox.leaders.stage import LeaderStage


class LeaderRoutes:
    """The stream, the Data API, the node and the control of one stage."""

    def __init__(self, stage: LeaderStage, plan: FaultPlan, by_condition: Handler) -> None:
        """Take whose wallets, what goes wrong, and who answers about markets' trades."""
        stage.plan = plan
        self._rtds = RtdsRoutes(stage, plan)
        self._node = NodeRoutes(stage, plan)
        self._http = [
            *WalletRoutes(stage, by_condition).routes(),
            *LeaderAdminRoutes(stage, self._rtds).routes(),
        ]

    def routes(self) -> list[Route]:
        """Return the routes that are answered over plain HTTP."""
        return list(self._http)

    def sockets(self) -> list[BaseRoute]:
        """Return the stream and the node."""
        return [*self._rtds.routes(), *self._node.routes()]

    def close(self) -> None:
        """End every connection, so that the server can stop."""
        self._rtds.close()
        self._node.close()
