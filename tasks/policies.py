"""How often a step may be tried again.

There is one owner of retries: these policies. Adapters never retry by themselves, flows never
retry at all (the next tick is the retry), and nothing that moves money is ever tried twice.
Results are neither cached nor stored: a second read must be a second read.
"""

from typing import Any, TypedDict

from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task, exponential_backoff

from polybot.errors import TransientError


class Policy(TypedDict, total=False):
    """The keyword arguments of ``@task`` that make a policy."""

    retries: int
    retry_delay_seconds: Any
    retry_jitter_factor: float
    retry_condition_fn: Any
    cache_policy: Any
    persist_result: bool


def is_transient(_task: Task[..., Any], _task_run: TaskRun, state: State[Any]) -> bool:
    """Return whether the failure may pass by itself; Prefect asks after each failure."""
    return isinstance(state.data, TransientError)


PURE: Policy = {"retries": 0, "cache_policy": NO_CACHE, "persist_result": False}
"""Calculations: the same input fails the same way."""

MONEY: Policy = {"retries": 0, "cache_policy": NO_CACHE, "persist_result": False}
"""Placing, cancelling, settling: reconciled, never repeated."""

WRITE: Policy = {"retries": 0, "cache_policy": NO_CACHE, "persist_result": False}
"""Records and alerts: the ledger waits for its own lock, and the outbox repeats by itself."""

READ: Policy = {
    # 0.5 + 1 + 2 + 4 + 8 s and jitter: well inside the minute that a run has for reading.
    "retries": 5,
    "retry_delay_seconds": exponential_backoff(backoff_factor=0.5),
    "retry_jitter_factor": 0.3,
    "retry_condition_fn": is_transient,
    "cache_policy": NO_CACHE,
    "persist_result": False,
}
"""Reads from the venue and from exchanges."""
