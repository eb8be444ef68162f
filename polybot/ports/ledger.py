"""The truth about decisions, orders and money."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from polybot.domain.accounts import (
    AccountTotals,
    MarketExposure,
    OrderRecord,
    Position,
    Settlement,
    TradeLogRow,
    TradingStateChange,
)
from polybot.domain.alerts import Alert, OutboxAlert
from polybot.domain.decisions import Decision, RunRecord
from polybot.domain.markets import (
    ConditionId,
    OutcomeTokenId,
    Resolution,
)
from polybot.domain.orders import (
    DecisionKey,
    Fill,
    OrderId,
    OrderReport,
    PreparedOrder,
    RiskCheck,
)
from polybot.domain.reconciliation import (
    AccountSnapshot,
    ForeignTrade,
    ReconciliationRecord,
    Redemption,
    RedemptionState,
)

LimitChecks = Callable[[AccountTotals, MarketExposure], Sequence[RiskCheck]]
"""The limits that depend on the ledger, looked at inside the transaction that records an intent."""


class Ledger(Protocol):
    """The truth about decisions, orders and money.

    Every method is one transaction, durable when it returns, safe against any number of other
    processes at the same moment. Running totals change in the transaction of their cause and are
    never recomputed from history. Methods are synchronous: they take milliseconds.
    """

    # Decisions ----------------------------------------------------------------------------------
    def claim_decision(self, decision: Decision) -> Decision | None:
        """Record a PENDING decision, or return the one that already has its key."""
        ...

    def finish_decision(self, decision: Decision, *, alert: Alert | None = None) -> bool:
        """Replace a PENDING decision by its final form; ``False`` where it was final already."""
        ...

    def decision(self, key: DecisionKey) -> Decision | None:
        """Return the decision with a key."""
        ...

    def pending_decisions(self) -> tuple[Decision, ...]:
        """Return decisions that a run claimed and has not finished, oldest first."""
        ...

    def decisions_between(self, start: datetime, end: datetime) -> tuple[Decision, ...]:
        """Return decisions for windows that start in ``[start, end)``, oldest first."""
        ...

    # Orders -------------------------------------------------------------------------------------
    def record_intent(
        self, prepared: PreparedOrder, decision: Decision, *, checks: LimitChecks
    ) -> tuple[RiskCheck, ...]:
        """Make an order durable before it is sent.

        In one transaction: look at every ledger limit again, reserve ``max_outlay_usdc``, count
        the day's trade, insert the order as SENDING and finish its decision as PLACED.

        Returns:
            The failed checks; empty where the intent is recorded and the order may be sent. A
            decision that is not PENDING, or a key that already has an order, is a failed check
            named ``decided-once``; nothing is recorded then.
        """
        ...

    def record_report(
        self,
        order_id: OrderId,
        report: OrderReport,
        *,
        at: datetime,
        alert_for: Callable[[Fill], Alert] | None = None,
    ) -> tuple[Fill, ...]:
        """Apply what was proved about an order and return the fills that were new.

        A status never goes back and a recorded fill never changes, except to FAILED, which voids
        exactly that fill. A final status releases what the order still reserves. A fill is a
        fact: one of an order that counted as unfilled, rejected or never arrived is booked, and
        the order becomes FILLED. ``alert_for`` builds the alert of a new fill and of one that
        was voided (it has status FAILED then); both are stored in the same transaction.
        """
        ...

    def order(self, order_id: OrderId) -> OrderRecord | None:
        """Return an order of ours."""
        ...

    def open_orders(self) -> tuple[OrderRecord, ...]:
        """Return orders that are SENDING, UNKNOWN or RESTING, oldest first."""
        ...

    def fills_of(self, order_id: OrderId) -> tuple[Fill, ...]:
        """Return an order's fills, oldest first."""
        ...

    # Money --------------------------------------------------------------------------------------
    def deposit(self, amount_usdc: Decimal, *, reference: str, at: datetime) -> bool:
        """Book cash that came in; ``False`` where the reference was booked before."""
        ...

    def totals(self, *, at: datetime) -> AccountTotals:
        """Return the running totals; the first call of a UTC day opens that day's counters."""
        ...

    def market_exposure(self, condition_id: ConditionId) -> MarketExposure:
        """Return what is at risk in one market."""
        ...

    def positions(self) -> tuple[Position, ...]:
        """Return positions that are not settled, oldest window first."""
        ...

    def mark_positions(self, bids: dict[OutcomeTokenId, Decimal | None], *, at: datetime) -> None:
        """Record the best bid of held tokens; ``None`` means nobody bids and counts as 0."""
        ...

    def settle(
        self,
        resolution: Resolution,
        *,
        at: datetime,
        alert_for: Callable[[Settlement], Alert] | None = None,
    ) -> Settlement | None:
        """Pay out a market; ``None`` where nothing is held or it was settled before.

        Raises:
            DataError: An order of the market is still open; settle once its fate is known.
        """
        ...

    def settlements_between(self, start: datetime, end: datetime) -> tuple[Settlement, ...]:
        """Return settlements booked in ``[start, end)``, oldest first."""
        ...

    # Reconciling with the venue -----------------------------------------------------------------
    def account_snapshot(
        self, *, moving_since: datetime, late_since: datetime | None = None
    ) -> AccountSnapshot:
        """Return what the venue should show of our account, read in one transaction.

        Args:
            moving_since: Fills from here on count as on their way whatever their status: the
                venue's balances lag behind its trades.
            late_since: Orders that were closed without a fill from here on may still show one;
                default: ``moving_since``.
        """
        ...

    def adjust_fees(
        self, change_usdc: Decimal, *, unless_newer_than: int, at: datetime, alert: Alert
    ) -> bool:
        """Book that the venue rounded fees otherwise than we did (positive: in our favour).

        ``False``, and nothing booked, where anything was booked since the snapshot whose
        ``version`` is given, or where all adjustments together would exceed what the rounding of
        all fills can explain.
        """
        ...

    def book_transfer(
        self, change_usdc: Decimal, *, unless_newer_than: int, at: datetime, alert: Alert
    ) -> bool:
        """Book cash that came (positive) or went outside the bot; it is no profit and no loss.

        ``False``, and nothing booked, where anything was booked since the snapshot whose
        ``version`` is given.
        """
        ...

    def reconciled_at(self) -> datetime | None:
        """Return when record and venue last said the same; ``None``: never."""
        ...

    def reconciliation(self) -> ReconciliationRecord:
        """Return what is kept of the reconciliations so far."""
        ...

    def record_reconciliation(self, record: ReconciliationRecord) -> None:
        """Keep the newest reconciliation; instants and counts in it never go back."""
        ...

    def record_foreign_trades(
        self, trades: Iterable[ForeignTrade], *, at: datetime
    ) -> tuple[ForeignTrade, ...]:
        """Remember trades of the account by other orders than ours; return the new ones.

        They never touch the books: they explain shares and cash that are not ours.
        """
        ...

    def foreign_trades(self, *, limit: int) -> tuple[ForeignTrade, ...]:
        """Return remembered foreign trades, newest first."""
        ...

    def open_redemptions(self) -> tuple[Redemption, ...]:
        """Return settled markets that paid and are not known to be redeemed, oldest first."""
        ...

    def record_redemption(
        self,
        condition_id: ConditionId,
        state: RedemptionState,
        *,
        at: datetime,
        transaction_id: str = "",
        reason: str = "",
        alert: Alert | None = None,
    ) -> bool:
        """Record what became of a redemption; ``False`` where it was final already.

        Raises:
            DataError: The market is not settled.
        """
        ...

    def request_redemption(self, condition_id: ConditionId, *, at: datetime) -> bool:
        """Count an attempt before the venue hears of it; ``False`` where it is final already.

        Raises:
            DataError: The market is not settled.
        """
        ...

    # Control ------------------------------------------------------------------------------------
    def trading_state(self) -> TradingStateChange:
        """Return the trading state with who set it and why."""
        ...

    def set_trading_state(self, change: TradingStateChange, *, alert: Alert | None = None) -> None:
        """Record a new trading state; the next ``record_intent`` anywhere obeys it."""
        ...

    # Alerts -------------------------------------------------------------------------------------
    def add_alert(self, alert: Alert, *, at: datetime) -> bool:
        """Put an alert in the outbox; ``False`` where its key is there already."""
        ...

    def due_alerts(self, *, at: datetime, limit: int) -> tuple[OutboxAlert, ...]:
        """Return unsent alerts whose next attempt is due, oldest first."""
        ...

    def record_alert_sent(self, alert_id: int, *, at: datetime) -> None:
        """Mark an alert as delivered."""
        ...

    def claim_alert(self, waiting: OutboxAlert, *, error: str, next_attempt_at: datetime) -> bool:
        """Count an attempt, as failed until it is recorded as sent; ``False``: it is not ours.

        Of all processes that saw an alert waiting, one may send it: whoever claims it first.
        """
        ...

    # Looking back -------------------------------------------------------------------------------
    def record_run(self, run: RunRecord) -> None:
        """Insert or replace what is known about a flow run."""
        ...

    def recent_runs(self, limit: int) -> tuple[RunRecord, ...]:
        """Return the newest flow runs first."""
        ...

    def trade_log(
        self, *, since: datetime | None = None, limit: int | None = None
    ) -> tuple[TradeLogRow, ...]:
        """Return decisions, fills, settlements and deposits as log rows, oldest first."""
        ...

    def violations(self) -> tuple[str, ...]:
        """Recompute every running total from history and return each difference as a sentence."""
        ...
