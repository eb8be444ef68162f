"""What leaders do: the same for the same seed, whoever looks and however often."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from decimal import Decimal

import pytest

from polybot.errors import ConfigurationError
from polybot.sandbox.clock import SteppedClock
from polybot.sandbox.leaders.events import ActivityType, Entry, WalletConversion, WalletTrade
from polybot.sandbox.leaders.stage import LeaderStage
from polybot.sandbox.leaders.truth import truth_rows
from polybot.sandbox.leaders.wallets import Behaviour, LeaderOptions
from polybot.sandbox.venue import SandboxVenue
from tests.sandbox.conftest import START_S
from tests.sandbox.leader_wire import open_stage

BUSY = LeaderOptions(leaders=2, crowd=1, rate=30, noise=0)


def _played(seconds: float, steps: Iterable[float] = (), seed: int = 7) -> LeaderStage:
    clock = SteppedClock((START_S - 10) * 1000)
    stage = LeaderStage(SandboxVenue(seed=seed, clock=clock), BUSY)
    for step in steps:
        clock.advance(step)
        stage.advance()
        seconds -= step
    clock.advance(seconds)
    stage.advance()
    return stage


def _trades(entries: Iterable[Entry]) -> list[WalletTrade]:
    return [one.event for one in entries if one.is_leaders and isinstance(one.event, WalletTrade)]


def test_history_is_the_same_however_often_somebody_looks() -> None:
    """One step of 5 minutes, 300 of a second, some of milliseconds: one history."""
    whole = _played(300)
    seconds = _played(300, [1.0] * 300)
    parts = _played(300, [0.001, 0.2, 61.7, 0.013] * 4)

    expected = truth_rows(whole.entries, 0)
    assert len(expected) > 500
    assert truth_rows(seconds.entries, 0) == expected
    assert truth_rows(parts.entries, 0) == expected
    assert truth_rows(_played(300, seed=8).entries, 0) != expected


@pytest.fixture(scope="module")
def hour() -> LeaderStage:
    """An hour of two busy leaders."""
    return _played(3_600)


def test_everything_a_leader_can_do_happens(hour: LeaderStage) -> None:
    """Every kind of action, of fill and of market is there."""
    stage = hour
    trades = _trades(stage.entries)
    by_transaction: defaultdict[str, list[WalletTrade]] = defaultdict(list)
    for one in trades:
        by_transaction[one.transaction_hash].append(one)
    conversions = Counter(
        one.event.kind
        for one in stage.entries
        if one.is_leaders and isinstance(one.event, WalletConversion)
    )

    assert {one.side for one in trades} == {"BUY", "SELL"}
    assert {one.is_taker for one in trades} == {True, False}
    assert conversions.keys() == {
        ActivityType.SPLIT,
        ActivityType.MERGE,
        ActivityType.REDEEM,
        ActivityType.MAKER_REBATE,
    }
    several = [rows for rows in by_transaction.values() if len(rows) > 1]
    assert any(len({one.price for one in rows}) > 1 for rows in several)
    assert any(len(set(rows)) < len(rows) for rows in several), "no identical repeat"
    assert any(one.price % Decimal("0.01") for one in trades), "no average off the tick grid"
    assert any(one.is_bait for one in trades)
    foreign = {
        one.token.slug for one in trades if stage.venue.listing.by_slug(one.token.slug) is None
    }
    assert len(foreign) > 3
    ends = {one.window.slug: one.end_s for one in _markets(stage, trades)}
    assert any(ends.get(one.token.slug, 1 << 40) - one.timestamp < 30 for one in trades)


def _markets(stage: LeaderStage, trades: list[WalletTrade]) -> list[object]:
    found = (stage.venue.listing.by_slug(one.token.slug) for one in trades)
    return [one for one in found if one is not None]


def test_takers_trade_at_the_book_and_bait_far_from_it(hour: LeaderStage) -> None:
    """A BUY pays an offer that stood there in that second; bait is 0.15 or more away."""
    venue, checked = hour.venue, 0
    for trade in _trades(hour.entries)[:600]:
        book = venue.book(trade.token.token_id, trade.timestamp)
        if book is None or not trade.is_taker:
            continue
        levels = book.asks if trade.side == "BUY" else book.bids
        if not levels:
            continue
        distance = min(abs(trade.price - one.price) for one in levels)
        if trade.is_bait:
            assert abs(trade.price - levels[0].price) >= Decimal("0.05")
        else:
            assert distance <= Decimal("0.01")
            checked += 1
    assert checked > 100


def test_nobody_sells_merges_or_redeems_what_is_not_there(hour: LeaderStage) -> None:
    """Held per token: never below zero, and nothing is left of a redeemed market."""
    stage = hour
    first_ms = stage.entries[0].event.at_ms
    held: defaultdict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    for entry in stage.entries:
        event = entry.event
        if not entry.is_leaders or (isinstance(event, WalletConversion) and not event.slug):
            continue
        slug = event.token.slug if isinstance(event, WalletTrade) else event.slug
        market = stage.venue.listing.by_slug(slug)
        if market is None or market.listed_s * 1000 > first_ms or market.start_s < START_S:
            continue
        if isinstance(event, WalletTrade):
            sign = 1 if event.side == "BUY" else -1
            held[event.wallet, slug, event.token.outcome] += sign * event.size
        else:
            winner = stage.venue.winner(market, event.timestamp)
            for outcome in ("Up", "Down"):
                key = (event.wallet, slug, outcome)
                if event.kind is ActivityType.REDEEM:
                    assert winner is not None, "redeemed before the venue decided"
                    if outcome == winner:
                        assert held[key] == event.size
                    held[key] = Decimal(0)
                else:
                    held[key] += event.size if event.kind is ActivityType.SPLIT else -event.size
        assert min(held.values()) >= 0
    assert len(held) > 10


def test_a_makers_taker_may_have_traded_the_other_outcome(hour: LeaderStage) -> None:
    """Two buyers mint a pair: prices add up to 1; the taker's row is of the complement."""
    stage = hour
    rows: defaultdict[str, list[WalletTrade]] = defaultdict(list)
    for entry in stage.entries:
        if isinstance(entry.event, WalletTrade):
            rows[entry.event.transaction_hash].append(entry.event)
    minted = 0
    for transaction in rows.values():
        maker = next((one for one in transaction if one.name and not one.is_taker), None)
        taker = next(one for one in transaction if one.is_taker)
        if maker is None or maker.token.outcome == taker.token.outcome:
            continue
        minted += 1
        makers = [one for one in transaction if not one.is_taker]
        assert maker.side == taker.side
        assert sum(one.size for one in makers) == taker.size
        assert sum((one.usdc for one in makers), Decimal(0)) + taker.usdc == taker.size
    assert minted > 20


@pytest.mark.parametrize(
    "habits",
    [
        {"sells": 1.5},
        {"sells": 0.9, "merges": 0.2},
        {"several_fills": 0.9, "repeats": 0.2},
        {"rate": -1},
        {"series": ("doge-15m",)},
        {"smallest": Decimal(0)},
    ],
)
def test_impossible_habits_are_refused(habits: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Behaviour(**habits)  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{"leaders": -1}, {"noise": 1e9}, {"index_lag_ms": -1}])
def test_impossible_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        LeaderOptions(**options)  # type: ignore[arg-type]


def test_no_leaders_is_a_choice() -> None:
    stage = open_stage(LeaderOptions(leaders=0, crowd=0))
    stage.advance()
    assert stage.entries == []
    assert stage.leaders == ()


def test_a_first_look_after_days_plays_the_last_day_alone() -> None:
    """A venue that ran for a week without anybody asking answers at once."""
    options = LeaderOptions(leaders=1, crowd=0, rate=1)
    stage = open_stage(options)
    assert isinstance(stage.venue.clock, SteppedClock)
    stage.venue.clock.advance(7 * 86_400)
    now_ms = stage.advance()
    first_ms = stage.entries[0].event.at_ms
    assert now_ms - 86_400_000 < first_ms < now_ms - 80_000_000
    assert stage.entries[-1].event.at_ms > now_ms - 3_600_000
