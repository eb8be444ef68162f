"""What people read about trading: decision cards, daily reports, metrics, the equity chart.

Pure functions from records to Markdown; nothing here reads a clock, a file or a database.
"""

from polybot.reports.cards import decision_card, trend_card
from polybot.reports.markdown import escape_markdown, plain_text

__all__ = [
    "decision_card",
    "escape_markdown",
    "plain_text",
    "trend_card",
]
