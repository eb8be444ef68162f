"""What a demo plays, and in what order."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from deployments.player import PlannedRun
from polybot.domain.markets import MarketSeries, MarketWindow
from polybot.errors import ConfigurationError

# 2026-10-05 06:30 UTC. Any instant would do, so long as the same seed gets the same one; on this
# morning the default seed's averages cross often enough for a newcomer to see orders.
FIRST_START_S = 1_791_181_800
# The sandbox resolves a window 53-152 s after its end.
SETTLE_AFTER = timedelta(seconds=180)
# The deployment settles every minute; in a demo each run costs seconds, so one takes two windows.
SETTLE_EVERY = 2
REPORT_AFTER = timedelta(seconds=240)


def plan_runs(windows: Sequence[MarketWindow]) -> list[PlannedRun]:
    """Return the runs that play windows: all decided, all settled."""
    last = windows[-1]
    settled_at = [window.end + SETTLE_AFTER for window in windows[SETTLE_EVERY - 1 :: SETTLE_EVERY]]
    dues = [("trend", window.start) for window in windows]
    dues += [("settle", due) for due in {*settled_at, last.end + SETTLE_AFTER}]
    return [
        PlannedRun(flow=flow, due=due, parameters={"scheduled_at": due.isoformat()})
        for flow, due in dues
    ]


def plan_end(windows: Sequence[MarketWindow], copied: MarketWindow | None) -> list[PlannedRun]:
    """Return the runs at the end: the copied window settled, where there is one, and a report."""
    last = copied or windows[-1]
    settled_at, reported_at = last.end + SETTLE_AFTER, last.end + REPORT_AFTER
    settle = PlannedRun(
        flow="settle", due=settled_at, parameters={"scheduled_at": settled_at.isoformat()}
    )
    report = PlannedRun(
        flow="report",
        due=reported_at,
        parameters={
            "day": windows[-1].start.date().isoformat(),
            "scheduled_at": reported_at.isoformat(),
        },
    )
    return [report] if copied is None else [settle, report]


def choose_windows(
    count: int, *, replay: Path | None, seed: int
) -> tuple[tuple[MarketWindow, ...], MarketWindow | None]:
    """Return the windows that are decided, and a later one, in which a leader is copied.

    It is the next but one: the next has begun when the last one is settled.

    Args:
        count: How many to decide, as far as a recording has them.
        replay: A folder with recorded candles and markets; ``None``: generated ones.
        seed: What generated prices depend on.

    Raises:
        ConfigurationError: The recording has several series, or nothing.
    """
    if replay is None:
        series = MarketSeries.parse("btc-15m")
        step = series.duration_s
        windows = tuple(
            MarketWindow(series=series, start_s=FIRST_START_S + step * number)
            for number in range(count + 2)
        )
        return windows[:count], windows[-1]
    from polybot.sandbox.replay import load_replay  # noqa: PLC0415

    markets = load_replay(replay, seed=seed).windows
    if len({market.window.series for market in markets}) != 1:
        raise ConfigurationError(f"{replay}: the demo replays one series at a time")
    recorded = tuple(market.window for market in markets)
    return recorded[:count], next(iter(recorded[count + 1 :]), None)
