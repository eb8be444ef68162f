"""At what price and how much: the book's guards, every sizing, every cap, and what waits."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from polybot.copy_trading.decide import caps_of, decide_copy
from polybot.copy_trading.reasons import ReasonCode
from polybot.domain.leaders import CopyVerdict, Sizing, SmallCopies
from polybot.domain.markets import FeeSchedule
from polybot.domain.money import Shares, Usdc
from polybot.domain.orders import Side
from tests.builders import NOW, build_book, build_limits, build_market
from tests.copy_builders import (
    MARKET,
    build_holding,
    build_situation,
    build_spending,
    build_trade,
    order_of,
    skip_of,
)
from tests.copy_decision_steps import MICROSECOND, SMALL, code_of

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


def test_market_without_fees_leaves_its_whole_cap():
    market = build_market(fees=FeeSchedule(rate=Decimal(0), exponent=1))
    spending = build_spending(day_usdc=Usdc(Decimal(93)))
    answer = order_of(decide_copy(build_trade(), build_situation(market=market, spending=spending)))
    assert answer.approved.order.budget_usdc == Decimal(7)
