"""Run a plan's flows as real deployment runs of Prefect."""

import asyncio
import contextlib
from types import TracebackType
from typing import TYPE_CHECKING, Self
from uuid import UUID

from deployments.player import PlannedRun

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient

# Where each flow of a plan is deployed; prefect.yaml has the same names.
DEPLOYMENT_OF = {
    "trend": "updown-15m",
    "settle": "every-minute",
    "report": "daily",
    "control": "by-hand",
    "reconcile": "by-hand",
}
_POLL_S = 0.4


class DeploymentRuns:
    """Submits runs and waits for their end, all with one query; use it with ``async with``."""

    def __init__(self, client: "PrefectClient") -> None:
        """Talk to the server of an open client."""
        self._client = client
        self._open: dict[UUID, asyncio.Future[str]] = {}
        self._poller: asyncio.Task[None] | None = None
        self._ids: dict[str, UUID] = {}

    async def __aenter__(self) -> Self:
        """Begin to look at what is open."""
        self._poller = asyncio.create_task(self._poll())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop looking; runs that are open stay open."""
        if self._poller is not None:
            self._poller.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._poller

    async def prepare_for_virtual_time(self, *, ahead: int) -> None:
        """Keep the schedules of real time out, and let runs wait for virtual time together.

        One run at a time is right where a run takes seconds of real time. Here runs are submitted
        before they are due, so that their processes start side by side; they still act one after
        the other, in the order of virtual time.
        """
        from prefect.client.schemas.actions import DeploymentUpdate  # noqa: PLC0415

        for flow, name in DEPLOYMENT_OF.items():
            deployment = await self._client.read_deployment_by_name(f"{flow}/{name}")
            self._ids[flow] = deployment.id
            for schedule in deployment.schedules:
                await self._client.update_deployment_schedule(
                    deployment.id, schedule.id, active=False
                )
            await self._client.update_deployment(
                deployment.id, DeploymentUpdate(concurrency_limit=ahead)
            )

    async def run(self, planned: PlannedRun) -> str:
        """Submit one run and return the name of its final state."""
        created = await self._client.create_flow_run_from_deployment(
            self._ids[planned.flow],
            parameters=planned.parameters,
            idempotency_key=f"{planned.flow}-{planned.due:%Y%m%dT%H%M%S}",
        )
        ended = self._open[created.id] = asyncio.get_running_loop().create_future()
        state: str = await ended
        return state

    async def read_page(self, key: str) -> str:
        """Return the newest artifact of a key, empty where there is none."""
        from prefect.client.schemas.filters import (  # noqa: PLC0415
            ArtifactFilter,
            ArtifactFilterKey,
        )
        from prefect.client.schemas.sorting import ArtifactSort  # noqa: PLC0415

        found = await self._client.read_artifacts(
            artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])),
            sort=ArtifactSort.CREATED_DESC,
            limit=1,
        )
        return str(found[0].data) if found else ""

    async def count_by_state(self) -> dict[str, int]:
        """Return how many runs of the server are in which state."""
        counts: dict[str, int] = {}
        for run in await self._client.read_flow_runs(limit=200):
            counts[run.state_name or "Unknown"] = counts.get(run.state_name or "Unknown", 0) + 1
        return counts

    async def _poll(self) -> None:
        from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId  # noqa: PLC0415

        while True:
            await asyncio.sleep(_POLL_S)
            if not self._open:
                continue
            runs = await self._client.read_flow_runs(
                flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=list(self._open)))
            )
            for run in runs:
                if run.state is not None and run.state.is_final():
                    ended = self._open.pop(run.id)
                    if not ended.done():
                        ended.set_result(run.state.name or str(run.state.type))
