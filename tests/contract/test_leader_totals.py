"""Whatever happens in whatever order, every total of a leader is what its history gives."""

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from polybot.adapters.storage.ledger import SqlLedger, open_ledger
from polybot.domain.leaders import ConversionKind, CopyAnswer, CopyVerdict, LeaderTrade, Lease
from polybot.domain.markets import Outcome
from polybot.domain.modes import Mode
from polybot.domain.orders import Fill, FillStatus, OrderId, OrderStatus, Side
from polybot.errors import DataError
from tests.builders import NOW
from tests.contract.test_leaders import a_position
from tests.copy_builders import build_conversion, build_leader
from tests.copy_steps import LEADER, OTHER_LEADER, a_record, copy, follow, leader_trade
from tests.ledger_steps import a_fill, an_alert, market_number, report, resolution

MARKETS = 3
STEPS = 60


class _History:
    """Random events on one ledger."""

    def __init__(self, ledger: SqlLedger, lease: Lease, seed: int) -> None:
        self._ledger = ledger
        self._lease = lease
        self._random = random.Random(seed)
        self._orders: list[tuple[OrderId, Side]] = []
        self._fills: list[Fill] = []
        self._trades: list[LeaderTrade] = []
        self._count = 0
        self.steps: dict[str, Callable[[], None]] = {
            "copy": self.copy,
            "skip": self.skip,
            "fill": self.fill,
            "close": self.close,
            "void fill": self.void_fill,
            "void trade": self.void_trade,
            "convert": self.convert,
            "seed": self.seed,
            "settle": self.settle,
        }

    def step(self) -> None:
        names = list(self.steps)
        weights = [6, 4, 6, 2, 1, 1, 1, 1, 0.3]
        self._count += 1
        self.steps[self._random.choices(names, weights)[0]]()

    def copy(self) -> None:
        trade, number = self._trade()
        recorded, order_id = copy(
            self._ledger,
            self._lease,
            trade,
            number,
            at=NOW + timedelta(hours=self._count),
            **({"size": Decimal(2)} if trade.side is Side.SELL else {}),
        )
        if recorded.answer is CopyAnswer.RECORDED:
            self._orders.append((order_id, trade.side))

    def skip(self) -> None:
        trade, _ = self._trade()
        verdict = self._random.choice([CopyVerdict.SKIPPED, CopyVerdict.ACCUMULATED])
        record = a_record(
            trade,
            verdict,
            accumulate_usdc=Decimal(self._random.randrange(1_000_000)).scaleb(-6),
            clears_pending=self._random.random() < 0.3,
            follows_conversion=self._random.random() < 0.1,
        )
        self._ledger.record_leader_trades([record], lease=self._lease)

    def fill(self) -> None:
        if not self._orders:
            return
        order_id, _ = self._random.choice(self._orders)
        size, price = self._random.choice([("2", "0.5"), ("1.234567", "0.47"), ("0.01", "0.33")])
        status = self._random.choice([FillStatus.MATCHED, FillStatus.CONFIRMED, FillStatus.FAILED])
        fill = a_fill(order_id, size, price, fee="0.0123", trade=str(self._count), status=status)
        self._fills.append(fill)
        found = self._random.choice([OrderStatus.RESTING, OrderStatus.FILLED])
        report(self._ledger, order_id, fill, status=found)

    def close(self) -> None:
        if self._orders:
            order_id, _ = self._random.choice(self._orders)
            status = self._random.choice([OrderStatus.UNFILLED, OrderStatus.NEVER_ARRIVED])
            report(self._ledger, order_id, status=status)

    def void_fill(self) -> None:
        if self._fills:
            fill = replace(self._random.choice(self._fills), status=FillStatus.FAILED)
            report(self._ledger, fill.order_id, fill, status=OrderStatus.UNKNOWN)

    def void_trade(self) -> None:
        if self._trades:
            key = self._random.choice(self._trades).key
            self._ledger.void_leader_trade(key, at=NOW, alert=an_alert(f"void {self._count}"))

    def convert(self) -> None:
        market = market_number(self._random.randrange(MARKETS))
        conversion = build_conversion(
            self._random.choice(list(ConversionKind)),
            "7",
            leader=self._leader(),
            condition_id=market.condition_id,
            slug=market.slug,
            occurrence=self._count,
        )
        self._ledger.record_conversion(conversion, reason="told", lease=self._lease)

    def seed(self) -> None:
        number = self._random.randrange(MARKETS)
        position = a_position(number, "33", self._random.choice(list(Outcome)))
        self._ledger.seed_holdings(self._leader(), [position], at=NOW)

    def settle(self) -> None:
        number = self._random.randrange(MARKETS)
        try:
            self._ledger.settle(resolution(number), at=NOW)
        except DataError:
            # An order of the market is still open.
            return

    def _leader(self) -> str:
        return self._random.choice([LEADER, OTHER_LEADER])

    def _trade(self) -> tuple[LeaderTrade, int]:
        number = self._random.randrange(MARKETS)
        trade = leader_trade(
            number,
            self._random.choice([Side.BUY, Side.BUY, Side.SELL]),
            "10.5",
            outcome=self._random.choice(list(Outcome)),
            tx=self._count,
            leader=self._leader(),
        )
        self._trades.append(trade)
        return trade, number


@pytest.mark.parametrize("seed", range(12))
def test_totals_are_what_their_history_gives(tmp_path: Path, seed: int) -> None:
    """Copies, skips, fills, voids, conversions, seeds and settlements, across several days."""
    with open_ledger(tmp_path / "paper.db", mode=Mode.PAPER) as ledger:
        ledger.deposit(Decimal(10_000), reference="start", at=NOW - timedelta(days=1))
        lease = follow(ledger)
        ledger.add_leader(build_leader(address=OTHER_LEADER))
        history = _History(ledger, lease, seed)
        for number in range(STEPS):
            history.step()
            if number % 10 == 9:
                found = ledger.violations()
                # A fill that is voided after its shares were sold leaves more sold than bought.
                assert [one for one in found if "more shares sold" not in one] == []
        assert ledger.copy_log()
