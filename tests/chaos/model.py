"""What must be true after a crash, worked out from the venue's books and the ledger's rows.

Nothing of the bot is used: rows are read with plain SQL and compared with what the venue holds.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from polybot.risk import RiskLimits
from polybot.sqlite_driver import sqlite_module
from tests.unbooked import show_unbooked

Json = dict[str, Any]
_DAY_MS = 86_400_000
UNPROVED = ("sending", "unknown")
_OPEN = (*UNPROVED, "resting")
_ABSENT = ("rejected", "never-arrived")
PROMISES = ("duplicate orders", "lost orders", "lost fills", "limit breaches", "books off")


@dataclass(frozen=True)
class Broken:
    """A promise that was not kept."""

    promise: str
    detail: str


@dataclass(frozen=True)
class Rows:
    """What a ledger file holds, as SQL tells it."""

    orders: dict[str, Json]
    fills: list[Json]
    positions: list[Json]
    account: Json
    unredeemed: int
    open_redemptions: int
    unsent_alerts: int = 0

    @property
    def unpaid(self) -> int:
        """How many positions wait for their market's end."""
        return sum(one["size"] > 0 and not one["is_settled"] for one in self.positions)


def read_rows(path: Path) -> Rows:
    """Read a ledger as it lies on the disk, changing nothing of it."""
    database = sqlite_module().connect(f"file:{path}?mode=ro", uri=True)
    # The views take longer than all queries, and most ledgers need none: none of this snapshot.
    database.execute("begin")
    if database.execute("select 1 from intents").fetchone():
        show_unbooked(database)

    def ask(query: str) -> list[Json]:
        cursor = database.execute(query)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    try:
        waiting = ask(
            "select s.payout from settlements s left join redemptions r using (condition_id) "
            "where s.payout > 0 and coalesce(r.state, 'due') not in ('confirmed', 'already')"
        )
        return Rows(
            orders={row["order_id"]: row for row in ask("select * from orders")},
            fills=ask("select * from fills"),
            positions=ask(
                "select p.*, s.condition_id is not null as is_settled from positions p "
                "left join settlements s using (condition_id)"
            ),
            account=ask("select * from account")[0],
            unredeemed=sum(row["payout"] for row in waiting),
            open_redemptions=len(waiting),
            unsent_alerts=len(ask("select id from alerts where sent_at is null")),
        )
    finally:
        database.close()


def always(books: Json, rows: Rows, limits: RiskLimits, resolved: set[str]) -> list[Broken]:
    """Return what is broken at any moment, also with a run just killed."""
    return [
        *_duplicates(books),
        *_untracked(books, rows),
        *_breaches(books, limits, resolved),
        *([Broken("books off", f"the venue misses {books['missing']}")] * bool(books["missing"])),
    ]


def always_while_copying(
    books: Json, rows: Rows, limits: RiskLimits, resolved: set[str]
) -> list[Broken]:
    """Return what is broken at any moment where a market has many orders, each of one trade."""
    decisions = Counter(row["decision_key"] for row in rows.orders.values())
    return [
        *_untracked(books, rows),
        *_misjudged(books),
        *(
            Broken("duplicate orders", f"{count} orders copy {key[:60]}")
            for key, count in decisions.items()
            if count > 1
        ),
        *_too_much_at_risk(books, limits, resolved),
    ]


def _too_much_at_risk(books: Json, limits: RiskLimits, resolved: set[str]) -> list[Broken]:
    """Recompute what is at risk where shares are sold again: a sale takes its part of the cost."""
    token_of = {order["id"]: order["token"] for order in books["orders"]}
    cost: Counter[str] = Counter()
    held: Counter[str] = Counter()
    risk: Counter[str] = Counter()
    market_of: dict[str, str] = {}
    for trade in books["trades"]:
        token = token_of[trade["order"]]
        market_of[token] = trade["market"]
        if trade["state"] == "FAILED":
            continue
        if trade["paid"]:
            cost[token] += trade["gross"]
            held[token] += trade["size"]
        elif held[token]:
            cost[token] -= -(-cost[token] * trade["size"] // held[token])
            held[token] -= trade["size"]
    for token, amount in cost.items():
        risk[market_of[token]] += amount
    for order in books["orders"]:
        risk[order["market"]] += order["held"]
    most, all_most = _micro(limits.max_window_exposure_usdc), _micro(limits.max_exposure_usdc)
    open_risk = sum(amount for market, amount in risk.items() if market not in resolved)
    return [
        *(
            Broken("limit breaches", f"{amount} in market {market[:12]}, at most {most}")
            for market, amount in risk.items()
            if amount > most
        ),
        *([Broken("limit breaches", f"{open_risk} at risk")] * (open_risk > all_most)),
    ]


def when_settled(books: Json, rows: Rows) -> list[Broken]:
    """Return what is broken once everything has had the time to become known."""
    return [*_unfinished(rows), *_fills(books, rows), *_balances(books, rows)]


def _duplicates(books: Json) -> list[Broken]:
    arrived = Counter(one["market"] for one in books["arrived"])
    return [
        *(
            Broken("duplicate orders", f"{count} orders arrived for market {market[:12]}")
            for market, count in arrived.items()
            if count > 1
        ),
        *_misjudged(books),
    ]


def _misjudged(books: Json) -> list[Broken]:
    """Return orders that were not in our ledger when they arrived."""
    return [
        Broken("duplicate orders", f"{one['kind']}: {one['order_id'][:12]} {one['detail']}")
        for one in books["violations"]
    ]


def _untracked(books: Json, rows: Rows) -> list[Broken]:
    return [
        Broken("lost orders", f"the venue has {order['id'][:12]}, the ledger does not")
        for order in books["orders"]
        if order["id"] not in rows.orders
    ]


def _breaches(books: Json, limits: RiskLimits, resolved: set[str]) -> list[Broken]:
    """Recompute every exposure from what the venue took and what it may still take."""
    spent: dict[str, int] = defaultdict(int)
    days: Counter[int] = Counter()
    for trade in books["trades"]:
        if trade["state"] != "FAILED":
            spent[trade["market"]] += trade["paid"]
    for order in books["orders"]:
        spent[order["market"]] += order["held"]
        days[order["created_ms"] // _DAY_MS] += 1
    most, all_most = _micro(limits.max_window_exposure_usdc), _micro(limits.max_exposure_usdc)
    at_risk = sum(amount for market, amount in spent.items() if market not in resolved)
    return [
        *(
            Broken("limit breaches", f"{amount} in market {market[:12]}, at most {most}")
            for market, amount in spent.items()
            if amount > most
        ),
        *([Broken("limit breaches", f"{at_risk} at risk")] * (at_risk > all_most)),
        *(
            Broken("limit breaches", f"{count} orders in a day")
            for count in days.values()
            if count > limits.max_trades_per_day
        ),
    ]


def _unfinished(rows: Rows) -> list[Broken]:
    return [
        Broken("lost orders", f"{order_id[:12]} is still {row['status']}: {row['reason']}")
        for order_id, row in rows.orders.items()
        if row["status"] in _OPEN
    ]


def _fills(books: Json, rows: Rows) -> list[Broken]:
    ours: Counter[tuple[str, str]] = Counter()
    for fill in rows.fills:
        if fill["status"] != "FAILED":
            ours[fill["order_id"], fill["trade_id"]] += fill["size"]
    theirs: Counter[tuple[str, str]] = Counter()
    for trade in books["trades"]:
        if trade["state"] != "FAILED":
            theirs[trade["order"], trade["id"]] += trade["size"]
    filled = {order_id for order_id, _ in theirs}
    return [
        *(
            Broken(
                "lost fills",
                f"order {key[0][:12]} trade {key[1][:8]}: {ours[key]} here, {theirs[key]} there",
            )
            for key in ours.keys() | theirs.keys()
            if ours[key] != theirs[key]
        ),
        *(
            Broken("lost orders", f"{order_id[:12]} is {row['status']} and has fills")
            for order_id, row in rows.orders.items()
            if row["status"] in _ABSENT and order_id in filled
        ),
    ]


def _balances(books: Json, rows: Rows) -> list[Broken]:
    broken = []
    expected = rows.account["cash"] - rows.unredeemed
    if expected != books["cash"]:
        broken.append(f"cash {expected} here, {books['cash']} there")
    if rows.account["reserved"]:
        broken.append(f"{rows.account['reserved']} are still reserved")
    if rows.account["trading_state"] != "active":
        broken.append(f"trading is {rows.account['trading_state']}")
    for position in rows.positions:
        shown = books["tokens"].get(position["token_id"], 0)
        if not position["is_settled"] and shown != position["size"]:
            broken.append(f"{position['size']} shares here, {shown} there")
    return [Broken("books off", detail) for detail in broken]


def _micro(amount: Decimal) -> int:
    return int(amount * 10**6)
