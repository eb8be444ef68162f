"""What the demo's copying brought: one row a leader's trade, and the counts by reason."""

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.table import Table

from polybot.copy_trading.status import summarise_latency
from polybot.domain.leaders import CopyRecord, CopyVerdict
from polybot.domain.money import text_of
from polybot.domain.orders import Fill


@dataclass(frozen=True, slots=True, kw_only=True)
class CopiedTrade:
    """One leader's trade with what was made of it."""

    record: CopyRecord
    fills: tuple[Fill, ...]
    latency_s: float
    """From the leader's fill until it was recorded with our order, by the machine's time [s]."""

    @property
    def shares(self) -> Decimal:
        """What we bought or sold [shares]."""
        return sum((fill.size for fill in self.fills), Decimal(0))

    @property
    def what(self) -> str:
        """What the leader did."""
        trade = self.record.trade
        return f"{trade.side} {text_of(trade.size)} at {text_of(trade.price)}"

    def describe(self) -> str:
        """Return one line for the progress display."""
        return f"leader: {self.what}  {self._outcome()}"

    def cells(self) -> tuple[str, ...]:
        """Return the row of the table."""
        from rich.markup import escape  # noqa: PLC0415

        record = self.record
        why = f"{record.verdict}" + (f": {record.reason}" if record.reason else "")
        return (
            f"{record.trade.traded_at:%m-%d %H:%M:%S}",
            self.what,
            escape(why),
            text_of(self.fills[0].price) if self.fills else "–",
            text_of(self.shares) if self.fills else "–",
            f"{self.latency_s * 1000:.0f} ms",
        )

    def as_json(self) -> dict[str, Any]:
        """Return the documented keys, money as decimal text."""
        trade, record = self.record.trade, self.record
        return {
            "side": str(trade.side),
            "size": text_of(trade.size),
            "price": text_of(trade.price),
            "verdict": str(record.verdict),
            "reason_code": record.reason_code or None,
            "order_id": record.order_id,
            "shares": text_of(self.shares),
        }

    def _outcome(self) -> str:
        if self.fills:
            return f"copied  {text_of(self.shares)} shares at {text_of(self.fills[0].price)}"
        return f"{self.record.verdict}  {self.record.reason_code}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyingResult:
    """Everything that one leader's trades brought."""

    leader: str
    trades: tuple[CopiedTrade, ...]

    def count(self, verdict: CopyVerdict) -> int:
        """Return how many trades ended so."""
        return sum(1 for trade in self.trades if trade.record.verdict is verdict)

    @property
    def skipped(self) -> dict[str, int]:
        """Trades that were not copied, by reason."""
        uncopied = (CopyVerdict.SKIPPED, CopyVerdict.REFUSED)
        codes = (one.record.reason_code for one in self.trades if one.record.verdict in uncopied)
        return dict(sorted(Counter(codes).items()))

    def as_json(self) -> dict[str, Any]:
        """Return the documented keys; ``latency_ms`` alone depends on the machine."""
        latency = summarise_latency(trade.latency_s for trade in self.trades)
        return {
            "leader": self.leader,
            "seen": len(self.trades),
            "copied": self.count(CopyVerdict.PLACED),
            "accumulated": self.count(CopyVerdict.ACCUMULATED),
            "skipped": self.skipped,
            "fills": sum(len(trade.fills) for trade in self.trades),
            "trades": [trade.as_json() for trade in self.trades],
            "latency_ms": {
                "p50": round(latency.p50_s * 1000, 1),
                "max": round(latency.max_s * 1000, 1),
            },
        }

    def print_to(self, console: Console) -> None:
        """Print the table of trades and the counts below it."""
        table = Table(title="Copied trades", title_justify="left", header_style="bold")
        table.add_column("leader's fill (UTC)", no_wrap=True)
        table.add_column("leader", no_wrap=True)
        table.add_column("what we made of it", overflow="fold")
        for name in ("fill", "shares", "heard and recorded in"):
            table.add_column(name, justify="right", no_wrap=True)
        for trade in self.trades:
            table.add_row(*trade.cells())
        console.print(table)
        latency = summarise_latency(trade.latency_s for trade in self.trades)
        reasons = ", ".join(f"{count} {code}" for code, count in self.skipped.items()) or "none"
        console.print(
            f"{len(self.trades)} leader trades seen · {self.count(CopyVerdict.PLACED)} copied · "
            f"{self.count(CopyVerdict.ACCUMULATED)} accumulated · not copied: {reasons} · "
            f"latency p50 {latency.p50_s * 1000:.0f} ms, longest {latency.max_s * 1000:.0f} ms",
            highlight=False,
        )
