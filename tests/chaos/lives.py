"""One installation from its first order on: killed again and again, and checked every time.

A life is a venue, a ledger and some rounds. A round is a quarter of an hour of eight market
series, and what comes after it: orders, listening to them, reconciling, settlement. In each of
these somebody is killed several times; each kill is followed by a new process that opens the same
ledger and goes on. The books are compared after every kill, and to the last unit once nobody is
killed any more.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from random import Random
from types import MappingProxyType

from polybot.domain.markets import MarketSeries, MarketWindow, Outcome
from polybot.domain.signals import Direction
from polybot.sandbox.venue import SandboxVenue
from tests.builders import build_limits
from tests.chaos.bot_process import RunResult
from tests.chaos.live_bot import Desk, RunPlan
from tests.chaos.model import Broken, Rows, always, read_rows, when_settled
from tests.chaos.moods import Fault, false_refusal, faults_of, mood_of, slow_answer
from tests.chaos.schedule import (
    BEFORE_THE_ORDER,
    CANCEL,
    LEARNING,
    LISTENING,
    PAYING,
    REDEEM,
    RELAYER,
    ROUNDING,
    SHUTDOWN,
    TELLING,
    THE_ORDER,
    TRANSFER,
    VERDICT,
    Schedule,
)
from tests.chaos.tally import Tally
from tests.chaos.venue_process import RunningVenue, Wallet

SERIES = tuple(
    map(MarketSeries.parse, ("btc-15m", "eth-15m", "sol-15m", "xrp-15m", "xrp-5m", "eth-5m"))
)
# Nobody is killed in this one: it leaves something to settle in every round.
QUIET_SERIES = (MarketSeries.parse("btc-5m"),)
# These have three windows in a round.
SHORT_SERIES = tuple(map(MarketSeries.parse, ("xrp-5m", "eth-5m", "btc-5m")))
_HOLDING_SERIES = ("sol-5m",)
_MISTAKEN_SERIES = "sol-5m"
CASH_USDC = Decimal(1000)
# So many kills of these a round, that none of them needs more rounds than the orders.
_PAY_OUTS, _REDEMPTIONS, _ALERTS = 2, 5, 2
# One order of 5 USDC with its fee of at most 0.36 fits a window, thirteen fit the account with one
# small bid beside them: a second one in a window, or a fourteenth, never does.
LIMITS = build_limits(
    max_window_exposure_usdc=Decimal("5.40"),
    max_exposure_usdc=Decimal("69.94"),
    min_time_left_s=60,
    max_daily_loss_usdc=Decimal(10_000),
    max_trades_per_day=200,
)


class Life:
    """One installation and its venue."""

    def __init__(
        self,
        desk: Desk,
        venue: RunningVenue,
        wallet: Wallet,
        *,
        run: Callable[[RunPlan], RunResult],
        seed: int,
        schedule: Schedule,
        tally: Tally,
    ) -> None:
        self.desk = desk
        self.run = run
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
        self._fates: list[Fault] = []
        self._deposits = 0
        self._trail: list[str] = []
        # A wallet that is its own key needs no relayer.
        has_relayer = wallet.signature_type != 0
        self._redeeming = REDEEM if has_relayer else tuple(set(REDEEM) - set(RELAYER))

    # A round ------------------------------------------------------------------------------------
    def play_round(self, *, kills: bool = True) -> None:
        """Play one window of every series, and two more of some of them."""
        start_s = self.desk.clock.now_ms() // 1000 // 900 * 900 + 900
        self._trail = []
        self.tally.rounds += 1
        first = _windows((*SERIES, *QUIET_SERIES), start_s)
        second = _windows(SHORT_SERIES, start_s + 300)
        third = _windows(SHORT_SERIES, start_s + 600)
        self._plan_fates((*first, *second, *third))
        self._trade(start_s, first, SERIES if kills else ())
        # Every other round hears of its fills as they happen, the others look for them.
        is_listening = self.tally.rounds % 2 == 0
        if is_listening:
            if kills:
                self._kill_some("follow", LISTENING, 7)
            self._go("follow", self._now())
        self._trade(start_s + 300, second, SHORT_SERIES if kills else ())
        self._trade(start_s + 600, third, SHORT_SERIES if kills else ())
        self._move_to(start_s + 900)
        if kills:
            self._kill_some("reconcile", LEARNING, 3 if is_listening else 4)
            self._kill_the_canceller()
        # Whatever is open is closed here: a mistaken order may not rest for long, the venue's books
        # tell of takers alone. And for ten minutes an order that found nothing may still show
        # fills; cash is not judged.
        self._go("settle", self._now())
        self._move_to(start_s + 900 + 660)
        if kills:
            self._kill_some("reconcile", ROUNDING, 1)
            self._kill_some("reconcile", VERDICT, 1)
        self._go("reconcile", self._now())
        self._check("after reconciling")
        if kills:
            self._kill_some("reconcile", TRANSFER, 1)
        self._settle(start_s + 1_620, (*first, *second, *third), kills=kills)

    def _trade(
        self, start_s: int, windows: Sequence[MarketWindow], killed: Sequence[MarketSeries]
    ) -> None:
        """Decide windows at their start: some series with kills, then all of them without."""
        self._move_to(start_s + 3)
        due = windows[0].start
        for window in windows:
            if window.series in killed:
                direction, series = self._direction(window), (str(window.series),)
                self._kill_before_the_order(due, direction, series)
                self._kill_around_the_order(due, direction, series)
        self.venue.arm(self._fates)
        # One forecast an asset: of its first window here.
        directions = {one.series.asset: self._direction(one) for one in reversed(windows)}
        series = tuple(str(window.series) for window in windows)
        self._go("trend", due, series=series, directions=directions)

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
        mood = mood_of(target.point, self.random)
        faults = slow_answer() if flow == "shutdown" else faults_of(mood, self.random)
        self.venue.arm([*self._fates, *faults])
        before = len(self.venue.books()["orders"])
        was_killed = self._kill(RunPlan(flow, due, direction, mood, series, target))
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

    def _kill_while_left(
        self, points: Sequence[str], count: int, left: Callable[[Rows], int]
    ) -> None:
        """Kill settling runs, but none that has not enough left to do to come to its point."""
        for _ in range(count):
            target = self.schedule.next_target(points, most=left(read_rows(self.desk.ledger)))
            if target is None:
                return
            self._kill(RunPlan("settle", self._now(), target=target))
            # A redemption that was asked for is asked for again a minute later.
            self._move_to(self._now_s() + 61)

    def _kill_the_canceller(self) -> None:
        """Let an order rest that the record holds for refused, and kill whoever cancels it."""
        target = self.schedule.next_target(CANCEL)
        if target is None:
            return
        self.venue.arm([*self._fates, *false_refusal()])
        self._go("mistake", _next_quarter(self._now_s(), 300), series=(_MISTAKEN_SERIES,))
        self.venue.arm(self._fates)
        self._kill(RunPlan("reconcile", self._now(), target=target))

    def _settle(self, at_s: int, windows: Sequence[MarketWindow], *, kills: bool) -> None:
        self._move_to(at_s)
        for window in windows:
            market = self._oracle.listing.by_slug(window.slug)
            assert market is not None
            self._resolved.add(market.condition_id)
        if kills:
            self._kill_while_left(PAYING, _PAY_OUTS, lambda rows: rows.unpaid)
            self._kill_while_left(
                self._redeeming, _REDEMPTIONS, lambda rows: rows.unpaid + rows.open_redemptions
            )
            self._kill_while_left(TELLING, _ALERTS, lambda rows: rows.unsent_alerts)
        for _ in range(4):
            self._go("settle", self._now())
            rows = read_rows(self.desk.ledger)
            if not rows.open_redemptions and not rows.unpaid:
                break
            self._move_to(self._now_s() + 3700)
        else:
            self.tally.note([Broken("books off", "not settled after four hours")], self._where())
        # What was redeemed a moment ago gives room; later everything must agree by itself.
        self._move_to(self._now_s() + 130)
        self._go("settle", self._now(), audits=True)
        self._check("after settling")

    def count(self) -> None:
        """Add what the venue had of this life in the end."""
        books = self.venue.books()
        self.tally.orders += len(books["orders"])
        self.tally.fills += len(books["trades"])

    # Runs ---------------------------------------------------------------------------------------
    def _kill(self, plan: RunPlan) -> bool:
        assert plan.target is not None
        result = self.run(plan)
        self.tally.runs += 1
        self._trail.append(f"{plan.target.point}{'' if result.was_killed else ' (missed)'}")
        self.schedule.note(plan.target, was_killed=result.was_killed)
        if result.was_killed:
            self.tally.kills += 1
            self._check_always()
        self._move_to(self._now_s() + 2)
        return result.was_killed

    def _go(
        self,
        flow: str,
        due: datetime,
        *,
        series: tuple[str, ...] = (),
        directions: Mapping[str, Direction] = MappingProxyType({}),
        audits: bool = False,
    ) -> RunResult:
        plan = RunPlan(flow, due, series=series, directions=dict(directions), audits=audits)
        result = self.run(plan)
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


def _windows(series: Sequence[MarketSeries], start_s: int) -> tuple[MarketWindow, ...]:
    return tuple(MarketWindow(series=one, start_s=start_s) for one in series)


def _next_quarter(now_s: int, step_s: int) -> datetime:
    return datetime.fromtimestamp(now_s // step_s * step_s + step_s, UTC)
