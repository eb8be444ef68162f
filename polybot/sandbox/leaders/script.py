"""What wallets are going to do: a plan for each window, made whole and played as time passes."""

from collections.abc import Iterator
from typing import Final

from polybot.domain.markets import MarketSeries, MarketWindow
from polybot.sandbox.leaders.plans import (
    BEFORE_S,
    HOUR_S,
    Planned,
    plan_foreign,
    plan_window,
)
from polybot.sandbox.leaders.wallets import Wallet
from polybot.sandbox.venue import SandboxVenue

_AFTER_S: Final = 600
"""Everything about a window is over so long after its end."""


class Script:
    """The plans of a venue's wallets."""

    def __init__(self, venue: SandboxVenue) -> None:
        """Take the venue whose windows are traded."""
        self._venue = venue
        played = venue.replay.windows if venue.replay is not None else ()
        self._recorded = {str(one.window.series) for one in played}
        self._plans: dict[tuple[str, str], tuple[Planned, ...]] = {}

    def between(self, wallets: list[Wallet], after_ms: int, until_ms: int) -> list[Planned]:
        """Return what happens in ``(after_ms, until_ms]``, in order."""
        found = [
            one
            for wallet in wallets
            for plan in self._plans_of(wallet, after_ms // 1000, until_ms // 1000)
            for one in plan
            if after_ms < one.at_ms <= until_ms
        ]
        found.sort(key=lambda one: (one.at_ms, one.wallet.address, one.slug, one.number))
        return found

    def _plans_of(self, wallet: Wallet, first_s: int, last_s: int) -> Iterator[tuple[Planned, ...]]:
        names = [one for one in wallet.behaviour.series if self._is_played(one)]
        for name in names:
            series = MarketSeries.parse(name)
            length = series.duration_s
            earliest = (first_s - length - _AFTER_S) // length * length
            for start_s in range(max(earliest, length), last_s + BEFORE_S + 1, length):
                window = MarketWindow(series=series, start_s=start_s)
                yield self._window(wallet, window, series_count=len(names))
        for hour in range(first_s // HOUR_S, last_s // HOUR_S + 1):
            yield self._foreign(wallet, hour)

    def _is_played(self, series: str) -> bool:
        return not self._recorded or series in self._recorded

    def _window(
        self, wallet: Wallet, window: MarketWindow, *, series_count: int
    ) -> tuple[Planned, ...]:
        key = (wallet.address, window.slug)
        plan = self._plans.get(key)
        if plan is None:
            market = self._venue.listing.by_slug(window.slug)
            plan = ()
            if market is not None:
                rate = wallet.behaviour.rate / series_count
                plan = plan_window(self._venue.seed, wallet, market, rate)
            self._keep(key, plan)
        return plan

    def _foreign(self, wallet: Wallet, hour: int) -> tuple[Planned, ...]:
        key = (wallet.address, f"hour-{hour}")
        plan = self._plans.get(key)
        if plan is None:
            plan = plan_foreign(self._venue.seed, wallet, hour)
            self._keep(key, plan)
        return plan

    def _keep(self, key: tuple[str, str], plan: tuple[Planned, ...]) -> None:
        if len(self._plans) >= 5_000:
            self._plans.clear()
        self._plans[key] = plan
