"""The books, added up again from what happened: invariants 1 to 3, and what is held back."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from polybot.sandbox.exchange.orders import Trade, TradeState
from polybot.sandbox.exchange.orders import VenueOrder as SandboxOrder
from tests.simulation.evidence import ABSENT, DAY_US, MICRO, OPEN, Evidence
from tests.simulation.rows import Row


@dataclass(slots=True)
class _Moved:
    """What fills have moved, by order and by token."""

    cash: int = 0
    held: Counter[str] = field(default_factory=Counter)
    given: Counter[str] = field(default_factory=Counter)
    """What each order gave: USDC of a BUY, shares of a SELL."""
    bought: Counter[str] = field(default_factory=Counter)

    def add(self, row: Row) -> None:
        gross = row["size"] * row["price"]
        if row["side"] == "BUY":
            cost = -(-gross // MICRO)
            self.cash -= cost + row["fee"]
            self.held[row["token_id"]] += row["size"]
            self.given[row["order_id"]] += cost
            self.bought[row["order_id"]] += row["size"]
        else:
            self.cash += gross // MICRO - row["fee"]
            self.held[row["token_id"]] -= row["size"]
            self.given[row["order_id"]] += row["size"]


class BookChecks:
    """Looks at one ledger's sums."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._rows = evidence.rows
        self._truth = evidence.truth

    def check(self) -> None:
        """Compare every sum of the books with the fills, and every fill with its trade."""
        account = self._rows.account()
        self._evidence.checks.update(("I1", "I2", "I3"))
        counted = self._check_fills()
        moved = _Moved()
        for row in counted:
            moved.add(row)
        self._check_sizes(moved)
        cash = self._rows.given() + moved.cash + self._check_positions(moved.held)
        self._check_days()
        if cash != account["cash"]:
            self._evidence.fail(f"I1 cash is {account['cash']}, history says {cash}")
        balanced = account["deposits"] + account["realised"] - account["position_cost"]
        if account["cash"] != balanced:
            self._evidence.fail(
                f"I1 cash is {account['cash']}, deposits and profit less cost {balanced}"
            )
        self._check_reserved(account)

    def _check_fills(self) -> list[Row]:
        """Compare every fill with the venue's trade; return those that were not voided."""
        truth = {
            (trade.trade_id, order.order_id): (trade, order, parts)
            for trade, order, parts in self._truth.own_trades()
        }
        sizes: dict[tuple[str, str], Counter[int]] = defaultdict(Counter)
        counted = []
        for row in self._rows.table("fills"):
            key = row["trade_id"], row["order_id"]
            if key not in truth:
                self._evidence.fail(f"I3 a fill of trade {row['trade_id'][:12]} never happened")
                continue
            trade, order, _ = truth[key]
            is_void = row["status"] == "FAILED"
            if is_void and trade.state is not TradeState.FAILED:
                self._evidence.fail(f"I3 a fill was voided whose trade is {trade.state}")
            if row["status"] == "CONFIRMED" and trade.state is not TradeState.CONFIRMED:
                self._evidence.fail(f"I3 a fill is CONFIRMED whose trade is {trade.state}")
            sizes[key][row["price"]] += row["size"]
            self._check_fee(row, trade, order)
            if not is_void:
                counted.append(row)
        for key, found in sizes.items():
            if found - Counter(dict(truth[key][2])):
                self._evidence.fail(
                    f"I3 fills of trade {key[0][:12]} are {found}, not {truth[key][2]}"
                )
        return counted

    def _check_sizes(self, moved: "_Moved") -> None:
        """No order may have filled beyond what was signed."""
        for order_id, amount in moved.given.items():
            sent = self._evidence.sent.get(order_id)
            if sent is None or amount > sent.maker:
                self._evidence.fail(f"I2 order {order_id[:12]} filled {amount} of {sent}")
            elif sent.order_type in ("GTC", "GTD") and moved.bought[order_id] > sent.taker:
                bought = moved.bought[order_id]
                self._evidence.fail(f"I2 order {order_id[:12]} bought {bought} of {sent.taker}")

    def _check_days(self) -> None:
        """A day has counted the orders that are not proved to be none."""
        counts: Counter[int] = Counter()
        for row in self._rows.table("orders"):
            counts[row["created_at"] // DAY_US] += row["status"] not in ABSENT
        for row in self._rows.table("days"):
            if row["trade_count"] != counts[row["day"]]:
                self._evidence.fail(
                    f"I7 a day counts {row['trade_count']} orders of {counts[row['day']]}"
                )

    def _check_positions(self, held: Counter[str]) -> int:
        """Compare positions with fills; return what settled markets paid."""
        paid = 0
        settled = {row["condition_id"] for row in self._rows.table("settlements")}
        positions = self._rows.table("positions")
        if {token for token, size in held.items() if size} - {p["token_id"] for p in positions}:
            self._evidence.fail("I3 a token has fills and no position")
        for row in positions:
            size = held[row["token_id"]]
            if row["condition_id"] in settled:
                winner = self._truth.winner(row["condition_id"])
                paid += size if winner == row["outcome"] else 0
                size = 0
            if row["size"] != size:
                self._evidence.fail(f"I3 a position is {row['size']}, its fills come to {size}")
        return paid

    def _check_fee(self, row: Row, trade: Trade, order: SandboxOrder) -> None:
        is_taker = trade.taker is order
        steps = -(-row["size"] * 7 * row["price"] * (MICRO - row["price"]) // (10 * 100 * MICRO**2))
        fee = max(steps, 1) * 10 if is_taker else 0
        if row["fee"] != fee or (row["liquidity"] == "TAKER") is not is_taker:
            self._evidence.fail(
                f"I1 a fill's fee is {row['fee']} as {row['liquidity']}, it should be {fee}"
            )

    def _check_reserved(self, account: Row) -> None:
        """Every order that can still cost something must be held back for, and no other."""
        reserved = 0
        filled: Counter[str] = Counter()
        for row in self._rows.table("fills"):
            if row["side"] == "BUY" and row["was_booked"]:
                gross = -(-row["size"] * row["price"] // MICRO)
                filled[row["order_id"]] += gross + row["fee"]
        for row in self._rows.table("orders"):
            if row["status"] in OPEN:
                reserved += max(row["max_outlay"] - filled[row["order_id"]], 0)
            elif self._truth.may_fill(row["order_id"]):
                self._evidence.fail(
                    f"I7 order {row['order_id'][:12]} may fill and is {row['status']} here"
                )
        if account["reserved"] != reserved:
            self._evidence.fail(
                f"I7 {account['reserved']} are reserved, open orders can cost {reserved}"
            )
