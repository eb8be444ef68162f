"""Cash and shares: what explains a difference, what is waited for, and what a person is asked."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from polybot.adapters.storage.ledger import open_ledger
from polybot.domain.modes import Mode
from polybot.domain.orders import OrderStatus, Side
from polybot.domain.reconciliation import ReconcileVerdict
from polybot.domain.venue_account import VenueTradeStatus
from polybot.reconciliation import reconcile_account
from tests.builders import NOW
from tests.fakes import FixedClock
from tests.fakes_live import FakeLiveExchange, FakeVenueAccount, Venue
from tests.ledger_steps import intend, report
from tests.reconciliation_desk import FEE, START, Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


async def test_shares_that_strangers_sold_halt_trading(desk: Desk) -> None:
    """Our record has shares that are not there any more."""
    desk.bought()
    desk.venue_trade("0xhand", side=Side.SELL)
    found = await desk.reconcile()
    assert (found.verdict, found.passes) == (ReconcileVerdict.HALTED, 3)
    assert desk.is_halted
    assert "sold by orders that are not ours" in desk.ledger.trading_state().reason
    assert any(alert.startswith("reconciliation:") for alert in desk.alerts)
    assert desk.ledger.reconciled_at() is None
    before = len(desk.alerts)
    await desk.reconcile()
    assert len(desk.alerts) == before


async def test_shares_that_strangers_bought_beside_ours_are_no_difference(desk: Desk) -> None:
    """Theirs are theirs, ours are covered."""
    desk.bought()
    await desk.reconcile()
    desk.venue_trade("0xhand", size=Decimal(7))
    assert (await desk.reconcile()).verdict is ReconcileVerdict.AGREED
    (position,) = desk.ledger.positions()
    assert position.size == 10


async def test_rounded_fees_are_booked_and_audited(desk: Desk) -> None:
    """0.07 · 3 · 0.33 · 0.67 = 0.0464310: the venue takes 0.04643, our books 0.04644."""
    order_id = intend(desk.ledger)
    desk.venue_trade(order_id, size=Decimal(3), price=Decimal("0.33"))
    found = await desk.reconcile()
    assert found.verdict is ReconcileVerdict.AGREED
    assert found.fee_adjustment_usdc == Decimal("0.00001")
    assert desk.cash == desk.venue.cash
    row = desk.ledger.trade_log()[-1]
    assert (row.kind, row.result, row.cash_change_usdc, row.fee_usdc) == (
        "adjustment", "adjusted", Decimal("0.00001"), Decimal("-0.00001"),
    )  # fmt: skip


async def test_rounding_explains_a_step_a_fill_and_no_more(desk: Desk) -> None:
    """The tolerance is not renewed each minute."""
    desk.bought()
    desk.venue.cash -= Decimal("0.00001")
    assert (await desk.reconcile()).fee_adjustment_usdc == Decimal("-0.00001")
    desk.venue.cash -= Decimal("0.00001")
    again = await desk.reconcile()
    assert again.fee_adjustment_usdc == 0
    assert again.transferred_usdc == Decimal("-0.00001")


async def test_cash_that_new_fills_could_explain_halts_until_a_person_accepts(desk: Desk) -> None:
    """A fee schedule that changed must not be booked as a withdrawal."""
    desk.bought()
    desk.venue.cash -= Decimal("0.5")
    found = await desk.reconcile()
    assert found.verdict is ReconcileVerdict.HALTED
    assert found.differences == (
        "cash: the venue has 0.5 USDC less than our record, beyond the rounding of fees; "
        "fills since then could be the cause",
    )
    accepted = await desk.reconcile(accepted_difference="seen on the venue's page")
    assert accepted.verdict is ReconcileVerdict.AGREED
    assert accepted.transferred_usdc == Decimal("-0.5")


async def test_deposits_and_withdrawals_are_no_profit_and_no_loss(desk: Desk) -> None:
    """Cash changed, everything else agrees."""
    desk.bought()
    await desk.reconcile()
    desk.venue.cash += 200
    assert (await desk.reconcile()).transferred_usdc == 200
    desk.venue.cash -= 700
    assert (await desk.reconcile()).transferred_usdc == -700
    totals = desk.ledger.totals(at=NOW)
    assert totals.deposits_usdc == 500
    assert totals.realised_pnl_usdc == -FEE
    assert totals.high_water_usdc == totals.equity_usdc == 495 - FEE
    assert totals.day_loss_usdc <= 5 + FEE
    assert [row.result for row in desk.ledger.trade_log()][-2:] == ["deposited", "withdrawn"]


async def test_small_deposit_after_cash_showed_the_fills_is_no_mystery(desk: Desk) -> None:
    """Cash proved them to the rounding of fees, long before they are final."""
    order_id = intend(desk.ledger)
    desk.venue_trade(order_id, size=Decimal(3), price=Decimal("0.33"), name="seen",
                     status=VenueTradeStatus.MATCHED)  # fmt: skip
    found = await desk.reconcile()
    assert found.verdict is ReconcileVerdict.EXPLAINED
    assert found.fee_adjustment_usdc == 0
    desk.venue.cash += Decimal("0.5")
    assert (await desk.reconcile()).verdict is ReconcileVerdict.EXPLAINED
    desk.venue.advance("seen", VenueTradeStatus.CONFIRMED)
    desk.later(minutes=5)
    found = await desk.reconcile()
    assert (found.verdict, desk.is_halted) == (ReconcileVerdict.AGREED, False)
    assert found.transferred_usdc == Decimal("0.50001")
    assert desk.cash == desk.venue.cash


async def test_small_deposit_before_cash_showed_the_fills_is_asked_about(desk: Desk) -> None:
    """It could as well be what they cost less than we booked."""
    order_id = intend(desk.ledger)
    desk.venue_trade(order_id, name="unseen", status=VenueTradeStatus.MATCHED)
    desk.venue.cash += Decimal("0.5")
    assert (await desk.reconcile()).verdict is ReconcileVerdict.EXPLAINED
    desk.venue.advance("unseen", VenueTradeStatus.CONFIRMED)
    desk.later(minutes=5)
    assert (await desk.reconcile()).verdict is ReconcileVerdict.HALTED


async def test_new_live_ledger_takes_the_venues_cash_as_its_deposit(tmp_path: Path) -> None:
    """Nobody types the balance in."""
    with open_ledger(tmp_path / "new.db", mode=Mode.LIVE) as ledger:
        venue = Venue(now=NOW, cash=Decimal("12.345678"))
        found = await reconcile_account(
            ledger, FakeLiveExchange(venue), FakeVenueAccount(venue), FixedClock(NOW),
            mode=Mode.LIVE,
        )  # fmt: skip
        assert found.verdict is ReconcileVerdict.AGREED
        assert ledger.totals(at=NOW).deposits_usdc == Decimal("12.345678")


async def test_balances_that_lag_behind_a_fill_are_waited_for(desk: Desk) -> None:
    """The trade is matched; cash and shares have not moved yet."""
    order_id = intend(desk.ledger)
    desk.venue_trade(order_id, status=VenueTradeStatus.MATCHED)
    true_cash, desk.venue.cash = desk.venue.cash, START
    shares, desk.venue.shares = desk.venue.shares, {}
    found = await desk.reconcile()
    assert found.verdict is ReconcileVerdict.EXPLAINED
    assert len(found.waiting) == 2
    assert (found.transferred_usdc, found.fee_adjustment_usdc) == (0, 0)
    desk.venue.cash, desk.venue.shares = true_cash, shares
    desk.venue.advance("t0", VenueTradeStatus.CONFIRMED)
    desk.later(minutes=5)
    assert (await desk.reconcile()).verdict is ReconcileVerdict.AGREED


async def test_balances_that_lag_behind_a_failure_are_waited_for(desk: Desk) -> None:
    """The fill is void; the venue still shows its shares and not yet its cash."""
    desk.clock.instant = NOW + timedelta(seconds=5)
    order_id = intend(desk.ledger)
    report(desk.ledger, order_id, status=OrderStatus.UNKNOWN)
    desk.venue_trade(order_id, status=VenueTradeStatus.MATCHED)
    await desk.reconcile()
    cash, shares = desk.venue.cash, dict(desk.venue.shares)
    desk.venue.advance("t0", VenueTradeStatus.FAILED)
    desk.venue.cash, desk.venue.shares = cash, shares
    found = await desk.reconcile()
    assert len(found.voided_fills) == 1
    assert found.verdict is ReconcileVerdict.EXPLAINED
    assert found.transferred_usdc == 0


async def test_refund_that_comes_short_is_asked_about_and_not_booked(desk: Desk) -> None:
    """Cash agreed while the fill stood; what its failure gave back nobody has seen agree yet."""
    order_id = intend(desk.ledger)
    desk.venue_trade(order_id, status=VenueTradeStatus.MINED)
    desk.later(minutes=5)
    assert (await desk.reconcile()).verdict is ReconcileVerdict.AGREED
    desk.venue.advance("t0", VenueTradeStatus.FAILED)
    desk.venue.cash -= Decimal("0.5")
    desk.later(minutes=5)
    found = await desk.reconcile()
    assert len(found.voided_fills) == 1
    assert found.transferred_usdc == 0
    assert found.verdict is ReconcileVerdict.HALTED
    assert "fills since then could be the cause" in found.differences[0]
    # Once cash agrees again, a withdrawal is one.
    desk.venue.cash += Decimal("0.5")
    desk.resume()
    assert (await desk.reconcile()).verdict is ReconcileVerdict.AGREED
    desk.venue.cash -= Decimal("0.5")
    desk.later(minutes=5)
    assert (await desk.reconcile()).transferred_usdc == Decimal("-0.5")


async def test_cash_missing_beyond_what_is_on_its_way_stops_trading_until_judged(
    desk: Desk,
) -> None:
    """Neither booked nor traded on."""
    order_id = intend(desk.ledger)
    desk.venue_trade(order_id, status=VenueTradeStatus.MATCHED)
    desk.venue.cash -= 300
    found = await desk.reconcile()
    assert found.verdict is ReconcileVerdict.INCOMPLETE
    assert found.transferred_usdc == 0
    desk.venue.advance("t0", VenueTradeStatus.CONFIRMED)
    desk.later(minutes=5)
    assert (await desk.reconcile()).transferred_usdc == -300
