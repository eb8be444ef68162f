"""What trading earned, from settlements and from the exported trade log.

Realised P&L of a row is its cash change plus the change of what we hold at cost, so fees count
on the day they are paid and a settlement counts on the day it is booked. Unrealised gains of open
positions are no part of it.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

from polybot.domain.accounts import Settlement, TradeLogKind, TradeLogRow
from polybot.domain.decisions import Decision, Verdict
from polybot.domain.money import ZERO_USDC, Usdc
from polybot.domain.orders import Side

EquityPoint = tuple[datetime, Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketResult:
    """One settled market and everything that it earned."""

    market: str
    settled_at: datetime
    result: str
    """``won``, ``lost`` or ``voided``."""
    pnl_usdc: Usdc
    """After all fees [USDC]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeMetrics:
    """Figures over settled markets; ``None`` where there is nothing to divide by."""

    settled_count: int
    won_count: int
    lost_count: int
    win_rate: Decimal | None
    """Won markets over won and lost ones [fraction]; voided markets do not count."""
    mean_pnl_usdc: Decimal | None
    """Mean P&L of a settled market, after fees [USDC], to 10⁻⁶."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DaySummary:
    """One UTC day in figures."""

    day: date
    window_count: int
    """Windows that started on this day and have a record."""
    decided_count: int
    """Windows whose signal and risk were looked at: traded, unfilled, held and refused ones."""
    traded_count: int
    """Windows with at least one fill."""
    unfilled_count: int
    """Windows whose order went out and has no fill."""
    held_count: int
    refused_count: int
    skipped_count: int
    pending_count: int
    not_traded_reasons: tuple[tuple[str, int], ...]
    """Reasons of refused and skipped windows with their count, most frequent first."""
    metrics: TradeMetrics
    """Of the markets that were settled on this day."""
    pnl_usdc: Usdc
    """Realised on this day, after fees [USDC]."""
    fees_usdc: Usdc
    """Paid on this day [USDC]."""


def realised_pnl(row: TradeLogRow) -> Usdc:
    """Return what a row of the log earned or cost [USDC]; a deposit earns nothing."""
    if row.kind is TradeLogKind.DEPOSIT:
        return ZERO_USDC
    return Usdc(row.cash_change_usdc + row.cost_usdc)


def market_results(settlements: Iterable[Settlement]) -> tuple[MarketResult, ...]:
    """Return what settled markets earned, in the order given."""
    return tuple(
        MarketResult(
            market=settlement.window.slug,
            settled_at=settlement.settled_at,
            result=_result(settlement),
            pnl_usdc=settlement.pnl_usdc,
        )
        for settlement in settlements
    )


def trade_metrics(results: Sequence[MarketResult]) -> TradeMetrics:
    """Return the figures of settled markets."""
    won = sum(result.result == "won" for result in results)
    lost = sum(result.result == "lost" for result in results)
    total = sum((result.pnl_usdc for result in results), Decimal(0))
    return TradeMetrics(
        settled_count=len(results),
        won_count=won,
        lost_count=lost,
        win_rate=Decimal(won) / (won + lost) if won + lost else None,
        mean_pnl_usdc=(total / len(results)).quantize(Decimal("0.000001")) if results else None,
    )


def equity_points(trade_log: Iterable[TradeLogRow]) -> tuple[EquityPoint, ...]:
    """Return cash plus position cost [USDC] after each deposit, sale and settlement.

    Open positions count at cost and not at the bid: the log holds no prices between the trades.
    Fees of a position that is still open are in the next point. Several changes at one instant
    give one point.
    """
    points: list[EquityPoint] = []
    equity = Decimal(0)
    for row in trade_log:
        equity += row.cash_change_usdc + row.cost_usdc
        is_sale = row.kind is TradeLogKind.FILL and row.side == Side.SELL
        if not is_sale and row.kind not in (TradeLogKind.DEPOSIT, TradeLogKind.SETTLEMENT):
            continue
        if points and points[-1][0] == row.timestamp:
            points.pop()
        points.append((row.timestamp, equity))
    return tuple(points)


def max_drawdown(points: Iterable[EquityPoint]) -> Decimal:
    """Return the deepest fall from a high before it [fraction, 0 to 1]; deposits are highs too."""
    high = deepest = Decimal(0)
    for _, equity in points:
        high = max(high, equity)
        if high > 0:
            deepest = max(deepest, 1 - equity / high)
    return deepest


def summarise_day(
    day: date,
    *,
    decisions: Iterable[Decision],
    settlements: Iterable[Settlement],
    trade_log: Sequence[TradeLogRow],
) -> DaySummary:
    """Return one UTC day in figures.

    Args:
        day: Windows count by their start, money by the instant it was booked.
        decisions: Any decisions; those of other days are left out.
        settlements: Any settlements; those of other days are left out.
        trade_log: The whole log, oldest first.
    """
    own = [decision for decision in decisions if decision.window.start.date() == day]
    filled = _filled_orders(trade_log)
    verdicts = Counter(decision.verdict for decision in own)
    traded = sum(d.verdict is Verdict.PLACED and d.order_id in filled for d in own)
    reasons = Counter(
        f"{decision.verdict}: {decision.reason}"
        for decision in own
        if decision.verdict in (Verdict.REFUSED, Verdict.SKIPPED)
    )
    today = [row for row in trade_log if _utc_day(row.timestamp) == day]
    settled = [s for s in settlements if _utc_day(s.settled_at) == day]
    return DaySummary(
        day=day,
        window_count=len(own),
        decided_count=verdicts[Verdict.PLACED] + verdicts[Verdict.HELD] + verdicts[Verdict.REFUSED],
        traded_count=traded,
        unfilled_count=verdicts[Verdict.PLACED] - traded,
        held_count=verdicts[Verdict.HELD],
        refused_count=verdicts[Verdict.REFUSED],
        skipped_count=verdicts[Verdict.SKIPPED],
        pending_count=verdicts[Verdict.PENDING],
        not_traded_reasons=tuple(reasons.most_common()),
        metrics=trade_metrics(market_results(settled)),
        pnl_usdc=Usdc(sum((realised_pnl(row) for row in today), Decimal(0))),
        fees_usdc=Usdc(sum((row.fee_usdc for row in today), Decimal(0))),
    )


def _filled_orders(trade_log: Iterable[TradeLogRow]) -> set[str]:
    # A fill that the venue voided is in the log a second time, with its size taken back.
    counts: Counter[str] = Counter()
    for row in trade_log:
        if row.kind is TradeLogKind.FILL:
            counts[row.order_id] += -1 if row.result == "failed" else 1
    return {order_id for order_id, count in counts.items() if count > 0}


def _result(settlement: Settlement) -> str:
    if settlement.winner is None:
        return "voided"
    return "won" if settlement.payout_usdc > 0 else "lost"


def _utc_day(instant: datetime) -> date:
    return instant.astimezone(UTC).date()
