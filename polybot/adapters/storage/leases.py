"""Leases and desired states: who may run a loop, and whether a person wants it to run."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import insert, select, update

from polybot.adapters.storage.books import Store
from polybot.adapters.storage.columns import clean_text, instant_at, micros_at
from polybot.adapters.storage.copy_tables import DESIRED_STATES, LEASES
from polybot.adapters.storage.outbox import insert_alert
from polybot.adapters.storage.statements import Statement, parameter, parameters
from polybot.domain.alerts import Alert
from polybot.domain.leaders import DesiredState, Lease

_LEASE: Final = Statement(select(LEASES).where(LEASES.c.name == parameter("name")))
_FIRST: Final = Statement(
    insert(LEASES).values(parameters(column.name for column in LEASES.columns))
)
_TAKE: Final = Statement(
    update(LEASES)
    .where(LEASES.c.name == parameter("of_name"))
    .values(parameters(("holder", "epoch", "expires_at")))
)
# Whoever was overtaken, or gave the lease back, finds no row.
_OWN: Final = (
    LEASES.c.name == parameter("of_name"),
    LEASES.c.holder == parameter("of_holder"),
    LEASES.c.epoch == parameter("of_epoch"),
)
_RENEW: Final = Statement(update(LEASES).where(*_OWN).values(parameters(("expires_at",))))
_GIVE_BACK: Final = Statement(update(LEASES).where(*_OWN).values(parameters(("holder",))))
_DESIRED: Final = Statement(
    select(DESIRED_STATES).where(DESIRED_STATES.c.name == parameter("name"))
)
_FIRST_DESIRED: Final = Statement(
    insert(DESIRED_STATES).values(parameters(column.name for column in DESIRED_STATES.columns))
)
_DESIRE: Final = Statement(
    update(DESIRED_STATES)
    .where(DESIRED_STATES.c.name == parameter("of_name"))
    .values(parameters(("is_wanted", "changed_by", "reason", "changed_at")))
)


class LeaseStore(Store):
    """The ledger's leases and desired states."""

    def acquire_lease(self, name: str, holder: str, *, ttl_s: float, at: datetime) -> Lease | None:
        """Take a lease that is free, expired or our own; ``None`` while another's runs.

        The epoch grows each time, so whatever an earlier taker still writes is refused.

        Raises:
            ValueError: The holder has no name.
        """
        if not holder:
            raise ValueError("a lease needs a holder with a name")
        expires_at = at + timedelta(seconds=ttl_s)
        with self._database.writing_lean() as transaction:
            found = _LEASE.named_rows(transaction, {"name": name})
            values = {"holder": holder, "epoch": 1, "expires_at": micros_at(expires_at)}
            if not found:
                transaction.change(_FIRST, {**values, "name": name})
            else:
                (known,) = found
                is_free = known["holder"] in ("", holder) or known["expires_at"] <= micros_at(at)
                if not is_free:
                    return None
                values["epoch"] = known["epoch"] + 1
                transaction.change(_TAKE, {**values, "of_name": name})
        return Lease(
            name=name, holder=holder, epoch=int(str(values["epoch"])), expires_at=expires_at
        )

    def renew_lease(self, lease: Lease, *, ttl_s: float, at: datetime) -> Lease | None:
        """Extend a lease; ``None`` where another took over or it was given back."""
        expires_at = at + timedelta(seconds=ttl_s)
        values = {**_own(lease), "expires_at": micros_at(expires_at)}
        with self._database.writing_lean() as transaction:
            if not transaction.change(_RENEW, values):
                return None
        return Lease(name=lease.name, holder=lease.holder, epoch=lease.epoch, expires_at=expires_at)

    def release_lease(self, lease: Lease) -> None:
        """Give a lease back; another's is left alone."""
        with self._database.writing_lean() as transaction:
            transaction.change(_GIVE_BACK, {**_own(lease), "holder": ""})

    def lease(self, name: str) -> Lease | None:
        """Return who holds a lease, expired or not; ``None``: nobody, or it was given back."""
        with self._database.reading_lean() as transaction:
            for row in _LEASE.named_rows(transaction, {"name": name}):
                if row["holder"]:
                    return Lease(
                        name=name,
                        holder=row["holder"],
                        epoch=row["epoch"],
                        expires_at=instant_at(row["expires_at"]),
                    )
        return None

    def desired_state(self, name: str) -> DesiredState | None:
        """Return what a person wants of a loop; ``None``: nobody has said."""
        with self._database.reading_lean() as transaction:
            for row in _DESIRED.named_rows(transaction, {"name": name}):
                return DesiredState(
                    name=name,
                    is_wanted=bool(row["is_wanted"]),
                    by=row["changed_by"],
                    reason=row["reason"],
                    changed_at=instant_at(row["changed_at"]),
                )
        return None

    def set_desired_state(self, state: DesiredState, *, alert: Alert | None = None) -> None:
        """Record what a person wants."""
        values = {
            "is_wanted": state.is_wanted,
            "changed_by": clean_text(state.by),
            "reason": clean_text(state.reason),
            "changed_at": micros_at(state.changed_at),
        }
        with self._database.writing_lean() as transaction:
            if not transaction.change(_DESIRE, {**values, "of_name": state.name}):
                transaction.change(_FIRST_DESIRED, {**values, "name": state.name})
            if alert is not None:
                insert_alert(transaction, alert, at_micros=micros_at(state.changed_at))


def _own(lease: Lease) -> dict[str, object]:
    return {"of_name": lease.name, "of_holder": lease.holder, "of_epoch": lease.epoch}
