"""Delivering what waits in the outbox: at least once, in order, within a bounded time.

A step of its own, so that no alert ever fails or delays a trade. What alerts say is not decided
here (``polybot.alerts``), nor how a channel carries them.
"""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from polybot.domain.alerts import OutboxAlert
from polybot.ports import Ledger, Notifier

FIRST_RETRY: Final = timedelta(seconds=30)
LONGEST_RETRY: Final = timedelta(hours=1)
# Older news is history: it stays in the ledger and is not sent when a channel comes back.
EXPIRES_AFTER: Final = timedelta(hours=24)
NEVER: Final = datetime(9999, 1, 1, tzinfo=UTC)
# A call begins no new delivery after this [s]; one delivery may take as long as SEND_BOUND_S.
CALL_BUDGET_S: Final = 20.0
SEND_BOUND_S: Final = 15.0
# So many failures in a row mean that the channel is down, not that one alert is odd.
FAILURES_PER_CALL: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryResult:
    """What one look at the outbox did."""

    sent: int = 0
    failed: int = 0
    """Attempts that will be repeated later."""
    expired: int = 0
    """Older than a day and therefore not sent."""


async def deliver_due(
    ledger: Ledger, notifier: Notifier, *, at: datetime, per_minute: int
) -> DeliveryResult:
    """Send what is due in the outbox, at least once, in order, within a bounded time.

    An attempt is counted, and put off, before it is made: a process that dies while sending
    leaves an alert that is tried again, and of several processes that see it at once one sends it.
    Attempts are 30 s apart, then twice as long each time up to an hour, for 24 hours.

    Args:
        ledger: Has the outbox.
        notifier: The channels; without any, everything stays where it is.
        at: The current instant.
        per_minute: Most attempts of this call; callers call at most about once a minute.

    Raises:
        TransientError: The ledger is busy. A channel's failure is never raised.
    """
    if not notifier.is_configured:
        return DeliveryResult()
    clock = asyncio.get_running_loop().time
    deadline = clock() + CALL_BUDGET_S
    sent = failed = expired = failures_in_a_row = 0
    while sent + failed < per_minute and failures_in_a_row < FAILURES_PER_CALL:
        waiting = next(iter(ledger.due_alerts(at=at, limit=1)), None)
        if waiting is None or clock() >= deadline:
            break
        if at - waiting.created_at > EXPIRES_AFTER:
            expired += ledger.claim_alert(waiting, error="expired unsent", next_attempt_at=NEVER)
            continue
        next_at = at + _retry_delay(waiting.attempts)
        if not ledger.claim_alert(waiting, error="not delivered", next_attempt_at=next_at):
            continue
        if await _is_sent(notifier, waiting):
            ledger.record_alert_sent(waiting.id, at=at)
            sent, failures_in_a_row = sent + 1, 0
        else:
            failed, failures_in_a_row = failed + 1, failures_in_a_row + 1
    return DeliveryResult(sent=sent, failed=failed, expired=expired)


async def _is_sent(notifier: Notifier, waiting: OutboxAlert) -> bool:
    try:
        async with asyncio.timeout(SEND_BOUND_S):
            return await notifier.send(waiting.alert)
    except TimeoutError:
        return False


def _retry_delay(attempts: int) -> timedelta:
    # 2¹⁰ half minutes are far beyond the longest delay; the bound keeps the power small.
    return min(FIRST_RETRY * (1 << min(attempts, 10)), LONGEST_RETRY)
