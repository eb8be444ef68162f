"""Ledgers to start from: making a new one takes longer than most tests."""

import functools
import tempfile
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from polybot.adapters.storage.ledger import SqlLedger, open_ledger
from polybot.domain.modes import Mode


@functools.cache
def new_ledger(cash_usdc: Decimal, *, at: datetime) -> bytes:
    """Return the SQLite file of a paper ledger whose only event is a deposit."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "paper.db"
        with open_ledger(path, mode=Mode.PAPER) as ledger:
            ledger.deposit(cash_usdc, reference="starting-cash", at=at)
        return path.read_bytes()


@functools.cache
def _live_ledger(cash_usdc: Decimal, *, at: datetime) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "live.db"
        with open_ledger(path, mode=Mode.LIVE) as ledger:
            ledger.deposit(cash_usdc, reference="start", at=at)
        return path.read_bytes()


def new_live_ledger(path: Path, cash_usdc: Decimal, *, at: datetime) -> SqlLedger:
    """Open a new live ledger at a path; its only event is a deposit."""
    path.write_bytes(_live_ledger(cash_usdc, at=at))
    return open_ledger(path, mode=Mode.LIVE)
