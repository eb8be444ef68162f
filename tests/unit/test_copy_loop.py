"""The copy loop on a real ledger: what becomes of leaders' trades, whatever happens around them."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from polybot.adapters.storage.ledger import open_ledger
from polybot.copy_trading import placing
from polybot.copy_trading.decide import decide_copy
from polybot.copy_trading.desk import MOST_HELD
from polybot.copy_trading.echoes import MOST_TURNS, Echo
from polybot.copy_trading.parts import LEASE_NAME
from polybot.copy_trading.status import CopyEnd, CopyPhase
from polybot.copy_trading.wanted import start_copying, stop_copying
from polybot.domain.accounts import TradingStateChange
from polybot.domain.alerts import AlertKind
from polybot.domain.books import OrderBook
from polybot.domain.leaders import (
    ConversionKind,
    CopyVerdict,
    LeaderAddress,
    LeaderHolding,
    LeaderPosition,
    LeaderState,
    LeaderTrade,
)
from polybot.domain.markets import ConditionId, OutcomeTokenId
from polybot.domain.modes import Mode, TradingState
from polybot.domain.money import Shares
from polybot.domain.orders import (
    Accepted,
    OrderReport,
    OrderStatus,
    PreparedOrder,
    Rejected,
    Side,
    SubmitResult,
    Unknown,
)
from polybot.domain.reconciliation import ReconcileTiming
from polybot.errors import PermanentError, TransientError
from tests.builders import DOWN_TOKEN, NOW, UP_TOKEN, build_book
from tests.copy_builders import LEADER, MARKET, build_conversion, build_trade
from tests.copy_desk import CASH, PATIENCE_S, WIDE, Running, World
from tests.fakes import ScriptedExchange, ScriptedMarketData
from tests.fakes_live import FakeVenueAccount, Venue
from tests.ledger_steps import a_fill

RAIN = ConditionId("0x" + "ee" * 32)
OTHER_LEADER = LeaderAddress("0x" + "5e" * 20)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(path=tmp_path / "paper.db", limits=WIDE)


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
    exchange = ScriptedExchange(_filled)
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
        return _filled(prepared)

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
        return _filled(prepared)

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


# Leaders change while it runs -------------------------------------------------------------------


async def test_leader_added_while_running_is_followed(world: World) -> None:
    """After a look at what he holds."""
    world.history.positions = (_position("1000"),)
    async with world.looping() as running:
        await running.trading()
        assert world.feed.watermarks == {}
        world.follow(added_at=NOW - timedelta(seconds=5), watermark=NOW - timedelta(seconds=5))
        await running.until(lambda: LEADER in world.feed.watermarks)
        (holding,) = running.ledger.holdings(LEADER)
        assert holding.leader_size == 1000
        await running.until(lambda: running.status.known_markets == 1)
        await running.tell(trade_number(1))
        assert [record.verdict for record in running.log()] == [CopyVerdict.PLACED]


async def test_leader_who_could_not_be_welcomed_is_tried_again(world: World) -> None:
    """A failure in between must not leave him unheard."""
    world.history.positions = PermanentError("the Data API refuses")
    async with world.looping() as running:
        await running.trading()
        world.follow(added_at=NOW - timedelta(seconds=5), watermark=NOW - timedelta(seconds=5))
        await running.until(lambda: "leaders" in [one.part for one in running.status.troubles])
        world.history.positions = ()
        await running.until(lambda: LEADER in world.feed.watermarks)


async def test_paused_leader_is_recorded_and_not_copied(world: World) -> None:
    """Until he is resumed."""
    world.follow()
    async with world.looping() as running:
        await running.trading()
        await _set_state(running, LeaderState.PAUSED)
        await running.tell(trade_number(1))
        await _set_state(running, LeaderState.ACTIVE)
        await running.tell(trade_number(2))
        paused, resumed = running.log()
        assert (paused.verdict, paused.reason_code) == (CopyVerdict.SKIPPED, "leader-paused")
        assert resumed.verdict is CopyVerdict.PLACED


async def test_exits_alone_are_mirrored_where_only_sales_are_allowed(world: World) -> None:
    """What an owner does who wants no more entries, and wants to leave with him."""
    leader = world.follow()
    async with world.looping() as running:
        await running.trading()
        await running.tell(trade_number(1, size="400"))
        held = ours(running)
        assert held > 0
        running.ledger.set_policy(
            LEADER, replace(leader.policy, sides=frozenset({Side.SELL})), at=NOW
        )
        await running.until(
            lambda: running.loop._parts.roster.leaders[LEADER].policy.sides == {Side.SELL}
        )
        await running.tell(trade_number(2, size="400"))
        assert running.log()[-1].reason_code == "side"
        assert ours(running) == held
        await running.tell(trade_number(3, Side.SELL, size="800"))
        assert running.log()[-1].verdict is CopyVerdict.PLACED
        assert ours(running) < 1


async def test_one_copy_too_many_throttles_until_a_person_lifts_it(world: World) -> None:
    """At once, durably, with an alert."""
    world.follow(max_repeats=2, max_market_usdc=Decimal(200))
    async with world.looping() as running:
        await running.trading()
        await running.tell(*(trade_number(n) for n in range(4)))
        assert [record.reason_code for record in running.log()] == [
            "",
            "",
            "throttled",
            "leader-throttled",
        ]
        (leader,) = running.ledger.leaders()
        assert leader.state is LeaderState.THROTTLED
        alerts = [one.alert for one in running.ledger.due_alerts(at=NOW, limit=9)]
        assert AlertKind.COPYING in [alert.kind for alert in alerts]
        await _set_state(running, LeaderState.ACTIVE)
        await running.tell(trade_number(9))
        assert running.log()[-1].verdict is CopyVerdict.PLACED


async def test_throttled_leader_is_followed_out_and_not_in(world: World) -> None:
    """What he sells is sold, also after a restart; what he buys is not bought."""
    world.follow(max_repeats=1, max_market_usdc=Decimal(200))
    async with world.looping() as running:
        await running.trading()
        await running.tell(trade_number(1, size="400"), trade_number(2))
        assert running.status.leaders[0].state is LeaderState.THROTTLED
        held = ours(running)
        assert held > 0
        await running.tell(trade_number(3, Side.SELL, size="300"))
        assert running.log()[-1].verdict is CopyVerdict.PLACED
        half = ours(running)
        assert 0 < half < held
    async with world.looping() as running:
        await running.trading()
        assert running.status.leaders[0].state is LeaderState.THROTTLED
        await running.tell(trade_number(4))
        assert running.log()[-1].reason_code == "leader-throttled"
        assert ours(running) == half
        await running.tell(trade_number(5, Side.SELL, size="900"))
        assert ours(running) < 1
        # What the venue's grid has left of it is too little to be sold.
        await running.tell(trade_number(6, Side.SELL, size="900"))
        assert running.log()[-1].verdict is not CopyVerdict.PLACED


async def test_leader_who_follows_us_is_throttled(world: World) -> None:
    """Each would copy the other for ever."""
    caps: dict[str, Any] = {
        name: Decimal(500) for name in ("max_market_usdc", "max_leader_usdc", "max_day_usdc")
    }
    world.follow(max_repeats=100, **caps)
    async with world.looping() as running:
        await running.trading()
        suspected = 0
        for number in range(2 * MOST_TURNS + 4):
            await running.tell(trade_number(number, traded_at=world.clock.at))
            before, suspected = suspected, running.status.counts.skipped.get("follower-loop", 0)
            # Where he was not copied there is nothing to answer: he falls silent.
            world.clock.move(1 if suspected == before else 60)
            world.books.books = {UP_TOKEN: build_book(as_of=world.clock.at)}
        codes = [record.reason_code for record in running.log()]
        assert (codes.count("follower-loop"), codes.count("follows-us")) == (2, 1)
        assert codes[-1] == "leader-throttled"
        (leader,) = running.ledger.leaders()
        assert leader.state is LeaderState.THROTTLED


@pytest.mark.parametrize("restart_every", [4, MOST_TURNS, MOST_TURNS + 1])
async def test_leader_who_follows_us_is_seen_across_restarts(
    world: World, restart_every: int
) -> None:
    """The watch begins with what the ledger has of his turns and ours."""
    caps: dict[str, Any] = {
        name: Decimal(500) for name in ("max_market_usdc", "max_leader_usdc", "max_day_usdc")
    }
    world.follow(max_repeats=100, **caps)
    turns, number, suspected = 2 * MOST_TURNS + 4, 0, 0
    codes: list[str] = []
    while number < turns:
        async with world.looping() as running:
            await running.trading()
            for _ in range(min(restart_every, turns - number)):
                await running.tell(trade_number(number, traded_at=world.clock.at))
                number += 1
                codes = [record.reason_code for record in running.log()]
                before, suspected = suspected, codes.count("follower-loop")
                world.clock.move(1 if suspected == before else 60)
                world.books.books = {
                    token: build_book(token_id=token, as_of=world.clock.at)
                    for token in (UP_TOKEN, DOWN_TOKEN)
                }
    assert (codes.count("follower-loop"), codes.count("follows-us")) == (2, 1)
    assert codes[-1] == "leader-throttled"


async def test_exit_is_mirrored_also_where_it_shows_a_follower(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """He is throttled, and entries are what a throttle stops; our exits are nobody's bait."""
    world.follow(max_market_usdc=Decimal(200))
    async with world.looping() as running:
        await running.trading()
        await running.tell(trade_number(1, size="400"))
        held = ours(running)
        echoes = running.loop._parts.desk._placing.echoes
        monkeypatch.setattr(echoes, "hear", lambda _trade: Echo.LOOP)
        await running.tell(trade_number(2, Side.SELL, size="200"))
        assert running.log()[-1].verdict is CopyVerdict.PLACED
        assert 0 < ours(running) < held
        assert [side for _, _, side in echoes._last] == [Side.BUY]
        (leader,) = running.ledger.leaders()
        assert leader.state is LeaderState.THROTTLED
        assert "follow us" in leader.state_reason


async def test_our_own_wallet_is_refused(world: World) -> None:
    """Also where a person resumes it."""
    world.follow()
    async with world.looping(own_addresses=frozenset({LEADER})) as running:
        await running.trading()
        (leader,) = running.ledger.leaders()
        assert leader.state is LeaderState.PAUSED
        assert "our own" in leader.state_reason
        await running.tell(trade_number(1))
        assert [record.reason_code for record in running.log()] == ["leader-paused"]
        running.ledger.set_leader_state(LEADER, LeaderState.ACTIVE, reason="please", at=NOW)
        await running.until(lambda: running.ledger.leaders()[0].state is LeaderState.PAUSED)


async def test_loop_reconciles_by_the_operators_waiting_times(world: World) -> None:
    """How far back trades are read again is his to say, here as in every other reconciliation."""
    venue = Venue(cash=CASH, now=world.clock.at)
    world.account = FakeVenueAccount(venue)
    timing = ReconcileTiming(overlap=timedelta(hours=9))
    async with world.looping(reconcile_timing=timing) as running:
        await running.trading()
        assert venue.asked_after[0] == world.clock.at - timedelta(hours=9)


# Being the only one, and stopping ---------------------------------------------------------------


async def test_second_loop_waits_and_takes_over(world: World) -> None:
    """Never do two trade at once."""
    world.follow()
    second = World(path=world.path, limits=WIDE)
    async with world.looping() as first:
        await first.trading()
        async with second.looping(holder="second") as waiting:
            await waiting.until(lambda: waiting.status.phase is CopyPhase.WAITING)
            assert not second.feed.running.is_set()
            first.stop.set()
            await waiting.trading()
            lease = waiting.ledger.lease(LEASE_NAME)
            assert lease is not None
            assert lease.holder == "second"
            assert first.status.phase is CopyPhase.STOPPED


async def test_lost_lease_ends_the_loop_before_anything_is_recorded(world: World) -> None:
    """The ledger refuses the copy, whatever the loop believes."""
    world.follow()
    async with world.looping() as running:
        await running.trading()
        ours_now = running.status.lease
        assert ours_now is not None
        running.ledger.release_lease(ours_now)
        taken = running.ledger.acquire_lease(
            LEASE_NAME, "thief", ttl_s=60, at=ours_now.expires_at + timedelta(seconds=1)
        )
        assert taken is not None
        world.feed.tell(trade_number(1))
        assert running.task is not None
        status = await asyncio.wait_for(running.task, PATIENCE_S)
        assert status.end is CopyEnd.LEASE_LOST
        assert running.log() == ()
        assert running.ledger.open_orders() == ()
        held = running.ledger.lease(LEASE_NAME)
        assert held is not None
        assert held.holder == "thief"


async def test_nobody_wants_copies_any_more(world: World) -> None:
    """A wish in the ledger ends the loop, whoever runs it; a new wish lets the next one run."""
    async with world.looping() as running:
        await running.trading()
        stop_copying(running.ledger, by="owner", reason="holiday", at=NOW)
        assert running.task is not None
        status = await asyncio.wait_for(running.task, PATIENCE_S)
        assert status.end is CopyEnd.NOT_WANTED
        start_copying(running.ledger, by="owner", reason="back", at=NOW)
    async with world.looping() as again:
        await again.trading()


async def test_stop_records_what_is_in_flight(world: World) -> None:
    """An answer that does not come in time leaves the order UNKNOWN, and the lease is free."""
    world.follow()
    world.exchange = ScriptedExchange()
    async with world.looping(stop_within_s=0.05) as running:
        await running.trading()
        world.feed.tell(trade_number(1))
        await running.until(lambda: running.status.orders.in_flight == 1)
        running.stop.set()
        assert running.task is not None
        status = await asyncio.wait_for(running.task, PATIENCE_S)
        assert (status.end, status.phase) == (CopyEnd.STOP, CopyPhase.STOPPED)
        (order,) = running.ledger.open_orders()
        assert order.status is OrderStatus.UNKNOWN
        later = running.ledger.acquire_lease(LEASE_NAME, "next", ttl_s=9, at=datetime.now(UTC))
        assert later is not None


async def test_cancelled_loop_leaves_nothing_unrecorded(world: World) -> None:
    """As Prefect ends a run whose slot it lost."""
    world.follow()
    world.exchange = ScriptedExchange()
    async with world.looping() as running:
        await running.trading()
        world.feed.tell(trade_number(1), rain(2))
        await running.until(lambda: running.status.orders.in_flight == 1)
        assert running.task is not None
        running.task.cancel()
        await asyncio.wait({running.task}, timeout=PATIENCE_S)
        assert running.task.cancelled()
        (order,) = running.ledger.open_orders()
        assert order.status is OrderStatus.UNKNOWN
        assert len(running.log()) == 2


async def test_order_left_behind_is_looked_up_and_never_sent_again(world: World) -> None:
    """The market waits until its end is known; then the leader's next trade is copied."""
    world.follow()
    world.exchange = ScriptedExchange()
    async with world.looping(stop_within_s=0.05) as running:
        await running.trading()
        world.feed.tell(trade_number(1))
        await running.until(lambda: running.status.orders.in_flight == 1)
    second = ScriptedExchange(_filled)
    world.exchange = second
    with_order = world.exchange.reports
    async with world.looping() as running:
        (order,) = running.ledger.open_orders()
        with_order[order.order_id] = TransientError("the venue does not answer")
        await running.trading()
        world.feed.tell(trade_number(1), trade_number(2))
        await running.until(lambda: running.status.orders.waiting_trades == 1)
        assert second.submitted == []
        with_order[order.order_id] = OrderReport(status=OrderStatus.NEVER_ARRIVED, reason="gone")
        await running.settled()
        assert [one.order.decision_key for one in second.submitted] == [
            f"copy:{trade_number(2).key}"
        ]
        assert len(running.log()) == 2


async def test_unknown_answer_holds_its_market_until_it_is_known(world: World) -> None:
    """Looked up at once, by its id."""
    exchange = ScriptedExchange(
        lambda prepared: Unknown(order_id=prepared.order_id, reason="no answer")
    )
    world.exchange = exchange
    world.follow()
    async with world.looping() as running:
        await running.trading()
        exchange.on_submit = lambda prepared: exchange.reports.update(
            {prepared.order_id: OrderReport(status=OrderStatus.UNFILLED, reason="killed")}
        )
        await running.tell(trade_number(1), trade_number(2))
        assert len(exchange.submitted) == 2
        assert exchange.looked_up == [one.order_id for one in exchange.submitted]
        assert running.status.orders.unfilled == 2
        assert running.ledger.open_orders() == ()


async def test_defect_of_the_exchange_does_not_block_its_market(world: World) -> None:
    """The order is looked up, as after any answer that nobody heard."""
    exchange = ScriptedExchange(ZeroDivisionError("a defect"))
    exchange.on_submit = lambda prepared: exchange.reports.update(
        {prepared.order_id: OrderReport(status=OrderStatus.NEVER_ARRIVED, reason="not there")}
    )
    world.exchange = exchange
    world.follow()
    async with world.looping() as running:
        await running.trading()
        await running.tell(trade_number(1), trade_number(2))
        assert len(exchange.submitted) == 2
        assert running.ledger.open_orders() == ()


async def test_trade_that_waits_too_long_is_skipped_as_too_old(world: World) -> None:
    """It does not hang on an order whose end nobody knows."""
    world.follow(max_age_s=10.0)
    exchange = ScriptedExchange(
        lambda prepared: Unknown(order_id=prepared.order_id, reason="no answer")
    )
    exchange.on_submit = lambda prepared: exchange.reports.update(
        {prepared.order_id: TransientError("still no answer")}
    )
    world.exchange = exchange
    async with world.looping() as running:
        await running.trading()
        world.feed.tell(trade_number(1), trade_number(2))
        world.clock.move(11)
        await running.until(lambda: running.status.orders.waiting_trades == 0)
        await running.until(lambda: len(running.log()) == 2)
        assert running.log()[-1].reason_code == "too-old"


# When something does not work -------------------------------------------------------------------


async def test_ledger_that_cannot_be_written_stops_copying_and_loses_nothing(world: World) -> None:
    """One alert, past the ledger; every trade is recorded once it can be written again."""
    world.follow()
    async with world.looping() as running:
        await running.trading()
        full = FullDisk(running)
        await running.until(lambda: not running.status.orders.in_flight)
        world.feed.tell(trade_number(1), rain(2))
        await running.until(lambda: running.status.phase is CopyPhase.BROKEN)
        assert "full" in running.status.reason
        world.feed.tell(trade_number(3))
        await running.until(lambda: len(world.alerts.sent) == 1)
        assert running.ledger.copy_log() == ()
        full.empty()
        world.clock.move(30)
        await running.until(lambda: running.status.phase is CopyPhase.TRADING)
        await running.until(lambda: len(running.log()) == 3)
        assert {record.verdict for record in running.log()} == {CopyVerdict.SKIPPED}
        assert len(world.alerts.sent) == 1


async def test_feed_that_breaks_is_started_again(world: World) -> None:
    """And the page says what was wrong."""
    world.feed.failures = [TransientError("the stream broke")]
    async with world.looping() as running:
        await running.until(lambda: running.status.phase is CopyPhase.BROKEN)
        assert "the stream broke" in running.status.reason
        await running.trading()
        assert world.feed.starts == 2


async def test_start_is_tried_until_it_works(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A venue that does not answer at the start is no reason to give up."""
    monkeypatch.setattr("polybot.copy_trading.engine._RETRY_START_S", 0.01)
    world.follow()
    async with world.looping() as running:
        totals = running.ledger.totals
        tries: list[int] = []

        def fails_twice(**at: object) -> object:
            tries.append(1)
            if len(tries) <= 2:
                raise TransientError("locked")
            return totals(**at)  # type: ignore[arg-type]

        running.ledger.totals = fails_twice  # type: ignore[assignment]
        await running.trading()
        assert len(tries) >= 3


async def test_too_many_waiting_trades_end_the_loop(world: World) -> None:
    """The next loop reads them again from the watermark on; memory stays bounded."""
    world.follow(max_age_s=3600.0, max_repeats=1000)
    world.exchange = ScriptedExchange()
    async with world.looping(stop_within_s=0.05) as running:
        await running.trading()
        world.feed.tell(*(trade_number(n) for n in range(MOST_HELD + 2)))
        assert running.task is not None
        with pytest.raises(TransientError, match="too many"):
            await asyncio.wait_for(running.task, PATIENCE_S)


# How far, and how far off -----------------------------------------------------------------------


async def test_watermark_stops_before_what_is_not_recorded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash then hears it again."""
    monkeypatch.setattr("polybot.copy_trading.engine._WATERMARKS_EVERY_S", 0.02)
    world.follow()
    world.exchange = ScriptedExchange()
    async with world.looping(stop_within_s=0.05) as running:
        await running.trading()
        waiting = trade_number(2, traded_at=NOW - timedelta(seconds=1))
        world.feed.tell(trade_number(1), waiting)
        world.feed.told_until = {LEADER: NOW + timedelta(seconds=60)}
        await running.until(lambda: running.ledger.leaders()[0].watermark == waiting.traded_at)


async def test_drift_is_shown_and_never_traded_on(world: World) -> None:
    """What we believe of him is mended once he is quiet."""
    world.follow()
    world.history.positions = (_position("900"),)
    async with world.looping(drift_every_s=0.05) as running:
        await running.trading()
        await running.tell(trade_number(1, size="400"))
        await running.until(
            lambda: [one.recorded_leader_size for one in running.status.drift] == [400]
        )
        (drift,) = running.status.drift
        assert drift.leader_size == 900
        assert drift.difference == drift.our_size - 90
        world.clock.move(200)
        await running.until(lambda: running.ledger.holdings(LEADER)[0].leader_size == 900)
        await running.until(lambda: running.status.drift[0].recorded_leader_size == 900)
        assert len(running.log()) == 1


async def test_trade_that_failed_later_is_flagged(world: World) -> None:
    """The copy stands alone, and the owner is told."""
    world.follow()
    async with world.looping() as running:
        await running.trading()
        trade = trade_number(1)
        await running.tell(trade)
        running.loop.void(trade.key)
        await running.until(lambda: running.log()[0].is_voided)
        kinds = [one.alert.kind for one in running.ledger.due_alerts(at=NOW, limit=9)]
        assert AlertKind.COPYING in kinds
        assert running.status.counts.voided == 1


# ------------------------------------------------------------------------------------------------


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


def _filled(prepared: PreparedOrder) -> Accepted:
    size = "10" if prepared.order.side is Side.BUY else str(prepared.order.size)
    fill = a_fill(prepared.order_id, size)
    return Accepted(order_id=prepared.order_id, is_resting=False, fills=(fill,))


def _position(size: str) -> LeaderPosition:
    return LeaderPosition(
        token_id=UP_TOKEN,
        condition_id=MARKET.condition_id,
        slug=MARKET.slug,
        title="",
        outcome="Up",
        size=Shares(Decimal(size)),
        average_price=Decimal("0.5"),
        value_usdc=Decimal(0),
        realised_pnl_usdc=Decimal(0),
        is_open=True,
    )


async def _set_state(running: Running, state: LeaderState) -> None:
    running.ledger.set_leader_state(LEADER, state, reason="by the test", at=NOW)
    await running.until(lambda: running.status.leaders[0].state is state)
