"""The judge of the kill matrix sees each kind of damage, and none where there is none."""

from copy import deepcopy
from typing import Any

import pytest

from tests.chaos.lives import LIMITS
from tests.chaos.model import Rows, always, when_settled

ORDER = "0x" + "ab" * 32
BOOKS: dict[str, Any] = {
    "orders": [{"id": ORDER, "market": "0xm", "held": 0, "created_ms": 0}],
    "trades": [
        {"id": "t1", "order": ORDER, "market": "0xm", "state": "CONFIRMED", "size": 10, "paid": 5},
        {"id": "t2", "order": ORDER, "market": "0xm", "state": "FAILED", "size": 7, "paid": 4},
    ],
    "arrived": [{"market": "0xm", "salt": 1}],
    "cash": 95,
    "tokens": {"up": 10},
    "missing": 0,
    "violations": [],
}
FILL = {"order_id": ORDER, "trade_id": "t1", "size": 10, "status": "CONFIRMED"}
VOID = {"order_id": ORDER, "trade_id": "t2", "size": 7, "status": "FAILED"}


def rows(**changes: Any) -> Rows:
    values: dict[str, Any] = {
        "orders": {ORDER: {"status": "filled", "reason": ""}},
        "fills": [FILL, VOID],
        "positions": [{"token_id": "up", "size": 10, "is_settled": 0}],
        "account": {"cash": 95, "reserved": 0, "trading_state": "active"},
        "unredeemed": 0,
        "open_redemptions": 0,
    }
    return Rows(**{**values, **changes})


def promises(found: Rows, **books: Any) -> list[str]:
    """Return the promises that are broken, each once."""
    changed = {**deepcopy(BOOKS), **books}
    broken = [*always(changed, found, LIMITS, set()), *when_settled(changed, found)]
    return sorted({one.promise for one in broken})


def test_books_that_agree_break_nothing() -> None:
    """One order, one fill, and one that failed on both sides."""
    assert promises(rows()) == []


@pytest.mark.parametrize(
    ("found", "books", "promise"),
    [
        (rows(), {"arrived": 2 * BOOKS["arrived"]}, "duplicate orders"),
        (rows(), {"orders": [*BOOKS["orders"], {**BOOKS["orders"][0], "id": "x"}]}, "lost orders"),
        (rows(orders={ORDER: {"status": "unknown", "reason": ""}}), {}, "lost orders"),
        (rows(orders={ORDER: {"status": "never-arrived", "reason": ""}}), {}, "lost orders"),
        (rows(fills=[VOID]), {}, "lost fills"),
        (rows(fills=[FILL, {**VOID, "status": "CONFIRMED"}]), {}, "lost fills"),
        (rows(fills=[{**FILL, "size": 9}]), {}, "lost fills"),
        (rows(), {"orders": [{**BOOKS["orders"][0], "held": 6_000_000}]}, "limit breaches"),
        (rows(), {"cash": 94}, "books off"),
        (rows(), {"tokens": {}}, "books off"),
        (rows(), {"missing": 1}, "books off"),
        (rows(account={"cash": 95, "reserved": 1, "trading_state": "active"}), {}, "books off"),
        (rows(account={"cash": 95, "reserved": 0, "trading_state": "halted"}), {}, "books off"),
    ],
)
def test_each_kind_of_damage_is_named(found: Rows, books: dict[str, Any], promise: str) -> None:
    """One side changed is one promise broken."""
    assert promises(found, **books) == [promise]
