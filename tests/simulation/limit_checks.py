"""The limits, by what is true and not by what the ledger believes: invariants 7 and 8."""

from collections import Counter

from tests.simulation.evidence import ABSENT, DAY_US, MICRO, OPEN, Evidence
from tests.simulation.rows import Row


class LimitChecks:
    """Looks at the order that was just allowed."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._rows = evidence.rows
        self._truth = evidence.truth

    def check(self) -> None:
        """An order was allowed: by what is true, it may not have passed any limit."""
        order = self._rows.table("orders")[-1]
        state = self._rows.one("SELECT state FROM trading_states ORDER BY id DESC LIMIT 1")
        is_buy = order["side"] == "BUY"
        self._evidence.checks.update(("I7", "I8"))
        said = "active" if state is None else state["state"].lower()
        if said != "active" and (is_buy or said != "reducing"):
            self._evidence.fail(f"I8 an order was allowed while trading was {said}")
        self._check_reconciled(order)
        beside = self._rows.one(
            "SELECT order_id FROM orders WHERE condition_id = ? AND order_id != ? "
            "AND status IN ('sending', 'unknown')",
            order["condition_id"],
            order["order_id"],
        )
        if beside is not None:
            self._evidence.fail("I8 an order was allowed beside one of unknown fate in its market")
        if is_buy:
            self._check_limits(order)

    def _check_reconciled(self, order: Row) -> None:
        found = self._rows.one("SELECT * FROM reconciliation")
        is_fine = (
            found is not None
            and found["verdict"] in ("agreed", "explained")
            and found["reconciled_at"] is not None
            and order["created_at"] - found["reconciled_at"] <= self._evidence.caps.reconcile_age_us
        )
        if not is_fine:
            self._evidence.fail("I8 an order was allowed on books that were not reconciled")

    def _check_limits(self, order: Row) -> None:
        caps, account = self._evidence.caps, self._rows.account()
        by_market = self._at_risk()
        total = sum(by_market.values())
        if by_market[order["condition_id"]] > caps.window:
            self._evidence.fail(f"I7 {by_market[order['condition_id']]} at risk in a window")
        if total > caps.total:
            self._evidence.fail(f"I7 {total} at risk of at most {caps.total}")
        claimed = self._claims()
        if account["cash"] - claimed < caps.min_cash:
            self._evidence.fail(f"I7 {account['cash'] - claimed} left of at least {caps.min_cash}")
        if order["budget"] > caps.stake:
            self._evidence.fail(f"I7 an order may spend {order['budget']} of at most {caps.stake}")
        day = order["created_at"] // DAY_US
        count = sum(
            row["created_at"] // DAY_US == day and row["status"] not in ABSENT
            for row in self._rows.table("orders")
        )
        if count > caps.trades:
            self._evidence.fail(f"I7 {count} orders today of at most {caps.trades}")
        opened = self._rows.one("SELECT opening_equity FROM days WHERE day = ?", day)
        equity = account["cash"] + sum(
            row["size"] * (row["bid"] or 0) // MICRO
            for row in self._rows.table("positions")
            if row["size"] > 0
        )
        loss = max(0, (opened["opening_equity"] if opened else 0) - equity) + claimed
        if loss > caps.daily_loss:
            self._evidence.fail(f"I7 the day could lose {loss} of at most {caps.daily_loss}")

    def _claims(self) -> int:
        """What all orders that may still fill can cost: by the venue where it knows them."""
        claims = 0
        filled: Counter[str] = Counter()
        for row in self._rows.table("fills"):
            if row["side"] == "BUY" and row["was_booked"]:
                filled[row["order_id"]] += -(-row["size"] * row["price"] // MICRO) + row["fee"]
        for row in self._rows.table("orders"):
            if row["side"] == "BUY" and self._may_cost(row):
                claims += max(row["max_outlay"] - filled[row["order_id"]], 0)
        return claims

    def _at_risk(self) -> Counter[str]:
        """Return what each market has at risk: what was paid for it, and what may be."""
        risk: Counter[str] = Counter()
        filled: Counter[str] = Counter()
        settled = {row["condition_id"] for row in self._rows.table("settlements")}
        cost: Counter[str] = Counter()
        size: Counter[str] = Counter()
        market_of: dict[str, str] = {}
        for row in self._rows.all(
            "SELECT f.*, o.condition_id FROM fills f JOIN orders o USING (order_id) ORDER BY f.id"
        ):
            gross = -(-row["size"] * row["price"] // MICRO)
            if row["side"] == "BUY" and row["was_booked"]:
                filled[row["order_id"]] += gross + row["fee"]
            if row["status"] == "FAILED" or row["condition_id"] in settled:
                continue
            token = row["token_id"]
            market_of[token] = row["condition_id"]
            if row["side"] == "BUY":
                cost[token] += gross
                size[token] += row["size"]
            elif size[token] > 0:
                # Sold shares take their part of the cost; rounded so that none is overstated.
                cost[token] -= -(-cost[token] * row["size"] // size[token])
                size[token] -= row["size"]
        for token, amount in cost.items():
            risk[market_of[token]] += amount
        for row in self._rows.table("orders"):
            if row["side"] == "BUY" and self._may_cost(row):
                risk[row["condition_id"]] += max(row["max_outlay"] - filled[row["order_id"]], 0)
        return risk

    def _may_cost(self, order: Row) -> bool:
        return order["status"] in OPEN or self._truth.may_fill(order["order_id"])
