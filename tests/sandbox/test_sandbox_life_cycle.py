"""A market's life as the public routes tell it."""

import json
from itertools import pairwise

import pytest

from polybot.domain.markets import Outcome
from polybot.sandbox.venue import SandboxVenue
from tests.sandbox.conftest import SLUG, START_S, Served


def test_market_is_unknown_before_it_is_listed_and_takes_orders_until_its_end(
    served: Served,
) -> None:
    """Listed about 23.85 h ahead; acceptance ends with the window."""
    market = served.market
    assert abs(market.start_s - market.listed_s - 85_860) <= 540
    later = f"btc-updown-15m-{START_S + 86_400 * 2}"
    assert served.get(f"/markets/slug/{later}").status_code == 404
    assert served.get(f"/events/slug/{later}").json()["error"] == "slug not found"

    def is_accepting() -> tuple[bool, bool]:
        return (
            served.get(f"/markets/slug/{SLUG}").json()["acceptingOrders"],
            served.get(f"/clob-markets/{market.condition_id}").json()["ao"],
        )

    assert is_accepting() == (True, True)
    served.at(899)
    assert is_accepting() == (True, True)
    served.at(900)
    assert is_accepting() == (False, False)


def test_market_payload_has_the_venues_shape(served: Served) -> None:
    """Arrays are strings, the window is in eventStartTime, the schedule and TWAP are there."""
    payload = served.get(f"/markets/slug/{SLUG}").json()

    assert json.loads(payload["outcomes"]) == ["Up", "Down"]
    assert json.loads(payload["clobTokenIds"]) == [
        served.market.up_token_id,
        served.market.down_token_id,
    ]
    assert sum(map(float, json.loads(payload["outcomePrices"]))) == pytest.approx(1)
    assert payload["question"] == "Bitcoin Up or Down - October 5, 7:00PM-7:15PM ET"
    assert payload["eventStartTime"] == "2026-10-05T23:00:00Z"
    assert payload["endDate"] == "2026-10-05T23:15:00Z"
    assert payload["startDate"] < payload["eventStartTime"]
    assert payload["feeSchedule"] == {
        "exponent": 1,
        "rate": 0.07,
        "takerOnly": True,
        "rebateRate": 0.2,
    }
    assert payload["cryptoMarketConfig"]["twapLookbackSeconds"] == 60
    assert (payload["version"], payload["closed"]) == ("v1", False)
    assert "umaResolutionStatus" not in payload


def test_price_to_beat_appears_about_a_minute_after_the_start(served: Served) -> None:
    """Absent at 49 s, there at 75 s, equal to the average before the start."""
    served.at(49)
    assert "eventMetadata" not in served.get(f"/events/slug/{SLUG}").json()
    served.at(75)
    metadata = served.get(f"/events/slug/{SLUG}").json()["eventMetadata"]

    prices = served.venue.prices
    mean = sum(prices.spot("btc", START_S - 60 + i) for i in range(60)) / 60
    assert metadata == {"priceToBeat": pytest.approx(mean, abs=1e-6)}


def test_resolution_shows_everywhere_at_the_same_second(served: Served) -> None:
    """Gamma, the Data API and the book agree before and after."""
    market = served.market
    delay = market.resolved_s - market.end_s
    assert 53 <= delay <= 152
    served.at(900 + delay - 1)
    assert served.get("/v2/resolutions", condition=market.condition_id).json() == {"data": []}
    assert served.get("/book", token_id=market.up_token_id).status_code == 200
    assert served.get(f"/markets/slug/{SLUG}").json()["closed"] is False

    served.at(900 + delay)
    (row,) = served.get("/v2/resolutions", condition=market.condition_id).json()["data"]
    payload = served.get(f"/markets/slug/{SLUG}").json()
    event = served.get(f"/events/slug/{SLUG}").json()
    beat, final = (event["eventMetadata"][name] for name in ("priceToBeat", "finalPrice"))
    is_up = final >= beat
    assert row["status"] == "resolved"
    assert row["payouts"] == ([1_000_000, 0] if is_up else [0, 1_000_000])
    assert json.loads(payload["outcomePrices"]) == (["1", "0"] if is_up else ["0", "1"])
    assert (payload["closed"], payload["umaResolutionStatus"]) == (True, "resolved")
    assert event["closed"] is True
    assert payload["closedTime"].startswith("2026-10-05 23:1")
    answer = served.get("/book", token_id=market.up_token_id)
    assert answer.status_code == 404
    assert answer.json() == {"error": "No orderbook exists for the requested token id"}


def test_resolution_delays_have_the_venues_distribution() -> None:
    """53 to 152 s, half of them within 55 s, both outcomes about equally often."""
    venue = SandboxVenue(seed=7)
    delays, ups = [], 0
    for number in range(1_000):
        market = venue.listing.by_slug(f"btc-updown-15m-{START_S + 900 * number}")
        assert market is not None
        delays.append(market.resolved_s - market.end_s)
        ups += venue.winner(market, market.resolved_s) is Outcome.UP

    assert min(delays) == 53
    assert 120 < max(delays) <= 152
    assert 53 <= sorted(delays)[500] <= 57
    assert 430 < ups < 570


def test_markets_list_hides_closed_ones_unless_asked(served: Served) -> None:
    """``closed`` is false by default, as on the venue."""
    condition = served.market.condition_id
    assert [one["slug"] for one in served.get("/markets", slug=SLUG).json()] == [SLUG]
    served.at(1_100)
    assert served.get("/markets", condition_ids=condition).json() == []
    (closed,) = served.get("/markets", condition_ids=condition, closed="true").json()
    assert closed["slug"] == SLUG


def test_books_and_single_facts_agree(served: Served) -> None:
    """POST /books, /midpoint, /price, /tick-size and /neg-risk tell what /book tells."""
    token = served.market.up_token_id
    book = served.get("/book", token_id=token).json()
    bid, ask = (float(book[side][-1]["price"]) for side in ("bids", "asks"))

    both = served.http.post("/books", json=[{"token_id": token}, {"token_id": "17"}]).json()
    assert both == [book]
    assert float(served.get("/price", token_id=token, side="BUY").json()["price"]) == bid
    assert float(served.get("/price", token_id=token, side="SELL").json()["price"]) == ask
    assert float(served.get("/midpoint", token_id=token).json()["mid"]) == (bid + ask) / 2
    assert served.get("/tick-size", token_id=token).json() == {"minimum_tick_size": 0.01}
    assert served.get("/neg-risk", token_id=token).json() == {"neg_risk": False}
    assert served.get("/time").json() == START_S - 10


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/book", 404),
        ("/book?token_id=17", 404),
        ("/price?token_id=17&side=HOLD", 400),
        ("/clob-markets/0x17", 404),
        ("/v2/trades?condition=0x17", 400),
        ("/v2/trades?condition=0x" + "0" * 64 + "&offset=5", 400),
        ("/v2/trades?condition=0x" + "0" * 64 + "&limit=9999", 400),
        ("/v2/trades?condition=0x" + "0" * 64 + "&cursor=%21", 400),
        ("/v2/resolutions", 400),
        ("/v2/trades?condition=0x" + "0" * 64, 200),
        ("/markets/slug/btc-updown-15m-1", 404),
        ("/api/v3/klines?symbol=DOGEUSDT&interval=1m", 400),
        ("/api/v3/klines?symbol=BTCUSDT&interval=2m", 400),
        ("/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=-1", 400),
        ("/nothing", 404),
    ],
)
def test_wrong_requests_are_refused_and_never_crash(served: Served, path: str, status: int) -> None:
    """Malformed parameters get the venue's kind of answer."""
    assert served.http.get(path).status_code == status


def test_trades_are_paged_by_cursor_newest_first_and_stable(served: Served) -> None:
    """Pages follow one another without a hole, also while new trades arrive."""
    condition = served.market.condition_id
    served.at(700)
    whole = served.get("/v2/trades", condition=condition, limit=1000).json()["data"]
    first = served.get("/v2/trades", condition=condition, limit=40).json()
    served.at(760)
    pages, answer = first["data"], first
    while answer["pagination"]["has_more"]:
        answer = served.get(
            "/v2/trades", condition=condition, cursor=answer["pagination"]["next_cursor"]
        ).json()
        pages = pages + answer["data"]

    assert pages == whole
    assert len(pages) > 100
    assert all(one["timestamp"] >= other["timestamp"] for one, other in pairwise(pages))
    assert all(one["timestamp"] <= START_S + 700 for one in pages)
    assert len({one["transaction_hash"] for one in pages}) == len(pages)
    newer = served.get("/v2/trades", condition=condition, limit=1000).json()["data"]
    assert newer[-len(whole) :] == whole
    assert len(newer) > len(whole)


def test_trades_happen_at_the_quotes_of_their_second(served: Served) -> None:
    """Every print lies on the side of the book that its taker hit."""
    served.at(600)
    rows = served.get("/v2/trades", condition=served.market.condition_id, limit=200).json()["data"]
    for row in rows:
        book = served.venue.book(row["token_id"], row["timestamp"])
        assert book is not None
        levels = book.asks if row["side"] == "BUY" else book.bids
        assert row["price"] in {float(level.price) for level in levels[:2]}
