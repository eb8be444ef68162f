"""The trade log tells everything that happened, and its money columns alone are the books."""

from collections import defaultdict
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text

from polybot.adapters.storage.audit import differences_in
from polybot.adapters.storage.ledger import SqlLedger
from polybot.domain.accounts import TradeLogKind
from polybot.domain.decisions import Verdict
from polybot.domain.markets import Outcome
from polybot.domain.orders import FillStatus, OrderStatus, Side
from tests.builders import NOW
from tests.ledger_steps import a_fill, claim, intend, market_number, report, resolution


def tell_a_story(ledger: SqlLedger) -> None:
    """Deposit, hold, refuse by the venue, buy, sell, void, win, lose."""
    ledger.deposit(Decimal(100), reference="start", at=NOW - timedelta(seconds=9))
    held = claim(ledger, market_number(1), question="Bitcoin Up or Down?", indicators={"rsi": 71.5})
    ledger.finish_decision(replace(held, verdict=Verdict.HELD, reason="RSI too high"))
    rejected = intend(ledger, 2)
    report(ledger, rejected, status=OrderStatus.REJECTED)
    won = intend(ledger, 3, decision_changes={"reason": "crossed up", "indicators": {"rsi": 55}})
    fill = a_fill(won, "3", fee="0.1", trade="void", status=FillStatus.MATCHED)
    report(ledger, won, fill, a_fill(won, "7", fee="0.12"), at=NOW + timedelta(seconds=1))
    lost = intend(ledger, 4, outcome=Outcome.DOWN)
    report(ledger, lost, a_fill(lost, "9", "0.51"), at=NOW + timedelta(seconds=2))
    sell = intend(ledger, 3, side=Side.SELL, strategy="seller")
    report(ledger, sell, a_fill(sell, "2", "0.7", fee="0.01"), at=NOW + timedelta(seconds=3))
    for number in (3, 4):
        ledger.settle(resolution(number), at=NOW + timedelta(minutes=15))
    report(ledger, won, replace(fill, status=FillStatus.FAILED), at=NOW + timedelta(minutes=16))


def test_log_tells_every_event_in_order(ledger: SqlLedger) -> None:
    """One row a deposit, a decision that came to nothing, a fill, a void, a settlement."""
    tell_a_story(ledger)

    rows = ledger.trade_log()

    assert [(row.kind.value, row.result) for row in rows] == [
        ("deposit", "deposited"),
        ("decision", "held"),
        ("decision", "rejected"),
        ("fill", "filled"),
        ("fill", "filled"),
        ("fill", "filled"),
        ("fill", "filled"),
        ("settlement", "won"),
        ("settlement", "lost"),
        ("fill", "failed"),
        ("settlement", "corrected"),
    ]
    assert list(rows) == sorted(rows, key=lambda row: row.timestamp)
    assert {row.mode for row in rows} == {"paper"}
    assert all(row.paper_trade for row in rows)
    held = rows[1]
    assert (held.market, held.market_name) == (market_number(1).slug, "Bitcoin Up or Down?")
    assert (held.reason, held.indicators) == ("RSI too high", {"rsi": 71.5})
    fill = rows[4]
    assert (fill.side, fill.outcome, fill.size, fill.price) == ("BUY", "Up", 7, Decimal("0.5"))
    assert (fill.reason, fill.indicators) == ("crossed up", {"rsi": 55})
    assert fill.market_name == market_number(3).question
    assert rows[7].size == 8
    assert rows[7].outcome == "Up"


def test_money_columns_alone_rebuild_the_books(ledger: SqlLedger) -> None:
    """Sums over the log are the totals, and every settled market has given up all its cost."""
    tell_a_story(ledger)
    rows, totals = ledger.trade_log(), ledger.totals(at=NOW)

    assert sum(row.cash_change_usdc for row in rows) == totals.cash_usdc
    assert sum(row.cost_usdc for row in rows) == totals.position_cost_usdc == 0
    assert sum(row.fee_usdc for row in rows) == totals.fees_usdc
    assert sum(row.pnl_usdc or 0 for row in rows) == totals.realised_pnl_usdc
    by_market: dict[str, list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
    for row in rows:
        if row.kind is not TradeLogKind.DEPOSIT:
            by_market[row.market][0] += row.cost_usdc
            by_market[row.market][1] += row.cash_change_usdc
            assert row.cash_change_usdc == (row.pnl_usdc or 0) - row.cost_usdc
    for settled in ledger.settlements_between(NOW, NOW + timedelta(days=1)):
        assert by_market[settled.window.slug] == [0, settled.pnl_usdc]
    assert ledger.violations() == ()


def test_since_and_limit_take_the_newest(ledger: SqlLedger) -> None:
    """``since`` is inclusive; ``limit`` keeps the newest rows, oldest first."""
    tell_a_story(ledger)
    rows = ledger.trade_log()

    assert ledger.trade_log(limit=3) == rows[-3:]
    assert ledger.trade_log(limit=0) == ()
    assert ledger.trade_log(since=rows[7].timestamp) == rows[7:]
    assert ledger.trade_log(since=rows[7].timestamp, limit=2) == rows[-2:]


def test_every_kind_of_damage_is_found(ledger: SqlLedger) -> None:
    """A total that was changed by hand is named, with what history says."""
    tell_a_story(ledger)
    assert ledger.violations() == ()
    damages = [
        ("UPDATE account SET cash = cash + 1, deposits = deposits + 1", "account: cash"),
        ("UPDATE account SET fees = fees - 2", "account: fees"),
        ("UPDATE account SET reserved = 3", "account: reserved"),
        ("UPDATE account SET position_value = 3", "account: position_value"),
        ("UPDATE account SET high_water = 0", "high_water"),
        ("UPDATE positions SET size = size + 1", "size"),
        ("UPDATE positions SET realised = realised + 1", "realised"),
        ("UPDATE orders SET filled_size = 1", "filled_size"),
        ("UPDATE orders SET reserved = 1", "reserved"),
        ("UPDATE fills SET fee = fee + 1", "fee"),
        ("UPDATE days SET trade_count = 9", "trade_count"),
        ("UPDATE days SET fees = 9", "fees"),
        ("UPDATE settlements SET pnl = 9", "pnl"),
        ("UPDATE settlements SET payout = 9", "payout"),
        ("UPDATE movements SET cash = 0 WHERE kind = 'deposit'", "deposits"),
        ("UPDATE decisions SET verdict = 'held'", "its order is id:"),
        ("DELETE FROM positions", "no position"),
    ]
    for statement, word in damages:
        with ledger._database.engine.connect() as connection, connection.begin() as transaction:
            connection.execute(text(statement))
            # The check runs on the damaged snapshot, which is then thrown away.
            found = list(differences_in(connection))
            transaction.rollback()
        assert any(word in sentence for sentence in found), statement
    assert ledger.violations() == ()


@pytest.mark.parametrize(("last_size", "is_over"), [("4.999999", False), ("5.000001", True)])
def test_budget_may_be_passed_by_rounding_alone(
    ledger: SqlLedger, last_size: str, *, is_over: bool
) -> None:
    """Two fills of 2.5000005 and 2.4999995 USDC cost 5; each is booked rounded up."""
    ledger.deposit(Decimal(100), reference="start", at=NOW)
    order_id = intend(ledger)
    report(
        ledger,
        order_id,
        a_fill(order_id, "5.000001", trade="first", fee="0"),
        a_fill(order_id, last_size, trade="last", fee="0"),
    )
    found = [one for one in ledger.violations() if "of a budget of" in one]
    assert found == ([f"order {order_id[:20]}: spent 5.000002 of a budget of 5 USDC"] * is_over)
