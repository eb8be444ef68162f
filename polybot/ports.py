"""The sockets: what the steps need from the outside world, and nothing about how it is done.

Errors: every method that leaves the process raises ``TransientError`` where another try may
help, ``PermanentError`` where it cannot, and ``DataError`` where an answer arrived that no
decision may be based on. ``Exchange.submit`` is the exception: it returns what is known.
"""

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
from polybot.domain.books import OrderBook
from polybot.domain.candles import CandleSeries
from polybot.domain.decisions import Decision, RunRecord
from polybot.domain.markets import (
    ConditionId,
    Market,
    MarketTrade,
    MarketWindow,
    OutcomeTokenId,
    Resolution,
)
from polybot.domain.money import Shares, Usdc
from polybot.domain.orders import (
    ApprovedOrder,
    DecisionKey,
    Fill,
    OrderId,
    OrderReport,
    PreparedOrder,
    RiskCheck,
    SubmitResult,
)
from polybot.domain.reconciliation import (
    AccountSnapshot,
    ForeignTrade,
    ReconciliationRecord,
    Redemption,
    RedemptionState,
)
from polybot.domain.venue_account import (
    Cancellation,
    RedemptionResult,
    VenueOrder,
    VenueTrades,
)


class Clock(Protocol):
    """The only place that reads the time."""

    async def now(self) -> datetime:
        """Return the current instant, aware UTC."""
        ...

    async def sleep_until(self, instant: datetime) -> None:
        """Wait until an instant; return at once where it has passed."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for a short while [s]."""
        ...


class PriceFeed(Protocol):
    """Reference prices from exchanges: for signals, never for settlements."""

    async def closed_candles(
        self, asset: str, *, timeframe_s: int, end: datetime, count: int
    ) -> CandleSeries:
        """Return the ``count`` closed candles whose last one closes exactly at ``end``.

        Raises:
            TransientError: No exchange of the list answered.
            DataError: They answered with gaps, impossible or stale candles.
        """
        ...


class MarketData(Protocol):
    """The venue's public side."""

    async def find_market(self, window: MarketWindow) -> Market:
        """Return the market of a window.

        Raises:
            TransientError: Not listed yet, or the venue did not answer.
            DataError: Listed, but of an unknown version or fee type, or malformed.
        """
        ...

    async def order_book(self, token_id: OutcomeTokenId) -> OrderBook:
        """Return the book of one outcome token.

        Raises:
            DataError: Malformed, crossed, or no book exists (closed market).
        """
        ...

    async def resolution(self, window: MarketWindow) -> Resolution | None:
        """Return the venue's final outcome of a window's market, or ``None`` while undecided."""
        ...

    async def trades_since(
        self, condition_id: ConditionId, since: datetime
    ) -> tuple[MarketTrade, ...]:
        """Return everybody's trades in a market from ``since`` on, oldest first."""
        ...


class Exchange(Protocol):
    """Where orders go: paper or live."""

    def prepare(self, approved: ApprovedOrder, *, created_at: datetime) -> PreparedOrder:
        """Give an approved order its id; nothing is sent."""
        ...

    async def submit(self, prepared: PreparedOrder) -> SubmitResult:
        """Send an order exactly once. Never raises for what the venue or network did."""
        ...

    async def look_up(self, record: OrderRecord) -> OrderReport:
        """Return what the venue knows about an order of ours.

        Raises:
            TransientError: The venue did not answer; nothing is known.
        """
        ...

    async def cancel(self, record: OrderRecord) -> OrderReport:
        """Take a resting order out of the book and return what is known afterwards."""
        ...


class VenueAccount(Protocol):
    """Our account as the venue sees it, live only: the truth that our record is compared with.

    Reads alone, but for ``cancel_all`` and ``redeem``. Everything of the wallet shows, also what
    somebody else did with it: foreign orders are listed and never touched.
    """

    async def open_orders(self) -> tuple[VenueOrder, ...]:
        """Return every order of the account that may still match."""
        ...

    async def order(self, order_id: OrderId) -> VenueOrder | None:
        """Return one order, or ``None`` where the venue does not show it.

        It is not documented whether killed and cancelled orders are shown: ``None`` alone proves
        nothing.
        """
        ...

    async def trades(
        self, *, after: datetime, condition_id: ConditionId | None = None
    ) -> VenueTrades:
        """Return the account's executions since an instant, oldest first.

        Orders that were refused as not filled may show late fills: compare with every order of
        the last ``LATE_FILL_WATCH``, final or not.
        """
        ...

    async def cash_usdc(self) -> Usdc:
        """Return the wallet's collateral, after having the venue refresh what it caches."""
        ...

    async def allowances(self) -> dict[str, Decimal]:
        """Return how much collateral each contract may move [USDC], by address in lower case."""
        ...

    async def holdings(self, token_ids: Sequence[OutcomeTokenId]) -> dict[OutcomeTokenId, Shares]:
        """Return how many shares of each token the wallet holds."""
        ...

    async def server_time(self) -> datetime:
        """Return the venue's clock, in whole seconds."""
        ...

    async def is_closed_only(self) -> bool:
        """Return whether the venue lets the account only close positions."""
        ...

    async def cancel_all(self) -> Cancellation:
        """Cancel every order of the API key, also those that are not in our ledger."""
        ...

    async def redeem(
        self, condition_id: ConditionId, token_ids: Sequence[OutcomeTokenId]
    ) -> RedemptionResult:
        """Turn a resolved market's shares into cash; what was redeemed before is a success.

        Args:
            condition_id: The market.
            token_ids: Its two outcome tokens; what the wallet holds of them decides.
        """
        ...


class Notifier(Protocol):
    """The owner's phone."""

    @property
    def is_configured(self) -> bool:
        """Whether any channel is set up; without one, alerts stay in the outbox's history."""
        ...

    async def send(self, alert: Alert) -> bool:
        """Deliver one alert on every channel; whether any of them took it. Never raises."""
        ...


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

    def record_alert_failed(self, alert_id: int, *, error: str, next_attempt_at: datetime) -> None:
        """Count a failed attempt and when to try again."""
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
