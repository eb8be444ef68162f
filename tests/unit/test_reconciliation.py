"""Our record becomes what the venue says, in three passes, or trading is halted with the reason."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from polybot.adapters.storage.ledger import SqlLedger, open_ledger
from polybot.domain.accounts import TradingStateChange
from polybot.domain.markets import Outcome
from polybot.domain.modes import Mode, TradingState
from polybot.domain.orders import FillStatus, OrderId, OrderStatus, Side
from polybot.domain.reconciliation import ReconcileVerdict, Reconciliation, RedemptionState
from polybot.domain.venue_account import (
    NothingToRedeem,
    RedeemByHand,
    RedemptionPending,
    VenueTradeStatus,
)
from polybot.errors import PermanentError, TransientError
from polybot.reconciliation import reconcile_account
from polybot.redemption import RedemptionRound, redeem_settled
from polybot.reports import reconciliation_document
from tests.builders import NOW
from tests.fakes import FixedClock
from tests.fakes_live import FakeLiveExchange, FakeVenueAccount, Venue
from tests.ledger_steps import a_fill, intend, market_number, report, resolution

START = Decimal(1000)
FEE = Decimal("0.175")


class Desk:
    """A real ledger, a venue that may disagree with it, and a clock."""

    def __init__(self, folder: Path) -> None:
        self.ledger: SqlLedger = open_ledger(folder / "live.db", mode=Mode.LIVE)
        self.ledger.deposit(START, reference="start", at=NOW)
        self.venue = Venue(now=NOW, cash=START)
        self.account = FakeVenueAccount(self.venue)
        self.exchange = FakeLiveExchange(self.venue)
        self.clock = FixedClock(NOW + timedelta(minutes=10))

    async def reconcile(self, **changes: Any) -> Reconciliation:
        found = await reconcile_account(
            self.ledger, self.exchange, self.account, self.clock, mode=Mode.LIVE, **changes
        )
        assert self.ledger.violations() == ()
        return found

    async def redeem(self) -> RedemptionRound:
        return await redeem_settled(
            self.ledger, self.account, at=await self.clock.now(), mode=Mode.LIVE
        )

    def later(self, **delta: float) -> None:
        self.clock.instant += timedelta(**delta)
        self.venue.now = self.clock.instant

    def bought(self, number: int = 0, *, status: OrderStatus = OrderStatus.FILLED) -> OrderId:
        """Buy 10 Up at 0.50, on both sides, exactly."""
        order_id = intend(self.ledger, number)
        self.venue_trade(order_id, number, name=f"trade-{number}")
        report(self.ledger, order_id, a_fill(order_id, trade=f"trade-{number}"), status=status)
        return order_id

    def venue_trade(self, order_id: str, number: int = 0, **changes: Any) -> None:
        market = market_number(number)
        values: dict[str, Any] = {
            "side": Side.BUY, "size": Decimal(10), "price": Decimal("0.5"), **changes
        }  # fmt: skip
        token = market.token_ids[values.pop("outcome", Outcome.UP)]
        self.venue.trade(order_id, market.condition_id, token, **values)

    def settle(self, number: int = 0, winner: Outcome = Outcome.UP) -> None:
        market = market_number(number)
        for outcome in Outcome:
            self.venue.payouts[market.token_ids[outcome]] = Decimal(int(outcome is winner))
        assert self.ledger.settle(resolution(number, winner), at=self.clock.instant)

    def resume(self) -> None:
        self._change(TradingState.ACTIVE, "looked")

    def halt(self, reason: str) -> None:
        self._change(TradingState.HALTED, reason)

    def _change(self, state: TradingState, reason: str) -> None:
        self.ledger.set_trading_state(
            TradingStateChange(state=state, reason=reason, by="me", changed_at=self.clock.instant)
        )

    @property
    def cash(self) -> Decimal:
        return self.ledger.totals(at=self.clock.instant).cash_usdc

    @property
    def alerts(self) -> list[str]:
        due = self.ledger.due_alerts(at=self.clock.instant, limit=100)
        return [f"{each.alert.kind}: {each.alert.title}" for each in due]

    @property
    def is_halted(self) -> bool:
        return self.ledger.trading_state().state is TradingState.HALTED


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


# Redemption -------------------------------------------------------------------------------------


async def test_winnings_are_redeemed_once_and_become_cash(desk: Desk) -> None:
    """Until then the venue has less cash than our books, and that is explained."""
    desk.bought()
    desk.settle()
    assert desk.cash == START + 5 - FEE
    before = await desk.reconcile()
    assert before.verdict is ReconcileVerdict.AGREED
    assert before.expected_cash_usdc == START - 5 - FEE
    done = await desk.redeem()
    assert len(done.redeemed) == 1
    assert desk.ledger.open_redemptions() == ()
    assert (await desk.redeem()).redeemed == ()
    assert len(desk.venue.redeem_calls) == 1
    desk.later(minutes=5)
    assert (await desk.reconcile()).verdict is ReconcileVerdict.AGREED
    assert desk.cash == desk.venue.cash


async def test_losers_are_not_redeemed(desk: Desk) -> None:
    """They pay nothing; the worthless shares stay where they are."""
    desk.bought()
    desk.settle(winner=Outcome.DOWN)
    assert (await desk.redeem()).redeemed == ()
    assert desk.venue.redeem_calls == []
    assert (await desk.reconcile()).verdict is ReconcileVerdict.AGREED


async def test_redemption_by_somebody_else_is_noticed(desk: Desk) -> None:
    """Auto-redeem, or the owner: the shares are gone and the cash is there."""
    desk.bought()
    desk.settle()
    await desk.account.redeem(market_number(0).condition_id, list(desk.venue.payouts))
    found = await desk.reconcile()
    assert found.verdict is ReconcileVerdict.AGREED
    assert found.transferred_usdc == 0
    assert desk.ledger.open_redemptions() == ()


async def test_already_redeemed_is_a_success(desk: Desk) -> None:
    """Nothing left to do."""
    desk.bought()
    desk.settle()
    desk.venue.answers = [NothingToRedeem(reason="no shares")]
    assert len((await desk.redeem()).redeemed) == 1
    assert desk.ledger.open_redemptions() == ()


async def test_redemption_that_is_not_known_is_asked_again_later(desk: Desk) -> None:
    """A dropped answer, then a pending one, then success; never twice in a hurry."""
    desk.bought()
    desk.settle()
    desk.venue.answers = [
        TransientError("no answer"),
        RedemptionPending(transaction_id="0xtx", reason="sent"),
    ]
    first = await desk.redeem()
    assert (len(first.pending), len(first.problems)) == (1, 1)
    assert len((await desk.redeem()).pending) == 1
    assert len(desk.venue.redeem_calls) == 1
    desk.later(minutes=1)
    await desk.redeem()
    (waiting,) = desk.ledger.open_redemptions()
    assert (waiting.state, waiting.transaction_id, waiting.attempts) == (
        RedemptionState.REQUESTED, "0xtx", 2,
    )  # fmt: skip
    desk.later(minutes=2)
    assert len((await desk.redeem()).redeemed) == 1


async def test_intention_is_recorded_before_the_venue_hears_of_it(desk: Desk) -> None:
    """A crash in between leaves a redemption that is asked for again."""
    desk.bought()
    desk.settle()
    desk.venue.answers = [PermanentError("killed")]
    with pytest.raises(PermanentError):
        await desk.redeem()
    (open_,) = desk.ledger.open_redemptions()
    assert (open_.state, open_.attempts) == (RedemptionState.REQUESTED, 1)


async def test_person_is_told_once_what_to_do(desk: Desk) -> None:
    """And asked for again each hour, in case the wallet can by then."""
    desk.bought()
    desk.settle()
    desk.venue.answers = [RedeemByHand(instruction="press Redeem on the venue's page")] * 2
    assert len((await desk.redeem()).by_hand) == 1
    desk.later(minutes=2)
    await desk.redeem()
    assert len(desk.venue.redeem_calls) == 1
    desk.later(hours=1)
    await desk.redeem()
    assert len(desk.venue.redeem_calls) == 2
    assert sum(alert.startswith("redemption:") for alert in desk.alerts) == 1


async def test_shares_that_may_yet_fail_are_not_redeemed(desk: Desk) -> None:
    """No balance proves anything about them."""
    order_id = intend(desk.ledger)
    desk.venue_trade(order_id, status=VenueTradeStatus.MINED)
    await desk.reconcile()
    desk.settle()
    assert len((await desk.redeem()).pending) == 1
    assert desk.venue.redeem_calls == []
