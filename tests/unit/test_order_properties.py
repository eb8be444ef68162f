"""What must hold for every book, every account and every order."""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from polybot.domain.accounts import AccountTotals, MarketExposure
from polybot.domain.books import BookLevel, OrderBook
from polybot.domain.decisions import trend_key
from polybot.domain.markets import FeeSchedule
from polybot.domain.matching import fee_of, match_taker
from polybot.domain.modes import TradingState
from polybot.domain.money import Price, Shares, Usdc, shares, usdc, usdc_up
from polybot.domain.orders import ApprovedOrder, RefusedOrder, Side, TimeInForce
from polybot.risk import RiskLimits, assess, ledger_checks
from tests.builders import (
    NOW,
    UP_TOKEN,
    WINDOW,
    build_exposure,
    build_market,
    build_order,
    build_signal,
    build_totals,
)

TICKS = st.sampled_from([Decimal("0.01"), Decimal("0.001"), Decimal("0.0001")])


def amounts(low: str, high: str, step: str = "0.000001") -> st.SearchStrategy[Decimal]:
    """Return decimals of a grid, ends included."""
    unit = Decimal(step)
    ends = (int(Decimal(low) / unit), int(Decimal(high) / unit))
    return st.integers(*ends).map(lambda count: count * unit)


@st.composite
def books(draw: st.DrawFn) -> OrderBook:
    """Return any legal book, empty and one-sided ones and dust among them."""
    tick = draw(TICKS)
    steps = int(1 / tick)
    middle = draw(st.integers(1, steps - 1))
    size = st.one_of(amounts("0.0000001", "0.00001", "0.0000001"), amounts("0.01", "2000"))

    def side(low: int, high: int, *, best_is_highest: bool) -> tuple[BookLevel, ...]:
        near = range(max(low, middle - 20), min(high, middle + 20) + 1)
        picks = draw(st.sets(st.sampled_from(near), max_size=8)) if near else set()
        if near and draw(st.integers(0, 9)):
            picks.add(near[-1 if best_is_highest else 0])
        return tuple(
            BookLevel(price=Price(step * tick), size=Shares(draw(size)))
            for step in sorted(picks, reverse=best_is_highest)
        )

    return OrderBook(
        token_id=UP_TOKEN,
        bids=side(1, middle - 1, best_is_highest=True),
        asks=side(middle, steps - 1, best_is_highest=False),
        tick_size=tick,
        min_order_size=Shares(Decimal(5)),
        as_of=NOW,
    )


FEES = st.builds(
    FeeSchedule,
    rate=st.sampled_from([Decimal(0), Decimal("0.07"), Decimal("0.25"), Decimal(1)]),
    exponent=st.integers(1, 2),
)
# How far the account stands from a limit: mostly inside it, often at it, sometimes beyond.
SLACKS = st.sampled_from([Decimal(text) for text in ["0", "0", "0.000001", "3", "20", "-0.000001"]])


@dataclass(frozen=True, kw_only=True)
class Situation:
    """An account that stands near its limits."""

    limits: RiskLimits
    totals: AccountTotals
    exposure: MarketExposure


@st.composite
def situations(draw: st.DrawFn, rate: Decimal) -> Situation:
    """Return limits, and totals of a ledger for which a stake's outlay is about to reach them."""
    stake = draw(st.one_of(amounts("1", "20", "0.01"), amounts("0.005", "20")))
    outlay = stake + usdc_up(stake * rate) + Decimal("0.01")
    reserved, cost, loss = (draw(amounts("0", "5")) for _ in range(3))
    elsewhere = draw(amounts("0", "5"))
    threshold = draw(amounts("0", "100"))
    count = draw(st.integers(0, 5))
    slacks = [draw(SLACKS) for _ in range(5)]
    totals = build_totals(
        cash_usdc=Usdc(max(Decimal(0), reserved + elsewhere + outlay + threshold + slacks[0])),
        reserved_usdc=Usdc(reserved + elsewhere),
        position_cost_usdc=Usdc(cost),
        position_value_usdc=Usdc(draw(amounts("0", "10"))),
        day_trade_count=count,
        trading_state=draw(st.sampled_from([TradingState.ACTIVE] * 9 + [TradingState.REDUCING])),
    )
    limits = RiskLimits(
        stake_usdc=stake,
        max_stake_usdc=stake + draw(SLACKS),
        min_cash_usdc=threshold,
        max_trades_per_day=count + draw(st.sampled_from([0, 1, 1, 1, 2])),
        max_daily_loss_usdc=loss + totals.reserved_usdc + outlay + slacks[1],
        max_window_exposure_usdc=reserved + cost + outlay + slacks[2],
        max_exposure_usdc=totals.exposure_usdc + outlay + slacks[3],
        max_spread=draw(amounts("0.001", "0.2")),
        max_slippage=draw(amounts("0.001", "0.2")),
        min_time_left_s=draw(st.integers(0, 900)),
    )
    return Situation(
        limits=limits,
        totals=replace(totals, day_opening_equity_usdc=Usdc(totals.equity_usdc + loss)),
        exposure=build_exposure(reserved_usdc=Usdc(reserved), position_cost_usdc=Usdc(cost)),
    )


def test_no_approved_order_can_breach_any_limit() -> None:
    """Recomputed here from the order alone, even where all of it is spent and lost."""
    verdicts: Counter[type] = Counter()

    @settings(max_examples=1000, deadline=None, derandomize=True)
    @given(st.data(), books(), FEES, st.integers(0, 900))
    def examine(data: st.DataObject, book: OrderBook, fees: FeeSchedule, age_s: int) -> None:
        situation = data.draw(situations(fees.rate))
        now = WINDOW.start + timedelta(seconds=age_s)
        answer = assess(
            build_signal(),
            build_market(tick_size=book.tick_size, fees=fees),
            book,
            totals=situation.totals,
            exposure=situation.exposure,
            limits=situation.limits,
            now=now,
            decision_key=trend_key("ema-rsi-macd", WINDOW),
        )
        verdicts[type(answer)] += 1
        assert len({check.name for check in answer.checks}) == len(answer.checks) == 20
        if isinstance(answer, ApprovedOrder):
            assert_within_limits(answer, book, situation, now)
        else:
            assert answer.reason

    examine()
    # A property that only ever saw refusals would prove nothing.
    assert verdicts[ApprovedOrder] >= 30
    assert verdicts[RefusedOrder] >= 30


def assert_within_limits(
    answer: ApprovedOrder, book: OrderBook, situation: Situation, now: datetime
) -> None:
    order, expected = answer.order, answer.expected
    totals, exposure, limits = situation.totals, situation.exposure, situation.limits
    outlay = order.budget_usdc + order.max_fee_usdc
    assert totals.trading_state is TradingState.ACTIVE
    assert order.budget_usdc <= min(limits.stake_usdc, limits.max_stake_usdc)
    assert totals.cash_usdc - totals.reserved_usdc - outlay >= max(limits.min_cash_usdc, 0)
    assert totals.day_trade_count < limits.max_trades_per_day
    lost = max(totals.day_opening_equity_usdc - totals.equity_usdc, 0)
    assert lost + totals.reserved_usdc + outlay <= limits.max_daily_loss_usdc
    assert exposure.exposure_usdc + outlay <= limits.max_window_exposure_usdc
    assert totals.exposure_usdc + outlay <= limits.max_exposure_usdc
    assert book.best_bid is not None
    assert book.best_ask is not None
    midpoint = (book.best_bid + book.best_ask) / 2
    assert book.best_ask - book.best_bid <= limits.max_spread
    assert book.best_ask <= order.limit_price <= midpoint + limits.max_slippage
    assert order.limit_price % book.tick_size == 0
    assert (WINDOW.end - now).total_seconds() >= limits.min_time_left_s
    assert order.size >= 5
    assert order.budget_usdc >= 1
    assert order.size * order.limit_price <= order.budget_usdc
    assert expected.cost_usdc + expected.fee_usdc <= order.max_outlay_usdc
    assert expected.break_even * expected.size >= expected.cost_usdc + expected.fee_usdc
    again = ledger_checks(order, limits, now=now)(totals, exposure)
    assert all(check.passed for check in again)


@settings(max_examples=500, deadline=None, derandomize=True)
@given(
    book=books(),
    fees=FEES,
    side=st.sampled_from(list(Side)),
    time_in_force=st.sampled_from(list(TimeInForce)),
    budget=amounts("1", "5000", "0.01"),
    size=amounts("5", "5000", "0.01"),
    step=st.integers(1, 9_999),
)
def test_fills_never_exceed_budget_size_limit_or_the_book(
    *,
    book: OrderBook,
    fees: FeeSchedule,
    side: Side,
    time_in_force: TimeInForce,
    budget: Decimal,
    size: Decimal,
    step: int,
) -> None:
    """And cost plus fee never exceed what was reserved, whatever the fills are cut into."""
    limit = Decimal(step % int(1 / book.tick_size) or 1) * book.tick_size
    market = build_market(tick_size=book.tick_size, fees=fees)
    order = build_order(
        side,
        time_in_force,
        str(limit),
        market=market,
        size=shares(size),
        **({"budget_usdc": usdc(budget)} if side is Side.BUY else {}),
    )
    matches = match_taker(order, book)
    rested = {level.price: level.size for level in (*book.bids, *book.asks)}
    cost = sum((match.cost_usdc for match in matches), Decimal())
    total = sum((match.size for match in matches), Decimal())
    for match in matches:
        assert 0 < match.size <= rested[match.price]
        assert match.size % Decimal("0.000001") == 0
        assert match.price <= limit if side is Side.BUY else match.price >= limit
    prices = [match.price for match in matches]
    assert prices == sorted(set(prices), reverse=side is Side.SELL)
    if side is Side.BUY:
        assert cost <= order.budget_usdc
        assert cost + fee_of(matches, fees) <= order.max_outlay_usdc
    if not order.is_market_buy:
        assert total <= order.size
    if time_in_force is TimeInForce.FOK and matches:
        assert cost == order.budget_usdc if side is Side.BUY else total == order.size
