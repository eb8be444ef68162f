"""Parts of the loop that run beside it: tried again with backoff, and never silent."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from typing import Final

import structlog

from polybot.copy_trading.status import Trouble

log = structlog.get_logger(__name__)

FIRST_PAUSE_S: Final = 0.25
LONGEST_PAUSE_S: Final = 30.0
# A part that has run for so long works again …
WORKS_AFTER_S: Final = 1.0
# … and after so long its next failure is a first one.
RECOVERED_AFTER_S: Final = 60.0
LONGEST_PROBLEM: Final = 300


class Troubles:
    """What fails, part by part; bounded, because the parts are few."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        """Take the clock that dates failures."""
        self._now = now
        self._of: dict[str, Trouble] = {}

    def note(self, part: str, problem: object) -> None:
        """Remember that a part failed; the first failure in a row is logged."""
        text = str(problem)[:LONGEST_PROBLEM] or type(problem).__name__
        before = self._of.get(part)
        is_first = before is None or before.is_over
        self._of[part] = Trouble(
            part=part,
            problem=text,
            failures=1 if before is None else before.failures + 1,
            since=self._now() if before is None or before.is_over else before.since,
            is_over=False,
        )
        if is_first:
            # A disk that is full may hold the log, too.
            with suppress(OSError):
                log.warning("copying has trouble", part=part, problem=text)

    def clear(self, part: str) -> None:
        """Note that a part works."""
        before = self._of.get(part)
        if before is None or before.is_over:
            return
        with suppress(OSError):
            log.info("copying recovered", part=part, failures=before.failures)
        self._of[part] = Trouble(
            part=part,
            problem=before.problem,
            failures=before.failures,
            since=before.since,
            is_over=True,
        )

    def since(self, part: str) -> datetime | None:
        """Return since when a part fails; ``None`` where it works."""
        found = self._of.get(part)
        return None if found is None or found.is_over else found.since

    def listed(self) -> tuple[Trouble, ...]:
        """Return everything that failed since the start."""
        return tuple(self._of.values())


async def keep_running(part: str, work: Callable[[], Awaitable[None]], troubles: Troubles) -> None:
    """Run something that never ends by itself until cancelled; start it again where it fails."""
    clock = asyncio.get_running_loop().time
    pause_s = FIRST_PAUSE_S
    while True:
        began = clock()
        works = asyncio.get_running_loop().call_later(WORKS_AFTER_S, troubles.clear, part)
        try:
            await work()
            problem: object = "ended by itself"
        # A defect of one part must neither end the others nor go unseen: it is shown, and tried
        # again.
        except Exception as error:
            problem = error if str(error) else type(error).__name__
        finally:
            works.cancel()
        if clock() - began > RECOVERED_AFTER_S:
            pause_s = FIRST_PAUSE_S
        troubles.note(part, problem)
        await asyncio.sleep(pause_s * random.uniform(0.75, 1.25))  # noqa: S311 - no secret
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


async def repeat(
    part: str, every_s: float, work: Callable[[], Awaitable[None]], troubles: Troubles
) -> None:
    """Do something again and again until cancelled; a failure is shown and waits for its turn."""
    failures = 0
    while True:
        try:
            await work()
        # As above.
        except Exception as error:
            failures += 1
            troubles.note(part, error if str(error) else type(error).__name__)
        else:
            failures = 0
            troubles.clear(part)
        await asyncio.sleep(min(every_s * 2 ** min(failures, 5), max(every_s, LONGEST_PAUSE_S)))
