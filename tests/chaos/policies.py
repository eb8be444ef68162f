"""Four ways to submit an order, on the same venue: three that are common, and ours.

Each runs a decision (again, when it is told to), looks after its orders, and tells which orders
and which fills it knows. All four know about trades what the venue tells of the orders they kept;
they differ in what they keep, when, and in what they do when an answer does not come.
"""

import json
import shutil
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from polybot.adapters.polymarket.clob_client import RawAnswer
from polybot.adapters.polymarket.exchange import PolymarketExchange
from polybot.adapters.polymarket.order_fields import fields_of, new_salt
from polybot.adapters.polymarket.order_wire import build_order_body
from polybot.adapters.polymarket.signing import SignedOrder
from polybot.adapters.polymarket.venue_memory import VenueMemory
from polybot.adapters.storage.ledger import SqlLedger, open_ledger
from polybot.domain.decisions import Decision, Verdict
from polybot.domain.modes import Mode
from polybot.domain.orders import FillStatus, Order
from polybot.errors import TransientError
from polybot.execution import place
from polybot.reconciliation import reconcile_account
from polybot.risk import RiskLimits
from tests.builders import build_approved, build_decision
from tests.chaos.venue_in_process import Killed, VenueInProcess

MOST_TRIES = 3


class Policy(Protocol):
    """How orders are submitted."""

    async def run(self, order: Order) -> None:
        """Carry out a decision that is due; a process may die in here."""
        ...

    async def look_after(self) -> None:
        """Do what is done every minute."""
        ...

    def orders(self) -> set[str]:
        """Return the ids of all orders that are known."""
        ...

    def fills(self) -> set[tuple[str, str]]:
        """Return order and trade of every fill that is believed."""
        ...


@dataclass
class Journal:
    """What the simple policies keep; written means durable."""

    done: dict[str, str] = field(default_factory=dict)
    """What became of each decision."""
    orders: dict[str, str] = field(default_factory=dict)
    """The decision of each order."""
    fills: set[tuple[str, str]] = field(default_factory=set)


class Simple:
    """What the three common policies share."""

    def __init__(self, venue: VenueInProcess) -> None:
        self.venue = venue
        self.journal = Journal()

    async def look_after(self) -> None:
        """Read the trades of the orders that were kept."""
        await self.venue.sleep(0)
        try:
            seen = await self.venue.account.trades(after=await _long_ago(self.venue))
        except TransientError:
            return
        for trade in seen.trades:
            if trade.order_id in self.journal.orders:
                key = (trade.order_id, trade.trade_id)
                is_void = trade.status.as_fill is FillStatus.FAILED
                (self.journal.fills.discard if is_void else self.journal.fills.add)(key)

    def orders(self) -> set[str]:
        return set(self.journal.orders)

    def fills(self) -> set[tuple[str, str]]:
        return set(self.journal.fills)

    async def sign(self, order: Order) -> SignedOrder:
        """Return a new order, which no other has the id of."""
        timestamp_ms = self.venue.clock.now_ms()
        return self.venue.signer.sign(
            fields_of(order, self.venue.trading, salt=new_salt(), timestamp_ms=timestamp_ms)
        )

    async def send(self, signed: SignedOrder) -> str:
        """Return ``taken``, ``refused``, or ``unclear``."""
        credentials = await self.venue.client.credentials()
        body = build_order_body(signed, owner=credentials.key_id)
        answer = await self.venue.client.post_order(body, credentials, at=await self.venue.now())
        if not isinstance(answer, RawAnswer):
            return "unclear"
        try:
            found = json.loads(answer.body)
        except ValueError:
            return "unclear"
        if answer.status == 200:
            is_taken = isinstance(found, dict) and found.get("success") and found.get("orderID")
            return "taken" if is_taken else "unclear"
        return "refused" if answer.status == 400 else "unclear"


class NaiveRetry(Simple):
    """No answer: build the order again and send that."""

    async def run(self, order: Order) -> None:
        if order.decision_key in self.journal.done:
            return
        answer = ""
        for _ in range(MOST_TRIES):
            signed = await self.sign(order)
            answer = await self.send(signed)
            if answer == "taken":
                self.journal.orders[signed.order_id] = order.decision_key
            if answer != "unclear":
                break
            await self.venue.sleep(1)
        self.journal.done[order.decision_key] = answer


class CommitAfterResponse(Simple):
    """Send, then write down what came of it; nothing came: nothing is written."""

    async def run(self, order: Order) -> None:
        if order.decision_key in self.journal.done:
            return
        signed = await self.sign(order)
        answer = await self.send(signed)
        if answer == "unclear":
            return
        if answer == "taken":
            self.journal.orders[signed.order_id] = order.decision_key
        self.journal.done[order.decision_key] = answer


class NotFoundMeansFailed(Simple):
    """Write the id down, send, and ask for it where no answer came; unknown there: send anew."""

    async def run(self, order: Order) -> None:
        if order.decision_key in self.journal.done:
            return
        if await self._is_there(order.decision_key):
            return
        signed = await self.sign(order)
        self.journal.orders[signed.order_id] = order.decision_key
        answer = await self.send(signed)
        if answer == "unclear":
            await self.venue.sleep(2)
            await self._is_there(order.decision_key)
        else:
            self.journal.done[order.decision_key] = answer
            if answer == "refused":
                del self.journal.orders[signed.order_id]

    async def _is_there(self, key: str) -> bool:
        for order_id in [one for one, decision in self.journal.orders.items() if decision == key]:
            try:
                found = await self.venue.account.order(order_id)  # type: ignore[arg-type]
            except TransientError:
                return True
            if found is not None:
                self.journal.done[key] = "taken"
                return True
            # It is not there, so it failed.
            del self.journal.orders[order_id]
        return False


class DyingLedger:
    """A ledger whose process dies in its request: nothing is written on the way out."""

    def __init__(self, ledger: SqlLedger, venue: VenueInProcess) -> None:
        self._ledger = ledger
        self._venue = venue

    def __getattr__(self, name: str) -> Any:
        if name == "record_report" and self._venue.crash:
            raise Killed
        return getattr(self._ledger, name)


class Ours:
    """The bot's own ``place`` and ``reconcile_account`` on its ledger and its live adapter."""

    def __init__(
        self, venue: VenueInProcess, home: Path, ledger: bytes, limits: RiskLimits
    ) -> None:
        self.venue = venue
        self._limits = limits
        self._path = home / "live.db"
        self._memory = home / "venue"
        shutil.rmtree(self._memory, ignore_errors=True)
        for leftover in home.glob("live.db*"):
            leftover.unlink()
        self._path.write_bytes(ledger)
        self._open()

    def _open(self) -> None:
        self._ledger = open_ledger(self._path, mode=Mode.LIVE)
        self._exchange = PolymarketExchange(
            self.venue.client,
            self.venue.signer,
            self.venue.trading,
            market_data=self.venue,  # type: ignore[arg-type]
            clock=self.venue,
            memory=VenueMemory(self._memory),
        )

    async def run(self, order: Order) -> None:
        decision: Decision = build_decision(
            key=order.decision_key,
            window=order.market.window,
            condition_id=order.market.condition_id,
            decided_at=await self.venue.now(),
        )
        earlier = self._ledger.claim_decision(decision)
        if earlier is not None and earlier.verdict is not Verdict.PENDING:
            return
        try:
            await place(
                build_approved(order),
                decision,
                exchange=self._exchange,
                ledger=DyingLedger(self._ledger, self.venue),  # type: ignore[arg-type]
                clock=self.venue,
                limits=self._limits,
            )
        except Killed:
            self.close()
            self._open()
            raise

    async def look_after(self) -> None:
        await reconcile_account(
            self._ledger,
            self._exchange,
            self.venue.account,
            self.venue,
            mode=Mode.LIVE,
        )

    def orders(self) -> set[str]:
        return set(self._ask("select order_id, '' from orders"))

    def fills(self) -> set[tuple[str, str]]:
        return set(self._ask("select order_id, trade_id from fills where status <> 'FAILED'", 2))

    def problems(self) -> tuple[str, ...]:
        """Return what is wrong with the books, and whether trading was halted."""
        state = self._ledger.trading_state()
        halted = (f"halted: {state.reason}",) if state.state != "active" else ()
        return (*self._ledger.violations(), *halted)

    def close(self) -> None:
        self._ledger.close()

    def _ask(self, query: str, columns: int = 1) -> list[Any]:
        with self._ledger._database.reading() as connection:
            rows = connection.exec_driver_sql(query).fetchall()
        return [row[0] if columns == 1 else tuple(row) for row in rows]


async def _long_ago(venue: VenueInProcess) -> datetime:
    return await venue.now() - timedelta(hours=6)
