"""Valid domain objects in one line each; a test names only what it is about."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from polybot.domain.accounts import AccountTotals, MarketExposure, OrderRecord
from polybot.domain.books import BookLevel, OrderBook
from polybot.domain.decisions import Decision, Verdict, trend_key
from polybot.domain.markets import (
    ConditionId,
    FeeSchedule,
    Market,
    MarketSeries,
    MarketTrade,
    MarketVersion,
    MarketWindow,
    Outcome,
    OutcomeTokenId,
)
from polybot.domain.modes import TradingState
from polybot.domain.money import ZERO_USDC, Price, Shares, Usdc, price, shares, usdc
from polybot.domain.orders import (
    ApprovedOrder,
    ExpectedFill,
    Order,
    OrderId,
    OrderStatus,
    RiskCheck,
    Side,
    TimeInForce,
)
from polybot.domain.signals import Direction, Signal
from polybot.risk import RiskLimits

WINDOW = MarketWindow(series=MarketSeries(asset="btc", duration="15m"), start_s=1_791_241_200)
NOW = WINDOW.start + timedelta(seconds=4)
UP_TOKEN = OutcomeTokenId("1111")
DOWN_TOKEN = OutcomeTokenId("2222")
CRYPTO_FEES = FeeSchedule(rate=Decimal("0.07"), exponent=1)

Levels = list[tuple[str, str]]
"""``[(price, size), …]``, best first."""


def build_market(**changes: Any) -> Market:
    """Return an open BTC 15-minute market: tick 0.01, at least 5 shares, 7 % crypto fees."""
    values: dict[str, Any] = {
        "condition_id": ConditionId("0x" + "c0" * 32),
        "window": WINDOW,
        "question": "Bitcoin Up or Down - October 5, 7:00PM-7:15PM ET",
        "version": MarketVersion.V2,
        "token_ids": {Outcome.UP: UP_TOKEN, Outcome.DOWN: DOWN_TOKEN},
        "tick_size": Decimal("0.01"),
        "min_order_size": Shares(Decimal(5)),
        "fees": CRYPTO_FEES,
        "is_accepting_orders": True,
        "is_closed": False,
        "is_negative_risk": False,
        "twap_lookback_s": 60,
        "price_to_beat": None,
        "fetched_at": NOW,
    }
    return Market(**{**values, **changes})


def build_book(bids: Levels | None = None, asks: Levels | None = None, **changes: Any) -> OrderBook:
    """Return a book of the Up token, by default 0.50 bid and 0.51 asked with 100 shares each."""
    values: dict[str, Any] = {
        "token_id": UP_TOKEN,
        "bids": build_levels([("0.50", "100")] if bids is None else bids),
        "asks": build_levels([("0.51", "100")] if asks is None else asks),
        "tick_size": Decimal("0.01"),
        "min_order_size": Shares(Decimal(5)),
        "as_of": NOW,
    }
    return OrderBook(**{**values, **changes})


def build_levels(levels: Levels) -> tuple[BookLevel, ...]:
    """Return book levels from text."""
    return tuple(BookLevel(price=Price(Decimal(p)), size=Shares(Decimal(s))) for p, s in levels)


def build_signal(direction: Direction = Direction.UP) -> Signal:
    """Return a forecast."""
    return Signal(direction=direction, reason="fast EMA crossed above the slow one")


def build_order(
    side: Side = Side.BUY,
    time_in_force: TimeInForce = TimeInForce.FAK,
    limit_price: str = "0.53",
    **changes: Any,
) -> Order:
    """Return an order for the Up token: 5 USDC for a BUY, 10 shares for a SELL."""
    market = changes.pop("market", build_market())
    values: dict[str, Any] = {
        "decision_key": trend_key("ema-rsi-macd", market.window),
        "market": market,
        "outcome": Outcome.UP,
        "side": side,
        "time_in_force": time_in_force,
        "limit_price": price(limit_price),
        "size": shares("9.4339" if side is Side.BUY else "10"),
        "budget_usdc": usdc("5") if side is Side.BUY else ZERO_USDC,
        "expires_at": market.window.end if time_in_force is TimeInForce.GTD else None,
    }
    return Order(**{**values, **changes})


def build_resting_order(
    side: Side = Side.BUY, limit_price: str = "0.50", size: str = "10", **changes: Any
) -> Order:
    """Return a GTC order, by default a BUY of 10 shares at 0.50."""
    budget = usdc(Decimal(size) * Decimal(limit_price)) if side is Side.BUY else ZERO_USDC
    values = {"time_in_force": TimeInForce.GTC, "size": shares(size), "budget_usdc": budget}
    return build_order(side, limit_price=limit_price, **{**values, **changes})


def build_approved(order: Order | None = None) -> ApprovedOrder:
    """Return an order that passed one check."""
    order = order or build_order()
    expected = ExpectedFill(
        size=order.size,
        average_price=order.limit_price,
        cost_usdc=order.budget_usdc,
        fee_usdc=ZERO_USDC,
        half_spread_usdc=ZERO_USDC,
        break_even=Decimal(order.limit_price),
    )
    check = RiskCheck(name="cash", passed=True, detail="spends 5.36 of 1000 USDC available")
    return ApprovedOrder(order=order, checks=(check,), expected=expected)


def build_decision(**changes: Any) -> Decision:
    """Return a PENDING decision for the default window."""
    values: dict[str, Any] = {
        "key": trend_key("ema-rsi-macd", WINDOW),
        "strategy": "ema-rsi-macd",
        "window": WINDOW,
        "verdict": Verdict.PENDING,
        "reason": "claimed",
        "decided_at": NOW,
        "run_name": WINDOW.slug,
        "direction": Direction.UP,
        "condition_id": build_market().condition_id,
    }
    return Decision(**{**values, **changes})


def build_record(order: Order | None = None, **changes: Any) -> OrderRecord:
    """Return the ledger's record of an order, by default resting and unfilled."""
    order = order or build_resting_order()
    values: dict[str, Any] = {
        "order_id": OrderId("0x" + "ab" * 32),
        "decision_key": order.decision_key,
        "condition_id": order.market.condition_id,
        "token_id": order.token_id,
        "outcome": order.outcome,
        "window": order.market.window,
        "side": order.side,
        "time_in_force": order.time_in_force,
        "limit_price": order.limit_price,
        "size": order.size,
        "budget_usdc": order.budget_usdc,
        "reserved_usdc": order.max_outlay_usdc,
        "filled_size": Shares(Decimal(0)),
        "filled_cost_usdc": ZERO_USDC,
        "fee_usdc": ZERO_USDC,
        "status": OrderStatus.RESTING,
        "reason": "",
        "created_at": NOW,
        "expires_at": order.expires_at,
    }
    return OrderRecord(**{**values, **changes})


def build_trade(
    trade_price: str, size: str, *, at: datetime | None = None, **changes: Any
) -> MarketTrade:
    """Return somebody else's trade of the Up token, a minute after the default instant."""
    values: dict[str, Any] = {
        "token_id": UP_TOKEN,
        "price": Decimal(trade_price),
        "size": shares(size),
        "traded_at": at or NOW + timedelta(seconds=60),
        "transaction_hash": "0x" + "7a" * 32,
    }
    return MarketTrade(**{**values, **changes})


def build_limits(**changes: Any) -> RiskLimits:
    """Return limits equal to the default configuration's."""
    values: dict[str, Any] = {
        "stake_usdc": Decimal(5),
        "max_stake_usdc": Decimal(10),
        "min_cash_usdc": Decimal(50),
        "max_trades_per_day": 48,
        "max_daily_loss_usdc": Decimal(25),
        "max_window_exposure_usdc": Decimal(10),
        "max_exposure_usdc": Decimal(30),
        "max_spread": Decimal("0.05"),
        "max_slippage": Decimal("0.03"),
        "min_time_left_s": 300,
    }
    return RiskLimits(**{**values, **changes})


def build_totals(**changes: Any) -> AccountTotals:
    """Return the totals of a fresh ledger with 1000 USDC."""
    cash = changes.get("cash_usdc", Usdc(Decimal(1000)))
    values: dict[str, Any] = {
        "cash_usdc": cash,
        "reserved_usdc": ZERO_USDC,
        "position_cost_usdc": ZERO_USDC,
        "position_value_usdc": ZERO_USDC,
        "realised_pnl_usdc": ZERO_USDC,
        "fees_usdc": ZERO_USDC,
        "deposits_usdc": cash,
        "high_water_usdc": cash,
        "day": NOW.astimezone(UTC).date(),
        "day_opening_equity_usdc": cash,
        "day_trade_count": 0,
        "day_realised_pnl_usdc": ZERO_USDC,
        "day_fees_usdc": ZERO_USDC,
        "trading_state": TradingState.ACTIVE,
        "unknown_condition_ids": frozenset(),
    }
    return AccountTotals(**{**values, **changes})


def build_exposure(**changes: Any) -> MarketExposure:
    """Return what a market that we never traded puts at risk: nothing."""
    values: dict[str, Any] = {
        "reserved_usdc": ZERO_USDC,
        "position_cost_usdc": ZERO_USDC,
        "held": {},
        "selling": {},
    }
    return MarketExposure(**{**values, **changes})
