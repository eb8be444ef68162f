"""The real-time stream over the wire: ``/rtds``.

It speaks as the venue's does: subscriptions, ``PING`` as text, no sequence, no replay, and a
subscription that lapses without a word from clients that never ping.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Final, Protocol

import msgspec
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from polybot.sandbox.cutting import release, transport_of
from polybot.sandbox.fault_plan import FaultPlan
from polybot.sandbox.leaders import wording
from polybot.sandbox.leaders.delivery import Delivery
from polybot.sandbox.leaders.events import Entry, WalletTrade
from polybot.sandbox.leaders.noise import Noise
from polybot.sandbox.leaders.pump import Pump
from polybot.sandbox.leaders.stage import LeaderStage
from polybot.sandbox.leaders.subscriptions import Subscriptions
from polybot.sandbox.seeds import digest

_CHANNEL: Final = "/rtds"
_TELLS: Final = 30_000
"""A trade that is older when a client subscribes has been told already [ms]."""
_MUTE_AFTER_S: Final = 360
"""Without a ping for so long the stream goes mute [s, real]."""
_BEHIND_BYTES: Final = 4 << 20
"""A reader that is so far behind hears no noise until it has caught up."""
_CLOSED_BYTES: Final = 256 << 20
"""One that is so far behind is closed."""
_MOST_NOISE_MS: Final = 2_000
_TICK_S: Final = 0.005


class _Transport(Protocol):
    def write(self, data: bytes) -> None: ...
    def is_closing(self) -> bool: ...
    def get_write_buffer_size(self) -> int: ...


@dataclass(slots=True, eq=False)
class _Connection:
    name: str
    transport: _Transport
    delivery: Delivery
    pinged_s: float
    subscriptions: Subscriptions = field(default_factory=Subscriptions)
    noise_ms: int = 0
    noise_sent: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class RtdsRoutes:
    """Every connection of the stream over one stage."""

    def __init__(self, stage: LeaderStage, plan: FaultPlan) -> None:
        """Take whose trades are told, and what goes wrong with them."""
        self._stage = stage
        self._plan = plan
        self._connections: list[_Connection] = []
        self._count = 0
        self._told = 0
        self._recorded_ms = 0
        self._noises: dict[str, Noise] = {}
        self._pump = Pump(
            stage,
            self._turn,
            self._next_due_ms,
            look_s=lambda: _TICK_S if stage.options.noise else 10 * _TICK_S,
        )
        self.noise_sent = 0
        """Messages about nobody in particular, over all connections."""
        self.shed = 0
        """Those that were not sent because their reader was behind."""

    def routes(self) -> list[WebSocketRoute]:
        """Return the stream's route."""
        return [WebSocketRoute(_CHANNEL, self.serve)]

    def close(self) -> None:
        """End every connection, so that the server can stop."""
        for one in self._connections:
            one.ended.set()

    def freeze(self, duration_ms: int) -> int:
        """Silence every connection from now on; return how many."""
        now_ms = self._stage.advance()
        self._turn()
        for one in self._connections:
            one.delivery.freeze(now_ms, duration_ms)
        return len(self._connections)

    def lapse(self) -> int:
        """Forget every subscription until it is made anew; return how many connections."""
        now_ms = self._stage.advance()
        self._turn()
        for one in self._connections:
            one.delivery.lapse(now_ms)
        return len(self._connections)

    def wake(self) -> None:
        """Look now whether there is something to send."""
        self._pump.wake()

    def summary(self) -> dict[str, int]:
        """Return how many listen, and what was sent about nobody in particular."""
        return {
            "connections": len(self._connections),
            "connections_ever": self._count,
            "noise_sent": self.noise_sent,
            "noise_shed": self.shed,
        }

    def end(self) -> int:
        """Close every connection; return how many."""
        self.close()
        return len(self._connections)

    async def serve(self, socket: WebSocket) -> None:
        """Tell one client of everybody's trades."""
        await socket.accept()
        transport = transport_of(socket.client)
        if transport is None:
            await socket.close(1011)
            return
        self._count += 1
        self._hear_on()
        connection = _Connection(
            name=digest("connection", self._stage.venue.seed, self._count, size=9).hex() + "=",
            transport=transport,
            delivery=Delivery(_CHANNEL, self._plan, self._count),
            pinged_s=asyncio.get_running_loop().time(),
            noise_ms=self._stage.advance(),
        )
        self._connections.append(connection)
        self._pump.start()
        reader = asyncio.ensure_future(self._read(socket, connection))
        ended = asyncio.ensure_future(connection.ended.wait())
        try:
            await asyncio.wait((reader, ended), return_when=asyncio.FIRST_COMPLETED)
            if not reader.done():
                await socket.close(1001)
        except (WebSocketDisconnect, RuntimeError):
            # The client went away between two frames.
            return
        finally:
            reader.cancel()
            ended.cancel()
            self._connections.remove(connection)
            self._pump.stop()
            release(socket.client)

    async def _read(self, socket: WebSocket, connection: _Connection) -> None:
        try:
            while True:
                text = await socket.receive_text()
                if text == "PING":
                    connection.pinged_s = asyncio.get_running_loop().time()
                    # Whoever hears the answer has heard everything that was due before.
                    self._turn()
                    await socket.send_text("PONG")
                elif text.strip():
                    await self._change(socket, connection, text)
        except (WebSocketDisconnect, RuntimeError, KeyError):
            # Gone, or it sent bytes, which the venue does not take either.
            return

    async def _change(self, socket: WebSocket, connection: _Connection, text: str) -> None:
        self._turn()
        was_deaf = not connection.subscriptions.active
        action = connection.subscriptions.change(text)
        if action is None:
            refusal = {"message": "Invalid request body", "connectionId": connection.name}
            await socket.send_text(msgspec.json.encode(refusal).decode())
            return
        if action == "subscribe":
            now_ms = self._stage.advance()
            connection.delivery.renew(now_ms)
            connection.noise_ms = now_ms
            connection.pinged_s = asyncio.get_running_loop().time()
            # The venue confirms with nothing at all: an empty frame.
            await socket.send_text("")
            if was_deaf:
                self._tell_recent(connection, now_ms)
        self._pump.wake()

    # Turns --------------------------------------------------------------------------------------
    def _hear_on(self) -> None:
        """Skip what happened while nobody listened."""
        if not self._connections:
            self._stage.advance()
            self._told = len(self._stage.notices)
            self._recorded_ms = self._stage.venue.clock.now_ms()

    def _turn(self) -> None:
        """Offer what is new to every connection, and send what is due."""
        now_ms = self._stage.advance()
        notices = self._stage.notices
        while self._told < len(notices):
            notice = notices[self._told]
            self._told += 1
            if notice.kind == "made":
                for connection in self._connections:
                    self._offer(connection, notice.entry)
        self._offer_recorded(now_ms)
        mute_s = asyncio.get_running_loop().time() - _MUTE_AFTER_S
        for connection in self._connections:
            self._send(connection, now_ms, mute_s)

    def _offer_recorded(self, now_ms: int) -> None:
        """Offer recorded frames about other things to whoever listens at all."""
        recording, after_ms = self._stage.recording, self._recorded_ms
        self._recorded_ms = now_ms
        if recording is None:
            return
        for at_ms, text in recording.frames_between(after_ms, now_ms):
            for connection in self._connections:
                if connection.subscriptions.active:
                    connection.delivery.offer(wording.text_frame(text.encode()), at_ms)

    def _tell_recent(self, connection: _Connection, now_ms: int) -> None:
        """Offer what has happened but was not due yet when a client subscribed."""
        for entry in reversed(self._stage.entries):
            if entry.event.at_ms < now_ms - _TELLS:
                return
            if entry.stream_ms > now_ms:
                self._offer(connection, entry)

    def _offer(self, connection: _Connection, entry: Entry) -> None:
        trade = entry.event
        if entry.is_unheard or not isinstance(trade, WalletTrade):
            return
        for kind in connection.subscriptions.fitting(trade):
            message = wording.stream_message(
                trade, kind=kind, connection_id=connection.name, sent_ms=entry.stream_ms
            )
            connection.delivery.offer(wording.json_frame(message), entry.stream_ms)

    def _send(self, connection: _Connection, now_ms: int, mute_s: float) -> None:
        transport, delivery = connection.transport, connection.delivery
        if transport.is_closing():
            return
        if connection.pinged_s < mute_s:
            delivery.lapse(now_ms)
        behind = transport.get_write_buffer_size()
        noise = self._noise(connection, now_ms, behind)
        frames = delivery.take(now_ms)
        if noise or frames:
            transport.write(b"".join((*frames, noise)))
        if delivery.is_closed or behind > _CLOSED_BYTES:
            connection.ended.set()

    def _noise(self, connection: _Connection, now_ms: int, behind: int) -> bytes:
        rate, kinds = self._stage.options.noise, connection.subscriptions.of_everything()
        if not rate:
            return b""
        # After a jump of the clock, no flood about times that are over.
        longest_ms = max(_MOST_NOISE_MS, int(1000 / rate))
        since_ms = max(connection.noise_ms, now_ms - longest_ms)
        count = int(rate * (now_ms - since_ms) / 1000)
        if not count:
            return b""
        connection.noise_ms = since_ms + int(count * 1000 / rate)
        if not kinds or connection.delivery.is_silent(now_ms):
            return b""
        if behind > _BEHIND_BYTES:
            self.shed += count
            return b""
        first = connection.noise_sent
        connection.noise_sent += count
        self.noise_sent += count
        share = -(-count // len(kinds))
        return b"".join(self._noise_of(kind).take(first, share, now_ms) for kind in kinds)

    def _noise_of(self, kind: str) -> Noise:
        noise = self._noises.get(kind)
        if noise is None:
            known = tuple(one.address for one in self._stage.leaders)
            noise = self._noises[kind] = Noise(self._stage.venue.seed, kind, known)
        return noise

    def _next_due_ms(self) -> int | None:
        known = (one.delivery.next_due_ms() for one in self._connections)
        return min((one for one in known if one is not None), default=None)
