"""Whether and how one leader trade is copied: a pure function of what is in memory."""

from collections.abc import Sequence

from polybot.copy_trading.activity import RecentActivity
from polybot.copy_trading.caps import caps_of
from polybot.copy_trading.reasons import ReasonCode
from polybot.copy_trading.situation import CopyDecision, CopyOrder, CopySituation, CopySkip
from polybot.domain.leaders import LeaderConversion, LeaderTrade

__all__ = [
    "CopyDecision",
    "CopyOrder",
    "CopySituation",
    "CopySkip",
    "ReasonCode",
    "RecentActivity",
    "caps_of",
    "decide_copy",
    "decide_exit",
]


def decide_copy(trade: LeaderTrade, situation: CopySituation) -> CopyDecision:
    """Return the order that copies a leader's trade, or why there is none."""
    raise NotImplementedError


def decide_exit(
    conversion: LeaderConversion, situations: Sequence[CopySituation]
) -> tuple[CopyDecision, ...]:
    """Return the orders that follow a leader's merge or redemption out of a market.

    Args:
        conversion: What the leader did; a split or conversion closes nothing.
        situations: One for each token of the market that we hold through the leader, as things
            were before the conversion.

    Record the orders (``record_copy``, each under a key of its own) before the conversion
    itself: after a crash in between, the conversion is heard again and nothing is lost or twice.
    Their records are of a SELL that the leader did not make (``follows_conversion``).
    """
    raise NotImplementedError
