"""What must be true after every step, computed again from what the venue did and what was sent.

The model reads the ledger's rows with SQL of its own and the venue's records, in integers of
10⁻⁶, and shares no code with the ledger's books, the limits or the reconciliation.

I1 cash is what came in, less what fills cost, plus what they paid; I2 no order fills beyond what
was signed; I3 positions are the fills that were not voided; I4 after reconciling, both sides know
the same open orders; I5 one decision has one order, sent once; I6 an order is durable before it
is sent; I7 no limit is passed, orders in flight included; I8 no new order while halted,
unreconciled, or beside one of unknown fate.
"""

from collections import Counter
from contextvars import ContextVar

from polybot.domain.markets import Outcome
from polybot.sandbox.exchange import typed_data
from polybot.sandbox.exchange.checks import domain_of
from polybot.sandbox.exchange.orders import TradeState
from polybot.sandbox.exchange.submissions import parse_submission
from tests.simulation.book_checks import BookChecks
from tests.simulation.evidence import ABSENT, OPEN, Evidence, Sent
from tests.simulation.limit_checks import LimitChecks

DECIDING: ContextVar[str] = ContextVar("DECIDING", default="")
"""What the run is deciding at present; it travels with the request to the venue."""


class InvariantError(AssertionError):
    """Something that must never be true was: the first word names the invariant."""


class Model:
    """Watches one ledger and one venue."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.steps = 0
        self._books = BookChecks(evidence)
        self._limits = LimitChecks(evidence)
        self._seen_over: dict[str, int] = {}
        """When the bot first saw enough to reconcile and an order was over at the venue."""

    # What the venue hears -----------------------------------------------------------------------
    def hear_order(self, body: bytes) -> None:
        """An order arrives: its id must be durable, its own decision's, and new."""
        try:
            found = parse_submission(body)
        except Exception as error:
            self.evidence.fail(f"I6 an order arrived that nobody can read: {error}")
            return
        market = self.evidence.truth.gateway.exchange.venue.listing.by_token(found.order.tokenId)
        if market is None:
            self.evidence.fail("I6 an order arrived for a token of no market")
            return
        order_id = typed_data.order_hash(found.order, domain_of(market))
        row = self.evidence.rows.one("SELECT * FROM orders WHERE order_id = ?", order_id)
        self.evidence.checks["I6"] += 1
        if row is None:
            self.evidence.fail(f"I6 order {order_id[:12]} was sent before it was durable")
            return
        self.evidence.checks["I5"] += 1
        if order_id in self.evidence.sent:
            self.evidence.fail(f"I5 order {order_id[:12]} was sent twice")
        for other_id, other in self.evidence.sent.items():
            if other.decision == DECIDING.get() and other_id != order_id:
                self.evidence.fail(f"I5 decision {other.decision} has a second order")
        self.evidence.sent[order_id] = Sent(
            DECIDING.get(),
            found.order.maker_amount,
            found.order.taker_amount,
            found.order.is_buy,
            found.orderType,
        )
        if row["status"] not in OPEN:
            self.evidence.fail(
                f"I7 order {order_id[:12]} arrived when it counted as {row['status']}"
            )
        if found.order.is_buy and found.order.maker_amount > row["budget"]:
            self.evidence.fail(
                f"I2 {found.order.maker_amount} were signed of a budget of {row['budget']}"
            )
        if not found.order.is_buy and found.order.maker_amount > row["size"]:
            self.evidence.fail(f"I2 {found.order.maker_amount} shares were signed of {row['size']}")

    # What the ledger does -----------------------------------------------------------------------
    def after(self, method: str, result: object, at_us: int) -> None:
        """Check everything that must hold after one of the ledger's transactions."""
        self.steps += 1
        self.evidence.rows.look_again()
        self._books.check()
        if method == "record_intent" and result == ():
            self._limits.check()

    def after_reconciling(self, at_us: int) -> None:
        """Both sides must know the same open orders; old riddles must be solved."""
        self.evidence.checks["I4"] += 1
        self.evidence.rows.look_again()
        rows = {row["order_id"]: row for row in self.evidence.rows.table("orders")}
        for order in self.evidence.truth.own_orders():
            row = rows.get(order.order_id)
            if row is None:
                self.evidence.fail(
                    f"I4 the venue's order {order.order_id[:12]} is not in the ledger"
                )
            elif not order.state.is_over and row["status"] not in OPEN:
                self.evidence.fail(
                    f"I4 order {order.order_id[:12]} is {row['status']} here and open there"
                )
        orders = self.evidence.truth.gateway.exchange.orders
        for order_id, row in rows.items():
            known = orders.get(order_id)
            age_us = at_us - row["created_at"]
            if row["status"] == "resting":
                is_over = known is not None and known.state.is_over
                seen_us = self._seen_over.setdefault(order_id, at_us) if is_over else at_us
                if known is None or at_us - seen_us > 120_000_000:
                    self.evidence.fail(f"I4 order {order_id[:12]} rests here and not at the venue")
            elif row["status"] in OPEN and age_us > 1_200_000_000:
                self.evidence.fail(
                    f"I4 order {order_id[:12]} is {row['status']} after {age_us // 10**6} s"
                )

    def at_the_end(self) -> None:
        """Nothing is on its way any more: everything must be equal to the last micro-USDC."""
        exchange = self.evidence.truth.gateway.exchange
        self.evidence.rows.look_again()
        self._books.check()
        fills: Counter[tuple[str, str]] = Counter()
        for row in self.evidence.rows.all("SELECT * FROM fills WHERE status != 'FAILED'"):
            fills[row["trade_id"], row["order_id"]] += row["size"]
        truth: Counter[tuple[str, str]] = Counter()
        for trade, order, parts in self.evidence.truth.own_trades():
            if trade.state is not TradeState.FAILED:
                truth[trade.trade_id, order.order_id] += sum(size for _, size in parts)
        if fills != truth:
            lost, invented = truth - fills, fills - truth
            self.evidence.fail(f"I3 fills lost: {dict(lost)}; fills invented: {dict(invented)}")
        for row in self.evidence.rows.all("SELECT order_id, status FROM orders"):
            known = exchange.orders.get(row["order_id"])
            if row["status"] in OPEN:
                self.evidence.fail(f"I4 order {row['order_id'][:12]} is still {row['status']}")
            if row["status"] in ABSENT and known is not None and known.matched:
                self.evidence.fail(
                    f"I4 order {row['order_id'][:12]} matched and counts as {row['status']}"
                )
        account = self.evidence.rows.account()
        unredeemed = sum(
            self._paid(row["condition_id"])
            for row in self.evidence.rows.all(
                "SELECT s.condition_id FROM settlements s LEFT JOIN redemptions r "
                "ON r.condition_id = s.condition_id "
                "WHERE r.state IS NULL OR r.state NOT IN ('confirmed', 'already')"
            )
        )
        if account["cash"] - unredeemed != self.evidence.truth.account.cash:
            self.evidence.fail(
                f"I1 the ledger's cash is {account['cash']} with {unredeemed} to be redeemed, "
                f"the venue's is {self.evidence.truth.account.cash}"
            )
        if exchange.audit()["missing"]:
            self.evidence.fail(f"the sandbox lost money: {exchange.audit()}")

    def _paid(self, condition_id: str) -> int:
        winner = self.evidence.truth.winner(condition_id)
        return sum(
            row["size"] * (1 if row["side"] == "BUY" else -1)
            for row in self.evidence.rows.all(
                "SELECT f.* FROM fills f JOIN orders o USING (order_id) "
                "WHERE o.condition_id = ? AND o.outcome = ? AND f.status != 'FAILED'",
                condition_id,
                Outcome(winner).value,
            )
        )
