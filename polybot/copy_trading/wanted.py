"""Whether a person wants copy trading, whatever the scheduler does: kept in the ledger.

Nobody has said anything at first. That counts as wanted: following a leader is already a wish,
and real money needs a second word of its own.
"""

from datetime import datetime
from typing import cast

from polybot.copy_trading.parts import LEASE_NAME
from polybot.domain.leaders import DesiredState
from polybot.ports import CopyLedger, Ledger


def copy_ledger(ledger: Ledger) -> CopyLedger:
    """Return the half of an opened ledger that knows leaders; every real one has both."""
    return cast("CopyLedger", ledger)


def is_wanted(ledger: CopyLedger) -> bool:
    """Return whether copy trading should run now."""
    desired = ledger.desired_state(LEASE_NAME)
    return desired is None or desired.is_wanted


def start_copying(ledger: CopyLedger, *, by: str, reason: str, at: datetime) -> None:
    """Record that a person wants copy trading from now on, whatever was said before.

    Also where it is wanted already: a Cancel that nobody has heard yet is older than this.
    """
    _record(ledger, is_wanted=True, by=by, reason=reason, at=at)


def stop_copying(ledger: CopyLedger, *, by: str, reason: str, at: datetime) -> None:
    """Record that a person wants no copies until a person wants them again."""
    if is_wanted(ledger):
        _record(ledger, is_wanted=False, by=by, reason=reason, at=at)


def stop_copying_unless_newer(
    ledger: CopyLedger, *, by: str, reason: str, said_at: datetime, at: datetime
) -> None:
    """Record a wish to stop that nobody heard when it was said.

    Args:
        ledger: Where wishes are kept.
        by: Who said it.
        reason: Why.
        said_at: When it was said; a wish that was recorded later stands.
        at: Now.
    """
    desired = ledger.desired_state(LEASE_NAME)
    if desired is None or desired.changed_at < said_at:
        stop_copying(ledger, by=by, reason=reason, at=at)


def _record(ledger: CopyLedger, *, is_wanted: bool, by: str, reason: str, at: datetime) -> None:
    ledger.set_desired_state(
        DesiredState(name=LEASE_NAME, is_wanted=is_wanted, by=by, reason=reason, changed_at=at)
    )
