"""An order is durable as one row, and booked by whatever the ledger does next."""

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from polybot.adapters.storage.ledger import SqlLedger
from polybot.domain.accounts import AccountTotals, MarketExposure
from polybot.domain.leaders import CopyAnswer
from polybot.domain.orders import OrderStatus, RiskCheck
from polybot.errors import PermanentError
from tests.builders import NOW, build_order
from tests.contract.conftest import OpenLedger
from tests.copy_steps import copy, follow, held, leader_trade
from tests.ledger_steps import allow_all, claim, intend, market_number, prepare

# As this version writes them, and as every later one must read them.
GOLDEN = (
    '{"prepared":{"order_id":"0xgolden","order":{"decision_key":"%(key)s","market":{"condition_id":'
    '"%(condition)s","window":{"series":{"asset":"btc","duration":"15m"},"start_s":1791243900},'
    '"question":"Bitcoin Up or Down","version":"v1","token_ids":{"Up":"250","Down":"150"},'
    '"tick_size":"0.01","min_order_size":"5.000000","fees":{"rate":"0.07","exponent":1},'
    '"is_accepting_orders":true,"is_closed":false,"is_negative_risk":false,"twap_lookback_s":60,'
    '"price_to_beat":null,"fetched_at":"2026-11-29T19:06:07.238047Z"},"outcome":"Up","side":"BUY",'
    '"time_in_force":"FAK","limit_price":"0.530000","size":"9.43","budget_usdc":"5.000000",'
    '"expires_at":null,"is_post_only":false},"created_at":"%(at)s","wire":{"salt":42,"side":"BUY"}},'
    '"decision":{"key":"%(key)s","strategy":"ema-rsi-macd","window":{"series":{"asset":"btc",'
    '"duration":"15m"},"start_s":1791243900},"verdict":"pending","reason":"crossed","decided_at":'
    '"%(at)s","run_name":"run","direction":"UP","signal_reason":"","condition_id":"%(condition)s",'
    '"question":"","order_id":null,"indicators":{"rsi":58.1,"count":3,"none":null},"checks":[{"name":'
    '"spread","passed":true,"detail":"fine"}],"book":{"best_bid":"0.5","best_ask":"0.51","spread":'
    '"0.01","ask_depth_usdc":"40"},"price_to_beat":null},"copy":null}'
)


WIRE = '{"salt":42,"side":"BUY"}'


def rows_of(ledger: SqlLedger, table: str) -> int:
    """Count rows without the ledger noticing: its own transactions would book what waits."""
    with ledger._database.writing_unlocked() as connection:
        count = connection.execute(text(f"SELECT count(*) FROM {table}")).scalar()
    assert count is not None
    return int(count)


def change(ledger: SqlLedger, statement: str, **values: Any) -> None:
    with ledger._database.writing_unlocked() as connection:
        connection.execute(text(statement), values)


def insert_golden(ledger: SqlLedger) -> None:
    market = market_number(0)
    decision = claim(ledger, market)
    body = GOLDEN % {
        "key": decision.key, "condition": market.condition_id, "at": NOW.isoformat()
    }  # fmt: skip
    change(
        ledger,
        "INSERT INTO intents (order_id, decision_key, condition_id, outlay, created_at, body) "
        "VALUES ('0xgolden', :key, :condition, 5360000, 0, :body)",
        key=decision.key,
        condition=market.condition_id,
        body=body,
    )


def test_intent_is_one_row_until_somebody_looks(ledger: SqlLedger, reopen: OpenLedger) -> None:
    """The order waits for nothing else; the first reader, of any process, books it."""
    ledger.deposit(Decimal(100), reference="start", at=NOW)
    order_id = intend(ledger)
    assert (rows_of(ledger, "intents"), rows_of(ledger, "orders")) == (1, 0)

    (order,) = reopen().open_orders()

    assert (order.order_id, order.status) == (order_id, OrderStatus.SENDING)
    assert (rows_of(ledger, "intents"), rows_of(ledger, "orders")) == (0, 1)
    assert ledger.violations() == ()


def test_limits_count_an_order_that_is_not_booked(ledger: SqlLedger, reopen: OpenLedger) -> None:
    """The next intent, also of another process, sees what the last one holds back."""
    ledger.deposit(Decimal(100), reference="start", at=NOW)
    seen: list[Decimal] = []

    def checks(totals: AccountTotals, exposure: MarketExposure) -> list[RiskCheck]:
        seen.extend((totals.reserved_usdc, exposure.reserved_usdc, Decimal(totals.day_trade_count)))
        return []

    market = market_number(1)
    decision = claim(ledger, market)
    intend(reopen(), 2)
    order = build_order(market=market, decision_key=decision.key)
    assert ledger.record_intent(prepare(order), decision, checks=checks) == ()

    assert seen == [Decimal("5.36"), Decimal(0), Decimal(1)]
    assert rows_of(ledger, "intents") == 1


def test_decision_has_one_order_before_it_is_booked(ledger: SqlLedger) -> None:
    """A second order of the same decision, or the same order again, is refused at once."""
    ledger.deposit(Decimal(100), reference="start", at=NOW)
    decision = claim(ledger, market_number(0))
    order = build_order(market=market_number(0), decision_key=decision.key)
    prepared = prepare(order)
    assert ledger.record_intent(prepared, decision, checks=allow_all) == ()

    again = ledger.record_intent(prepared, decision, checks=allow_all)

    assert [check.name for check in again] == ["decided-once"]
    assert len(ledger.open_orders()) == 1


def test_copy_is_one_row_until_somebody_looks(ledger: SqlLedger) -> None:
    """Trade, decision, order, holding and totals follow from it, and the books agree."""
    ledger.deposit(Decimal(1000), reference="start", at=NOW - timedelta(days=1))
    lease = follow(ledger)
    trade = leader_trade()

    recorded, order_id = copy(ledger, lease, trade)

    assert recorded.answer is CopyAnswer.RECORDED
    assert (rows_of(ledger, "intents"), rows_of(ledger, "leader_events")) == (1, 0)
    assert copy(ledger, lease, trade)[0].answer is CopyAnswer.ALREADY_SEEN
    assert ledger.order(order_id) is not None
    holding = held(ledger, trade)
    assert holding is not None
    assert holding.in_flight_usdc == Decimal("5.36")
    assert rows_of(ledger, "intents") == 0
    assert ledger.violations() == ()


def test_intent_of_an_earlier_version_is_booked(ledger: SqlLedger) -> None:
    """A crash, an update, a start: what was durable then is an order now."""
    ledger.deposit(Decimal(100), reference="start", at=NOW)
    insert_golden(ledger)

    (order,) = ledger.open_orders()

    assert (order.order_id, order.size, order.reserved_usdc) == (
        "0xgolden", Decimal("9.43"), Decimal("5.36"),
    )  # fmt: skip
    with ledger._database.reading() as connection:
        assert connection.execute(text("SELECT wire FROM orders")).scalar() == WIRE
    decision = ledger.decision(order.decision_key)
    assert decision is not None
    assert decision.indicators == {"rsi": 58.1, "count": 3, "none": None}
    assert ledger.violations() == ()


def test_golden_intent_says_all_that_this_version_writes(ledger: SqlLedger) -> None:
    """A field that joins needs a default, and a new golden intent beside the old one."""
    intend(ledger)
    with ledger._database.writing_unlocked() as connection:
        written = json.loads(str(connection.execute(text("SELECT body FROM intents")).scalar()))
    golden = json.loads(GOLDEN % {"key": "k", "condition": "c", "at": NOW.isoformat()})
    for part in ("prepared", "decision"):
        assert golden[part].keys() == written[part].keys()
    assert golden["prepared"]["order"].keys() == written["prepared"]["order"].keys()
    assert golden["prepared"]["order"]["market"].keys() == (
        written["prepared"]["order"]["market"].keys()
    )


@pytest.mark.parametrize("body", ["", "{}", "[1]", '{"prepared":{"order_id":1}}'])
def test_unreadable_intent_stops_everything(ledger: SqlLedger, body: str) -> None:
    """What it held back is not known, so nothing may be read or traded beside it."""
    change(
        ledger,
        "INSERT INTO intents (order_id, decision_key, condition_id, outlay, created_at, body) "
        "VALUES ('0x1', 'k', 'c', 1, 0, :body)",
        body=body,
    )
    for attempt in (ledger.open_orders, lambda: ledger.totals(at=NOW), lambda: intend(ledger)):
        with pytest.raises(PermanentError, match="intent 1 of the ledger cannot be read"):
            attempt()
    assert rows_of(ledger, "intents") == 1
