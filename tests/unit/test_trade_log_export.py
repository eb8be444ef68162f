"""The exported trade log: exact money, one line a row, nothing a spreadsheet would run."""

import csv
import io
import json
from dataclasses import replace
from datetime import timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polybot.adapters.storage.export import COLUMNS, csv_text, document_of, jsonl_lines, one_line
from polybot.domain.accounts import TradeLogKind, TradeLogRow
from polybot.domain.money import Shares, usdc
from tests.builders import NOW, WINDOW

ROW = TradeLogRow(
    timestamp=NOW,
    kind=TradeLogKind.FILL,
    mode="paper",
    market=WINDOW.slug,
    market_name="Bitcoin Up or Down?",
    outcome="Up",
    side="BUY",
    size=Shares(Decimal("10.000000")),
    price=Decimal("0.500000"),
    fee_usdc=usdc("0.175"),
    cost_usdc=usdc("5"),
    payout_usdc=usdc("0"),
    pnl_usdc=usdc("-0.175"),
    cash_change_usdc=usdc("-5.175"),
    result="filled",
    paper_trade=True,
    reason="crossed up",
    order_id="0xab",
    indicators={"rsi": 55.5, "bars_since_cross": None, "macd": float("nan")},
)


def cells_of(row: TradeLogRow) -> dict[str, str]:
    """Return a row's CSV cells by column, as a reader sees them."""
    (found,) = csv.DictReader(io.StringIO(csv_text([row])))
    return found


def test_json_row_has_every_key_and_exact_money() -> None:
    """Money is text, so that no reader makes a float of it."""
    (line,) = jsonl_lines([ROW])
    document = json.loads(line)

    assert tuple(document) == COLUMNS
    assert document["timestamp"] == "2026-10-06T09:00:04Z" or document["timestamp"].endswith("Z")
    assert (document["size"], document["price"]) == ("10", "0.5")
    assert (document["pnl_usdc"], document["cash_change_usdc"]) == ("-0.175", "-5.175")
    assert document["paper_trade"] is True
    assert document["indicators"] == {"rsi": 55.5, "bars_since_cross": None, "macd": None}
    assert line.endswith("}\n")


def test_timestamps_are_utc() -> None:
    """Whatever zone the instant came in."""
    shifted = NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert document_of(replace(ROW, timestamp=shifted)) == document_of(ROW)


def test_csv_keeps_negative_money_plain() -> None:
    """A minus sign in a money column is a number, not a formula."""
    cells = cells_of(ROW)
    assert tuple(cells) == COLUMNS
    assert cells["cash_change_usdc"] == "-5.175"
    assert cells["paper_trade"] == "true"
    assert cells_of(replace(ROW, pnl_usdc=None, price=None))["pnl_usdc"] == ""
    assert json.loads(cells["indicators"])["rsi"] == 55.5


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r\n=", "\u200b=", "＝"])
def test_csv_text_is_never_a_formula(start: str) -> None:
    """Market names come from a stranger."""
    cells = cells_of(replace(ROW, market_name=f"{start}cmd|' /C calc'!A0", reason=f"{start}1"))
    assert cells["market_name"].startswith("'")
    assert cells["reason"].startswith("'")


@given(st.text())
def test_any_name_stays_on_one_line(name: str) -> None:
    """In both formats, one row is one line."""
    row = replace(ROW, market_name=name, reason=name)
    (line,) = jsonl_lines([row])
    assert len(line.splitlines()) == 1
    assert len(csv_text([row]).splitlines()) == 2
    line.encode("utf-8")


def test_invisible_characters_are_dropped() -> None:
    """Direction marks can make a name read as another one."""
    assert one_line("a\u202eb\u2066\nc\u2028d\x1b[31m") == "ab c d [31m"
