"""A worker killed in the middle of a run leaves one decision and at most one order."""

import asyncio
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

import httpx
import pytest

from deployments.player import SandboxStepClock
from polybot.adapters.storage.ledger import SqlLedger
from polybot.copy_trading.parts import LEASE_NAME
from polybot.copy_trading.wanted import start_copying, stop_copying
from polybot.domain.candles import CandleSeries
from polybot.domain.decisions import Verdict
from polybot.domain.markets import MarketSeries, MarketWindow
from polybot.domain.orders import OrderStatus
from polybot.domain.signals import StrategyParams
from polybot.indicators import compute_indicators
from polybot.sandbox.venue import SandboxVenue
from polybot.signals import decide_signal
from tests.e2e.conftest import Stack, until, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400), pytest.mark.usefixtures("quiet_copying")]

SERIES = MarketSeries.parse("btc-15m")
START_DELAY = timedelta(seconds=3)


@pytest.fixture
def quiet_copying(stack: Stack) -> Iterator[None]:
    """Let no copy loop ask the venue: the faults here count requests."""
    with stack.ledger() as ledger:
        stop_copying(ledger, by="test", reason="faults are counted", at=datetime.now(UTC))
        wait_for(lambda: _is_free(ledger), "the copy loop gave its lease back")
    yield
    with stack.ledger() as ledger:
        start_copying(ledger, by="test", reason="done", at=datetime.now(UTC))


def _is_free(ledger: SqlLedger) -> bool:
    lease = ledger.lease(LEASE_NAME)
    return lease is None or lease.expires_at <= datetime.now(UTC)


async def next_window(stack: Stack) -> MarketWindow:
    async with SandboxStepClock(stack.sandbox_url) as clock:
        now_s = (await clock.state()).now_ms // 1000
    return MarketWindow(series=SERIES, start_s=now_s - now_s % 900 + 900)


async def next_traded_window(stack: Stack) -> MarketWindow:
    """Return the next window with a direction: the same seed generates the same candles here."""
    window, venue, params = await next_window(stack), SandboxVenue(seed=7), StrategyParams()
    while True:
        start_s = window.start_s
        candles = venue.candles(
            "btc", timeframe_s=60, first_s=start_s - 18_000, last_s=start_s - 60, at_s=start_s
        )
        series = CandleSeries(symbol="BTC/USDT", timeframe_s=60, source="sandbox", candles=candles)
        if decide_signal(compute_indicators(series, params), params).direction.outcome:
            return window
        window = MarketWindow(series=SERIES, start_s=start_s + 900)


async def kill_worker(stack: Stack) -> None:
    """Kill the worker with its flow runs, and wait for the stack to start another one."""
    pid = stack.worker_pid()
    assert pid is not None
    os.killpg(pid, signal.SIGKILL)
    await asyncio.to_thread(
        wait_for, lambda: stack.worker_pid() not in (None, pid), "another worker was started"
    )


async def arm(stack: Stack, *rules: dict[str, object]) -> None:
    async with httpx.AsyncClient(base_url=stack.sandbox_url) as http:
        await http.delete("/sandbox/faults")
        for rule in rules:
            (await http.post("/sandbox/faults", json=rule)).raise_for_status()


async def fired(stack: Stack) -> int:
    async with httpx.AsyncClient(base_url=stack.sandbox_url) as http:
        status = (await http.get("/sandbox/status")).json()
    return sum(status["faults"]["fired"].values())


async def has_fired(stack: Stack, count: int) -> bool:
    return await fired(stack) >= count


async def begin_trend(stack: Stack, window: MarketWindow) -> UUID:
    """Start a trend run and let the clock come to its time."""
    run_id = await stack.submit("trend", window.start)
    async with SandboxStepClock(stack.sandbox_url) as clock:
        await until(clock.waiting_until_ms)
        await clock.move_to_ms(round((window.start + START_DELAY).timestamp() * 1000))
    return run_id


async def run_again_and_settle(stack: Stack, window: MarketWindow) -> None:
    await arm(stack)
    assert await stack.play_run("trend", window.start) == "COMPLETED"
    assert await stack.play_run("settle", window.end + timedelta(seconds=180)) == "COMPLETED"


async def test_killed_while_reading_the_market(stack: Stack) -> None:
    """The window is claimed and nothing else: the next run decides it."""
    window, before = await next_window(stack), await fired(stack)
    await arm(stack, {"route": "/events", "delay_ms": 60_000})
    run_id = await begin_trend(stack, window)
    await until(partial(has_fired, stack, before + 1))
    with stack.ledger() as ledger:
        (claimed,) = ledger.decisions_between(window.start, window.end)
        assert claimed.verdict is Verdict.PENDING
    await kill_worker(stack)
    assert await stack.ended(run_id) == "CRASHED"
    await run_again_and_settle(stack, window)
    with stack.ledger() as ledger:
        (decision,) = ledger.decisions_between(window.start, window.end)
        assert decision.verdict in {Verdict.HELD, Verdict.REFUSED, Verdict.PLACED}
        assert ledger.open_orders() == ()
        assert ledger.violations() == ()


async def test_killed_between_the_intent_and_the_answer(stack: Stack) -> None:
    """The order is durable but its fate is not: it is looked up and never placed again."""
    # Two books are read for the decision; the third is the paper exchange's.
    rules = ({"route": "/book", "count": 2, "delay_ms": 1}, {"route": "/book", "delay_ms": 60_000})
    window, before = await next_traded_window(stack), await fired(stack)
    await arm(stack, *rules)
    run_id = await begin_trend(stack, window)
    await until(partial(has_fired, stack, before + 3))
    with stack.ledger() as ledger:
        (order,) = ledger.open_orders()
        assert order.status is OrderStatus.SENDING
    await kill_worker(stack)
    assert await stack.ended(run_id) == "CRASHED"
    await run_again_and_settle(stack, window)
    with stack.ledger() as ledger:
        (decision,) = ledger.decisions_between(window.start, window.end)
        assert decision.order_id == order.order_id
        assert ledger.open_orders() == ()
        assert ledger.fills_of(order.order_id) == ()
        assert ledger.totals(at=datetime.now(UTC)).reserved_usdc == 0
        assert ledger.violations() == ()
