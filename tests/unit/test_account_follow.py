"""Every event of the user socket says "look now"; reading decides."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from polybot.account_follow import Followed, beating, follow_account
from polybot.domain.modes import Mode
from polybot.domain.orders import FillStatus, OrderStatus, Side
from polybot.domain.venue_account import (
    OrderSeen,
    Reconnected,
    TradesSeen,
    Unreadable,
    UserEvent,
    VenueTrades,
    VenueTradeStatus,
)
from polybot.errors import PermanentError, TransientError
from tests.builders import NOW
from tests.fakes import FixedClock
from tests.fakes_live import FakeLiveExchange, FakeVenueAccount, Venue
from tests.ledger_steps import intend, market_number, report
from tests.ledgers import new_live_ledger


class Ear:
    """A live ledger with one order, and a venue to hear of it."""

    def __init__(self, folder: Path) -> None:
        self.ledger = new_live_ledger(folder / "live.db", Decimal(1000), at=NOW)
        self.venue = Venue(now=NOW, cash=Decimal(1000))
        self.order_id = intend(self.ledger)
        report(self.ledger, self.order_id, status=OrderStatus.UNKNOWN)

    def fill(self, name: str, size: int = 2) -> TradesSeen:
        market = market_number(0)
        trade = self.venue.trade(
            self.order_id,
            market.condition_id,
            next(iter(market.token_ids.values())),
            side=Side.BUY,
            size=Decimal(size),
            price=Decimal("0.5"),
            status=VenueTradeStatus.MATCHED,
            name=name,
        )
        return TradesSeen(found=VenueTrades(trades=(trade,)))

    async def hear(self, *events: UserEvent) -> Followed:
        async def stream() -> AsyncIterator[UserEvent]:
            for event in events:
                yield event

        followed = await follow_account(
            stream(),
            self.ledger,
            FakeLiveExchange(self.venue),
            FakeVenueAccount(self.venue),
            FixedClock(NOW + timedelta(minutes=2)),
            mode=Mode.LIVE,
        )
        assert self.ledger.violations() == ()
        return followed

    @property
    def statuses(self) -> list[FillStatus]:
        return [fill.status for fill in self.ledger.fills_of(self.order_id)]


@pytest.fixture
def ear(tmp_path: Path) -> Ear:
    return Ear(tmp_path)


async def test_trade_is_read_and_booked_once_however_often_it_is_heard(ear: Ear) -> None:
    """Late, duplicate and reordered events change nothing."""
    event = ear.fill("t")
    ear.venue.advance("t", VenueTradeStatus.MINED)
    followed = await ear.hear(event, event, event)
    assert len(followed.new_fills) == 1
    assert followed.reconciliations == 0
    assert ear.statuses == [FillStatus.MINED]


async def test_what_only_the_socket_says_is_not_booked(ear: Ear) -> None:
    """Nor is its size believed."""
    event = ear.fill("t")
    (trade,) = event.found.trades
    wrong = TradesSeen(found=VenueTrades(trades=(replace(trade, size=trade.size * 2),)))
    await ear.hear(wrong)
    (fill,) = ear.ledger.fills_of(ear.order_id)
    assert fill.size == 2
    ear.venue.hidden.add("t")
    other = TradesSeen(found=VenueTrades(trades=(replace(trade, leg=7),)))
    assert (await ear.hear(other)).new_fills == ()


async def test_reversed_fill_is_heard_of(ear: Ear) -> None:
    """FAILED voids it at once."""
    event = ear.fill("t")
    await ear.hear(event)
    ear.venue.advance("t", VenueTradeStatus.FAILED)
    assert len((await ear.hear(event)).voided_fills) == 1
    assert ear.statuses == [FillStatus.FAILED]


@pytest.mark.parametrize(
    "event", [Reconnected(is_first=True), Reconnected(is_first=False), Unreadable(reason="odd")]
)
async def test_reconnecting_rereads_everything(ear: Ear, event: UserEvent) -> None:
    """Nothing is replayed: what happened in the gap is read."""
    ear.fill("missed")
    followed = await ear.hear(event)
    assert (followed.reconciliations, len(followed.new_fills)) == (1, 1)
    assert ear.ledger.reconciled_at() is not None


async def test_our_order_is_looked_up_and_a_strangers_is_not(ear: Ear) -> None:
    """Theirs are listed by the next reconciliation."""
    market = market_number(0)
    for name in (ear.order_id, "0xstranger"):
        ear.venue.rest(name, market.condition_id, "1")
    ours = OrderSeen(order=ear.venue.orders[ear.order_id])
    theirs = OrderSeen(order=ear.venue.orders["0xstranger"])
    assert (await ear.hear(ours, theirs)).reconciliations == 1
    record = ear.ledger.order(ear.order_id)
    assert record is not None
    assert record.status is OrderStatus.RESTING


async def test_unanswered_reading_holds_new_orders_back(ear: Ear) -> None:
    """The gate sees that the books are not reconciled."""
    event = ear.fill("t")
    ear.venue.outages["trades"] = 2
    followed = await ear.hear(event)
    assert followed.reconciliations == 1
    assert followed.new_fills == ()
    verdict = ear.ledger.reconciliation().verdict
    assert verdict is not None
    assert not verdict.allows_trading


async def test_beat_that_is_not_answered_is_followed_by_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The venue waits for two; a refusal ends the listening."""
    monkeypatch.setattr("polybot.account_follow.BEAT_EVERY_S", 0)
    answers: list[Exception | None] = [TransientError("no answer"), None, PermanentError("no")]
    refused = asyncio.Event()

    async def beat() -> None:
        answer = answers.pop(0)
        if isinstance(answer, PermanentError):
            refused.set()
        if answer is not None:
            raise answer

    with pytest.raises(PermanentError):
        async with beating(beat):
            await refused.wait()
    assert answers == []


async def test_heart_stops_with_the_listening(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody beats for a run that is over."""
    begun, beats = asyncio.Event(), 0

    async def beat() -> None:
        nonlocal beats
        beats += 1
        begun.set()

    async with beating(beat):
        await begun.wait()
    async with beating(None):
        pass
    assert beats == 1
    assert len(asyncio.all_tasks()) == 1
