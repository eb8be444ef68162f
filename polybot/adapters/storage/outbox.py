"""The alerts' outbox: stored with their cause, sent later, each key once."""

from datetime import datetime
from typing import Final

from sqlalchemy import insert, select, update

from polybot.adapters.storage.books import Store
from polybot.adapters.storage.columns import clean_text, instant_at, micros_at
from polybot.adapters.storage.statements import (
    Statement,
    Transaction,
    parameter,
    parameters,
)
from polybot.adapters.storage.tables import ALERTS
from polybot.domain.alerts import Alert, AlertKind, OutboxAlert

_KNOWN: Final = Statement(select(ALERTS.c.id).where(ALERTS.c.dedupe_key == parameter("dedupe_key")))
_INSERT: Final = Statement(
    insert(ALERTS).values(
        parameters(column.name for column in ALERTS.columns if column.name != "id")
    )
)


class OutboxStore(Store):
    """The ledger's outbox."""

    def add_alert(self, alert: Alert, *, at: datetime) -> bool:
        """Put an alert in the outbox; ``False`` where its key is there already."""
        with self._database.writing_lean() as transaction:
            return insert_alert(transaction, alert, at_micros=micros_at(at))

    def due_alerts(self, *, at: datetime, limit: int) -> tuple[OutboxAlert, ...]:
        """Return unsent alerts whose next attempt is due, oldest first."""
        with self._database.reading() as connection:
            rows = connection.execute(
                select(ALERTS)
                .where(ALERTS.c.sent_at.is_(None), ALERTS.c.next_attempt_at <= micros_at(at))
                .order_by(ALERTS.c.id)
                .limit(limit)
            ).mappings()
            return tuple(
                OutboxAlert(
                    id=row["id"],
                    alert=Alert(
                        kind=AlertKind(row["kind"]),
                        dedupe_key=row["dedupe_key"],
                        title=row["title"],
                        body=row["body"],
                    ),
                    attempts=row["attempts"],
                    created_at=instant_at(row["created_at"]),
                )
                for row in rows
            )

    def record_alert_sent(self, alert_id: int, *, at: datetime) -> None:
        """Mark an alert as delivered; a second time changes nothing."""
        with self._database.writing() as connection:
            connection.execute(
                update(ALERTS)
                .where(ALERTS.c.id == alert_id, ALERTS.c.sent_at.is_(None))
                .values(sent_at=micros_at(at))
            )

    def claim_alert(self, waiting: OutboxAlert, *, error: str, next_attempt_at: datetime) -> bool:
        """Count an attempt, unless somebody did since the alert was seen waiting."""
        with self._database.writing() as connection:
            claimed = connection.execute(
                update(ALERTS)
                .where(
                    ALERTS.c.id == waiting.id,
                    ALERTS.c.sent_at.is_(None),
                    ALERTS.c.attempts == waiting.attempts,
                )
                .values(
                    attempts=waiting.attempts + 1,
                    last_error=clean_text(error)[:500],
                    next_attempt_at=micros_at(next_attempt_at),
                )
            )
            return claimed.rowcount == 1


def insert_alert(transaction: Transaction, alert: Alert, *, at_micros: int) -> bool:
    """Put an alert in the outbox inside its cause's transaction; keys are stored once."""
    key = clean_text(alert.dedupe_key)
    if transaction.rows(_KNOWN, {"dedupe_key": key}):
        return False
    transaction.change(
        _INSERT,
        {
            "kind": alert.kind.value,
            "dedupe_key": key,
            "title": clean_text(alert.title),
            "body": clean_text(alert.body),
            "created_at": at_micros,
            "next_attempt_at": at_micros,
            "attempts": 0,
            "last_error": "",
            "sent_at": None,
        },
    )
    return True
