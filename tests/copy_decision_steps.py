"""A trade and situations for tests of the decision to copy, and the code that comes of them."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from polybot.copy_trading.decide import CopySituation, decide_copy
from polybot.domain.leaders import LeaderTrade
from tests.builders import DOWN_TOKEN, build_book
from tests.copy_builders import build_holding, build_situation, build_trade

MICROSECOND = timedelta(microseconds=1)
SMALL = build_trade(size="40")
"""2 USDC by the default scale: below five shares at 0.53."""


def code_of(trade: LeaderTrade | None = None, **changes: Any) -> str:
    """Return the reason code of a trade in a changed situation; empty where it is copied."""
    return decide_copy(trade or build_trade(), build_situation(**changes)).record.reason_code


def both_held() -> tuple[CopySituation, CopySituation]:
    """Return situations in which we hold 40 Up and 10 Down of a leader's 100 and 200."""
    down = replace(build_holding("200", "10"), token_id=DOWN_TOKEN)
    book = build_book([("0.48", "50")], [("0.49", "50")], token_id=DOWN_TOKEN)
    return (
        build_situation(holding=build_holding("100", "40")),
        build_situation(holding=down, book=book),
    )
