"""The page of copy trading in the UI: what an owner is promised to find on it, and no more."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from polybot.copy_trading.card import broken_card, copying_card, paused_card
from polybot.copy_trading.drift import compare_holdings
from polybot.copy_trading.status import (
    CopyCounts,
    CopyPhase,
    CopyStatus,
    Drift,
    LatencySummary,
    LeaderStatus,
    OrderCounts,
    Trouble,
)
from polybot.domain.books import BookFeedHealth
from polybot.domain.leaders import (
    CopyPolicy,
    DesiredState,
    FeedSource,
    LeaderAddress,
    LeaderState,
    Sizing,
    SourceHealth,
)
from polybot.domain.modes import Mode, TradingState
from polybot.ports import LAG_BUCKETS_S
from tests.builders import NOW, UP_TOKEN
from tests.copy_builders import LEADER, build_holding, build_leader

HOSTILE = "# [x](javascript:alert(1)) <script>|`@everyone`\n\n## more"


def build_status(**changes: Any) -> CopyStatus:
    """Return a loop that trades, with one leader and two feeds."""
    counts = CopyCounts(
        seen=12,
        copied=5,
        accumulated=1,
        refused={"max-exposure": 2},
        skipped={"too-old": 3, "far-from-book": 1},
        repeated=40,
        voided=1,
        conversions=2,
    )
    values = {
        "phase": CopyPhase.TRADING,
        "at": NOW,
        "started_at": NOW - timedelta(hours=1),
        "end": None,
        "reason": "",
        "holder": "here",
        "lease": None,
        "trading_state": TradingState.ACTIVE,
        "leaders": (leader_status(),),
        "counts": counts,
        "orders": OrderCounts(filled=4, unknown=1),
        "feed_lag": LatencySummary(count=12, p50_s=1.25, p95_s=2.5, p99_s=3.75, max_s=4),
        "own_time": LatencySummary(count=5, p50_s=0.00075, p95_s=0.001, p99_s=0.002, max_s=0.003),
        "venue_time": LatencySummary(count=5, p50_s=0.03, p95_s=0.04, p99_s=0.05, max_s=0.06),
        "sources": (
            source("stream-1", first=7, reconnects=2, freezes=3),
            source("data-api", source=FeedSource.DATA_API, is_connected=False),
        ),
        "known_markets": 24,
        "drift": (),
        "drift_at": NOW,
        "troubles": (),
    }
    return CopyStatus(**(values | changes))  # type: ignore[arg-type]


def leader_status(**changes: Any) -> LeaderStatus:
    values = {
        "address": LEADER,
        "name": "heron",
        "state": LeaderState.ACTIVE,
        "state_reason": "added by somebody",
        "counts": CopyCounts(seen=12, copied=5, skipped={"too-old": 4}, refused={"cap": 2}),
        "last_trade_at": NOW,
        "watermark": NOW,
    }
    return LeaderStatus(**(values | changes))  # type: ignore[arg-type]


def source(name: str, **changes: Any) -> SourceHealth:
    values = {
        "source": FeedSource.STREAM,
        "name": name,
        "is_connected": True,
        "last_heard_at": NOW,
        "reconnects": 0,
        "freezes": 0,
        "messages": 100,
        "followed": 9,
        "first": 0,
    }
    return SourceHealth(**(values | changes))  # type: ignore[arg-type]


def page(status: CopyStatus) -> str:
    return copying_card(status, mode=Mode.PAPER)


def row(text: str, first: str) -> list[str]:
    """Return the cells of the one row that begins so."""
    (line,) = [one for one in text.splitlines() if one.startswith(f"| {first}")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_trades_are_counted_with_why_they_were_not_copied() -> None:
    text = page(build_status())
    expected = {
        "seen": 12,
        "copied": 5,
        "accumulated": 1,
        "refused: max-exposure": 2,
        "skipped: too-old": 3,
        "skipped: far-from-book": 1,
        "told again": 40,
        "failed later": 1,
        "splits, merges, redemptions": 2,
    }
    assert {name: row(text, name)[1] for name in expected} == {
        name: str(count) for name, count in expected.items()
    }


def test_leaders_are_shown_with_their_state_and_counts() -> None:
    paused = leader_status(
        address=LeaderAddress("0x" + "b" * 40),
        name="otter",
        state=LeaderState.THROTTLED,
        state_reason="21 copies in a minute",
        last_trade_at=None,
    )
    text = page(build_status(leaders=(leader_status(), paused)))
    assert row(text, "heron")[2:6] == ["active", "12", "5", "6"]
    assert row(text, "otter")[2] == "throttled: 21 copies in a minute"
    assert row(text, "otter")[6] == "never"


def test_feed_lag_and_our_own_time_are_told_apart_by_percentiles() -> None:
    text = page(build_status())
    assert row(text, "leader's fill until heard [s]")[1:] == ["12", "1.25", "2.50", "3.75", "4.00"]
    assert row(text, "heard until sent: ours [ms]")[1:] == ["5", "0.75", "1.00", "2.00", "3.00"]
    assert row(text, "sent until answered [ms]")[2:5] == ["30.00", "40.00", "50.00"]


def test_latency_that_was_never_measured_is_a_dash_and_no_zero() -> None:
    text = page(build_status(own_time=LatencySummary()))
    assert row(text, "heard until sent: ours [ms]")[1:] == ["0", "–", "–", "–", "–"]


def test_feeds_are_shown_with_who_was_first_and_what_was_thrown_away() -> None:
    sources = (
        source("stream-1", first=7, reconnects=2, freezes=3, shed=11, rejected={"price-off": 4}),
        source("data-api", source=FeedSource.DATA_API, is_connected=False, last_heard_at=None),
    )
    text = page(build_status(sources=sources, contradictions={"fills-differ": 1}))
    assert row(text, "stream-1 | connected")[3:] == ["100", "9", "7", "2", "3", "4", "11"]
    assert row(text, "data-api")[1:3] == ["not connected", "never"]
    assert row(text, "stream-1 | price-off")[2] == "4"
    assert row(text, "contradictions")[1:] == ["fills-differ", "1"]


def lag_counts(**buckets: int) -> tuple[int, ...]:
    """Return a histogram with counts in the buckets that end so, ``s3`` at three seconds."""
    found = dict.fromkeys((*LAG_BUCKETS_S, None), 0)
    for name, count in buckets.items():
        found[None if name == "more" else float(name[1:])] = count
    return tuple(found.values())


@pytest.mark.parametrize(
    ("counts", "shown"),
    [
        (lag_counts(s3=100), ["100", "at most 3", "at most 3", "at most 3"]),
        (lag_counts(s1=50, s3=45, s10=5), ["100", "at most 1", "at most 3", "at most 10"]),
        (lag_counts(s1=49, s3=45, more=6), ["100", "at most 3", "more than 100", "more than 100"]),
        (lag_counts(more=1), ["1", "more than 100", "more than 100", "more than 100"]),
    ],
)
def test_sources_say_how_much_later_than_the_first_they_were(
    counts: Sequence[int], shown: list[str]
) -> None:
    """By the upper end of the bucket in which each percentile lies."""
    text = page(build_status(later_than_first={FeedSource.DATA_API: counts}))
    (section,) = [part for part in text.split("## ") if part.startswith("Second to tell")]
    assert row(section, "data-api")[1:] == shown


def test_nobody_was_second_so_nothing_is_said_about_it() -> None:
    text = page(build_status(later_than_first={FeedSource.STREAM: lag_counts()}))
    assert "Second to tell" not in text


@pytest.mark.parametrize(
    ("sizing", "expected"),
    [
        (Sizing.PROPORTIONAL, ["200", "20", "25", "+5.00"]),
        (Sizing.POSITION_TARGET, ["200", "20", "25", "+5.00"]),
        # Nothing of his size says what a fixed stake should have come to.
        (Sizing.FIXED, ["200", "–", "25", "–"]),
        (Sizing.EQUITY_RATIO, ["200", "–", "25", "–"]),
    ],
)
def test_drift_is_shown_where_the_sizing_aims_at_a_share(
    sizing: Sizing, expected: list[str]
) -> None:
    leader = build_leader(
        policy=CopyPolicy(sizing=sizing, scale=Decimal("0.1"), leader_equity_usdc=Decimal(1000))
    )
    holding = replace(build_holding("200", "25"), slug="btc-updown-15m-1791241200")
    found = compare_holdings(leader, (), (holding,))
    drift = tuple(
        replace(
            one,
            leader_size=Decimal(200),
            expected_size=None if one.expected_size is None else Decimal(20),
        )
        for one in found
    )
    text = page(build_status(drift=drift))
    assert row(text, f"{LEADER[:10]}…")[2:] == expected


def test_trouble_that_is_over_is_not_shown() -> None:
    trouble = Trouble(part="books", problem="no answer", failures=3, since=NOW, is_over=False)
    over = replace(trouble, part="catalog", is_over=True)
    text = page(build_status(phase=CopyPhase.BROKEN, troubles=(trouble, over)))
    assert text.startswith("# paper: broken")
    assert "- books: no answer (3 times" in text
    assert "- catalog" not in text


def test_nobody_to_follow_says_what_to_do() -> None:
    text = page(build_status(leaders=()))
    assert text.startswith("# paper: waiting for somebody to follow")
    assert "`polybot leaders add WALLET`" in text


def test_pause_says_who_when_and_why() -> None:
    wish = DesiredState(
        name="copy-trading", is_wanted=False, by="owner", reason="holiday", changed_at=NOW
    )
    text = paused_card(wish, mode=Mode.LIVE)
    assert text.startswith("# live: paused")
    assert "owner" in text
    assert "holiday" in text


def test_page_is_bounded_however_much_there_is() -> None:
    """Prefect keeps it in one row; a thousand leaders must not make it a megabyte."""
    many = tuple(
        leader_status(address=LeaderAddress(f"0x{number:040x}"), name=f"leader-{number}")
        for number in range(1000)
    )
    drift = tuple(
        Drift(
            leader=LeaderAddress(f"0x{number:040x}"),
            token_id=UP_TOKEN,
            slug="btc-updown-15m-1791241200",
            leader_size=Decimal(1),
            recorded_leader_size=Decimal(1),
            expected_size=Decimal(1),
            our_size=Decimal(0),
        )
        for number in range(1000)
    )
    reasons = {f"reason-{number}": number for number in range(1000)}
    status = build_status(
        leaders=many,
        drift=drift,
        counts=CopyCounts(skipped=reasons, refused=reasons),
        sources=(source("stream-1", rejected=reasons),),
        books=BookFeedHealth(rejected=reasons),
        troubles=tuple(
            Trouble(part=f"p{n}", problem="x" * 900, failures=1, since=NOW, is_over=False)
            for n in range(1000)
        ),
    )
    text = page(status)
    assert len(text.encode()) < 64_000
    assert "and 950 more" in text


def test_hostile_names_and_reasons_stay_text() -> None:
    leader = leader_status(name=HOSTILE, state=LeaderState.PAUSED, state_reason=HOSTILE)
    trouble = Trouble(part="feed", problem=HOSTILE, failures=1, since=NOW, is_over=False)
    status = build_status(
        leaders=(leader,),
        reason=HOSTILE,
        troubles=(trouble,),
        counts=CopyCounts(skipped={HOSTILE: 1}),
        sources=(source(HOSTILE, rejected={HOSTILE: 1}),),
    )
    for text in (page(status), broken_card(RuntimeError(HOSTILE), mode=Mode.PAPER)):
        assert "<script>" not in text
        assert "](javascript" not in text
        assert "\n## more" not in text
        assert "@everyone" not in text
