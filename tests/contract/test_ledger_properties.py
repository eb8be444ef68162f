"""Random lives of a ledger: the invariant, an independent model, and its own self-check."""

import tempfile
from collections import defaultdict
from dataclasses import replace
from datetime import timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from polybot.adapters.storage.ledger import open_ledger
from polybot.domain.markets import Outcome
from polybot.domain.modes import Mode
from polybot.domain.money import MICRO
from polybot.domain.orders import Fill, FillStatus, Side
from tests.builders import NOW
from tests.ledger_steps import (
    a_fill,
    balance_of,
    intend,
    market_number,
    report,
    resolution,
)

MARKETS = 2
sizes = st.integers(1, 20_000_000).map(lambda n: str(Decimal(n).scaleb(-6)))
prices = st.integers(1, 999_999).map(lambda n: str(Decimal(n).scaleb(-6)))
fees = st.integers(0, 400_000).map(lambda n: str(Decimal(n).scaleb(-6)))


class LedgerLife(RuleBasedStateMachine):
    """Deposits, purchases, sales, voids, settlements and days, in any order.

    The model keeps the events and adds them up from the start each time.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="polybot-ledger-")
        self.ledger = open_ledger(Path(self.folder.name) / "paper.db", mode=Mode.PAPER)
        self.now = NOW
        self.deposits = Decimal(0)
        self.fills: dict[str, tuple[int, Outcome, Side, Fill]] = {}
        self.resolved: dict[int, Outcome | None] = {}
        self.counted = 0

    def teardown(self) -> None:
        self.ledger.close()
        self.folder.cleanup()

    @rule(cents=st.integers(1, 10_000_000))
    def deposit(self, cents: int) -> None:
        amount = Decimal(cents).scaleb(-6)
        reference = f"d{self.counted}"
        self.counted += 1
        assert self.ledger.deposit(amount, reference=reference, at=self.now)
        assert not self.ledger.deposit(amount, reference=reference, at=self.now)
        self.deposits += amount

    @rule(
        number=st.integers(0, MARKETS - 1),
        outcome=st.sampled_from(Outcome),
        side=st.sampled_from(Side),
        shares=st.lists(sizes, min_size=1, max_size=2),
        terms=st.tuples(prices, fees),
    )
    def trade(
        self,
        number: int,
        outcome: Outcome,
        side: Side,
        shares: list[str],
        terms: tuple[str, str],
    ) -> None:
        at_price, fee = terms
        self.counted += 1
        order_id = intend(
            self.ledger, number, side=side, outcome=outcome, strategy=f"s{self.counted}",
            at=self.now, size=Decimal(1000), **self._budget(side),
        )  # fmt: skip
        new = [
            a_fill(order_id, size, at_price, fee=fee, trade=f"t{self.counted}-{index}",
                   status=FillStatus.MATCHED)
            for index, size in enumerate(shares)
        ]  # fmt: skip
        assert report(self.ledger, order_id, *new, at=self.now) == tuple(new)
        self.fills |= {fill.trade_id: (number, outcome, side, fill) for fill in new}

    @staticmethod
    def _budget(side: Side) -> dict[str, Decimal]:
        return {"budget_usdc": Decimal(1000)} if side is Side.BUY else {}

    @precondition(lambda self: self.fills)
    @rule(data=st.data())
    def void(self, data: st.DataObject) -> None:
        trade_id = data.draw(st.sampled_from(sorted(self.fills)))
        _, _, _, fill = self.fills.pop(trade_id)
        for _ in range(2):
            report(self.ledger, fill.order_id, replace(fill, status=FillStatus.FAILED), at=self.now)

    @rule(number=st.integers(0, MARKETS - 1), winner=st.sampled_from([*Outcome, None]))
    def settle(self, number: int, winner: Outcome | None) -> None:
        settled = self.ledger.settle(resolution(number, winner), at=self.now)
        if settled is not None:
            assert number not in self.resolved
            self.resolved[number] = winner

    @rule(number=st.integers(0, MARKETS - 1), bid=st.integers(0, 99))
    def mark(self, number: int, bid: int) -> None:
        tokens = market_number(number).token_ids.values()
        self.ledger.mark_positions({token: Decimal(bid) / 100 for token in tokens}, at=self.now)

    @rule(hours=st.integers(1, 30))
    def wait(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @invariant()
    def cash_is_what_the_events_add_up_to(self) -> None:
        cash, held = self.deposits, defaultdict(Decimal)
        for number, outcome, side, fill in self.fills.values():
            if side is Side.BUY:
                cash -= (fill.size * fill.price).quantize(MICRO, ROUND_CEILING)
                held[number, outcome] += fill.size
            else:
                cash += (fill.size * fill.price).quantize(MICRO, ROUND_FLOOR)
                held[number, outcome] -= fill.size
            cash -= fill.fee_usdc
        for (number, outcome), size in held.items():
            if number in self.resolved and size > 0:
                winner = self.resolved[number]
                pay = Decimal("0.5") if winner is None else Decimal(int(winner is outcome))
                cash += (size * pay).quantize(MICRO, ROUND_FLOOR)
        totals = self.ledger.totals(at=self.now)
        assert totals.cash_usdc == cash
        assert balance_of(totals) == 0
        assert totals.fees_usdc == sum(fill.fee_usdc for *_, fill in self.fills.values())
        assert {(p.condition_id, p.outcome): p.size for p in self.ledger.positions()} == {
            (market_number(number).condition_id, outcome): size
            for (number, outcome), size in held.items()
            if size > 0 and number not in self.resolved
        }
        assert totals.position_cost_usdc == sum(p.cost_usdc for p in self.ledger.positions())
        assert totals.reserved_usdc == 0

    @invariant()
    def self_check_and_trade_log_agree(self) -> None:
        assert [s for s in self.ledger.violations() if "more shares sold" not in s] == []
        rows = self.ledger.trade_log()
        totals = self.ledger.totals(at=self.now)
        assert sum(row.cash_change_usdc for row in rows) == totals.cash_usdc
        assert sum(row.cost_usdc for row in rows) == totals.position_cost_usdc
        assert sum(row.pnl_usdc or 0 for row in rows) == totals.realised_pnl_usdc


LedgerLife.TestCase.settings = settings(max_examples=15, stateful_step_count=15, deadline=None)
TestLedgerLife = LedgerLife.TestCase
