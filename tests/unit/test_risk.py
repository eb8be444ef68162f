"""Every limit may be reached and not passed, and whatever is missing refuses the order."""

from dataclasses import replace
from datetime import UTC, timedelta
from decimal import Decimal
from typing import Any

import pytest

from polybot import limits
from polybot.domain.accounts import AccountTotals, MarketExposure
from polybot.domain.markets import Outcome
from polybot.domain.modes import TradingState
from polybot.domain.money import Shares, Usdc, shares, usdc
from polybot.domain.orders import ApprovedOrder, RefusedOrder, RiskCheck, Side
from polybot.domain.signals import Direction
from tests.builders import (
    DOWN_TOKEN,
    NOW,
    WINDOW,
    build_book,
    build_exposure,
    build_limits,
    build_market,
    build_order,
    build_signal,
    build_totals,
)
from tests.risk_steps import OUTLAY, assess, failed

MICRO = Decimal("0.000001")
ACCOUNT_CHECKS = {
    "trading-state", "position", "unknown-order", "cash", "cash-threshold", "trades-per-day",
    "daily-loss", "window-exposure", "total-exposure",
}  # fmt: skip


def failed_again(
    order_changes: dict[str, Any], totals: AccountTotals, exposure: MarketExposure, **changed: Any
) -> set[str]:
    """Return which of the account's limits fail in the ledger's transaction."""
    look = limits.ledger_checks(build_order(**order_changes), build_limits(**changed), now=NOW)
    return names_of_failed(look(totals, exposure))


def names_of_failed(checks: Any) -> set[str]:
    results: tuple[RiskCheck, ...] = tuple(checks)
    names = {check.name for check in results}
    assert names <= ACCOUNT_CHECKS
    assert all(check.detail and not check.passed for check in results)
    return names


# (check, facts at the limit, facts one unit beyond it)
BOUNDARIES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (
        "stake",
        {"limits": build_limits(max_stake_usdc=Decimal(5))},
        {"limits": build_limits(max_stake_usdc=Decimal(5) - MICRO)},
    ),
    (
        "cash",
        {"totals": build_totals(cash_usdc=Usdc(OUTLAY)), "limits": build_limits(min_cash_usdc=0)},
        {
            "totals": build_totals(cash_usdc=Usdc(OUTLAY - MICRO)),
            # A threshold that even the missing micro-dollar respects.
            "limits": build_limits(min_cash_usdc=-1),
        },
    ),
    (
        "cash-threshold",
        {"totals": build_totals(cash_usdc=Usdc(OUTLAY + 50))},
        {"totals": build_totals(cash_usdc=Usdc(OUTLAY + 50 - MICRO))},
    ),
    (
        "trades-per-day",
        {"totals": build_totals(day_trade_count=47)},
        {"totals": build_totals(day_trade_count=48)},
    ),
    (
        "daily-loss",
        {"totals": build_totals(day_opening_equity_usdc=Usdc(1025 - OUTLAY))},
        {"totals": build_totals(day_opening_equity_usdc=Usdc(1025 - OUTLAY + MICRO))},
    ),
    (
        "window-exposure",
        {"exposure": build_exposure(position_cost_usdc=Usdc(10 - OUTLAY))},
        {"exposure": build_exposure(position_cost_usdc=Usdc(10 - OUTLAY + MICRO))},
    ),
    (
        "window-exposure",
        {"exposure": build_exposure(reserved_usdc=Usdc(10 - OUTLAY))},
        {"exposure": build_exposure(reserved_usdc=Usdc(10 - OUTLAY + MICRO))},
    ),
    (
        "total-exposure",
        {
            "totals": build_totals(
                position_cost_usdc=Usdc(30 - OUTLAY), position_value_usdc=Usdc(Decimal(30))
            )
        },
        {
            "totals": build_totals(
                position_cost_usdc=Usdc(30 - OUTLAY + MICRO), position_value_usdc=Usdc(Decimal(30))
            )
        },
    ),
    (
        "spread",
        {"book": build_book([("0.46", "100")], [("0.51", "100")])},
        {"book": build_book([("0.459999", "100")], [("0.51", "100")])},
    ),
    (
        "slippage",
        {
            "book": build_book([("0.45", "100")], [("0.51", "100")]),
            "limits": build_limits(max_spread=Decimal("0.5")),
        },
        {
            "book": build_book([("0.449998", "100")], [("0.51", "100")]),
            "limits": build_limits(max_spread=Decimal("0.5")),
        },
    ),
    (
        "time-left",
        {"now": WINDOW.end - timedelta(seconds=300)},
        {"now": WINDOW.end - timedelta(seconds=300) + timedelta(microseconds=1)},
    ),
    (
        "min-size",
        {"limits": build_limits(stake_usdc=Decimal("2.65"))},
        {"limits": build_limits(stake_usdc=Decimal("2.64"))},
    ),
    (
        "min-size",
        {"market": build_market(min_order_size=Shares(Decimal("9.4339")))},
        {"market": build_market(min_order_size=Shares(Decimal("9.43391")))},
    ),
    (
        "min-size",
        {"book": build_book(min_order_size=Shares(Decimal("9.4339")))},
        {"book": build_book(min_order_size=Shares(Decimal("9.43391")))},
    ),
    (
        "min-notional",
        {
            "book": build_book([("0.10", "100")], [("0.11", "100")]),
            "limits": build_limits(stake_usdc=Decimal(1)),
        },
        {
            "book": build_book([("0.10", "100")], [("0.11", "100")]),
            "limits": build_limits(stake_usdc=Decimal("0.99")),
        },
    ),
]


@pytest.mark.parametrize(("name", "within", "beyond"), BOUNDARIES)
def test_limit_may_be_reached_but_not_passed(
    name: str, within: dict[str, Any], beyond: dict[str, Any]
) -> None:
    """One micro, cent, tick or microsecond decides, and it decides this check alone."""
    assert failed(assess(**within)) == set()
    refusal = assess(**beyond)
    # The slippage limit is also the limit price, so the ask beyond it cannot be taken.
    beside = {"depth"} if name == "slippage" else set()
    assert failed(refusal) == {name} | beside
    assert isinstance(refusal, RefusedOrder)
    assert refusal.order is not None
    assert refusal.reason


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("direction", {"signal": build_signal(Direction.HOLD)}),
        ("book-token", {"book": build_book(token_id=DOWN_TOKEN)}),
        ("two-sided-book", {"book": build_book(bids=[])}),
        ("two-sided-book", {"book": build_book(asks=[])}),
        ("two-sided-book", {"book": build_book(bids=[], asks=[])}),
        ("spread", {"book": build_book(bids=[])}),
        ("slippage", {"book": build_book(asks=[])}),
        ("depth", {"book": build_book(asks=[])}),
        ("min-size", {"book": build_book(asks=[])}),
        ("accepting-orders", {"market": build_market(is_accepting_orders=False)}),
        ("accepting-orders", {"market": build_market(is_closed=True)}),
        ("stake", {"limits": build_limits(stake_usdc=Decimal("0.009"))}),
        ("min-notional", {"limits": build_limits(stake_usdc=Decimal("0.009"))}),
        ("trading-state", {"totals": build_totals(trading_state=TradingState.HALTED)}),
        ("trading-state", {"totals": build_totals(trading_state=TradingState.REDUCING)}),
        (
            "unknown-order",
            {"totals": build_totals(unknown_condition_ids=frozenset({"0x" + "c0" * 32}))},
        ),
    ],
)
def test_missing_or_forbidding_fact_refuses(name: str, changes: dict[str, Any]) -> None:
    """Nothing is approved for want of a reason to refuse."""
    refusal = assess(**changes)
    assert isinstance(refusal, RefusedOrder)
    assert name in failed(refusal)
    assert refusal.expected is None or refusal.order is not None


def test_depth_beyond_the_limit_price_is_no_depth() -> None:
    """Dust that rounds to nothing and asks above the limit cannot be taken."""
    dust = build_book(asks=[("0.51", "0.0000001"), ("0.54", "100")])
    refusal = assess(book=dust)
    assert failed(refusal) == {"depth"}
    assert isinstance(refusal, RefusedOrder)
    assert refusal.order is not None
    assert refusal.expected is None


def test_unknown_order_elsewhere_does_not_refuse() -> None:
    """Only the market with the unknown order waits for it."""
    answer = assess(totals=build_totals(unknown_condition_ids=frozenset({"0xother"})))
    assert isinstance(answer, ApprovedOrder)


def test_one_sided_book_still_has_its_account_checked() -> None:
    """Where no order can be sized, the stake's outlay is held against the account's limits."""
    poor = build_totals(cash_usdc=Usdc(OUTLAY - MICRO))
    assert {"cash", "two-sided-book"} <= failed(assess(book=build_book(bids=[]), totals=poor))
    enough = build_totals(cash_usdc=Usdc(OUTLAY + 50))
    assert "cash-threshold" not in failed(assess(book=build_book(bids=[]), totals=enough))


def test_reserved_money_is_neither_cash_nor_safe() -> None:
    """Orders in flight take from cash and from the day's loss limit until their fate is known."""
    totals = build_totals(cash_usdc=usdc(60), reserved_usdc=usdc("4.64"))
    # 60 − 4.64 − 5.36 leaves exactly the 50 that must remain.
    assert failed(assess(totals=totals)) == set()
    assert failed(assess(totals=replace(totals, reserved_usdc=usdc("4.640001")))) == {
        "cash-threshold"
    }
    in_flight = build_totals(reserved_usdc=usdc("19.64"))
    assert failed(assess(totals=in_flight)) == set()
    assert failed(assess(totals=replace(in_flight, reserved_usdc=usdc("19.640001")))) == {
        "daily-loss"
    }


def test_open_positions_count_at_the_bid_in_the_daily_loss() -> None:
    """10 USDC of shares that nobody bids for are a loss of 10 USDC today."""
    worthless = build_totals(
        cash_usdc=usdc(980), position_cost_usdc=usdc(20), day_opening_equity_usdc=usdc(1000)
    )
    assert failed(assess(totals=worthless)) == {"daily-loss"}
    wanted = replace(worthless, position_value_usdc=usdc("0.36"))
    assert failed(assess(totals=wanted)) == set()


def test_counters_of_yesterday_say_nothing_about_today() -> None:
    """Stale totals refuse; totals of a day that just began elsewhere do not."""
    yesterday = build_totals(day=NOW.astimezone(UTC).date() - timedelta(days=1))
    assert failed(assess(totals=yesterday)) == {"trades-per-day", "daily-loss"}
    tomorrow = build_totals(day=NOW.astimezone(UTC).date() + timedelta(days=1))
    assert failed(assess(totals=tomorrow)) == set()


def test_one_cause_is_told_once() -> None:
    """A reason that a person reads on a phone does not repeat itself."""
    refusal = assess(totals=build_totals(day=NOW.astimezone(UTC).date() - timedelta(days=1)))
    assert isinstance(refusal, RefusedOrder)
    assert refusal.reason.count("counters") == 1


def test_ledger_looks_at_the_same_limits_again() -> None:
    """What assess saw may be gone when the intent is recorded."""
    assert failed_again({}, build_totals(), build_exposure()) == set()
    gone = build_totals(cash_usdc=Usdc(OUTLAY + 50 - MICRO), trading_state=TradingState.HALTED)
    assert failed_again({}, gone, build_exposure()) == {"cash-threshold", "trading-state"}
    assert failed_again(
        {}, build_totals(), build_exposure(position_cost_usdc=usdc(5)), max_exposure_usdc=Decimal(5)
    ) == {"window-exposure", "total-exposure"}


SALE = {"side": Side.SELL, "limit_price": "0.50"}
HOLDING = build_exposure(held={Outcome.UP: shares(12)}, selling={Outcome.UP: shares(2)})


def test_sale_of_what_we_hold_takes_no_new_risk() -> None:
    """No limit on cash, loss, count or exposure keeps us in a position."""
    broke = build_totals(
        cash_usdc=usdc(0),
        reserved_usdc=usdc(5),
        position_cost_usdc=usdc(500),
        day_trade_count=48,
        day_opening_equity_usdc=usdc(1000),
        day=NOW.astimezone(UTC).date() - timedelta(days=1),
    )
    crowded = replace(HOLDING, position_cost_usdc=usdc(500))
    assert failed_again(SALE, broke, crowded) == set()


@pytest.mark.parametrize(
    ("state", "order", "expected"),
    [
        (TradingState.ACTIVE, {}, set()),
        (TradingState.ACTIVE, SALE, set()),
        (TradingState.REDUCING, {}, {"trading-state"}),
        (TradingState.REDUCING, SALE, set()),
        (TradingState.HALTED, {}, {"trading-state"}),
        (TradingState.HALTED, SALE, {"trading-state"}),
    ],
)
def test_trading_state_decides_who_may_trade(
    state: TradingState, order: dict[str, Any], expected: set[str]
) -> None:
    """REDUCING lets us out and not in; HALTED lets nothing through."""
    assert failed_again(order, build_totals(trading_state=state), HOLDING) == expected


@pytest.mark.parametrize(
    ("size", "expected"), [("10", set()), ("10.000001", {"position"}), ("12", {"position"})]
)
def test_sale_is_of_shares_held_and_not_promised(size: str, expected: set[str]) -> None:
    """12 held and 2 promised leave 10; a bare sale does not exist here."""
    sale = {**SALE, "size": shares(size)}
    assert failed_again(sale, build_totals(), HOLDING) == expected
    assert failed_again(sale, build_totals(), build_exposure()) == {"position"}


def test_unknown_order_stops_sales_too() -> None:
    """While an order's fate is unknown, so is what we hold."""
    totals = build_totals(unknown_condition_ids=frozenset({build_market().condition_id}))
    assert failed_again(SALE, totals, HOLDING) == {"unknown-order"}
