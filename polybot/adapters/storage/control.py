"""The trading state and the record of flow runs."""

from datetime import UTC, datetime
from typing import Final

from sqlalchemy import insert, select, update

from polybot.adapters.storage.books import Store
from polybot.adapters.storage.columns import clean_text, instant_at, micros_at
from polybot.adapters.storage.outbox import insert_alert
from polybot.adapters.storage.statements import SqlTransaction
from polybot.adapters.storage.tables import ACCOUNT, MOVEMENTS, RUNS, TRADING_STATES
from polybot.domain.accounts import TradingStateChange
from polybot.domain.alerts import Alert
from polybot.domain.decisions import RunRecord
from polybot.domain.modes import TradingState

_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)


class ControlStore(Store):
    """The ledger's trading state and runs."""

    def trading_state(self) -> TradingStateChange:
        """Return the trading state with who set it and why.

        A ledger in which nobody changed it is ACTIVE since its first money movement.
        """
        with self._database.reading() as connection:
            row = (
                connection.execute(
                    select(TRADING_STATES).order_by(TRADING_STATES.c.id.desc()).limit(1)
                )
                .mappings()
                .one_or_none()
            )
            if row is not None:
                return TradingStateChange(
                    state=TradingState(row["state"]),
                    reason=row["reason"],
                    by=row["changed_by"],
                    changed_at=instant_at(row["changed_at"]),
                )
            first = connection.execute(
                select(MOVEMENTS.c.booked_at).order_by(MOVEMENTS.c.id).limit(1)
            ).scalar()
        return TradingStateChange(
            state=TradingState.ACTIVE,
            reason="never changed",
            by="polybot",
            changed_at=_NEVER if first is None else instant_at(first),
        )

    def set_trading_state(self, change: TradingStateChange, *, alert: Alert | None = None) -> None:
        """Record a new trading state; the next ``record_intent`` anywhere obeys it."""
        at_micros = micros_at(change.changed_at)
        with self._database.writing() as connection:
            connection.execute(
                insert(TRADING_STATES),
                {
                    "state": change.state,
                    "reason": clean_text(change.reason),
                    "changed_by": clean_text(change.by),
                    "changed_at": at_micros,
                },
            )
            connection.execute(update(ACCOUNT).values(trading_state=change.state))
            if alert is not None:
                insert_alert(SqlTransaction(connection), alert, at_micros=at_micros)

    def record_run(self, run: RunRecord) -> None:
        """Insert or replace what is known about a flow run."""
        values = {
            "flow": clean_text(run.flow),
            "name": clean_text(run.name),
            "state": run.state,
            "started_at": micros_at(run.started_at),
            "ended_at": None if run.ended_at is None else micros_at(run.ended_at),
            "note": clean_text(run.note),
        }
        with self._database.writing() as connection:
            known = connection.execute(
                update(RUNS).where(RUNS.c.run_id == run.run_id).values(**values)
            )
            if known.rowcount == 0:
                connection.execute(insert(RUNS), dict(run_id=run.run_id, **values))

    def recent_runs(self, limit: int) -> tuple[RunRecord, ...]:
        """Return the newest flow runs first."""
        with self._database.reading() as connection:
            rows = connection.execute(
                select(RUNS).order_by(RUNS.c.started_at.desc(), RUNS.c.run_id).limit(limit)
            ).mappings()
            return tuple(
                RunRecord(
                    run_id=row["run_id"],
                    flow=row["flow"],
                    name=row["name"],
                    state=row["state"],
                    started_at=instant_at(row["started_at"]),
                    ended_at=None if row["ended_at"] is None else instant_at(row["ended_at"]),
                    note=row["note"],
                )
                for row in rows
            )
