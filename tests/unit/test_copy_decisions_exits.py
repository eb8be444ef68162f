"""Exits are tried whenever we hold: after the leader's sales, and after his merges."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from polybot.copy_trading.decide import decide_copy, decide_exit, decide_rest
from polybot.copy_trading.reasons import ReasonCode
from polybot.domain.leaders import ConversionKind, CopyVerdict, LeaderState
from polybot.domain.markets import Outcome
from polybot.domain.orders import Side
from tests.builders import NOW, build_book, build_market
from tests.copy_builders import (
    build_conversion,
    build_holding,
    build_leader,
    build_situation,
    build_trade,
    order_of,
    skip_of,
)
from tests.copy_decision_steps import MICROSECOND, both_held, code_of

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
