"""Whom, what and when to copy: every guard has its boundary, its code and its sentence."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from polybot.copy_trading.activity import MAX_COPIES, MAX_TRADES, RecentActivity
from polybot.copy_trading.decide import decide_copy, decide_exit, decide_rest
from polybot.copy_trading.reasons import ReasonCode
from polybot.domain.decisions import Verdict
from polybot.domain.leaders import CopyVerdict, LeaderAddress, LeaderState, LeaderTrade
from polybot.domain.markets import ConditionId, Outcome, OutcomeTokenId
from polybot.domain.orders import Side, TimeInForce
from tests.builders import DOWN_TOKEN, NOW, WINDOW, build_book, build_limits, build_market
from tests.copy_builders import (
    LEADER,
    MARKET,
    build_conversion,
    build_holding,
    build_leader,
    build_situation,
    build_trade,
    order_of,
    skip_of,
)
from tests.copy_decision_steps import MICROSECOND, SMALL, both_held, code_of

# Orders ----------------------------------------------------------------------------------------


def test_buy_is_copied_as_a_market_order_of_whole_cents_within_the_guards():
    """200 shares at 0.50 with a scale of a tenth: 10 USDC, at most three cents worse."""
    trade, situation = build_trade(), build_situation()
    answer = order_of(decide_copy(trade, situation))
    order, decision, record = answer.approved.order, answer.decision, answer.record
    assert (order.side, order.time_in_force, order.outcome) == (
        Side.BUY,
        TimeInForce.FAK,
        Outcome.UP,
    )
    assert (order.budget_usdc, order.limit_price, order.size) == (
        Decimal(10),
        Decimal("0.53"),
        Decimal("18.8679"),
    )
    assert order.decision_key == decision.key == record.decision_key == f"copy:{trade.key}"
    assert decision.strategy == f"copy:{LEADER}"
    assert (decision.verdict, record.verdict) == (Verdict.PLACED, CopyVerdict.PLACED)
    assert (decision.window, decision.condition_id) == (WINDOW, MARKET.condition_id)
    assert record.reason_code == ""
    assert "10.000000 USDC at 0.53" in record.reason
    assert answer.approved.expected is None
    assert {check.name for check in decision.checks} >= {"age", "price", "stake", "min-size"}


def test_complement_fill_is_copied_in_the_token_that_the_row_names():
    """A maker's BUY of Down is told as a BUY of Down; it is not made a SELL of Up once more."""
    trade = build_trade(price="0.40", token_id=DOWN_TOKEN)
    book = build_book([("0.39", "50")], [("0.40", "50")], token_id=DOWN_TOKEN)
    order = order_of(decide_copy(trade, build_situation(book=book))).approved.order
    assert (order.side, order.outcome, order.token_id) == (Side.BUY, Outcome.DOWN, DOWN_TOKEN)


def test_sale_of_a_token_that_was_never_bought_is_no_entry_into_its_complement():
    assert code_of(build_trade(Side.SELL, "0.60")) == ReasonCode.NOTHING_HELD


# The leader ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (LeaderState.PAUSED, ReasonCode.LEADER_PAUSED),
        (LeaderState.THROTTLED, ReasonCode.LEADER_THROTTLED),
        (LeaderState.REMOVED, ReasonCode.LEADER_REMOVED),
    ],
)
@pytest.mark.parametrize("side", Side)
def test_leader_who_is_not_active_is_not_copied_but_for_exits_of_a_throttled_one(state, code, side):
    leader = build_leader(state=state, state_reason="on holiday")
    holding = build_holding("200", "100")
    decision = decide_copy(build_trade(side), build_situation(leader=leader, holding=holding))
    if side is Side.SELL and state is LeaderState.THROTTLED:
        # The throttle guards entries: it never keeps us in.
        assert order_of(decision).approved.order.side is Side.SELL
        return
    answer = skip_of(decision)
    assert answer.record.reason_code == code
    assert "on holiday" in answer.record.reason


def test_throttled_leader_who_sells_without_end_sells_no_more_than_we_hold():
    """Ten thousand sales of his: ours come to what we hold through him, and then to nothing."""
    leader = build_leader(state=LeaderState.THROTTLED, state_reason="21 copies")
    left, orders = Decimal(100), 0
    for number in range(10_000):
        holding = build_holding("200", str(left))
        trade = build_trade(Side.SELL, size="50", occurrence=number)
        decision = decide_copy(trade, build_situation(leader=leader, holding=holding))
        if decision.record.verdict is CopyVerdict.PLACED:
            left -= order_of(decision).approved.order.size
            orders += 1
    assert left >= 0
    assert 0 < orders < 20


def test_throttled_leader_is_followed_out_of_a_market():
    """His merges and redemptions are exits, and so is what an exit has left over."""
    leader = build_leader(state=LeaderState.THROTTLED, state_reason="21 copies")
    for one in decide_exit(
        build_conversion(), [replace(one, leader=leader) for one in both_held()]
    ):
        assert order_of(one).approved.order.side is Side.SELL
    situation = build_situation(leader=leader, holding=build_holding("200", "100"))
    rest = decide_rest(build_trade(Side.SELL), situation, max_age_s=10.0)
    assert order_of(rest).approved.order.side is Side.SELL


@pytest.mark.parametrize("side", Side)
def test_age_limit_is_exact_and_counts_from_the_leaders_fill(side):
    holding = build_holding("200", "100")
    at_limit = build_trade(side, traded_at=NOW - timedelta(seconds=10))
    beyond = build_trade(side, traded_at=NOW - timedelta(seconds=10) - MICROSECOND)
    assert code_of(at_limit, holding=holding) == ""
    assert code_of(beyond, holding=holding) == ReasonCode.TOO_OLD


def test_fill_far_in_the_future_is_never_traded():
    assert code_of(build_trade(traded_at=NOW + timedelta(seconds=60))) == ""
    late = build_trade(traded_at=NOW + timedelta(seconds=60) + MICROSECOND)
    assert code_of(late) == ReasonCode.FROM_THE_FUTURE


def test_nothing_from_before_following_is_copied():
    trade = build_trade()
    assert code_of(trade, leader=build_leader(added_at=trade.traded_at)) == ""
    leader = build_leader(added_at=trade.traded_at + MICROSECOND)
    assert code_of(trade, leader=leader) == ReasonCode.BEFORE_FOLLOWING


# The market ------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"market": None}, ReasonCode.MARKET_UNKNOWN),
        ({"market": build_market(is_closed=True)}, ReasonCode.MARKET_CLOSED),
        ({"market": build_market(is_accepting_orders=False)}, ReasonCode.MARKET_CLOSED),
        ({"market": build_market(is_negative_risk=True)}, ReasonCode.NEGATIVE_RISK),
        (
            {"market": build_market(condition_id=ConditionId("0x" + "dd" * 32))},
            ReasonCode.MARKET_MISMATCH,
        ),
    ],
)
def test_market_that_cannot_be_traded_is_skipped(changes, code, side):
    """Whatever the side: there is no order that the venue would take, or that would be right."""
    assert code_of(build_trade(side), holding=build_holding("200", "100"), **changes) == code


def test_token_of_another_market_is_skipped():
    trade = build_trade(token_id=OutcomeTokenId("3333"))
    assert code_of(trade) == ReasonCode.MARKET_MISMATCH


@pytest.mark.parametrize("slug", ["will-it-rain", "", "btc-updown-1h-1791241200", "<script>" * 99])
def test_market_of_another_family_is_told_apart_from_one_unknown(slug):
    answer = skip_of(decide_copy(build_trade(slug=slug), build_situation(market=None)))
    assert answer.record.reason_code == ReasonCode.MARKET_NOT_SUPPORTED
    assert "script" not in answer.record.reason


@pytest.mark.parametrize(("policy_s", "risk_s"), [(60, 30), (30, 60)])
def test_time_left_obeys_the_later_of_policy_and_risk(policy_s, risk_s):
    limits = build_limits(min_time_left_s=risk_s)
    for now, code in [
        (WINDOW.end - timedelta(seconds=60), ""),
        (WINDOW.end - timedelta(seconds=60) + MICROSECOND, ReasonCode.TIME_LEFT),
    ]:
        changes = {"now": now, "limits": limits, "book": build_book(as_of=now)}
        trade = build_trade(traded_at=now)
        assert code_of(trade, min_time_left_s=policy_s, **changes) == code


def test_exit_is_tried_until_the_window_ends():
    holding = build_holding("200", "100")
    for now, code in [
        (WINDOW.end - MICROSECOND, ""),
        (WINDOW.end, ReasonCode.MARKET_CLOSED),
    ]:
        trade = build_trade(Side.SELL, traded_at=now)
        assert code_of(trade, now=now, holding=holding) == code


# The policy ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "code"),
    [
        ({"sides": frozenset({Side.SELL})}, ReasonCode.SIDE),
        ({"sides": frozenset()}, ReasonCode.SIDE),
        ({"series": ("eth-15m", "btc-5m")}, ReasonCode.SERIES),
        ({"series": ("btc-15m",)}, ""),
        ({"tags": ("eth", "5m")}, ReasonCode.TAG),
        ({"tags": ("eth", "15m")}, ""),
        ({"tags": ("btc",)}, ""),
        ({"slugs": ("eth-*", "btc-updown-5m-*")}, ReasonCode.SLUG),
        ({"slugs": ("btc-updown-1?m-*",)}, ""),
        ({"min_price": Decimal("0.500001")}, ReasonCode.PRICE_BAND),
        ({"min_price": Decimal("0.5")}, ""),
        ({"max_price": Decimal("0.499999")}, ReasonCode.PRICE_BAND),
        ({"min_leader_stake_usdc": Decimal("100.000001")}, ReasonCode.LEADER_STAKE),
        ({"min_leader_stake_usdc": Decimal(100)}, ""),
    ],
)
def test_policy_says_which_entries_are_copied(policy, code):
    assert code_of(**policy) == code


@pytest.mark.parametrize(
    "policy",
    [
        {"series": ("eth-15m",)},
        {"tags": ("eth",)},
        {"slugs": ("eth-*",)},
        {"max_price": Decimal("0.4")},
        {"min_leader_stake_usdc": Decimal(1000)},
        {"max_trade_usdc": Decimal("0.01"), "max_from_book": Decimal(0)},
    ],
)
def test_policy_on_entries_never_keeps_us_in(policy):
    """What was bought before the policy changed is sold when the leader sells."""
    assert code_of(build_trade(Side.SELL), holding=build_holding("200", "100"), **policy) == ""


def test_side_that_is_left_out_is_not_mirrored():
    holding = build_holding("200", "100")
    only_buys = frozenset({Side.BUY})
    assert code_of(build_trade(Side.SELL), holding=holding, sides=only_buys) == ReasonCode.SIDE


# Bait ------------------------------------------------------------------------------------------


def recent_with(*trades: LeaderTrade) -> RecentActivity:
    """Return a memory in which these trades happened."""
    recent = RecentActivity()
    for trade in trades:
        recent.note(trade, NOW)
    return recent


@pytest.mark.parametrize(("apart_s", "code"), [(5, ReasonCode.FLIP), (5.000001, "")])
@pytest.mark.parametrize("direction", [1, -1])
def test_buy_close_to_a_sale_of_the_same_token_is_a_flip(apart_s, code, direction):
    """In whichever order the two happened, or were told."""
    buy = build_trade(traded_at=NOW - timedelta(seconds=5))
    sale = replace(
        build_trade(Side.SELL), traded_at=buy.traded_at + direction * timedelta(seconds=apart_s)
    )
    recent = RecentActivity()
    recent.note(sale, NOW + timedelta(seconds=9))
    assert code_of(buy, recent=recent) == code


def test_sale_within_seconds_of_the_buy_still_closes_what_we_hold():
    recent = recent_with(build_trade())
    holding = build_holding("200", "20")
    assert code_of(build_trade(Side.SELL), recent=recent, holding=holding) == ""


def test_flips_are_of_one_token_and_one_leader_and_can_be_switched_off():
    sale = build_trade(Side.SELL)
    others = recent_with(
        replace(sale, token_id=DOWN_TOKEN), replace(sale, leader=LeaderAddress("0x" + "11" * 20))
    )
    assert code_of(recent=others) == ""
    assert code_of(recent=recent_with(sale), flip_s=0.0) == ""


def test_one_copy_too_many_throttles_the_leader_until_it_is_forgotten():
    recent = RecentActivity()
    situation = build_situation(recent=recent, max_repeats=3, repeat_window_s=60.0)
    for _ in range(3):
        order_of(decide_copy(build_trade(), situation))
        recent.note_copy(LEADER, NOW)
    answer = skip_of(decide_copy(build_trade(), situation))
    assert answer.record.reason_code == ReasonCode.THROTTLED
    assert answer.must_throttle
    assert "copy 4 within 60 s, of at most 3" in answer.record.reason
    recent.forget(LEADER)
    order_of(decide_copy(build_trade(), situation))


def test_ten_thousand_trades_in_a_second_are_stopped_by_the_throttle():
    recent, placed, throttled = RecentActivity(), 0, 0
    for number in range(10_000):
        now = NOW + timedelta(microseconds=100 * number)
        trade = build_trade(occurrence=number, traded_at=NOW)
        answer = decide_copy(trade, build_situation(recent=recent, now=now))
        recent.note(trade, now)
        if answer.record.verdict is CopyVerdict.PLACED:
            recent.note_copy(LEADER, now)
            placed += 1
        else:
            throttled += skip_of(answer).must_throttle
    assert (placed, throttled) == (20, 9980)


def test_copies_leave_the_throttles_window_at_its_end():
    recent = RecentActivity()
    recent.note_copy(LEADER, NOW - timedelta(seconds=60))
    assert code_of(recent=recent, max_repeats=1) == ReasonCode.THROTTLED
    assert code_of(recent=recent, max_repeats=1, repeat_window_s=59.999) == ""


def test_exits_are_never_throttled():
    recent = RecentActivity()
    for _ in range(50):
        recent.note_copy(LEADER, NOW)
    holding = build_holding("200", "100")
    assert code_of(build_trade(Side.SELL), recent=recent, holding=holding) == ""


def test_memory_of_activity_is_bounded():
    recent = RecentActivity()
    for number in range(MAX_TRADES + 500):
        recent.note(build_trade(token_id=OutcomeTokenId(str(number))), NOW)
    for _ in range(MAX_COPIES + 500):
        recent.note_copy(LEADER, NOW)
    assert len(recent._trades) == MAX_TRADES
    assert recent.copies_since(LEADER, NOW) == MAX_COPIES
    assert recent.last_traded_at(LEADER, OutcomeTokenId("0"), Side.BUY) is None
    newest = OutcomeTokenId(str(MAX_TRADES + 499))
    assert recent.last_traded_at(LEADER, newest, Side.BUY) is not None


def test_every_reason_is_one_sentence_on_one_line():
    """Codes are short and stable; sentences carry no text of the venue's."""
    assert all(code == code.lower() and " " not in code for code in ReasonCode)
    record = skip_of(decide_copy(SMALL, build_situation())).record
    assert "\n" not in record.reason
    assert len(record.reason) < 200
