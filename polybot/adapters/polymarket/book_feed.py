"""Order books of watched tokens from the market socket, read without leaving the process.

A book is told only while it is known to be right: from the venue's own whole book on, through
every change, and until something was missed. Missed is what leaves another touch than the venue
names, what is out of order, malformed, off the tick or crossed, and everything while there is no
connection. Silence proves nothing, because the socket can freeze while it still answers pings: a
quiet token is compared with ``GET /book`` every few seconds, and how fresh a book is says how
long ago it was last proved right.

Sources: docs.polymarket.com/market-data/websocket/market-channel (2026-11-22);
github.com/Polymarket/py-clob-client/issues/292 (frozen sockets that still answer);
github.com/nautechsystems/nautilus_trader/issues/2915 (more than 500 tokens on one socket).
"""

import asyncio
import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from random import Random
from typing import Final

import aiohttp

from polybot.adapters.polymarket.book_feed_check import (
    BookCheck,
    BookCounts,
    BookTiming,
    Life,
    ReadBook,
    Watched,
)
from polybot.adapters.polymarket.book_feed_frames import (
    BookEvent,
    BookShown,
    LevelsChanged,
    NotTaken,
    TickChanged,
    read_frame,
)
from polybot.adapters.sockets import Backoff, keep_pinging
from polybot.adapters.web import open_session
from polybot.domain.books import BookFeedHealth, OrderBook
from polybot.domain.markets import OutcomeTokenId
from polybot.errors import DataError, PolybotError

MAX_TOKENS: Final = 499
"""Beyond, the venue silently stops telling anything."""
# An event stamped later than this is of no clock that can be right.
_MAX_AHEAD: Final = timedelta(seconds=60)
# A book told a moment ago serves again; how fresh it is may be understated by so much.
_TOLD_ANEW: Final = timedelta(seconds=1)
_CONNECT_TIMEOUT_S: Final = 10.0
_CLOSE_TIMEOUT_S: Final = 1.0
# Frames between two turns for everybody else on the event loop.
_BATCH: Final = 64


class PolymarketBookFeed:
    """One market socket that reconnects by itself."""

    def __init__(
        self,
        url: str,
        *,
        read_book: ReadBook,
        now: Callable[[], datetime],
        timing: BookTiming | None = None,
        random: Random | None = None,
        max_frame_bytes: int = 1 << 20,
    ) -> None:
        """Keep where the socket is; nothing is opened before ``run``.

        Args:
            url: ``wss://…/ws/market``.
            read_book: ``GET /book``; a quiet book may be hours old, so it must not refuse old ones.
            now: The clock; it must answer without waiting.
            timing: Pings, comparisons, pauses.
            random: Spreads the pauses, so that many bots do not return at once.
            max_frame_bytes: Longest frame; a longer one ends the connection.
        """
        self._url = url
        self._now = now
        self._timing = timing or BookTiming()
        self._backoff = Backoff(
            first_s=self._timing.first_pause_s,
            longest_s=self._timing.longest_pause_s,
            random=random or Random(),  # noqa: S311 - spreads load, hides nothing
        )
        self._max_frame_bytes = max_frame_bytes
        self._watched: dict[OutcomeTokenId, Watched] = {}
        self._changed = asyncio.Event()
        self._life = Life()
        self.counts = BookCounts()
        self._check = BookCheck(read_book, now=now, timing=self._timing, counts=self.counts)

    # Reading ------------------------------------------------------------------------------------

    def watch(self, token_ids: Iterable[OutcomeTokenId]) -> None:
        """Set which tokens to watch, also while running; others are forgotten.

        Raises:
            ValueError: More than ``MAX_TOKENS``.
        """
        wanted = dict.fromkeys(token_ids)
        if len(wanted) > MAX_TOKENS:
            raise ValueError(f"at most {MAX_TOKENS} tokens can be watched, were {len(wanted)}")
        if wanted.keys() == self._watched.keys():
            return
        self._watched = {token: self._watched.get(token) or Watched(token) for token in wanted}
        self._changed.set()

    def book(self, token_id: OutcomeTokenId) -> OrderBook | None:
        """Return a token's book, ``None`` where it is not known.

        ``as_of`` is when it was last proved right: by an event of the connection, or by
        ``GET /book``.
        """
        watched = self._watched.get(token_id)
        if watched is None or watched.proved_at is None:
            return None
        as_of = watched.proved_at
        if self._life.heard_at is not None and self._life.heard_at > as_of:
            as_of = self._life.heard_at
        return watched.book.book(as_of, at_least=as_of - _TOLD_ANEW)

    def health(self) -> BookFeedHealth:
        """Return how the feed is doing."""
        counts = self.counts
        return BookFeedHealth(
            is_connected=counts.is_connected,
            watched=len(self._watched),
            known=sum(
                one.proved_at is not None and one.book.is_known for one in self._watched.values()
            ),
            reconnects=max(0, counts.connects - 1),
            frames=counts.frames,
            agreements=counts.agreements,
            gaps=counts.gaps,
            freezes=counts.freezes,
            rejected=dict(counts.rejected),
        )

    # The connection -----------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the books until cancelled; reconnects by itself."""
        async with open_session(timeout_s=_CONNECT_TIMEOUT_S) as session:
            while True:
                while not self._watched:
                    self._changed.clear()
                    await self._changed.wait()
                try:
                    await self._connection(session)
                except (aiohttp.ClientError, PolybotError, OSError, TimeoutError):
                    self.counts.rejected["connection-failed"] += 1
                finally:
                    self._forget_everything()
                await asyncio.sleep(self._backoff.next_s())

    async def _connection(self, session: aiohttp.ClientSession) -> None:
        async with asyncio.timeout(_CONNECT_TIMEOUT_S):
            socket = await session.ws_connect(
                self._url,
                max_msg_size=self._max_frame_bytes,
                timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_TIMEOUT_S),
            )
            told = sorted(self._watched)
            await socket.send_str(json.dumps({"type": "market", "assets_ids": told}))
        self._life = Life(alive_s=asyncio.get_running_loop().time())
        companions = [
            asyncio.create_task(keep_pinging(socket, self._timing.ping_s)),
            asyncio.create_task(self._follow_changes(socket, set(told))),
            asyncio.create_task(self._watch_over(socket)),
        ]
        try:
            self.counts.connects += 1
            self.counts.is_connected = True
            await self._listen(socket)
        finally:
            for task in companions:
                task.cancel()
            await asyncio.gather(*companions, return_exceptions=True)
            await socket.close()

    def _forget_everything(self) -> None:
        self.counts.is_connected = False
        self._life = Life()
        for watched in self._watched.values():
            watched.book.forget()
            watched.proved_at = None

    async def _follow_changes(
        self, socket: aiohttp.ClientWebSocketResponse, told: set[OutcomeTokenId]
    ) -> None:
        """Subscribe to other tokens once others are watched."""
        with suppress(aiohttp.ClientError, OSError):
            while True:
                self._changed.clear()
                wanted = set(self._watched)
                for verb, tokens in (("unsubscribe", told - wanted), ("subscribe", wanted - told)):
                    if tokens:
                        message = {"operation": verb, "assets_ids": sorted(tokens)}
                        await socket.send_str(json.dumps(message))
                told = wanted
                await self._changed.wait()

    async def _watch_over(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Give the connection up once it is frozen."""
        await self._check.run(lambda: tuple(self._watched.values()), self._life)
        self.counts.freezes += 1
        with suppress(aiohttp.ClientError, OSError):
            await socket.close()

    async def _listen(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Read frames until the connection ends."""
        while True:
            message = await socket.receive(timeout=self._timing.quiet_s)
            if message.type is aiohttp.WSMsgType.TEXT:
                self.counts.frames += 1
                self.take(message.data)
            elif message.type is aiohttp.WSMsgType.BINARY:
                self.counts.frames += 1
                self.counts.rejected["frame-binary"] += 1
            else:
                if socket.close_code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG:
                    self.counts.rejected["frame-too-big"] += 1
                return
            if not self.counts.frames % _BATCH:
                # A full buffer never makes anybody wait, and the others want to run too.
                await asyncio.sleep(0)

    # Events -------------------------------------------------------------------------------------

    def take(self, text: str) -> None:
        """Take in one text frame; whatever it holds, nothing is raised."""
        for event in read_frame(text):
            try:
                self._take_event(event)
            except DataError as error:
                self.counts.rejected[error.reason] += 1
                self.counts.gaps += 1

    def _take_event(self, event: BookEvent) -> None:
        watched = None if event.token_id is None else self._watched.get(event.token_id)
        if isinstance(event, NotTaken):
            self.counts.rejected[event.reason] += 1
            if watched is not None and watched.book.is_known:
                # What it said of the book is lost.
                watched.book.forget()
                self.counts.gaps += 1
            return
        if watched is None:
            self.counts.rejected["token-not-watched"] += 1
            return
        now = self._now()
        if event.stamped_at > now + _MAX_AHEAD:
            watched.book.forget()
            raise DataError("event is of the future", reason="event-from-the-future")
        if isinstance(event, BookShown):
            is_answer = not watched.book.is_known
            watched.book.show(event)
            if is_answer:
                # The answer to a subscription is of now, however long ago the book last changed.
                watched.proved_at = now
        elif isinstance(event, LevelsChanged):
            watched.book.change(event)
        elif isinstance(event, TickChanged):
            watched.book.change_tick(event.tick_size, event.stamped_at)
        self._note_life(min(now, event.stamped_at))

    def _note_life(self, at: datetime) -> None:
        life = self._life
        life.events += 1
        life.alive_s = asyncio.get_running_loop().time()
        if life.heard_at is None or at > life.heard_at:
            life.heard_at = at
        self._backoff.succeed()
