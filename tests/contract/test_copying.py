"""Copying on the real sandbox through real sockets: on paper, and live against its strict exchange.

What the loop promises is the same in both; only whose money moves differs.
"""

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from polybot.copy_trading.status import CopyEnd, CopyPhase
from polybot.domain.leaders import CopyVerdict
from polybot.domain.modes import Mode
from polybot.domain.orders import OrderStatus, Side
from tests.copy_sandbox import Copying, CopyVenue, copy_venue, copying

STOPPED_WITHIN_S = 10.0
# Quotes move between a leader's fill and ours; these tests are about everything else.
WIDE = {
    "max_price_above": Decimal("0.3"),
    "max_price_fraction": Decimal(1),
    "max_from_book": Decimal("0.5"),
    "min_price": Decimal("0.02"),
    "max_price": Decimal("0.98"),
    "flip_s": 0.0,
}


@pytest.fixture(params=[Mode.SANDBOX, Mode.LIVE], ids=["paper", "live"])
def world(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[CopyVenue]:
    monkeypatch.chdir(tmp_path)
    with copy_venue(tmp_path / "home", request.param, monkeypatch) as found:
        yield found


def is_kept(world: CopyVenue) -> bool:
    """Return whether every order was durable before it arrived."""
    return world.watch is None or (world.watch.looked > 0 and not world.watch.violations)


def ours(running: Copying) -> Decimal:
    """Return how many shares we hold through the leader, of any token."""
    held = running.copier.ledger.holdings(running.world.leader)
    return sum((one.our_size for one in held), Decimal(0))


async def test_purchase_and_partial_exit_are_copied(world: CopyVenue) -> None:
    """From the frame on the socket to a filled order, each told by a record."""
    async with copying(world, **WIDE) as running:
        world.leader_does("BUY", 200)
        (bought,) = await running.recorded(1)
        assert bought.verdict is CopyVerdict.PLACED, bought.reason
        assert bought.order_id is not None
        ledger = running.copier.bot.ledger
        order = ledger.order(bought.order_id)
        assert order is not None
        assert (order.status, order.side) == (OrderStatus.FILLED, Side.BUY)
        world.leader_does("SELL", 100)
        # Live, what was just bought can be sold only once its trade is mined.
        await running.until(lambda: ours(running) < order.filled_size)
        found = await running.recorded(2)
        assert {one.verdict for one in found} == {CopyVerdict.PLACED}
        assert abs(ours(running) - order.filled_size / 2) < Decimal("0.02")
        (holding,) = running.copier.ledger.holdings(world.leader)
        assert holding.leader_size == 100
        assert bought.sent_at is not None
        assert bought.trade.traded_at <= bought.trade.received_at <= bought.sent_at
        assert running.status.own_time.count >= 2
        assert ledger.violations() == ()
    assert is_kept(world)


async def test_fills_of_one_transaction_are_each_copied_once(world: CopyVenue) -> None:
    """Both connections of the stream and the Data API tell all of them."""
    async with copying(world, **WIDE) as running:
        world.leader_does("BUY", 200, 220, 240)
        found = await running.recorded(3)
        assert {one.verdict for one in found} == {CopyVerdict.PLACED}
        stream, data = running.status.sources[0], running.status.sources[-1]
        await running.until(lambda: running.status.sources[-1].followed >= data.followed + 3)
        assert stream.followed >= 0
        assert len(running.log()) == 3
        assert running.status.counts.copied == 3
        assert running.copier.bot.ledger.violations() == ()
    assert is_kept(world)


async def test_merge_closes_ours(world: CopyVenue) -> None:
    """Only the Data API tells of it."""
    async with copying(world, **WIDE, max_age_s=30.0) as running:
        world.leader_does("BUY", 200)
        world.leader_does("BUY", 200, outcome="Down")
        await running.recorded(2)
        assert all(one.our_size > 0 for one in running.copier.ledger.holdings(world.leader))
        world.leader_does("MERGE", 200)
        await running.until(lambda: running.status.counts.conversions == 1)
        await running.until(lambda: ours(running) < 1)
        assert all(one.leader_size == 0 for one in running.copier.ledger.holdings(world.leader))
    assert is_kept(world)


def connections(world: CopyVenue) -> int:
    """Return how many sockets of the stream the venue has open."""
    answer = httpx.get(f"{world.url}/sandbox/leaders")
    return int(answer.json()["stream"]["connections"])


async def closed(world: CopyVenue) -> None:
    """Wait until the venue has no socket of the stream open any more."""
    async with asyncio.timeout(STOPPED_WITHIN_S):
        while connections(world):  # noqa: ASYNC110 - the venue is asked from outside
            await asyncio.sleep(0.01)


async def test_stop_ends_within_its_bound_and_the_next_loop_goes_on(world: CopyVenue) -> None:
    """What happened in between is recorded once, and copied while it is young."""
    async with copying(world, **WIDE, max_age_s=60.0) as running:
        world.leader_does("BUY", 200)
        await running.recorded(1)
        await running.until(lambda: connections(world) == 2)
        running.stop.set()
        async with asyncio.timeout(STOPPED_WITHIN_S):
            status = await running.task
        assert (status.end, running.status.phase) == (CopyEnd.STOP, CopyPhase.STOPPED)
        await closed(world)
    world.leader_does("BUY", 150)
    async with copying(world, **WIDE, max_age_s=60.0) as again:
        await again.recorded(2)
        assert [one.verdict for one in again.log()] == [CopyVerdict.PLACED] * 2
        assert again.copier.bot.ledger.violations() == ()
    assert is_kept(world)
