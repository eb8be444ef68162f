"""A venue that restarts: takers wait as long as it says, cancels and makers until it lets them.

The live adapter in front of the strict sandbox, from the first 425 to the next fill.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from polybot.domain.orders import (
    Accepted,
    Order,
    OrderId,
    OrderStatus,
    Rejected,
    Side,
    SubmitResult,
)
from polybot.errors import TransientError
from polybot.sandbox.exchange.rules import VenueRules
from tests.builders import build_approved, build_order, build_record, build_resting_order
from tests.live_sandbox import LiveSandbox, live_sandbox


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[LiveSandbox]:
    async with live_sandbox(tmp_path, VenueRules(shows_terminal_orders=True)) as opened:
        yield opened


async def submit(desk: LiveSandbox, order: Order) -> SubmitResult:
    prepared = desk.exchange.prepare(build_approved(order), created_at=desk.clock.instant)
    return await desk.exchange.submit(prepared)


async def cancel(desk: LiveSandbox, order: Order, order_id: OrderId) -> OrderStatus:
    record = build_record(order, order_id=order_id, status=OrderStatus.RESTING)
    return (await desk.exchange.cancel(record)).status


def posted(desk: LiveSandbox, *, cancels: int = 0) -> int:
    """Return how many orders arrived at the venue; cancels go to the same path."""
    status = httpx.get(f"{desk.client._url}/sandbox/status").json()
    return int(status["requests"]["/order"]) - cancels


async def test_restart_is_sat_out_and_cancels_go_before_takers(desk: LiveSandbox) -> None:
    """425 for 90 s, then post-only for two minutes: one question each, and no order in vain."""
    rules = desk.gateway.exchange.rules
    waiting = build_resting_order(limit_price="0.30")
    resting = await submit(desk, waiting)
    assert isinstance(resting, Accepted)
    sent = posted(desk)
    exchange = desk.gateway.exchange
    exchange.conditions.restart(exchange.advance(), rules)

    first = await submit(desk, build_order())
    assert isinstance(first, Rejected)
    assert "matching engine is restarting" in first.reason
    for later in (0, rules.restart_s - 1):
        desk.later(later)
        again = await submit(desk, build_order())
        assert isinstance(again, Rejected)
        assert again.reason.startswith("not sent: restricted until")
    with pytest.raises(TransientError):
        await cancel(desk, waiting, resting.order_id)
    assert posted(desk, cancels=1) == sent + 1

    desk.later(1)
    refused = await submit(desk, build_order())
    assert isinstance(refused, Rejected)
    assert "post-only mode" in refused.reason
    desk.later(rules.post_only_s - 1)
    assert isinstance(await submit(desk, build_order()), Rejected)
    maker = build_resting_order(limit_price="0.20", is_post_only=True)
    assert isinstance(await submit(desk, maker), Accepted)
    assert await cancel(desk, waiting, resting.order_id) is OrderStatus.UNFILLED
    assert posted(desk, cancels=2) == sent + 3

    desk.later(1)
    assert isinstance(await submit(desk, build_order()), Accepted)
    assert posted(desk, cancels=2) == sent + 4


@pytest.mark.parametrize(("attribute", "may_cancel"), [("cancel_only", True), ("disabled", False)])
async def test_other_restrictions_stop_takers_and_makers(
    desk: LiveSandbox, attribute: str, may_cancel: bool
) -> None:
    """Cancel-only takes cancels; a disabled venue takes nothing, and says so each time."""
    waiting = build_resting_order(Side.SELL, limit_price="0.90")
    resting = await submit(desk, waiting)
    assert isinstance(resting, Accepted)
    exchange = desk.gateway.exchange
    until_ms = exchange.advance() + 60_000
    setattr(exchange.conditions, f"{attribute}_until_ms", until_ms)
    assert isinstance(await submit(desk, build_order()), Rejected)
    sent = posted(desk)
    maker = build_resting_order(limit_price="0.20", is_post_only=True)
    assert isinstance(await submit(desk, maker), Rejected)
    assert posted(desk) == sent
    if may_cancel:
        assert await cancel(desk, waiting, resting.order_id) is OrderStatus.UNFILLED
    else:
        with pytest.raises(TransientError):
            await cancel(desk, waiting, resting.order_id)
    desk.later(60)
    assert isinstance(await submit(desk, build_order()), Accepted)
