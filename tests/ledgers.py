"""Ledgers to start from: making a new one takes longer than most tests."""

import functools
import tempfile
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from polybot.adapters.storage.ledger import open_ledger
from polybot.domain.modes import Mode


@functools.cache
def new_ledger(cash_usdc: Decimal, *, at: datetime) -> bytes:
    """Return the SQLite file of a paper ledger whose only event is a deposit."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "paper.db"
        with open_ledger(path, mode=Mode.PAPER) as ledger:
            ledger.deposit(cash_usdc, reference="starting-cash", at=at)
        return path.read_bytes()
