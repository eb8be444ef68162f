"""The short form of a day of copying; `make chaos` plays 24 hours."""

from pathlib import Path

from tests.simulation.copy_day import play_day
from tests.simulation.copy_outcomes import DayForm

SHORT = DayForm(hours=0.6, rate=2.0, kills=1, latest_s=300)


def test_every_trade_of_a_leader_is_recorded_once_whatever_the_feeds_do(tmp_path: Path) -> None:
    """Lost, repeated and late events, a frozen stream and a kill; nothing old is copied."""
    found = play_day(1, tmp_path, SHORT)
    assert found.problems() == []
    assert found.recorded == found.followed > 100
    assert found.placed > 10
    assert (found.freezes, found.kills) == (1, 1)
    assert {"event-lost", "event-late", "event-duplicated", "trade-unheard"} <= set(found.fired)
