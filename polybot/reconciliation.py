"""Bringing our record to what the venue says of the account: orders, trades, shares, cash.

What the venue proves is booked (fills, voids, redeemed payouts, rounded fees, transfers). What is
not ours is listed and never touched. What is on its way is waited for. What nothing explains
halts trading and says why. No order is ever sent from here; one of ours that our record holds for
dead and the venue for alive is cancelled.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from polybot.account_booking import book_comparison
from polybot.account_comparison import CashAnswer, Comparison, compare_account, tokens_to_ask
from polybot.account_trades import record_trades
from polybot.alerts import (
    reconciliation_alert,
    recorded_fill_alert,
    trading_state_alert,
)
from polybot.domain.accounts import OrderRecord, TradingStateChange
from polybot.domain.modes import Mode, TradingState
from polybot.domain.orders import FillStatus
from polybot.domain.reconciliation import (
    AccountSnapshot,
    ForeignOrder,
    ReconcileTiming,
    ReconcileVerdict,
    Reconciliation,
    ReconciliationRecord,
)
from polybot.domain.venue_account import VenueOrder
from polybot.errors import DataError, TransientError
from polybot.execution import SENDING_GRACE_S, reconcile
from polybot.ports import AccountExchange, Clock, Ledger, VenueAccount
from polybot.reports.documents import reconciliation_document

MOST_PASSES: Final = 3
# What differed a moment ago may only have been late.
PAUSE_S: Final = 2.0
DEFAULT_TIMING: Final = ReconcileTiming()


async def reconcile_account(
    ledger: Ledger,
    exchange: AccountExchange,
    account: VenueAccount | None,
    clock: Clock,
    *,
    mode: Mode,
    accepted_difference: str = "",
    accepted_shares: str = "",
    timing: ReconcileTiming = DEFAULT_TIMING,
    grace_s: float = SENDING_GRACE_S,
    pause_s: float = PAUSE_S,
) -> Reconciliation:
    """Bring our record to what the venue says, in at most three passes, or halt and say why.

    Args:
        ledger: Our record.
        exchange: Looks up our open orders by their ids.
        account: The venue's view of the account; ``None`` on paper, where open orders are looked
            up and nothing else.
        clock: Read in every pass; waits between passes.
        mode: For the alerts.
        accepted_difference: Why a person accepts that cash differs by what nothing explains: it
            is booked as a transfer then.
        accepted_shares: Why a person accepts that shares differ: our record keeps its own and
            stops asking for the difference. What they pay in the end counts as earned, and what
            of it never arrives as withdrawn.
        timing: How late the venue may be.
        grace_s: A SENDING order younger than this may be in a run's hands [s].
        pause_s: Between two passes [s].

    Returns:
        What was found and done; ``verdict.allows_trading`` says whether to go on. A venue that
        does not answer gives INCOMPLETE.

    Raises:
        PermanentError: The venue refuses to be asked; a person must mend that.
    """
    run = _Run(
        ledger=ledger,
        exchange=exchange,
        clock=clock,
        mode=mode,
        grace_s=grace_s,
        accepted_difference=accepted_difference,
        accepted_shares=accepted_shares,
        timing=timing,
        record=ledger.reconciliation(),
        result=Reconciliation(
            verdict=ReconcileVerdict.ORDERS_ONLY, started_at=await clock.now(), passes=1
        ),
    )
    if account is None:
        await run.look_up_orders()
        return run.result
    for number in range(1, MOST_PASSES + 1):
        if number > 1:
            await clock.sleep(pause_s)
        if await run.make_pass(account, number) or run.result.problems:
            break
    return run.conclude()


@dataclass(slots=True)
class _Run:
    """One reconciliation while it runs; ``result`` grows with every pass."""

    ledger: Ledger
    exchange: AccountExchange
    clock: Clock
    mode: Mode
    grace_s: float
    accepted_difference: str
    accepted_shares: str
    timing: ReconcileTiming
    record: ReconciliationRecord
    result: Reconciliation
    ours: AccountSnapshot | None = None
    comparison: Comparison | None = None
    is_complete: bool = False
    """Whether every trade was told in full."""
    has_raced: bool = False
    """Whether somebody booked something while the venue was asked."""

    async def make_pass(self, account: VenueAccount, number: int) -> bool:
        """Read, record and compare once; whether nothing is left to do."""
        # Only the last pass says what is still open; what was done adds up.
        self.result = replace(
            self.result, passes=number, waiting=(), problems=(), differences=(), foreign_orders=()
        )
        self.comparison, self.has_raced = None, False
        try:
            shown = await account.open_orders()
            await self._read_trades(account, number)
            await self.look_up_orders()
            await self._sort_open_orders(shown)
            return await self._compare(account)
        except (TransientError, DataError) as problem:
            self._add(problems=(f"the venue did not tell everything: {problem}",))
            return False

    async def look_up_orders(self) -> None:
        """Ask about every open order of ours by its id."""
        found = await reconcile(
            self.ledger,
            self.exchange,
            self.clock,
            alert_for=lambda fill, record: recorded_fill_alert(fill, record, mode=self.mode),
            grace_s=self.grace_s,
        )
        sending = f"{found.waiting_count} of our orders may be in a run's hands"
        self._add(
            new_fills=found.new_fills,
            closed=found.closed,
            problems=found.problems,
            waiting=(sending,) if found.waiting_count else (),
        )
        self.result = replace(self.result, asked_count=found.asked_count)

    def conclude(self) -> Reconciliation:
        """Give the verdict, keep it, and halt where it says so."""
        verdict = self._verdict()
        self.result = replace(self.result, verdict=verdict)
        is_fine = verdict.allows_trading
        self.ledger.record_reconciliation(
            ReconciliationRecord(
                reconciled_at=self.result.started_at if is_fine else None,
                attempted_at=self.result.started_at,
                verdict=verdict,
                trades_since=self._watermark() if is_fine and self.is_complete else None,
                agreed_fill_count=self._agreed_fill_count(),
                detail=reconciliation_document(self.result),
            )
        )
        if verdict is ReconcileVerdict.HALTED:
            self._halt()
        return self.result

    async def _read_trades(self, account: VenueAccount, number: int) -> None:
        seen = await account.trades(after=self._trades_after(number))
        found = record_trades(self.ledger, seen, at=await self.clock.now(), mode=self.mode)
        self.is_complete = not seen.incomplete
        self._add(
            new_fills=found.new_fills,
            voided_fills=found.voided_fills,
            waiting=found.waiting,
            differences=found.differences,
        )
        self.result = replace(self.result, foreign_trades=found.foreign)

    def _trades_after(self, number: int) -> datetime:
        since = self.record.trades_since
        if since is None:
            # A new ledger has nothing to find before its first order.
            created = [order.created_at for order in self.ledger.open_orders()]
            since = min([self.result.started_at, *created]) - self.timing.overlap
        return (
            since if number == 1 else min(since, self.result.started_at - self.timing.deep_overlap)
        )

    async def _sort_open_orders(self, shown: tuple[VenueOrder, ...]) -> None:
        """List what is foreign; make sure that what we hold for dead is dead."""
        foreign: list[ForeignOrder] = []
        for order in shown:
            record = self.ledger.order(order.order_id)
            if record is None:
                foreign.append(_foreign_order(order))
            elif not record.status.is_open and record.order_id not in self.result.closed:
                await self._bury(record)
        self.result = replace(self.result, foreign_orders=tuple(foreign))

    async def _bury(self, record: OrderRecord) -> None:
        report = await self.exchange.cancel(record)
        fills = self.ledger.record_report(
            record.order_id,
            report,
            at=await self.clock.now(),
            alert_for=lambda fill: recorded_fill_alert(fill, record, mode=self.mode),
        )
        said = f"order {record.order_id} was {record.status} here and open at the venue"
        self._add(new_fills=fills, differences=(f"{said}; it was cancelled",))

    async def _compare(self, account: VenueAccount) -> bool:
        before = self._snapshot(await self.clock.now())
        holdings = await account.holdings(tokens_to_ask(before))
        cash = await account.cash_usdc()
        now = await self.clock.now()
        ours = self._snapshot(now)
        if ours.version != before.version:
            # The two sides are not of one moment.
            self.has_raced = True
            return False
        compared = compare_account(ours, cash_usdc=cash, holdings=holdings)
        self.ours, self.comparison = ours, compared
        self._add(waiting=compared.waiting, differences=compared.differences)
        self.result = replace(
            self.result, expected_cash_usdc=compared.expected_cash_usdc, venue_cash_usdc=cash
        )
        has_booked = self._book(compared, ours, at=now)
        return not (has_booked or self.has_raced or self.result.differences or self._is_short())

    def _snapshot(self, now: datetime) -> AccountSnapshot:
        return self.ledger.account_snapshot(
            moving_since=now - self.timing.quiet, late_since=now - self.timing.late_fills
        )

    def _book(self, compared: Comparison, ours: AccountSnapshot, *, at: datetime) -> bool:
        """Book what the comparison proves; whether there was anything."""
        booked = book_comparison(
            self.ledger,
            ours,
            compared,
            self.result,
            accepted_difference=self.accepted_difference,
            accepted_shares=self.accepted_shares,
            at=at,
            mode=self.mode,
        )
        self.result, self.has_raced = booked.result, booked.has_raced
        return booked.has_booked

    def _is_short(self) -> bool:
        """Whether cash is missing beyond what is on its way: nothing may be traded on it."""
        found = self.comparison
        if found is None or found.cash is not CashAnswer.TOO_EARLY:
            return False
        return found.cash_difference_usdc < 0

    def _verdict(self) -> ReconcileVerdict:
        if self.result.problems or self.comparison is None or self.has_raced:
            return ReconcileVerdict.INCOMPLETE
        if self.result.differences:
            return ReconcileVerdict.HALTED
        if self._is_short():
            return ReconcileVerdict.INCOMPLETE
        return ReconcileVerdict.EXPLAINED if self.result.waiting else ReconcileVerdict.AGREED

    def _watermark(self) -> datetime:
        """Return from where on trades must be read again: everything before is final."""
        instants = [self.result.started_at]
        if self.ours is not None:
            instants += [order.created_at for order in self.ours.open_orders]
            instants += [
                moving.fill.filled_at
                for moving in self.ours.moving
                if moving.fill.status not in (FillStatus.CONFIRMED, FillStatus.FAILED)
            ]
        return min(instants) - self.timing.overlap

    def _agreed_fill_count(self) -> int:
        if self.ours is None or self.comparison is None:
            return 0
        # Also while they move: a deposit that comes next is then told from what they cost.
        is_proved = self.comparison.proves_fills and not self.result.differences
        return self.ours.fill_count + self.ours.void_count if is_proved else 0

    def _halt(self) -> None:
        alert = reconciliation_alert(self.result, mode=self.mode)
        self.ledger.add_alert(alert, at=self.result.started_at)
        if self.ledger.trading_state().state is TradingState.HALTED:
            return
        change = TradingStateChange(
            state=TradingState.HALTED,
            reason="; ".join(self.result.differences),
            by="reconcile",
            changed_at=self.result.started_at,
        )
        self.ledger.set_trading_state(change, alert=trading_state_alert(change, mode=self.mode))

    def _add(self, **found: tuple[Any, ...]) -> None:
        grown = {name: getattr(self.result, name) + values for name, values in found.items()}
        self.result = replace(self.result, **grown)


def _foreign_order(order: VenueOrder) -> ForeignOrder:
    return ForeignOrder(
        order_id=order.order_id,
        condition_id=order.condition_id,
        token_id=order.token_id,
        side=order.side,
        price=order.price,
        size=order.original_size,
    )
