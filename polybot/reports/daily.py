"""The daily report: one UTC day in a table, its trades, and the equity since the beginning."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date
from decimal import Decimal
from typing import Final

from polybot.domain.accounts import AccountTotals, Settlement, TradeLogKind, TradeLogRow
from polybot.domain.decisions import Decision
from polybot.domain.modes import Mode
from polybot.reports.chart import equity_chart
from polybot.reports.markdown import (
    amount,
    escape_markdown,
    fraction,
    instant,
    number,
    signed,
    table,
)
from polybot.reports.metrics import DaySummary, equity_points, max_drawdown, summarise_day

# An artifact is read by people and stored daily: the whole list is in `polybot trades`.
_MOST_ROWS: Final = 200
_MOST_REASONS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyReport:
    """One UTC day, as a page and as a message."""

    markdown: str
    """The page: tables, trades and the equity chart."""
    summary: str
    """A few plain lines, not escaped, for the owner's phone."""


def build_daily_report(
    day: date,
    *,
    mode: Mode,
    decisions: Sequence[Decision],
    settlements: Sequence[Settlement],
    trade_log: Sequence[TradeLogRow],
    totals: AccountTotals,
) -> DailyReport:
    """Return the report of one UTC day.

    Args:
        day: The UTC day that is reported.
        mode: Paper, live or sandbox.
        decisions: Decisions for windows that start on ``day``; others are left out.
        settlements: Settlements booked on ``day``; others are left out.
        trade_log: The whole trade log, oldest first.
        totals: The account as it stands when the report is made.
    """
    summary = summarise_day(day, decisions=decisions, settlements=settlements, trade_log=trade_log)
    points = equity_points(trade_log)
    parts = [
        f"# {day:%Y-%m-%d}: {signed(summary.pnl_usdc)} USDC ({mode})",
        _day_table(summary),
        "## Account when this report was made",
        _account_table(totals, max_drawdown(points)),
        _reasons(summary),
        "## Trades",
        _trades([row for row in trade_log if _is_trade_of(row, day)]),
        "## Equity",
        equity_chart(points),
        "Cash plus open positions at cost after each deposit, sale and settlement, since the "
        "first deposit. Gains of open positions are not in it.",
    ]
    return DailyReport(
        markdown="\n\n".join(part for part in parts if part) + "\n",
        summary=_message(summary, totals),
    )


def _message(summary: DaySummary, totals: AccountTotals) -> str:
    metrics = summary.metrics
    return "\n".join(
        (
            f"P&L {signed(summary.pnl_usdc)} USDC after {amount(summary.fees_usdc)} USDC of fees",
            f"{metrics.won_count} won, {metrics.lost_count} lost of {metrics.settled_count}",
            f"{summary.window_count} windows: {summary.traded_count} traded, "
            f"{summary.held_count} held, {summary.refused_count} refused, "
            f"{summary.skipped_count} skipped",
            f"Equity {amount(totals.equity_usdc)} USDC, cash {amount(totals.cash_usdc)} USDC, "
            f"trading is {totals.trading_state}",
        )
    )


def _day_table(summary: DaySummary) -> str:
    metrics = summary.metrics
    rows = [
        ["Windows", str(summary.window_count)],
        ["Decided", str(summary.decided_count)],
        ["Traded", str(summary.traded_count)],
        ["Sent, nothing filled", str(summary.unfilled_count)],
        ["Held", str(summary.held_count)],
        ["Refused", str(summary.refused_count)],
        ["Skipped", str(summary.skipped_count)],
        ["Not finished", str(summary.pending_count)],
        ["Settled", str(metrics.settled_count)],
        ["Won / lost", f"{metrics.won_count} / {metrics.lost_count}"],
        ["Win rate", fraction(metrics.win_rate)],
        ["Realised P&amp;L after fees [USDC]", signed(summary.pnl_usdc)],
        ["Fees paid [USDC]", amount(summary.fees_usdc)],
        ["Mean P&amp;L per settled market [USDC]", signed(metrics.mean_pnl_usdc)],
    ]
    return table(["The day (UTC)", f"{summary.day:%Y-%m-%d}"], rows)


def _account_table(totals: AccountTotals, deepest: Decimal) -> str:
    high = totals.high_water_usdc
    drawdown = max(Decimal(0), 1 - totals.equity_usdc / high) if high > 0 else Decimal(0)
    rows = [
        ["Cash [USDC]", amount(totals.cash_usdc)],
        ["Reserved for open orders [USDC]", amount(totals.reserved_usdc)],
        ["Open positions at the bid [USDC]", amount(totals.position_value_usdc)],
        ["Equity [USDC]", amount(totals.equity_usdc)],
        ["Drawdown from the high [fraction]", fraction(drawdown)],
        ["Deepest drawdown, positions at cost [fraction]", fraction(deepest)],
        ["Realised P&amp;L in total [USDC]", signed(totals.realised_pnl_usdc)],
        ["Fees in total [USDC]", amount(totals.fees_usdc)],
        ["Deposited [USDC]", amount(totals.deposits_usdc)],
        ["Trading state", totals.trading_state.value],
    ]
    return table(["Account", "Now"], rows)


def _reasons(summary: DaySummary) -> str:
    if not summary.not_traded_reasons:
        return ""
    shown = summary.not_traded_reasons[:_MOST_REASONS]
    rows = [[escape_markdown(reason), str(count)] for reason, count in shown]
    rest = len(summary.not_traded_reasons) - len(shown)
    more = f"\n\n{rest} more reasons are in the trade log." if rest else ""
    return "## Why not traded\n\n" + table(["Reason", "Windows"], rows) + more


def _trades(rows: Sequence[TradeLogRow]) -> str:
    if not rows:
        return "No fill and no settlement on this day."
    shown = rows[-_MOST_ROWS:]
    headings = ["At (UTC)", "Market", "Event", "Outcome", "Size", "Price", "Fee", "P&amp;L"]
    more = len(rows) - len(shown)
    note = f"\n\n{more} earlier rows are in the trade log: `polybot trades`." if more else ""
    return table(headings, [_trade(row) for row in shown]) + note


def _trade(row: TradeLogRow) -> list[str]:
    event = f"{row.side} {row.result}" if row.kind is TradeLogKind.FILL else row.result
    return [
        instant(row.timestamp),
        escape_markdown(row.market),
        escape_markdown(event),
        escape_markdown(row.outcome),
        number(row.size),
        number(row.price),
        amount(row.fee_usdc),
        signed(row.pnl_usdc),
    ]


def _is_trade_of(row: TradeLogRow, day: date) -> bool:
    is_trade = row.kind in (TradeLogKind.FILL, TradeLogKind.SETTLEMENT)
    return is_trade and row.timestamp.astimezone(UTC).date() == day
