"""The copy loop's catalog knows the markets of now and of next, and asks for no more."""

from datetime import timedelta

from polybot.copy_trading.background import Troubles
from polybot.copy_trading.catalog import KEPT_AFTER_END, MarketCatalog
from polybot.domain.markets import ConditionId, Market, MarketSeries, MarketWindow, OutcomeTokenId
from polybot.errors import DataError, TransientError
from tests.builders import NOW, WINDOW, build_market
from tests.copy_builders import MARKET
from tests.fakes_copying import SetClock


class Listing:
    """Lists one market in every window, except where the test says otherwise."""

    def __init__(self) -> None:
        self.asked: list[MarketWindow] = []
        self.refusals: dict[MarketWindow, Exception] = {}

    async def find_market(self, window: MarketWindow) -> Market:
        self.asked.append(window)
        if window in self.refusals:
            raise self.refusals[window]
        names = (f"{window.slug}-{outcome}" for outcome in MARKET.token_ids)
        tokens = dict(zip(MARKET.token_ids, map(OutcomeTokenId, names), strict=True))
        return build_market(
            window=window, condition_id=ConditionId(f"0x{window.start_s:064x}"), token_ids=tokens
        )


def _catalog(listing: Listing, clock: SetClock) -> tuple[MarketCatalog, Troubles, list[int]]:
    troubles, changes = Troubles(clock.instant), []
    catalog = MarketCatalog(
        listing,  # type: ignore[arg-type]  # the catalog finds markets and nothing else
        clock,
        troubles,
        on_change=lambda tokens: changes.append(len(tokens)),
    )
    catalog.cover((MarketSeries(asset="btc", duration="15m"),))
    return catalog, troubles, changes


async def test_catalog_knows_the_running_window_and_the_next() -> None:
    """A leader's first trade in a window finds its market."""
    listing, clock = Listing(), SetClock(NOW)
    catalog, _, changes = _catalog(listing, clock)
    await catalog.refresh()
    following = WINDOW.series.window_at(WINDOW.end)
    assert set(listing.asked) == {WINDOW, following}
    market = catalog.market_of(OutcomeTokenId(f"{following.slug}-Up"))
    assert market is not None
    assert market.window == following
    assert changes == [4]
    assert len(catalog.current_tokens()) == 2


async def test_catalog_asks_again_only_when_it_is_due() -> None:
    """Four looks a second are no four requests a second."""
    listing, clock = Listing(), SetClock(NOW)
    catalog, _, _ = _catalog(listing, clock)
    await catalog.refresh()
    await catalog.refresh()
    assert len(listing.asked) == 2


async def test_catalog_forgets_windows_that_ended_a_while_ago() -> None:
    """But not at once: their last trades are still told."""
    listing, clock = Listing(), SetClock(NOW)
    catalog, _, _ = _catalog(listing, clock)
    await catalog.refresh()
    token = OutcomeTokenId(f"{WINDOW.slug}-Up")
    clock.at = WINDOW.end + timedelta(seconds=30)
    await catalog.refresh()
    assert catalog.market_of(token) is not None
    clock.at = WINDOW.end + KEPT_AFTER_END
    await catalog.refresh()
    assert catalog.market_of(token) is None
    assert len(catalog) == 2


async def test_catalog_fetches_a_market_that_a_leader_traded_in() -> None:
    """Names that are no window of ours are ignored, however many."""
    listing, clock = Listing(), SetClock(NOW)
    catalog, _, _ = _catalog(listing, clock)
    wanted = MarketSeries(asset="eth", duration="5m").window_at(NOW)
    catalog.ask_for(wanted.slug)
    catalog.ask_for("will-it-rain")
    catalog.ask_for("btc-updown-15m-900000000")
    await catalog.refresh()
    assert wanted in listing.asked
    assert len(listing.asked) == 3


async def test_market_that_is_not_listed_yet_is_no_trouble() -> None:
    """The running one is."""
    listing, clock = Listing(), SetClock(NOW)
    following = WINDOW.series.window_at(WINDOW.end)
    listing.refusals[following] = TransientError("not listed yet")
    catalog, troubles, _ = _catalog(listing, clock)
    await catalog.refresh()
    assert troubles.listed() == ()
    listing.refusals[WINDOW] = DataError("of an unknown version", reason="market-version")
    catalog, troubles, _ = _catalog(listing, clock)
    await catalog.refresh()
    assert [trouble.part for trouble in troubles.listed()] == ["catalog"]
