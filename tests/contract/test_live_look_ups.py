"""Many open orders after a restart: few questions, and the same answers as one by one."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from polybot import execution
from polybot.domain.markets import Market, MarketWindow
from polybot.domain.orders import OrderStatus
from polybot.errors import TransientError
from polybot.sandbox.exchange.rules import VenueRules
from tests.live_sandbox import LiveSandbox, live_sandbox
from tests.many_orders import ABSENT, FILLED, LOST_RESTING, RESTING, open_ledger_for, send_many

EXPECTED = {
    RESTING: OrderStatus.RESTING,
    LOST_RESTING: OrderStatus.RESTING,
    FILLED: OrderStatus.FILLED,
    ABSENT: OrderStatus.NEVER_ARRIVED,
}


@pytest.fixture(params=[False, True], ids=["hidden", "shown"])
async def desk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[LiveSandbox]:
    """A venue that shows orders which are over, and one that does not."""
    rules = VenueRules(shows_terminal_orders=request.param)
    async with live_sandbox(tmp_path / "venue", rules) as opened:
        yield opened


async def test_many_at_once_say_what_each_by_itself_says(desk: LiveSandbox, tmp_path: Path) -> None:
    """Whatever the lists leave open is asked for by its id."""
    with open_ledger_for(tmp_path) as ledger:
        sent = await send_many(desk, ledger, 25)
        desk.later(180)
        records = ledger.open_orders()
        assert len(records) == 25
        together = await desk.exchange.look_up_many(records)
        each = [await desk.exchange.look_up(record) for record in records]
        for record, one, other in zip(records, together, each, strict=True):
            assert not isinstance(one, Exception)
            assert (one.status, one.fills) == (other.status, other.fills)
            assert one.status is EXPECTED[sent.fates[record.order_id]], one


async def test_lists_answer_for_most(
    desk: LiveSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what is in neither list, or may have traded more, is asked for singly."""
    asked: list[str] = []
    ask = desk.client.get

    async def get(path: str, params: dict[str, str] | None = None) -> bytes | None:
        asked.append(path)
        return await ask(path, params)

    with open_ledger_for(tmp_path) as ledger:
        sent = await send_many(desk, ledger, 25)
        desk.later(180)
        monkeypatch.setattr(desk.client, "get", get)
        done = await execution.reconcile(ledger, desk.exchange, desk.clock)
        assert ledger.violations() == ()
    assert (done.asked_count, done.problems) == (25, ())
    assert len(done.closed) == 10
    singly = {path.removeprefix("/data/order/") for path in asked if "/data/order/" in path}
    assert {sent.fates[order_id] for order_id in singly} == {ABSENT}
    assert len(asked) == 5 + 3, "one list of orders, and the trades before and after"


async def test_fees_that_the_ledger_kept_are_not_asked_for(
    desk: LiveSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Orders are looked up also while the market's description cannot be had."""

    async def find_market(window: MarketWindow) -> Market:
        raise TransientError(f"nobody tells about {window.slug}")

    monkeypatch.setattr(desk.exchange._looks._market_data, "find_market", find_market)
    with open_ledger_for(tmp_path) as ledger:
        await send_many(desk, ledger, 5)
        records = ledger.open_orders()
        assert len(records) == 5
        for record in records:
            await desk.exchange.look_up(record)


async def test_lists_that_do_not_come_leave_every_order_as_it_is(
    desk: LiveSandbox, tmp_path: Path
) -> None:
    with open_ledger_for(tmp_path) as ledger:
        await send_many(desk, ledger, 10)
        desk.go_silent()
        found = await desk.exchange.look_up_many(ledger.open_orders())
        assert all(isinstance(one, TransientError) for one in found)
        assert len(found) == 10
        assert await desk.exchange.look_up_many([]) == ()
