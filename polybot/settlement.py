"""Closing what has ended: abandoned decisions, marks of open positions, resolved windows.

Reads the venue's resolution and nothing else: a price of ours never settles a window. What the
venue has not decided yet is left for the next minute.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from polybot.domain.accounts import Position, Settlement
from polybot.domain.alerts import Alert
from polybot.domain.decisions import Decision, Verdict
from polybot.domain.markets import MarketWindow
from polybot.errors import DataError, TransientError
from polybot.ports import Ledger, MarketData


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementRound:
    """What one pass over the ended windows achieved."""

    settled: tuple[Settlement, ...]
    undecided: tuple[MarketWindow, ...]
    """Ended, held, and not resolved by the venue yet."""
    problems: tuple[str, ...]
    """One sentence a window that could not be settled, with the cause."""


async def settle_ended_windows(
    ledger: Ledger,
    market_data: MarketData,
    *,
    at: datetime,
    alert_for: Callable[[Settlement], Alert] | None = None,
) -> SettlementRound:
    """Settle every held window that has ended and that the venue has resolved.

    Args:
        ledger: Where positions are held and settlements are booked.
        market_data: Where the venue's resolution is read.
        at: The current instant; windows that end later are left alone.
        alert_for: Builds the alert that is stored together with the settlement.
    """
    settled: list[Settlement] = []
    undecided: list[MarketWindow] = []
    problems: list[str] = []
    for window in _ended_windows(ledger.positions(), at):
        try:
            resolution = await market_data.resolution(window)
            if resolution is None:
                undecided.append(window)
                continue
            settlement = ledger.settle(resolution, at=at, alert_for=alert_for)
        except (DataError, TransientError) as problem:
            problems.append(f"{window.slug}: {problem}")
            continue
        if settlement is not None:
            settled.append(settlement)
    return SettlementRound(
        settled=tuple(settled), undecided=tuple(undecided), problems=tuple(problems)
    )


async def mark_open_positions(
    ledger: Ledger, market_data: MarketData, *, at: datetime
) -> tuple[str, ...]:
    """Record the best bid of every held token whose window still runs.

    A book that cannot be read keeps its last mark: an unknown bid is not a bid of zero.

    Returns:
        One sentence a token that could not be marked.
    """
    problems: list[str] = []
    for position in ledger.positions():
        if position.window.end <= at:
            continue
        try:
            book = await market_data.order_book(position.token_id)
        except (DataError, TransientError) as problem:
            problems.append(f"{position.window.slug} {position.outcome}: {problem}")
            continue
        ledger.mark_positions({position.token_id: book.best_bid}, at=at)
    return tuple(problems)


def close_abandoned_decisions(
    ledger: Ledger, *, at: datetime, max_lateness_s: float
) -> tuple[Decision, ...]:
    """Record a skip for every window whose run ended without deciding.

    A run that was killed leaves a PENDING decision. Once its window is too old for another run to
    take it up (twice the lateness that a run may have), it becomes a skip with that reason. An
    order that did leave has finished its decision already, so none is ever hidden by this.
    """
    closed: list[Decision] = []
    patience = timedelta(seconds=2 * max_lateness_s)
    for decision in ledger.pending_decisions():
        if at < decision.window.start + patience:
            continue
        skipped = replace(
            decision,
            verdict=Verdict.SKIPPED,
            reason=f"run-ended: {decision.run_name or 'the run'} ended before it decided",
            decided_at=at,
        )
        if ledger.finish_decision(skipped):
            closed.append(skipped)
    return tuple(closed)


def _ended_windows(positions: tuple[Position, ...], at: datetime) -> list[MarketWindow]:
    return sorted({position.window for position in positions if position.window.end <= at})
