"""The decision card: why one window was traded or not, on one page.

Shown as the artifact of a run. Everything on it comes from the decision's record, the order's
record and its fills; nothing is computed here that a decision was not based on.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

from polybot.domain.accounts import OrderRecord
from polybot.domain.decisions import BookSummary, Decision, Verdict
from polybot.domain.markets import Market, MarketWindow
from polybot.domain.modes import Mode
from polybot.domain.orders import ExpectedFill, Fill, FillStatus, OrderStatus, RiskCheck
from polybot.reports.markdown import amount, escape_markdown, fraction, instant, number, table

_INDICATOR_NAMES = {
    "close": "Close [USD]",
    "ema_fast": "EMA fast [USD]",
    "ema_slow": "EMA slow [USD]",
    "rsi": "RSI (0-100)",
    "macd": "MACD [USD]",
    "macd_signal": "MACD signal [USD]",
    "macd_histogram": "MACD histogram [USD]",
    "bars_since_cross": "Candles since the EMAs crossed",
    "candle_count": "Candles used",
    "last_close_s": "Last candle closed (UTC)",
}


def decision_card(
    decision: Decision,
    *,
    mode: Mode,
    order: OrderRecord | None = None,
    fills: Sequence[Fill] = (),
    expected: ExpectedFill | None = None,
    market: Market | None = None,
) -> str:
    """Return the card of one window as Markdown.

    Args:
        decision: The record; final or still pending.
        mode: Where the order went; a sandbox market has no page to link to.
        order: The order as the ledger has it, where one was sent.
        fills: Its fills so far, oldest first.
        expected: What the order should cost, computed before it was sent.
        market: The market as it was fetched, where it was found.
    """
    parts = [
        f"## {headline(decision, order)}",
        _facts(decision, mode, market),
        _signal(decision),
        _indicators(decision.indicators),
        _checks(decision.checks),
        _book(decision.book),
        _expected(expected),
        _order(order),
        _fills(fills),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def trend_card(cards: Sequence[str]) -> str:
    """Return one page of the cards of all series that a run decided."""
    if not cards:
        return "Nothing was decided in this run.\n"
    return "\n---\n\n".join(cards)


def headline(decision: Decision, order: OrderRecord | None = None) -> str:
    """Return ``btc-15m 2026-11-22 12:00–12:15 UTC: UP, bought 10 Up at 0.49``, escaped."""
    verdict = escape_markdown(_verdict(decision, order))
    direction = f"{decision.direction}, " if decision.direction is not None else ""
    return f"{window_name(decision.window)}: {direction}{verdict}"


def window_name(window: MarketWindow) -> str:
    """Return ``btc-15m 2026-11-22 12:00–12:15 UTC``."""
    return f"{window.series} {window.start:%Y-%m-%d %H:%M}–{window.end:%H:%M} UTC"


def average_price(order: OrderRecord) -> Decimal | None:
    """Return what a share cost on average [USDC/share], to 10⁻⁶; ``None`` before a fill."""
    if order.filled_size == 0:
        return None
    return (order.filled_cost_usdc / order.filled_size).quantize(Decimal("0.000001"))


def _verdict(decision: Decision, order: OrderRecord | None) -> str:
    if decision.verdict is not Verdict.PLACED or order is None:
        return decision.verdict.value
    price = average_price(order)
    if price is not None:
        verb = {"BUY": "bought", "SELL": "sold"}[order.side]
        return f"{verb} {number(order.filled_size)} {order.outcome} at {number(price)}"
    return {
        OrderStatus.SENDING: "order on its way",
        OrderStatus.UNKNOWN: "order sent, its fate is not known yet",
        OrderStatus.RESTING: "order waits in the book",
        OrderStatus.FILLED: "order filled",
        OrderStatus.UNFILLED: "order found nothing to match",
        OrderStatus.REJECTED: "order rejected by the venue",
        OrderStatus.NEVER_ARRIVED: "order never arrived at the venue",
    }[order.status]


def _facts(decision: Decision, mode: Mode, market: Market | None) -> str:
    window = decision.window
    # The slug is rebuilt from series and epoch, so the address holds nothing from outside.
    page = window.slug
    if mode is not Mode.SANDBOX:
        page = f"[{window.slug}](https://polymarket.com/event/{window.slug})"
    rows = [
        ["Verdict", f"**{decision.verdict}**: {escape_markdown(decision.reason)}"],
        ["Market", page],
    ]
    if market is not None:
        rows.append(["Question", escape_markdown(market.question)])
    price_to_beat = decision.price_to_beat
    if price_to_beat is None and market is not None:
        price_to_beat = market.price_to_beat
    rows += [
        [
            "Price to beat [USD]",
            "not known yet" if price_to_beat is None else amount(price_to_beat),
        ],
        ["Decided at (UTC)", instant(decision.decided_at)],
        ["Mode", mode.value],
        ["Strategy", escape_markdown(decision.strategy)],
        ["Run", escape_markdown(decision.run_name)],
    ]
    return table(["Window", window_name(window)], rows)


def _signal(decision: Decision) -> str:
    if decision.direction is None:
        return ""
    return f"### Signal\n\n**{decision.direction}**: {escape_markdown(decision.signal_reason)}"


def _indicators(values: dict[str, float | int | None]) -> str:
    if not values:
        return ""
    rows = [
        [_INDICATOR_NAMES.get(name, escape_markdown(name)), _indicator(name, value)]
        for name, value in values.items()
    ]
    return "### Indicators\n\n" + table(["Indicator", "Value"], rows)


def _indicator(name: str, value: float | int | None) -> str:
    if value is None:
        return "never" if name == "bars_since_cross" else "–"
    if name == "last_close_s":
        return instant(datetime.fromtimestamp(value, UTC))
    return str(value) if isinstance(value, int) else f"{value:.8g}"


def _checks(checks: Sequence[RiskCheck]) -> str:
    if not checks:
        return ""
    failed = sum(not check.passed for check in checks)
    outcome = f"{failed} of {len(checks)} checks failed" if failed else "every check passed"
    rows = [
        ["✓" if check.passed else "✗", escape_markdown(check.name), escape_markdown(check.detail)]
        for check in checks
    ]
    return f"### Risk: {outcome}\n\n" + table(["", "Check", "Detail"], rows)


def _book(book: BookSummary | None) -> str:
    if book is None:
        return ""
    cells = [number(book.best_bid), number(book.best_ask), number(book.spread)]
    return "### Book\n\n" + table(
        ["Best bid", "Best ask", "Spread", "Asks up to the limit [USDC]"],
        [[*cells, amount(book.ask_depth_usdc)]],
    )


def _expected(expected: ExpectedFill | None) -> str:
    if expected is None:
        return ""
    rows = [
        ["Size [shares]", number(expected.size)],
        ["Average price [USDC/share]", number(expected.average_price)],
        ["Cost [USDC]", amount(expected.cost_usdc)],
        ["Fee [USDC]", amount(expected.fee_usdc)],
        ["Half spread [USDC]", amount(expected.half_spread_usdc)],
        ["Break-even probability", fraction(expected.break_even)],
    ]
    return "### Expected cost, before sending\n\n" + table(["", "Expected"], rows)


def _order(order: OrderRecord | None) -> str:
    if order is None:
        return ""
    status = f"{order.status}" + (f": {escape_markdown(order.reason)}" if order.reason else "")
    rows = [
        ["Order id", escape_markdown(order.order_id)],
        ["Order", f"{order.side} {order.outcome} {order.time_in_force}"],
        ["Limit price [USDC/share]", number(order.limit_price)],
        ["Budget [USDC]", amount(order.budget_usdc)],
        ["Status", status],
        ["Filled [shares]", number(order.filled_size)],
        ["Average price [USDC/share]", number(average_price(order))],
        ["Cost [USDC]", amount(order.filled_cost_usdc)],
        ["Fee [USDC]", amount(order.fee_usdc)],
    ]
    return "### Order\n\n" + table(["", "Order"], rows)


def _fills(fills: Sequence[Fill]) -> str:
    if not fills:
        return ""
    rows = [
        [
            instant(fill.filled_at),
            number(fill.size),
            number(fill.price),
            amount(fill.fee_usdc),
            "void" if fill.status is FillStatus.FAILED else fill.liquidity.value.lower(),
        ]
        for fill in fills
    ]
    return "### Fills\n\n" + table(
        ["At (UTC)", "Size [shares]", "Price [USDC/share]", "Fee [USDC]", "As"], rows
    )
