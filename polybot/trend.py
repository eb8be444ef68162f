"""One window of the trend pipeline, apart from its steps: which, how late, and its record.

Decides nothing about the market; see ``polybot.signals`` and ``polybot.risk`` for that.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from polybot.domain.books import OrderBook
from polybot.domain.decisions import Decision, Verdict, summarise_book, trend_key
from polybot.domain.markets import Market, MarketSeries, MarketWindow
from polybot.domain.money import text_of
from polybot.domain.orders import ApprovedOrder, ExpectedFill, RefusedOrder
from polybot.domain.signals import Direction, Signal
from polybot.errors import DataError, PermanentError, TransientError


class DecisionDraft:
    """A decision in the making: keeps what is known so far, whatever ends the run."""

    def __init__(self, decision: Decision) -> None:
        """Start from the claimed decision."""
        self.decision = decision
        self.market: Market | None = None
        self.expected: ExpectedFill | None = None

    def note(self, **known: Any) -> Decision:
        """Add what became known and return the decision so far."""
        self.decision = replace(self.decision, **known)
        return self.decision

    def note_market(self, market: Market) -> None:
        """Add the market, with its price to beat where the venue gave one."""
        self.market = market
        self.note(
            condition_id=market.condition_id,
            question=market.question,
            price_to_beat=market.price_to_beat,
        )

    def note_signal(self, signal: Signal) -> None:
        """Add the forecast; HOLD is a verdict of its own."""
        self.note(direction=signal.direction, signal_reason=signal.reason)
        if signal.direction is Direction.HOLD:
            self.note(verdict=Verdict.HELD, reason=signal.reason)

    def note_risk(self, answer: ApprovedOrder | RefusedOrder, book: OrderBook) -> None:
        """Add the risk answer with every check, and the book it was based on."""
        limit_price = answer.order.limit_price if answer.order else None
        self.expected = answer.expected
        self.note(checks=answer.checks, book=summarise_book(book, limit_price=limit_price))
        if isinstance(answer, RefusedOrder):
            self.note(verdict=Verdict.REFUSED, reason=answer.reason)
        elif answer.expected is not None:
            self.note(reason=_expectation(answer.expected))

    def note_skip(self, problem: Exception) -> None:
        """Turn a problem into a skip, with its reason."""
        self.note(verdict=Verdict.SKIPPED, reason=f"{reason_slug(problem)}: {problem}")


def windows_due(
    series: tuple[MarketSeries, ...], due: datetime, *, max_lateness: timedelta
) -> tuple[MarketWindow, ...]:
    """Return the windows that a run is about: those that start when it was due.

    Args:
        series: The series to trade; each acts on its own grid (a 4-hour series four times fewer).
        due: When the run was scheduled, whenever it actually begins.
        max_lateness: A run by hand may be due so much after a window's start.
    """
    windows = (one.window_at(due) for one in series)
    return tuple(window for window in windows if due - window.start <= max_lateness)


def name_of(windows: tuple[MarketWindow, ...]) -> str:
    """Return how a run is called: by its window, and how many more there are."""
    if not windows:
        return "no-window-starts-now"
    more = f" +{len(windows) - 1}" if len(windows) > 1 else ""
    return f"{windows[0].slug}{more}"


def open_decision(
    strategy: str, window: MarketWindow, *, run_name: str, at: datetime
) -> DecisionDraft:
    """Return the PENDING decision with which a run claims a window."""
    return DecisionDraft(
        Decision(
            key=trend_key(strategy, window),
            strategy=strategy,
            window=window,
            verdict=Verdict.PENDING,
            reason="",
            decided_at=at,
            run_name=run_name,
        )
    )


def refuse_late(window: MarketWindow, *, now: datetime, max_lateness: timedelta) -> None:
    """Stop a run that is too late for its window, or comes before it.

    Raises:
        DataError: The window is not this run's to trade any more (``too-late``) or not yet
            (``too-early``).
    """
    lateness = now - window.start
    if lateness > max_lateness:
        raise DataError(
            f"the run came {lateness.total_seconds():.0f} s after the window's start, "
            f"at most {max_lateness.total_seconds():.0f} s are allowed",
            reason="too-late",
        )
    if lateness < timedelta(0):
        raise DataError(
            f"the window starts in {-lateness.total_seconds():.0f} s", reason="too-early"
        )


def reason_slug(problem: Exception) -> str:
    """Return the short stable name by which problems are counted."""
    match problem:
        case DataError():
            return problem.reason
        case PermanentError():
            return "source-refused"
        case TransientError():
            return "not-answered"
        case _:
            return "no-time-left"


def _expectation(expected: ExpectedFill) -> str:
    return (
        f"expected {text_of(expected.size)} shares at {text_of(expected.average_price)} for "
        f"{text_of(expected.cost_usdc)} USDC, fee {text_of(expected.fee_usdc)}, half spread "
        f"{text_of(expected.half_spread_usdc)}, break-even at {expected.break_even:.4f}"
    )
