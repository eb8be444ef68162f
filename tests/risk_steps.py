"""The assessment of a situation that passes, until a test changes it."""

from decimal import Decimal
from typing import Any

from polybot import risk
from polybot.domain.decisions import trend_key
from polybot.domain.orders import ApprovedOrder, RefusedOrder
from tests.builders import (
    NOW,
    WINDOW,
    build_book,
    build_exposure,
    build_limits,
    build_market,
    build_signal,
    build_totals,
)

# 5 USDC of stake, 7 % of it and a cent for the rounding of fees.
OUTLAY = Decimal("5.36")
CHECKS = {
    "direction", "book-token", "two-sided-book", "accepting-orders", "time-left", "spread",
    "slippage", "stake", "min-notional", "min-size", "depth", "trading-state", "position",
    "unknown-order", "cash", "cash-threshold", "trades-per-day", "daily-loss", "window-exposure",
    "total-exposure",
}  # fmt: skip


def assess(**changes: Any) -> ApprovedOrder | RefusedOrder:
    """Assess the default situation, which passes, with some facts changed."""
    market = changes.pop("market", build_market())
    values: dict[str, Any] = {
        "totals": build_totals(),
        "exposure": build_exposure(),
        "limits": build_limits(),
        "now": NOW,
        "decision_key": trend_key("ema-rsi-macd", WINDOW),
    }
    signal = changes.pop("signal", build_signal())
    book = changes.pop("book", build_book())
    return risk.assess(signal, market, book, **{**values, **changes})


def failed(answer: ApprovedOrder | RefusedOrder) -> set[str]:
    """Return the names of the failed checks, after asserting that none is missing."""
    names = [check.name for check in answer.checks]
    assert sorted(names) == sorted(CHECKS)
    return {check.name for check in answer.checks if not check.passed}
