"""Fills as a Polygon node hears them: ``eth_subscribe`` over one WebSocket.

Optional, and the only source besides the Data API that knows true repeats. The node's address is
a secret (it carries the key), so no message names it. New block headers come on the same socket:
they tell what time a block has, and their absence that the node has fallen silent. After a
connection was lost the node is asked for the logs since the last block that was heard of.

Source: geth.ethereum.org/docs/interacting-with-geth/rpc/pubsub (2026-11-22).
"""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any, Final

import aiohttp

from polybot.adapters.polymarket.leader_feed.logs import (
    FilledLog,
    MarketOfToken,
    log_filter,
    quantity,
    read_log,
)
from polybot.adapters.polymarket.leader_feed.tally import SourceTally
from polybot.adapters.polymarket.wire.strict import decode_text
from polybot.adapters.sockets import Backoff
from polybot.domain.leaders import FeedSource, LeaderAddress
from polybot.errors import DataError, PolybotError

# A filter with more wallets may be refused by a node.
_WALLETS_PER_FILTER: Final = 200
_REMEMBERED_BLOCKS: Final = 64
# The logs of a gap come in one message, about a kilobyte each.
_LONGEST_MESSAGE: Final = 1 << 20
# Blocks may have been taken back meanwhile, with others in their place.
_BLOCKS_AGAIN: Final = 16
# Answers to questions about gaps are told from those to subscriptions by their number.
_FIRST_GAP: Final = 1_000_000
_WHICH_BLOCK: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainTiming:
    """When the node is given up, and how soon it is tried again [s]."""

    silence_s: float = 30.0
    """A block comes every two seconds; not one for so long: the connection is dead."""
    first_pause_s: float = 0.5
    longest_pause_s: float = 30.0
    connect_s: float = 10.0
    close_s: float = 1.0


class ChainSource:
    """One socket to a node."""

    def __init__(
        self,
        url: str,
        *,
        hear: Callable[[FilledLog, str], None],
        on_gap: Callable[[], None],
        market_of: MarketOfToken,
        open_session: Callable[[], aiohttp.ClientSession],
        now: Callable[[], datetime],
        random: Random,
        timing: ChainTiming,
    ) -> None:
        """Keep where the node is; nothing is opened yet.

        Args:
            url: ``wss://…``; a secret.
            hear: Hears of every log, also of those that were taken back.
            on_gap: Called when logs may have been missed.
            market_of: Finds a token's market in memory.
            open_session: Gives a session that refuses redirects.
            now: The clock.
            random: Spreads the pauses.
            timing: Silences and pauses.
        """
        self._url = url
        self._hear = hear
        self._on_gap = on_gap
        self._market_of = market_of
        self._open_session = open_session
        self._now = now
        self._timing = timing
        self._backoff = Backoff(
            first_s=timing.first_pause_s, longest_s=timing.longest_pause_s, random=random
        )
        self._wallets: frozenset[LeaderAddress] = frozenset()
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._blocks: OrderedDict[str, datetime] = OrderedDict()
        self._last_block: tuple[int, datetime] | None = None
        """The newest one that was heard of; ``None``: none yet, so nothing can be missed."""
        self._gap_began: datetime | None = None
        self._changed = asyncio.Event()
        self.tally = SourceTally(source=FeedSource.CHAIN, name="chain")

    def follow(self, wallets: frozenset[LeaderAddress]) -> None:
        """Set whom to hear of; the connection is opened anew where it was another list."""
        if wallets != self._wallets:
            self._wallets = wallets
            self._changed.set()

    async def run(self) -> None:
        """Listen until cancelled."""
        async with self._open_session() as session:
            while True:
                if not self._wallets:
                    await self._changed.wait()
                self._changed.clear()
                try:
                    await self._connection(session)
                except (aiohttp.ClientError, PolybotError, OSError, TimeoutError):
                    self.tally.rejected["connection-failed"] += 1
                finally:
                    self.tally.is_connected = False
                if not self._changed.is_set():
                    await asyncio.sleep(self._backoff.next_s())

    async def _connection(self, session: aiohttp.ClientSession) -> None:
        async with asyncio.timeout(self._timing.connect_s):
            socket = await session.ws_connect(
                self._url,
                max_msg_size=_LONGEST_MESSAGE,
                timeout=aiohttp.ClientWSTimeout(ws_close=self._timing.close_s),
            )
            for request in (*self._requests(), *self._gap_requests()):
                await socket.send_str(request)
        self.tally.connects += 1
        self.tally.is_connected = True
        self._on_gap()
        changed = asyncio.create_task(self._close_when_changed(socket))
        try:
            while True:
                message = await socket.receive(timeout=self._timing.silence_s)
                if message.type is not aiohttp.WSMsgType.TEXT:
                    return
                self._read(message.data)
        except TimeoutError:
            self.tally.freezes += 1
        finally:
            changed.cancel()
            await socket.close()

    async def _close_when_changed(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        await self._changed.wait()
        await socket.close()

    def _requests(self) -> list[str]:
        """Return the subscriptions: headers, and the fills of everybody followed."""
        asked: list[list[object]] = [["newHeads"]]
        asked += [["logs", one] for one in self._filters()]
        return [
            json.dumps({"jsonrpc": "2.0", "id": number, "method": "eth_subscribe", "params": each})
            for number, each in enumerate(asked, start=1)
        ]

    def _gap_requests(self) -> list[str]:
        """Return the questions about what happened since the last block that was heard of."""
        if self._last_block is None:
            # A connection may end before it has told of any block.
            return [
                json.dumps(
                    {
                        "jsonrpc": "2.0",
                        "id": _WHICH_BLOCK,
                        "method": "eth_blockNumber",
                        "params": [],
                    }
                )
            ]
        number, self._gap_began = self._last_block
        since = {"fromBlock": hex(max(0, number - _BLOCKS_AGAIN)), "toBlock": "latest"}
        common = {"jsonrpc": "2.0", "method": "eth_getLogs"}
        return [
            json.dumps({**common, "id": _FIRST_GAP + at, "params": [{**asked, **since}]})
            for at, asked in enumerate(self._filters())
        ]

    def _filters(self) -> list[dict[str, object]]:
        wallets = sorted(self._wallets)
        return [
            log_filter(wallets[at : at + _WALLETS_PER_FILTER])
            for at in range(0, len(wallets), _WALLETS_PER_FILTER)
        ]

    def _read(self, text: str) -> None:
        self.tally.messages += 1
        self.tally.last_heard_at = self._now()
        try:
            self._read_message(decode_text(text))
        except DataError as error:
            self.tally.rejected[error.reason] += 1

    def _read_message(self, message: Any) -> None:
        if not isinstance(message, dict):
            raise DataError("a message is no object", reason="log-malformed")
        number = message.get("id")
        is_of_gap = type(number) is int and number >= _FIRST_GAP
        if "error" in message:
            # The range may be too long for the node; the Data API then fills the gap alone.
            reason = "gap-refused" if is_of_gap else "subscription-refused"
            raise DataError("the node refused a question", reason=reason)
        if is_of_gap:
            self._read_gap(message.get("result"))
            return
        if number == _WHICH_BLOCK and "result" in message:
            self._note_block(quantity(message["result"]), self._now())
            return
        if message.get("method") != "eth_subscription":
            return
        params = message.get("params")
        found = params.get("result") if isinstance(params, dict) else None
        if not isinstance(found, dict):
            raise DataError("a notification is empty", reason="log-malformed")
        # Whatever the node tells shows that it is alive.
        self._backoff.succeed()
        if "topics" not in found:
            self._remember_block(found)
            return
        self._tell(found, self._blocks.get(str(found.get("blockHash"))))

    def _read_gap(self, logs: object) -> None:
        """Tell what happened while nobody listened; one bad log hides no other."""
        if not isinstance(logs, list):
            raise DataError("an answer about a gap is no list", reason="log-malformed")
        for log in logs:
            found = log if isinstance(log, dict) else {}
            # Where nobody tells a block's time it counts as old as it can be: what is copied must
            # not be older than the owner allows.
            block_time = self._blocks.get(str(found.get("blockHash"))) or self._gap_began
            try:
                self._tell(found, block_time)
            except DataError as error:
                self.tally.rejected[error.reason] += 1

    def _tell(self, log: dict[str, Any], block_time: datetime | None) -> None:
        filled = read_log(
            log,
            wallets=self._wallets,
            market_of=self._market_of,
            block_time=block_time,
            received_at=self._now(),
        )
        self.tally.followed += 1
        self._hear(filled, self.tally.name)

    def _remember_block(self, header: dict[str, Any]) -> None:
        at = datetime.fromtimestamp(min(quantity(header.get("timestamp")), 1 << 32), UTC)
        self._blocks[str(header.get("hash"))[:66]] = at
        if len(self._blocks) > _REMEMBERED_BLOCKS:
            self._blocks.popitem(last=False)
        if "number" in header:
            self._note_block(quantity(header["number"]), at)

    def _note_block(self, number: int, at: datetime) -> None:
        if self._last_block is None or number > self._last_block[0]:
            self._last_block = (number, at)
