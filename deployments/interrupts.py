"""Ctrl-C and SIGTERM end a stack the same way: by cancelling its one task."""

import asyncio
import signal
from collections.abc import Coroutine


async def cancel_on_signals(work: Coroutine[None, None, int]) -> int:
    """Run the work; SIGINT and SIGTERM cancel it, so that every ``finally`` runs."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    return await task
