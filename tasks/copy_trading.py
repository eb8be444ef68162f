"""Copy trading for Prefect: the page in the UI, and the record that is left afterwards.

Nothing here stands between a leader's trade and our order; that is the copy loop's alone.
"""

import time
from typing import TYPE_CHECKING
from uuid import UUID

import structlog
from prefect import task
from prefect.artifacts import acreate_markdown_artifact

from polybot.copy_trading.status import CopyStatus
from tasks.policies import WRITE

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient

PAGE_KEY = "copy-trading"

log = structlog.get_logger(__name__)


class CopyPage:
    """One artifact a run, replaced in place: Prefect's database does not grow with it.

    Creating an artifact again under its key would keep every version, and the client's own
    ``update_artifact`` leaves an event with the whole text each time.
    """

    def __init__(self, client: "PrefectClient", *, every_s: float) -> None:
        """Write through an open client, at most once in ``every_s`` [s]."""
        self._client = client
        self.every_s = every_s
        self._id: UUID | None = None
        self._shown = ""
        self._shown_at = float("-inf")

    async def show(self, markdown: str) -> None:
        """Replace the page, unless it says so already or was replaced a moment ago."""
        if time.monotonic() - self._shown_at >= self.every_s:
            await self.show_now(markdown)

    async def show_now(self, markdown: str) -> None:
        """Replace the page; a server that is away or slow is no reason to stop."""
        self._shown_at = time.monotonic()
        if markdown == self._shown:
            return
        try:
            await self._write(markdown)
        # Trading goes on whatever becomes of the page; a fault of ours is seen in the log.
        except Exception as problem:
            log.warning("copy page not updated", problem=f"{type(problem).__name__}: {problem}")
        else:
            self._shown = markdown

    async def _write(self, markdown: str) -> None:
        if self._id is None:
            self._id = await acreate_markdown_artifact(
                markdown=markdown, key=PAGE_KEY, description="What copy trading is doing"
            )
            return
        await self._client.request(
            "PATCH", "/artifacts/{id}", path_params={"id": self._id}, json={"data": markdown}
        )


@task(name="audit", **WRITE)
async def audit(page: CopyPage, card: str, status: CopyStatus) -> None:
    """Leave the summary of a stint: its last page, and one line in the log."""
    await page.show_now(card)
    counts = status.counts
    log.info(
        "copying ended",
        why=status.end,
        seen=counts.seen,
        copied=counts.copied,
        accumulated=counts.accumulated,
        skipped=counts.skipped_count,
        refused=counts.refused_count,
        own_time_p99_s=status.own_time.p99_s,
        feed_lag_p50_s=status.feed_lag.p50_s,
    )
