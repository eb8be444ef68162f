"""Proof of the leaders' totals: every one recomputed from events, orders and fills."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, RowMapping, select

from polybot.accounting import FillAmounts, replay
from polybot.adapters.storage.books import amounts_of
from polybot.adapters.storage.conversions import converted
from polybot.adapters.storage.copy_books import follow_leader, spent_by
from polybot.adapters.storage.copy_events import TRADE, record_of
from polybot.adapters.storage.copy_tables import LEADER_EVENTS, LEADER_HOLDINGS, LEADERS
from polybot.adapters.storage.tables import FILLS, ORDERS, SETTLEMENTS
from polybot.domain.money import from_micro, text_of
from polybot.domain.orders import FillStatus, Side

_Key = tuple[int, str]
"""A leader and a token."""


def copy_differences(connection: Connection) -> Iterator[str]:
    """Return one sentence per total of a leader that its history does not give."""
    orders = [
        row
        for row in _rows(connection, select(ORDERS).order_by(ORDERS.c.id))
        if row["leader_id"] is not None
    ]
    fills = _fills_through(connection, orders)
    settled = {row["condition_id"] for row in _rows(connection, select(SETTLEMENTS))}
    spent: dict[int, int] = defaultdict(int)
    in_flight: dict[_Key, int] = defaultdict(int)
    for order in orders:
        if order["side"] == Side.BUY:
            in_flight[order["leader_id"], order["token_id"]] += order["reserved"]
    theirs = _replayed_events(connection)
    for row in _rows(connection, select(LEADER_HOLDINGS).order_by(LEADER_HOLDINGS.c.id)):
        key = (row["leader_id"], row["token_id"])
        books = replay(() if row["condition_id"] in settled else fills.pop(key, ()))
        spent[row["leader_id"]] += row["our_cost"] + row["in_flight"]
        name = f"leader {row['leader_id']}, token {row['token_id'][:20]}"
        expected = {
            "our_size": books.size,
            "our_cost": books.cost,
            "in_flight": in_flight[key],
            **{field: theirs[key][field] for field in ("leader_size", "pending", "pending_size")},
        }
        for field, value in expected.items():
            yield from _difference(f"{name}: {field}", row[field], value)
    yield from _total_differences(connection, orders, spent)


def _total_differences(
    connection: Connection, orders: list[RowMapping], spent: dict[int, int]
) -> Iterator[str]:
    for row in _rows(connection, select(LEADERS).order_by(LEADERS.c.id)):
        name = f"leader {row['address']}"
        today = sum(
            spent_by(order)
            for order in orders
            if order["leader_id"] == row["id"] and order["day"] == row["day"]
        )
        yield from _difference(f"{name}: spent and open", row["open_spent"], spent[row["id"]])
        yield from _difference(f"{name}: spent on the day", row["day_spent"], today)


def _fills_through(
    connection: Connection, orders: list[RowMapping]
) -> dict[_Key, list[FillAmounts]]:
    leader_of = {order["order_id"]: order["leader_id"] for order in orders}
    fills: dict[_Key, list[FillAmounts]] = defaultdict(list)
    for row in _rows(connection, select(FILLS).order_by(FILLS.c.id)):
        leader_id = leader_of.get(row["order_id"])
        if leader_id is not None and row["status"] != FillStatus.FAILED:
            fills[leader_id, row["token_id"]].append(amounts_of(row))
    return fills


def _replayed_events(connection: Connection) -> dict[_Key, dict[str, Any]]:
    """Return what leaders hold, and what waits for company, from their events alone."""
    held: dict[_Key, dict[str, Any]] = defaultdict(
        lambda: {"leader_size": 0, "pending": 0, "pending_size": 0, "pending_since": None}
    )
    seeds = {}
    for row in _rows(connection, select(LEADER_HOLDINGS)):
        key = (row["leader_id"], row["token_id"])
        seeds[key] = row["seeded_after"]
        held[key]["leader_size"] = row["seed"]
    events = select(LEADER_EVENTS, LEADERS.c.address).join(
        LEADERS, LEADERS.c.id == LEADER_EVENTS.c.leader_id
    )
    for row in _rows(connection, events.order_by(LEADER_EVENTS.c.id)):
        for token_id in row["token_id"].split():
            key = (row["leader_id"], token_id)
            size = held[key]["leader_size"]
            if row["kind"] == TRADE:
                record = record_of(row)
                follow_leader(held[key], record, record.verdict)
                if row["is_voided"]:
                    held[key]["leader_size"] = size
            else:
                held[key]["leader_size"] = converted(row["kind"], size, row["size"])
            # What the venue said later has it in it already.
            if row["id"] <= seeds.get(key, 0):
                held[key]["leader_size"] = size
    return held


def _rows(connection: Connection, query: object) -> list[RowMapping]:
    return list(connection.execute(query).mappings())  # type: ignore[call-overload]


def _difference(what: str, stored: int, history: int) -> tuple[str, ...]:
    if stored == history:
        return ()
    said, told = text_of(from_micro(stored)), text_of(from_micro(history))
    return (f"{what} is {said}, history says {told}",)
