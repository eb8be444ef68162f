"""Steps that tests take on a ledger: claim, intend, fill, settle; a test names what matters."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from polybot.domain.accounts import AccountTotals, MarketExposure
from polybot.domain.alerts import Alert, AlertKind
from polybot.domain.decisions import Decision, trend_key
from polybot.domain.markets import (
    ConditionId,
    Market,
    MarketWindow,
    Outcome,
    OutcomeTokenId,
    Resolution,
)
from polybot.domain.money import price, shares, usdc
from polybot.domain.orders import (
    Fill,
    FillStatus,
    Liquidity,
    Order,
    OrderId,
    OrderReport,
    OrderStatus,
    PreparedOrder,
    RiskCheck,
    Side,
    TradeId,
)
from polybot.ports import Ledger
from tests.builders import NOW, WINDOW, build_decision, build_market, build_order


def allow_all(_totals: AccountTotals, _exposure: MarketExposure) -> Sequence[RiskCheck]:
    """Pass every order."""
    return (RiskCheck(name="any", passed=True, detail="allowed"),)


def market_number(number: int) -> Market:
    """Return the market of the window so many windows after the default one."""
    window = MarketWindow(series=WINDOW.series, start_s=WINDOW.start_s + 900 * number)
    return build_market(
        condition_id=ConditionId(f"0x{number:064x}"),
        window=window,
        token_ids={
            Outcome.UP: OutcomeTokenId(f"{number}001"),
            Outcome.DOWN: OutcomeTokenId(f"{number}002"),
        },
    )


def claim(
    ledger: Ledger, market: Market, *, strategy: str = "ema-rsi-macd", **changes: Any
) -> Decision:
    """Claim and return the decision of a market's window."""
    decision = build_decision(
        key=trend_key(strategy, market.window),
        strategy=strategy,
        window=market.window,
        condition_id=market.condition_id,
        **changes,
    )
    assert ledger.claim_decision(decision) is None
    return decision


def prepare(order: Order, *, at: datetime = NOW) -> PreparedOrder:
    """Give an order an id made of its decision key."""
    return PreparedOrder(order_id=OrderId(f"id:{order.decision_key}"), order=order, created_at=at)


def intend(
    ledger: Ledger,
    number: int = 0,
    *,
    side: Side = Side.BUY,
    strategy: str = "ema-rsi-macd",
    at: datetime = NOW,
    decision_changes: dict[str, Any] | None = None,
    **order_changes: Any,
) -> OrderId:
    """Claim the decision of a numbered market and record the intent of an order in it."""
    market = market_number(number)
    decision = claim(ledger, market, strategy=strategy, **(decision_changes or {}))
    order = build_order(side, market=market, decision_key=decision.key, **order_changes)
    assert ledger.record_intent(prepare(order, at=at), decision, checks=allow_all) == ()
    return prepare(order).order_id


def a_fill(
    order_id: OrderId,
    size: str = "10",
    at_price: str = "0.5",
    *,
    fee: str = "0.175",
    trade: str = "trade-1",
    status: FillStatus = FillStatus.CONFIRMED,
    filled_at: datetime = NOW,
) -> Fill:
    """Return a taker's fill, by default 10 shares at 0.50 with a fee of 0.175."""
    return Fill(
        trade_id=TradeId(trade),
        order_id=order_id,
        leg=0,
        price=price(at_price),
        size=shares(size),
        fee_usdc=usdc(fee),
        liquidity=Liquidity.TAKER,
        status=status,
        filled_at=filled_at,
    )


def report(
    ledger: Ledger,
    order_id: OrderId,
    *fills: Fill,
    status: OrderStatus = OrderStatus.FILLED,
    at: datetime = NOW,
) -> tuple[Fill, ...]:
    """Record what is proved about an order."""
    return ledger.record_report(order_id, OrderReport(status=status, fills=fills), at=at)


def resolution(number: int = 0, winner: Outcome | None = Outcome.UP) -> Resolution:
    """Return the venue's final word on a numbered market; no winner: it was voided."""
    pays = {
        outcome: Decimal("0.5") if winner is None else Decimal(int(outcome is winner))
        for outcome in Outcome
    }
    market = market_number(number)
    return Resolution(condition_id=market.condition_id, payouts=pays, resolved_at=market.window.end)


def balance_of(totals: AccountTotals) -> Decimal:
    """Return how far the books are off: cash against deposits, results and position cost."""
    return totals.cash_usdc - (
        totals.deposits_usdc + totals.realised_pnl_usdc - totals.position_cost_usdc
    )


def an_alert(key: str, kind: AlertKind = AlertKind.FILL) -> Alert:
    """Return an alert with a key."""
    return Alert(kind=kind, dedupe_key=key, title=f"title {key}", body=f"body {key}")
