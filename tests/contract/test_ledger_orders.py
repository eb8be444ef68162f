"""Orders are durable before they are sent, unique, and changed only by proof."""

from datetime import timedelta
from decimal import Decimal

import pytest

from polybot.domain.accounts import AccountTotals, MarketExposure, TradingStateChange
from polybot.domain.decisions import Verdict
from polybot.domain.markets import Outcome
from polybot.domain.modes import TradingState
from polybot.domain.orders import DecisionKey, FillStatus, OrderReport, OrderStatus, RiskCheck, Side
from polybot.errors import DataError
from polybot.ports import Ledger
from tests.builders import NOW, build_decision, build_order, build_resting_order
from tests.contract.conftest import OpenLedger
from tests.ledger_steps import (
    a_fill,
    allow_all,
    an_alert,
    balance_of,
    claim,
    intend,
    market_number,
    prepare,
    report,
)


def test_intent_is_durable_with_its_reservation(ledger: Ledger, reopen: OpenLedger) -> None:
    """After ``record_intent`` another process finds the order, the claim on cash, the count."""
    ledger.deposit(Decimal(100), reference="start", at=NOW)
    order_id = intend(ledger)

    other = reopen()
    record = other.order(order_id)
    assert record is not None
    assert record.status is OrderStatus.SENDING
    assert record.reserved_usdc == Decimal("5.36")
    assert other.open_orders() == (record,)
    totals = other.totals(at=NOW)
    assert totals.reserved_usdc == Decimal("5.36")
    assert totals.available_usdc == Decimal("94.64")
    assert totals.day_trade_count == 1
    assert other.market_exposure(record.condition_id).reserved_usdc == Decimal("5.36")
    decision = other.decision(record.decision_key)
    assert decision is not None
    assert (decision.verdict, decision.order_id) == (Verdict.PLACED, order_id)
    assert other.violations() == ()


def test_intent_needs_a_pending_decision(ledger: Ledger) -> None:
    """Neither an unclaimed, nor a finished, nor a placed decision can have an order."""
    market = market_number(0)
    unclaimed = build_order(market=market)
    decision = claim(ledger, market_number(1))
    order = build_order(market=market_number(1), decision_key=decision.key)
    assert ledger.record_intent(prepare(order), decision, checks=allow_all) == ()

    again = ledger.record_intent(prepare(order), decision, checks=allow_all)
    never = ledger.record_intent(
        prepare(unclaimed), build_decision(key=unclaimed.decision_key), checks=allow_all
    )

    assert [check.name for check in again] == ["decided-once"]
    assert [check.name for check in never] == ["decided-once"]
    assert len(ledger.open_orders()) == 1
    assert ledger.totals(at=NOW).day_trade_count == 1


def test_failed_check_records_nothing(ledger: Ledger) -> None:
    """A refused intent leaves the decision pending, no order and no reservation."""
    seen: list[tuple[AccountTotals, MarketExposure]] = []
    decision = claim(ledger, market_number(0))
    failed = RiskCheck(name="exposure", passed=False, detail="too much")

    def checks(totals: AccountTotals, exposure: MarketExposure) -> list[RiskCheck]:
        seen.append((totals, exposure))
        return [RiskCheck(name="cash", passed=True, detail="fine"), failed]

    order = build_order(market=market_number(0), decision_key=decision.key)
    assert ledger.record_intent(prepare(order), decision, checks=checks) == (failed,)

    assert ledger.decision(decision.key) == decision
    assert ledger.open_orders() == ()
    assert ledger.totals(at=NOW) == seen[0][0]
    assert seen[0][0].day_trade_count == 0
    assert seen[0][1].held == {Outcome.UP: 0, Outcome.DOWN: 0}


def test_crash_inside_the_checks_records_nothing(ledger: Ledger) -> None:
    """An exception inside the transaction takes all of it back."""
    decision = claim(ledger, market_number(0))
    order = build_order(market=market_number(0), decision_key=decision.key)

    def checks(_totals: AccountTotals, _exposure: MarketExposure) -> list[RiskCheck]:
        raise RuntimeError("killed here")

    with pytest.raises(RuntimeError, match="killed here"):
        ledger.record_intent(prepare(order), decision, checks=checks)

    assert ledger.open_orders() == ()
    assert ledger.record_intent(prepare(order), decision, checks=allow_all) == ()


def test_halt_stops_the_next_intent_whatever_the_checks_say(
    ledger: Ledger, reopen: OpenLedger
) -> None:
    """A halt set by another process is obeyed by the ledger itself."""
    reopen().set_trading_state(
        TradingStateChange(state=TradingState.HALTED, reason="why", by="me", changed_at=NOW)
    )
    decision = claim(ledger, market_number(0))
    order = build_order(market=market_number(0), decision_key=decision.key)

    failed = ledger.record_intent(prepare(order), decision, checks=allow_all)

    assert [check.name for check in failed] == ["trading-state"]
    assert ledger.open_orders() == ()


def test_fill_moves_cash_cost_and_fee(ledger: Ledger) -> None:
    """10 shares at 0.50 with 0.175 fee: cash −5.175, cost 5, realised −0.175."""
    ledger.deposit(Decimal(100), reference="start", at=NOW)
    order_id = intend(ledger)

    new = report(ledger, order_id, a_fill(order_id))

    totals = ledger.totals(at=NOW)
    assert new == (a_fill(order_id),)
    assert totals.cash_usdc == Decimal("94.825")
    assert totals.position_cost_usdc == 5
    assert totals.realised_pnl_usdc == totals.day_realised_pnl_usdc == Decimal("-0.175")
    assert totals.fees_usdc == totals.day_fees_usdc == Decimal("0.175")
    assert totals.reserved_usdc == 0
    assert totals.trading_state is TradingState.ACTIVE
    record = ledger.order(order_id)
    assert record is not None
    assert (record.status, record.filled_size, record.filled_cost_usdc, record.fee_usdc) == (
        OrderStatus.FILLED, 10, 5, Decimal("0.175"),
    )  # fmt: skip
    assert ledger.fills_of(order_id) == new
    assert ledger.violations() == ()


def test_costs_round_up_and_proceeds_round_down(ledger: Ledger) -> None:
    """0.000001 shares at 0.5 cost one micro-USDC and bring none."""
    buy = intend(ledger, 0)
    report(ledger, buy, a_fill(buy, "0.000001", "0.5", fee="0"))
    assert ledger.totals(at=NOW).cash_usdc == Decimal("-0.000001")

    sell = intend(ledger, 0, side=Side.SELL, strategy="seller")
    report(ledger, sell, a_fill(sell, "0.000001", "0.5", fee="0"))
    assert ledger.totals(at=NOW).cash_usdc == Decimal("-0.000001")
    assert ledger.totals(at=NOW).realised_pnl_usdc == Decimal("-0.000001")
    assert ledger.violations() == ()


def test_repeated_report_changes_nothing(ledger: Ledger) -> None:
    """The same proof twice is one fill, also with other numbers in it."""
    order_id = intend(ledger)
    report(ledger, order_id, a_fill(order_id))
    before = ledger.totals(at=NOW)

    assert report(ledger, order_id, a_fill(order_id)) == ()
    assert report(ledger, order_id, a_fill(order_id, "11", "0.6")) == ()

    assert ledger.totals(at=NOW) == before
    assert ledger.fills_of(order_id) == (a_fill(order_id),)


def test_resting_order_keeps_the_rest_of_its_reservation(ledger: Ledger) -> None:
    """A partial fill takes from the reservation what it spent; the cancel releases the rest."""
    resting = build_resting_order()
    order_id = intend(
        ledger, time_in_force=resting.time_in_force, size=resting.size, limit_price=Decimal("0.5")
    )
    report(ledger, order_id, a_fill(order_id, "4", fee="0"), status=OrderStatus.RESTING)

    assert ledger.totals(at=NOW).reserved_usdc == Decimal("3.36")
    record = ledger.order(order_id)
    assert record is not None
    assert record.reserved_usdc == Decimal("3.36")

    report(ledger, order_id, status=OrderStatus.UNFILLED)

    record = ledger.order(order_id)
    assert record is not None
    assert record.status is OrderStatus.FILLED
    assert ledger.totals(at=NOW).reserved_usdc == 0
    assert ledger.violations() == ()


@pytest.mark.parametrize(
    ("status", "trade_count"),
    [
        (OrderStatus.UNFILLED, 1),
        (OrderStatus.REJECTED, 0),
        (OrderStatus.NEVER_ARRIVED, 0),
        (OrderStatus.UNKNOWN, 1),
        (OrderStatus.RESTING, 1),
    ],
)
def test_only_proved_absence_gives_the_trade_back(
    ledger: Ledger, status: OrderStatus, trade_count: int
) -> None:
    """The day's counter counts whatever may have reached the book."""
    order_id = intend(ledger)
    report(ledger, order_id, status=status)
    report(ledger, order_id, status=status)

    totals = ledger.totals(at=NOW)
    assert totals.day_trade_count == trade_count
    assert (totals.reserved_usdc > 0) is status.is_open
    assert ledger.violations() == ()


def test_trade_is_given_back_on_the_day_it_was_counted(ledger: Ledger) -> None:
    """A rejection that is proved tomorrow does not open tomorrow with minus one."""
    order_id = intend(ledger)
    report(ledger, order_id, status=OrderStatus.NEVER_ARRIVED, at=NOW + timedelta(days=1))

    assert ledger.totals(at=NOW + timedelta(days=1)).day_trade_count == 0
    assert ledger.violations() == ()


def test_status_never_goes_back(ledger: Ledger) -> None:
    """What is final stays final, and resting is not unknown again."""
    order_id = intend(ledger)
    for status, expected in [
        (OrderStatus.UNKNOWN, OrderStatus.UNKNOWN),
        (OrderStatus.SENDING, OrderStatus.UNKNOWN),
        (OrderStatus.RESTING, OrderStatus.RESTING),
        (OrderStatus.UNKNOWN, OrderStatus.RESTING),
        (OrderStatus.UNFILLED, OrderStatus.UNFILLED),
        (OrderStatus.RESTING, OrderStatus.UNFILLED),
        (OrderStatus.REJECTED, OrderStatus.UNFILLED),
    ]:
        report(ledger, order_id, status=status)
        record = ledger.order(order_id)
        assert record is not None
        assert record.status is expected
    assert ledger.open_orders() == ()


def test_late_fill_of_an_absent_order_is_the_truth(ledger: Ledger) -> None:
    """Trades that prove a fill outweigh an earlier "never arrived": money, status, counter."""
    order_id = intend(ledger)
    report(ledger, order_id, status=OrderStatus.NEVER_ARRIVED)

    assert len(report(ledger, order_id, a_fill(order_id), status=OrderStatus.FILLED)) == 1

    record = ledger.order(order_id)
    assert record is not None
    assert record.status is OrderStatus.FILLED
    assert ledger.totals(at=NOW).day_trade_count == 1
    assert ledger.violations() == ()


def test_market_of_an_unanswered_order_is_unknown(ledger: Ledger) -> None:
    """In-flight and unknown orders close their market to new ones until they are known."""
    order_id = intend(ledger)
    condition_id = market_number(0).condition_id
    assert ledger.totals(at=NOW).unknown_condition_ids == {condition_id}
    report(ledger, order_id, status=OrderStatus.UNKNOWN)
    assert ledger.totals(at=NOW).unknown_condition_ids == {condition_id}
    report(ledger, order_id, status=OrderStatus.UNFILLED)
    assert ledger.totals(at=NOW).unknown_condition_ids == frozenset()


def test_open_sell_orders_promise_their_shares(ledger: Ledger) -> None:
    """What is promised to one SELL cannot be promised to the next."""
    buy = intend(ledger)
    report(ledger, buy, a_fill(buy, "12"))
    sell = intend(ledger, side=Side.SELL, strategy="seller")
    report(ledger, sell, a_fill(sell, "4"), status=OrderStatus.RESTING)

    exposure = ledger.market_exposure(market_number(0).condition_id)

    assert exposure.held == {Outcome.UP: 8, Outcome.DOWN: 0}
    assert exposure.selling == {Outcome.UP: 6, Outcome.DOWN: 0}


def test_fill_that_arrives_void_moves_nothing(ledger: Ledger) -> None:
    """It is on record, but it is no fill."""
    order_id = intend(ledger)
    void = a_fill(order_id, status=FillStatus.FAILED)

    assert report(ledger, order_id, void, status=OrderStatus.RESTING) == ()

    assert ledger.fills_of(order_id) == (void,)
    assert ledger.totals(at=NOW).cash_usdc == 0
    assert ledger.positions() == ()
    assert ledger.violations() == ()


def test_fill_status_moves_forward_only(ledger: Ledger) -> None:
    """MATCHED, MINED, CONFIRMED; a stale report changes nothing."""
    order_id = intend(ledger)
    for status in (FillStatus.MATCHED, FillStatus.CONFIRMED, FillStatus.MINED):
        report(ledger, order_id, a_fill(order_id, status=status))

    assert [fill.status for fill in ledger.fills_of(order_id)] == [FillStatus.CONFIRMED]


def test_alerts_of_new_fills_are_stored_with_them(ledger: Ledger) -> None:
    """One alert a fill, in the same transaction; an alert that fails takes the fill back."""
    order_id = intend(ledger)
    proof = OrderReport(status=OrderStatus.FILLED, fills=(a_fill(order_id),))

    def explode(_fill: object) -> None:
        raise RuntimeError("no alert")

    with pytest.raises(RuntimeError):
        ledger.record_report(order_id, proof, at=NOW, alert_for=explode)  # type: ignore[arg-type]
    assert ledger.fills_of(order_id) == ()

    for _ in range(2):
        ledger.record_report(
            order_id, proof, at=NOW, alert_for=lambda fill: an_alert(fill.trade_id)
        )
    assert [due.alert.dedupe_key for due in ledger.due_alerts(at=NOW, limit=9)] == ["trade-1"]


def test_report_about_a_foreign_order_is_refused(ledger: Ledger) -> None:
    """Money of orders that are not ours never enters the books."""
    order_id = intend(ledger)
    stranger = a_fill(
        prepare(build_order(decision_key=DecisionKey("trend:other:btc-15m:900"))).order_id
    )

    with pytest.raises(DataError, match="not in the ledger"):
        report(ledger, stranger.order_id, stranger)
    with pytest.raises(ValueError, match="is of order"):
        report(ledger, order_id, stranger)
    assert balance_of(ledger.totals(at=NOW)) == 0
