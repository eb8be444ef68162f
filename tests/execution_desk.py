"""A real ledger and an exchange that answers as told, for one test of placing and reconciling."""

from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from polybot import execution
from polybot.adapters.storage.ledger import open_ledger
from polybot.domain.alerts import Alert, AlertKind
from polybot.domain.decisions import Decision
from polybot.domain.markets import ConditionId, MarketWindow
from polybot.domain.modes import Mode
from polybot.domain.money import shares, usdc
from polybot.domain.orders import (
    Accepted,
    ApprovedOrder,
    Fill,
    FillStatus,
    Liquidity,
    Order,
    OrderId,
    PreparedOrder,
    RefusedOrder,
    Rejected,
    SubmitResult,
    TradeId,
    Unknown,
)
from polybot.ports import Ledger
from tests.builders import (
    NOW,
    WINDOW,
    build_approved,
    build_decision,
    build_limits,
    build_market,
    build_order,
)
from tests.fakes import FixedClock, ScriptedExchange
from tests.ledgers import new_ledger

LATER = NOW + timedelta(minutes=5)


class Desk:
    """A real ledger with 1000 USDC and an exchange that answers as told."""

    def __init__(self, folder: Path, answer: Any = None) -> None:
        path = folder / "paper.db"
        path.write_bytes(new_ledger(Decimal(1000), at=NOW))
        self.ledger: Ledger = open_ledger(path, mode=Mode.PAPER)
        self.exchange = ScriptedExchange(answer)
        self.clock = FixedClock(NOW)

    async def place(
        self, order: Order | None = None, **limits: Any
    ) -> execution.PlacedOrder | RefusedOrder:
        approved = build_approved(order)
        return await execution.place(
            approved,
            self.claim(approved),
            exchange=self.exchange,
            ledger=self.ledger,
            clock=self.clock,
            limits=build_limits(**limits),
            alert_for=fill_alert,
        )

    async def placed(self, order: Order | None = None) -> execution.PlacedOrder:
        result = await self.place(order)
        assert isinstance(result, execution.PlacedOrder)
        return result

    def claim(self, approved: ApprovedOrder) -> Decision:
        decision = build_decision(
            key=approved.order.decision_key, window=approved.order.market.window
        )
        self.ledger.claim_decision(decision)
        return decision

    async def reconcile(self, at: datetime = LATER, **options: Any) -> execution.ReconcileResult:
        clock = FixedClock(at)
        return await execution.reconcile(self.ledger, self.exchange, clock, **options)

    @property
    def reserved(self) -> Decimal:
        return self.ledger.totals(at=self.clock.instant).reserved_usdc

    @property
    def alerts(self) -> list[str]:
        return [row.alert.dedupe_key for row in self.ledger.due_alerts(at=LATER, limit=100)]


def fill_alert(fill: Fill) -> Alert:
    key = f"fill:{fill.trade_id}"
    return Alert(kind=AlertKind.FILL, dedupe_key=key, title="Filled", body=str(fill.size))


def fill_of(order_id: OrderId, size: str = "9", number: int = 1, **changes: Any) -> Fill:
    values: dict[str, Any] = {
        "trade_id": TradeId(f"trade-{number}"),
        "order_id": order_id,
        "leg": 0,
        "price": Decimal("0.51"),
        "size": shares(size),
        "fee_usdc": usdc("0.16"),
        "liquidity": Liquidity.TAKER,
        "status": FillStatus.CONFIRMED,
        "filled_at": NOW + timedelta(seconds=1),
    }
    return Fill(**{**values, **changes})


def fills(prepared: PreparedOrder) -> SubmitResult:
    return Accepted(
        order_id=prepared.order_id, is_resting=False, fills=(fill_of(prepared.order_id),)
    )


def rests(prepared: PreparedOrder) -> SubmitResult:
    return Accepted(order_id=prepared.order_id, is_resting=True)


def rejects(prepared: PreparedOrder) -> SubmitResult:
    return Rejected(order_id=prepared.order_id, reason="nothing to match with")


def times_out(prepared: PreparedOrder) -> SubmitResult:
    return Unknown(order_id=prepared.order_id, reason="timed out")


def next_window_order(number: int = 1) -> Order:
    window = MarketWindow(series=WINDOW.series, start_s=WINDOW.start_s + 900 * number)
    tokens = dict(zip(build_market().token_ids, (f"{number}0001", f"{number}0002"), strict=True))
    market = build_market(
        window=window, condition_id=ConditionId(f"0x{number:064x}"), token_ids=tokens
    )
    return build_order(market=market)
