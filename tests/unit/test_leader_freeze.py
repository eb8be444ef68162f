"""How soon a frozen stream is noticed, measured in virtual time with the product's own settings.

The socket stays open and answers every ping; only trades stop coming.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from polybot.adapters.polymarket.leader_feed import FeedSources, PolymarketLeaderFeed, StreamTiming
from polybot.domain.leaders import LeaderAddress, LeaderEvent, SourceHealth
from tests.leader_rows import TRADED_S, WALLET, frame, stream_row
from tests.simulation.memory_server import MemoryServer, memory_for_sockets
from tests.simulation.virtual import VirtualLoop, VirtualTime

SETTING_S = StreamTiming().silence_s
# Somebody else's trade: any trade shows that the stream lives.
NOISE = frame(stream_row(1, proxyWallet="0x" + 40 * "9"))
STEP_S = 0.01
# The last trade is on its way to us, and our question on its way back.
THERE_AND_BACK_S = 0.04


class FrozenVenue:
    """A stream that answers pings for ever, and tells only what the test tells."""

    def __init__(self) -> None:
        self.time = VirtualTime(TRADED_S)
        self.sockets: list[WebSocket] = []
        self.pings = 0
        self.subscribed_s: list[float] = []
        """When it was asked to tell trades."""
        self.connections = 0
        self.feed = PolymarketLeaderFeed(
            FeedSources(stream_url="ws://venue.test/rtds", data_url=None, stream_connections=1),
            now=self.time.now,
        )
        self.told: list[LeaderEvent] = []

    async def serve(self, socket: WebSocket) -> None:
        await socket.accept()
        self.connections += 1
        self.sockets = [socket]
        try:
            while True:
                text = await socket.receive_text()
                if text == "PING":
                    self.pings += 1
                    await socket.send_text("PONG")
                else:
                    assert json.loads(text)["action"] == "subscribe"
                    self.subscribed_s.append(self.time.elapsed_s)
        except WebSocketDisconnect:
            return

    async def send(self, data: bytes) -> float:
        """Tell one frame; return when it was [s]."""
        (socket,) = self.sockets
        await socket.send_text(data.decode())
        return self.time.elapsed_s

    def health(self) -> SourceHealth:
        (health,) = self.feed.health()
        return health

    async def until(self, is_true: Callable[[], bool], *, at_most_s: float) -> None:
        """Let time pass until something holds, or for the most that may pass."""
        async with asyncio.timeout(at_most_s):
            while not is_true():  # noqa: ASYNC110 - virtual time has to pass
                await asyncio.sleep(STEP_S)

    async def subscribed(self, times: int) -> float:
        """Wait until it was asked so often; return when it was [s]."""
        await self.until(lambda: len(self.subscribed_s) >= times, at_most_s=60)
        return self.subscribed_s[times - 1]


def played(story: Callable[[FrozenVenue], Awaitable[None]]) -> FrozenVenue:
    """Play a story in virtual time, from the moment when the stream is heard."""
    venue = FrozenVenue()
    app = Starlette(routes=[WebSocketRoute("/rtds", venue.serve)])
    server = MemoryServer(app)

    async def play() -> None:
        venue.feed.follow({LeaderAddress(WALLET): venue.time.now()})
        listening = asyncio.create_task(venue.feed.run(venue.told.append))
        await venue.subscribed(1)
        await story(venue)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)

    loop = VirtualLoop(venue.time)
    asyncio.set_event_loop(loop)
    try:
        with memory_for_sockets(server):
            loop.run_until_complete(play())
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    return venue


@pytest.mark.parametrize("offset_s", [0.0, 0.01, 0.33, 0.5, 0.97, 0.98, 0.99, 1.0, 7.31])
def test_freeze_is_noticed_within_fifteen_seconds(offset_s: float) -> None:
    """Wherever the last trade falls between two looks; boundary: not a look later."""
    noticed: list[float] = []

    async def story(venue: FrozenVenue) -> None:
        await asyncio.sleep(offset_s)
        last_s = await venue.send(NOISE)
        noticed.append(await venue.subscribed(2) - last_s - THERE_AND_BACK_S)

    venue = played(story)
    assert SETTING_S == 15.0
    # Sums of floats are off by less than a microsecond.
    assert 13.0 <= noticed[0] <= SETTING_S + 1e-6
    assert venue.health().freezes == 1
    assert venue.pings >= 2


def test_stream_that_never_spoke_is_noticed_as_well() -> None:
    async def story(venue: FrozenVenue) -> None:
        assert await venue.subscribed(2) - await venue.subscribed(1) <= SETTING_S

    assert played(story).health().freezes == 1


def test_first_silence_subscribes_again_and_the_second_connects_anew() -> None:
    """Both within the setting, both counted."""

    async def story(venue: FrozenVenue) -> None:
        last_s = await venue.send(NOISE)
        again_s = await venue.subscribed(2)
        assert again_s - last_s - THERE_AND_BACK_S <= SETTING_S
        assert venue.connections == 1
        await venue.until(lambda: venue.health().freezes == 2, at_most_s=SETTING_S)
        await venue.until(lambda: venue.health().reconnects == 1, at_most_s=5)

    venue = played(story)
    assert venue.health().freezes == 2
    assert venue.health().reconnects == 1


def test_stream_that_speaks_again_is_heard_and_counts_anew() -> None:
    async def story(venue: FrozenVenue) -> None:
        await venue.until(lambda: venue.health().freezes == 1, at_most_s=60)
        await venue.send(frame(stream_row(2)))
        await venue.until(lambda: bool(venue.told), at_most_s=1)
        last_s = venue.time.elapsed_s
        assert 12.0 <= await venue.subscribed(3) - last_s <= SETTING_S
        assert venue.health().freezes == 2

    venue = played(story)
    assert len(venue.told) == 1
    assert venue.connections == 1


def test_quiet_stream_is_not_taken_for_a_frozen_one() -> None:
    """Boundary: a trade every thirteen seconds, for an hour."""

    async def story(venue: FrozenVenue) -> None:
        for _ in range(277):
            await venue.send(NOISE)
            await asyncio.sleep(13.0)

    venue = played(story)
    assert venue.health().freezes == 0
    assert venue.connections == 1
    assert venue.pings >= 700


def test_answers_to_pings_are_no_sign_of_life() -> None:
    """Ten minutes of nothing else: a freeze at least every fifteen seconds of it."""

    async def story(venue: FrozenVenue) -> None:
        await asyncio.sleep(600)

    venue = played(story)
    assert venue.health().freezes >= 20
    assert venue.pings >= 60
