"""One installation that copies a leader: killed again and again, and checked every time.

A round is a window in which the leader trades, sells and merges, before and while the loop runs.
Every kill is followed by a new process of the loop; now and then a second one stands by already
and takes over. In the end of a round every trade of the leader must be recorded exactly once, and
the books must equal the venue's.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from polybot.adapters.storage.ledger import open_ledger
from polybot.domain.leaders import (
    CopyPolicy,
    CopyVerdict,
    Leader,
    LeaderAddress,
    LeaderState,
    Sizing,
    SmallCopies,
)
from polybot.domain.markets import MarketSeries, MarketWindow
from polybot.domain.modes import Mode
from polybot.sandbox.leaders.wallets import Behaviour, LeaderOptions, make_wallets
from tests.builders import build_limits
from tests.chaos.bot_process import RunResult, copy_in_child, run_in_child
from tests.chaos.copy_process import ANY_MOMENT, Act, CopyPlan, leaders_trades, tell_leader
from tests.chaos.crash_points import Target
from tests.chaos.installations import open_installation
from tests.chaos.live_bot import Desk, RunPlan
from tests.chaos.model import UNPROVED, Broken, always_while_copying, read_rows, when_settled
from tests.chaos.moods import ACCEPTED, REFUSED, faults_of, mood_of
from tests.chaos.schedule import Schedule, points_of
from tests.chaos.tally import Tally
from tests.chaos.venue_process import RunningVenue

_ANSWERS = ("sent", "answered", "half read", "after")
COPY_POINTS = (
    *points_of("copy", "lease taken"),
    *points_of("copy", "lease renewed"),
    *points_of("copy", "event heard", ("before", "after")),
    *points_of("copy", "copy recorded"),
    *points_of("copy", "post", ("before", "half sent")),
    *(
        point
        for mood in (ACCEPTED, REFUSED)
        for point in points_of("copy", "post", tuple(f"{one}, {mood}" for one in _ANSWERS))
    ),
    *points_of("copy", "order report"),
    *points_of("copy", "skips recorded"),
    *points_of("copy", "conversion recorded"),
    *points_of("copy", "latency recorded"),
    *points_of("copy", "watermark"),
    *points_of("copy", "lease given back"),
    ANY_MOMENT,
)
COPY_LIMITS = build_limits(
    stake_usdc=Decimal(5),
    max_stake_usdc=Decimal(10),
    max_window_exposure_usdc=Decimal(160),
    max_exposure_usdc=Decimal(200),
    max_daily_loss_usdc=Decimal(10_000),
    max_trades_per_day=10_000,
    min_time_left_s=30,
)
LEADERS = LeaderOptions(
    leaders=1,
    crowd=0,
    rate=0.0,
    noise=0.0,
    stream_lag_ms=100,
    index_lag_ms=300,
    positions_lag_ms=0,
    cache_s=0,
    activity_cache_s=0,
    history_s=0,
    behaviour=Behaviour(rate=0, redeems=False),
)
# The venue's time passes faster than ours, also while a loop starts on a busy machine.
MAX_AGE_S = 100.0
_POLICY = CopyPolicy(
    sizing=Sizing.FIXED,
    fixed_usdc=Decimal(5),
    max_trade_usdc=Decimal(10),
    max_market_usdc=Decimal(1_000),
    max_leader_usdc=Decimal(1_000),
    max_day_usdc=Decimal(100_000),
    max_age_s=MAX_AGE_S,
    max_price_above=Decimal("0.2"),
    max_price_fraction=Decimal("0.5"),
    max_from_book=Decimal("0.3"),
    small_copies=SmallCopies.SKIP,
    min_time_left_s=30,
    max_repeats=100_000,
    flip_s=0,
)
_SERIES = MarketSeries.parse("btc-15m")
_KILLS_IN_A_ROUND = 9
# These come also where an order of unknown fate keeps its market waiting.
_UNHINDERED = ("lease taken", "lease renewed", "event heard", "watermark", "lease given back")
# An order that the venue does not know may still arrive for two minutes.
_FATE_S = 125
# What the leader does later than so long before the end of a window is not copied [s].
_LAST_ACT_S = 120
_LISTED_LATE = timedelta(days=30)


class CopyLife:
    """One installation, its venue, and the leader whom it copies."""

    def __init__(
        self, desk: Desk, venue: RunningVenue, *, seed: int, schedule: Schedule, tally: Tally
    ) -> None:
        self.desk = desk
        self.venue = venue
        self.schedule = schedule
        self.tally = tally
        self.random = Random(seed)
        self._trail: list[str] = []
        self._followed_ms = desk.clock.now_ms()
        self._window: MarketWindow | None = None
        # The first of the sandbox's leaders for this seed.
        self.leader = LeaderAddress(make_wallets(seed, LEADERS)[0].address)

    def follow(self) -> None:
        """Follow the leader from now on."""
        with open_ledger(self.desk.ledger, mode=Mode.LIVE) as ledger:
            now = self._now()
            ledger.add_leader(
                Leader(
                    address=self.leader,
                    name="whale",
                    policy=_POLICY,
                    state=LeaderState.ACTIVE,
                    state_reason="",
                    added_at=now,
                    watermark=now,
                )
            )

    def play_round(self, *, kills: int = _KILLS_IN_A_ROUND) -> None:
        """Copy through one window, and settle it."""
        start_s = self._now_s() // 900 * 900 + 900
        self._window = MarketWindow(series=_SERIES, start_s=start_s)
        self._trail = []
        self.tally.rounds += 1
        self._move_to(start_s + 20)
        for _ in range(kills):
            if self._now_s() > start_s + 900 - _LAST_ACT_S:
                break
            self._kill_once()
        self._disturb(())
        self._act_before()
        # What waits for an order of unknown fate waits until that is proved: minutes.
        plan = CopyPlan(
            run=self._run(), acts=self._acts(), follows=self.leader, patience_s=30, step_s=0.5
        )
        self._note_run(self._copy(plan))
        self._settle(start_s)

    def count(self) -> None:
        """Add what the venue had of this life in the end."""
        books = self.venue.books()
        self.tally.orders += len(books["orders"])
        self.tally.fills += len(books["trades"])

    # Kills --------------------------------------------------------------------------------------
    def _kill_once(self) -> None:
        target = self.schedule.next_target(COPY_POINTS)
        if target is None:
            return
        if target.point.split(": ")[1] not in (*_UNHINDERED, "any moment"):
            self._let_fates_be_known()
        mood = mood_of(target.point, self.random)
        self._disturb(faults_of(mood, self.random) if mood == REFUSED else ())
        self._act_before(is_merging="conversion" in target.point)
        dies_after_s = self.random.uniform(0, 0.8) if target.point == ANY_MOMENT else None
        standby = None
        plan = CopyPlan(
            run=self._run(mood=mood, target=target),
            acts=self._acts(),
            follows=self.leader,
            dies_after_s=dies_after_s,
        )
        child = copy_in_child(self.desk, plan)
        if self.random.random() < 0.2:
            # It waits for the lease, and takes over once nobody renews it.
            standby = copy_in_child(self.desk, CopyPlan(run=self._run()))
        result = child.wait()
        self.tally.runs += 1
        self._note_kill(target, result)
        if standby is not None:
            self._trail.append("standby")
            self._note_run(standby.wait(), is_usual=False)

    def _let_fates_be_known(self) -> None:
        """Wait until the next loop can prove what became of every order of an earlier one."""
        orders = read_rows(self.desk.ledger).orders.values()
        made_s = [row["created_at"] // 10**6 for row in orders if row["status"] in UNPROVED]
        if made_s:
            self._move_to(max(made_s) + _FATE_S)

    def _note_kill(self, target: Target, result: RunResult) -> None:
        self._trail.append(f"{target.point}{'' if result.was_killed else ' (missed)'}")
        self.schedule.note(target, was_killed=result.was_killed)
        if result.was_killed:
            self.tally.kills += 1
        elif result.problem:
            self.tally.note([Broken("books off", result.problem)], self._where())
        self._check_always()

    def _note_run(self, result: RunResult, *, is_usual: bool = True) -> None:
        self.tally.runs += 1
        if result.problem:
            self.tally.note([Broken("books off", result.problem)], self._where())
        self.tally.note([Broken("books off", one) for one in result.violations], self._where())
        if is_usual:
            self.schedule.learn(result.counts or {}, series_count=1)
        self._check_always()

    def _copy(self, plan: CopyPlan) -> RunResult:
        return copy_in_child(self.desk, plan).wait()

    def _run(self, mood: str = ACCEPTED, target: Target | None = None) -> RunPlan:
        return RunPlan("copy", self._now(), mood=mood, target=target)

    # What the leader does -----------------------------------------------------------------------
    def _act_before(self, *, is_merging: bool = False) -> None:
        """Trade while nobody listens: it is read again by whoever starts."""
        for act in (self._act("BUY", 15, 15), self._act("BUY", 1), self._act("MERGE", 2)):
            is_due = is_merging and act["kind"] == "MERGE"
            if is_due or self.random.random() < 0.6:
                tell_leader(self.venue.url, act)
        self._move_to(self._now_s() + 1)

    def _acts(self) -> tuple[Act, ...]:
        """Return what he does in front of the loop."""
        sizes = self.random.choice(((20,), (20, 20), (12, 8, 30)))
        more = (self._act("SELL", self.random.randrange(5, 40)),) * (self.random.random() < 0.4)
        return (self._act("BUY", *sizes), *more, self._act("BUY", 1))

    def _act(self, kind: str, *sizes: int) -> Act:
        assert self._window is not None
        act: Act = {"leader": self.leader, "kind": kind, "slug": self._window.slug}
        if kind in ("BUY", "SELL"):
            return {**act, "fills": [{"size": size} for size in sizes]}
        return {**act, "size": sizes[0]}

    def _disturb(self, faults: Any) -> None:
        """Let the stream lose and repeat, and the venue do what is wanted with an order."""
        stream = {"route": "WS /rtds", "count": 0}
        kinds = {"event-duplicated": 0.3, "event-lost": 0.2, "event-reordered": 0.1}
        self.venue.arm(
            [
                *({"kind": kind, "probability": share, **stream} for kind, share in kinds.items()),
                {"kind": "socket-frozen", "probability": 0.05, "duration_s": 20, **stream},
                {"kind": "trade-unheard", "probability": 0.1, "count": 0},
                *faults,
            ]
        )

    # Settling -----------------------------------------------------------------------------------
    def _settle(self, start_s: int) -> None:
        self._move_to(start_s + 900 + 700)
        for _ in range(5):
            self._note_run(run_in_child(self.desk, RunPlan("settle", self._now())))
            rows = read_rows(self.desk.ledger)
            if not rows.open_redemptions and not rows.unpaid:
                break
            self._move_to(self._now_s() + 3_700)
        # For ten minutes an order that found nothing may still show fills; cash is not judged.
        self._move_to(self._now_s() + 730)
        self._note_run(run_in_child(self.desk, RunPlan("settle", self._now())))
        books, rows = self.venue.books(), read_rows(self.desk.ledger)
        self.tally.note(when_settled(books, rows), self._where())
        self.tally.note(self._unrecorded(), self._where())

    def _unrecorded(self) -> list[Broken]:
        """Compare what the leader did with what is recorded of him."""
        truth = Counter(
            str(row["key"])
            for row in leaders_trades(self.venue.url, self.leader)
            if int(row["at_ms"]) >= self._followed_ms
        )
        with open_ledger(self.desk.ledger, mode=Mode.LIVE) as ledger:
            everything = ledger.copy_log()
            ours = {str(one.trade.key) for one in everything if one.follows_conversion}
            log = [one for one in everything if not one.follows_conversion]
            recorded = Counter(str(one.trade.key) for one in log)
            since = self._now() - _LISTED_LATE
            seen = ledger.seen_keys(self.leader, since=since)
            keys = recorded | Counter(str(key) for key in seen if str(key) not in ours)
        late = [one for one in log if one.verdict is CopyVerdict.PLACED and _age_s(one) > MAX_AGE_S]
        return [
            *(Broken("lost fills", f"never recorded: {key[43:]}") for key in truth - keys),
            *(Broken("duplicate orders", f"of nothing: {key[43:]}") for key in keys - truth),
            *(Broken("limit breaches", f"copied {_age_s(one):.0f} s later") for one in late),
        ]

    # Odds and ends ------------------------------------------------------------------------------
    def _check_always(self) -> None:
        rows = read_rows(self.desk.ledger)
        found = always_while_copying(self.venue.books(), rows, self.desk.limits, self._settled())
        self.tally.note(found, self._where())

    def _settled(self) -> set[str]:
        """Markets of earlier rounds: they hold nothing any more."""
        rows = read_rows(self.desk.ledger)
        return {one["condition_id"] for one in rows.positions if one["is_settled"]}

    def _where(self) -> str:
        return f"{self.desk.home.name} round {self.tally.rounds} [{' > '.join(self._trail[-24:])}]"

    def _now_s(self) -> int:
        return self.desk.clock.now_ms() // 1000

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._now_s(), UTC)

    def _move_to(self, at_s: int) -> None:
        self.desk.clock.move_to(max(self.desk.clock.now_ms(), at_s * 1000))


def _age_s(record: Any) -> float:
    return float((record.decided_at - record.trade.traded_at).total_seconds())


@contextmanager
def new_copy_life(seed: int, schedule: Schedule, tally: Tally) -> Iterator[CopyLife]:
    """Open a venue with a leader, and a new installation that follows him."""
    with open_installation(seed, limits=COPY_LIMITS, leaders=LEADERS) as (desk, venue, _):
        life = CopyLife(desk, venue, seed=seed, schedule=schedule, tally=tally)
        life.follow()
        yield life
