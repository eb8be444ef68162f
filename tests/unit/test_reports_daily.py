"""The daily report's figures equal those worked out by hand from the trade log."""

import base64
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from polybot.domain.accounts import AccountTotals, Settlement, TradeLogKind, TradeLogRow
from polybot.domain.decisions import Decision, Verdict, trend_key
from polybot.domain.markets import ConditionId, MarketSeries, MarketWindow, Outcome
from polybot.domain.modes import Mode, TradingState
from polybot.domain.money import ZERO_USDC, shares, usdc
from polybot.domain.orders import OrderId
from polybot.reports import (
    build_daily_report,
    equity_chart,
    equity_points,
    market_results,
    max_drawdown,
    summarise_day,
    trade_metrics,
)
from polybot.reports.chart import equity_svg, thin_out

DAY = date(2026, 11, 22)
MIDNIGHT = datetime(2026, 11, 22, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return MIDNIGHT + timedelta(minutes=minutes)


def row(kind: TradeLogKind, minutes: float, market: str = "", **changes: object) -> TradeLogRow:
    fields: dict[str, object] = {
        "timestamp": at(minutes),
        "kind": kind,
        "mode": "paper",
        "market": market,
        "market_name": f"Question of {market}",
        "outcome": "Up",
        "side": "",
        "size": shares(0),
        "price": None,
        "fee_usdc": ZERO_USDC,
        "cost_usdc": ZERO_USDC,
        "payout_usdc": ZERO_USDC,
        "pnl_usdc": None,
        "cash_change_usdc": ZERO_USDC,
        "result": "",
        "paper_trade": True,
        "reason": "",
        "order_id": "",
        "indicators": {},
    }
    return TradeLogRow(**(fields | changes))  # type: ignore[arg-type]


def deposit(minutes: float, amount: str) -> TradeLogRow:
    return row(TradeLogKind.DEPOSIT, minutes, cash_change_usdc=usdc(amount), result="deposited")


def buy(minutes: float, market: str, cost: str, fee: str) -> TradeLogRow:
    return row(
        TradeLogKind.FILL,
        minutes,
        market,
        side="BUY",
        size=shares(10),
        price=Decimal(cost) / 10,
        fee_usdc=usdc(fee),
        cost_usdc=usdc(cost),
        cash_change_usdc=usdc(-Decimal(cost) - Decimal(fee)),
        pnl_usdc=usdc(-Decimal(fee)),
        result="filled",
        order_id=f"order-{market}",
    )


def settle(minutes: float, market: str, cost: str, payout: str, result: str) -> TradeLogRow:
    return row(
        TradeLogKind.SETTLEMENT,
        minutes,
        market,
        size=shares(10),
        cost_usdc=usdc(-Decimal(cost)),
        payout_usdc=usdc(payout),
        cash_change_usdc=usdc(payout),
        pnl_usdc=usdc(Decimal(payout) - Decimal(cost)),
        result=result,
    )


# Bought the day before and settled on the day; then a loss, a voided market, one still open.
LOG = (
    deposit(-60, "1000"),
    buy(-14, "m0", "5", "0.2"),
    settle(2, "m0", "5", "10", "won"),
    buy(3, "m1", "4", "0.1"),
    settle(17, "m1", "4", "0", "lost"),
    buy(18, "m2", "4", "0.1"),
    settle(32, "m2", "4", "5", "voided"),
    buy(33, "m3", "6", "0.3"),
)


def settlement(
    minutes: float, payout: str, pnl: str, winner: Outcome | None = Outcome.UP
) -> Settlement:
    return Settlement(
        condition_id=ConditionId(f"0x{minutes}"),
        window=MarketWindow(
            series=MarketSeries.parse("btc-15m"),
            start_s=int(MIDNIGHT.timestamp()) - 900 + int(minutes // 15) * 900,
        ),
        winner=winner,
        payout_usdc=usdc(payout),
        pnl_usdc=usdc(pnl),
        resolved_at=at(minutes),
        settled_at=at(minutes),
    )


SETTLEMENTS = (
    settlement(-1, "0", "-9"),
    settlement(2, "10", "4.8"),
    settlement(17, "0", "-4.1"),
    settlement(32, "5", "0.9", winner=None),
)

TOTALS = AccountTotals(
    cash_usdc=usdc("994.3"),
    reserved_usdc=usdc(0),
    position_cost_usdc=usdc(6),
    position_value_usdc=usdc("5.5"),
    realised_pnl_usdc=usdc("0.3"),
    fees_usdc=usdc("0.7"),
    deposits_usdc=usdc(1000),
    high_water_usdc=usdc("1004.8"),
    day=DAY,
    day_opening_equity_usdc=usdc("999.8"),
    day_trade_count=3,
    day_realised_pnl_usdc=usdc("1.5"),
    day_fees_usdc=usdc("0.5"),
    trading_state=TradingState.ACTIVE,
    unknown_condition_ids=frozenset(),
)


def decision(index: int, verdict: Verdict, reason: str = "", order_id: str = "") -> Decision:
    series = MarketSeries.parse("btc-15m")
    window = MarketWindow(series=series, start_s=int(MIDNIGHT.timestamp()) + index * 900)
    return Decision(
        key=trend_key("s", window),
        strategy="s",
        window=window,
        verdict=verdict,
        reason=reason,
        decided_at=window.start,
        run_name=window.slug,
        order_id=OrderId(order_id) if order_id else None,
    )


DECISIONS = (
    decision(-1, Verdict.PLACED, order_id="order-m0"),
    decision(0, Verdict.PLACED, order_id="order-m1"),
    decision(1, Verdict.PLACED, order_id="order-unfilled"),
    decision(2, Verdict.HELD, "no crossover"),
    decision(3, Verdict.REFUSED, "spread | <b>wide</b>"),
    decision(4, Verdict.SKIPPED, "candles-stale"),
    decision(5, Verdict.SKIPPED, "candles-stale"),
    decision(6, Verdict.PENDING),
    decision(96, Verdict.HELD),
)


def test_day_is_counted_by_window_start_and_money_by_instant() -> None:
    """The window before midnight is not of this day, its settlement after midnight is."""
    day = summarise_day(DAY, decisions=DECISIONS, settlements=SETTLEMENTS, trade_log=LOG)
    assert (day.window_count, day.decided_count) == (7, 4)
    assert (day.traded_count, day.unfilled_count) == (1, 1)
    assert (day.held_count, day.refused_count) == (1, 1)
    assert (day.skipped_count, day.pending_count) == (2, 1)
    assert day.not_traded_reasons[0] == ("skipped: candles-stale", 2)
    # +5 (m0) −0.1 −4 (m1) −0.1 +1 (m2) −0.3 (m3's fee); m0's fee was paid the day before.
    assert day.pnl_usdc == Decimal("1.5")
    assert day.fees_usdc == Decimal("0.5")


def test_a_window_whose_fill_was_voided_is_not_traded() -> None:
    """The venue took the fill back, so the window counts as sent without a fill."""
    fill = buy(3, "m1", "4", "0.1")
    log = (*LOG, replace(fill, result="failed", timestamp=at(20)))
    day = summarise_day(DAY, decisions=DECISIONS, settlements=(), trade_log=log)
    assert (day.traded_count, day.unfilled_count) == (0, 2)


def test_metrics_count_the_settlements_of_the_day() -> None:
    """One won, one lost, one voided; the loss of the day before is left out."""
    metrics = summarise_day(DAY, decisions=(), settlements=SETTLEMENTS, trade_log=()).metrics
    assert (metrics.settled_count, metrics.won_count, metrics.lost_count) == (3, 1, 1)
    assert metrics.win_rate == Decimal("0.5"), "a voided market is neither won nor lost"
    assert metrics.mean_pnl_usdc == Decimal("0.533333")


def test_market_results_name_the_outcome() -> None:
    """Won, lost and voided follow from the venue's word and our payout."""
    results = [result.result for result in market_results(SETTLEMENTS)]
    assert results == ["lost", "won", "lost", "voided"]


def test_metrics_of_nothing_divide_by_nothing() -> None:
    """No trade and no deposit give no rate, no mean and no drawdown."""
    metrics = trade_metrics(market_results(()))
    assert (metrics.win_rate, metrics.mean_pnl_usdc, metrics.settled_count) == (None, None, 0)
    assert max_drawdown(()) == 0
    assert max_drawdown([(at(0), Decimal(0))]) == 0


def test_equity_is_cash_and_positions_at_cost() -> None:
    """Each settlement gives a point; the open position's fee is not in one yet."""
    assert equity_points(LOG) == (
        (at(-60), Decimal(1000)),
        (at(2), Decimal("1004.8")),
        (at(17), Decimal("1000.7")),
        (at(32), Decimal("1001.6")),
    )


def test_changes_at_one_instant_are_one_point() -> None:
    """Two settlements of the same round do not draw a zigzag."""
    log = (
        deposit(0, "100"),
        settle(5, "a", "0", "1", "won"),
        settle(5, "b", "0", "2", "won"),
    )
    assert equity_points(log) == ((at(0), Decimal(100)), (at(5), Decimal(103)))


def test_drawdown_is_measured_from_the_high_before_it() -> None:
    """100, 150, 120, 160, 140: the deepest fall is a fifth of 150."""
    values = (100, 150, 120, 160, 140)
    points = [(at(index), Decimal(value)) for index, value in enumerate(values)]
    assert max_drawdown(points) == Decimal("0.2")


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=30))
def test_drawdown_equals_the_worst_pair(values: list[int]) -> None:
    """The one-pass figure equals the comparison of every pair."""
    points = [(at(index), Decimal(value)) for index, value in enumerate(values)]
    pairs = (1 - Decimal(b) / a for i, a in enumerate(values) for b in values[i:])
    assert max_drawdown(points) == max(pairs)


def test_report_is_one_page_of_tables_and_a_chart() -> None:
    """The figures of the day, the trades of the day and the chart are on the page."""
    report = build_daily_report(
        DAY,
        mode=Mode.PAPER,
        decisions=DECISIONS,
        settlements=SETTLEMENTS,
        trade_log=LOG,
        totals=TOTALS,
    )
    text = report.markdown
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    assert text.startswith("# 2026-11-22: +1.50 USDC (paper)\n")
    assert html.count("<table>") == 4
    assert "| Win rate | 0.5000 |" in text
    assert "| Won / lost | 1 / 1 |" in text
    assert "| Equity [USDC] | 999.80 |" in text
    assert "| skipped: candles-stale | 2 |" in text
    assert "<b>" not in html
    assert text.count("| BUY filled |") == 3, "the purchase of the day before is left out"
    assert report.summary.startswith("P&L +1.50 USDC after 0.50 USDC of fees\n1 won, 1 lost of 3")
    assert "\n![equity](data:image/svg+xml;base64," in text


def test_report_of_a_new_account_has_no_holes() -> None:
    """Before the first trade the page says so in words."""
    text = build_daily_report(
        DAY, mode=Mode.SANDBOX, decisions=(), settlements=(), trade_log=(), totals=TOTALS
    ).markdown
    assert "| Win rate | – |" in text
    assert "No fill and no settlement on this day." in text
    assert "No chart yet" in text
    assert "Why not traded" not in text


def test_report_caps_its_rows_and_says_so() -> None:
    """A report of a very busy day stays readable."""
    log = [deposit(-60, "1000"), *(buy(n, f"m{n}", "4", "0.1") for n in range(230))]
    text = build_daily_report(
        DAY, mode=Mode.PAPER, decisions=(), settlements=(), trade_log=log, totals=TOTALS
    ).markdown
    assert text.count("| BUY filled |") == 200
    assert "30 earlier rows are in the trade log" in text


def decode_chart(markdown: str) -> ET.Element:
    match = re.fullmatch(r"!\[equity\]\(data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)\)", markdown)
    assert match is not None
    return ET.fromstring(base64.b64decode(match[1]))


def test_chart_is_small_valid_svg_with_labels() -> None:
    """Ten thousand points give a few kilobytes, inside the picture, from first to last."""
    points = [(at(n), Decimal(1000 + (n * 7919) % 613)) for n in range(10_000)]
    chart = equity_chart(points)
    svg = decode_chart(chart)
    assert len(chart) < 6_000
    line = svg.find("{http://www.w3.org/2000/svg}polyline")
    assert line is not None
    pairs = [tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split()]
    assert all(0 <= x <= 720 and 0 <= y <= 260 for x, y in pairs)
    assert [x for x, _ in pairs] == sorted(x for x, _ in pairs)
    labels = [element.text for element in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert "2026-11-22 00:00" in labels
    assert "2026-11-28 22:39 UTC" in labels
    assert len(labels) == 8


@pytest.mark.parametrize("equity", ["0", "1000", "-5"])
def test_flat_equity_is_a_line_in_the_middle(equity: str) -> None:
    """Equal values, even at one instant, do not divide by zero."""
    svg = equity_svg([(at(0), Decimal(equity)), (at(0), Decimal(equity))])
    assert 'points="84.0,128.0 84.0,128.0"' in svg


def test_thinning_keeps_first_last_and_extremes() -> None:
    """A single spike among thousands of points is still on the chart."""
    points = [(at(n), Decimal(100)) for n in range(5_000)]
    points[3_333] = (at(3_333), Decimal(1))
    kept = thin_out(points, 60)
    assert len(kept) <= 122
    assert kept[0] == points[0]
    assert kept[-1] == points[-1]
    assert points[3_333] in kept
