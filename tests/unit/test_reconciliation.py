"""Our record becomes what the venue says, in three passes, or trading is halted with the reason."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from polybot.domain.markets import Outcome
from polybot.domain.modes import Mode
from polybot.domain.orders import FillStatus, OrderStatus, Side
from polybot.domain.reconciliation import ReconcileVerdict
from polybot.domain.venue_account import VenueTradeStatus
from polybot.reconciliation import reconcile_account
from polybot.reports import reconciliation_document
from tests.builders import NOW
from tests.ledger_steps import intend, market_number, report
from tests.reconciliation_desk import FEE, START, Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


async def test_equal_sides_agree_in_one_pass_and_are_remembered(desk: Desk) -> None:
    """The gate of live trading reads exactly this."""
    desk.bought()
    assert desk.ledger.reconciled_at() is None
    found = await desk.reconcile()
    assert (found.verdict, found.passes) == (ReconcileVerdict.AGREED, 1)
    assert desk.ledger.reconciled_at() == found.started_at
    record = desk.ledger.reconciliation()
    assert (record.verdict, record.agreed_fill_count) == (ReconcileVerdict.AGREED, 1)
    assert record.detail == reconciliation_document(found)


async def test_lost_answer_is_found_through_trades(desk: Desk) -> None:
    """The order was filled, the answer never came, the look-up shows nothing: the trade does."""
    order_id = intend(desk.ledger)
    report(desk.ledger, order_id, status=OrderStatus.UNKNOWN)
    desk.venue_trade(order_id)
    found = await desk.reconcile()
    assert found.verdict is ReconcileVerdict.AGREED
    assert [fill.trade_id for fill in found.new_fills] == ["t0"]
    assert found.closed == (order_id,)
    assert desk.cash == START - 5 - FEE
    assert (await desk.reconcile()).new_fills == ()


@pytest.mark.parametrize(
    "status", [OrderStatus.REJECTED, OrderStatus.UNFILLED, OrderStatus.NEVER_ARRIVED]
)
async def test_late_fill_of_an_order_that_counted_as_dead_is_booked(
    desk: Desk, status: OrderStatus
) -> None:
    """Fills are facts, whatever was answered before."""
    order_id = intend(desk.ledger)
    report(desk.ledger, order_id, status=status)
    desk.venue_trade(order_id)
    found = await desk.reconcile()
    assert (found.verdict, len(found.new_fills)) == (ReconcileVerdict.AGREED, 1)
    record = desk.ledger.order(order_id)
    assert record is not None
    assert (record.status, record.filled_size) == (OrderStatus.FILLED, 10)
    assert desk.ledger.totals(at=NOW).day_trade_count == 1


async def test_killed_order_that_filled_after_all_is_waited_for(desk: Desk) -> None:
    """Shares and cash show what no trade tells yet: that is no withdrawal."""
    order_id = intend(desk.ledger)
    report(desk.ledger, order_id, status=OrderStatus.UNFILLED)
    desk.venue_trade(order_id)
    desk.venue.hidden.add("t0")
    found = await desk.reconcile()
    assert found.verdict is ReconcileVerdict.EXPLAINED
    assert found.transferred_usdc == 0
    assert len(found.waiting) == 2
    desk.venue.hidden.clear()
    assert (await desk.reconcile()).verdict is ReconcileVerdict.AGREED
    assert desk.cash == desk.venue.cash


async def test_statuses_only_go_forward(desk: Desk) -> None:
    """A late MATCHED after CONFIRMED changes nothing."""
    order_id = intend(desk.ledger)
    for status in (VenueTradeStatus.MATCHED, VenueTradeStatus.CONFIRMED, VenueTradeStatus.MINED):
        if not desk.venue.trades:
            desk.venue_trade(order_id, status=status)
        else:
            desk.venue.advance("t0", status)
        await desk.reconcile()
    assert [fill.status for fill in desk.ledger.fills_of(order_id)] == [FillStatus.CONFIRMED]
    assert not desk.is_halted


async def test_failed_trade_voids_exactly_its_fill_and_alerts(desk: Desk) -> None:
    """The other fill of the same order stays."""
    order_id = intend(desk.ledger)
    desk.venue_trade(order_id, size=Decimal(4), status=VenueTradeStatus.MATCHED)
    desk.venue_trade(order_id, size=Decimal(6))
    assert len((await desk.reconcile()).new_fills) == 2
    desk.venue.advance("t0", VenueTradeStatus.FAILED)
    desk.later(minutes=5)
    found = await desk.reconcile()
    assert found.verdict is ReconcileVerdict.AGREED
    assert [fill.trade_id for fill in found.voided_fills] == ["t0"]
    (position,) = desk.ledger.positions()
    assert position.size == 6
    assert sum("VOID" in alert for alert in desk.alerts) == 1
    assert (await desk.reconcile()).voided_fills == ()


async def test_confirmed_trade_that_fails_halts_until_a_person_has_looked(desk: Desk) -> None:
    """The venue calls it final: its fill is taken back, and nothing is traded on such a word."""
    order_id = intend(desk.ledger)
    desk.venue_trade(order_id)
    await desk.reconcile()
    desk.venue.advance("t0", VenueTradeStatus.FAILED)
    desk.later(minutes=5)
    found = await desk.reconcile()
    assert len(found.voided_fills) == 1
    assert desk.cash == START == desk.venue.cash
    assert desk.is_halted
    assert "t0 was CONFIRMED and is FAILED now" in desk.ledger.trading_state().reason
    assert sum("otherwise than before" in alert for alert in desk.alerts) == 1
    desk.resume()
    assert (await desk.reconcile()).verdict is ReconcileVerdict.AGREED
    assert not desk.is_halted


async def test_halt_of_a_person_keeps_its_reason_beside_a_changed_word(desk: Desk) -> None:
    """The contradiction is told by its alert; why trading was halted stays readable."""
    order_id = intend(desk.ledger)
    desk.venue_trade(order_id)
    await desk.reconcile()
    desk.halt("going on holiday")
    desk.venue.advance("t0", VenueTradeStatus.FAILED)
    desk.later(minutes=5)
    await desk.reconcile()
    assert desk.ledger.trading_state().reason == "going on holiday"
    assert sum("otherwise than before" in alert for alert in desk.alerts) == 1


async def test_failed_trade_that_is_confirmed_after_all_halts_once(desk: Desk) -> None:
    """Void stays void in our books; the shares say that they are not, and halt for themselves."""
    order_id = intend(desk.ledger)
    desk.venue_trade(order_id, status=VenueTradeStatus.MATCHED)
    await desk.reconcile()
    desk.venue.advance("t0", VenueTradeStatus.FAILED)
    desk.later(minutes=5)
    assert (await desk.reconcile()).verdict is ReconcileVerdict.AGREED
    desk.venue.trades[0] = replace(desk.venue.trades[0], status=VenueTradeStatus.CONFIRMED)
    await desk.reconcile()
    assert desk.is_halted
    assert [fill.status for fill in desk.ledger.fills_of(order_id)] == [FillStatus.FAILED]
    desk.resume()
    await desk.reconcile()
    assert not desk.is_halted
    desk.venue.shares[market_number(0).token_ids[Outcome.UP]] += 10
    desk.later(minutes=5)
    found = await desk.reconcile()
    assert found.verdict is ReconcileVerdict.HALTED
    assert "0 shares by our record, 10 at the venue" in found.differences[0]


@pytest.mark.parametrize("change", [{"size": Decimal(9)}, {"price": Decimal("0.51")}])
async def test_trade_that_changes_is_kept_as_it_was_and_told_once(
    desk: Desk, change: dict[str, Any]
) -> None:
    """One name, two contents: whoever believes the second has two trades, or a wrong one."""
    order_id = desk.bought()
    await desk.reconcile()
    assert not [alert for alert in desk.alerts if "otherwise than before" in alert]
    (before,) = desk.ledger.fills_of(order_id)
    desk.venue.trades[0] = replace(desk.venue.trades[0], **change)
    for _ in range(2):
        assert (await desk.reconcile()).verdict is ReconcileVerdict.AGREED
    assert desk.ledger.fills_of(order_id) == (before,)
    assert not desk.is_halted
    assert sum("otherwise than before" in alert for alert in desk.alerts) == 1


async def test_trade_that_fails_after_settlement_takes_its_payout_back(desk: Desk) -> None:
    """The books end where they would be had it never been."""
    order_id = intend(desk.ledger)
    desk.venue_trade(order_id, status=VenueTradeStatus.MINED)
    await desk.reconcile()
    desk.settle()
    desk.venue.advance("t0", VenueTradeStatus.FAILED)
    desk.later(minutes=20)
    found = await desk.reconcile()
    assert found.verdict is ReconcileVerdict.AGREED
    assert desk.cash == START == desk.venue.cash


async def test_strangers_are_listed_and_neither_touched_nor_booked(desk: Desk) -> None:
    """Somebody trades by hand with the same wallet: the money left, the shares are not ours."""
    market = market_number(3)
    desk.venue.rest("0xstranger", market.condition_id, "3001")
    desk.venue_trade("0xhand", 3)
    found = await desk.reconcile()
    assert found.verdict is ReconcileVerdict.AGREED
    assert [order.order_id for order in found.foreign_orders] == ["0xstranger"]
    assert [trade.order_id for trade in found.foreign_trades] == ["0xhand"]
    assert desk.venue.cancelled == []
    assert "0xstranger" in desk.venue.orders
    assert desk.ledger.positions() == ()
    assert found.transferred_usdc == desk.venue.cash - START
    assert desk.cash == desk.venue.cash
    assert [trade.order_id for trade in desk.ledger.foreign_trades(limit=5)] == ["0xhand"]


async def test_fill_that_the_trades_do_not_show_halts_instead_of_being_guessed(desk: Desk) -> None:
    """Shares are there that no trade explains."""
    order_id = intend(desk.ledger)
    desk.venue_trade(order_id, size=Decimal(6))
    desk.venue_trade(order_id, size=Decimal(4), name="late")
    desk.venue.hidden.add("late")
    found = await desk.reconcile()
    assert found.verdict is ReconcileVerdict.HALTED
    assert desk.venue.asked_after[-1] <= found.started_at - timedelta(days=3)
    desk.venue.hidden.clear()
    mended = await desk.reconcile()
    assert mended.verdict is ReconcileVerdict.AGREED
    assert desk.is_halted, "only a person lifts a halt"


async def test_order_that_we_hold_for_dead_and_the_venue_for_alive_is_cancelled(
    desk: Desk,
) -> None:
    """It is ours, and it must not fill behind our back."""
    order_id = intend(desk.ledger)
    report(desk.ledger, order_id, status=OrderStatus.REJECTED)
    desk.venue.rest(order_id, market_number(0).condition_id, "1")
    found = await desk.reconcile()
    assert desk.venue.cancelled == [order_id]
    assert (found.verdict, found.passes) == (ReconcileVerdict.AGREED, 2)


@pytest.mark.parametrize("method", ["open_orders", "trades", "look_up", "holdings", "cash"])
async def test_unanswered_question_is_incomplete_and_booked_as_nothing(
    desk: Desk, method: str
) -> None:
    """No empty list and no zero for an error."""
    order_id = intend(desk.ledger)
    report(desk.ledger, order_id, status=OrderStatus.UNKNOWN)
    desk.venue.outages[method] = 1
    found = await desk.reconcile()
    assert (found.verdict, found.passes) == (ReconcileVerdict.INCOMPLETE, 1)
    assert not found.verdict.allows_trading
    assert "was not answered" in found.problems[0]
    assert desk.ledger.reconciled_at() is None
    assert desk.cash == START
    assert (await desk.reconcile()).verdict.allows_trading


async def test_trades_are_read_again_from_the_oldest_that_is_not_final(desk: Desk) -> None:
    """A trade may fail long after newer ones were confirmed."""
    order_id = intend(desk.ledger)
    desk.venue_trade(order_id, status=VenueTradeStatus.MATCHED)
    desk.later(hours=8)
    await desk.reconcile()
    await desk.reconcile()
    assert desk.venue.asked_after[-1] <= NOW
    desk.venue.advance("t0", VenueTradeStatus.CONFIRMED)
    await desk.reconcile()
    await desk.reconcile()
    assert desk.venue.asked_after[-1] == desk.clock.instant - timedelta(hours=1)


@pytest.mark.parametrize(
    ("change", "said"),
    [({"outcome": Outcome.DOWN}, "is a BUY of token 0002"), ({"side": Side.SELL}, "is a SELL of")],
)
async def test_trade_of_our_order_in_another_token_is_not_booked(
    desk: Desk, change: dict[str, Any], said: str
) -> None:
    """Nor one on the other side: it cannot be ours as told."""
    order_id = intend(desk.ledger)
    report(desk.ledger, order_id, status=OrderStatus.UNFILLED)
    desk.venue_trade(order_id, **change)
    found = await desk.reconcile()
    assert found.verdict is ReconcileVerdict.HALTED
    assert said in found.differences[0]
    assert desk.ledger.fills_of(order_id) == ()


async def test_what_is_booked_meanwhile_is_never_booked_twice(desk: Desk) -> None:
    """Two reconciliations see the same deposit; one of them books it."""
    desk.venue.cash += 50
    snapshot = desk.ledger.account_snapshot(moving_since=NOW)
    await desk.reconcile()
    alert = desk.ledger.due_alerts(at=desk.clock.instant, limit=1)[0].alert
    version = snapshot.version
    assert not desk.ledger.book_transfer(
        Decimal(50), unless_newer_than=version, at=NOW, alert=alert
    )
    assert not desk.ledger.adjust_fees(
        Decimal("0.00001"), unless_newer_than=version, at=NOW, alert=alert
    )
    assert desk.cash == START + 50


async def test_sides_of_two_moments_are_not_compared(desk: Desk) -> None:
    """Cash was told, then another run booked the deposit that came meanwhile."""

    def deposit_elsewhere() -> None:
        desk.venue.cash += 50
        desk.ledger.deposit(Decimal(50), reference="elsewhere", at=NOW)

    desk.venue.after_cash = [deposit_elsewhere]
    found = await desk.reconcile()
    assert (found.verdict, found.passes) == (ReconcileVerdict.AGREED, 2)
    assert [row.cash_change_usdc for row in desk.ledger.trade_log()] == [START, 50]


async def test_paper_looks_orders_up_and_says_so(desk: Desk) -> None:
    """There is no account to compare with."""
    found = await reconcile_account(desk.ledger, desk.exchange, None, desk.clock, mode=Mode.PAPER)
    assert found.verdict is ReconcileVerdict.ORDERS_ONLY
    assert found.summary() == "orders-only after 1 pass"
    assert desk.venue.asked_after == []
