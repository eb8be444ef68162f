"""A recorded copy is sent, or its fate is looked up, whatever signing it ahead does."""

from pathlib import Path

import pytest

from polybot.adapters.paper import PaperExchange
from polybot.domain.orders import OrderId, OrderStatus, PreparedOrder
from polybot.errors import PermanentError
from tests.copy_builders import build_trade
from tests.copy_desk import WIDE, World


class CannotSign(PaperExchange):
    """Fails where an order is signed ahead; remembers for which ones it was asked."""

    problem: Exception
    asked: list[OrderId]

    def sign(self, prepared: PreparedOrder) -> None:
        self.asked.append(prepared.order_id)
        raise self.problem


@pytest.mark.parametrize("problem", [PermanentError("no key"), ValueError("a defect")])
async def test_copy_that_cannot_be_signed_ahead_is_sent(tmp_path: Path, problem: Exception) -> None:
    """Also a failure that nobody foresaw: the record is durable, so somebody must answer for it."""
    world = World(path=tmp_path / "paper.db", limits=WIDE)
    exchange = CannotSign(world.market_data, world.clock, delay_s=0)
    exchange.problem, exchange.asked = problem, []
    world.exchange = exchange
    world.follow()
    async with world.looping() as running:
        await running.trading()
        await running.tell(build_trade())
        (record,) = running.log()
        assert record.order_id is not None
        assert exchange.asked == [record.order_id]
        order = running.ledger.order(record.order_id)
        assert order is not None
        assert order.status is OrderStatus.FILLED
