"""The user socket: an accelerator that says when its reader must read everything again."""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from random import Random
from typing import Any

import pytest
from aiohttp import WSMsgType, web

from polybot.adapters.polymarket.user_stream import (
    OrderSeen,
    Reconnected,
    StreamTiming,
    TradesSeen,
    Unreadable,
    UserEvent,
    UserStream,
)
from polybot.adapters.sockets import Backoff
from polybot.domain.venue_account import VenueOrderStatus
from polybot.errors import PermanentError
from tests.live_desk import CREDENTIALS, FUNDER, LiveDesk, live_desk, order_row, trade_row
from tests.scripted_server import Answer
from tests.shared_data import require

Script = Callable[[web.WebSocketResponse, dict[str, Any]], Awaitable[None]]
# Quick enough for a test, with nothing left to chance: each watchdog is the only one that can act.
QUICK = StreamTiming(
    ping_s=0.01, silence_s=5, data_silence_s=60, first_pause_s=0.001, longest_pause_s=0.002
)


def socket(script: Script) -> Answer:
    """Answer with a WebSocket that reads the login first."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.WebSocketResponse(max_msg_size=1 << 20)
        await response.prepare(request)
        await script(response, json.loads(await response.receive_str()))
        return response

    return answer


async def answer_pings(response: web.WebSocketResponse) -> None:
    """Behave like a healthy, quiet socket until the client goes."""
    async for message in response:
        if message.type is WSMsgType.TEXT and message.data == "PING":
            await response.send_str("PONG")


def tells(*frames: str | dict[str, Any] | list[Any] | bytes) -> Answer:
    """Send frames, then stay healthy and quiet."""

    async def script(response: web.WebSocketResponse, login: dict[str, Any]) -> None:
        for frame in frames:
            if isinstance(frame, bytes):
                await response.send_bytes(frame)
            else:
                await response.send_str(frame if isinstance(frame, str) else json.dumps(frame))
        await answer_pings(response)

    return socket(script)


def closes(code: int = 1001) -> Answer:
    """Take the login and hang up."""

    async def script(response: web.WebSocketResponse, login: dict[str, Any]) -> None:
        await response.close(code=code)

    return socket(script)


def listen(
    desk: LiveDesk, timing: StreamTiming = QUICK, **options: Any
) -> AsyncGenerator[UserEvent, None]:
    url = desk.server.url.replace("http", "ws") + "/ws/user"
    stream = UserStream(url, desk.client, funder=FUNDER, timing=timing, random=Random(7), **options)
    return stream.events()


async def first(events: AsyncGenerator[UserEvent, None], count: int) -> list[UserEvent]:
    found: list[UserEvent] = []
    async with aclosing(events):
        async for event in events:
            found.append(event)
            if len(found) == count:
                break
    return found


async def test_login_is_the_first_frame_and_names_the_markets(tmp_path: Path) -> None:
    """The credentials whole, as the venue wants them."""
    logins: list[dict[str, Any]] = []

    async def script(response: web.WebSocketResponse, login: dict[str, Any]) -> None:
        logins.append(login)
        await answer_pings(response)

    async with live_desk(tmp_path) as desk:
        desk.server.on("/ws/user", socket(script))
        assert await first(listen(desk, condition_ids=["0xc0"]), 1) == [Reconnected(is_first=True)]
    assert logins == [{"type": "user", "auth": CREDENTIALS, "markets": ["0xc0"]}]


async def test_events_are_typed(tmp_path: Path) -> None:
    """Orders and trades; single frames and lists; other kinds are not ours."""
    async with live_desk(tmp_path) as desk:
        prepared = desk.prepare()
        order = {"event_type": "order", "type": "PLACEMENT", **order_row(prepared)}
        killed = {
            **order,
            "type": "CANCELLATION",
            "status": "CANCELED_FAK killed",
            "size_matched": "",
        }
        trade = {"event_type": "trade", "type": "TRADE", **trade_row(prepared, ("0.51", "6"))}
        desk.server.on("/ws/user", tells(order, [killed, {"event_type": "news"}], trade, "\n"))
        _, placed, cancelled, seen = await first(listen(desk), 4)
    assert isinstance(placed, OrderSeen)
    assert placed.order.order_id == prepared.order_id
    assert isinstance(cancelled, OrderSeen)
    assert cancelled.order.status is VenueOrderStatus.CANCELED
    assert isinstance(seen, TradesSeen)
    assert [one.order_id for one in seen.found.trades] == [prepared.order_id]


@pytest.mark.parametrize(
    "frame",
    [
        "{",
        "null",
        '"text"',
        "[1]",
        '{"event_type":"trade"}',
        '{"event_type":"order","id":1}',
        '{"event_type":"order","event_type":"order"}',
        b"\x00\x01",
        "[" * 5000,
    ],
)
async def test_frame_that_cannot_be_read_asks_for_a_re_read(
    tmp_path: Path, frame: str | bytes
) -> None:
    """Never dropped in silence; the socket goes on."""
    async with live_desk(tmp_path) as desk:
        order = {"event_type": "order", **order_row(desk.prepare())}
        desk.server.on("/ws/user", tells(frame, order))
        _, unreadable, after = await first(listen(desk), 3)
    assert isinstance(unreadable, Unreadable)
    assert isinstance(after, OrderSeen)


async def test_every_reconnection_says_so(tmp_path: Path) -> None:
    """Nothing is replayed: what happened in between must be read."""
    async with live_desk(tmp_path) as desk:
        order = {"event_type": "order", **order_row(desk.prepare())}

        async def script(response: web.WebSocketResponse, login: dict[str, Any]) -> None:
            await response.send_str(json.dumps(order))
            await response.close()

        desk.server.on("/ws/user", socket(script), socket(script), tells())
        events = await first(listen(desk), 5)
    kinds = [type(event) for event in events]
    assert kinds == [Reconnected, OrderSeen, Reconnected, OrderSeen, Reconnected]
    markers = [event.is_first for event in events if isinstance(event, Reconnected)]
    assert markers == [True, False, False]


async def test_unreachable_socket_is_tried_again(tmp_path: Path) -> None:
    """An HTTP error, a close before anything, then a socket."""
    async with live_desk(tmp_path) as desk:
        desk.server.on("/ws/user", b"no socket here", closes(), closes(), tells())
        assert await first(listen(desk), 1) == [Reconnected(is_first=True)]


async def test_dead_connection_is_given_up(tmp_path: Path) -> None:
    """Not even a PONG comes back."""

    async def mute(response: web.WebSocketResponse, login: dict[str, Any]) -> None:
        async for _ in response:
            pass

    timing = StreamTiming(
        ping_s=60, silence_s=0.05, data_silence_s=60, first_pause_s=0.001, longest_pause_s=0.002
    )
    async with live_desk(tmp_path) as desk:
        desk.server.on("/ws/user", socket(mute), tells("{}"))
        assert await first(listen(desk, timing), 1) == [Reconnected(is_first=True)]


async def test_frozen_socket_with_live_pings_is_opened_anew(tmp_path: Path) -> None:
    """PONGs are no data; opening it again makes its reader read everything."""
    timing = StreamTiming(
        ping_s=0.01, silence_s=5, data_silence_s=0.05, first_pause_s=0.001, longest_pause_s=0.002
    )
    async with live_desk(tmp_path) as desk:
        desk.server.on("/ws/user", tells())
        events = await first(listen(desk, timing), 3)
    assert [event.is_first for event in events if isinstance(event, Reconnected)] == [
        True,
        False,
        False,
    ]


async def test_oversized_frame_ends_the_connection(tmp_path: Path) -> None:
    """Bounded memory, whatever the other side sends."""
    async with live_desk(tmp_path) as desk:
        desk.server.on("/ws/user", tells("x" * (1 << 20) + "y"), tells())
        assert await first(listen(desk), 1) == [Reconnected(is_first=True)]


async def test_refused_credentials_are_derived_again_once(tmp_path: Path) -> None:
    """Twice refused is a person's to mend."""
    async with live_desk(tmp_path) as desk:
        desk.server.on("/ws/user", closes(1008), tells())
        assert await first(listen(desk), 1) == [Reconnected(is_first=True)]
        assert len(desk.server.asked("/auth/api-key")) == 2
    async with live_desk(tmp_path / "other") as desk:
        desk.server.on("/ws/user", closes(1008))
        with pytest.raises(PermanentError, match="twice"):
            await first(listen(desk), 1)


def test_pauses_grow_and_stay_bounded() -> None:
    """Twice as long each time, spread, at most the longest; from the start after a success."""
    backoff = Backoff(first_s=0.5, longest_s=30, random=Random(1))
    for number in range(12):
        longest = min(0.5 * 2**number, 30)
        assert longest / 2 <= backoff.next_s() <= longest
    backoff.succeed()
    assert backoff.next_s() <= 0.5


async def test_recorded_frames_are_read_or_reported(tmp_path: Path) -> None:
    """Frames of July 2026: orders with their odd ids are reported, trades are read."""
    recorded = json.loads(require("ws", "nautilus_polymarket_fixtures.json").read_text())
    async with live_desk(tmp_path) as desk:
        name = 4 * "1234567890abcdef"
        text = json.dumps([recorded["ws_user_order_msg"], recorded["ws_user_order_fok_killed"]])
        frames = [json.dumps(one) for one in json.loads(text.replace(name + "12", name))]
        desk.server.on("/ws/user", tells(*frames))
        _, placed, killed = await first(listen(desk), 3)
    assert isinstance(placed, OrderSeen)
    assert placed.order.status is VenueOrderStatus.LIVE
    assert isinstance(killed, Unreadable)
