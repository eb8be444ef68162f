"""The copy loop on a real ledger: what becomes of leaders' trades, whatever happens around them."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from polybot.adapters.storage.ledger import open_ledger
from polybot.copy_trading import placing
from polybot.copy_trading.decide import decide_copy
from polybot.domain.accounts import TradingStateChange
from polybot.domain.alerts import AlertKind
from polybot.domain.leaders import (
    ConversionKind,
    CopyVerdict,
    LeaderAddress,
    LeaderTrade,
)
from polybot.domain.modes import Mode, TradingState
from polybot.domain.orders import (
    OrderStatus,
    PreparedOrder,
    Rejected,
    Side,
    SubmitResult,
)
from polybot.errors import PermanentError
from tests.builders import DOWN_TOKEN, NOW, UP_TOKEN, build_book
from tests.copy_builders import LEADER, build_conversion, build_trade
from tests.copy_desk import WIDE, Running, World
from tests.copy_loop_steps import OTHER_LEADER, BothBooks, filled, ours, rain, trade_number
from tests.fakes import ScriptedExchange


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(path=tmp_path / "paper.db", limits=WIDE)


# What is copied ---------------------------------------------------------------------------------


async def test_markets_that_nobody_could_copy_are_recorded_and_held_nowhere(world: World) -> None:
    """Neither in the ledger nor in its mirror, from which drift would write them down."""
    world.follow()
    async with world.looping() as running:
        await running.trading()
        await running.tell(*(rain(number) for number in range(3)))
        assert [one.reason_code for one in running.log()] == ["market-not-supported"] * 3
        assert running.loop._parts.roster.holdings_of(LEADER) == ()
        assert running.ledger.holdings() == ()
        await running.tell(trade_number(7))
        (mirrored,) = running.loop._parts.roster.holdings_of(LEADER)
        assert mirrored.token_id == UP_TOKEN


async def test_purchase_is_copied_and_explained(world: World) -> None:
    """An order, its fill, and a record with all five instants."""
    world.follow(scale=Decimal("0.1"))
    async with world.looping() as running:
        await running.trading()
        trade = build_trade(size="200", price="0.50")
        await running.tell(trade)
        (record,) = running.log()
        assert record.verdict is CopyVerdict.PLACED
        assert record.order_id is not None
        order = running.ledger.order(record.order_id)
        assert order is not None
        assert order.decision_key == f"copy:{trade.key}"
        assert order.status is OrderStatus.FILLED
        assert ours(running) == order.filled_size > 0
        instants = (trade.traded_at, trade.received_at, record.decided_at)
        assert list(instants) == sorted(instants)
        assert record.sent_at is not None
        assert record.acknowledged_at is not None
        assert record.decided_at <= record.sent_at <= record.acknowledged_at
        decision = running.ledger.decision(order.decision_key)
        assert decision is not None
        assert decision.strategy == f"copy:{LEADER}"
        status = running.status
        assert (status.counts.seen, status.counts.copied, status.orders.filled) == (1, 1, 1)
        assert status.feed_lag.p50_s == 2.0
        (alert,) = [one.alert for one in running.ledger.due_alerts(at=NOW, limit=9)]
        assert alert.kind is AlertKind.FILL
        assert "copying whale" in alert.title
        assert running.ledger.violations() == ()


async def test_holdings_read_in_the_breath_of_a_copy_count_it_once(world: World) -> None:
    """What the copy leaves for later must not be added to what was read with it in."""
    world.follow()
    async with world.looping() as running:
        await running.trading()
        roster = running.loop._parts.roster
        world.feed.tell(build_trade(size="200"))
        roster.reload_holdings(NOW, LEADER)
        await asyncio.sleep(0)
        (mirrored,) = roster.holdings_of(LEADER)
        assert mirrored.leader_size == 200
        await running.settled()


async def test_loop_hears_frames_between_the_chores_of_two_leaders(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading and writing about many leaders never holds the loop for more than one, or a few."""
    leaders = [LeaderAddress(f"0x{number:040x}") for number in range(1, 61)]
    for address in leaders:
        world.follow(address=address)
    heard: list[str] = []
    with open_ledger(world.path, mode=Mode.PAPER) as ledger:
        loop = Running(world, ledger).loop
        upkeep, roster, advance = loop._upkeep, loop._parts.roster, ledger.advance_watermarks

        def note_reading(_at: datetime, address: LeaderAddress) -> None:
            heard.append(address)

        def note_writing(until: dict[LeaderAddress, datetime]) -> None:
            heard.append(f"{len(until)} watermarks")
            advance(until)

        async def hear_frames() -> None:
            while True:
                heard.append("frame")
                await asyncio.sleep(0)

        roster.reload_leaders()
        assert loop._parts.lease.take()
        monkeypatch.setattr(roster, "reload_holdings", note_reading)
        monkeypatch.setattr(ledger, "advance_watermarks", note_writing)
        world.feed.told_until = dict.fromkeys(leaders, NOW + timedelta(seconds=5))
        listening = asyncio.create_task(hear_frames())
        await upkeep.reload()
        await upkeep.advance_watermarks()
        listening.cancel()
        assert {one.watermark for one in ledger.leaders()} == {NOW + timedelta(seconds=5)}
    assert [one for one in heard if one != "frame"] == [*leaders, *3 * ["20 watermarks"]]
    assert all("frame" in pair for pair in pairwise(heard))


async def test_trade_is_copied_once_whatever_feeds_repeat(world: World) -> None:
    """In the same breath, later, and after the memory of the loop forgot it."""
    world.follow()
    async with world.looping() as running:
        await running.trading()
        trade = build_trade()
        await running.tell(trade, trade)
        await running.tell(replace(trade, received_at=NOW + timedelta(seconds=1)))
        running.loop._parts.desk.seen.__init__()  # type: ignore[misc]
        await running.tell(trade)
        assert len(running.log()) == 1
        assert running.status.counts.copied == 1
        assert running.status.counts.repeated == 3
        assert len(running.ledger.trade_log()) == 2


async def test_fills_of_one_transaction_are_copied_one_after_another(world: World) -> None:
    """The second waits until the first order is known, instead of being refused."""
    world.follow()
    exchange = ScriptedExchange(filled)
    world.exchange = exchange
    async with world.looping() as running:
        await running.trading()
        fills = [build_trade(size=size) for size in ("100", "110", "120")]
        await running.tell(*fills)
        verdicts = {record.verdict for record in running.log()}
        assert verdicts == {CopyVerdict.PLACED}
        sent = [prepared.order.budget_usdc for prepared in exchange.submitted]
        assert sent == sorted(sent)
        assert len(sent) == 3


async def test_partial_exit_is_mirrored_as_a_fraction(world: World) -> None:
    """He sells half of his, we sell half of ours."""
    world.follow()
    async with world.looping() as running:
        await running.trading()
        await running.tell(trade_number(1, size="400"))
        before = ours(running)
        await running.tell(trade_number(2, Side.SELL, size="200"))
        assert 0 <= ours(running) - before / 2 < Decimal("0.01")


async def test_sale_in_the_same_breath_waits_for_the_purchase(world: World) -> None:
    """Decided a moment too early, it would find nothing to sell, and we would be left with it."""
    world.follow(flip_s=0.0)
    async with world.looping() as running:
        await running.trading()
        await running.tell(trade_number(1, size="400"), trade_number(2, Side.SELL, size="400"))
        assert [record.verdict for record in running.log()] == [CopyVerdict.PLACED] * 2
        assert ours(running) < 1


async def test_exit_that_the_venue_refuses_is_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shares that were just bought are not there before their trade is mined."""
    monkeypatch.setattr("polybot.copy_trading.desk.EXIT_AGAIN_AFTER_S", 0.01)
    refusals = ["balance: 0", "balance: 0"]

    def answer(prepared: PreparedOrder) -> SubmitResult:
        if prepared.order.side is Side.SELL and refusals:
            return Rejected(order_id=prepared.order_id, reason=refusals.pop())
        return filled(prepared)

    exchange = ScriptedExchange(answer)
    world.exchange = exchange
    world.follow(flip_s=0.0)
    async with world.looping() as running:
        await running.trading()
        await running.tell(trade_number(1, size="200"), trade_number(2, Side.SELL, size="200"))
        await running.until(lambda: ours(running) == 0)
        await running.settled()
        sides = [prepared.order.side for prepared in exchange.submitted]
        assert sides == [Side.BUY, Side.SELL, Side.SELL, Side.SELL]
        assert len({prepared.order.decision_key for prepared in exchange.submitted}) == 4
        assert running.ledger.holdings(LEADER) == ()
        assert running.ledger.violations() == ()


async def test_exit_that_is_never_taken_is_given_up_and_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it is too old to be a copy."""
    monkeypatch.setattr("polybot.copy_trading.desk.EXIT_AGAIN_AFTER_S", 0.01)

    def answer(prepared: PreparedOrder) -> SubmitResult:
        if prepared.order.side is Side.SELL:
            world.clock.move(4)
            world.books.books = {UP_TOKEN: build_book(as_of=world.clock.at)}
            return Rejected(order_id=prepared.order_id, reason="balance: 0")
        return filled(prepared)

    world.exchange = ScriptedExchange(answer)
    world.follow(flip_s=0.0, max_age_s=10.0)
    async with world.looping() as running:
        await running.trading()
        await running.tell(trade_number(1, size="200"), trade_number(2, Side.SELL, size="200"))

        def told() -> list[str]:
            alerts = running.ledger.due_alerts(at=world.clock.at, limit=9)
            return [one.alert.title for one in alerts if one.alert.kind is AlertKind.COPYING]

        await running.until(lambda: bool(told()))
        assert "not sold after whale" in told()[0]
        assert ours(running) == 10


async def test_merge_closes_both_of_ours_in_turn(world: World) -> None:
    """One order a market at a time; the conversion itself is recorded last, and once."""
    world.market_data = BothBooks()
    world.follow()
    async with world.looping() as running:
        await running.trading()
        await running.tell(
            trade_number(1, size="400"), trade_number(2, size="400", token_id=DOWN_TOKEN)
        )
        assert ours(running) > 0
        assert ours(running, DOWN_TOKEN) > 0
        merge = build_conversion(ConversionKind.MERGE, size="400")
        world.feed.tell(merge)
        await running.settled()
        world.feed.tell(merge)
        await running.settled()
        assert ours(running) < 1
        assert ours(running, DOWN_TOKEN) < 1
        assert running.status.counts.conversions == 1
        assert running.ledger.violations() == ()


async def test_merge_of_what_we_do_not_hold_only_changes_his_size(world: World) -> None:
    """And is recorded."""
    world.follow()
    async with world.looping() as running:
        await running.trading()
        await running.tell(trade_number(1, size="400", traded_at=NOW - timedelta(hours=1)))
        world.feed.tell(build_conversion(ConversionKind.MERGE, size="100"))
        await running.settled()
        (holding,) = running.ledger.holdings(LEADER)
        assert holding.leader_size == 300
        assert holding.our_size == 0


async def test_small_copies_wait_for_company(world: World) -> None:
    """Pending amounts join the next trade, also when both are told in one breath."""
    world.follow(scale=Decimal("0.01"), min_leader_stake_usdc=Decimal(0))
    async with world.looping() as running:
        await running.trading()
        await running.tell(
            trade_number(1, size="200"), trade_number(2, size="200"), trade_number(3, size="200")
        )
        verdicts = [record.verdict for record in running.log()]
        assert CopyVerdict.ACCUMULATED in verdicts
        assert verdicts[-1] is CopyVerdict.PLACED
        (holding,) = running.ledger.holdings(LEADER)
        assert holding.pending_usdc == 0
        record = running.log()[-1]
        assert record.order_id is not None
        order = running.ledger.order(record.order_id)
        assert order is not None
        assert order.budget_usdc > Decimal(2)


async def test_skips_are_recorded_in_batches(world: World) -> None:
    """A burst of them costs one transaction or two, not hundreds."""
    world.follow()
    async with world.looping() as running:
        await running.trading()
        batches: list[int] = []
        recording = running.ledger.record_leader_trades

        def counted(records: Sequence[object], **lease: object) -> object:
            batches.append(len(records))
            return recording(records, **lease)  # type: ignore[arg-type]

        running.ledger.record_leader_trades = counted  # type: ignore[assignment]
        await running.tell(*(rain(n) for n in range(250)))
        assert len(running.log()) == 250
        assert len(batches) <= 4


# What is not copied -----------------------------------------------------------------------------


async def test_old_trades_are_recorded_and_not_copied(world: World) -> None:
    """After downtime: what is younger than the leader's maximum is copied, the rest skipped."""
    world.follow(max_age_s=10.0)
    async with world.looping() as running:
        await running.trading()
        await running.tell(
            trade_number(1, traded_at=NOW - timedelta(seconds=11)),
            trade_number(2, traded_at=NOW - timedelta(seconds=9)),
        )
        young, old = running.log()
        assert (old.verdict, old.reason_code) == (CopyVerdict.SKIPPED, "too-old")
        assert young.verdict is CopyVerdict.PLACED


async def test_nothing_from_before_following_is_touched(world: World) -> None:
    """It is part of what the leader was found to hold."""
    world.follow(added_at=NOW - timedelta(seconds=5), watermark=NOW - timedelta(seconds=5))
    async with world.looping() as running:
        await running.trading()
        await running.tell(trade_number(1, traded_at=NOW - timedelta(seconds=6)))
        assert running.log() == ()
        assert running.status.counts.seen == 0


async def test_strangers_are_not_recorded(world: World) -> None:
    """Whatever a feed tells by mistake."""
    world.follow()
    async with world.looping() as running:
        await running.trading()
        await running.tell(trade_number(1, leader=OTHER_LEADER))
        assert running.log() == ()


async def test_limit_refuses_and_the_owner_is_told_once(world: World) -> None:
    """Two trades in an hour against one limit are one alert."""
    world.limits = {**WIDE, "max_window_exposure_usdc": Decimal(1)}
    world.follow()
    async with world.looping() as running:
        await running.trading()
        await running.tell(trade_number(1), trade_number(2))
        assert [record.verdict for record in running.log()] == [CopyVerdict.REFUSED] * 2
        assert running.status.counts.refused == {"window-exposure": 2}
        await running.until(lambda: len(running.ledger.due_alerts(at=NOW, limit=9)) > 0)
        alerts = [one.alert for one in running.ledger.due_alerts(at=NOW, limit=9)]
        assert [alert.kind for alert in alerts] == [AlertKind.REFUSED]


async def test_halt_stops_copies_at_once(world: World) -> None:
    """The next transaction obeys it."""
    world.follow()
    async with world.looping() as running:
        await running.trading()
        running.ledger.set_trading_state(
            TradingStateChange(
                state=TradingState.HALTED, reason="enough", by="owner", changed_at=NOW
            )
        )
        await running.tell(trade_number(1))
        (record,) = running.log()
        assert (record.verdict, record.reason_code) == (CopyVerdict.REFUSED, "trading-state")
        assert running.ledger.open_orders() == ()


async def test_order_that_cannot_be_made_is_a_skip(world: World) -> None:
    """A run without the second word, for one."""

    class NoWord(ScriptedExchange):
        def prepare(self, approved: object, *, created_at: object) -> PreparedOrder:
            raise PermanentError("live trading is refused")

    world.exchange = NoWord()
    world.follow()
    async with world.looping() as running:
        await running.trading()
        await running.tell(trade_number(1))
        (record,) = running.log()
        assert (record.verdict, record.reason_code) == (CopyVerdict.SKIPPED, "not-permitted")


async def test_defect_in_a_decision_stops_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trade is recorded as what it is, the next one is copied."""
    deciding = decide_copy

    def breaks_once(trade: LeaderTrade, situation: object) -> object:
        monkeypatch.setattr(placing, "decide_copy", deciding)
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(placing, "decide_copy", breaks_once)
    world.follow()
    async with world.looping() as running:
        await running.trading()
        await running.tell(trade_number(1), trade_number(2))
        fine, broken = running.log()
        assert (broken.reason_code, fine.verdict) == ("defect", CopyVerdict.PLACED)
        assert "decisions" in [one.part for one in running.status.troubles]
