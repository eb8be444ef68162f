"""What leaders hold and we through them: rows that are changed with their cause, never summed.

A holding's own size is the net of what was seen of the leader, so late events may come in any
order; only a redemption sets it to nothing. Our side of it follows the orders that copy him.

Trades in markets that nobody could copy begin no row. One that begins all the same, later, counts
from there on: it remembers the event before its first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import RowMapping, case, func, insert, select, update

from polybot.accounting import FillAmounts, TokenBooks, apply_fill, replay
from polybot.adapters.storage.columns import clean_text, micros_at, micros_down
from polybot.adapters.storage.copy_tables import LEADER_EVENTS, LEADER_HOLDINGS, LEADERS
from polybot.adapters.storage.statements import (
    Statement,
    Transaction,
    Values,
    constant,
    parameter,
    parameters,
)
from polybot.adapters.storage.tables import FILLS, MARKETS, ORDERS, SETTLEMENTS
from polybot.domain.leaders import CopyRecord, CopyVerdict
from polybot.domain.markets import MarketWindow
from polybot.domain.orders import FillStatus, Side
from polybot.errors import PermanentError

# A market whose name tells no end is over after so long.
_LONGEST: Final = 30 * 86_400_000_000
LIVE: Final = LEADER_HOLDINGS.c.live == 1
"""Whether a holding's market is not over; in the words of the index over such holdings."""

_HOLDING: Final = Statement(
    select(LEADER_HOLDINGS).where(
        LEADER_HOLDINGS.c.token_id == parameter("token_id"),
        LEADER_HOLDINGS.c.leader_id == parameter("leader_id"),
    )
)
_INSERT: Final = Statement(
    insert(LEADER_HOLDINGS).values(
        parameters(column.name for column in LEADER_HOLDINGS.columns if column.name != "id")
    )
)
_CHANGING: Final = (
    "leader_size", "our_size", "our_cost", "in_flight", "pending", "pending_size", "pending_since",
    "seed", "seeded_after",
)  # fmt: skip
_STORE: Final = Statement(
    update(LEADER_HOLDINGS)
    .where(LEADER_HOLDINGS.c.id == parameter("of_id"))
    .values(parameters(_CHANGING))
)
_SET_SPENT: Final = Statement(
    update(LEADERS)
    .where(LEADERS.c.id == parameter("of_leader"))
    .values(parameters(("open_spent", "day", "day_spent")))
)
_SPEND: Final = Statement(
    update(LEADERS)
    .where(LEADERS.c.id == parameter("of_leader"))
    .values(
        open_spent=LEADERS.c.open_spent + parameter("open_change"),
        day_spent=LEADERS.c.day_spent
        + case((LEADERS.c.day == parameter("of_day"), parameter("day_change")), else_=0),
    )
)
_FILLS_THROUGH: Final = Statement(
    select(FILLS.c.side, FILLS.c.size, FILLS.c.price, FILLS.c.fee)
    .join(ORDERS, ORDERS.c.order_id == FILLS.c.order_id)
    .where(
        FILLS.c.token_id == parameter("token_id"),
        ORDERS.c.leader_id == parameter("leader_id"),
        FILLS.c.status != constant(FillStatus.FAILED.value),
    )
    .order_by(FILLS.c.id)
)
_IS_SETTLED: Final = Statement(
    select(SETTLEMENTS.c.payout).where(SETTLEMENTS.c.condition_id == parameter("condition_id"))
)
_OF_TOKEN: Final = Statement(
    select(LEADER_HOLDINGS.c.leader_id, LEADER_HOLDINGS.c.our_cost).where(
        LEADER_HOLDINGS.c.token_id == parameter("token_id")
    )
)
_CLOSE_TOKEN: Final = Statement(
    update(LEADER_HOLDINGS)
    .where(LEADER_HOLDINGS.c.token_id == parameter("of_token"))
    .values(our_size=0, our_cost=0, live=0)
)
_LAST_EVENT: Final = Statement(select(func.coalesce(func.max(LEADER_EVENTS.c.id), 0).label("id")))
_TOKENS_OF: Final = Statement(
    select(MARKETS.c.up_token_id, MARKETS.c.down_token_id).where(
        MARKETS.c.condition_id == parameter("condition_id")
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenOfMarket:
    """A token, and what a new row about it must know."""

    token_id: str
    condition_id: str
    slug: str
    seen_at: int
    """When the leader first traded it [µs]."""


def load_holding(transaction: Transaction, leader_id: int, token_id: str) -> dict[str, Any] | None:
    """Return a leader's row of a token; it may be changed and stored."""
    found = transaction.rows(_HOLDING, {"token_id": token_id, "leader_id": leader_id})
    return _HOLDING.named(found[0]) if found else None


def last_event(transaction: Transaction) -> int:
    """Return the id of the newest of all leaders' events; 0 before the first."""
    ((newest,),) = transaction.rows(_LAST_EVENT)
    return int(newest)


def begin_holding(transaction: Transaction, leader_id: int, token: TokenOfMarket) -> dict[str, Any]:
    """Return a new row that begins with the newest event, which is recorded already."""
    return new_holding(leader_id, token, after=last_event(transaction) - 1)


def new_holding(leader_id: int, token: TokenOfMarket, *, after: int) -> dict[str, Any]:
    """Return a row that nothing is held in yet; it has no id until it is stored.

    Args:
        leader_id: Whose.
        token: Of which token.
        after: The newest event that does not count; earlier ones changed no row.
    """
    return {
        "token_id": token.token_id,
        "leader_id": leader_id,
        "condition_id": token.condition_id,
        "slug": clean_text(token.slug),
        "leader_size": 0,
        "our_size": 0,
        "our_cost": 0,
        "in_flight": 0,
        "pending": 0,
        "pending_size": 0,
        "pending_since": None,
        "seed": 0,
        "seeded_after": after,
        "ends_at": _end_of(token.slug) or token.seen_at + _LONGEST,
        "live": 1,
    }


def store_holding(transaction: Transaction, holding: dict[str, Any]) -> None:
    """Write a row that was loaded, or a new one."""
    if "id" in holding:
        transaction.change(_STORE, {**holding, "of_id": holding["id"]})
    else:
        transaction.change(_INSERT, holding)


def follow_leader(holding: dict[str, Any], record: CopyRecord, verdict: CopyVerdict) -> None:
    """Change a row by a leader's trade: his size, and what waits for company."""
    trade = record.trade
    if not record.follows_conversion:
        sign = 1 if trade.side is Side.BUY else -1
        holding["leader_size"] += sign * micros_down(trade.size)
    if record.clears_pending or verdict is CopyVerdict.PLACED:
        holding["pending"], holding["pending_size"], holding["pending_since"] = 0, 0, None
    if verdict is CopyVerdict.ACCUMULATED:
        holding["pending"] += micros_down(record.accumulate_usdc)
        holding["pending_size"] += micros_down(record.accumulate_size)
        holding["pending_since"] = holding["pending_since"] or micros_at(record.decided_at)


def follow_order(
    transaction: Transaction,
    before: Values,
    order: Values,
    booked: Sequence[FillAmounts],
    *,
    has_voided: bool,
) -> None:
    """Carry what a report changed in a copy's order to its leader's rows.

    Args:
        transaction: The report's.
        before: The order's row as it was.
        order: As it is now.
        booked: Its new fills.
        has_voided: Whether fills were taken out again; the fills table knows that already.
    """
    leader_id, token_id = order["leader_id"], order["token_id"]
    holding = load_holding(transaction, leader_id, token_id)
    if holding is None:
        raise PermanentError(f"the ledger lost what leader {leader_id} holds of {token_id[:20]}")
    cost_before = holding["our_cost"]
    is_settled = not holding["live"] and transaction.rows(
        _IS_SETTLED, {"condition_id": order["condition_id"]}
    )
    if not is_settled:
        books = TokenBooks(size=holding["our_size"], cost=holding["our_cost"])
        for fill in booked:
            books = apply_fill(books, fill)
        if has_voided:
            books = books_through(transaction, leader_id, token_id)
        holding["our_size"], holding["our_cost"] = books.size, books.cost
    released = order["reserved"] - before["reserved"]
    holding["in_flight"] += released
    store_holding(transaction, holding)
    transaction.change(
        _SPEND,
        {
            "of_leader": leader_id,
            "of_day": order["day"],
            "open_change": holding["our_cost"] - cost_before + released,
            "day_change": spent_by(order) - spent_by(before),
        },
    )


def set_spent(transaction: Transaction, leader: Values, day: int, outlay: int) -> None:
    """Count what a new copy holds back [micro-USDC] in its leader's totals, as of a UTC day."""
    before = leader["day_spent"] if leader["day"] == day else 0
    transaction.change(
        _SET_SPENT,
        {
            "of_leader": leader["id"],
            "open_spent": leader["open_spent"] + outlay,
            "day": day,
            "day_spent": before + outlay,
        },
    )


def spent_by(order: RowMapping | Values) -> int:
    """Return what an order has spent and still holds back [micro-USDC]; a SELL spends nothing."""
    if order["side"] == Side.SELL:
        return 0
    return int(order["reserved"] + order["filled_cost"] + order["fee"])


def books_through(transaction: Transaction, leader_id: int, token_id: str) -> TokenBooks:
    """Return our books of a token from the fills of one leader's copies alone."""
    rows = transaction.rows(_FILLS_THROUGH, {"token_id": token_id, "leader_id": leader_id})
    return replay(
        FillAmounts(side=Side(side), size=size, price=price, fee=fee)
        for side, size, price, fee in rows
    )


def close_market(transaction: Transaction, condition_id: str) -> None:
    """Take a settled market's tokens out of what leaders hold and we through them."""
    for tokens in transaction.rows(_TOKENS_OF, {"condition_id": condition_id}):
        for token_id in filter(None, tokens):
            for leader_id, cost in transaction.rows(_OF_TOKEN, {"token_id": token_id}):
                transaction.change(
                    _SPEND,
                    {"of_leader": leader_id, "of_day": -1, "open_change": -cost, "day_change": 0},
                )
            transaction.change(_CLOSE_TOKEN, {"of_token": token_id})


def tokens_of_market(transaction: Transaction, condition_id: str) -> tuple[str, ...]:
    """Return both tokens of a market that the ledger knows; empty for another."""
    found = transaction.rows(_TOKENS_OF, {"condition_id": condition_id})
    return tuple(filter(None, found[0])) if found else ()


@lru_cache(maxsize=256)
def _end_of(slug: str) -> int | None:
    try:
        return micros_at(MarketWindow.parse_slug(slug).end)
    except ValueError:
        return None
