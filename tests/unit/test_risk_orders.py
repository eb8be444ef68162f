"""An approved order spends the stake, at a price that the venue takes, for what is on offer."""

from decimal import Decimal

from polybot.domain.decisions import trend_key
from polybot.domain.markets import FeeSchedule, Outcome
from polybot.domain.orders import ApprovedOrder, RefusedOrder, Side, TimeInForce
from polybot.domain.signals import Direction
from tests.builders import DOWN_TOKEN, WINDOW, build_book, build_limits, build_market, build_signal
from tests.risk_steps import OUTLAY, assess, failed


def test_default_situation_is_approved_with_every_check_recorded() -> None:
    """An approval shows what was looked at, not only that it passed."""
    answer = assess()
    assert isinstance(answer, ApprovedOrder)
    assert failed(answer) == set()
    assert all(check.detail for check in answer.checks)


def test_order_spends_the_stake_at_the_midpoint_plus_slippage() -> None:
    """0.505 + 0.03 is 0.535, on the tick 0.53; 5 / 0.53 is 9.4339 shares, rounded down."""
    answer = assess()
    assert isinstance(answer, ApprovedOrder)
    order = answer.order
    assert (order.side, order.time_in_force) == (Side.BUY, TimeInForce.FAK)
    assert order.limit_price == Decimal("0.53")
    assert order.size == Decimal("9.4339")
    assert order.budget_usdc == 5
    assert order.max_outlay_usdc == OUTLAY
    assert order.outcome is Outcome.UP
    assert order.decision_key == trend_key("ema-rsi-macd", WINDOW)


def test_stake_is_spent_in_whole_cents() -> None:
    """The venue refuses finer budgets; rounding goes down, never up."""
    answer = assess(limits=build_limits(stake_usdc=Decimal("5.019999")))
    assert isinstance(answer, ApprovedOrder)
    assert answer.order.budget_usdc == Decimal("5.01")


def test_down_signal_buys_the_down_token() -> None:
    """There is nothing to sell when a window opens."""
    answer = assess(signal=build_signal(Direction.DOWN), book=build_book(token_id=DOWN_TOKEN))
    assert isinstance(answer, ApprovedOrder)
    assert (answer.order.side, answer.order.token_id) == (Side.BUY, DOWN_TOKEN)


def test_limit_price_stays_below_one_and_on_the_coarser_tick() -> None:
    """A tick can change inside a window; the coarser grid is good on both."""
    book = build_book([("0.976", "50")], [("0.978", "50")], tick_size=Decimal("0.001"))
    fine = assess(book=book, market=build_market(tick_size=Decimal("0.001")))
    assert isinstance(fine, ApprovedOrder)
    assert fine.order.limit_price == Decimal("0.999")
    coarse = assess(book=book)
    assert isinstance(coarse, ApprovedOrder)
    assert coarse.order.limit_price == Decimal("0.99")
    coarse_book = assess(market=build_market(tick_size=Decimal("0.001")))
    assert isinstance(coarse_book, ApprovedOrder)
    assert coarse_book.order.limit_price == Decimal("0.53")


def test_ticks_without_a_common_grid_refuse() -> None:
    """0.0025 and 0.001 do not divide: no price is certain to be accepted."""
    market = build_market(tick_size=Decimal("0.001"))
    book = build_book([("0.4975", "50")], [("0.5", "50")], tick_size=Decimal("0.0025"))
    answer = assess(market=market, book=book, limits=build_limits(max_slippage=Decimal("0.004")))
    assert failed(answer) == {"min-size", "depth"}
    assert isinstance(answer, RefusedOrder)
    assert answer.order is None


def test_expected_fill_walks_the_levels_and_charges_each() -> None:
    """4 shares at 0.51 cost 2.04, the other 2.96 USDC bring 5.692307 at 0.52."""
    book = build_book([("0.49", "100")], [("0.51", "4"), ("0.52", "100"), ("0.56", "9")])
    answer = assess(book=book)
    assert isinstance(answer, ApprovedOrder)
    expected = answer.expected
    assert expected.size == Decimal("9.692307")
    assert expected.cost_usdc == 5
    # 4 × 0.07 × 0.51 × 0.49 = 0.069972 → 0.06998; 5.692307 × 0.07 × 0.52 × 0.48 → 0.09946.
    assert expected.fee_usdc == Decimal("0.16944")
    assert expected.average_price == Decimal("0.515873")  # (4 × 0.51 + 5.692307 × 0.52) / size
    # 5 − 9.692307 × 0.50
    assert expected.half_spread_usdc == Decimal("0.153847")
    assert expected.break_even == Decimal("0.533355")


def test_thin_book_is_an_expected_partial_fill() -> None:
    """FAK takes what is there within the limit price; the rest of the budget stays."""
    answer = assess(book=build_book(asks=[("0.51", "4"), ("0.54", "100")]))
    assert isinstance(answer, ApprovedOrder)
    assert answer.expected.size == 4
    assert answer.expected.cost_usdc == Decimal("2.04")


def test_free_market_has_no_fee_in_the_outlay() -> None:
    """A market without fees reserves the budget and not a micro more."""
    answer = assess(market=build_market(fees=FeeSchedule(rate=Decimal(0), exponent=1)))
    assert isinstance(answer, ApprovedOrder)
    assert answer.order.max_outlay_usdc == 5
    assert answer.expected.fee_usdc == 0
