"""Stopping leaders: at once in memory, durably a moment later, until a person lifts it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from polybot.copy_trading.notices import own_wallet_alert, throttled_alert
from polybot.copy_trading.roster import Roster
from polybot.domain.alerts import Alert
from polybot.domain.leaders import Leader, LeaderAddress, LeaderState
from polybot.domain.modes import Mode
from polybot.ports import CopyLedger


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stop:
    """A state that is not durable yet."""

    state: LeaderState
    reason: str
    at: datetime
    alert: Alert


class Throttles:
    """Sets leaders' states; what could not be written stays and is tried again."""

    def __init__(
        self,
        ledger: CopyLedger,
        roster: Roster,
        *,
        mode: Mode,
        own_addresses: frozenset[LeaderAddress],
        later: Callable[[Callable[[], None]], None],
    ) -> None:
        """Take the ledger and whom it is about."""
        self._ledger = ledger
        self._roster = roster
        self._mode = mode
        self._own_addresses = own_addresses
        self._later = later
        self._stops: dict[LeaderAddress, _Stop] = {}

    def throttle(self, leader: Leader, reason: str, *, at: datetime) -> None:
        """Copy no entry of a leader any more, from the next trade on; his exits are mirrored."""
        alert = throttled_alert(leader, reason, at=at, mode=self._mode)
        self._stop(leader, LeaderState.THROTTLED, reason, alert, at)

    def refuse_ourselves(self, *, at: datetime) -> None:
        """Pause whoever is our own wallet or key, also where a person resumed him."""
        for address in self._own_addresses & self._roster.leaders.keys():
            leader = self._roster.leaders[address]
            if leader.state is LeaderState.ACTIVE:
                alert = own_wallet_alert(leader, at=at, mode=self._mode)
                self._stop(leader, LeaderState.PAUSED, "this is our own wallet", alert, at)

    def write(self) -> None:
        """Make what was decided durable.

        Raises:
            TransientError, PermanentError: The ledger cannot be written; call again.
        """
        for address, stop in list(self._stops.items()):
            self._ledger.set_leader_state(
                address, stop.state, reason=stop.reason, at=stop.at, alert=stop.alert
            )
            del self._stops[address]

    def reapply(self) -> None:
        """Keep in memory what is not durable yet, after the leaders were read again."""
        for address, stop in self._stops.items():
            leader = self._roster.leaders.get(address)
            if leader is not None:
                self._roster.leaders[address] = replace(
                    leader, state=stop.state, state_reason=stop.reason
                )

    def _stop(
        self, leader: Leader, state: LeaderState, reason: str, alert: Alert, at: datetime
    ) -> None:
        self._stops[leader.address] = _Stop(state=state, reason=reason, at=at, alert=alert)
        self.reapply()
        self._later(self.write)
