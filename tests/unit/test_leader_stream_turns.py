"""A followed trade gives way to its order at once, whatever else the buffer holds."""

import asyncio
from collections import deque
from random import Random
from types import SimpleNamespace
from typing import Any

import aiohttp

from polybot.adapters.polymarket.leader_feed.frames import FrameReader
from polybot.adapters.polymarket.leader_feed.stream import StreamSource, StreamTiming
from polybot.adapters.polymarket.leader_feed.tally import SourceTally
from polybot.adapters.web import open_session
from polybot.domain.leaders import LeaderTrade
from tests.fakes import FixedClock
from tests.leader_rows import NOW, STRANGER, WALLET, frame, stream_row


class FullBuffer:
    """A socket whose every message is there already: reading it never waits."""

    close_code = None

    def __init__(self, frames: list[bytes]) -> None:
        self.frames = deque(frames)

    async def receive(self) -> SimpleNamespace:
        if self.frames:
            return SimpleNamespace(type=aiohttp.WSMsgType.TEXT, data=self.frames.popleft())
        return SimpleNamespace(type=aiohttp.WSMsgType.CLOSED, data=None)


async def test_what_a_trade_schedules_runs_before_the_next_frame_is_read() -> None:
    noise = [frame(stream_row(number, proxyWallet=STRANGER)) for number in range(50)]
    socket: Any = FullBuffer([*noise, frame(stream_row(1)), *noise])
    left: list[int] = []

    def tell(_trade: LeaderTrade, _tally: SourceTally) -> None:
        asyncio.get_running_loop().call_soon(lambda: left.append(len(socket.frames)))

    reader = FrameReader()
    reader.follow([WALLET])
    source = StreamSource(
        "ws://127.0.0.1:9",
        name="stream-1",
        reader=reader,
        tell=tell,
        on_gap=lambda: None,
        open_session=lambda: open_session(timeout_s=1),
        now=lambda: FixedClock(NOW).instant,
        random=Random(1),
        timing=StreamTiming(),
        max_frame_bytes=1 << 20,
    )
    await source._listen(socket)
    assert left == [50]
