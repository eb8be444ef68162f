"""Quotes: never crossed, complementary, fair on average."""

import math
import statistics
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polybot.domain.markets import Outcome
from polybot.sandbox.books import TICKS, build_ladder
from polybot.sandbox.listing import VenueMarket
from polybot.sandbox.venue import SandboxVenue
from tests.sandbox.conftest import SLUG, START_S, Served


def _market(venue: SandboxVenue, slug: str = SLUG) -> VenueMarket:
    market = venue.listing.by_slug(slug)
    assert market is not None
    return market


@given(
    seed=st.integers(0, 2**32),
    fair=st.floats(0, 1),
    second=st.integers(START_S - 86_400, START_S + 900),
)
@settings(max_examples=300, deadline=None)
def test_ladder_is_sorted_uncrossed_and_inside_the_prices_that_exist(
    seed: int, fair: float, second: int
) -> None:
    """For any seed, second and fair price, the edges 0 and 1 included."""
    ladder = build_ladder(seed, _market(SandboxVenue(seed=seed)), second, fair)
    bids, asks = ([ticks for ticks, _ in side] for side in (ladder.bids, ladder.asks))

    assert bids == sorted(set(bids), reverse=True)
    assert asks == sorted(set(asks))
    assert all(1 <= ticks <= TICKS - 1 for ticks in bids + asks)
    assert all(size > 0 for _, size in ladder.bids + ladder.asks)
    assert bids or asks
    if bids and asks:
        assert 1 <= asks[0] - bids[0] <= 3
    assert ladder.mirrored().mirrored() == ladder


def test_down_book_mirrors_the_up_book_over_http(served: Served) -> None:
    """An offer of Down at 1 − p is a bid for Up at p, with the same size; best level last."""
    for second in (-10, 5, 300, 800):
        served.at(second)
        up, down = (
            served.get("/book", token_id=token).json()
            for token in (served.market.up_token_id, served.market.down_token_id)
        )
        for ours, theirs in (("bids", "asks"), ("asks", "bids")):
            mirrored = [
                (100 - round(100 * float(level["price"])), level["size"]) for level in down[theirs]
            ]
            assert [
                (round(100 * float(level["price"])), level["size"]) for level in up[ours]
            ] == mirrored
        bids, asks = ([float(level["price"]) for level in up[side]] for side in ("bids", "asks"))
        assert bids == sorted(bids)
        assert asks == sorted(asks, reverse=True)


def test_domain_book_equals_the_wire_book(served: Served) -> None:
    """In-process callers see what the server tells."""
    served.at(120)
    book = served.venue.book(served.market.down_token_id, START_S + 120)
    wire = served.get("/book", token_id=served.market.down_token_id).json()
    assert book is not None

    assert [float(level.size) for level in book.bids] == [
        float(level["size"]) for level in reversed(wire["bids"])
    ]
    assert [float(level.price) for level in book.asks] == [
        float(level["price"]) for level in reversed(wire["asks"])
    ]


def test_book_changes_on_whole_seconds_only(served: Served) -> None:
    """Between two virtual seconds the answer stays the same, byte for byte."""
    served.clock.move_to(START_S * 1000)
    bodies = []
    for ms in (0, 1, 999, 1000):
        served.clock.move_to(START_S * 1000 + ms)
        bodies.append(served.get("/book", token_id=served.market.up_token_id).content)

    assert bodies[0] == bodies[1] == bodies[2]
    assert bodies[3] != bodies[2]


def test_book_is_one_sided_once_the_outcome_is_certain() -> None:
    """Nobody offers a token that will pay 1."""
    venue = SandboxVenue(seed=7)
    for number in range(40):
        market = _market(venue, f"btc-updown-15m-{START_S + 900 * number}")
        decided = venue.reference_prices(market)
        assert decided is not None
        ladder = venue.ladder(market, market.end_s - 1)
        assert not (ladder.asks if decided.winner is Outcome.UP else ladder.bids)


@pytest.mark.parametrize("duration", ["5m", "15m", "4h"])
def test_fair_price_is_calibrated(duration: str) -> None:
    """Of the windows priced near p, the share p ends Up, in ten buckets of price."""
    venue = SandboxVenue(seed=5)
    length = {"5m": 300, "15m": 900, "4h": 14_400}[duration]
    buckets: dict[int, list[tuple[float, bool]]] = defaultdict(list)
    first_s = START_S // length * length
    for number in range(1_200 if length < 14_400 else 150):
        start_s = first_s + number * length
        market = _market(venue, f"btc-updown-{duration}-{start_s}")
        is_up = venue.winner(market, market.resolved_s) is Outcome.UP
        # One price a window, or neighbours in a bucket would not be independent.
        at_s = start_s + (-30, 10, length // 3, length - 90, length - 20)[number % 5]
        fair = venue.fair_up(market, at_s)
        buckets[min(9, int(10 * fair))].append((fair, is_up))
    for prices in buckets.values():
        expected = math.fsum(fair for fair, _ in prices)
        deviation = math.sqrt(math.fsum(fair * (1 - fair) for fair, _ in prices))
        assert abs(sum(is_up for _, is_up in prices) - expected) <= 4 * deviation + 0.5


def test_quotes_are_fair_on_average() -> None:
    """The midpoint equals the fair price up to noise, so that a taker pays half the spread."""
    venue = SandboxVenue(seed=5)
    errors, spreads = [], set()
    for number in range(3_000):
        market = _market(venue, f"eth-updown-15m-{START_S + 900 * number}")
        fair = venue.fair_up(market, market.start_s + 3)
        ladder = venue.ladder(market, market.start_s + 3)
        bid, ask = ladder.bids[0][0], ladder.asks[0][0]
        errors.append((bid + ask) / 2 / TICKS - fair)
        spreads.add(ask - bid)

    assert abs(statistics.fmean(errors)) < 4 * statistics.pstdev(errors) / math.sqrt(len(errors))
    assert max(map(abs, errors)) <= 0.01
    assert spreads == {1, 2, 3}
