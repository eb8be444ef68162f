"""Looks into the trader's ledger when an order arrives: its id must be durable there already.

The ledger is opened read-only, as SQLite, and only its intents and orders are read. By the bot's
own SQLite library: two of them in one process would undo each other's locks, and a bot may run in
ours.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

from polybot.sandbox.exchange.checks import domain_of
from polybot.sandbox.exchange.rules import EXCHANGES
from polybot.sandbox.exchange.submissions import SentOrder
from polybot.sandbox.listing import VenueMarket
from polybot.sqlite_driver import sqlite_module

_BUSY_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A promise that the trader broke."""

    kind: str
    """``not-durable-first``, ``second-order-for-decision`` or ``ledger-unreadable``."""
    order_id: str
    detail: str
    at_ms: int


class LedgerWatch:
    """Keeps what it saw: which decision each order id belonged to, and every violation."""

    def __init__(self, path: Path) -> None:
        """Take the ledger's file; it need not exist yet."""
        self._path = path
        self._orders: dict[str, str] = {}
        self.looked = 0
        self.violations: list[Violation] = []

    def look(self, order: SentOrder, market: VenueMarket | None, now_ms: int) -> None:
        """Check one order that has just arrived, before anything is answered."""
        from polybot.sandbox.exchange import typed_data  # noqa: PLC0415 - keeps start-up light

        self.looked += 1
        domains = EXCHANGES if market is None else (domain_of(market), *EXCHANGES)
        first_id = ""
        for domain in domains:
            order_id = typed_data.order_hash(order, domain)
            first_id = first_id or order_id
            try:
                decision = self._decision_of(order_id)
            except sqlite_module().OperationalError as error:
                self._record("ledger-unreadable", first_id, str(error), now_ms)
                return
            if decision is not None:
                self._note(decision, order_id, now_ms)
                return
        self._record("not-durable-first", first_id, "no such order in the ledger", now_ms)

    def summary(self) -> dict[str, object]:
        """Return what the status page shows."""
        return {
            "path": str(self._path),
            "looked": self.looked,
            "violations": [asdict(one) for one in self.violations],
        }

    def _note(self, decision: str, order_id: str, now_ms: int) -> None:
        known = self._orders.setdefault(decision, order_id)
        if known != order_id:
            self._record(
                "second-order-for-decision", order_id, f"{decision} already sent {known}", now_ms
            )

    def _record(self, kind: str, order_id: str, detail: str, now_ms: int) -> None:
        self.violations.append(Violation(kind=kind, order_id=order_id, detail=detail, at_ms=now_ms))

    def _decision_of(self, order_id: str) -> str | None:
        if not self._path.exists():
            return None
        ledger = sqlite_module().connect(
            f"{self._path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_S
        )
        try:
            row = ledger.execute(
                "SELECT decision_key FROM intents WHERE order_id = ?1 "
                "UNION ALL SELECT decision_key FROM orders WHERE order_id = ?1",
                (order_id,),
            ).fetchone()
        except sqlite_module().OperationalError as error:
            # Without a table nothing is durable there; a ledger that stays locked proves nothing.
            if "no such table" in str(error):
                return None
            raise
        finally:
            ledger.close()
        return None if row is None else str(row[0])
