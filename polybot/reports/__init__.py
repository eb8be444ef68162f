"""What people read about trading: decision cards, daily reports, metrics, the equity chart.

Pure functions from records to Markdown; nothing here reads a clock, a file or a database.
"""

from polybot.reports.cards import average_price, decision_card, headline, trend_card
from polybot.reports.chart import equity_chart
from polybot.reports.copies import copy_card
from polybot.reports.daily import DailyReport, build_daily_report
from polybot.reports.documents import reconciliation_document
from polybot.reports.markdown import escape_markdown, plain_text
from polybot.reports.metrics import (
    DaySummary,
    MarketResult,
    TradeMetrics,
    equity_points,
    market_results,
    max_drawdown,
    realised_pnl,
    summarise_day,
    trade_metrics,
)
from polybot.reports.reconciliation import reconciliation_card

__all__ = [
    "DailyReport",
    "DaySummary",
    "MarketResult",
    "TradeMetrics",
    "average_price",
    "build_daily_report",
    "copy_card",
    "decision_card",
    "equity_chart",
    "equity_points",
    "escape_markdown",
    "headline",
    "market_results",
    "max_drawdown",
    "plain_text",
    "realised_pnl",
    "reconciliation_card",
    "reconciliation_document",
    "summarise_day",
    "trade_metrics",
    "trend_card",
]
