"""Cash, positions, days and settlements, to the last micro-USDC."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from polybot.domain.decisions import BookSummary
from polybot.domain.markets import Outcome, OutcomeTokenId
from polybot.domain.orders import FillStatus, OrderStatus, Side
from polybot.errors import DataError
from polybot.ports import Ledger
from tests.builders import NOW, build_book
from tests.contract.conftest import OpenLedger
from tests.ledger_steps import (
    a_fill,
    an_alert,
    balance_of,
    intend,
    market_number,
    report,
    resolution,
)

UP_0 = OutcomeTokenId("0001")
TOMORROW = NOW + timedelta(days=1)


def buy(ledger: Ledger, number: int = 0, size: str = "10", strategy: str = "a") -> None:
    """Buy shares of a numbered market's Up outcome at 0.50 with a fee of 0.175."""
    order_id = intend(ledger, number, strategy=strategy)
    report(ledger, order_id, a_fill(order_id, size, trade=f"buy-{strategy}"))


def test_deposit_is_booked_once_by_reference(ledger: Ledger, reopen: OpenLedger) -> None:
    """A restart that deposits the starting cash again changes nothing."""
    assert ledger.deposit(Decimal("1000.000001"), reference="start", at=NOW)
    assert not reopen().deposit(Decimal(5), reference="start", at=NOW)

    totals = ledger.totals(at=NOW)
    assert totals.cash_usdc == totals.deposits_usdc == Decimal("1000.000001")
    assert totals.high_water_usdc == totals.equity_usdc == Decimal("1000.000001")


@pytest.mark.parametrize("amount", ["0", "-1", "0.0000001", "NaN"])
def test_impossible_deposits_are_refused(ledger: Ledger, amount: str) -> None:
    """Nothing, less than nothing, finer than a micro-USDC, not a number."""
    with pytest.raises(ValueError, match=r"must be|finer"):
        ledger.deposit(Decimal(amount), reference="x", at=NOW)
    assert ledger.trade_log() == ()


def test_naive_instants_are_refused(ledger: Ledger) -> None:
    """A time without a zone has no meaning in the books."""
    with pytest.raises(ValueError, match="aware"):
        ledger.deposit(Decimal(1), reference="x", at=datetime(2026, 1, 1))
    assert ledger.trade_log() == ()


def test_new_utc_day_opens_with_the_equity_of_its_first_moment(ledger: Ledger) -> None:
    """Counters start again, totals do not, and a deposit is no profit of the day."""
    ledger.deposit(Decimal(100), reference="start", at=NOW)
    buy(ledger)
    ledger.mark_positions({UP_0: Decimal("0.4")}, at=NOW)
    today = ledger.totals(at=NOW)
    assert today.day_opening_equity_usdc == 100
    assert today.day_loss_usdc == Decimal("1.175")

    tomorrow = ledger.totals(at=TOMORROW)
    assert tomorrow.day == (NOW + timedelta(days=1)).date()
    assert tomorrow.day_opening_equity_usdc == tomorrow.equity_usdc == Decimal("98.825")
    assert tomorrow.day_trade_count == tomorrow.day_realised_pnl_usdc == 0
    assert tomorrow.fees_usdc == Decimal("0.175")
    assert tomorrow.day_fees_usdc == 0

    ledger.deposit(Decimal(50), reference="more", at=TOMORROW)
    assert ledger.totals(at=TOMORROW).day_opening_equity_usdc == Decimal("148.825")
    assert ledger.totals(at=TOMORROW).day_loss_usdc == 0
    assert ledger.violations() == ()


def test_day_never_goes_back(ledger: Ledger) -> None:
    """An event that carries yesterday's time counts today."""
    ledger.deposit(Decimal(100), reference="start", at=TOMORROW)
    buy(ledger)

    totals = ledger.totals(at=NOW)
    assert totals.day == TOMORROW.date()
    assert totals.day_fees_usdc == Decimal("0.175")


def test_days_are_utc_days(ledger: Ledger) -> None:
    """23:59:59.999999 UTC and 00:00 UTC are two days, wherever the machine is."""
    midnight = datetime(2026, 10, 6, tzinfo=UTC)
    assert ledger.totals(at=midnight - timedelta(microseconds=1)).day == date(2026, 10, 5)
    assert ledger.totals(at=midnight).day == date(2026, 10, 6)


def test_position_is_valued_at_the_bid(ledger: Ledger) -> None:
    """Without a bid it is worth nothing; marks move equity and the high-water mark."""
    ledger.deposit(Decimal(100), reference="start", at=NOW)
    buy(ledger)
    assert ledger.totals(at=NOW).position_value_usdc == 0

    ledger.mark_positions({UP_0: Decimal("0.65"), OutcomeTokenId("9"): None}, at=NOW)
    totals = ledger.totals(at=NOW)
    assert totals.position_value_usdc == Decimal("6.5")
    assert totals.high_water_usdc == Decimal("101.325")

    ledger.mark_positions({UP_0: None}, at=NOW)
    totals = ledger.totals(at=NOW)
    assert (totals.position_value_usdc, totals.high_water_usdc) == (0, Decimal("101.325"))
    assert ledger.violations() == ()


def test_bid_that_the_decision_saw_values_the_first_fill(ledger: Ledger) -> None:
    """A purchase must not look like a total loss until the next mark."""
    book = build_book()
    summary = BookSummary(
        best_bid=book.best_bid,
        best_ask=book.best_ask,
        spread=book.spread,
        ask_depth_usdc=Decimal(51),
    )
    order_id = intend(ledger, decision_changes={"book": summary})
    report(ledger, order_id, a_fill(order_id))

    (position,) = ledger.positions()
    assert position.bid == Decimal("0.5")
    assert ledger.totals(at=NOW).position_value_usdc == 5


def test_positions_carry_what_settling_needs(ledger: Ledger) -> None:
    """Window, token and outcome are remembered without asking the venue again."""
    buy(ledger, 2)
    buy(ledger, 1)

    first, second = ledger.positions()

    market = market_number(1)
    assert (first.window, first.condition_id) == (market.window, market.condition_id)
    assert (first.outcome, first.token_id) == (Outcome.UP, market.token_ids[Outcome.UP])
    assert (first.size, first.cost_usdc, first.bid) == (10, 5, None)
    assert second.window == market_number(2).window


@pytest.mark.parametrize(
    ("winner", "payout", "pnl"),
    [(Outcome.UP, "10", "4.825"), (Outcome.DOWN, "0", "-5.175"), (None, "5", "-0.175")],
)
def test_settlement_pays_and_counts_the_whole_market(
    ledger: Ledger, winner: Outcome | None, payout: str, pnl: str
) -> None:
    """Won, lost and voided: the payout less cost and fee."""
    ledger.deposit(Decimal(100), reference="start", at=NOW)
    buy(ledger)

    settled = ledger.settle(resolution(winner=winner), at=TOMORROW)

    assert settled is not None
    assert (settled.winner, settled.window) == (winner, market_number(0).window)
    assert (settled.payout_usdc, settled.pnl_usdc) == (Decimal(payout), Decimal(pnl))
    assert settled.settled_at == TOMORROW
    totals = ledger.totals(at=TOMORROW)
    assert totals.cash_usdc == totals.equity_usdc == 100 + Decimal(pnl)
    assert totals.realised_pnl_usdc == Decimal(pnl)
    assert ledger.positions() == ()
    assert ledger.settlements_between(TOMORROW, TOMORROW + timedelta(seconds=1)) == (settled,)
    assert ledger.settlements_between(NOW, TOMORROW) == ()
    assert ledger.violations() == ()


def test_market_is_settled_once(ledger: Ledger, reopen: OpenLedger) -> None:
    """A second resolution, even another one, changes nothing, and alerts once."""
    buy(ledger)
    for winner in (Outcome.UP, Outcome.DOWN):
        reopen().settle(
            resolution(winner=winner), at=NOW, alert_for=lambda s: an_alert(f"s:{s.winner}")
        )

    assert ledger.totals(at=NOW).cash_usdc == Decimal("4.825")
    assert [due.alert.dedupe_key for due in ledger.due_alerts(at=NOW, limit=9)] == ["s:Up"]


def test_market_without_holdings_is_not_settled(ledger: Ledger) -> None:
    """Neither a market we never traded nor one we sold out of."""
    assert ledger.settle(resolution(5), at=NOW) is None
    buy(ledger)
    sell = intend(ledger, side=Side.SELL, strategy="seller")
    report(ledger, sell, a_fill(sell, "10", "0.6", fee="0"))
    assert ledger.settle(resolution(), at=NOW) is None


def test_open_order_postpones_the_settlement(ledger: Ledger) -> None:
    """Its fate decides what is held, so it must be known first."""
    buy(ledger)
    other = intend(ledger, strategy="other")
    report(ledger, other, status=OrderStatus.UNKNOWN)

    with pytest.raises(DataError, match="still open"):
        ledger.settle(resolution(), at=NOW)

    report(ledger, other, status=OrderStatus.NEVER_ARRIVED)
    assert ledger.settle(resolution(), at=NOW) is not None


def test_sale_releases_cost_in_proportion_and_the_last_share_the_rest(ledger: Ledger) -> None:
    """Three purchases' worth of odd cost is given up without a micro-USDC left over."""
    buy_id = intend(ledger)
    report(ledger, buy_id, a_fill(buy_id, "3", "0.333333", fee="0"))
    for number, (size, cost_left) in enumerate([("1", "0.666666"), ("0.5", "0.5"), ("1.5", "0")]):
        sell = intend(ledger, side=Side.SELL, strategy=f"seller-{number}")
        report(ledger, sell, a_fill(sell, size, "0.4", fee="0.01"))
        assert ledger.totals(at=NOW).position_cost_usdc == Decimal(cost_left)
        assert ledger.violations() == ()

    assert ledger.positions() == ()
    # Sold for 1.2, bought for 0.999999, three fees of 0.01.
    assert ledger.totals(at=NOW).realised_pnl_usdc == Decimal("0.170001")


def test_settlement_counts_earlier_sales_and_both_outcomes(ledger: Ledger) -> None:
    """P&L of a market is payout less what was held, less all fees, plus its sales."""
    buy(ledger)
    down = intend(ledger, strategy="down", outcome=Outcome.DOWN)
    report(ledger, down, a_fill(down, "4", "0.25", fee="0.1"))
    sell = intend(ledger, side=Side.SELL, strategy="seller")
    report(ledger, sell, a_fill(sell, "5", "0.7", fee="0.2"))

    settled = ledger.settle(resolution(winner=Outcome.UP), at=NOW)

    assert settled is not None
    assert settled.payout_usdc == 5
    # 5 + 3.5 − 5 − 1 − (0.175 + 0.1 + 0.2)
    assert settled.pnl_usdc == Decimal("2.025")
    assert ledger.totals(at=NOW).cash_usdc == Decimal("2.025")
    assert ledger.violations() == ()


def test_void_fill_leaves_no_trace_in_the_books(ledger: Ledger) -> None:
    """Cash, position, fee and result are what they were; the reservation stays released."""
    ledger.deposit(Decimal(100), reference="start", at=NOW)
    before = ledger.totals(at=NOW)
    order_id = intend(ledger)
    fill = a_fill(order_id, status=FillStatus.MATCHED)
    report(ledger, order_id, fill)

    assert report(ledger, order_id, replace(fill, status=FillStatus.FAILED)) == ()

    after = ledger.totals(at=NOW)
    assert replace(after, day_trade_count=0) == before
    record = ledger.order(order_id)
    assert record is not None
    assert (record.filled_size, record.filled_cost_usdc, record.fee_usdc) == (0, 0, 0)
    assert ledger.positions() == ()
    assert ledger.violations() == ()


def test_void_purchase_after_a_sale_gives_the_sale_another_basis(ledger: Ledger) -> None:
    """10 at 0.50 and 10 at 0.60, 10 sold at 0.70: without the first, the second was sold."""
    first = intend(ledger, strategy="first")
    fill = a_fill(first, "10", "0.5", fee="0.1", trade="first", status=FillStatus.MATCHED)
    report(ledger, first, fill)
    second = intend(ledger, strategy="second", budget_usdc=Decimal(6))
    report(ledger, second, a_fill(second, "10", "0.6", fee="0.1", trade="second"))
    sell = intend(ledger, side=Side.SELL, strategy="seller")
    report(ledger, sell, a_fill(sell, "10", "0.7", fee="0.1", trade="sell"))

    report(ledger, first, replace(fill, status=FillStatus.FAILED))

    totals = ledger.totals(at=NOW)
    assert totals.position_cost_usdc == 0
    assert totals.realised_pnl_usdc == totals.cash_usdc == Decimal("0.8")
    assert ledger.positions() == ()
    assert ledger.violations() == ()


def test_void_purchase_of_sold_shares_is_reported(ledger: Ledger) -> None:
    """More sold than bought cannot be: the books stay exact and say what is missing."""
    first = intend(ledger)
    fill = a_fill(first, status=FillStatus.MATCHED)
    report(ledger, first, fill)
    sell = intend(ledger, side=Side.SELL, strategy="seller")
    sale = a_fill(sell, "10", "0.7", fee="0.1", trade="sell", status=FillStatus.MATCHED)
    report(ledger, sell, sale)
    report(ledger, first, replace(fill, status=FillStatus.FAILED))

    assert balance_of(ledger.totals(at=NOW)) == 0
    assert ledger.positions() == ()
    (sentence,) = ledger.violations()
    assert "10 more shares sold than bought" in sentence

    report(ledger, sell, replace(sale, status=FillStatus.FAILED))
    assert ledger.totals(at=NOW).cash_usdc == 0
    assert ledger.violations() == ()


@pytest.mark.parametrize(("winner", "cash"), [(Outcome.UP, "0"), (Outcome.DOWN, "0")])
def test_void_after_settlement_takes_the_payout_back(
    ledger: Ledger, winner: Outcome, cash: str
) -> None:
    """Shares that never were are paid nothing, also afterwards."""
    order_id = intend(ledger)
    fill = a_fill(order_id, status=FillStatus.MATCHED)
    report(ledger, order_id, fill)
    ledger.settle(resolution(winner=winner), at=NOW)

    report(ledger, order_id, replace(fill, status=FillStatus.FAILED))

    totals = ledger.totals(at=NOW)
    assert totals.cash_usdc == totals.realised_pnl_usdc == totals.fees_usdc == Decimal(cash)
    (settled,) = ledger.settlements_between(NOW, TOMORROW)
    assert (settled.payout_usdc, settled.pnl_usdc) == (0, 0)
    assert ledger.positions() == ()
    assert ledger.violations() == ()


def test_fill_heard_of_after_the_settlement_is_paid_out_at_once(ledger: Ledger) -> None:
    """It was held when the market was resolved, so it has its share of the payout."""
    order_id = intend(ledger)
    report(ledger, order_id, a_fill(order_id))
    ledger.settle(resolution(winner=Outcome.UP), at=NOW)

    report(ledger, order_id, a_fill(order_id, "2", "0.5", fee="0", trade="late"))

    (settled,) = ledger.settlements_between(NOW, TOMORROW)
    assert (settled.payout_usdc, settled.pnl_usdc) == (12, Decimal("5.825"))
    assert ledger.totals(at=NOW).cash_usdc == Decimal("5.825")
    assert ledger.positions() == ()
    assert "spent 6" in ledger.violations()[0]
