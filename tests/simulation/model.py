"""What must be true after every step, computed again from what the venue did and what was sent.

The model reads the ledger's rows with SQL of its own and the venue's records, in integers of
10⁻⁶, and shares no code with the ledger's books, the limits or the reconciliation.

I1 cash is what came in, less what fills cost, plus what they paid; I2 no order fills beyond what
was signed; I3 positions are the fills that were not voided; I4 after reconciling, both sides know
the same open orders; I5 one decision has one order, sent once; I6 an order is durable before it
is sent; I7 no limit is passed, orders in flight included; I8 no new order while halted,
unreconciled, or beside one of unknown fate.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from polybot.domain.markets import Outcome
from polybot.sandbox.exchange import typed_data
from polybot.sandbox.exchange.accounts import Account
from polybot.sandbox.exchange.checks import domain_of
from polybot.sandbox.exchange.gateway import PrivateGateway
from polybot.sandbox.exchange.orders import OrderState, Trade, TradeState
from polybot.sandbox.exchange.orders import VenueOrder as SandboxOrder
from polybot.sandbox.exchange.submissions import parse_submission
from polybot.sandbox.listing import VenueMarket
from polybot.sqlite_driver import sqlite_module

# The ledger's own driver: two SQLite libraries in one process drop each other's locks.
sqlite3 = sqlite_module()
Row = Mapping[str, Any]

MICRO: Final = 1_000_000
OPEN: Final = ("sending", "unknown", "resting")
_ABSENT: Final = ("rejected", "never-arrived")
_DAY_US: Final = 86_400_000_000


DECIDING: ContextVar[str] = ContextVar("DECIDING", default="")
"""What the run is deciding at present; it travels with the request to the venue."""


class InvariantError(AssertionError):
    """Something that must never be true was: the first word names the invariant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """The operator's limits [10⁻⁶ USDC, orders]."""

    stake: int
    min_cash: int
    trades: int
    daily_loss: int
    window: int
    total: int
    reconcile_age_us: int


@dataclass(slots=True)
class Sent:
    """One order as its bytes arrived at the venue."""

    decision: str
    maker: int
    taker: int
    is_buy: bool
    order_type: str


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


@dataclass(slots=True)
class Model:
    """Watches one ledger and one venue."""

    path: Path
    gateway: PrivateGateway
    account: Account
    caps: Caps
    sent: dict[str, Sent] = field(default_factory=dict)
    steps: int = 0
    checks: Counter[str] = field(default_factory=Counter)
    broken: str = ""
    _rows: Any = None
    _over_since: dict[str, int] = field(default_factory=dict)
    _winners: dict[str, str] = field(default_factory=dict)

    # What the venue hears -----------------------------------------------------------------------
    def hear_order(self, body: bytes) -> None:
        """An order arrives: its id must be durable, its own decision's, and new."""
        try:
            found = parse_submission(body)
        except Exception as error:
            self.fail(f"I6 an order arrived that nobody can read: {error}")
            return
        market = self.gateway.exchange.venue.listing.by_token(found.order.tokenId)
        if market is None:
            self.fail("I6 an order arrived for a token of no market")
            return
        order_id = typed_data.order_hash(found.order, domain_of(market))
        row = self._one("SELECT * FROM orders WHERE order_id = ?", order_id)
        self.checks["I6"] += 1
        if row is None:
            self.fail(f"I6 order {order_id[:12]} was sent before it was durable")
            return
        self.checks["I5"] += 1
        if order_id in self.sent:
            self.fail(f"I5 order {order_id[:12]} was sent twice")
        for other_id, other in self.sent.items():
            if other.decision == DECIDING.get() and other_id != order_id:
                self.fail(f"I5 decision {other.decision} has a second order")
        self.sent[order_id] = Sent(
            DECIDING.get(),
            found.order.maker_amount,
            found.order.taker_amount,
            found.order.is_buy,
            found.orderType,
        )
        if row["status"] not in OPEN:
            self.fail(f"I7 order {order_id[:12]} arrived when it counted as {row['status']}")
        if found.order.is_buy and found.order.maker_amount > row["budget"]:
            self.fail(f"I2 {found.order.maker_amount} were signed of a budget of {row['budget']}")
        if not found.order.is_buy and found.order.maker_amount > row["size"]:
            self.fail(f"I2 {found.order.maker_amount} shares were signed of {row['size']}")

    # What the ledger does -----------------------------------------------------------------------
    def after(self, method: str, result: object, at_us: int) -> None:
        """Check everything that must hold after one of the ledger's transactions."""
        self.steps += 1
        self._note_over(at_us)
        self._check_books()
        if method == "record_intent" and result == ():
            self._check_intent()

    def after_reconciling(self, at_us: int) -> None:
        """Both sides must know the same open orders; old riddles must be solved."""
        self.checks["I4"] += 1
        self._note_over(at_us)
        rows = {row["order_id"]: row for row in self._all("SELECT * FROM orders")}
        for order in self._own_orders():
            row = rows.get(order.order_id)
            if row is None:
                self.fail(f"I4 the venue's order {order.order_id[:12]} is not in the ledger")
            elif not order.state.is_over and row["status"] not in OPEN:
                self.fail(f"I4 order {order.order_id[:12]} is {row['status']} here and open there")
        orders = self.gateway.exchange.orders
        for order_id, row in rows.items():
            known = orders.get(order_id)
            age_us = at_us - row["created_at"]
            if row["status"] == "resting":
                over_us = at_us - self._over_since.get(order_id, at_us)
                if known is None or over_us > 240_000_000:
                    self.fail(f"I4 order {order_id[:12]} rests here and not at the venue")
            elif row["status"] in OPEN and age_us > 1_200_000_000:
                self.fail(f"I4 order {order_id[:12]} is {row['status']} after {age_us // 10**6} s")

    def at_the_end(self) -> None:
        """Nothing is on its way any more: everything must be equal to the last micro-USDC."""
        exchange = self.gateway.exchange
        self._check_books()
        fills: Counter[tuple[str, str]] = Counter()
        for row in self._all("SELECT * FROM fills WHERE status != 'FAILED'"):
            fills[row["trade_id"], row["order_id"]] += row["size"]
        truth: Counter[tuple[str, str]] = Counter()
        for trade, order, parts in self._own_trades():
            if trade.state is not TradeState.FAILED:
                truth[trade.trade_id, order.order_id] += sum(size for _, size in parts)
        if fills != truth:
            lost, invented = truth - fills, fills - truth
            self.fail(f"I3 fills lost: {dict(lost)}; fills invented: {dict(invented)}")
        for row in self._all("SELECT order_id, status FROM orders"):
            known = exchange.orders.get(row["order_id"])
            if row["status"] in OPEN:
                self.fail(f"I4 order {row['order_id'][:12]} is still {row['status']}")
            if row["status"] in _ABSENT and known is not None and known.matched:
                self.fail(f"I4 order {row['order_id'][:12]} matched and counts as {row['status']}")
        account = self._account()
        unredeemed = sum(
            self._paid(row["condition_id"])
            for row in self._all(
                "SELECT s.condition_id FROM settlements s LEFT JOIN redemptions r "
                "ON r.condition_id = s.condition_id "
                "WHERE r.state IS NULL OR r.state NOT IN ('confirmed', 'already')"
            )
        )
        if account["cash"] - unredeemed != self.account.cash:
            self.fail(
                f"I1 the ledger's cash is {account['cash']} with {unredeemed} to be redeemed, "
                f"the venue's is {self.account.cash}"
            )
        if exchange.audit()["missing"]:
            self.fail(f"the sandbox lost money: {exchange.audit()}")

    def fail(self, what: str) -> None:
        """Keep the first thing that was wrong; whoever drives the simulation stops there."""
        self.broken = self.broken or what

    # The invariants -----------------------------------------------------------------------------
    def _check_books(self) -> None:
        account = self._account()
        self.checks.update(("I1", "I2", "I3"))
        counted = self._check_fills()
        moved = _Moved()
        for row in counted:
            moved.add(row)
        self._check_sizes(moved)
        cash = self._given() + moved.cash + self._check_positions(moved.held)
        self._check_days()
        if cash != account["cash"]:
            self.fail(f"I1 cash is {account['cash']}, history says {cash}")
        balanced = account["deposits"] + account["realised"] - account["position_cost"]
        if account["cash"] != balanced:
            self.fail(f"I1 cash is {account['cash']}, deposits and profit less cost {balanced}")
        self._check_reserved(account)

    def _check_fills(self) -> list[Row]:
        """Compare every fill with the venue's trade; return those that were not voided."""
        truth = {
            (trade.trade_id, order.order_id): (trade, order, parts)
            for trade, order, parts in self._own_trades()
        }
        sizes: dict[tuple[str, str], Counter[int]] = defaultdict(Counter)
        counted = []
        for row in self._all("SELECT * FROM fills ORDER BY id"):
            key = row["trade_id"], row["order_id"]
            if key not in truth:
                self.fail(f"I3 a fill of trade {row['trade_id'][:12]} never happened")
                continue
            trade, order, _ = truth[key]
            is_void = row["status"] == "FAILED"
            if is_void and trade.state is not TradeState.FAILED:
                self.fail(f"I3 a fill was voided whose trade is {trade.state}")
            if row["status"] == "CONFIRMED" and trade.state is not TradeState.CONFIRMED:
                self.fail(f"I3 a fill is CONFIRMED whose trade is {trade.state}")
            sizes[key][row["price"]] += row["size"]
            self._check_fee(row, trade, order)
            if not is_void:
                counted.append(row)
        for key, found in sizes.items():
            if found - Counter(dict(truth[key][2])):
                self.fail(f"I3 fills of trade {key[0][:12]} are {found}, not {truth[key][2]}")
        return counted

    def _check_sizes(self, moved: "_Moved") -> None:
        """No order may have filled beyond what was signed."""
        for order_id, amount in moved.given.items():
            sent = self.sent.get(order_id)
            if sent is None or amount > sent.maker:
                self.fail(f"I2 order {order_id[:12]} filled {amount} of {sent}")
            elif sent.order_type in ("GTC", "GTD") and moved.bought[order_id] > sent.taker:
                bought = moved.bought[order_id]
                self.fail(f"I2 order {order_id[:12]} bought {bought} of {sent.taker}")

    def _check_days(self) -> None:
        """A day has counted the orders that are not proved to be none."""
        counts: Counter[int] = Counter()
        for row in self._all("SELECT created_at, status FROM orders"):
            counts[row["created_at"] // _DAY_US] += row["status"] not in _ABSENT
        for row in self._all("SELECT day, trade_count FROM days"):
            if row["trade_count"] != counts[row["day"]]:
                self.fail(f"I7 a day counts {row['trade_count']} orders of {counts[row['day']]}")

    def _check_positions(self, held: Counter[str]) -> int:
        """Compare positions with fills; return what settled markets paid."""
        paid = 0
        settled = {row["condition_id"] for row in self._all("SELECT * FROM settlements")}
        positions = self._all("SELECT * FROM positions")
        if {token for token, size in held.items() if size} - {p["token_id"] for p in positions}:
            self.fail("I3 a token has fills and no position")
        for row in positions:
            size = held[row["token_id"]]
            if row["condition_id"] in settled:
                winner = self._winner(row["condition_id"])
                paid += size if winner == row["outcome"] else 0
                size = 0
            if row["size"] != size:
                self.fail(f"I3 a position is {row['size']}, its fills come to {size}")
        return paid

    def _check_fee(self, row: Row, trade: Trade, order: SandboxOrder) -> None:
        is_taker = trade.taker is order
        steps = -(-row["size"] * 7 * row["price"] * (MICRO - row["price"]) // (10 * 100 * MICRO**2))
        fee = max(steps, 1) * 10 if is_taker else 0
        if row["fee"] != fee or (row["liquidity"] == "TAKER") is not is_taker:
            self.fail(f"I1 a fill's fee is {row['fee']} as {row['liquidity']}, it should be {fee}")

    def _check_reserved(self, account: Row) -> None:
        """Every order that can still cost something must be held back for, and no other."""
        reserved = 0
        filled: Counter[str] = Counter()
        for row in self._all("SELECT * FROM fills WHERE side = 'BUY' AND was_booked"):
            gross = -(-row["size"] * row["price"] // MICRO)
            filled[row["order_id"]] += gross + row["fee"]
        for row in self._all("SELECT * FROM orders"):
            if row["status"] in OPEN:
                reserved += max(row["max_outlay"] - filled[row["order_id"]], 0)
            elif self._may_fill(row["order_id"]):
                self.fail(f"I7 order {row['order_id'][:12]} may fill and is {row['status']} here")
        if account["reserved"] != reserved:
            self.fail(f"I7 {account['reserved']} are reserved, open orders can cost {reserved}")

    def _check_intent(self) -> None:
        """An order was allowed: by what is true, it may not have passed any limit."""
        order = self._all("SELECT * FROM orders ORDER BY id DESC LIMIT 1")[0]
        state = self._one("SELECT state FROM trading_states ORDER BY id DESC LIMIT 1")
        is_buy = order["side"] == "BUY"
        self.checks.update(("I7", "I8"))
        said = "active" if state is None else state["state"].lower()
        if said != "active" and (is_buy or said != "reducing"):
            self.fail(f"I8 an order was allowed while trading was {said}")
        self._check_reconciled(order)
        beside = self._one(
            "SELECT order_id FROM orders WHERE condition_id = ? AND order_id != ? "
            "AND status IN ('sending', 'unknown')",
            order["condition_id"],
            order["order_id"],
        )
        if beside is not None:
            self.fail("I8 an order was allowed beside one of unknown fate in its market")
        if is_buy:
            self._check_limits(order)

    def _check_reconciled(self, order: Row) -> None:
        found = self._one("SELECT * FROM reconciliation")
        is_fine = (
            found is not None
            and found["verdict"] in ("agreed", "explained")
            and found["reconciled_at"] is not None
            and order["created_at"] - found["reconciled_at"] <= self.caps.reconcile_age_us
        )
        if not is_fine:
            self.fail("I8 an order was allowed on books that were not reconciled")

    def _check_limits(self, order: Row) -> None:
        caps, account = self.caps, self._account()
        by_market = self._at_risk()
        total = sum(by_market.values())
        if by_market[order["condition_id"]] > caps.window:
            self.fail(f"I7 {by_market[order['condition_id']]} at risk in a window")
        if total > caps.total:
            self.fail(f"I7 {total} at risk of at most {caps.total}")
        claimed = self._claims()
        if account["cash"] - claimed < caps.min_cash:
            self.fail(f"I7 {account['cash'] - claimed} left of at least {caps.min_cash}")
        if order["budget"] > caps.stake:
            self.fail(f"I7 an order may spend {order['budget']} of at most {caps.stake}")
        day = order["created_at"] // _DAY_US
        count = sum(
            row["created_at"] // _DAY_US == day and row["status"] not in _ABSENT
            for row in self._all("SELECT * FROM orders")
        )
        if count > caps.trades:
            self.fail(f"I7 {count} orders today of at most {caps.trades}")
        opened = self._one("SELECT opening_equity FROM days WHERE day = ?", day)
        equity = account["cash"] + sum(
            row["size"] * (row["bid"] or 0) // MICRO
            for row in self._all("SELECT * FROM positions WHERE size > 0")
        )
        loss = max(0, (opened["opening_equity"] if opened else 0) - equity) + claimed
        if loss > caps.daily_loss:
            self.fail(f"I7 the day could lose {loss} of at most {caps.daily_loss}")

    def _claims(self) -> int:
        """What all orders that may still fill can cost: by the venue where it knows them."""
        claims = 0
        filled: Counter[str] = Counter()
        for row in self._all("SELECT * FROM fills WHERE side = 'BUY' AND was_booked"):
            filled[row["order_id"]] += -(-row["size"] * row["price"] // MICRO) + row["fee"]
        for row in self._all("SELECT * FROM orders WHERE side = 'BUY'"):
            if row["status"] in OPEN or self._may_fill(row["order_id"]):
                claims += max(row["max_outlay"] - filled[row["order_id"]], 0)
        return claims

    def _at_risk(self) -> Counter[str]:
        """Return what each market has at risk: what was paid for it, and what may be."""
        risk: Counter[str] = Counter()
        filled: Counter[str] = Counter()
        settled = {row["condition_id"] for row in self._all("SELECT * FROM settlements")}
        cost: Counter[str] = Counter()
        size: Counter[str] = Counter()
        market_of: dict[str, str] = {}
        for row in self._all(
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
        for row in self._all("SELECT * FROM orders WHERE side = 'BUY'"):
            if row["status"] in OPEN or self._may_fill(row["order_id"]):
                risk[row["condition_id"]] += max(row["max_outlay"] - filled[row["order_id"]], 0)
        return risk

    # What is true -------------------------------------------------------------------------------
    def _own_orders(self) -> list[SandboxOrder]:
        orders = self.gateway.exchange.orders.values()
        return [order for order in orders if order.account is self.account]

    def _own_trades(self) -> list[tuple[Trade, SandboxOrder, list[tuple[int, int]]]]:
        """Return our part of every trade: the order, and its price and size at each price."""
        found = []
        for trade in self.gateway.exchange.settlement.trades.values():
            if trade.taker.account is self.account:
                found.append((trade, trade.taker, [(trade.price, trade.size)]))
            makers: dict[str, Counter[int]] = defaultdict(Counter)
            own = {}
            for match in trade.makers:
                if match.maker.account is self.account:
                    own[match.maker.order_id] = match.maker
                    makers[match.maker.order_id][match.maker.price] += match.size
            found += [
                (trade, own[order_id], list(sizes.items())) for order_id, sizes in makers.items()
            ]
        return found

    def _may_fill(self, order_id: str) -> bool:
        known = self.gateway.exchange.orders.get(order_id)
        return known is not None and known.state in (OrderState.LIVE, OrderState.DELAYED)

    def _note_over(self, at_us: int) -> None:
        for order in self._own_orders():
            if order.state.is_over:
                self._over_since.setdefault(order.order_id, at_us)

    def _winner(self, condition_id: str) -> str:
        if condition_id not in self._winners:
            venue = self.gateway.exchange.venue
            market: VenueMarket | None = venue.listing.by_condition(condition_id)
            decided = market and venue.reference_prices(market)
            self._winners[condition_id] = decided.winner.value if decided else ""
        return self._winners[condition_id]

    def _paid(self, condition_id: str) -> int:
        winner = self._winner(condition_id)
        return sum(
            row["size"] * (1 if row["side"] == "BUY" else -1)
            for row in self._all(
                "SELECT f.* FROM fills f JOIN orders o USING (order_id) "
                "WHERE o.condition_id = ? AND o.outcome = ? AND f.status != 'FAILED'",
                condition_id,
                Outcome(winner).value,
            )
        )

    # The ledger's rows --------------------------------------------------------------------------
    def _given(self) -> int:
        """Return what came in, went out and was adjusted, none of it by trading."""
        row = self._one(
            "SELECT COALESCE(SUM(cash), 0) AS cash FROM movements "
            "WHERE kind IN ('deposit', 'withdrawal', 'adjustment')"
        )
        return 0 if row is None else int(row["cash"])

    def _account(self) -> Row:
        return self._all("SELECT * FROM account")[0]

    def _one(self, query: str, *values: Any) -> Row | None:
        found = self._all(query, *values)
        return found[0] if found else None

    def _all(self, query: str, *values: Any) -> list[Row]:
        if self._rows is None:
            self._rows = sqlite3.connect(
                f"file:{self.path}?mode=ro", uri=True, check_same_thread=False
            )
            self._rows.row_factory = sqlite3.Row
        found: list[Row] = self._rows.execute(query, values).fetchall()
        return found

    def close(self) -> None:
        if self._rows is not None:
            self._rows.close()
            self._rows = None


def ledger_digest(path: Path) -> str:
    """Return a digest of every row of every table: equal ledgers have equal digests."""
    from hashlib import sha256

    found = sha256()
    connection = sqlite3.connect(path)
    try:
        tables = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
        ).fetchall()
        for (name,) in tables:
            rows = connection.execute(f'SELECT * FROM "{name}" ORDER BY rowid')
            found.update(json.dumps([name, rows.fetchall()]).encode())
    finally:
        connection.close()
    return found.hexdigest()
