"""The ledger on SQLite or PostgreSQL: ``Ledger`` and ``CopyLedger`` put together from parts."""

from pathlib import Path
from typing import Self

from polybot.adapters.storage.audit import AuditStore
from polybot.adapters.storage.control import ControlStore
from polybot.adapters.storage.conversions import ConversionStore
from polybot.adapters.storage.copies import CopyStore
from polybot.adapters.storage.copy_history import CopyHistoryStore
from polybot.adapters.storage.decisions import DecisionStore
from polybot.adapters.storage.intents import IntentBacklog
from polybot.adapters.storage.leaders import LeaderStore
from polybot.adapters.storage.leases import LeaseStore
from polybot.adapters.storage.migrate import open_database
from polybot.adapters.storage.money import MoneyStore
from polybot.adapters.storage.orders import OrderStore
from polybot.adapters.storage.outbox import OutboxStore
from polybot.adapters.storage.reconciliations import ReconciliationStore
from polybot.adapters.storage.redemptions import RedemptionStore
from polybot.adapters.storage.tradelog import TradeLogStore
from polybot.domain.modes import Mode


class SqlLedger(
    DecisionStore,
    OrderStore,
    MoneyStore,
    ControlStore,
    OutboxStore,
    TradeLogStore,
    AuditStore,
    ReconciliationStore,
    RedemptionStore,
    LeaderStore,
    CopyStore,
    ConversionStore,
    CopyHistoryStore,
    LeaseStore,
):
    """The truth about decisions, orders, money and leaders, in one database."""

    def close(self) -> None:
        """Close every connection; what was recorded is durable already."""
        self._database.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


def open_ledger(location: str | Path, *, mode: Mode, busy_timeout_s: float = 10.0) -> SqlLedger:
    """Open the ledger of one mode; create it, or bring it to the current schema, where needed.

    Args:
        location: Path of a SQLite file, or a SQLAlchemy URL.
        mode: The ledger remembers it and refuses to be opened in another.
        busy_timeout_s: How long a transaction waits for another process [s].

    Raises:
        ConfigurationError: Damaged, read-only, of another mode, or written by a newer version;
            the file is left as it is.
        TransientError: Locked by another process for too long, or not reachable.
        PermanentError: The disk is full or fails.
    """
    database = open_database(location, mode=mode, busy_timeout_s=busy_timeout_s)
    database.keep_booked(IntentBacklog())
    return SqlLedger(database, mode)
