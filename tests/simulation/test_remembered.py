"""What the simulation works out once is what the sandbox works out each time."""

from decimal import Decimal

from polybot.domain.markets import MarketSeries, MarketWindow
from polybot.sandbox.fault_plan import REQUEST_FAULTS, TRADE_FAULTS, FaultPlan, PlannedFault
from polybot.sandbox.leaders.markets import window_token
from polybot.sandbox.leaders.positions import Position, position_row
from polybot.sandbox.prices import GeneratedPrices
from polybot.sandbox.tape import Tape
from polybot.sandbox.venue import SandboxVenue
from tests.simulation.remembered import (
    DrawsInOrder,
    LazyTape,
    OneDraw,
    RememberedPrices,
    RememberedRows,
    RememberingPlan,
)

START_S = 1_795_392_000


def test_averages_are_the_same() -> None:
    """To the last bit, wherever a span begins and ends."""
    plain, quick = GeneratedPrices(5), RememberedPrices(5)
    spans = [(0, 60), (30, 90), (59, 61), (7, 8), (1, 600), (60, 120)]
    for start_s, end_s in spans * 2:
        span = "btc", START_S + start_s, START_S + end_s
        assert quick.mean(*span) == plain.mean(*span)


def test_the_newest_trade_is_the_same() -> None:
    """In windows that run, have ended, or have not begun, at any second of a minute."""
    venue = SandboxVenue(seed=3)
    plain, quick = Tape(3, venue.fair_up), LazyTape(3, venue.fair_up)
    found = 0
    for number in range(6):
        window = MarketWindow(series=MarketSeries.parse("eth-5m"), start_s=START_S + 300 * number)
        market = venue.listing.by_slug(window.slug)
        assert market is not None
        for at_s in range(START_S, START_S + 1_500, 37):
            newest = plain.newest(market, at_s)
            found += newest is not None
            assert quick.newest(market, at_s) == newest
    assert found > 50


def test_the_same_faults_fire() -> None:
    """Rules that end, begin late, fit one route, or are taken away in between."""
    rules = [
        PlannedFault(kind="slow", probability=0.2, count=0),
        PlannedFault(kind="html", route="POST /order", count=3, skip=2),
        PlannedFault(kind="truncated", route="/data/", probability=0.5, count=4),
        PlannedFault(kind="rate-limited", from_s=40, until_s=60, probability=0.3, count=0),
        PlannedFault(kind="trade-failed", probability=0.4, count=0),
    ]
    plans = FaultPlan(9, list(rules)), RememberingPlan(9, list(rules))
    for now_s in range(100):
        if now_s == 70:
            for plan in plans:
                plan.arm(PlannedFault(kind="cut-before", count=2))
        for route in ("POST /order", "GET /data/orders", "GET /book"):
            plain, quick = (plan.first_for(REQUEST_FAULTS, route, now_s) for plan in plans)
            assert plain == quick
        plain_all, quick_all = (plan.all_for(TRADE_FAULTS, "TRADE x", now_s) for plan in plans)
        assert plain_all == quick_all
    assert plans[0].fired == plans[1].fired
    assert len(plans[0].fired) == 6


def test_draws_in_order_depend_on_seed_and_rule_alone() -> None:
    """Whatever other rules draw in between."""
    alone, among = DrawsInOrder(), DrawsInOrder()
    expected = [alone("fault", 1, 1, seen).random() for seen in range(1, 9)]
    found = []
    for seen in range(1, 9):
        found.append(among("fault", 1, 1, seen).random())
        among("fault", 1, 2, seen).random()
        among("fault", 2, 1, seen).random()
    assert found == expected
    assert among("fault", 1, 2, 9).random() != alone("fault", 1, 1, 9).random()


def test_single_draws_are_spread_evenly() -> None:
    """A share of the occasions is met as often as it says."""
    draws = [OneDraw("fault", seed, number).random() for seed in range(40) for number in range(250)]
    assert all(0 <= one < 1 for one in draws)
    for share in (0.003, 0.06, 0.5):
        expected = share * len(draws)
        assert abs(sum(one < share for one in draws) - expected) < 5 * expected**0.5
    assert OneDraw("a", 1).random() == OneDraw("a", 1).random() != OneDraw("a", 2).random()


def test_rows_of_positions_are_the_same() -> None:
    """While a window runs, when it is decided, and when the position changes afterwards."""
    venue, quick = SandboxVenue(seed=4), RememberedRows()
    window = MarketWindow(series=MarketSeries.parse("btc-5m"), start_s=START_S)
    market = venue.listing.by_slug(window.slug)
    assert market is not None
    position = Position(window_token(market, is_up=True), START_S, START_S)
    position.put_in(Decimal(10), Decimal(4))
    for at_s in (START_S + 10, START_S + 200, START_S + 900, START_S + 901, START_S + 2_000):
        for _ in range(2):
            plain = position_row(venue, "0xa", position, at_s, "")
            assert quick(venue, "0xa", position, at_s, "") == plain
        if at_s == START_S + 901:
            position.take_out(Decimal(3), Decimal(3))
