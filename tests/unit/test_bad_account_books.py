"""The corpus on the whole way: adapter, reconciliation and ledger, one bad answer after another.

Each must leave the books as they are, send no order, say what it was in one short line, and end the
reconciliation as ``incomplete``, on which nothing is traded. A sound answer afterwards agrees.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from polybot.adapters.storage.ledger import SqlLedger
from polybot.domain.modes import Mode, TradingState
from polybot.domain.orders import OrderId, OrderReport, OrderStatus, PreparedOrder
from polybot.domain.reconciliation import ReconcileVerdict, Reconciliation
from polybot.reconciliation import reconcile_account
from tests.builders import NOW, build_order
from tests.ledger_steps import allow_all, claim
from tests.ledgers import new_live_ledger
from tests.live_desk import FUNDER, NO_TRADES, LiveDesk, live_desk, order_row, trade_row
from tests.scripted_server import body
from tests.unit import bad_account_answers
from tests.unit.bad_account_answers import CASES, ORDER_ID

PATHS = {
    "order": f"/data/order/{ORDER_ID}",
    "orders": "/data/orders",
    "own-trades": "/data/trades",
    "balance": "/balance-allowance",
}
PREPARED = PreparedOrder(order_id=ORDER_ID, order=build_order(), created_at=NOW)
NO_ORDERS = {"data": [], "next_cursor": "LTE="}
# Of what a bad answer holds, a line of ours quotes a little, escaped.
LONGEST_PROBLEM = 300


@dataclass
class Books:
    """A live ledger with one order whose fate is open, before a scripted venue."""

    desk: LiveDesk
    ledger: SqlLedger

    def script(self, **answers: Any) -> None:
        """Script the venue: soundly, but for what is given by parser."""
        sound = {
            "order": body({"error": "not found"}, status=404),
            "orders": NO_ORDERS,
            "own-trades": NO_TRADES,
            "balance": {"balance": "1000000000", "allowances": {FUNDER: "5"}},
        }
        self.desk.server.on("/balance-allowance/update", b"")
        for parser, answer in {**sound, **answers}.items():
            self.desk.server.on(PATHS[parser], answer)

    async def reconcile(self) -> Reconciliation:
        return await reconcile_account(
            self.ledger,
            self.desk.exchange,
            self.desk.account,
            self.desk.clock,
            mode=Mode.LIVE,
            pause_s=0,
        )

    def state(self) -> tuple[object, ...]:
        """Return everything that a bad answer must not change."""
        (order,) = self.ledger.open_orders()
        return (
            self.ledger.totals(at=NOW),
            (order.order_id, order.status, order.reserved_usdc),
            self.ledger.fills_of(ORDER_ID),
            self.ledger.positions(),
            self.ledger.foreign_trades(limit=9),
            self.ledger.trading_state().state,
        )


@pytest.fixture
async def books(tmp_path: Path) -> AsyncIterator[Books]:
    async with live_desk(tmp_path) as desk:
        with new_live_ledger(tmp_path / "live.db", Decimal(1000), at=NOW) as ledger:
            decision = claim(ledger, PREPARED.order.market)
            assert ledger.record_intent(PREPARED, decision, checks=allow_all) == ()
            unknown = OrderReport(status=OrderStatus.UNKNOWN)
            ledger.record_report(ORDER_ID, unknown, at=NOW)
            desk.clock.instant = NOW + timedelta(seconds=20)
            yield Books(desk, ledger)


@pytest.mark.parametrize("parser", PATHS)
async def test_bad_answer_changes_no_book_and_allows_no_order(books: Books, parser: str) -> None:
    """Every case of the corpus in its turn; the books and the requests are looked at each time."""
    before = books.state()
    cases = [(name, answer) for name, of, answer, _ in CASES if of == parser]
    assert len(cases) >= 30
    for name, answer in cases:
        books.script(**{parser: answer})
        found = await books.reconcile()
        assert found.verdict is ReconcileVerdict.INCOMPLETE, name
        assert books.state() == before, name
        assert found.problems, name
        for problem in found.problems:
            assert problem.isprintable(), name
            assert problem.isascii(), name
            assert len(problem) <= LONGEST_PROBLEM, name
        assert not books.ledger.reconciliation().reconciled_at, name
    assert books.desk.posts == 0
    assert books.ledger.violations() == ()
    assert books.ledger.trading_state().state is TradingState.ACTIVE


async def test_sound_answers_are_booked_afterwards(books: Books) -> None:
    """What the corpus is refused for is not the desk's own fault."""
    trade = trade_row(PREPARED, ("0.53", "9.43"), status="CONFIRMED")
    books.script(
        **{
            "order": order_row(PREPARED, status="MATCHED", size_matched="9.43"),
            "own-trades": {"data": [trade], "next_cursor": "LTE="},
        }
    )
    await books.reconcile()
    (fill,) = books.ledger.fills_of(OrderId(ORDER_ID))
    assert (fill.size, fill.price) == (Decimal("9.43"), Decimal("0.53"))
    assert books.ledger.open_orders() == ()


def test_every_account_parser_is_on_the_way() -> None:
    """Those that decide about books are; the others are asked by the doctor, or by a redemption."""
    decided_elsewhere = {"closed-only", "cancel", "redeemable"}
    assert set(bad_account_answers.GOOD) == set(PATHS) | decided_elsewhere
