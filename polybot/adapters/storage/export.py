"""The trade log as JSON lines and as CSV.

Money is plain decimal text, instants are ISO 8601 in UTC. Names and reasons come from the venue:
they are put on one line, and a CSV cell of text that a spreadsheet would take for a formula gets
an apostrophe in front (owasp.org/www-community/attacks/CSV_Injection, 2026-11-22). Money columns
keep their minus sign.
"""

import csv
import io
import json
import math
import unicodedata
from collections.abc import Iterable, Iterator
from datetime import UTC
from decimal import Decimal
from typing import Final

from polybot.domain.accounts import TradeLogRow
from polybot.domain.money import text_of

Value = str | bool | dict[str, float | int | None] | None
Document = dict[str, Value]

COLUMNS: Final = (
    "timestamp", "mode", "kind", "market", "market_name", "outcome", "side", "size", "price",
    "result", "fee_usdc", "cost_usdc", "payout_usdc", "pnl_usdc", "cash_change_usdc",
    "paper_trade", "reason", "order_id", "indicators",
)  # fmt: skip
_TEXT_COLUMNS: Final = frozenset(
    {"mode", "kind", "market", "market_name", "outcome", "side", "result", "reason", "order_id"}
)
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


def document_of(row: TradeLogRow) -> Document:
    """Return a row as JSON can carry it; the keys are ``COLUMNS``, in that order."""
    return {
        "timestamp": row.timestamp.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "mode": row.mode,
        "kind": row.kind.value,
        "market": one_line(row.market),
        "market_name": one_line(row.market_name),
        "outcome": one_line(row.outcome),
        "side": one_line(row.side),
        "size": text_of(row.size),
        "price": _text_or_none(row.price),
        "result": one_line(row.result),
        "fee_usdc": text_of(row.fee_usdc),
        "cost_usdc": text_of(row.cost_usdc),
        "payout_usdc": text_of(row.payout_usdc),
        "pnl_usdc": _text_or_none(row.pnl_usdc),
        "cash_change_usdc": text_of(row.cash_change_usdc),
        "paper_trade": row.paper_trade,
        "reason": one_line(row.reason),
        "order_id": one_line(row.order_id),
        "indicators": {name: _finite(value) for name, value in row.indicators.items()},
    }


def jsonl_lines(rows: Iterable[TradeLogRow]) -> Iterator[str]:
    """Return one JSON object a row, each ending with a line feed."""
    for row in rows:
        yield json.dumps(document_of(row), ensure_ascii=False, allow_nan=False) + "\n"


def csv_text(rows: Iterable[TradeLogRow]) -> str:
    """Return a CSV table with a header; absent values are empty cells."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        document = document_of(row)
        writer.writerow(_cell(column, document[column]) for column in COLUMNS)
    return buffer.getvalue()


def one_line(text: str) -> str:
    """Return text on one line, without control, direction or other invisible characters."""
    visible = (
        " " if char.isspace() or unicodedata.category(char) in ("Cc", "Zl", "Zp") else char
        for char in text
        if unicodedata.category(char) not in ("Cf", "Cs", "Co", "Cn")
    )
    return " ".join("".join(visible).split())


def _cell(column: str, value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return json.dumps(value, separators=(",", ":"))
    if column in _TEXT_COLUMNS and value.startswith(_FORMULA_STARTS):
        return f"'{value}"
    return value


def _text_or_none(value: Decimal | None) -> str | None:
    return None if value is None else text_of(value)


def _finite(value: float | None) -> float | int | None:
    return value if value is None or math.isfinite(value) else None
