"""From any damage within the model, reconciling ends in three passes: equal books, or a halt.

The model is written for this test alone: a list of what truly happened, summed in integers of
10⁻⁶. It knows nothing of positions, movements, snapshots or rooms.
"""

import asyncio
import tempfile
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from polybot.domain.modes import Mode, TradingState
from polybot.domain.orders import FillStatus, OrderId, OrderReport, OrderStatus, Side
from polybot.domain.reconciliation import ReconcileVerdict, Reconciliation
from polybot.domain.venue_account import VenueTradeStatus
from polybot.reconciliation import reconcile_account
from tests.builders import NOW, build_order
from tests.fakes import FixedClock
from tests.fakes_live import FakeLiveExchange, FakeVenueAccount, Venue
from tests.ledger_steps import allow_all, claim, intend, market_number, prepare, report
from tests.ledgers import new_live_ledger

START = Decimal(1000)
FATES = ("matched", "mined", "confirmed", "failed", "none")
ANSWERS = ("lost", "rejected", "unfilled", "told", "never-recorded")


@dataclass(frozen=True)
class Damage:
    """One order, what truly became of it, and what our record was told."""

    fate: str
    fills: tuple[tuple[int, int], ...]
    """Sizes [shares] and prices [cents]."""
    answer: str
    is_hidden_at_first: bool


@dataclass
class Truth:
    """What happened, and nothing else."""

    cash: int = 1_000_000_000
    shares: dict[str, int] = field(default_factory=dict)

    def buy(self, token: str, size: int, cents: int) -> None:
        """Take cost and fee [micro-USDC] for whole shares at whole cents."""
        rate = 7 * size * cents * (100 - cents)  # 10⁻⁶ USDC
        self.cash -= size * cents * 10_000 + rate // 10 * 10
        self.shares[token] = self.shares.get(token, 0) + size * 1_000_000


DAMAGE = st.builds(
    Damage,
    fate=st.sampled_from(FATES),
    fills=st.lists(st.tuples(st.integers(1, 4), st.integers(1, 50)), min_size=1, max_size=2).map(
        tuple
    ),
    answer=st.sampled_from(ANSWERS),
    is_hidden_at_first=st.booleans(),
)
STRANGER = st.tuples(st.sampled_from(["buys", "sells", "rests"]), st.integers(0, 4))


class World:
    """A damaged ledger beside a venue that knows the truth."""

    def __init__(self, folder: Path) -> None:
        self.ledger = new_live_ledger(folder / "live.db", START, at=NOW)
        self.venue = Venue(now=NOW, cash=START)
        self.truth = Truth()
        self.exchange = FakeLiveExchange(self.venue)
        self.account = FakeVenueAccount(self.venue)
        self.clock = FixedClock(NOW + timedelta(minutes=10))
        self.strangers: dict[str, int] = {}

    def suffer(self, number: int, damage: Damage) -> None:
        """Let one order live at the venue, and tell our record something else about it."""
        market = market_number(number)
        token = next(iter(market.token_ids.values()))
        order_id = intend(self.ledger, number)
        status = {
            "matched": VenueTradeStatus.MATCHED,
            "mined": VenueTradeStatus.MINED,
            "failed": VenueTradeStatus.FAILED,
        }.get(damage.fate, VenueTradeStatus.CONFIRMED)
        names = []
        if damage.fate != "none":
            for leg, (size, cents) in enumerate(damage.fills):
                made = self.venue.trade(
                    order_id, market.condition_id, token, side=Side.BUY, size=Decimal(size),
                    price=Decimal(cents) / 100, status=status, leg=leg, name=f"trade-{number}",
                )  # fmt: skip
                names.append(made.trade_id)
                if damage.fate != "failed":
                    self.truth.buy(token, size, cents)
        else:
            self.exchange.never_arrived.add(order_id)
        if damage.is_hidden_at_first:
            self.venue.hidden.update(names)
        self._tell(order_id, damage.answer)

    def _tell(self, order_id: OrderId, answer: str) -> None:
        record = self.ledger.order(order_id)
        assert record is not None
        assert record.fees is not None
        fills = tuple(
            trade.fill(record.fees) for trade in self.venue.trades if trade.order_id == order_id
        )
        if answer == "lost":
            report(self.ledger, order_id, status=OrderStatus.UNKNOWN)
        elif answer == "rejected":
            report(self.ledger, order_id, status=OrderStatus.REJECTED)
        elif answer == "unfilled":
            report(self.ledger, order_id, status=OrderStatus.UNFILLED)
        elif answer == "told":
            # Twice, and the second time backwards: duplicates and disorder change nothing.
            for order in (fills, fills[::-1]):
                self.ledger.record_report(
                    order_id, OrderReport(status=OrderStatus.UNKNOWN, fills=order), at=NOW
                )

    def strange(self, kind: str, number: int) -> None:
        """Let somebody else use the account."""
        market = market_number(number)
        token = next(iter(market.token_ids.values()))
        if kind == "rests":
            self.venue.rest(f"0xstranger{number}", market.condition_id, token)
            return
        side = Side.BUY if kind == "buys" else Side.SELL
        self.venue.trade(
            f"0xhand{number}", market.condition_id, token, side=side, size=Decimal(1),
            price=Decimal("0.5"),
        )  # fmt: skip
        change = 1 if kind == "buys" else -1
        self.strangers[token] = self.strangers.get(token, 0) + change

    async def reconcile(self) -> Reconciliation:
        found = await reconcile_account(
            self.ledger, self.exchange, self.account, self.clock, mode=Mode.LIVE
        )
        assert self.ledger.violations() == ()
        assert found.passes <= 3
        return found

    def ours(self) -> dict[str, int]:
        return {p.token_id: int(p.size * 1_000_000) for p in self.ledger.positions()}

    def true_shares(self) -> dict[str, int]:
        return {token: size for token, size in self.truth.shares.items() if size}


@example(
    damages=[Damage(fate="matched", fills=((1, 1),), answer="rejected", is_hidden_at_first=True)],
    strangers=[],
)
@given(damages=st.lists(DAMAGE, max_size=4), strangers=st.lists(STRANGER, max_size=2))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_damage_converges_or_halts(
    damages: list[Damage], strangers: list[tuple[str, int]]
) -> None:
    """And what strangers did is never among our shares."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_converges_or_halts(Path(folder), damages, strangers))


async def _converges_or_halts(
    folder: Path, damages: list[Damage], strangers: list[tuple[str, int]]
) -> None:
    world = World(folder)
    for number, damage in enumerate(damages):
        world.suffer(number, damage)
    for kind, number in strangers:
        world.strange(kind, number)

    first = await world.reconcile()
    assert first.verdict is not ReconcileVerdict.INCOMPLETE or first.waiting
    must_obey(world, first)

    # Everything arrives, is told, and becomes final.
    world.venue.hidden.clear()
    for trade in list(world.venue.trades):
        world.venue.advance(trade.trade_id, VenueTradeStatus.CONFIRMED)
    world.clock.instant += timedelta(minutes=20)
    must_obey(world, await world.reconcile())
    # What was learned now may still be on its way; then nothing is.
    world.clock.instant += timedelta(minutes=20)
    last = await world.reconcile()
    must_obey(world, last)
    event(f"first {first.verdict}, last {last.verdict}")
    if not strangers:
        assert last.verdict is ReconcileVerdict.AGREED

    assert world.ours() == world.true_shares()
    assert world.venue.cancelled == []
    assert {order.order_id for order in last.foreign_orders} == {
        f"0xstranger{number}" for kind, number in strangers if kind == "rests"
    }
    if last.verdict.allows_trading:
        cash = world.ledger.totals(at=world.clock.instant).cash_usdc
        assert cash == world.venue.cash
        if not any(kind in ("buys", "sells") for kind, _ in strangers):
            assert int(cash * 1_000_000) == world.truth.cash
        # They sold no more than they bought of what we hold.
        assert all(world.strangers.get(token, 0) >= 0 for token in world.true_shares())
        assert not world.ledger.open_orders()
        again = await world.reconcile()
        assert again.passes == 1
        assert again.new_fills == again.voided_fills == ()
        assert (again.transferred_usdc, again.fee_adjustment_usdc) == (0, 0)
    else:
        assert last.differences or last.problems or last.waiting


def must_obey(world: World, found: Reconciliation) -> None:
    """Check what holds after every reconciliation: no order while it says no."""
    state = world.ledger.trading_state().state
    if found.verdict is ReconcileVerdict.HALTED:
        assert state is TradingState.HALTED
        assert found.differences
        decision = claim(world.ledger, market_number(90), strategy=f"s{found.started_at:%H%M%S}")
        order = build_order(Side.BUY, market=market_number(90), decision_key=decision.key)
        (failed,) = world.ledger.record_intent(prepare(order), decision, checks=allow_all)
        assert failed.name == "trading-state"
    if found.verdict in (ReconcileVerdict.HALTED, ReconcileVerdict.INCOMPLETE):
        record = world.ledger.reconciliation()
        assert record.verdict in (ReconcileVerdict.HALTED, ReconcileVerdict.INCOMPLETE)
    else:
        assert world.ledger.reconciled_at() == found.started_at


@given(
    order=st.permutations(["matched", "matched", "mined", "confirmed"]),
    fails_at=st.integers(0, 4),
)
@settings(max_examples=40, deadline=None)
def test_any_order_of_statuses_ends_the_same(order: list[str], fails_at: int) -> None:
    """The furthest status wins; a failure voids exactly once, whenever it comes."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_any_order(Path(folder), order, fails_at))


async def _any_order(folder: Path, order: list[str], fails_at: int) -> None:
    world = World(folder)
    world.suffer(0, Damage(fate="matched", fills=((3, 40),), answer="lost",
                           is_hidden_at_first=False))  # fmt: skip
    voided = 0
    for index, status in enumerate(order):
        if index == fails_at:
            world.venue.advance("trade-0", VenueTradeStatus.FAILED)
        world.venue.advance("trade-0", VenueTradeStatus(status.upper()))
        voided += len((await world.reconcile()).voided_fills)
    fills = world.ledger.fills_of(OrderId(world.venue.trades[0].order_id))
    if fails_at >= len(order):
        assert [fill.status for fill in fills] == [FillStatus.CONFIRMED]
        assert voided == 0
    else:
        assert [fill.status for fill in fills] == [FillStatus.FAILED]
        assert voided == (1 if fails_at else 0)
        assert world.ours() == {}
