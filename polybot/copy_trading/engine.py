"""The copy loop: from a leader's trade to our order, with nothing slow in between."""

import asyncio

from polybot.copy_trading.parts import CopyOptions, CopyPorts
from polybot.copy_trading.status import CopyStatus


class CopyLoop:
    """Copies leaders' trades for as long as it runs; one value of it runs once."""

    def __init__(self, ports: CopyPorts, options: CopyOptions) -> None:
        """Take everything; nothing is read or sent before ``run``."""
        self._ports = ports
        self._options = options

    async def run(self, stop: asyncio.Event) -> CopyStatus:
        """Trade until ``stop`` is set, the lease is lost, or nobody wants copies any more.

        Waits while another loop holds the lease. Ends within ten seconds of its reason: no new
        copies, orders in flight recorded, background work ended, the lease given back.

        Returns:
            The last status; ``end`` says why.

        Raises:
            ConfigurationError: A followed wallet is our own.
            PermanentError: The venue refuses to be asked, or the ledger is damaged.
        """
        raise NotImplementedError

    def status(self) -> CopyStatus:
        """Return what there is to show now; cheap, at any time."""
        raise NotImplementedError
