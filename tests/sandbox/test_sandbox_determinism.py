"""Same seed and same virtual instants: same bytes, whatever the real timing."""

import httpx

from polybot.sandbox.clock import SteppedClock
from polybot.sandbox.venue import SandboxVenue
from tests.sandbox.conftest import SLUG, START_S
from tests.sandbox_server import serve_in_thread


def _paths(venue: SandboxVenue) -> list[str]:
    market = venue.listing.by_slug(SLUG)
    assert market is not None
    return [
        f"/markets/slug/{SLUG}",
        f"/events/slug/{SLUG}",
        f"/markets?condition_ids={market.condition_id}",
        f"/book?token_id={market.up_token_id}",
        f"/book?token_id={market.down_token_id}",
        f"/clob-markets/{market.condition_id}",
        f"/v2/trades?condition={market.condition_id}&limit=50",
        f"/v2/resolutions?condition={market.condition_id}",
        "/api/v3/klines?symbol=ETHUSDT&interval=5m&limit=20",
    ]


def _answers(seed: int, seconds: list[int], *, backwards: bool) -> dict[tuple[int, str], bytes]:
    """Ask a new server everything at each second, in either order of paths."""
    clock = SteppedClock((START_S - 100) * 1000)
    venue = SandboxVenue(seed=seed, clock=clock)
    paths = _paths(SandboxVenue(seed=seed))
    answers = {}
    with serve_in_thread(venue) as url, httpx.Client(base_url=url, trust_env=False) as http:
        for second in seconds:
            clock.move_to((START_S + second) * 1000)
            for path in reversed(paths) if backwards else paths:
                answers[second, path] = http.get(path).content
    return answers


def test_same_seed_and_instants_give_identical_bytes() -> None:
    """Neither the order of requests nor instants asked about in between change an answer."""
    once = _answers(7, [-100, 3, 450, 899, 1100], backwards=False)
    again = _answers(7, [-100, -50, 3, 77, 450, 899, 1000, 1100], backwards=True)

    assert {key: again[key] for key in once} == once


def test_other_seed_gives_other_market_and_book() -> None:
    """A seed decides ids, prices and quotes."""
    one, other = (
        {
            path.split("?")[0]: body
            for (_, path), body in _answers(seed, [3], backwards=False).items()
        }
        for seed in (7, 8)
    )

    assert one["/book"] != other["/book"]
    assert one["/api/v3/klines"] != other["/api/v3/klines"]


def test_restarted_venue_knows_ids_it_was_never_asked_to_make() -> None:
    """A token id of an earlier process finds its market in a new one."""
    first = SandboxVenue(seed=7).listing.by_slug(SLUG)
    assert first is not None
    fresh = SandboxVenue(seed=7).listing

    assert fresh.by_token(first.up_token_id) == first
    assert fresh.by_token(first.down_token_id) == first
    assert fresh.by_condition(first.condition_id) == first
    assert fresh.by_condition(first.condition_id.upper().replace("0X", "0x")) == first


def test_foreign_ids_find_nothing() -> None:
    """Ids of another seed, of another kind, or of no kind are unknown."""
    listing = SandboxVenue(seed=7).listing
    foreign = SandboxVenue(seed=8).listing.by_slug(SLUG)
    own = listing.by_slug(SLUG)
    assert foreign is not None
    assert own is not None

    assert listing.by_token(foreign.up_token_id) is None
    assert listing.by_condition(foreign.condition_id) is None
    assert listing.by_token(str(int(own.condition_id, 16))) is None
    for wrong in ("", "abc", "-1", "1" * 78, "٣", str(1 << 256)):
        assert listing.by_token(wrong) is None
        assert listing.by_condition(wrong) is None
