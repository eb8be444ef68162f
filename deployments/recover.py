"""Free what dead processes still hold: end every unfinished run of the work pool.

    python -m deployments.recover

Run it on the only host of the pool, before its worker starts: after a power cut Prefect believes
that the runs of before still go on, and their concurrency slots refuse every new one. The ledger
needs no such help; the next run finishes or skips what a dead one left. What a person was
cancelling is Cancelled, so that nothing starts it again; the rest is Crashed.
"""

import asyncio
import sys
from typing import TYPE_CHECKING

from deployments.environment import WORK_POOL

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient

_UNFINISHED = ["PENDING", "RUNNING", "CANCELLING"]
_PAGE = 200


async def recover(client: "PrefectClient", *, pool: str = WORK_POOL) -> int:
    """Force every pending or running run of a pool to Crashed, every cancelling one to Cancelled.

    Returns:
        How many runs there were.
    """
    from prefect.client.schemas.filters import (  # noqa: PLC0415
        FlowRunFilter,
        FlowRunFilterState,
        FlowRunFilterStateType,
        WorkPoolFilter,
        WorkPoolFilterName,
    )
    from prefect.states import Cancelled, Crashed  # noqa: PLC0415

    # Forced states leave the filter, so the first page is always the next one.
    count = 0
    while True:
        runs = await client.read_flow_runs(
            flow_run_filter=FlowRunFilter(
                state=FlowRunFilterState(
                    type=FlowRunFilterStateType.model_validate({"any_": _UNFINISHED})
                )
            ),
            work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[pool])),
            limit=_PAGE,
        )
        for run in runs:
            is_cancelling = run.state is not None and run.state.is_cancelling()
            end = Cancelled if is_cancelling else Crashed
            message = "no live process: the worker was started again"
            await client.set_flow_run_state(run.id, end(message=message), force=True)
        count += len(runs)
        if len(runs) < _PAGE:
            return count


async def main() -> None:
    """Recover the pool of the server that this environment names."""
    from prefect.client.orchestration import get_client  # noqa: PLC0415

    async with get_client() as client:
        count = await recover(client)
    print(f"{count} unfinished runs of work pool {WORK_POOL} were ended")


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
