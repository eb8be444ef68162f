"""A restart with many open orders: of every fate, recorded in a real ledger, sent to a venue."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from polybot.adapters.storage.ledger import SqlLedger
from polybot.domain.decisions import Verdict
from polybot.domain.money import shares, usdc
from polybot.domain.orders import Accepted, Order, OrderReport, OrderStatus, PreparedOrder
from polybot.execution import report_of
from tests.builders import (
    NOW,
    build_approved,
    build_book,
    build_decision,
    build_order,
    build_resting_order,
)
from tests.ledgers import new_live_ledger
from tests.live_sandbox import LiveSandbox

RESTING, LOST_RESTING, FILLED, ABSENT = "resting", "lost resting", "filled", "never arrived"
_MIX = (RESTING, RESTING, LOST_RESTING, FILLED, ABSENT)


@dataclass(frozen=True)
class Sent:
    """Our orders by what became of them."""

    fates: dict[str, str]

    def count(self) -> Counter[str]:
        return Counter(self.fates.values())


def open_ledger_for(home: Path) -> SqlLedger:
    return new_live_ledger(home / "live.db", usdc(1000), at=NOW)


async def send_many(desk: LiveSandbox, ledger: SqlLedger, count: int) -> Sent:
    """Record and send orders; of some no answer comes back, and some never leave."""
    desk.show(build_book([("0.40", "100000")], [("0.51", "100000")]))
    fates: dict[str, str] = {}
    for number in range(count):
        fate = _MIX[number % len(_MIX)]
        prepared = _prepared(desk, fate, number)
        _record(ledger, prepared)
        report = OrderReport(status=OrderStatus.UNKNOWN, reason="no answer")
        if fate != ABSENT:
            result = await desk.exchange.submit(prepared)
            assert isinstance(result, Accepted), result
            if fate == RESTING:
                report = report_of(result)
        ledger.record_report(prepared.order_id, report, at=NOW)
        fates[prepared.order_id] = fate
    return Sent(fates)


def _prepared(desk: LiveSandbox, fate: str, number: int) -> PreparedOrder:
    order: Order = (
        build_order(limit_price="0.51", budget_usdc=usdc("2.6"), size=shares(5), market=desk.market)
        if fate in (FILLED, ABSENT)
        else build_resting_order(limit_price="0.01", size="5", market=desk.market)
    )
    order = replace(order, decision_key=f"trend:many:{number}")
    return desk.exchange.prepare(build_approved(order), created_at=desk.clock.instant)


def _record(ledger: SqlLedger, prepared: PreparedOrder) -> None:
    decision = build_decision(key=prepared.order.decision_key)
    assert ledger.claim_decision(decision) is None
    placed = replace(decision, verdict=Verdict.PENDING)
    assert ledger.record_intent(prepared, placed, checks=lambda *_: ()) == ()
