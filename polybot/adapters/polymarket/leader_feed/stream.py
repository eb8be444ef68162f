"""One connection to the venue's real-time trades (RTDS).

Frames are read where they arrive: nothing is queued between the socket and the ear, so a slow
reader slows the sender down instead of filling memory. The stream replays nothing and may fall
silent while its socket still answers, so silence is watched for, and every silence and every
reconnection says that there may be a gap.

Sources: github.com/Polymarket/real-time-data-client and its issues 26, 34 and 42 (streams that go
mute, 2026-11-22).
"""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Final, Literal

import aiohttp

from polybot.adapters.polymarket.leader_feed.frames import FrameReader, Outcome
from polybot.adapters.polymarket.leader_feed.rows import NotTaken
from polybot.adapters.polymarket.leader_feed.tally import SourceTally
from polybot.adapters.sockets import Backoff, keep_pinging
from polybot.domain.leaders import FeedSource, LeaderTrade
from polybot.errors import PolybotError

Socket = aiohttp.ClientWebSocketResponse[Literal[False]]

SUBSCRIPTION: Final = json.dumps(
    {"action": "subscribe", "subscriptions": [{"topic": "activity", "type": "trades"}]}
)
# Between two looks at the clock, and turns for everybody else on the event loop.
_BATCH: Final = 256
# So many frames in this time [s] are pressure: thousands of times what the venue sends.
_PRESSURE_S: Final = 0.01
# PONG and the empty frames between trades; no trade is shorter.
_SMALL_TALK_BYTES: Final = 32
# Looks at the silence within its own length; it is noticed so much early and never late.
_LOOKS: Final = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamTiming:
    """How a connection is kept alive, and when it is given up [s]."""

    ping_s: float = 5.0
    silence_s: float = 15.0
    """Without data for so long it subscribes again; for as long once more, it reconnects."""
    first_pause_s: float = 0.5
    longest_pause_s: float = 30.0
    connect_s: float = 10.0
    close_s: float = 1.0


class StreamSource:
    """One socket that reconnects by itself."""

    def __init__(
        self,
        url: str,
        *,
        name: str,
        reader: FrameReader,
        tell: Callable[[LeaderTrade, SourceTally], None],
        on_gap: Callable[[], None],
        open_session: Callable[[], aiohttp.ClientSession],
        now: Callable[[], datetime],
        random: Random,
        timing: StreamTiming,
        max_frame_bytes: int,
    ) -> None:
        """Keep where the stream is; nothing is opened yet.

        Args:
            url: ``wss://…``
            name: Of this connection, for its counts.
            reader: Knows whom to follow; shared by all connections.
            tell: Hears of every sighting, straight from the frame, with who counts it.
            on_gap: Called when trades may have been missed.
            open_session: Gives a session that refuses redirects.
            now: The clock.
            random: Spreads the pauses.
            timing: Pings, silences and pauses.
            max_frame_bytes: Longest message, unpacked; a longer one ends the connection.
        """
        self._url = url
        self._reader = reader
        self._tell = tell
        self._on_gap = on_gap
        self._open_session = open_session
        self._now = now
        self._timing = timing
        self._max_frame_bytes = max_frame_bytes
        self._backoff = Backoff(
            first_s=timing.first_pause_s, longest_s=timing.longest_pause_s, random=random
        )
        self._data = 0
        self.tally = SourceTally(source=FeedSource.STREAM, name=name)

    async def run(self) -> None:
        """Listen until cancelled."""
        async with self._open_session() as session:
            while True:
                try:
                    await self._connection(session)
                except (aiohttp.ClientError, PolybotError, OSError, TimeoutError):
                    self.tally.rejected["connection-failed"] += 1
                finally:
                    self.tally.is_connected = False
                await asyncio.sleep(self._backoff.next_s())

    async def _connection(self, session: aiohttp.ClientSession) -> None:
        async with asyncio.timeout(self._timing.connect_s):
            socket = await session.ws_connect(
                self._url,
                max_msg_size=self._max_frame_bytes,
                timeout=aiohttp.ClientWSTimeout(ws_close=self._timing.close_s),
                decode_text=False,
            )
            await socket.send_str(SUBSCRIPTION)
        self.tally.connects += 1
        self.tally.is_connected = True
        self._on_gap()
        companions = [
            asyncio.create_task(keep_pinging(socket, self._timing.ping_s)),
            asyncio.create_task(self._watch(socket)),
        ]
        try:
            await self._listen(socket)
        finally:
            for task in companions:
                task.cancel()
            await asyncio.gather(*companions, return_exceptions=True)
            await socket.close()

    async def _listen(self, socket: Socket) -> None:
        """Read frames until the connection ends."""
        loop = asyncio.get_running_loop()
        tally, read, now = self.tally, self._reader.read, self._now
        is_hurried, began = False, loop.time()
        while True:
            message = await socket.receive()
            if message.type is not aiohttp.WSMsgType.TEXT:
                if self._is_over(socket, message.type):
                    return
                continue
            frame = message.data
            tally.messages += 1
            if is_hurried and self._reader.names_nobody(frame):
                tally.shed += 1
            elif outcomes := read(frame, now):
                if self._take(outcomes):
                    # An order made of it leaves now, not after everything that the buffer holds.
                    await asyncio.sleep(0)
            elif len(frame) > _SMALL_TALK_BYTES:
                self._data += 1
            if not tally.messages % _BATCH:
                ended = loop.time()
                is_hurried, began = ended - began < _PRESSURE_S, ended
                # A full buffer never makes anybody wait, and the others want to run too.
                await asyncio.sleep(0)

    def _take(self, outcomes: tuple[Outcome, ...]) -> bool:
        """Tell what a frame says of followed wallets, and count what could not be taken.

        Returns:
            Whether a trade was told.
        """
        has_told = False
        for outcome in outcomes:
            if isinstance(outcome, LeaderTrade):
                self._data += 1
                self.tally.followed += 1
                self._tell(outcome, self.tally)
                has_told = True
            elif isinstance(outcome, NotTaken):
                self.tally.rejected[outcome.reason] += 1
        return has_told

    def _is_over(self, socket: Socket, kind: aiohttp.WSMsgType) -> bool:
        """Count a message that is no text; whether it was the last one."""
        if kind is aiohttp.WSMsgType.BINARY:
            self.tally.messages += 1
            self.tally.rejected["frame-binary"] += 1
            return False
        if socket.close_code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG:
            self.tally.rejected["frame-too-big"] += 1
        elif kind is aiohttp.WSMsgType.ERROR:
            self.tally.rejected["frame-broken"] += 1
        return True

    async def _watch(self, socket: Socket) -> None:
        """Subscribe again after one silence, and give the connection up after the next."""
        look_s = self._timing.silence_s / _LOOKS
        quiet, is_asked_again, last = 0, False, self._data
        with suppress(aiohttp.ClientError, OSError):
            while True:
                await asyncio.sleep(look_s)
                if self._data != last:
                    last, quiet = self._data, 0
                    self._backoff.succeed()
                    self.tally.last_heard_at = self._now()
                    if is_asked_again:
                        is_asked_again = False
                        self._on_gap()
                    continue
                quiet += 1
                if quiet >= _LOOKS - 1:
                    self.tally.freezes += 1
                    self._on_gap()
                    if is_asked_again:
                        await socket.close()
                        return
                    is_asked_again, quiet = True, 0
                    await socket.send_str(SUBSCRIPTION)
