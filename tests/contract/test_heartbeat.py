"""The dead-man switch on the strict sandbox."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from polybot.adapters.polymarket.heartbeat import INTERVAL_S, Heartbeat
from polybot.domain.orders import Accepted
from polybot.errors import TransientError
from polybot.sandbox.exchange.rules import VenueRules
from tests.builders import build_approved, build_resting_order
from tests.live_sandbox import LiveSandbox, live_sandbox


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[LiveSandbox]:
    async with live_sandbox(tmp_path, VenueRules()) as opened:
        yield opened


async def place(desk: LiveSandbox) -> None:
    order = build_resting_order(limit_price="0.30")
    prepared = desk.exchange.prepare(build_approved(order), created_at=desk.clock.instant)
    assert isinstance(await desk.exchange.submit(prepared), Accepted)


async def test_orders_live_while_it_beats_and_go_when_it_stops(desk: LiveSandbox) -> None:
    """Ten seconds after the last beat."""
    heart = Heartbeat(desk.client)
    await place(desk)
    for _ in range(5):
        await heart.beat()
        desk.later(INTERVAL_S)
        assert len(await desk.account.open_orders()) == 1
    desk.later(6)
    assert await desk.account.open_orders() == ()


async def test_orders_stay_where_nobody_starts_it(desk: LiveSandbox) -> None:
    """Off by default."""
    await place(desk)
    desk.later(60)
    assert len(await desk.account.open_orders()) == 1


async def test_chain_of_another_process_is_taken_up(desk: LiveSandbox) -> None:
    """A restarted bot does not know the last beat; the venue tells."""
    await place(desk)
    await Heartbeat(desk.client).beat()
    desk.later(5)
    await Heartbeat(desk.client).beat()
    desk.later(9)
    assert len(await desk.account.open_orders()) == 1


async def test_beat_that_does_not_arrive_says_so(desk: LiveSandbox) -> None:
    """Whoever relies on it must know."""
    heart = Heartbeat(desk.client)
    await heart.beat()
    desk.go_silent()
    with pytest.raises(TransientError):
        await heart.beat()
