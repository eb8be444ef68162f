"""How far this machine's clock is from the venue's; a wrong time signs a wrong order.

A run that takes minutes compares once, when it starts. One that lasts for a day compares again and
again: from the first to the next comparison a clock that is set, or a machine that slept, shows
against the steady clock, which nobody sets.
"""

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from polybot.errors import DataError
from polybot.ports import Clock, VenueAccount

CLOCK_OFF = "clock-off"
"""The reason by which orders are not signed."""


def clock_difference(told: datetime, *, began: datetime, ended: datetime) -> timedelta:
    """Return how far this machine's clock is off, at the least that the answer allows.

    Args:
        told: The venue's time in whole seconds: it meant any instant within that second.
        began: When it was asked, by our clock.
        ended: When it had answered.
    """
    middle = began + (ended - began) / 2
    ahead, behind = told - middle, middle - (told + timedelta(seconds=1))
    return max(ahead, behind, timedelta(0))


class VenueClock:
    """Compares the clocks when it is told to, and remembers what it found."""

    def __init__(
        self,
        account: VenueAccount,
        clock: Clock,
        *,
        most: timedelta,
        steady_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take whom to ask.

        Args:
            account: Knows the venue's time.
            clock: Ours; its time dates the orders.
            most: The greatest difference at which an order may be signed.
            steady_s: A clock that nobody sets [s].
        """
        self._account = account
        self._clock = clock
        self._most = most
        self._steady_s = steady_s
        self._max_age: timedelta | None = None
        self._difference = timedelta(0)
        self._at: datetime | None = None
        self._at_steady_s = 0.0

    def expire_after(self, max_age: timedelta) -> None:
        """Let a comparison count for so long only: the run lasts longer than one is good for."""
        self._max_age = max_age

    async def compare(self) -> timedelta:
        """Ask the venue, remember and return the difference.

        Raises:
            TransientError, PermanentError, DataError: The venue told no time; what was found
                before still counts, until it is too old.
        """
        began = await self._clock.now()
        told = await self._account.server_time()
        ended = await self._clock.now()
        self._difference = clock_difference(told, began=began, ended=ended)
        self._at, self._at_steady_s = ended, self._steady_s()
        return self._difference

    def require_agreement(self, now: datetime) -> None:
        """Refuse to sign an order at an instant that may be wrong.

        Args:
            now: By our clock, as it would date the order.

        Raises:
            DataError: ``clock-off``, with what is wrong; nothing was signed.
        """
        if (objection := self._objection(now)) is not None:
            raise DataError(objection, reason=CLOCK_OFF)

    def _objection(self, now: datetime) -> str | None:
        most_s = self._most.total_seconds()
        if self._difference > self._most:
            return (
                "this machine's clock differs from the venue's by "
                f"{self._difference.total_seconds():.1f} s, at most {most_s:g} s are safe: "
                "turn on NTP"
            )
        if self._max_age is None:
            return None
        if self._at is None:
            return "this machine's clock was not compared with the venue's"
        passed_s = self._steady_s() - self._at_steady_s
        stepped_s = abs((now - self._at).total_seconds() - passed_s)
        if stepped_s > most_s:
            return (
                f"this machine's clock was set, or slept, by {stepped_s:.1f} s since it was "
                f"compared with the venue's, at most {most_s:g} s are safe"
            )
        if passed_s > self._max_age.total_seconds():
            return (
                f"this machine's clock was last compared with the venue's {passed_s:.0f} s ago, "
                f"at most {self._max_age.total_seconds():.0f} s are safe"
            )
        return None
