"""Opens the copy loop: the ``Bot`` of every run, and the feeds that only copying needs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from polybot.bootstrap import Access, Bot
from polybot.config import Settings
from polybot.copy_trading.engine import CopyLoop
from polybot.ports import CopyLedger


@dataclass(frozen=True, slots=True, kw_only=True)
class Copier:
    """A copy loop that is ready to run, with the bot that it trades for."""

    bot: Bot
    """Its ledger is the loop's."""
    ledger: CopyLedger
    """The same ledger's part about leaders: the lease, the desired state."""
    loop: CopyLoop


@asynccontextmanager
async def open_copier(
    settings: Settings | None = None,
    *,
    access: Access = Access.LEDGER,
    run_name: str = "",
    holder: str | None = None,
) -> AsyncIterator[Copier]:
    """Open everything that copying needs, and close it in reverse order.

    Args:
        settings: Of this run; default: those of the process.
        access: How far it may reach in live mode; ``Access.ORDERS`` to trade.
        run_name: Of the flow run; decisions carry it.
        holder: Names this loop in its lease; default: host, process and a random part.

    Raises:
        ConfigurationError: A setting or the ledger forbids to start; nothing was sent.
    """
    raise NotImplementedError
    yield
