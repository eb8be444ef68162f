"""One installation from its first order on: killed again and again, and checked every time.

A life is a venue, a ledger and some rounds. A round is a quarter of an hour of four market series:
their orders, their reconciling, their settlement. In each of these somebody is killed several
times; each kill is followed by a new process that opens the same ledger and goes on. The books
are compared after every kill, and to the last unit once nobody is killed any more.
"""

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from random import Random

from polybot.adapters.polymarket.keccak import Address
from polybot.adapters.polymarket.order_fields import SignatureType, TradingAccount
from polybot.adapters.polymarket.signing import OrderSigner
from polybot.domain.markets import MarketSeries, MarketWindow, Outcome
from polybot.domain.signals import Direction
from polybot.sandbox.exchange import refusals
from polybot.sandbox.exchange.rules import VenueRules
from polybot.sandbox.venue import SandboxVenue
from tests.builders import build_limits
from tests.chaos.bot_process import Desk, RunPlan, RunResult, run_in_child
from tests.chaos.model import Broken, always, read_rows, when_settled
from tests.chaos.schedule import (
    BEFORE_THE_ORDER,
    LEARNING,
    PAYING,
    REDEEM,
    ROUNDING,
    SHUTDOWN,
    TELLING,
    THE_ORDER,
    TRANSFER,
    VERDICT,
    Schedule,
)
from tests.chaos.shared_time import SharedClock
from tests.chaos.venue_process import RunningVenue, Wallet, running_venue
from tests.ledgers import new_live_ledger
from tests.order_cases import TEST_KEY, Secret

START_S = 1_795_392_000
SERIES = tuple(
    map(MarketSeries.parse, ("btc-15m", "eth-15m", "sol-15m", "xrp-15m", "xrp-5m", "eth-5m"))
)
# Nobody is killed in this one: it leaves something to settle in every round.
QUIET_SERIES = (MarketSeries.parse("btc-5m"),)
_HOLDING_SERIES = ("sol-5m",)
CASH_USDC = Decimal(1000)
# One order of 5 USDC with its fee fits a window, seven fit the account: a second one never does.
LIMITS = build_limits(
    max_window_exposure_usdc=Decimal("5.40"),
    max_exposure_usdc=Decimal("37.80"),
    min_time_left_s=60,
    max_daily_loss_usdc=Decimal(10_000),
    max_trades_per_day=200,
)
_WALLET = Address("0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC")
_REFUSING: tuple[dict[str, object], ...] = (
    {"kind": "error-before", "status": 400, "body": f'{{"error":"{refusals.FAK_KILLED}"}}'},
    {"kind": "error-before", "status": 500},
    {"kind": "html", "status": 502},
)
_SPOILING: tuple[dict[str, object], ...] = (
    {"kind": "error-after", "status": 500},
    {"kind": "html-after", "status": 502},
    {"kind": "truncated", "at_byte": 30},
)


@dataclass
class Tally:
    """What came of many kills."""

    kills: int = 0
    runs: int = 0
    rounds: int = 0
    orders: int = 0
    fills: int = 0
    had: Counter[str] = field(default_factory=Counter)
    """Kills around the order's request by whether the venue had the order afterwards."""
    broken: Counter[str] = field(default_factory=Counter)
    details: list[str] = field(default_factory=list)

    def note(self, found: Sequence[Broken], where: str) -> None:
        for one in found:
            self.broken[one.promise] += 1
            if len(self.details) < 40:
                self.details.append(f"{where}: {one.promise}: {one.detail}")


@contextmanager
def scratch() -> Iterator[Path]:
    """Return a folder, in memory where there is one: a kill loses nothing that was written."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None, prefix="chaos-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Life:
    """One installation and its venue."""

    def __init__(
        self,
        desk: Desk,
        venue: RunningVenue,
        wallet: Wallet,
        *,
        seed: int,
        schedule: Schedule,
        tally: Tally,
    ) -> None:
        self.desk = desk
        self.venue = venue
        self.wallet = wallet
        self.schedule = schedule
        self.tally = tally
        self.random = Random(seed)
        # The venue's own markets and outcomes, without its process.
        self._oracle = SandboxVenue(
            seed=seed, clock=desk.clock, v2_share=0.5, negative_risk_share=0.5
        )
        self._resolved: set[str] = set()
        self._fates: list[dict[str, object]] = []
        self._deposits = 0
        self._trail: list[str] = []
        self.run = run_in_child

    # A round ------------------------------------------------------------------------------------
    def play_round(self, *, kills: bool = True) -> None:
        """Play one window of every series."""
        start_s = self.desk.clock.now_ms() // 1000 // 900 * 900 + 900
        self._trail = []
        self.tally.rounds += 1
        windows = [MarketWindow(series=one, start_s=start_s) for one in (*SERIES, *QUIET_SERIES)]
        due = windows[0].start
        self._plan_fates(windows)
        self._move_to(start_s + 3)
        for window in windows[: len(SERIES)]:
            direction = self._direction(window)
            series = (str(window.series),)
            if kills:
                self._kill_before_the_order(due, direction, series)
                self._kill_around_the_order(due, direction, series)
        self.venue.arm(self._fates)
        self._go("trend", due, series=tuple(str(one) for one in (*SERIES, *QUIET_SERIES)))
        self._move_to(start_s + 300)
        if kills:
            self._kill_some("reconcile", LEARNING, 3)
        self._go("settle", self._now())
        # For ten minutes an order that found nothing may still show fills; cash is not judged.
        self._move_to(start_s + 960)
        if kills:
            self._kill_some("reconcile", ROUNDING, 1)
            self._kill_some("reconcile", VERDICT, 1)
        self._go("reconcile", self._now())
        self._check("after reconciling")
        if kills:
            self._kill_some("reconcile", TRANSFER, 1)
        self._settle(start_s + 900 + 160, windows, kills=kills)

    def _kill_before_the_order(
        self, due: datetime, direction: Direction, series: tuple[str, ...]
    ) -> None:
        target = self.schedule.next_target(BEFORE_THE_ORDER)
        if target is None:
            return
        if "decision log" in target.point:
            # Only a run that trades nothing comes there; its window is no other run's.
            direction, series = Direction.HOLD, _HOLDING_SERIES
        self._kill(RunPlan("trend", due, direction, series=series, target=target))

    def _kill_around_the_order(
        self, due: datetime, direction: Direction, series: tuple[str, ...]
    ) -> None:
        target = self.schedule.next_target((*THE_ORDER, *SHUTDOWN))
        if target is None:
            return
        flow = "shutdown" if target.point in SHUTDOWN else "trend"
        variant = "refused" if target.point.endswith("refused") else "accepted"
        is_free = "post" not in target.point or target.point.endswith(("before", "half sent"))
        if is_free and self.random.random() < 0.3:
            variant = "refused"
        fault: tuple[dict[str, object], ...] = ()
        if flow == "shutdown":
            # The signal comes first, on a machine that does much else as well.
            fault, variant = ({"kind": "slow", "delay_ms": 200},), "accepted"
        elif variant == "refused":
            fault = (self.random.choice(_REFUSING),)
        elif self.random.random() < 0.3:
            fault = (self.random.choice(_SPOILING),)
        self.venue.arm([*self._fates, *({**one, "route": "POST /order"} for one in fault)])
        before = len(self.venue.books()["orders"])
        was_killed = self._kill(RunPlan(flow, due, direction, variant, series, target))
        if was_killed and "post" in target.point:
            has_it = len(self.venue.books()["orders"]) > before
            self.tally.had[f"{target.point}|{'had' if has_it else 'had not'}"] += 1

    def _kill_some(self, flow: str, points: Sequence[str], count: int) -> None:
        for _ in range(count):
            target = self.schedule.next_target(points)
            if target is None:
                return
            if "transfer" in target.point:
                self._deposits += 1
                self.venue.transfer(self.wallet, 1 + self._deposits % 7)
            self._kill(RunPlan(flow, self._now(), target=target))

    def _settle(self, at_s: int, windows: Sequence[MarketWindow], *, kills: bool) -> None:
        self._move_to(at_s)
        for window in windows:
            market = self._oracle.listing.by_slug(window.slug)
            assert market is not None
            self._resolved.add(market.condition_id)
        if kills:
            self._kill_some("settle", PAYING, 2)
            for _ in range(3):
                self._kill_some("settle", REDEEM, 1)
                # A redemption that was asked for is asked for again a minute later.
                self._move_to(self._now_s() + 61)
            self._kill_some("settle", TELLING, 1)
        for _ in range(4):
            self._go("settle", self._now())
            rows = read_rows(self.desk.ledger)
            if not rows.open_redemptions and not any(
                one["size"] and not one["is_settled"] for one in rows.positions
            ):
                break
            self._move_to(self._now_s() + 3700)
        else:
            self.tally.note([Broken("books off", "not settled after four hours")], self._where())
        # What was redeemed a moment ago gives room; later everything must agree by itself.
        self._move_to(self._now_s() + 130)
        self._go("settle", self._now())
        self._check("after settling")

    def count(self) -> None:
        """Add what the venue had of this life in the end."""
        books = self.venue.books()
        self.tally.orders += len(books["orders"])
        self.tally.fills += len(books["trades"])

    # Runs ---------------------------------------------------------------------------------------
    def _kill(self, plan: RunPlan) -> bool:
        assert plan.target is not None
        result = self.run(self.desk, plan)
        self.tally.runs += 1
        self._trail.append(f"{plan.target.point}{'' if result.was_killed else ' (missed)'}")
        self.schedule.note(plan.target, was_killed=result.was_killed)
        if result.was_killed:
            self.tally.kills += 1
            self._check_always()
        self._move_to(self._now_s() + 2)
        return result.was_killed

    def _go(self, flow: str, due: datetime, *, series: tuple[str, ...] = ()) -> RunResult:
        directions = self._directions(due) if flow == "trend" else {}
        result = self.run(self.desk, RunPlan(flow, due, series=series, directions=directions))
        self.tally.runs += 1
        self._trail.append(flow)
        if result.problem:
            self.tally.note([Broken("books off", result.problem)], self._where())
        self.tally.note([Broken("books off", one) for one in result.violations], self._where())
        self.schedule.learn(result.counts or {}, series_count=max(len(series), 1))
        self._check_always()
        self._move_to(self._now_s() + 2)
        return result

    def _check_always(self) -> None:
        rows = read_rows(self.desk.ledger)
        self.tally.note(always(self.venue.books(), rows, LIMITS, self._resolved), self._where())

    def _check(self, when: str) -> None:
        books, rows = self.venue.books(), read_rows(self.desk.ledger)
        self.tally.note(when_settled(books, rows), f"{when}, {self._where()}")

    def _where(self) -> str:
        return f"{self.desk.home.name} round {self.tally.rounds} [{' > '.join(self._trail[-24:])}]"

    # What happens -------------------------------------------------------------------------------
    def _plan_fates(self, windows: Sequence[MarketWindow]) -> None:
        self._fates = []
        for window in windows:
            kind = self.random.choices(("", "trade-retried", "trade-failed"), (80, 8, 12))[0]
            if kind:
                route = f"TRADE {window.slug}"
                self._fates.append({"kind": kind, "route": route, "count": 0})
        self.venue.arm(self._fates)

    def _directions(self, due: datetime) -> dict[str, Direction]:
        start_s = int(due.timestamp())
        return {
            str(one): self._direction(MarketWindow(series=one, start_s=start_s))
            for one in (*SERIES, *QUIET_SERIES)
        }

    def _direction(self, window: MarketWindow) -> Direction:
        """Return mostly what will win, so that there is much to redeem."""
        market = self._oracle.listing.by_slug(window.slug)
        assert market is not None
        winner = self._oracle.winner(market, market.resolved_s)
        is_right = Random(window.slug).random() < 0.9
        return Direction.UP if (winner is Outcome.UP) is is_right else Direction.DOWN

    def _now_s(self) -> int:
        return self.desk.clock.now_ms() // 1000

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._now_s(), UTC)

    def _move_to(self, at_s: int) -> None:
        self.desk.clock.move_to(max(self.desk.clock.now_ms(), at_s * 1000))


@contextmanager
def new_life(seed: int, schedule: Schedule, tally: Tally) -> Iterator[Life]:
    """Open a venue with habits of its own, and a new installation on it."""
    random = Random(f"life {seed}")
    clock = SharedClock((START_S + 900 * random.randrange(96)) * 1000)
    signer = OrderSigner(Secret(TEST_KEY))
    kind = random.choice(list(SignatureType))
    funder = signer.address if kind is SignatureType.EOA else _WALLET
    trading = TradingAccount(key_address=signer.address, funder=funder, signature_type=kind)
    wallet = Wallet(signer.address.lower(), funder.lower(), int(kind), int(CASH_USDC * 10**6))
    rules = VenueRules(
        shows_terminal_orders=random.random() < 0.5,
        fee_rounding=random.choice(("half-up", "down")),
        answers_in_decimals=random.random() < 0.5,
        fill_step=random.choice((1, 100)),
    )
    with scratch() as home:
        at = datetime.fromtimestamp(clock.now_ms() / 1000, UTC)
        new_live_ledger(home / "live.db", CASH_USDC, at=at).close()
        with running_venue(
            seed=seed, clock=clock, rules=rules, wallet=wallet, ledger=home / "live.db"
        ) as venue:
            desk = Desk(home, venue.url, clock, signer, trading, LIMITS)
            yield Life(desk, venue, wallet, seed=seed, schedule=schedule, tally=tally)
