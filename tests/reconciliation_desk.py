"""A live ledger and a venue that may disagree with it, for one test of their reconciliation."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from polybot.adapters.storage.ledger import SqlLedger, open_ledger
from polybot.domain.accounts import TradingStateChange
from polybot.domain.markets import Outcome
from polybot.domain.modes import Mode, TradingState
from polybot.domain.orders import OrderId, OrderStatus, Side
from polybot.domain.reconciliation import Reconciliation
from polybot.reconciliation import reconcile_account
from polybot.redemption import RedemptionRound, redeem_settled
from tests.builders import NOW
from tests.fakes import FixedClock
from tests.fakes_live import FakeLiveExchange, FakeVenueAccount, Venue
from tests.ledger_steps import a_fill, intend, market_number, report, resolution

START = Decimal(1000)
FEE = Decimal("0.175")


class Desk:
    """A real ledger, a venue that may disagree with it, and a clock."""

    def __init__(self, folder: Path) -> None:
        self.ledger: SqlLedger = open_ledger(folder / "live.db", mode=Mode.LIVE)
        self.ledger.deposit(START, reference="start", at=NOW)
        self.venue = Venue(now=NOW, cash=START)
        self.account = FakeVenueAccount(self.venue)
        self.exchange = FakeLiveExchange(self.venue)
        self.clock = FixedClock(NOW + timedelta(minutes=10))

    async def reconcile(self, **changes: Any) -> Reconciliation:
        found = await reconcile_account(
            self.ledger, self.exchange, self.account, self.clock, mode=Mode.LIVE, **changes
        )
        assert self.ledger.violations() == ()
        return found

    async def redeem(self) -> RedemptionRound:
        return await redeem_settled(
            self.ledger, self.account, at=await self.clock.now(), mode=Mode.LIVE
        )

    def later(self, **delta: float) -> None:
        self.clock.instant += timedelta(**delta)
        self.venue.now = self.clock.instant

    def bought(self, number: int = 0, *, status: OrderStatus = OrderStatus.FILLED) -> OrderId:
        """Buy 10 Up at 0.50, on both sides, exactly."""
        order_id = intend(self.ledger, number)
        self.venue_trade(order_id, number, name=f"trade-{number}")
        report(self.ledger, order_id, a_fill(order_id, trade=f"trade-{number}"), status=status)
        return order_id

    def venue_trade(self, order_id: str, number: int = 0, **changes: Any) -> None:
        market = market_number(number)
        values: dict[str, Any] = {
            "side": Side.BUY, "size": Decimal(10), "price": Decimal("0.5"), **changes
        }  # fmt: skip
        token = market.token_ids[values.pop("outcome", Outcome.UP)]
        self.venue.trade(order_id, market.condition_id, token, **values)

    def settle(self, number: int = 0, winner: Outcome = Outcome.UP) -> None:
        market = market_number(number)
        for outcome in Outcome:
            self.venue.payouts[market.token_ids[outcome]] = Decimal(int(outcome is winner))
        assert self.ledger.settle(resolution(number, winner), at=self.clock.instant)

    def resume(self) -> None:
        self._change(TradingState.ACTIVE, "looked")

    def halt(self, reason: str) -> None:
        self._change(TradingState.HALTED, reason)

    def _change(self, state: TradingState, reason: str) -> None:
        self.ledger.set_trading_state(
            TradingStateChange(state=state, reason=reason, by="me", changed_at=self.clock.instant)
        )

    @property
    def cash(self) -> Decimal:
        return self.ledger.totals(at=self.clock.instant).cash_usdc

    @property
    def alerts(self) -> list[str]:
        due = self.ledger.due_alerts(at=self.clock.instant, limit=100)
        return [f"{each.alert.kind}: {each.alert.title}" for each in due]

    @property
    def is_halted(self) -> bool:
        return self.ledger.trading_state().state is TradingState.HALTED
