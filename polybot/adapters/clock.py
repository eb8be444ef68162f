"""Clocks: the machine's, and a sandbox's virtual one. Nothing else reads the time."""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self
from uuid import uuid4

import msgspec

from polybot.adapters.web import SlowAnswerError, WebClient
from polybot.errors import DataError, TransientError

# A long sleep looks at the clock again in between: suspends and corrections move it.
_LONGEST_NAP_S: Final = 30.0
_REQUEST_TIMEOUT_S: Final = 10.0
# The sandbox answers when the time has come; in between we look whether it is still there.
_WAIT_TIMEOUT_S: Final = 60.0
# Between two answers that both came too early.
_EARLY_PAUSE_S: Final = 0.02
# Between two looks of a clock that is followed: how far a stepped one may be behind.
_FOLLOW_EVERY_S: Final = 0.1


class SystemClock:
    """The machine's clock."""

    async def now(self) -> datetime:
        """Return the current instant, aware UTC."""
        return datetime.now(UTC)

    def instant(self) -> datetime:
        """Return the current instant without waiting, aware UTC."""
        return datetime.now(UTC)

    async def sleep_until(self, instant: datetime) -> None:
        """Wait until an instant; return at once where it has passed."""
        while True:
            left_s = (instant - await self.now()).total_seconds()
            if left_s <= 0:
                return
            await asyncio.sleep(min(left_s, _LONGEST_NAP_S))

    async def sleep(self, seconds: float) -> None:
        """Wait for a short while [s]."""
        await asyncio.sleep(max(0.0, seconds))


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a sandbox's clock said, and when by the machine's stopwatch."""

    instant: datetime
    at_s: float
    speed: float
    """Virtual seconds a real one; 0 where the clock is stepped."""


class SandboxClock:
    """A sandbox's virtual clock, asked over HTTP by every process that plays in it."""

    def __init__(self, url: str) -> None:
        """Keep where the sandbox listens; nothing is opened yet."""
        self._url = url.rstrip("/")
        self._id = uuid4().hex
        self._web = WebClient(timeout_s=_REQUEST_TIMEOUT_S)
        self._answer: _Answer | None = None
        self._latest = datetime.min.replace(tzinfo=UTC)
        self._following: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Return the clock itself."""
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Close the connection."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connection."""
        if self._following is not None:
            self._following.cancel()
            with suppress(asyncio.CancelledError):
                await self._following
            self._following = None
        await self._web.aclose()

    async def follow(self) -> None:
        """Look at the clock again and again from now on, so that ``instant`` is never far off.

        Raises:
            TransientError: The sandbox did not answer the first time.
        """
        await self._state()
        if self._following is None:
            self._following = asyncio.create_task(self._keep_looking())

    def instant(self) -> datetime:
        """Return the instant without waiting, aware UTC: the last answer and the time since then.

        It never goes back, and is behind a stepped clock by at most a tenth of a second of the
        machine's time while the clock is followed.

        Raises:
            TransientError: The clock has never been asked.
        """
        answer = self._answer
        if answer is None:
            raise TransientError(f"the clock of {self._url} was never asked")
        passed_s = (time.monotonic() - answer.at_s) * answer.speed
        self._latest = max(self._latest, answer.instant + timedelta(seconds=passed_s))
        return self._latest

    async def now(self) -> datetime:
        """Return the sandbox's instant, aware UTC.

        Raises:
            TransientError: The sandbox did not answer.
        """
        return _instant(await self._state())

    async def sleep_until(self, instant: datetime) -> None:
        """Wait until the sandbox's clock shows an instant or later.

        Raises:
            TransientError: The sandbox did not answer.
        """
        # Rounded up: waking a fraction of a millisecond early would be too early.
        until_ms = -((datetime(1970, 1, 1, tzinfo=UTC) - instant) // timedelta(milliseconds=1))
        while True:
            try:
                body = await self._web.post(
                    f"{self._url}/sandbox/clock/wait",
                    {"id": self._id, "until_ms": until_ms},
                    timeout_s=_WAIT_TIMEOUT_S,
                )
            except SlowAnswerError:
                # It may take hours until somebody steps the clock; is anybody still there?
                reached = await self.now()
            else:
                reached = _instant(_decoded(body))
            if reached >= instant:
                return
            await asyncio.sleep(_EARLY_PAUSE_S)

    async def sleep(self, seconds: float) -> None:
        """Let a short while [s] of the sandbox's time pass.

        A stepped clock is moved forward by that much; a running one is waited for.

        Raises:
            TransientError: The sandbox did not answer.
        """
        if seconds <= 0:
            return
        state = await self._state()
        speed = state.get("speed")
        if state.get("mode") == "stepped":
            await self._web.post(f"{self._url}/sandbox/clock/advance", {"seconds": seconds})
        elif isinstance(speed, (int, float)) and speed > 0:
            await asyncio.sleep(seconds / speed)
        else:
            raise DataError("the sandbox's clock has no speed", reason="clock-malformed")

    async def _state(self) -> dict[str, Any]:
        asked_s = time.monotonic()
        body = await self._web.get(f"{self._url}/sandbox/clock")
        if body is None:
            raise TransientError(f"no sandbox answers at {self._url}")
        state = _decoded(body)
        # The answer is of some moment in between.
        at_s = (asked_s + time.monotonic()) / 2
        self._answer = _Answer(instant=_instant(state), at_s=at_s, speed=_speed(state))
        return state

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(_FOLLOW_EVERY_S)
            # A sandbox that is away for a moment leaves what was reckoned.
            with suppress(TransientError, DataError):
                await self._state()


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise DataError(f"no clock answers: {error}", reason="clock-malformed") from error


def _instant(state: dict[str, Any]) -> datetime:
    now_ms = state.get("now_ms")
    if not isinstance(now_ms, int) or not 0 < now_ms < 10**14:
        raise DataError("the sandbox's clock tells no time", reason="clock-malformed")
    return datetime.fromtimestamp(now_ms // 1000, UTC) + timedelta(milliseconds=now_ms % 1000)


def _speed(state: dict[str, Any]) -> float:
    speed = state.get("speed")
    if state.get("mode") == "stepped" or not isinstance(speed, (int, float)):
        return 0.0
    return max(0.0, float(speed))
