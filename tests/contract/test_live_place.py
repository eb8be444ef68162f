"""Placing live orders with a real ledger: durable first, one POST, and a halt where ids differ."""

import json
from pathlib import Path

import pytest
from aiohttp import web

from polybot import execution
from polybot.adapters.storage.ledger import SqlLedger
from polybot.domain.modes import TradingState
from polybot.domain.money import usdc
from polybot.domain.orders import OrderId, OrderStatus, RefusedOrder
from tests.builders import NOW, build_approved, build_decision, build_limits
from tests.ledgers import new_live_ledger
from tests.live_desk import LiveDesk, accepts, live_desk, sent_id, trade_row
from tests.scripted_server import Answer, body


async def place(desk: LiveDesk, ledger: SqlLedger) -> execution.PlacedOrder | RefusedOrder:
    approved = build_approved()
    decision = build_decision(key=approved.order.decision_key)
    ledger.claim_decision(decision)
    return await execution.place(
        approved,
        decision,
        exchange=desk.exchange,
        ledger=ledger,
        clock=desk.clock,
        limits=build_limits(),
    )


def open_new(home: Path) -> SqlLedger:
    return new_live_ledger(home / "live.db", usdc(1000), at=NOW)


async def test_intent_is_durable_under_its_id_when_the_order_arrives(tmp_path: Path) -> None:
    """The venue computes the id from the order's bytes and finds it in our ledger, as SENDING."""
    found: list[OrderStatus] = []
    with open_new(tmp_path) as ledger:

        async def answer(request: web.Request) -> web.StreamResponse:
            order_id = OrderId(sent_id(json.loads(await request.read())))
            record = ledger.order(order_id)
            assert record is not None
            found.append(record.status)
            return await accepts()(request)

        async with live_desk(tmp_path) as desk:
            desk.on_order(answer)
            placed = await place(desk, ledger)
            assert isinstance(placed, execution.PlacedOrder)
            assert found == [OrderStatus.SENDING]
            assert placed.order.status is OrderStatus.UNKNOWN
            assert placed.order.reserved_usdc > 0
            prepared = desk.prepare()
            row = trade_row(prepared, ("0.51", "9.8"), taker_order_id=placed.order.order_id)
            desk.server.on(
                f"/data/order/{placed.order.order_id}", body({"error": "not found"}, status=404)
            )
            desk.server.on("/data/trades", {"data": [row], "next_cursor": "LTE="})
            desk.later(60)
            await execution.reconcile(ledger, desk.exchange, desk.clock)
            record = ledger.order(placed.order.order_id)
            assert record is not None
            assert (record.status, str(record.filled_size)) == (OrderStatus.FILLED, "9.800000")
            assert ledger.totals(at=desk.clock.instant).reserved_usdc == 0
            assert ledger.violations() == ()
            assert desk.posts == 1


@pytest.mark.parametrize(
    "answer",
    [
        accepts(orderID="0x" + "ee" * 32),
        body({"error": f"order 0x{'ee' * 32} is invalid. Duplicated."}, status=400),
        body({"error": "order_version_mismatch"}, status=400),
        body({"error": "Trading restricted in your region"}, status=403),
    ],
    ids=["other-id", "other-duplicate", "version", "region"],
)
async def test_answer_that_no_further_order_would_survive_halts(
    tmp_path: Path, answer: Answer
) -> None:
    """Another order's id, or a refusal that every order would meet: a person must look."""
    with open_new(tmp_path) as ledger:
        async with live_desk(tmp_path) as desk:
            desk.on_order(answer)
            placed = await place(desk, ledger)
            assert isinstance(placed, execution.PlacedOrder)
            assert placed.halt is not None
            assert ledger.trading_state().state is TradingState.HALTED
            assert desk.posts == 1
