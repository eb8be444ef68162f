"""The ledgers of a simulation: new ones, kept in memory, and looked at after every transaction."""

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

from polybot.adapters.storage import ledger as ledger_module
from polybot.domain.modes import Mode
from polybot.ports import Ledger

MUTATING: Final = frozenset(
    {
        "claim_decision", "finish_decision", "record_intent", "record_report", "settle",
        "adjust_fees", "book_transfer", "record_reconciliation", "record_redemption",
        "request_redemption", "set_trading_state", "mark_positions", "deposit",
    }
)  # fmt: skip


@cache
def new_ledger_bytes() -> bytes:
    """Return the file of a live ledger in which nothing has happened."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "live.db"
        ledger_module.open_ledger(path, mode=Mode.LIVE).close()
        return path.read_bytes()


def fast_folder() -> str | None:
    """Return where files live in memory: the same code and the same fsync, without a disk."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


class WatchedLedger:
    """The real ledger; after every transaction of it the model looks at the books."""

    def __init__(
        self,
        ledger: Ledger,
        after: Callable[[str, object], None],
        between: Callable[[], None] = lambda: None,
    ) -> None:
        """Take the ledger, who looks after each change, and who may come between two calls."""
        self._ledger = ledger
        self._after = after
        self._between = between

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._ledger, name)

        def call(*args: Any, **named: Any) -> Any:
            self._between()
            result = found(*args, **named)
            if name in MUTATING:
                self._after(name, result)
            self._between()
            return result

        # Found at once from now on: nobody changes the ledger's methods while it is open.
        self.__dict__[name] = call
        return call
