"""Leader trades and their copies: recorded once each, with every total that they change."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from polybot.adapters.storage.ledger import SqlLedger
from polybot.domain.accounts import AccountTotals, MarketExposure, TradingStateChange
from polybot.domain.decisions import Verdict
from polybot.domain.leaders import CopyAnswer, CopyVerdict, LeaderSpending, LeaderState
from polybot.domain.markets import Outcome
from polybot.domain.modes import TradingState
from polybot.domain.money import Shares
from polybot.domain.orders import FillStatus, OrderStatus, RiskCheck, Side
from tests.builders import NOW
from tests.contract.conftest import OpenLedger
from tests.copy_builders import build_leader
from tests.copy_steps import (
    LEADER,
    OTHER_LEADER,
    OUTLAY,
    a_record,
    copy,
    follow,
    held,
    leader_trade,
    take_lease,
)
from tests.ledger_steps import a_fill, intend, market_number, report, resolution

# Copies -----------------------------------------------------------------------------------------


def test_copy_is_durable_with_trade_order_and_decision(rich: SqlLedger, reopen: OpenLedger) -> None:
    """Another process sees all of it, and the books agree."""
    lease = follow(rich)
    trade = leader_trade()

    recorded, order_id = copy(rich, lease, trade)

    assert recorded.answer is CopyAnswer.RECORDED
    other = reopen()
    (record,) = other.copy_log()
    assert (record.trade, record.verdict, record.order_id) == (
        trade, CopyVerdict.PLACED, order_id,
    )  # fmt: skip
    order = other.order(order_id)
    assert order is not None
    assert (order.status, order.reserved_usdc) == (OrderStatus.SENDING, OUTLAY)
    assert record.decision_key is not None
    decision = other.decision(record.decision_key)
    assert decision is not None
    assert (decision.verdict, decision.order_id) == (Verdict.PLACED, order_id)
    totals = other.totals(at=NOW)
    assert (totals.reserved_usdc, totals.day_trade_count) == (OUTLAY, 1)
    assert other.violations() == ()


def test_second_sighting_changes_nothing(rich: SqlLedger) -> None:
    """Whatever the feeds repeat, from whichever source, one trade is copied once."""
    lease = follow(rich)
    trade = leader_trade()
    copy(rich, lease, trade)
    before = (rich.totals(at=NOW), rich.holdings(), rich.spending(LEADER, at=NOW))

    again, _ = copy(rich, lease, replace(trade, received_at=NOW + timedelta(seconds=1)))
    skipped = rich.record_leader_trades([a_record(trade)], lease=lease)

    assert again.answer is CopyAnswer.ALREADY_SEEN
    assert skipped[trade.key].answer is CopyAnswer.ALREADY_SEEN
    assert (rich.totals(at=NOW), rich.holdings(), rich.spending(LEADER, at=NOW)) == before
    assert len(rich.copy_log()) == 1


def test_true_repeats_are_two_trades(rich: SqlLedger) -> None:
    """Two fills of one transaction with the same numbers differ by their count."""
    lease = follow(rich)
    first = leader_trade()
    for trade in (first, replace(first, occurrence=1)):
        recorded, _ = copy(rich, lease, trade)
        assert recorded.answer is CopyAnswer.RECORDED
    holding = held(rich, first)
    assert holding is not None
    assert holding.leader_size == 400


@pytest.mark.parametrize("state", [LeaderState.PAUSED, LeaderState.THROTTLED, LeaderState.REMOVED])
def test_leader_who_is_not_active_is_refused(rich: SqlLedger, state: LeaderState) -> None:
    """Whatever the loop still believed; the trade is recorded with the reason."""
    lease = follow(rich)
    rich.set_leader_state(LEADER, state, reason="the owner said so", at=NOW)

    recorded, order_id = copy(rich, lease, leader_trade())

    assert recorded.answer is CopyAnswer.REFUSED
    assert [check.name for check in recorded.failed] == ["leader-state"]
    assert rich.order(order_id) is None
    (record,) = rich.copy_log()
    assert record.verdict is CopyVerdict.REFUSED
    assert "the owner said so" in record.reason
    assert rich.violations() == ()


@pytest.mark.parametrize("state", [LeaderState.PAUSED, LeaderState.THROTTLED, LeaderState.REMOVED])
def test_throttle_refuses_no_exit_and_every_other_state_does(
    rich: SqlLedger, state: LeaderState
) -> None:
    """A guard of entries keeps nobody in; it sells no more than was bought through the leader."""
    lease = follow(rich)
    _, bought = copy(rich, lease, leader_trade(tx=1))
    report(rich, bought, a_fill(bought, "8", "0.5"))
    rich.set_leader_state(LEADER, state, reason="the guard said so", at=NOW)

    sale = leader_trade(0, Side.SELL, tx=2)
    again = replace(sale, occurrence=1)
    too_much, _ = copy(rich, lease, sale, size=Shares(Decimal("8.01")))
    sold, order_id = copy(rich, lease, again, size=Shares(Decimal(8)))

    assert too_much.answer is CopyAnswer.REFUSED
    failed = [check.name for check in too_much.failed]
    if state is LeaderState.THROTTLED:
        assert failed == ["leader-position"]
        assert sold.answer is CopyAnswer.RECORDED
        assert rich.order(order_id) is not None
    else:
        assert failed == ["leader-state", "leader-position"]
        assert sold.answer is CopyAnswer.REFUSED
        assert rich.order(order_id) is None
    assert rich.violations() == ()


def test_refusal_records_trade_decision_and_sentences_but_no_order(rich: SqlLedger) -> None:
    """A limit that was reached tells why, and nothing is reserved."""
    lease = follow(rich)
    trade = leader_trade()

    def full(_totals: AccountTotals, _exposure: MarketExposure) -> Sequence[RiskCheck]:
        return (RiskCheck(name="total-exposure", passed=False, detail="30 + 5 of at most 30"),)

    recorded, order_id = copy(rich, lease, trade, checks=full)

    assert recorded.answer is CopyAnswer.REFUSED
    assert rich.order(order_id) is None
    (record,) = rich.copy_log()
    assert (record.reason_code, record.reason) == ("total-exposure", "30 + 5 of at most 30")
    assert record.decision_key is not None
    decision = rich.decision(record.decision_key)
    assert decision is not None
    assert (decision.verdict, decision.reason) == (Verdict.REFUSED, "30 + 5 of at most 30")
    assert [check.name for check in decision.checks] == ["total-exposure"]
    assert rich.totals(at=NOW).reserved_usdc == 0
    holding = held(rich, trade)
    assert holding is not None
    assert (holding.leader_size, holding.in_flight_usdc) == (200, 0)
    assert rich.violations() == ()


def test_halt_refuses_copies(rich: SqlLedger) -> None:
    """Also where the checks that were handed in allow everything."""
    lease = follow(rich)
    rich.set_trading_state(
        TradingStateChange(state=TradingState.HALTED, reason="x", by="owner", changed_at=NOW)
    )
    recorded, _ = copy(rich, lease, leader_trade())
    assert [check.name for check in recorded.failed] == ["trading-state"]


def test_stranger_is_refused_and_nothing_is_recorded(rich: SqlLedger) -> None:
    """A wallet that nobody follows has no totals."""
    lease = take_lease(rich)
    trade = leader_trade()
    recorded, order_id = copy(rich, lease, trade)
    skipped = rich.record_leader_trades([a_record(trade)], lease=lease)
    assert recorded.answer is skipped[trade.key].answer is CopyAnswer.REFUSED
    assert rich.order(order_id) is None
    assert rich.copy_log() == ()


def test_caps_see_the_leaders_totals_with_orders_in_flight(rich: SqlLedger) -> None:
    """Day, leader and market, of this leader alone; the trend's orders are not his."""
    lease = follow(rich)
    rich.add_leader(build_leader(address=OTHER_LEADER))
    intend(rich, 0)
    copy(rich, lease, leader_trade(0, tx=1))
    copy(rich, lease, leader_trade(1, tx=2), 1)
    copy(rich, lease, leader_trade(0, tx=3, leader=OTHER_LEADER))
    seen: list[LeaderSpending] = []

    def look(spending: LeaderSpending) -> Sequence[RiskCheck]:
        seen.append(spending)
        return (RiskCheck(name="cap-day", passed=False, detail="full"),)

    recorded, _ = copy(rich, lease, leader_trade(0, tx=4, outcome=Outcome.DOWN), caps=look)

    assert [check.name for check in recorded.failed] == ["cap-day"]
    (spending,) = seen
    condition_id = market_number(0).condition_id
    assert spending.day_usdc == spending.open_usdc == 2 * OUTLAY
    assert spending.market_usdc[condition_id] == OUTLAY
    assert rich.spending(LEADER, at=NOW).market_usdc == {
        condition_id: OUTLAY,
        market_number(1).condition_id: OUTLAY,
    }
    assert rich.violations() == ()


def test_day_total_begins_anew_and_yesterday_is_still_known(rich: SqlLedger) -> None:
    """Caps on a day are of the UTC day of the order."""
    lease = follow(rich)
    copy(rich, lease, leader_trade(0, tx=1))
    tomorrow = NOW + timedelta(days=1)
    copy(rich, lease, leader_trade(1, tx=2), 1, at=tomorrow)
    assert rich.spending(LEADER, at=tomorrow).day_usdc == OUTLAY
    assert rich.spending(LEADER, at=NOW).day_usdc == OUTLAY
    assert rich.spending(LEADER, at=NOW).open_usdc == 2 * OUTLAY
    assert rich.spending(LEADER, at=tomorrow + timedelta(days=1)).day_usdc == 0
    assert rich.violations() == ()


# What became of the orders ----------------------------------------------------------------------


def test_fill_becomes_our_holding_through_the_leader(rich: SqlLedger) -> None:
    """What is not spent is free again; a fee counts as spent."""
    lease = follow(rich)
    trade = leader_trade()
    _, order_id = copy(rich, lease, trade)

    report(rich, order_id, a_fill(order_id, "8", "0.5", fee="0.14"))

    holding = held(rich, trade)
    assert holding is not None
    assert (holding.our_size, holding.our_cost_usdc, holding.in_flight_usdc) == (8, 4, 0)
    spending = rich.spending(LEADER, at=NOW)
    assert (spending.open_usdc, spending.day_usdc) == (4, Decimal("4.14"))
    assert rich.violations() == ()


def test_order_that_never_arrived_gives_everything_back(rich: SqlLedger) -> None:
    """The leader's own holding stays what it is."""
    lease = follow(rich)
    trade = leader_trade()
    _, order_id = copy(rich, lease, trade)
    report(rich, order_id, status=OrderStatus.NEVER_ARRIVED)
    holding = held(rich, trade)
    assert holding is not None
    assert (holding.leader_size, holding.in_flight_usdc) == (200, 0)
    spending = rich.spending(LEADER, at=NOW)
    assert spending.open_usdc == spending.day_usdc == 0
    assert rich.violations() == ()


def test_failed_fill_leaves_no_trace_in_the_leaders_totals(rich: SqlLedger) -> None:
    """Exactly that fill is taken out again; the next one stays."""
    lease = follow(rich)
    trade = leader_trade()
    _, order_id = copy(rich, lease, trade)
    fill = a_fill(order_id, "4", "0.5", fee="0.07", trade="a", status=FillStatus.MATCHED)
    kept = a_fill(order_id, "2", "0.5", fee="0.035", trade="b")
    report(rich, order_id, fill, kept)
    report(rich, order_id, replace(fill, status=FillStatus.FAILED))
    holding = held(rich, trade)
    assert holding is not None
    assert (holding.our_size, holding.our_cost_usdc) == (2, 1)
    assert rich.spending(LEADER, at=NOW).day_usdc == Decimal("1.035")
    assert rich.violations() == ()


def test_exit_sells_what_was_bought_through_this_leader_alone(rich: SqlLedger) -> None:
    """Another leader's shares and the trend's are not his to sell, nor what is promised."""
    lease = follow(rich)
    rich.add_leader(build_leader(address=OTHER_LEADER))
    _, mine = copy(rich, lease, leader_trade(tx=1))
    report(rich, mine, a_fill(mine, "9", "0.5", trade="a"))
    _, theirs = copy(rich, lease, leader_trade(tx=2, leader=OTHER_LEADER))
    report(rich, theirs, a_fill(theirs, "9", "0.5", trade="b"))

    first, exit_id = copy(rich, lease, leader_trade(0, Side.SELL, "100", tx=3), size=Decimal(6))
    second, _ = copy(rich, lease, leader_trade(0, Side.SELL, "100", tx=4), size=Decimal(6))

    assert first.answer is CopyAnswer.RECORDED
    assert [check.name for check in second.failed] == ["leader-position"]
    report(rich, exit_id, a_fill(exit_id, "6", "0.6", fee="0.1", trade="c"))
    holding = held(rich, leader_trade())
    assert holding is not None
    assert (holding.our_size, holding.our_cost_usdc) == (3, Decimal("1.5"))
    other = held(rich, leader_trade(), OTHER_LEADER)
    assert other is not None
    assert other.our_size == 9
    assert rich.spending(LEADER, at=NOW).open_usdc == Decimal("1.5")
    assert rich.violations() == ()


def test_settlement_ends_the_holding(rich: SqlLedger) -> None:
    """A settled market is no longer held, and no longer open money of the leader."""
    lease = follow(rich)
    trade = leader_trade()
    _, order_id = copy(rich, lease, trade)
    report(rich, order_id, a_fill(order_id, "8", "0.5", fee="0.14"))
    assert rich.settle(resolution(), at=NOW + timedelta(minutes=20)) is not None
    assert rich.holdings() == ()
    spending = rich.spending(LEADER, at=NOW)
    assert (spending.open_usdc, spending.day_usdc) == (0, Decimal("4.14"))
    assert spending.market_usdc == {}
    late = a_fill(order_id, "1", "0.5", fee="0", trade="late")
    report(rich, order_id, late, at=NOW + timedelta(minutes=21))
    assert rich.spending(LEADER, at=NOW).open_usdc == 0
    assert rich.violations() == ()
