"""Leaders, their trades and our situation in one line each; a test names only what it is about."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from polybot.copy_trading.activity import RecentActivity
from polybot.copy_trading.situation import CopyOrder, CopySituation, CopySkip
from polybot.domain.leaders import (
    ConversionKind,
    CopyPolicy,
    FeedSource,
    Leader,
    LeaderAddress,
    LeaderConversion,
    LeaderHolding,
    LeaderPosition,
    LeaderSpending,
    LeaderState,
    LeaderTrade,
)
from polybot.domain.money import Shares, Usdc
from polybot.domain.orders import Side
from tests.builders import NOW, UP_TOKEN, build_book, build_limits, build_market

LEADER = LeaderAddress("0x" + "ab" * 20)
MARKET = build_market()


def build_leader(**changes: Any) -> Leader:
    """Return an active leader, followed for a day; policy fields go into the policy."""
    fields = set(CopyPolicy.__dataclass_fields__)
    policy = CopyPolicy(**{name: changes.pop(name) for name in fields & set(changes)})
    values: dict[str, Any] = {
        "address": LEADER,
        "name": "whale",
        "policy": policy,
        "state": LeaderState.ACTIVE,
        "state_reason": "",
        "added_at": NOW - timedelta(days=1),
        "watermark": NOW - timedelta(minutes=1),
    }
    return Leader(**{**values, **changes})


def build_trade(
    side: Side = Side.BUY, price: str = "0.50", size: str = "200", **changes: Any
) -> LeaderTrade:
    """Return a leader's trade of the Up token two seconds ago."""
    values: dict[str, Any] = {
        "leader": LEADER,
        "transaction_hash": "0x" + "cd" * 32,
        "token_id": UP_TOKEN,
        "condition_id": MARKET.condition_id,
        "slug": MARKET.slug,
        "side": side,
        "price": Decimal(price),
        "size": Shares(Decimal(size)),
        "traded_at": NOW - timedelta(seconds=2),
        "received_at": NOW,
        "source": FeedSource.STREAM,
    }
    return LeaderTrade(**{**values, **changes})


def build_conversion(
    kind: ConversionKind = ConversionKind.MERGE, size: str = "100", **changes: Any
) -> LeaderConversion:
    """Return a leader's merge two seconds ago."""
    values: dict[str, Any] = {
        "leader": LEADER,
        "transaction_hash": "0x" + "ef" * 32,
        "condition_id": MARKET.condition_id,
        "slug": MARKET.slug,
        "kind": kind,
        "size": Shares(Decimal(size)),
        "happened_at": NOW - timedelta(seconds=2),
        "received_at": NOW,
    }
    return LeaderConversion(**{**values, **changes})


def build_holding(leader_size: str = "0", our_size: str = "0", **changes: Any) -> LeaderHolding:
    """Return what the leader and we hold of the Up token; amounts as text."""
    values: dict[str, Any] = {
        "leader": LEADER,
        "token_id": UP_TOKEN,
        "condition_id": MARKET.condition_id,
        "slug": MARKET.slug,
        "leader_size": Shares(Decimal(leader_size)),
        "our_size": Shares(Decimal(our_size)),
        "our_cost_usdc": Usdc(Decimal(0)),
        "in_flight_usdc": Usdc(Decimal(0)),
        "pending_usdc": Usdc(Decimal(0)),
        "pending_size": Shares(Decimal(0)),
    }
    for name, value in changes.items():
        values[name] = Decimal(value) if isinstance(value, str) and name in values else value
    return LeaderHolding(**values)


def build_position(size: str, **changes: Any) -> LeaderPosition:
    """Return so many Up shares of the leader as the Data API shows them."""
    values: dict[str, Any] = {
        "token_id": UP_TOKEN,
        "condition_id": MARKET.condition_id,
        "slug": MARKET.slug,
        "title": "",
        "outcome": "Up",
        "size": Shares(Decimal(size)),
        "average_price": Decimal("0.5"),
        "value_usdc": Decimal(0),
        "realised_pnl_usdc": Decimal(0),
        "is_open": True,
    }
    return LeaderPosition(**{**values, **changes})


def build_spending(**changes: Any) -> LeaderSpending:
    """Return the totals of a leader through whom nothing was spent."""
    values: dict[str, Any] = {
        "leader": LEADER,
        "day_usdc": Usdc(Decimal(0)),
        "open_usdc": Usdc(Decimal(0)),
    }
    return LeaderSpending(**{**values, **changes})


def build_situation(**changes: Any) -> CopySituation:
    """Return a situation in which a BUY is copied: ask 0.51, bid 0.50; policy fields welcome."""
    fields = set(CopyPolicy.__dataclass_fields__)
    policy = {name: changes.pop(name) for name in fields & set(changes)}
    values: dict[str, Any] = {
        "leader": changes.pop("leader", None) or build_leader(**policy),
        "holding": None,
        "market": MARKET,
        "book": build_book(),
        "equity_usdc": Decimal(1000),
        "recent": RecentActivity(),
        "now": NOW,
        "limits": build_limits(),
        "max_book_age_s": 10.0,
    }
    return CopySituation(**{**values, **changes})


def order_of(answer: CopyOrder | CopySkip) -> CopyOrder:
    """Return the order of an answer, after asserting that it is one."""
    assert isinstance(answer, CopyOrder), answer.record.reason
    return answer


def skip_of(answer: CopyOrder | CopySkip) -> CopySkip:
    """Return the skip of an answer, after asserting that it is one."""
    assert isinstance(answer, CopySkip), answer.record.reason
    return answer
