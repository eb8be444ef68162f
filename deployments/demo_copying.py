"""The demo's second half: somebody trades, and the copy-trading deployment copies.

The leader acts by hand, one trade after the other, while the venue's clock stands still: each
trade is recorded before the next one happens, so the same seed copies the same shares at the same
prices, however fast the machine is. Only the latencies are the machine's.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Final

import httpx

from deployments.copy_results import CopiedTrade, CopyingResult
from deployments.player import STALL_TIMEOUT_S, SandboxStepClock
from polybot.bootstrap import Bot
from polybot.copy_trading.parts import LEASE_NAME
from polybot.copy_trading.wanted import copy_ledger
from polybot.domain.leaders import (
    CopyPolicy,
    Leader,
    LeaderAddress,
    LeaderState,
)
from polybot.domain.markets import MarketWindow
from polybot.errors import PermanentError
from polybot.ports import CopyLedger

# Nobody's: five letters and digits, eight times.
LEADER: Final = LeaderAddress("0x" + "1eade" * 8)
NAME: Final = "demo-leader"
POLICY: Final = CopyPolicy(scale=Decimal("0.1"), max_trade_usdc=Decimal(10))
# The copying process follows a stepped clock within a tenth of a second, books a little later.
_SETTLE_S: Final = 0.6
_LOOK_S: Final = 0.005
_TOLD_AFTER_MS: Final = 2_000
_BOOK_BEFORE_MS: Final = 3_000


@dataclass(frozen=True, slots=True)
class Act:
    """Something that the leader does."""

    after_s: int
    """Since the window's start [s of the venue's time]."""
    wish: dict[str, object] = field(default_factory=dict)
    """What the sandbox is asked for, besides leader and market."""


ACTS: Final = (
    Act(40, {"kind": "BUY", "outcome": "Up", "size": "100"}),
    Act(60, {"kind": "BUY", "outcome": "Up", "size": "60"}),
    Act(80, {"kind": "BUY", "outcome": "Down", "size": "80", "is_maker": True}),
    Act(100, {"kind": "BUY", "outcome": "Up", "fills": [{"size": "50", "price": "0.94"}]}),
    Act(120, {"kind": "BUY", "outcome": "Down", "size": "1"}),
    Act(140, {"kind": "SELL", "outcome": "Up", "size": "80"}),
    Act(160, {"kind": "BUY", "token_id": "4711", "size": "100"}),
    Act(180, {"kind": "SELL", "outcome": "Up", "size": "80"}),
)
"""Two purchases, one as maker, one at a price far from the book, one of cents, one in a market of
another kind, and the way out in two steps."""


async def play_copying(
    bot: Bot,
    clock: SandboxStepClock,
    window: MarketWindow,
    *,
    sandbox_url: str,
    read_page: Callable[[], Awaitable[str]],
    tell: Callable[[str], None],
    check: Callable[[], None],
) -> CopyingResult:
    """Let the leader trade in a window, and return what was made of each trade.

    Args:
        bot: On the same ledger as the copying run.
        clock: The venue's; it is moved through the window.
        window: Not yet over; its market is the one that is traded.
        sandbox_url: Where the venue is asked to let the leader trade.
        read_page: Returns what the copying run shows of itself in Prefect's UI.
        tell: Called with one line a trade.
        check: Called all the while; it raises to stop.

    Raises:
        PermanentError: Nobody copies, or a trade was never recorded.
    """
    ledger = copy_ledger(bot.ledger)
    await _until(lambda: ledger.lease(LEASE_NAME) is not None, "no copying run began", check)
    await clock.move_to_ms((window.start_s + 20) * 1000)
    _follow(ledger, at_s=window.start_s + 20)
    await _until_listening(read_page, check)
    trades: list[CopiedTrade] = []
    async with httpx.AsyncClient(base_url=sandbox_url, timeout=30.0, trust_env=False) as http:
        for act in ACTS:
            now_ms = max((window.start_s + act.after_s) * 1000, (await clock.state()).now_ms)
            for before_ms in (_BOOK_BEFORE_MS, 0):
                # Books are pushed when they change, and once a moment before if they do not.
                await clock.move_to_ms(max(now_ms - before_ms, (await clock.state()).now_ms))
                await asyncio.sleep(_SETTLE_S)
            await _act(http, act, window)
            began = time.monotonic()
            # The venue's stream tells of a trade a moment after it happened.
            await clock.move_to_ms(now_ms + _TOLD_AFTER_MS)
            await _until(
                lambda: _count(ledger) > len(trades), "a leader's trade was not recorded", check
            )
            latency_s = time.monotonic() - began
            await _until(lambda: not bot.ledger.open_orders(), "a copy's order stayed open", check)
            trades.append(_newest(bot, ledger, latency_s))
            tell(trades[-1].describe())
    return CopyingResult(leader=NAME, trades=tuple(trades))


async def _until_listening(
    read_page: Callable[[], Awaitable[str]], check: Callable[[], None]
) -> None:
    """Wait until the run follows the leader on every feed: what it missed would come too late."""
    deadline = time.monotonic() + STALL_TIMEOUT_S
    while True:
        page = await read_page()
        if ": trading" in page and NAME in page and "| not connected |" not in page:
            return
        check()
        if time.monotonic() > deadline:
            raise PermanentError(f"the copying run did not listen within {STALL_TIMEOUT_S:.0f} s")
        await asyncio.sleep(_SETTLE_S)


def _follow(ledger: CopyLedger, *, at_s: int) -> None:
    from datetime import UTC, datetime  # noqa: PLC0415

    at = datetime.fromtimestamp(at_s, UTC) - timedelta(seconds=1)
    ledger.add_leader(
        Leader(
            address=LEADER,
            name=NAME,
            policy=POLICY,
            state=LeaderState.ACTIVE,
            state_reason="",
            added_at=at,
            watermark=at,
        )
    )


async def _act(http: httpx.AsyncClient, act: Act, window: MarketWindow) -> None:
    market = {} if "token_id" in act.wish else {"slug": window.slug}
    wish = {"leader": LEADER, **market, **act.wish}
    answer = await http.post("/sandbox/leaders/trades", json=wish)
    if answer.is_error:
        raise PermanentError(f"the sandbox refused a leader's trade: {answer.text[:300]}")


def _count(ledger: CopyLedger) -> int:
    return len(ledger.copy_log(address=LEADER))


def _newest(bot: Bot, ledger: CopyLedger, latency_s: float) -> CopiedTrade:
    (record,) = ledger.copy_log(address=LEADER, limit=1)
    fills = bot.ledger.fills_of(record.order_id) if record.order_id else ()
    return CopiedTrade(record=record, fills=tuple(fills), latency_s=latency_s)


async def _until(condition: Callable[[], bool], otherwise: str, check: Callable[[], None]) -> None:
    deadline = time.monotonic() + STALL_TIMEOUT_S
    while not condition():
        check()
        if time.monotonic() > deadline:
            raise PermanentError(f"{otherwise} within {STALL_TIMEOUT_S:.0f} s")
        await asyncio.sleep(_LOOK_S)
