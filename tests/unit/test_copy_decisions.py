"""Every guard has its boundary, its code and its sentence; exits are tried whenever we hold."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from polybot.copy_trading.activity import MAX_COPIES, MAX_TRADES, RecentActivity
from polybot.copy_trading.decide import (
    CopySituation,
    caps_of,
    decide_copy,
    decide_exit,
    decide_rest,
)
from polybot.copy_trading.reasons import ReasonCode
from polybot.domain.decisions import Verdict
from polybot.domain.leaders import (
    ConversionKind,
    CopyVerdict,
    LeaderAddress,
    LeaderState,
    LeaderTrade,
    Sizing,
    SmallCopies,
)
from polybot.domain.markets import ConditionId, FeeSchedule, Outcome, OutcomeTokenId
from polybot.domain.money import Shares, Usdc
from polybot.domain.orders import Side, TimeInForce
from tests.builders import DOWN_TOKEN, NOW, WINDOW, build_book, build_limits, build_market
from tests.copy_builders import (
    LEADER,
    MARKET,
    build_conversion,
    build_holding,
    build_leader,
    build_situation,
    build_spending,
    build_trade,
    order_of,
    skip_of,
)

MICROSECOND = timedelta(microseconds=1)


def code_of(trade: LeaderTrade | None = None, **changes: Any) -> str:
    """Return the reason code of a trade in a changed situation; empty where it is copied."""
    return decide_copy(trade or build_trade(), build_situation(**changes)).record.reason_code


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


# The book --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("book", "code"),
    [
        (None, ReasonCode.BOOK_UNKNOWN),
        (build_book(as_of=NOW - timedelta(seconds=10)), ""),
        (build_book(as_of=NOW - timedelta(seconds=10) - MICROSECOND), ReasonCode.BOOK_STALE),
        (build_book(as_of=NOW + timedelta(seconds=10.1)), ReasonCode.BOOK_STALE),
        (build_book(bids=[]), ReasonCode.BOOK_ONE_SIDED),
        (build_book(asks=[]), ReasonCode.BOOK_ONE_SIDED),
        (build_book([], []), ReasonCode.BOOK_ONE_SIDED),
        (build_book([("0.48", "9")], [("0.53", "9")]), ""),
        (build_book([("0.48", "9")], [("0.54", "9")]), ReasonCode.SPREAD),
        (build_book([("0.55", "9")], [("0.56", "9")]), ReasonCode.PRICE_MOVED),
        (build_book([("0.56", "9")], [("0.57", "9")]), ReasonCode.FAR_FROM_BOOK),
        (build_book([("0.44", "9")], [("0.45", "9")]), ""),
        (build_book([("0.43", "9")], [("0.44", "9")]), ReasonCode.FAR_FROM_BOOK),
    ],
)
def test_entry_needs_a_fresh_two_sided_book_near_the_leaders_price(book, code):
    """The leader paid 0.50; five cents from the touch are allowed, and three cents worse."""
    assert code_of(book=book) == code


@pytest.mark.parametrize(
    ("above", "fraction", "limit"),
    [("0.03", "0.10", "0.53"), ("0.03", "0.02", "0.51"), ("0.01", "0.10", "0.51")],
)
def test_tighter_of_the_two_price_guards_holds(above, fraction, limit):
    situation = build_situation(
        max_price_above=Decimal(above), max_price_fraction=Decimal(fraction)
    )
    order = order_of(decide_copy(build_trade(), situation)).approved.order
    assert order.limit_price == Decimal(limit)


def test_slippage_limit_and_price_band_bound_the_price_too():
    slippage = build_limits(max_slippage=Decimal("0.015"))
    by_risk = order_of(decide_copy(build_trade(), build_situation(limits=slippage)))
    assert by_risk.approved.order.limit_price == Decimal("0.52")
    by_band = order_of(decide_copy(build_trade(), build_situation(max_price=Decimal("0.515"))))
    assert by_band.approved.order.limit_price == Decimal("0.51")


def test_limit_is_on_the_coarser_of_the_markets_and_the_books_tick():
    market = build_market(tick_size=Decimal("0.001"))
    situation = build_situation(market=market, max_price_fraction=Decimal("0.05"))
    order = order_of(decide_copy(build_trade(price="0.496"), situation)).approved.order
    assert order.limit_price == Decimal("0.52")
    fine = replace(situation, book=build_book(tick_size=Decimal("0.001")))
    order = order_of(decide_copy(build_trade(price="0.496"), fine)).approved.order
    assert order.limit_price == Decimal("0.520")


# Sizes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "changes", "budget"),
    [
        ({"scale": Decimal("0.05")}, {}, "5"),
        ({"scale": Decimal("0.0567899")}, {}, "5.67"),
        ({"sizing": Sizing.FIXED, "fixed_usdc": Decimal("7.5")}, {}, "7.50"),
        (
            {
                "sizing": Sizing.EQUITY_RATIO,
                "scale": Decimal(1),
                "leader_equity_usdc": Decimal(20_000),
            },
            {},
            "5",
        ),
        (
            {"sizing": Sizing.POSITION_TARGET, "scale": Decimal("0.1")},
            {"holding": build_holding("100", "18", in_flight_usdc="0.5")},
            "5.50",
        ),
    ],
)
def test_each_sizing_gives_its_stake(policy, changes, budget):
    """Of 100 USDC for 200 shares: a share of the stake, of the equity, or what is missing."""
    answer = order_of(decide_copy(build_trade(), build_situation(**policy, **changes)))
    assert answer.approved.order.budget_usdc == Decimal(budget)


def test_position_target_that_is_reached_buys_nothing():
    holding = build_holding("100", "30")
    code = code_of(sizing=Sizing.POSITION_TARGET, holding=holding)
    assert code == ReasonCode.TARGET_REACHED


def test_equity_ratio_without_the_leaders_equity_is_skipped():
    assert code_of(sizing=Sizing.EQUITY_RATIO) == ReasonCode.LEADER_EQUITY


@pytest.mark.parametrize(
    ("policy", "changes", "code", "budget"),
    [
        ({"max_trade_usdc": Decimal("6.789")}, {}, "", "6.78"),
        ({"max_trade_usdc": Decimal(2)}, {}, ReasonCode.CAP_TRADE, ""),
        ({}, {"limits": build_limits(max_stake_usdc=Decimal(6))}, "", "6"),
        ({}, {"limits": build_limits(max_stake_usdc=Decimal(2))}, ReasonCode.CAP_STAKE, ""),
        ({}, {"spending": build_spending(day_usdc=Usdc(Decimal("89.7")))}, "", "9.61"),
        ({}, {"spending": build_spending(day_usdc=Usdc(Decimal(93)))}, "", "6.53"),
        ({}, {"spending": build_spending(day_usdc=Usdc(Decimal(98)))}, ReasonCode.CAP_DAY, ""),
        ({}, {"spending": build_spending(open_usdc=Usdc(Decimal(48)))}, ReasonCode.CAP_LEADER, ""),
        ({}, {"spending": build_spending(open_usdc=Usdc(Decimal(60)))}, ReasonCode.CAP_LEADER, ""),
        (
            {},
            {"spending": build_spending(market_usdc={MARKET.condition_id: Usdc(Decimal(18))})},
            ReasonCode.CAP_MARKET,
            "",
        ),
    ],
)
def test_caps_cut_a_copy_and_skip_it_below_the_venues_minimum(policy, changes, code, budget):
    """Never rounded up past a cap, and the sentence names the one that stopped it."""
    answer = decide_copy(build_trade(), build_situation(**policy, **changes))
    assert answer.record.reason_code == code
    if budget:
        assert order_of(answer).approved.order.budget_usdc == Decimal(budget)
    else:
        assert code in answer.record.reason


@pytest.mark.parametrize(
    ("name", "spending"),
    [
        ("cap-market", {"market_usdc": {MARKET.condition_id: Usdc(Decimal("9.29"))}}),
        ("cap-leader", {"open_usdc": Usdc(Decimal("39.29"))}),
        ("cap-day", {"day_usdc": Usdc(Decimal("89.29"))}),
    ],
)
def test_caps_are_exact_inside_the_transaction(name, spending):
    """10 USDC and their fee of at most 0.71 fit to the cent, and not a micro-USDC more."""
    situation = build_situation()
    order = order_of(decide_copy(build_trade(), situation)).approved.order
    look = caps_of(situation.leader.policy, order)
    assert [check.name for check in look(build_spending(**spending)) if not check.passed] == []
    more = {
        key: {MARKET.condition_id: value[MARKET.condition_id] + Decimal("0.000001")}
        if isinstance(value, dict)
        else value + Decimal("0.000001")
        for key, value in spending.items()
    }
    assert [check.name for check in look(build_spending(**more)) if not check.passed] == [name]


def test_caps_stop_no_sale():
    situation = build_situation(holding=build_holding("200", "100"))
    order = order_of(decide_copy(build_trade(Side.SELL), situation)).approved.order
    spent = build_spending(day_usdc=Usdc(Decimal(10_000)), open_usdc=Usdc(Decimal(10_000)))
    assert all(check.passed for check in caps_of(situation.leader.policy, order)(spent))


# Small copies ----------------------------------------------------------------------------------

SMALL = build_trade(size="40")
"""2 USDC by the default scale: below five shares at 0.53."""


def test_small_copy_waits_for_company_and_goes_with_it():
    waiting = skip_of(decide_copy(SMALL, build_situation())).record
    assert (waiting.verdict, waiting.accumulate_usdc) == (CopyVerdict.ACCUMULATED, Decimal(2))
    assert not waiting.clears_pending
    holding = build_holding("40", pending_usdc="2", pending_since=NOW - timedelta(seconds=120))
    order = order_of(decide_copy(SMALL, build_situation(holding=holding))).approved.order
    assert order.budget_usdc == Decimal(4)


def test_what_waited_too_long_lapses():
    since = NOW - timedelta(seconds=120) - MICROSECOND
    holding = build_holding("40", pending_usdc="2", pending_since=since)
    record = skip_of(decide_copy(SMALL, build_situation(holding=holding))).record
    assert (record.accumulate_usdc, record.clears_pending) == (Decimal(2), True)


def test_small_copy_is_skipped_where_the_policy_says_so():
    situation = build_situation(small_copies=SmallCopies.SKIP)
    record = skip_of(decide_copy(SMALL, situation)).record
    assert (record.verdict, record.reason_code) == (CopyVerdict.SKIPPED, ReasonCode.BELOW_MINIMUM)
    assert record.accumulate_usdc == 0


def test_pending_amount_never_passes_the_cap_on_a_trade():
    holding = build_holding("40", pending_usdc="9.5", pending_since=NOW)
    order = order_of(decide_copy(SMALL, build_situation(holding=holding))).approved.order
    assert order.budget_usdc == Decimal(10)


def test_small_position_target_waits_without_being_counted_twice():
    record = skip_of(decide_copy(SMALL, build_situation(sizing=Sizing.POSITION_TARGET))).record
    assert (record.verdict, record.accumulate_usdc) == (CopyVerdict.ACCUMULATED, Decimal(0))


def test_leader_who_turns_round_ends_what_was_pending():
    bought = build_holding("40", pending_usdc="2", pending_since=NOW)
    sale = skip_of(decide_copy(build_trade(Side.SELL), build_situation(holding=bought))).record
    assert (sale.reason_code, sale.clears_pending) == (ReasonCode.NOTHING_HELD, True)
    sold = build_holding("40", "10", pending_size="2", pending_since=NOW)
    record = skip_of(decide_copy(SMALL, build_situation(holding=sold))).record
    assert (record.accumulate_usdc, record.clears_pending) == (Decimal(2), True)


@pytest.mark.parametrize(
    ("market", "book"),
    [
        (build_market(min_order_size=Shares(Decimal(20))), build_book()),
        (build_market(), build_book(min_order_size=Shares(Decimal(20)))),
    ],
)
def test_minimum_is_the_largest_of_markets_books_and_venues(market, book):
    answer = skip_of(decide_copy(build_trade(), build_situation(market=market, book=book)))
    assert answer.record.reason_code == ReasonCode.ACCUMULATED
    assert "of at least 20 shares" in answer.record.reason


def test_stake_below_a_dollar_waits_even_where_it_buys_five_shares():
    book = build_book([("0.09", "50")], [("0.10", "50")])
    trade = build_trade(price="0.10", size="99")
    assert code_of(trade, book=book) == ReasonCode.ACCUMULATED
    assert code_of(replace(trade, size=Shares(Decimal(100))), book=book) == ""


# Exits -----------------------------------------------------------------------------------------


def sell_size(sold: str, holding: Any, **changes: Any) -> Decimal:
    """Return the size of the exit that follows a leader's sale."""
    situation = build_situation(holding=holding, **changes)
    return order_of(decide_copy(build_trade(Side.SELL, size=sold), situation)).approved.order.size


@pytest.mark.parametrize(
    ("sold", "leader_size", "our_size", "size"),
    [
        ("50", "200", "40", "10"),
        ("200", "200", "40.129", "40.12"),
        ("300", "200", "40", "40"),
        ("1", "0", "40", "40"),
        ("66.666666", "100", "33.333333", "22.22"),
    ],
)
def test_sale_is_mirrored_as_the_leaders_fraction_of_our_position(
    sold, leader_size, our_size, size
):
    """An unknown position, or one smaller than the sale, counts as left altogether."""
    assert sell_size(sold, build_holding(leader_size, our_size)) == Decimal(size)


def test_sales_in_flight_are_never_sold_twice():
    holding = build_holding("200", "40")
    assert sell_size("200", holding, selling_size=Decimal(30)) == Decimal(10)
    code = code_of(build_trade(Side.SELL), holding=holding, selling_size=Decimal(40))
    assert code == ReasonCode.NOTHING_HELD


def test_small_exits_add_up_to_the_fraction_that_was_sold():
    """Ten per cent of what is left each time, of 40 shares, with the venue's minimum of five."""
    holding = build_holding("100", "40")
    record = skip_of(
        decide_copy(build_trade(Side.SELL, size="10"), build_situation(holding=holding))
    ).record
    assert (record.verdict, record.accumulate_size) == (CopyVerdict.ACCUMULATED, Decimal(4))
    holding = build_holding("90", "40", pending_size="4", pending_since=NOW)
    assert sell_size("10", holding) == Decimal(8)


@pytest.mark.parametrize(
    ("price", "above", "limit"),
    [("0.50", "0.03", "0.47"), ("0.505", "0.03", "0.48"), ("0.50", "0", "0.50")],
)
def test_exit_is_bounded_by_the_guards_and_rounded_up(price, above, limit):
    situation = build_situation(holding=build_holding("200", "40"), max_price_above=Decimal(above))
    order = order_of(decide_copy(build_trade(Side.SELL, price), situation)).approved.order
    assert order.limit_price == Decimal(limit)


@pytest.mark.parametrize(
    "book",
    [
        None,
        build_book([], []),
        build_book(bids=[]),
        build_book([("0.10", "5")], [("0.90", "5")]),
        build_book(as_of=NOW - timedelta(hours=1)),
    ],
)
def test_exit_is_tried_whatever_the_book(book):
    answer = order_of(
        decide_copy(
            build_trade(Side.SELL),
            build_situation(holding=build_holding("200", "40"), book=book),
        )
    )
    assert answer.approved.order.size == Decimal(40)


def test_exit_near_the_end_of_the_grid_has_a_price():
    holding = build_holding("200", "40")
    for price, limit in [("0.999", "0.97"), ("0.004", "0.01")]:
        answer = decide_copy(build_trade(Side.SELL, price), build_situation(holding=holding))
        assert order_of(answer).approved.order.limit_price == Decimal(limit)
    tight = build_situation(holding=holding, max_price_above=Decimal(0))
    answer = order_of(decide_copy(build_trade(Side.SELL, "0.999"), tight))
    assert answer.approved.order.limit_price == Decimal("0.99")


# Conversions -----------------------------------------------------------------------------------


def both_held() -> tuple[CopySituation, CopySituation]:
    """Return situations in which we hold 40 Up and 10 Down of a leader's 100 and 200."""
    down = replace(build_holding("200", "10"), token_id=DOWN_TOKEN)
    book = build_book([("0.48", "50")], [("0.49", "50")], token_id=DOWN_TOKEN)
    return (
        build_situation(holding=build_holding("100", "40")),
        build_situation(holding=down, book=book),
    )


def test_merge_closes_our_part_of_both_outcomes():
    up, down = (order_of(one) for one in decide_exit(build_conversion(), both_held()))
    assert [(one.approved.order.outcome, one.approved.order.size) for one in (up, down)] == [
        (Outcome.UP, Decimal(40)),
        (Outcome.DOWN, Decimal(5)),
    ]
    assert up.approved.order.limit_price == Decimal("0.47")
    assert all(one.approved.order.side is Side.SELL for one in (up, down))
    assert all(one.record.follows_conversion for one in (up, down))
    assert up.record.trade.key != down.record.trade.key


def test_exits_after_a_conversion_have_the_same_keys_whatever_the_book():
    keys = [
        tuple(
            one.record.trade.key
            for one in decide_exit(
                build_conversion(),
                [replace(situation, book=book) for situation in both_held()],
            )
        )
        for book in (build_book(), build_book([("0.2", "5")], [("0.9", "5")]), None)
    ]
    assert len(keys[0]) == 2
    assert len(set(keys)) == 1


def test_redemption_of_a_closed_market_is_skipped_because_it_settles():
    closed = [replace(one, market=build_market(is_closed=True)) for one in both_held()]
    answers = decide_exit(build_conversion(ConversionKind.REDEEM), closed)
    assert [skip_of(one).record.reason_code for one in answers] == [ReasonCode.MARKET_CLOSED] * 2
    assert all(one.record.follows_conversion for one in answers)


@pytest.mark.parametrize("kind", [ConversionKind.SPLIT, ConversionKind.CONVERSION])
def test_split_and_conversion_close_nothing(kind):
    assert decide_exit(build_conversion(kind), both_held()) == ()


def test_conversion_is_followed_although_it_is_told_late():
    """The Data API alone tells of it, later than any trade may be copied."""
    conversion = build_conversion()
    late = conversion.happened_at + timedelta(seconds=60)
    for one in decide_exit(conversion, [replace(one, now=late) for one in both_held()]):
        assert order_of(one).approved.order.side is Side.SELL
    too_late = [replace(one, now=late + MICROSECOND) for one in both_held()]
    for one in decide_exit(conversion, too_late):
        assert skip_of(one).record.reason_code == ReasonCode.TOO_OLD


def test_rest_of_an_exit_may_be_as_late_as_what_it_follows():
    """A merge is told late; what its exit could not sell at once is not given up for that."""
    trade = build_trade(Side.SELL, traded_at=NOW - timedelta(seconds=30))
    situation = build_situation(holding=build_holding("200", "100"))
    sold = decide_rest(trade, situation, max_age_s=30.0)
    assert order_of(sold).record.follows_conversion
    given_up = decide_rest(trade, situation, max_age_s=29.9)
    assert skip_of(given_up).record.reason_code == ReasonCode.TOO_OLD


def test_conversion_without_a_position_of_ours_needs_nothing():
    situation = build_situation(holding=build_holding("100", "0", pending_usdc="2"))
    assert decide_exit(build_conversion(), [situation, build_situation()]) == ()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"book": None}, ReasonCode.BOOK_UNKNOWN),
        ({"book": build_book(bids=[])}, ReasonCode.BOOK_ONE_SIDED),
        ({"market": None}, ReasonCode.MARKET_UNKNOWN),
        ({"now": NOW + timedelta(minutes=2)}, ReasonCode.TOO_OLD),
        ({"leader": build_leader(state=LeaderState.PAUSED)}, ReasonCode.LEADER_PAUSED),
    ],
)
def test_conversion_that_cannot_be_followed_says_why(changes, code):
    situation = replace(both_held()[0], **changes)
    (answer,) = decide_exit(build_conversion(), [situation])
    assert skip_of(answer).record.reason_code == code


def test_market_without_fees_leaves_its_whole_cap():
    market = build_market(fees=FeeSchedule(rate=Decimal(0), exponent=1))
    spending = build_spending(day_usdc=Usdc(Decimal(93)))
    answer = order_of(decide_copy(build_trade(), build_situation(market=market, spending=spending)))
    assert answer.approved.order.budget_usdc == Decimal(7)


def test_every_reason_is_one_sentence_on_one_line():
    """Codes are short and stable; sentences carry no text of the venue's."""
    assert all(code == code.lower() and " " not in code for code in ReasonCode)
    record = skip_of(decide_copy(SMALL, build_situation())).record
    assert "\n" not in record.reason
    assert len(record.reason) < 200
