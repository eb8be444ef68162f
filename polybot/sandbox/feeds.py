"""What the two sockets say, without sockets: frames that are due at a virtual instant.

Planned faults act here: frames come late, twice, out of order or never, or the feed falls silent
while whoever carries it still answers pings. Nothing is ever replayed.
"""

import heapq
from collections.abc import Callable
from decimal import Decimal

from polybot.domain.markets import Outcome
from polybot.domain.money import text_of
from polybot.sandbox import clob
from polybot.sandbox.exchange.events import UserEvent
from polybot.sandbox.exchange.matching import MatchingExchange
from polybot.sandbox.exchange.views import Json
from polybot.sandbox.injector import FaultInjector

# Reordered frames wait for the next one, but not for ever.
_REORDER_MS = 2_000


class _Frames:
    """Frames by the instant they are due, with the faults of one channel."""

    def __init__(self, channel: str, injector: FaultInjector | None) -> None:
        self._channel = channel
        self._injector = injector
        self._queue: list[tuple[int, int, Json]] = []
        self._held: list[Json] = []
        self._count = 0
        self._frozen_until_ms = 0
        self.is_closed = False

    def push(self, frame: Json, at_ms: int) -> None:
        """Send a frame, as well as the plan lets it."""
        fault = self._injector.on_event(self._channel) if self._injector else None
        kind = "" if fault is None else fault.kind
        if fault is not None and kind == "socket-frozen":
            self._frozen_until_ms = at_ms + fault.duration_s * 1000
        if kind == "socket-closed":
            self.is_closed = True
        if at_ms < self._frozen_until_ms or self.is_closed or kind == "event-lost":
            return
        if fault is not None and kind == "event-late":
            self._add(frame, at_ms + fault.delay_ms)
        elif kind == "event-reordered":
            self._held.append(frame)
            # Sent at last even where no other frame follows.
            self._add(frame, at_ms + _REORDER_MS)
        else:
            self._add(frame, at_ms)
            if kind == "event-duplicated":
                self._add(frame, at_ms)
            self._release(at_ms)

    def take(self, now_ms: int) -> list[Json]:
        """Return the frames that are due, in the order they go out."""
        due = []
        while self._queue and self._queue[0][0] <= now_ms:
            due.append(heapq.heappop(self._queue)[2])
        return due

    def _release(self, at_ms: int) -> None:
        """Send what was held back, now that a later frame has gone before it."""
        for frame in self._held:
            waiting = [entry for entry in self._queue if entry[2] is frame]
            if waiting:
                self._queue.remove(waiting[0])
                heapq.heapify(self._queue)
                self._add(frame, at_ms)
        self._held.clear()

    def _add(self, frame: Json, due_ms: int) -> None:
        self._count += 1
        heapq.heappush(self._queue, (due_ms, self._count, frame))


class UserFeed:
    """One subscription of the user socket."""

    def __init__(
        self,
        exchange: MatchingExchange,
        owner: str,
        *,
        condition_ids: frozenset[str] = frozenset(),
        injector: FaultInjector | None = None,
        on_push: Callable[[], None] = lambda: None,
    ) -> None:
        """Listen from now on.

        Args:
            exchange: Whose events.
            owner: The API key that subscribed.
            condition_ids: Only these markets; empty for all.
            injector: The planned faults.
            on_push: Called when there may be frames to take.
        """
        self._exchange = exchange
        self._owner = owner
        self._condition_ids = condition_ids
        self._on_push = on_push
        self._frames = _Frames("/ws/user", injector)
        exchange.events.add_listener(self._hear)

    @property
    def is_closed(self) -> bool:
        """Whether the connection is to be closed."""
        return self._frames.is_closed

    def take(self) -> list[Json]:
        """Return the frames that are due now."""
        return self._frames.take(self._exchange.advance())

    def close(self) -> None:
        """Stop listening."""
        self._exchange.events.remove_listener(self._hear)

    def _hear(self, event: UserEvent) -> None:
        is_wanted = not self._condition_ids or event.condition_id in self._condition_ids
        if event.owner == self._owner and is_wanted:
            self._frames.push(event.payload, event.at_ms)
            self._on_push()


class MarketFeed:
    """One subscription of the market socket."""

    def __init__(
        self,
        exchange: MatchingExchange,
        *,
        has_custom_features: bool = False,
        injector: FaultInjector | None = None,
    ) -> None:
        """Start without tokens.

        Args:
            exchange: Whose markets.
            has_custom_features: Whether best prices and resolutions are sent too.
            injector: The planned faults.
        """
        self._exchange = exchange
        self._has_custom_features = has_custom_features
        self._frames = _Frames("/ws/market", injector)
        self._shown: dict[str, Json | None] = {}
        self._seen_s = 0

    @property
    def is_closed(self) -> bool:
        """Whether the connection is to be closed."""
        return self._frames.is_closed

    def subscribe(self, token_ids: list[str]) -> list[Json]:
        """Return the books of more tokens, the first frame of a subscription."""
        now_ms = self._exchange.advance()
        self._seen_s = max(self._seen_s, now_ms // 1000)
        books = []
        for token_id in token_ids:
            book = clob.build_book(self._exchange.venue, token_id, now_ms // 1000)
            self._shown[token_id] = book
            if book is not None:
                books.append(_book_event(book))
        return books

    def unsubscribe(self, token_ids: list[str]) -> None:
        """Stop telling of some tokens."""
        for token_id in token_ids:
            self._shown.pop(token_id, None)

    def take(self) -> list[Json]:
        """Return the frames that are due now: what has changed since the last call."""
        now_ms = self._exchange.advance()
        first_s, self._seen_s = self._seen_s + 1, max(self._seen_s, now_ms // 1000)
        for token_id, shown in list(self._shown.items()):
            self._tell(token_id, shown, first_s, now_ms)
        return self._frames.take(now_ms)

    def _tell(self, token_id: str, shown: Json | None, first_s: int, now_ms: int) -> None:
        venue, at_s = self._exchange.venue, now_ms // 1000
        book = clob.build_book(venue, token_id, at_s)
        self._shown[token_id] = book
        if shown is None:
            return
        if book is None:
            self._tell_resolved(token_id, at_s, now_ms)
            return
        if book["tick_size"] != shown["tick_size"]:
            change = {
                "event_type": "tick_size_change",
                "market": book["market"],
                "asset_id": token_id,
                "old_tick_size": shown["tick_size"],
                "new_tick_size": book["tick_size"],
                "timestamp": str(now_ms),
            }
            self._frames.push(change, now_ms)
        changes = _changes(shown, book)
        if changes:
            self._frames.push(
                {
                    "event_type": "price_change",
                    "market": book["market"],
                    "price_changes": changes,
                    "timestamp": str(now_ms),
                },
                now_ms,
            )
        self._tell_prints(token_id, first_s, at_s, now_ms)

    def _tell_prints(self, token_id: str, first_s: int, at_s: int, now_ms: int) -> None:
        venue = self._exchange.venue
        market = venue.market_of_token(token_id, at_s)
        if market is None:
            return
        wanted = Outcome.UP if token_id == market.up_token_id else Outcome.DOWN
        # Whoever was away longer has missed what happened; nothing is replayed.
        for second in range(max(first_s, at_s - 5), at_s + 1):
            for one in venue.prints_at(market, second):
                if one.outcome is wanted:
                    self._frames.push(
                        {
                            "event_type": "last_trade_price",
                            "market": market.condition_id,
                            "asset_id": token_id,
                            "price": text_of(one.price),
                            "size": text_of(one.size),
                            "fee_rate_bps": "0",
                            "side": one.side,
                            "timestamp": str(second * 1000),
                            "transaction_hash": one.transaction_hash,
                        },
                        now_ms,
                    )

    def _tell_resolved(self, token_id: str, at_s: int, now_ms: int) -> None:
        venue = self._exchange.venue
        market = venue.market_of_token(token_id, at_s)
        winner = None if market is None else venue.winner(market, at_s)
        if market is None or winner is None or not self._has_custom_features:
            return
        won = market.up_token_id if winner is Outcome.UP else market.down_token_id
        self._frames.push(
            {
                "event_type": "market_resolved",
                "market": market.condition_id,
                "assets_ids": [market.up_token_id, market.down_token_id],
                "winning_asset_id": won,
                "winning_outcome": winner.value,
                "timestamp": str(now_ms),
            },
            now_ms,
        )


def _book_event(book: Json) -> Json:
    names = ("market", "asset_id", "timestamp", "hash", "bids", "asks", "tick_size")
    shown = {name: book[name] for name in names}
    return shown | {"event_type": "book", "last_trade_price": book["last_trade_price"]}


def _levels(book: Json, name: str) -> dict[str, str]:
    levels = book[name]
    assert isinstance(levels, list)  # noqa: S101 - built a moment ago
    return {level["price"]: level["size"] for level in levels}


def _changes(old: Json, new: Json) -> list[Json]:
    """Return the levels whose total has changed; 0 removes one."""
    bid, ask = clob.best_prices(new)
    changes: list[Json] = []
    for name, side in (("bids", "BUY"), ("asks", "SELL")):
        before, after = _levels(old, name), _levels(new, name)
        changes.extend(
            {
                "asset_id": new["asset_id"],
                "price": price,
                "size": after.get(price, "0"),
                "side": side,
                "hash": new["hash"],
                "best_bid": bid or "0",
                "best_ask": ask or "0",
            }
            for price in sorted(before.keys() | after.keys(), key=Decimal)
            if before.get(price) != after.get(price)
        )
    return changes
