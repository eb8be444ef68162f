"""What a demo brought: read from the ledger, printed as a table or as one JSON object."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from deployments.copy_results import CopyingResult
from polybot.domain.accounts import AccountTotals, Settlement
from polybot.domain.decisions import Decision, Verdict, trend_key
from polybot.domain.markets import MarketWindow, Outcome
from polybot.domain.money import text_of
from polybot.domain.orders import Fill, FillStatus
from polybot.ports import Ledger

# An average of several fills; the fills themselves are on the tick grid.
_PRICE_STEP = Decimal("0.000001")
# Reads everything that was settled after the last window, however late.
_LATEST = timedelta(days=365)


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowResult:
    """What became of one window."""

    window: MarketWindow
    decision: Decision | None
    fills: tuple[Fill, ...]
    settlement: Settlement | None
    winner: Outcome | None
    """As the venue resolved it, traded or not; ``None`` while undecided or where it voided."""

    @property
    def is_decided(self) -> bool:
        """Whether the window has its final record."""
        return self.decision is not None and self.decision.verdict is not Verdict.PENDING

    @property
    def shares(self) -> Decimal:
        """Filled [shares]."""
        return sum((fill.size for fill in self.fills), Decimal(0))

    @property
    def fill_price(self) -> Decimal | None:
        """Average price paid [USDC/share]."""
        if not self.fills:
            return None
        cost = sum((fill.price * fill.size for fill in self.fills), Decimal(0))
        return (cost / self.shares).quantize(_PRICE_STEP, ROUND_HALF_EVEN)

    @property
    def fee_usdc(self) -> Decimal:
        """Fees of this window's fills [USDC]."""
        return sum((fill.fee_usdc for fill in self.fills), Decimal(0))

    def as_json(self) -> dict[str, Any]:
        """Return the documented keys, money as decimal text."""
        decision, settlement = self.decision, self.settlement
        traded = bool(self.fills)
        direction = decision.direction if decision else None
        return {
            "slug": self.window.slug,
            "start": self.window.start.isoformat().replace("+00:00", "Z"),
            "direction": str(direction) if direction else None,
            "reason": decision.reason if decision else None,
            "verdict": str(decision.verdict) if decision else None,
            "order_id": decision.order_id if decision else None,
            "fill_price": _text(self.fill_price),
            "shares": _text(self.shares),
            "fee_usdc": _text(self.fee_usdc),
            "outcome": str(self.winner) if self.winner else None,
            "payout_usdc": _text(settlement.payout_usdc) if settlement and traded else None,
            "pnl_usdc": _text(settlement.pnl_usdc) if settlement and traded else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoResult:
    """Everything a demo prints at its end."""

    windows: tuple[WindowResult, ...]
    copying: CopyingResult | None
    """``None`` where a recording has no window left for it."""
    flow_runs: Mapping[str, int]
    totals: AccountTotals
    starting_cash_usdc: Decimal
    wall_s: float

    @property
    def is_good(self) -> bool:
        """Whether every window was decided and every run completed, but for the one that copies."""
        copying = 0 if self.copying is None else 1
        ended = {name: count for name, count in self.flow_runs.items() if name != "Running"}
        return (
            all(item.is_decided for item in self.windows)
            and set(ended) <= {"Completed"}
            and self.flow_runs.get("Running", 0) == copying
        )

    def as_json(self) -> str:
        """Return one JSON object, money as decimal text."""
        body = {
            "windows": [item.as_json() for item in self.windows],
            "copying": None if self.copying is None else self.copying.as_json(),
            "flow_runs": dict(self.flow_runs),
            "orders": sum(1 for item in self.windows if item.decision and item.decision.order_id),
            "fills": sum(len(item.fills) for item in self.windows),
            "settled": sum(1 for item in self.windows if item.settlement),
            "cash_usdc": _text(self.totals.cash_usdc),
            "equity_usdc": _text(self.totals.equity_usdc),
            "realised_pnl_usdc": _text(self.totals.realised_pnl_usdc),
            "fees_usdc": _text(self.totals.fees_usdc),
            "starting_cash_usdc": _text(self.starting_cash_usdc),
            "wall_s": round(self.wall_s, 1),
        }
        return msgspec.json.encode(body).decode()

    def print_to(self, console: Console) -> None:
        """Print the table of windows and the sums below it."""
        table = Table(title="Windows", title_justify="left", header_style="bold")
        for name in ("window (UTC)", "direction and reason", "verdict"):
            table.add_column(name, overflow="fold")
        for name in ("fill", "shares", "fee", "outcome", "P&L"):
            table.add_column(name, justify="right", no_wrap=True)
        for item in self.windows:
            table.add_row(*_cells(item))
        console.print(table)
        if self.copying is not None:
            self.copying.print_to(console)
        totals = self.totals
        runs = ", ".join(f"{count} {state}" for state, count in sorted(self.flow_runs.items()))
        console.print(
            f"cash {text_of(totals.cash_usdc)} · equity {text_of(totals.equity_usdc)} · "
            f"realised P&L {_signed(totals.realised_pnl_usdc)} · fees {text_of(totals.fees_usdc)} "
            f"[dim](USDC; began with {text_of(self.starting_cash_usdc)})[/]",
            highlight=False,
        )
        console.print(f"flow runs: {runs} · {self.wall_s:.0f} s", highlight=False)


def read_results(
    ledger: Ledger,
    windows: Sequence[MarketWindow],
    *,
    strategy: str,
    winners: Mapping[MarketWindow, Outcome | None],
) -> tuple[WindowResult, ...]:
    """Read what the ledger says about windows, oldest first."""
    since, until = windows[0].start, windows[-1].end + _LATEST
    settled = {item.window: item for item in ledger.settlements_between(since, until)}
    return tuple(
        _read_window(ledger, window, strategy, settled.get(window), winners.get(window))
        for window in windows
    )


def _read_window(
    ledger: Ledger,
    window: MarketWindow,
    strategy: str,
    settlement: Settlement | None,
    winner: Outcome | None,
) -> WindowResult:
    decision = ledger.decision(trend_key(strategy, window))
    order_id = decision.order_id if decision else None
    fills = ledger.fills_of(order_id) if order_id else ()
    return WindowResult(
        window=window,
        decision=decision,
        fills=tuple(fill for fill in fills if fill.status is not FillStatus.FAILED),
        settlement=settlement,
        winner=winner,
    )


def describe(item: WindowResult) -> str:
    """Return one line about a window for the progress display."""
    decision = item.decision
    if decision is None:
        return f"{_span(item.window)}  not decided"
    direction = str(decision.direction or "–")
    what = f"{_span(item.window)}  {direction:<4}  {decision.verdict}"
    if item.fills:
        what += f"  {text_of(item.shares)} shares at {_text(item.fill_price)}"
    return what


def _cells(item: WindowResult) -> tuple[str, ...]:
    from rich.markup import escape  # noqa: PLC0415

    decision, settlement = item.decision, item.settlement
    traded = bool(item.fills)
    why = (decision.signal_reason or decision.reason) if decision else "no decision"
    direction = str(decision.direction or "–") if decision else "–"
    verdict = str(decision.verdict) if decision else "missing"
    return (
        _span(item.window),
        f"[bold]{direction}[/] {escape(why)}",
        verdict,
        _text(item.fill_price) or "–",
        text_of(item.shares) if traded else "–",
        text_of(item.fee_usdc) if traded else "–",
        str(item.winner) if item.winner else "–",
        _signed(settlement.pnl_usdc) if settlement and traded else "–",
    )


def _span(window: MarketWindow) -> str:
    return f"{_day(window.start)} {window.start:%H:%M}-{window.end:%H:%M}"


def _day(instant: datetime) -> str:
    return f"{instant:%m-%d}"


def _signed(amount: Decimal) -> str:
    colour = "green" if amount > 0 else "red" if amount < 0 else "default"
    sign = "+" if amount > 0 else ""
    return f"[{colour}]{sign}{text_of(amount)}[/]"


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else text_of(amount)
