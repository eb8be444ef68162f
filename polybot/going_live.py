"""May this run send real orders? The one rule, decided from facts that the caller collected.

Two deliberate words (``POLYBOT_MODE=live`` and ``live: true``), a green doctor of exactly these
settings and this key, and books that agree with the venue's. Whatever is missing is named, all of
it at once. Nothing here reads a clock, a file or a setting.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from polybot.domain.accounts import OrderRecord
from polybot.domain.health import HealthRecord
from polybot.domain.modes import Mode
from polybot.domain.orders import ApprovedOrder, OrderReport, PreparedOrder, SubmitResult
from polybot.domain.reconciliation import ReconciliationRecord
from polybot.errors import DataError, PermanentError, TransientError
from polybot.ports import AccountExchange, Ledger
from polybot.venue_clock import VenueClock

# Clocks of two processes on one machine may differ by a correction in between.
_CLOCK_STEP = timedelta(seconds=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveRequest:
    """Who wants to trade with what."""

    mode: Mode
    is_confirmed: bool
    """The second word: ``live: true`` in the parameters of the run."""
    fingerprint: str
    """Of this run's settings."""
    key_address: str
    version: str
    """Of polybot."""
    health: HealthRecord | None
    """``None`` where no doctor's record is, or none that can be read."""
    doctor_max_age: timedelta
    clock_difference: timedelta | None
    """Between this machine and the venue, a moment ago; ``None`` where the venue told no time."""
    max_clock_difference: timedelta
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NotLive:
    """Orders of this mode cost nothing: no gate."""

    mode: Mode


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveAllowed:
    """Real orders may be sent, once the books are reconciled."""

    examined_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveRefused:
    """No real order; nothing was sent."""

    reasons: tuple[str, ...]
    """One sentence for everything that is missing, with its mend."""

    def __str__(self) -> str:
        """Return one sentence a line."""
        return "live trading is refused:\n" + "\n".join(self.reasons)


LivePermission = NotLive | LiveAllowed | LiveRefused


def may_trade_live(request: LiveRequest) -> LivePermission:
    """Decide whether a run may send real orders; the books are asked for later."""
    if request.mode is not Mode.LIVE:
        return NotLive(mode=request.mode)
    reasons = tuple(_missing(request))
    if reasons or request.health is None:
        return LiveRefused(reasons=reasons)
    return LiveAllowed(examined_at=request.health.checked_at)


def unreconciled(
    record: ReconciliationRecord, *, now: datetime, max_age: timedelta
) -> LiveRefused | None:
    """Return why the books do not allow an order; ``None`` where they were just reconciled.

    Args:
        record: What the ledger keeps of the reconciliations so far.
        now: The instant of the order.
        max_age: How long an agreement counts.
    """
    if record.reconciled_at is None:
        return LiveRefused(reasons=("the ledger was never reconciled: run `polybot reconcile`",))
    if record.verdict is None or not record.verdict.allows_trading:
        return LiveRefused(
            reasons=(
                f"the last reconciliation ended {record.verdict}: see `polybot reconcile`, and "
                "do not trade before it agrees",
            )
        )
    if not -_CLOCK_STEP <= now - record.reconciled_at <= max_age:
        return LiveRefused(
            reasons=(
                f"the ledger was last reconciled at {_text(record.reconciled_at)}, which is "
                f"{_ago(record.reconciled_at, now)}: run `polybot reconcile`",
            )
        )
    return None


def _missing(request: LiveRequest) -> list[str]:
    reasons = []
    if not request.is_confirmed:
        reasons.append("the run lacks its second word: set `live: true` in its parameters")
    if (objection := _clock_objection(request)) is not None:
        reasons.append(objection)
    health = request.health
    if health is None:
        return [*reasons, "no `polybot doctor` of live mode is on record: run it"]
    return [*reasons, *_faults_of(health, request)]


def _faults_of(health: HealthRecord, request: LiveRequest) -> list[str]:
    """Return why the doctor's last look does not count for this run."""
    reasons = []
    if health.mode is not Mode.LIVE:
        reasons.append(f"the doctor's record is of {health.mode} mode: run `polybot doctor`")
    if health.failures:
        failed = ", ".join(health.failures[:5])
        reasons.append(f"the doctor found fault with {failed}: mend it and run `polybot doctor`")
    if not health.is_complete:
        reasons.append("the doctor's record is not of every check: run `polybot doctor`")
    if health.fingerprint != request.fingerprint:
        reasons.append("the settings changed since the doctor looked: run `polybot doctor`")
    if not health.key_address or health.key_address != request.key_address:
        reasons.append("the doctor looked at another key: run `polybot doctor`")
    if health.version != request.version:
        reasons.append(
            f"the doctor looked at polybot {health.version}, this is {request.version}: "
            "run `polybot doctor`"
        )
    if not -_CLOCK_STEP <= request.now - health.checked_at <= request.doctor_max_age:
        reasons.append(
            f"the doctor looked at {_text(health.checked_at)}, which is "
            f"{_ago(health.checked_at, request.now)}: run `polybot doctor`"
        )
    return reasons


def _clock_objection(request: LiveRequest) -> str | None:
    """Return why this machine's time may not date a signature; a wrong one is a wrong order."""
    difference = request.clock_difference
    if difference is None:
        return "the venue did not tell its time: an order's date could be wrong"
    if difference <= request.max_clock_difference:
        return None
    return (
        f"this machine's clock differs from the venue's by {difference.total_seconds():.1f} s, at "
        f"most {request.max_clock_difference.total_seconds():g} s are safe: turn on NTP"
    )


def _ago(then: datetime, now: datetime) -> str:
    age_s = (now - then).total_seconds()
    return f"{age_s:.0f} s ago" if age_s >= 0 else f"{-age_s:.0f} s in the future"


def _text(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S} UTC"


class GatedExchange:
    """An exchange that takes new orders only with permission and freshly reconciled books.

    Looking up and cancelling stay open: whoever may not trade must still be able to learn what
    became of an order and to take it back.
    """

    def __init__(
        self,
        exchange: AccountExchange,
        permission: LivePermission,
        *,
        ledger: Ledger,
        reconcile_max_age: timedelta,
        venue_clock: VenueClock | None = None,
    ) -> None:
        """Take the exchange behind the gate and what the gate goes by."""
        self._exchange = exchange
        self._permission = permission
        self._ledger = ledger
        self._reconcile_max_age = reconcile_max_age
        self._venue_clock = venue_clock

    def prepare(self, approved: ApprovedOrder, *, created_at: datetime) -> PreparedOrder:
        """Give an order its id, where orders are allowed.

        Raises:
            PermanentError: The run has no permission.
            DataError: The books are not reconciled; nothing may be decided on them. Or the clock
                is off: no order may carry its time.
        """
        self._require_permission()
        if self._venue_clock is not None:
            self._venue_clock.require_agreement(created_at)
        stale = unreconciled(
            self._ledger.reconciliation(), now=created_at, max_age=self._reconcile_max_age
        )
        if stale is not None:
            raise DataError("; ".join(stale.reasons), reason="unreconciled")
        return self._exchange.prepare(approved, created_at=created_at)

    def sign(self, prepared: PreparedOrder) -> None:
        """Sign an order that was prepared with permission.

        Raises:
            PermanentError: The run has no permission.
        """
        self._require_permission()
        self._exchange.sign(prepared)

    async def submit(self, prepared: PreparedOrder) -> SubmitResult:
        """Send an order that was prepared with permission.

        Raises:
            PermanentError: The run has no permission; nothing was sent.
        """
        self._require_permission()
        return await self._exchange.submit(prepared)

    async def look_up(self, record: OrderRecord) -> OrderReport:
        """Return what the venue knows about an order of ours."""
        return await self._exchange.look_up(record)

    async def look_up_many(
        self, records: Sequence[OrderRecord]
    ) -> tuple[OrderReport | TransientError | DataError, ...]:
        """Return, order by order, what the venue knows about orders of ours."""
        return await self._exchange.look_up_many(records)

    async def cancel(self, record: OrderRecord) -> OrderReport:
        """Take a resting order out of the book and return what is known afterwards."""
        return await self._exchange.cancel(record)

    def _require_permission(self) -> None:
        if isinstance(self._permission, LiveRefused):
            raise PermanentError(str(self._permission))


class NoExchange:
    """What a run has that works on the ledger alone: no account, no key, no order."""

    def prepare(self, approved: ApprovedOrder, *, created_at: datetime) -> PreparedOrder:
        """Refuse."""
        raise PermanentError(f"this run takes no orders, {approved.order.decision_key} was one")

    def sign(self, prepared: PreparedOrder) -> None:
        """Refuse."""
        raise PermanentError(f"this run signs no orders, {prepared.order_id} was one")

    async def submit(self, prepared: PreparedOrder) -> SubmitResult:
        """Refuse."""
        raise PermanentError(f"this run sends no orders, {prepared.order_id} was one")

    async def look_up(self, record: OrderRecord) -> OrderReport:
        """Refuse."""
        raise PermanentError(f"this run does not ask the venue, {record.order_id} was asked for")

    async def look_up_many(
        self, records: Sequence[OrderRecord]
    ) -> tuple[OrderReport | TransientError | DataError, ...]:
        """Refuse."""
        raise PermanentError(f"this run does not ask the venue, not for {len(records)} orders")

    async def cancel(self, record: OrderRecord) -> OrderReport:
        """Refuse."""
        raise PermanentError(f"this run cancels no orders, {record.order_id} was one")
