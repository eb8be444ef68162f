"""One virtual clock for the venue and every process that trades on it: a few shared bytes.

Memory that is shared before a fork stays shared after it, so nobody asks anybody for the time.
"""

import asyncio
import mmap
import struct
from datetime import UTC, datetime, timedelta

from polybot.sandbox.clock import SteppedClock

_FORMAT = struct.Struct("<q")
# How soon another process hears of a move [s, real].
_LOOK_S = 0.01


class SharedClock(SteppedClock):
    """The venue's clock; whoever inherits it by a fork sees, and may move, the same time."""

    def __init__(self, start_ms: int) -> None:
        self._memory = mmap.mmap(-1, _FORMAT.size)
        _FORMAT.pack_into(self._memory, 0, start_ms)
        super().__init__(start_ms)

    def now_ms(self) -> int:
        now_ms: int = _FORMAT.unpack_from(self._memory, 0)[0]
        return now_ms

    async def tell_of_moves(self) -> None:
        """Tell this process's listeners when another process has moved the clock."""
        last_ms = self.now_ms()
        while True:
            await asyncio.sleep(_LOOK_S)
            if self.now_ms() != last_ms:
                last_ms = self.now_ms()
                for listener in tuple(self._listeners):
                    listener()

    def move_to(self, now_ms: int) -> None:
        if now_ms < self.now_ms():
            raise ValueError(f"the clock never goes back: it is {self.now_ms()}, not {now_ms}")
        _FORMAT.pack_into(self._memory, 0, now_ms)


class BotClock:
    """The ``Clock`` port on a shared clock: whoever sleeps moves it, and nobody ever waits."""

    def __init__(self, clock: SharedClock) -> None:
        self._clock = clock

    def instant(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC)

    async def now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC)

    async def sleep_until(self, instant: datetime) -> None:
        wanted_ms = round(instant.timestamp() * 1000)
        self._clock.move_to(max(self._clock.now_ms(), wanted_ms))

    async def sleep(self, seconds: float) -> None:
        await self.sleep_until(await self.now() + timedelta(seconds=max(0.0, seconds)))
