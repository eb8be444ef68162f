"""What feeds throw away is told: once an hour for every reason, and what is expected never."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from polybot.adapters.storage.ledger import SqlLedger, open_ledger
from polybot.copy_trading.feed_watch import EXPECTED, FeedWatch
from polybot.domain.alerts import Alert, AlertKind
from polybot.domain.books import BookFeedHealth
from polybot.domain.leaders import FeedSource, SourceHealth
from polybot.domain.modes import Mode
from polybot.errors import TransientError
from polybot.ports import LeaderFeed
from tests.builders import NOW
from tests.copy_builders import build_trade
from tests.copy_desk import World
from tests.fakes_copying import ScriptedBooks, ScriptedFeed, SetClock
from tests.leader_listening import listening
from tests.leader_rows import NOW as HEARD_AT
from tests.leader_rows import api_row, frame, stream_row
from tests.leader_venue import leader_venue
from tests.ledgers import new_ledger


def health(name: str = "stream-1", /, **rejected: int) -> SourceHealth:
    return SourceHealth(
        source=FeedSource.STREAM,
        name=name,
        is_connected=True,
        last_heard_at=NOW,
        reconnects=0,
        freezes=0,
        messages=9,
        followed=1,
        first=1,
        rejected={reason.replace("_", "-"): count for reason, count in rejected.items()},
    )


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqlLedger]:
    path = tmp_path / "paper.db"
    path.write_bytes(new_ledger(Decimal(1000), at=NOW))
    with open_ledger(path, mode=Mode.PAPER) as opened:
        yield opened


class Watching:
    """A watch over scripted feeds, with a ledger of its own."""

    def __init__(self, ledger: SqlLedger, feed: LeaderFeed | None = None) -> None:
        self.ledger = ledger
        self.feed = ScriptedFeed()
        self.books = ScriptedBooks()
        self.clock = SetClock(NOW)
        self.afterwards: list[Callable[[], None]] = []
        self.watch = FeedWatch(
            feed or self.feed,
            self.books,
            ledger,
            self.clock,
            mode=Mode.PAPER,
            later=self.afterwards.append,
        )

    def looked(self, *sources: SourceHealth) -> list[Alert]:
        """Look once and return every alert so far."""
        self.feed.sources = sources or self.feed.sources
        self.watch.look()
        return self.alerts()

    def alerts(self) -> list[Alert]:
        """Do what was put off, and return every alert so far."""
        for work in self.afterwards:
            work()
        self.afterwards.clear()
        return [
            one.alert
            for one in self.ledger.due_alerts(at=self.clock.at + timedelta(days=1), limit=99)
        ]


def test_rejected_message_is_told_with_its_reason_and_how_many(ledger: SqlLedger) -> None:
    (alert,) = Watching(ledger).looked(health(price_out_of_range=3))
    assert alert.kind is AlertKind.COPYING
    assert "stream-1 throws messages away (price-out-of-range)" in alert.title
    assert alert.body.startswith("3 so far")


def test_reason_is_told_once_an_hour_whatever_the_number(ledger: SqlLedger) -> None:
    """Boundary: the last second of the hour is the same hour, the next one is not."""
    watching = Watching(ledger)
    watching.clock.at = NOW.replace(minute=0, second=0, microsecond=0)
    for count in range(1, 50):
        watching.looked(health(price_out_of_range=count), health("stream-2", price_out_of_range=1))
    watching.clock.move(3599)
    assert len(watching.looked(health(price_out_of_range=50))) == 1
    watching.clock.move(1)
    assert len(watching.looked(health(price_out_of_range=51))) == 2


def test_next_hour_tells_nothing_where_nothing_new_came(ledger: SqlLedger) -> None:
    watching = Watching(ledger)
    watching.looked(health(price_out_of_range=1))
    watching.clock.move(7200)
    assert len(watching.looked()) == 1


def test_restart_within_the_hour_tells_nothing_again(ledger: SqlLedger) -> None:
    Watching(ledger).looked(health(price_out_of_range=1))
    assert len(Watching(ledger).looked(health(price_out_of_range=5))) == 1


def test_every_reason_is_told_by_itself(ledger: SqlLedger) -> None:
    alerts = Watching(ledger).looked(health(price_out_of_range=1, size_off_grid=1, frame_too_big=1))
    assert len(alerts) == 3


@pytest.mark.parametrize("reason", sorted(EXPECTED))
def test_what_comes_up_while_all_is_well_is_not_told(ledger: SqlLedger, reason: str) -> None:
    assert Watching(ledger).looked(health(**{reason.replace("-", "_"): 5})) == []


def test_books_that_throw_messages_away_are_told(ledger: SqlLedger) -> None:
    watching = Watching(ledger)
    watching.books.state = BookFeedHealth(rejected={"book-malformed": 2})
    (alert,) = watching.looked()
    assert "books throws messages away (book-malformed)" in alert.title


def test_alert_that_could_not_be_stored_is_stored_at_the_next_look(
    ledger: SqlLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ledger that is locked for a moment loses no alert."""
    watching = Watching(ledger)

    def locked(*_: object, **__: object) -> bool:
        raise TransientError("locked")

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "add_alert", locked)
        with pytest.raises(TransientError):
            watching.looked(health(price_out_of_range=1))
    assert len(watching.looked()) == 1


def test_contradiction_is_counted_and_told_once_an_hour(ledger: SqlLedger) -> None:
    watching = Watching(ledger)
    trade = build_trade()
    for _ in range(5):
        watching.watch.contradict(trade, "fills-differ")
    watching.watch.contradict(trade, "content-differs")
    alerts = watching.alerts()
    assert len(alerts) == 2
    assert trade.transaction_hash in alerts[0].body
    assert trade.leader in alerts[0].body
    assert watching.watch.contradictions == {"fills-differ": 5, "content-differs": 1}
    watching.clock.move(3600)
    watching.watch.contradict(trade, "fills-differ")
    assert len(watching.alerts()) == 3


async def test_bad_row_about_a_followed_wallet_rings_through_a_real_socket(
    ledger: SqlLedger,
) -> None:
    """Frame, feed, counts, alert: and the same connection still tells the good trade."""
    async with leader_venue() as venue, listening(venue, data=False) as ear:
        watching = Watching(ledger, ear.feed)
        await venue.send(frame(stream_row(1, price="NaN")))
        await venue.send(frame(stream_row(2)))
        await ear.count(1)
        (alert,) = watching.looked()
    assert "stream-1 throws messages away (price-out-of-range)" in alert.title


async def test_quarantined_contradiction_is_in_the_status_and_rings(tmp_path: Path) -> None:
    """Another size of the same fill, by two sources: nothing is traded on it."""
    now = HEARD_AT
    async with (
        leader_venue() as venue,
        listening(venue, every_s=0.01, now=lambda: now) as ear,
    ):
        await venue.send(frame(stream_row(1, size=10)))
        await ear.count(1)
        venue.trades.append(api_row(1, size=12))
        await venue.signals.count("trades", venue.signals.counts["trades"] + 2)
        now = HEARD_AT.replace(minute=HEARD_AT.minute + 1)
        await ear.looked(lambda: bool(ear.conflicts))
        (conflict,) = ear.conflicts
    async with World(path=tmp_path / "paper.db").looping() as running:
        await running.trading()
        running.loop.contradict(conflict.trade, conflict.reason)
        await running.until(lambda: len(running.ledger.due_alerts(at=NOW, limit=9)) == 1)
        assert running.status.contradictions == {"fills-differ": 1}
        assert running.log() == ()


async def test_loop_shows_and_tells_what_its_feeds_throw_away(tmp_path: Path) -> None:
    world = World(path=tmp_path / "paper.db")
    world.feed.sources = (health(time_malformed=1),)
    world.books.state = BookFeedHealth(is_connected=True, gaps=3, rejected={"answer-encoding": 2})
    async with world.looping() as running:
        await running.trading()
        await running.until(lambda: len(running.ledger.due_alerts(at=NOW, limit=9)) == 2)
        assert running.status.books.gaps == 3
        assert running.status.sources[0].rejected == {"time-malformed": 1}
