"""Trades, troubles and answers for tests of the copy loop."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from polybot.domain.books import OrderBook
from polybot.domain.leaders import (
    LeaderAddress,
    LeaderHolding,
    LeaderState,
    LeaderTrade,
)
from polybot.domain.markets import ConditionId, OutcomeTokenId
from polybot.domain.orders import (
    Accepted,
    PreparedOrder,
    Side,
)
from polybot.errors import PermanentError
from tests.builders import NOW, UP_TOKEN, build_book
from tests.copy_builders import LEADER, MARKET, build_trade
from tests.copy_desk import Running
from tests.fakes import ScriptedMarketData
from tests.ledger_steps import a_fill

RAIN = ConditionId("0x" + "ee" * 32)
OTHER_LEADER = LeaderAddress("0x" + "5e" * 20)


def trade_number(number: int, side: Side = Side.BUY, **changes: Any) -> LeaderTrade:
    """Return one of many different trades."""
    return build_trade(side, transaction_hash=f"0x{number:064x}", **changes)


def rain(number: int) -> LeaderTrade:
    """Return one of many trades in a market that is not copied."""
    return trade_number(
        number, slug="will-it-rain", token_id=OutcomeTokenId("9"), condition_id=RAIN
    )


def ours(running: Running, token_id: OutcomeTokenId = UP_TOKEN) -> Decimal:
    """Return how much of a token we hold through the leader."""
    held: Sequence[LeaderHolding] = running.ledger.holdings(LEADER)
    return sum((one.our_size for one in held if one.token_id == token_id), Decimal(0))


class BothBooks(ScriptedMarketData):
    """A market with a book for either token."""

    def __init__(self) -> None:
        super().__init__(MARKET, build_book())

    async def order_book(self, token_id: OutcomeTokenId) -> OrderBook:
        return build_book(token_id=token_id)


class FullDisk:
    """Makes every record of a ledger fail, until it is emptied."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._names = ("record_copy", "record_leader_trades", "record_conversion")
        for name in self._names:
            setattr(running.ledger, name, self._fail)

    def _fail(self, *_arguments: object, **_named: object) -> None:
        raise PermanentError("the disk is full")

    def empty(self) -> None:
        for name in self._names:
            delattr(self._running.ledger, name)


def filled(prepared: PreparedOrder) -> Accepted:
    size = "10" if prepared.order.side is Side.BUY else str(prepared.order.size)
    fill = a_fill(prepared.order_id, size)
    return Accepted(order_id=prepared.order_id, is_resting=False, fills=(fill,))


async def left_in_flight(running: Running, *trades: LeaderTrade) -> None:
    """Tell trades of which one is copied, and wait until its order is sent and not answered."""
    await running.trading()
    running.world.feed.tell(*trades)
    await running.until(lambda: running.status.orders.in_flight == 1)


async def set_state(running: Running, state: LeaderState) -> None:
    running.ledger.set_leader_state(LEADER, state, reason="by the test", at=NOW)
    await running.until(lambda: running.status.leaders[0].state is state)
