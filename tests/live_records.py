"""What is on record where real orders are allowed: a green doctor, and books that agreed."""

from polybot.domain.health import HealthRecord
from polybot.domain.modes import Mode
from polybot.domain.reconciliation import ReconcileVerdict, ReconciliationRecord
from tests.builders import NOW

GREEN = HealthRecord(
    checked_at=NOW,
    mode=Mode.LIVE,
    fingerprint="f" * 32,
    key_address="0xKey",
    version="1",
    is_complete=True,
    failures=(),
)
AGREED = ReconciliationRecord(
    reconciled_at=NOW,
    attempted_at=NOW,
    verdict=ReconcileVerdict.AGREED,
    trades_since=None,
    agreed_fill_count=0,
)
