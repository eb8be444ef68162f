"""The page about copying shows what the loop says, stays short, and lets no text steer it."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from polybot.copy_trading.card import broken_card, copying_card, paused_card
from polybot.copy_trading.status import (
    CopyCounts,
    CopyPhase,
    CopyStatus,
    LatencySummary,
    LeaderStatus,
    OrderCounts,
    Trouble,
)
from polybot.domain.books import BookFeedHealth
from polybot.domain.leaders import (
    DesiredState,
    FeedSource,
    LeaderAddress,
    LeaderState,
    SourceHealth,
)
from polybot.domain.modes import Mode, TradingState

AT = datetime(2026, 10, 5, 9, 0, tzinfo=UTC)
HOSTILE = "<img src=x onerror=1> | [link](http://evil) \x1b[31m @everyone"


def leader(number: int = 0, name: str = "somebody") -> LeaderStatus:
    return LeaderStatus(
        address=LeaderAddress(f"0x{number:040x}"),
        name=name,
        state=LeaderState.ACTIVE,
        state_reason="",
        counts=CopyCounts(seen=7, copied=3, skipped={"too-old": 4}),
        last_trade_at=AT,
        watermark=AT,
    )


def status(**changes: object) -> CopyStatus:
    still = LatencySummary()
    base = CopyStatus(
        phase=CopyPhase.TRADING,
        at=AT,
        started_at=AT,
        end=None,
        reason="",
        holder="host-1-abc",
        lease=None,
        trading_state=TradingState.ACTIVE,
        leaders=(leader(),),
        counts=CopyCounts(
            seen=7, copied=3, skipped={"too-old": 3, "flip": 1}, refused={"day-loss": 1}
        ),
        orders=OrderCounts(filled=3),
        feed_lag=LatencySummary(count=7, p50_s=1.25, p95_s=2.0, p99_s=3.0, max_s=4.5),
        own_time=LatencySummary(count=3, p50_s=0.00041, p95_s=0.001, p99_s=0.002, max_s=0.01),
        venue_time=still,
        sources=(),
        known_markets=4,
        drift=(),
        drift_at=None,
        troubles=(),
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def test_it_counts_what_was_copied_and_what_was_not_by_reason() -> None:
    card = copying_card(status(), mode=Mode.PAPER)
    for row in (
        "| seen | 7 |",
        "| copied | 3 |",
        "| skipped: too-old | 3 |",
        "| skipped: flip | 1",
    ):
        assert row in card
    assert "refused: day-loss | 1" in card
    assert card.startswith("# paper: trading")


def test_feed_lag_and_our_own_time_stand_apart_in_their_own_units() -> None:
    card = copying_card(status(), mode=Mode.PAPER)
    assert "| leader's fill until heard [s] | 7 | 1.25 | 2.00 | 3.00 | 4.50 |" in card
    assert "| heard until sent: ours [ms] | 3 | 0.41 | 1.00 | 2.00 | 10.00 |" in card
    assert "| sent until answered [ms] | 0 | – | – | – | – |" in card


def test_nobody_followed_is_said_with_what_to_do() -> None:
    card = copying_card(status(leaders=()), mode=Mode.PAPER)
    assert card.startswith("# paper: waiting for somebody to follow")
    assert "polybot leaders add" in card


def test_feeds_show_how_they_are() -> None:
    source = SourceHealth(
        source=FeedSource.STREAM,
        name="stream-1",
        is_connected=False,
        last_heard_at=None,
        reconnects=2,
        freezes=1,
        messages=9,
        followed=3,
        first=2,
        rejected={"bad-price": 4, "not-json": 1},
        shed=6,
    )
    card = copying_card(status(sources=(source,)), mode=Mode.PAPER)
    assert "| stream-1 | not connected | never | 9 | 3 | 2 | 2 | 1 | 5 | 6 |" in card


def test_what_feeds_threw_away_is_shown_by_reason() -> None:
    books = BookFeedHealth(
        is_connected=True,
        watched=8,
        known=7,
        frames=900,
        agreements=40,
        gaps=3,
        freezes=1,
        reconnects=2,
        rejected={"book-malformed": 5},
    )
    card = copying_card(status(books=books, contradictions={"fills-differ": 2}), mode=Mode.PAPER)
    assert "| connected | 8 | 7 | 900 | 40 | 3 | 1 | 2 |" in card
    assert "| books | book-malformed | 5 |" in card
    assert "| contradictions | fills-differ | 2 |" in card


@pytest.mark.parametrize("place", ["leader", "trouble", "reason", "count"])
def test_text_from_outside_stays_text(place: str) -> None:
    """Names, errors and reasons reach a browser."""
    trouble = Trouble(part="feed", problem=HOSTILE, failures=1, since=AT, is_over=False)
    changed = {
        "leader": status(leaders=(leader(name=HOSTILE),)),
        "trouble": status(troubles=(trouble,)),
        "reason": status(reason=HOSTILE),
        "count": status(counts=CopyCounts(skipped={HOSTILE: 1})),
    }[place]
    card = copying_card(changed, mode=Mode.PAPER)
    for steering in ("<img", "](http", "\x1b", "://evil"):
        assert steering not in card


def test_troubles_that_are_over_are_not_shown() -> None:
    trouble = Trouble(part="feed", problem="lost", failures=1, since=AT, is_over=True)
    assert "Troubles" not in copying_card(status(troubles=(trouble,)), mode=Mode.PAPER)


def test_it_stays_short_however_many_leaders_and_reasons_there_are() -> None:
    """The page is replaced every few seconds."""
    many = status(
        leaders=tuple(leader(number) for number in range(5000)),
        counts=CopyCounts(skipped={f"reason-{number}": 1 for number in range(5000)}),
    )
    card = copying_card(many, mode=Mode.PAPER)
    assert len(card) < 20_000
    assert "and 4950 more" in card


def test_paused_page_tells_who_and_why() -> None:
    desired = DesiredState(
        name="copy-trading", is_wanted=False, by="owner", reason=HOSTILE, changed_at=AT
    )
    card = paused_card(desired, mode=Mode.LIVE)
    assert card.startswith("# live: paused")
    assert "Paused by owner at 2026-10-05 09:00:00 UTC" in card
    assert "<img" not in card


def test_broken_page_names_the_problem() -> None:
    card = broken_card(RuntimeError(HOSTILE), mode=Mode.PAPER)
    assert "RuntimeError" in card
    assert "<img" not in card
