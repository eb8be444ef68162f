"""What the parsers make of sound answers, recorded ones among them."""

import gzip
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from polybot.adapters.polymarket import wire
from polybot.domain.markets import FeeSchedule, MarketVersion, MarketWindow, Outcome
from polybot.errors import DataError
from tests import payloads
from tests.payloads import CONDITION, DOWN, DROP, NOW, UP, WINDOW, encoded
from tests.shared_data import require

MAX_AGE = timedelta(seconds=120)


def parse_market(event: dict[str, Any], clob: dict[str, Any]) -> Any:
    gamma = wire.parse_gamma_market(encoded(event), WINDOW)
    return wire.build_market(gamma, wire.parse_clob_market(encoded(clob)), fetched_at=NOW)


def test_captured_market_is_read_exactly() -> None:
    """The live capture of a v1 market gives tokens by label and money without floats."""
    market = parse_market(payloads.gamma_event(beat=77665.5581198), payloads.clob_market())
    assert market.condition_id == CONDITION
    assert market.version is MarketVersion.V1
    assert market.token_ids == {Outcome.UP: UP, Outcome.DOWN: DOWN}
    assert market.tick_size == Decimal("0.01")
    assert market.min_order_size == 5
    assert market.fees == FeeSchedule(rate=Decimal("0.07"), exponent=1)
    assert market.twap_lookback_s == 60
    assert market.price_to_beat == Decimal("77665.5581198")
    assert market.is_accepting_orders
    assert not market.is_closed
    assert market.fetched_at == NOW


def test_tokens_follow_labels_not_places() -> None:
    """Down may come first; each list keeps its own order."""
    event = payloads.gamma_event(outcomes='["Down", "Up"]', clobTokenIds=json.dumps([DOWN, UP]))
    assert parse_market(event, payloads.clob_market()).token_ids[Outcome.UP] == UP


def test_v2_market_trades_its_position_ids_under_a_padded_condition() -> None:
    """A v2 market has a real array of ids, and 62 digits become 64."""
    event = payloads.gamma_event(
        version="v2",
        conditionId=payloads.V2_CONDITION_62,
        clobTokenIds=None,
        positionIds=["651100", "651101"],
    )
    clob = payloads.clob_market(
        v="v2",
        c=payloads.V2_CONDITION,
        t=[{"t": "651100", "o": "Up"}, {"t": "651101", "o": "Down"}],
    )
    market = parse_market(event, clob)
    assert market.version is MarketVersion.V2
    assert market.condition_id == payloads.V2_CONDITION
    assert market.token_ids == {Outcome.UP: "651100", Outcome.DOWN: "651101"}


def test_clob_decides_tick_and_minimum_size() -> None:
    """Gamma lags behind tick changes."""
    market = parse_market(payloads.gamma_event(), payloads.clob_market(mts=0.001, mos=15))
    assert market.tick_size == Decimal("0.001")
    assert market.min_order_size == 15


@pytest.mark.parametrize(
    ("gamma", "clob"),
    [
        ({"acceptingOrders": False}, {}),
        ({"enableOrderBook": False}, {}),
        ({"active": False}, {}),
        ({"closed": True}, {}),
        ({}, {"ao": False}),
        ({}, {"ao": DROP}),
    ],
    ids=["gamma-says-no", "no-book", "inactive", "closed", "clob-says-no", "clob-is-silent"],
)
def test_market_takes_orders_only_where_everything_says_so(
    gamma: dict[str, Any], clob: dict[str, Any]
) -> None:
    """One source that says no is enough."""
    market = parse_market(payloads.gamma_event(**gamma), payloads.clob_market(**clob))
    assert not market.is_accepting_orders


def test_market_without_fees_has_rate_zero() -> None:
    """``feesEnabled`` false and no ``fd`` mean the same."""
    event = payloads.gamma_event(feesEnabled=False, feeType=None, feeSchedule=DROP)
    assert parse_market(event, payloads.clob_market(fd=DROP)).fees.rate == 0


def test_closed_market_outlives_its_clob_entry() -> None:
    """After the end, Gamma alone describes the market, and it takes no orders."""
    gamma = wire.parse_gamma_market(encoded(payloads.gamma_event(closed=True)), WINDOW)
    market = wire.build_market(gamma, None, fetched_at=NOW)
    assert market.is_closed
    assert not market.is_accepting_orders


def test_clob_market_without_tokens_is_not_listed_yet() -> None:
    """The CLOB knows a new market before it knows its tokens."""
    assert wire.parse_clob_market(encoded(payloads.clob_market(t=[]))) is None


def test_long_question_is_cut() -> None:
    """A title of a megabyte must not travel further."""
    event = payloads.gamma_event(question="x" * 500_000)
    assert len(parse_market(event, payloads.clob_market()).question) == 300


def test_book_comes_out_best_first() -> None:
    """The venue sends the best level last, recordings the other way round; both are sorted."""
    book = wire.parse_book(encoded(payloads.book()), UP, as_of=NOW, max_age=MAX_AGE)
    assert [level.price for level in book.bids] == [Decimal("0.50"), Decimal("0.48")]
    assert [level.price for level in book.asks] == [Decimal("0.52"), Decimal("0.55")]
    assert book.bids[0].size == Decimal("15.25")
    assert book.as_of == NOW
    assert book.min_order_size == 5


def test_empty_book_is_a_book() -> None:
    """Nobody's orders are no error; risk decides what that means."""
    book = wire.parse_book(encoded(payloads.book(bids=[], asks=[])), UP, as_of=NOW, max_age=MAX_AGE)
    assert book.best_bid is None
    assert book.best_ask is None


def test_trades_keep_exact_prices_and_six_decimals_of_size() -> None:
    """An average price is off the grid and stays exact; float noise in a size is cut off."""
    row = payloads.trade(price=0.4933333333333333, size=22.840000000000003)
    page = wire.parse_trade_page(encoded(payloads.trade_page(row)), CONDITION, as_of=NOW)
    assert page.trades[0].price == Decimal("0.4933333333333333")
    assert page.trades[0].size == Decimal("22.84")
    assert page.next_cursor is None


def agree(event: dict[str, Any], data: dict[str, Any] | None) -> Any:
    gamma = wire.parse_gamma_resolution(encoded(event), WINDOW)
    word = None if data is None else wire.parse_data_resolution(encoded(data), CONDITION)
    return wire.agree_on_resolution(gamma, word, WINDOW, as_of=payloads.after_the_end())


def test_both_sources_give_the_resolution() -> None:
    """Gamma's prices and the Data API's payouts say the same in different units."""
    found = agree(payloads.gamma_event(**payloads.RESOLVED_GAMMA), payloads.resolution())
    assert found.winner is Outcome.DOWN
    assert found.resolved_at == datetime(2026, 10, 5, 23, 16, tzinfo=UTC)


def test_void_market_pays_half_each() -> None:
    """One half each has no winner."""
    event = payloads.gamma_event(**payloads.RESOLVED_GAMMA)
    event["markets"][0]["outcomePrices"] = '["0.5", "0.5"]'
    found = agree(event, payloads.resolution(payouts=[500_000, 500_000]))
    assert found.winner is None
    assert found.payouts[Outcome.UP] == Decimal("0.5")


@pytest.mark.parametrize(
    ("event", "data"),
    [
        ({}, {"data": []}),
        ({}, None),
        ({"outcomePrices": '["0.9995", "0.0005"]', "closed": True}, {"data": []}),
        ({"outcomePrices": '["1", "0"]', "closed": True}, {"data": []}),
        ({"outcomePrices": '["1", "0"]', "umaResolutionStatus": "resolved"}, {"data": []}),
        (payloads.RESOLVED_GAMMA, payloads.resolution(status="disputed", payouts=None)),
        (payloads.RESOLVED_GAMMA, payloads.resolution(status="posed")),
    ],
    ids=[
        "open",
        "unknown-to-data-api",
        "price-of-0.9995",
        "closed-but-not-called-resolved",
        "called-resolved-but-open",
        "disputed",
        "data-api-lags",
    ],
)
def test_resolution_waits_while_anything_is_open(event: dict[str, Any], data: Any) -> None:
    """Prices near one are no outcome, and a source that knows the market must have decided."""
    assert agree(payloads.gamma_event(**event), data) is None


@pytest.mark.parametrize("only", ["gamma", "data"])
def test_one_clear_word_is_enough_where_the_other_is_silent(only: str) -> None:
    """Either source may be ahead of the other's index."""
    event = payloads.RESOLVED_GAMMA if only == "gamma" else {}
    data = payloads.resolution() if only == "data" else {"data": []}
    assert agree(payloads.gamma_event(**event), data).winner is Outcome.DOWN


def test_recorded_markets_have_no_version_and_are_refused() -> None:
    """Objects of June 2026 carry no version: nothing says which contracts they trade on."""
    raw = recorded_markets()[0]
    window = MarketWindow.parse_slug(raw["slug"])
    with pytest.raises(DataError) as caught:
        wire.parse_gamma_market(encoded({"slug": raw["slug"], "markets": [raw]}), window)
    assert caught.value.reason == "market-version"


def test_all_recorded_markets_are_read() -> None:
    """292 real markets, given the version they lack: windows, tokens, fees and outcomes."""
    winners = []
    for raw in recorded_markets():
        window = MarketWindow.parse_slug(raw["slug"])
        body = encoded({"slug": raw["slug"], "markets": [{**raw, "version": "v1"}]})
        market = wire.parse_gamma_market(body, window)
        assert market.fees == FeeSchedule(rate=Decimal("0.07"), exponent=1)
        assert [market.token_ids[Outcome.UP], market.token_ids[Outcome.DOWN]] == json.loads(
            raw["clobTokenIds"]
        )
        assert market.is_closed
        assert market.twap_lookback_s is None
        gamma = wire.parse_gamma_resolution(body, window)
        as_of = window.end + timedelta(days=1)
        found = wire.agree_on_resolution(gamma, None, window, as_of=as_of)
        assert found is not None
        winners.append(found.winner)
    assert winners.count(Outcome.UP) == 137
    assert winners.count(Outcome.DOWN) == 155


def test_recorded_twap_market_is_read() -> None:
    """A 5-minute market of August 2026 averages over 60 s; its trimmed object is completed."""
    path = require("updown", "gamma_clob_btc5m_2026-08-25_twap.json")
    event = json.loads(path.read_bytes())["gamma_event"]["event"]
    event["markets"][0] |= {
        "active": True,
        "closed": False,
        "acceptingOrders": True,
        "enableOrderBook": True,
        "negRisk": False,
        "version": "v1",
    }
    window = MarketWindow.parse_slug(event["slug"])
    market = wire.parse_gamma_market(encoded(event), window)
    assert market.twap_lookback_s == 60
    assert market.window.series.duration == "5m"


def test_recorded_book_is_read_once_it_names_its_tick() -> None:
    """An old recording without tick is refused; with one, its levels come out best first."""
    path = require("ws", "nautilus_polymarket_fixtures.json")
    raw = json.loads(path.read_bytes())["clob_book_response"]
    as_of = datetime.fromtimestamp(1_703_875_201, UTC)
    with pytest.raises(DataError, match="tick_size"):
        wire.parse_book(encoded(raw), raw["asset_id"], as_of=as_of, max_age=MAX_AGE)
    raw |= {"tick_size": "0.01", "min_order_size": "5"}
    book = wire.parse_book(encoded(raw), raw["asset_id"], as_of=as_of, max_age=MAX_AGE)
    assert (book.best_bid, book.best_ask) == (Decimal("0.50"), Decimal("0.51"))


def test_recorded_data_api_page_has_the_expected_frame() -> None:
    """The envelope and the cursor of a live v2 answer are what the parser expects."""
    path = require("wallets", "data_api_v2_samples_2026-09.json")
    answer = json.loads(path.read_bytes())["activity"]
    condition = answer["data"][0]["condition_id"]
    answer["data"] = answer["data"][:1]
    as_of = datetime.fromtimestamp(answer["data"][0]["timestamp"] + 60, UTC)
    page = wire.parse_trade_page(encoded(answer), condition, as_of=as_of)
    assert page.trades[0].price == Decimal("0.52")
    assert page.next_cursor == answer["pagination"]["next_cursor"]


def recorded_markets() -> list[dict[str, Any]]:
    path = require("updown", "gamma_btc5m_markets_2026-06-08.jsonl.gz")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line)["raw"] for line in lines]
