"""What every ledger keeps of reconciling and redeeming, on SQLite and PostgreSQL."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import create_engine, text

from polybot.adapters.storage.ledger import SqlLedger, open_ledger
from polybot.adapters.storage.migrate import alembic_config
from polybot.domain.markets import ConditionId, Outcome, OutcomeTokenId
from polybot.domain.modes import Mode
from polybot.domain.money import Shares
from polybot.domain.orders import FillStatus, OrderId, OrderReport, OrderStatus, Side, TradeId
from polybot.domain.reconciliation import (
    ForeignTrade,
    ReconcileVerdict,
    ReconciliationRecord,
    RedemptionState,
)
from polybot.errors import DataError
from tests.builders import CRYPTO_FEES, NOW
from tests.contract.conftest import OpenLedger
from tests.ledger_steps import a_fill, an_alert, intend, market_number, report, resolution

LATER = NOW + timedelta(minutes=30)
RECORD = ReconciliationRecord(
    reconciled_at=NOW,
    attempted_at=NOW,
    verdict=ReconcileVerdict.AGREED,
    trades_since=NOW,
    agreed_fill_count=2,
    detail={"verdict": "agreed"},
)


def foreign(**changes: object) -> ForeignTrade:
    values: dict[str, object] = {
        "trade_id": TradeId("stranger"),
        "order_id": OrderId("0xhand"),
        "leg": 0,
        "condition_id": ConditionId("0xc"),
        "token_id": OutcomeTokenId("1001"),
        "side": Side.BUY,
        "price": Decimal("0.5"),
        "size": Shares(Decimal(3)),
        "status": FillStatus.MATCHED,
        "traded_at": NOW,
        **changes,
    }
    return ForeignTrade(**values)  # type: ignore[arg-type]


def buy(ledger: SqlLedger, number: int = 1, **changes: object) -> OrderId:
    ledger.deposit(Decimal(100), reference=f"start-{number}", at=NOW)
    order_id = intend(ledger, number)
    report(ledger, order_id, a_fill(order_id, trade=f"t{number}", **changes))  # type: ignore[arg-type]
    return order_id


def test_ledger_that_never_reconciled_says_so(ledger: SqlLedger) -> None:
    """The gate of live trading reads exactly this."""
    assert ledger.reconciled_at() is None
    assert ledger.reconciliation().verdict is None


def test_newest_reconciliation_is_kept_and_instants_never_go_back(
    ledger: SqlLedger, reopen: OpenLedger
) -> None:
    """A slow run that ends last must not make trades be forgotten."""
    ledger.record_reconciliation(RECORD)
    ledger.record_reconciliation(
        replace(
            RECORD,
            reconciled_at=None,
            attempted_at=LATER,
            verdict=ReconcileVerdict.HALTED,
            trades_since=NOW - timedelta(days=1),
            agreed_fill_count=0,
        )
    )
    kept = reopen().reconciliation()
    assert kept == replace(RECORD, attempted_at=LATER, verdict=ReconcileVerdict.HALTED)


def test_foreign_trades_are_kept_once_and_never_booked(ledger: SqlLedger) -> None:
    """Their status follows until it is final."""
    buy(ledger)
    before = ledger.totals(at=NOW)
    assert ledger.record_foreign_trades([foreign(), foreign(leg=1)], at=NOW) != ()
    assert ledger.record_foreign_trades([foreign()], at=LATER) == ()
    assert ledger.totals(at=NOW) == before
    (token,) = ledger.account_snapshot(moving_since=LATER).held
    assert (token.size, token.foreign_size) == (10, 6)
    ledger.record_foreign_trades([foreign(status=FillStatus.FAILED)], at=LATER)
    ledger.record_foreign_trades([foreign(status=FillStatus.CONFIRMED)], at=LATER)
    (token,) = ledger.account_snapshot(moving_since=LATER).held
    assert token.foreign_size == 3
    assert [trade.leg for trade in ledger.foreign_trades(limit=1)] == [1]


def test_snapshot_tells_what_the_venue_should_show(ledger: SqlLedger) -> None:
    """Cash, shares, what moves and what waits for redemption."""
    won = buy(ledger, 1)
    buy(ledger, 2, status=FillStatus.MATCHED)
    assert ledger.settle(resolution(1), at=LATER)
    snapshot = ledger.account_snapshot(moving_since=LATER)
    assert snapshot.cash_usdc - snapshot.unredeemed_usdc == 200 - 2 * Decimal("5.175")
    assert [(token.token_id, token.size, token.is_settled) for token in snapshot.held] == [
        ("1001", 10, True),
        ("2001", 10, False),
    ]
    assert [moving.fill.trade_id for moving in snapshot.moving] == ["t2"]
    assert (snapshot.fill_count, snapshot.taker_fill_count) == (2, 2)
    assert snapshot.unproved_usdc == 2 * Decimal("5.175")
    ledger.record_reconciliation(replace(RECORD, agreed_fill_count=1))
    assert ledger.account_snapshot(moving_since=NOW).unproved_usdc == Decimal("5.175")
    record = ledger.order(won)
    assert record is not None
    assert record.fees == CRYPTO_FEES


def test_void_is_unproved_until_cash_agrees_again(ledger: SqlLedger) -> None:
    """A refund may come short, too; an agreement from before the void says nothing about it."""
    moved = Decimal("5.175")
    order_id = buy(ledger, 1)
    buy(ledger, 2)
    ledger.record_reconciliation(replace(RECORD, agreed_fill_count=2))
    assert ledger.account_snapshot(moving_since=NOW).unproved_usdc == 0
    report(ledger, order_id, a_fill(order_id, trade="t1", status=FillStatus.FAILED))
    snapshot = ledger.account_snapshot(moving_since=NOW)
    assert (snapshot.fill_count, snapshot.void_count, snapshot.unproved_usdc) == (2, 1, moved)
    buy(ledger, 3)
    assert ledger.account_snapshot(moving_since=NOW).unproved_usdc == 2 * moved
    ledger.record_reconciliation(replace(RECORD, agreed_fill_count=3))
    assert ledger.account_snapshot(moving_since=NOW).unproved_usdc == moved
    ledger.record_reconciliation(replace(RECORD, agreed_fill_count=4))
    assert ledger.account_snapshot(moving_since=NOW).unproved_usdc == 0


def test_rounding_is_booked_up_to_what_fills_explain(ledger: SqlLedger) -> None:
    """A step and a micro-USDC a taker fill, over the whole life of the ledger."""
    buy(ledger)
    version = ledger.account_snapshot(moving_since=NOW).version
    alert = an_alert("rounding")
    for change, is_booked in (("0.000012", False), ("0", False), ("0.000011", True)):
        booked = ledger.adjust_fees(Decimal(change), unless_newer_than=version, at=NOW, alert=alert)
        assert booked is is_booked
    version = ledger.account_snapshot(moving_since=NOW).version
    assert not ledger.adjust_fees(
        Decimal("0.000001"), unless_newer_than=version, at=NOW, alert=alert
    )
    totals = ledger.totals(at=NOW)
    assert totals.fees_usdc == Decimal("0.174989")
    assert totals.realised_pnl_usdc == -totals.fees_usdc
    assert ledger.violations() == ()


def test_transfers_change_deposits_and_no_result(ledger: SqlLedger) -> None:
    """Neither profit nor loss of any day."""
    buy(ledger)
    version = ledger.account_snapshot(moving_since=NOW).version
    assert ledger.book_transfer(
        Decimal(-40), unless_newer_than=version, at=NOW, alert=an_alert("left")
    )
    totals = ledger.totals(at=NOW)
    assert totals.deposits_usdc == 60
    assert totals.cash_usdc == 60 - Decimal("5.175")
    assert totals.realised_pnl_usdc == -Decimal("0.175")
    assert ledger.violations() == ()
    assert not ledger.book_transfer(
        Decimal(-40), unless_newer_than=version, at=NOW, alert=an_alert("again")
    )


def test_audit_finds_adjustments_that_rounding_cannot_explain(ledger: SqlLedger) -> None:
    """Whoever wrote them."""
    buy(ledger)
    version = ledger.account_snapshot(moving_since=NOW).version
    ledger.adjust_fees(
        Decimal("0.00001"), unless_newer_than=version, at=NOW, alert=an_alert("rounding")
    )
    with ledger._database.writing() as connection:
        connection.execute(text("UPDATE fills SET was_booked = false"))
    assert any("adjustments of fees come to" in said for said in ledger.violations())


def test_redemption_goes_forward_until_it_is_final(ledger: SqlLedger) -> None:
    """Attempts count; what is final stays."""
    buy(ledger)
    condition = market_number(1).condition_id
    with pytest.raises(DataError, match="not settled"):
        ledger.request_redemption(condition, at=NOW)
    assert ledger.settle(resolution(1), at=LATER)
    (due,) = ledger.open_redemptions()
    assert (due.state, due.payout_usdc, due.attempts) == (RedemptionState.DUE, 10, 0)
    assert due.token_ids == ("1001", "1002")
    assert due.holdings == {"1001": Decimal(10)}
    assert ledger.request_redemption(condition, at=LATER)
    ledger.record_redemption(
        condition, RedemptionState.NEEDS_PERSON, at=LATER, reason="by hand", alert=an_alert("hand")
    )
    assert ledger.request_redemption(condition, at=LATER)
    (asked,) = ledger.open_redemptions()
    assert (asked.state, asked.attempts) == (RedemptionState.REQUESTED, 2)
    assert ledger.record_redemption(condition, RedemptionState.CONFIRMED, at=LATER)
    assert ledger.open_redemptions() == ()
    assert not ledger.record_redemption(condition, RedemptionState.NEEDS_PERSON, at=LATER)
    assert not ledger.request_redemption(condition, at=LATER)
    assert ledger.account_snapshot(moving_since=NOW).arriving_usdc == 10
    assert [alert.alert.dedupe_key for alert in ledger.due_alerts(at=LATER, limit=9)] == ["hand"]
    assert ledger.violations() == ()


def test_losers_have_nothing_to_redeem(ledger: SqlLedger) -> None:
    """They paid nothing."""
    buy(ledger)
    assert ledger.settle(resolution(1, Outcome.DOWN), at=LATER)
    assert ledger.open_redemptions() == ()
    assert ledger.account_snapshot(moving_since=LATER).held == ()


@pytest.mark.parametrize(
    "status", [OrderStatus.REJECTED, OrderStatus.UNFILLED, OrderStatus.NEVER_ARRIVED]
)
def test_fill_of_an_order_that_counted_as_dead_is_a_fact(
    ledger: SqlLedger, status: OrderStatus
) -> None:
    """It is booked, the order is FILLED and counts as a trade of its day; no way back."""
    ledger.deposit(Decimal(100), reference="start", at=NOW)
    order_id = intend(ledger, 1)
    report(ledger, order_id, status=status)
    fill = a_fill(order_id)
    assert report(ledger, order_id, fill, status=status, at=LATER) == (fill,)
    assert report(ledger, order_id, fill, status=status, at=LATER) == ()
    record = ledger.order(order_id)
    assert record is not None
    assert (record.status, record.reserved_usdc) == (OrderStatus.FILLED, 0)
    assert ledger.totals(at=NOW).day_trade_count == 1
    assert ledger.violations() == ()


def test_voided_fill_is_alerted_with_its_cause(ledger: SqlLedger) -> None:
    """In the transaction that takes its money back, and once."""
    order_id = buy(ledger)
    void = a_fill(order_id, trade="t1", status=FillStatus.FAILED)
    for _ in range(2):
        ledger.record_report(
            order_id,
            OrderReport(status=OrderStatus.FILLED, fills=(void,)),
            at=LATER,
            alert_for=lambda fill: an_alert(f"{fill.status}:{fill.trade_id}"),
        )
    keys = [alert.alert.dedupe_key for alert in ledger.due_alerts(at=LATER, limit=9)]
    assert keys == ["FAILED:t1"]


def test_ledger_of_the_first_schema_is_migrated_whole(tmp_path: Path) -> None:
    """Money, orders and positions are as they were; the new parts are empty."""
    path = tmp_path / "old.db"
    with create_engine(f"sqlite:///{path}").begin() as connection:
        command.upgrade(alembic_config(connection), "0001")
        for sentence in OLD_LEDGER:
            connection.execute(text(sentence))
    with open_ledger(path, mode=Mode.PAPER) as ledger:
        assert ledger.violations() == ()
        assert ledger.totals(at=NOW).cash_usdc == 95
        (order,) = ledger.open_orders()
        assert (order.reserved_usdc, order.fees) == (3, None)
        (position,) = ledger.positions()
        assert (position.size, position.cost_usdc) == (10, 5)
        assert ledger.reconciled_at() is None
        assert ledger.open_redemptions() == ()
        buy(ledger, 2)
        assert ledger.violations() == ()


_START_S = 1_791_241_200
_DAY = 20_731
_AT = _START_S * 1_000_000
OLD_LEDGER = (
    "INSERT INTO account VALUES (1, 'paper', 95000000, 3000000, 5000000, 0, 0, 0, 100000000,"
    f" 100000000, {_DAY}, 'active')",
    f"INSERT INTO days VALUES ({_DAY}, 100000000, 1, 0, 0)",
    f"INSERT INTO markets VALUES ('0xc', 'btc-updown-15m-{_START_S}', {_START_S}, 'Up?', '1', '2')",
    "INSERT INTO decisions (key, strategy, slug, window_start_s, verdict, reason, decided_at,"
    " run_name, signal_reason, question, order_id, indicators, checks, book, condition_id)"
    f" VALUES ('k', 's', 'btc-updown-15m-{_START_S}', {_START_S}, 'placed', '', {_AT}, 'r', '',"
    " 'Up?', 'o', '{}', '[]', 'null', '0xc')",
    "INSERT INTO orders (order_id, decision_key, condition_id, token_id, outcome, side,"
    " time_in_force, limit_price, size, budget, max_outlay, reserved, filled_size, filled_cost,"
    " fee, status, reason, created_at, updated_at, day, is_counted, wire) VALUES ('o', 'k', '0xc',"
    " '1', 'Up', 'BUY', 'GTC', 500000, 16000000, 8000000, 8000000, 3000000, 10000000, 5000000, 0,"
    f" 'resting', '', {_AT}, {_AT}, {_DAY}, 1, '{{}}')",
    "INSERT INTO fills VALUES (1, 't', 'o', 0, '1', 'BUY', 500000, 10000000, 0, 'MAKER',"
    f" 'CONFIRMED', {_AT}, 1)",
    "INSERT INTO positions VALUES ('1', '0xc', 'Up', 10000000, 5000000, 0, 0, -5000000, NULL, 0)",
    "INSERT INTO movements (kind, booked_at, day, reference, outcome, size, cash, cost, realised,"
    f" fees, payout) VALUES ('deposit', {_AT}, {_DAY}, 'start', '', 0, 100000000, 0, 0, 0, 0)",
    "INSERT INTO movements (kind, booked_at, day, fill_id, condition_id, outcome, size, price,"
    f" cash, cost, realised, fees, payout) VALUES ('fill', {_AT}, {_DAY}, 1, '0xc', 'Up', 10000000,"
    " 500000, -5000000, 5000000, 0, 0, 0)",
)
