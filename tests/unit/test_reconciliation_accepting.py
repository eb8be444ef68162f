"""What a person accepts, what is judged beside a payout on its way, and how long to wait."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from polybot.domain.markets import Outcome
from polybot.domain.orders import OrderStatus
from polybot.domain.reconciliation import ReconcileTiming, ReconcileVerdict
from polybot.domain.venue_account import RedemptionPending, VenueTradeStatus
from tests.builders import NOW
from tests.ledger_steps import intend, market_number, report
from tests.reconciliation_desk import FEE, START, Desk

TOKEN = market_number(0).token_ids[Outcome.UP]
COST = 5 + FEE


@pytest.fixture
async def held(tmp_path: Path) -> Desk:
    """Ten shares, bought a while ago, on which everybody agrees."""
    desk = Desk(tmp_path)
    desk.bought()
    assert (await desk.reconcile()).verdict is ReconcileVerdict.AGREED
    return desk


async def ask_for_payout(desk: Desk) -> None:
    desk.settle()
    desk.venue.answers = [RedemptionPending(transaction_id="0xtx", reason="sent")]
    assert len((await desk.redeem()).pending) == 1


# A payout that is on its way --------------------------------------------------------------------
async def test_withdrawal_beside_a_payout_on_its_way_is_booked_at_once(held: Desk) -> None:
    """A payout only adds cash: what is missing meanwhile cannot be its doing."""
    await ask_for_payout(held)
    held.venue.cash -= 300
    found = await held.reconcile()
    assert found.transferred_usdc == -300
    assert found.verdict.allows_trading
    held.later(minutes=5)
    assert len((await held.redeem()).redeemed) == 1
    held.later(minutes=5)
    assert (await held.reconcile()).verdict is ReconcileVerdict.AGREED
    assert held.cash == held.venue.cash == START - COST - 300 + 10
    assert held.ledger.totals(at=held.clock.instant).deposits_usdc == START - 300


async def test_withdrawal_and_payout_at_once_come_out_right_together(held: Desk) -> None:
    """The payout is there already and its shares still show: both halves add up in the end."""
    await ask_for_payout(held)
    held.venue.cash += 10 - 300
    assert (await held.reconcile()).verdict.allows_trading
    held.venue.shares[TOKEN] = Decimal(0)
    for _ in range(2):
        held.later(minutes=5)
        assert (await held.reconcile()).verdict.allows_trading
    totals = held.ledger.totals(at=held.clock.instant)
    assert totals.cash_usdc == held.venue.cash
    assert totals.deposits_usdc == START - 300
    assert totals.realised_pnl_usdc == 10 - COST


async def test_extra_cash_beside_a_payout_on_its_way_waits(held: Desk) -> None:
    """It may be the payout itself."""
    await ask_for_payout(held)
    held.venue.cash += 10
    found = await held.reconcile()
    assert (found.verdict, found.transferred_usdc) == (ReconcileVerdict.EXPLAINED, 0)


# Shares -----------------------------------------------------------------------------------------
async def test_shares_that_left_halt_until_a_person_accepts_them(held: Desk) -> None:
    """The bot keeps its record; the difference is asked for no more, and everybody is told."""
    held.venue.shares[TOKEN] = Decimal(4)
    assert (await held.reconcile()).verdict is ReconcileVerdict.HALTED
    accepted = await held.reconcile(accepted_shares="moved to another wallet")
    assert accepted.verdict is ReconcileVerdict.AGREED
    assert accepted.accepted_shares == (
        f"{market_number(0).window.slug} Up: 6 shares less at the venue were accepted",
    )
    assert (await held.reconcile()).verdict is ReconcileVerdict.AGREED
    assert held.ledger.positions()[0].size == 10
    assert sum("-6 shares of Up" in alert for alert in held.alerts) == 1
    assert held.is_halted, "only a person lifts a halt"


async def test_payout_of_shares_that_left_counts_as_withdrawn(held: Desk) -> None:
    """Earned by the bot, and taken by whoever took the shares: cash agrees in the end."""
    held.venue.shares[TOKEN] = Decimal(4)
    await held.reconcile(accepted_shares="moved to another wallet")
    held.settle()
    await held.redeem()
    for _ in range(2):
        held.later(minutes=5)
        assert (await held.reconcile()).verdict is ReconcileVerdict.AGREED
    totals = held.ledger.totals(at=held.clock.instant)
    assert totals.cash_usdc == held.venue.cash == START - COST + 4
    assert totals.deposits_usdc == START - 6
    assert totals.realised_pnl_usdc == 10 - COST


async def test_shares_that_came_are_accepted_the_same_way(held: Desk) -> None:
    """And a later difference is one again."""
    held.venue.shares[TOKEN] = Decimal(12)
    assert (await held.reconcile(accepted_shares="bought elsewhere")).verdict.allows_trading
    held.venue.shares[TOKEN] = Decimal(13)
    assert (await held.reconcile()).verdict is ReconcileVerdict.HALTED


async def test_accepting_shares_accepts_no_cash_and_the_reverse(held: Desk) -> None:
    """Each difference needs its own reason."""
    held.bought(1)
    held.venue.shares[TOKEN] = Decimal(4)
    held.venue.cash -= Decimal("0.5")
    shares = await held.reconcile(accepted_shares="moved")
    assert shares.verdict is ReconcileVerdict.HALTED
    assert [said[:5] for said in shares.differences] == ["cash:"]
    cash = await held.reconcile(accepted_difference="a fee")
    assert (cash.verdict, cash.transferred_usdc) == (ReconcileVerdict.AGREED, Decimal("-0.5"))


async def test_reason_that_fits_nothing_changes_nothing(held: Desk) -> None:
    before = held.ledger.trade_log()
    found = await held.reconcile(accepted_shares="just in case")
    assert (found.verdict, found.accepted_shares) == (ReconcileVerdict.AGREED, ())
    assert held.ledger.trade_log() == before
    assert held.ledger.foreign_trades(limit=10) == ()


async def test_shares_on_their_way_cannot_be_accepted_away(tmp_path: Path) -> None:
    """Nobody can tell how many differ while a fill of the token is not final."""
    desk = Desk(tmp_path)
    order_id = intend(desk.ledger)
    desk.venue_trade(order_id, status=VenueTradeStatus.MATCHED)
    report(desk.ledger, order_id, status=OrderStatus.UNKNOWN)
    desk.venue.shares[TOKEN] = Decimal(50)
    found = await desk.reconcile(accepted_shares="they are mine")
    assert found.verdict is ReconcileVerdict.HALTED
    assert found.accepted_shares == ()


# Timing -----------------------------------------------------------------------------------------
async def test_waiting_time_for_balances_is_the_operators(tmp_path: Path) -> None:
    """Ten minutes after a fill its shares are late under one setting, and missing under another."""
    desk = Desk(tmp_path)
    desk.bought()
    desk.venue.shares[TOKEN] = Decimal(0)
    patient = ReconcileTiming(quiet=timedelta(hours=1))
    assert (await desk.reconcile(timing=patient)).verdict is ReconcileVerdict.EXPLAINED
    assert (await desk.reconcile()).verdict is ReconcileVerdict.HALTED


async def test_how_long_killed_orders_may_fill_is_the_operators(tmp_path: Path) -> None:
    """Twenty minutes after it was killed, cash that is missing is its late fill, or withdrawn."""
    desk = Desk(tmp_path)
    order_id = intend(desk.ledger)
    report(desk.ledger, order_id, status=OrderStatus.UNFILLED)
    desk.clock.instant = NOW + timedelta(minutes=20)
    desk.venue.cash -= 5
    patient = ReconcileTiming(late_fills=timedelta(minutes=21))
    found = await desk.reconcile(timing=patient)
    assert (found.verdict, found.transferred_usdc) == (ReconcileVerdict.EXPLAINED, 0)
    assert (await desk.reconcile()).transferred_usdc == -5


async def test_how_far_trades_are_read_again_is_the_operators(held: Desk) -> None:
    """A little each time, and much further where something differed."""
    held.later(hours=30)
    timing = ReconcileTiming(overlap=timedelta(hours=5), deep_overlap=timedelta(days=9))
    earlier = await held.reconcile(timing=timing)
    held.later(hours=2)
    held.venue.shares[TOKEN] = Decimal(1)
    found = await held.reconcile(timing=timing)
    assert held.venue.asked_after[-found.passes :] == [
        earlier.started_at - timedelta(hours=5),
        found.started_at - timedelta(days=9),
        found.started_at - timedelta(days=9),
    ]
