"""Order ids are the published ones, markets carry their ids in them, and the ledger is watched."""

import json
from contextlib import closing
from pathlib import Path

import pytest

from polybot.adapters.polymarket.wire.markets import parse_clob_market, parse_gamma_market
from polybot.domain.markets import MarketVersion, MarketWindow
from polybot.sandbox import clob, gamma
from polybot.sandbox.exchange import typed_data
from polybot.sandbox.exchange.gateway import PrivateGateway
from polybot.sandbox.exchange.ledger_watch import LedgerWatch
from polybot.sandbox.exchange.rules import V1_EXCHANGE, V2_EXCHANGE, ExchangeDomain
from polybot.sandbox.exchange.submissions import SentOrder
from polybot.sandbox.listing import GeneratedListing
from polybot.sqlite_driver import sqlite_module
from tests.venue_trader import SLUG, START_S, Trader, open_exchange

_V1_TOKEN = "25070934348813416902477876984955073880416401960631253331845590271167412497744"
_V2_TOKEN = "663574927012476832975694178961957910328055987427402067619466963999000625152"


@pytest.mark.parametrize(
    ("domain", "token_id", "side", "amounts", "order_id"),
    [
        (
            V1_EXCHANGE,
            _V1_TOKEN,
            "BUY",
            (5, 10),
            "0xe961d8949063b6be78539450d7ffd6b43adf9270b3e89991f70e625241155b48",
        ),
        (
            V1_EXCHANGE,
            _V1_TOKEN,
            "SELL",
            (10, 5),
            "0x1ee21c4a87533c39aee2477d1482903a573890e685e72abaa2f65beb95a26cbe",
        ),
        (
            V2_EXCHANGE,
            _V2_TOKEN,
            "BUY",
            (5, 10),
            "0x83d383e8b9e869b5dd7a6536623528fb5e87924fa8d5f922175f73668c84097b",
        ),
    ],
)
def test_order_ids_are_the_published_ones(
    domain: ExchangeDomain, token_id: str, side: str, amounts: tuple[int, int], order_id: str
) -> None:
    """Source: vectors that both official clients gave (2026-11-22)."""
    address = "0x1563915e194D8CfBA1943570603F7606A3115508"
    order = SentOrder(
        salt=1234567890,
        maker=address,
        signer=address,
        tokenId=token_id,
        makerAmount=str(amounts[0] * 10**6),
        takerAmount=str(amounts[1] * 10**6),
        side=side,  # type: ignore[arg-type]
        signatureType=0,
        timestamp="1795348800000",
        signature="0x",
    )
    assert typed_data.order_hash(order, domain) == order_id


def test_v2_markets_have_position_ids_that_clients_know() -> None:
    """31-byte condition ids, positions of condition and outcome, eight zero bytes in both."""
    listing = GeneratedListing(7, v2_share=1.0)
    for start_s in range(START_S, START_S + 90_000, 900):
        market = listing.by_slug(f"btc-updown-15m-{start_s}")
        assert market is not None
        up, down = int(market.up_token_id), int(market.down_token_id)
        condition = int(market.condition_id, 16)
        assert condition % 256 == 0
        assert (up, down) == (condition, condition + 1)
        assert not up & (((1 << 64) - 1) << 40)
        fresh = GeneratedListing(7, v2_share=1.0)
        assert fresh.by_token(market.down_token_id) == market
        assert fresh.by_condition(market.condition_id) == market
        assert fresh.by_token(str(up + 2)) is None


def test_versions_are_mixed_by_their_shares() -> None:
    listing = GeneratedListing(7, v2_share=0.5, negative_risk_share=0.5)
    starts = range(START_S, START_S + 180_000, 900)
    found = [listing.by_slug(f"btc-updown-15m-{start_s}") for start_s in starts]
    kinds = [(market.version, market.is_negative_risk) for market in found if market]
    counts = {kind: kinds.count(kind) for kind in set(kinds)}
    assert set(counts) == {("v1", False), ("v1", True), ("v2", False)}
    assert 70 < counts["v2", False] < 130


def test_gamma_and_the_clob_describe_a_v2_market_as_the_parsers_want_it() -> None:
    """Gamma shows 31 bytes and an array of positions; the CLOB pads to 32."""
    venue = open_exchange(v2_share=1.0).venue
    market = venue.market(SLUG, venue.now_s())
    assert market is not None
    event = gamma.build_event(venue, market, venue.now_s())
    described = parse_gamma_market(json.dumps(event).encode(), MarketWindow.parse_slug(SLUG))
    listed = parse_clob_market(
        json.dumps(clob.build_clob_market(venue, market, venue.now_s())).encode()
    )
    assert listed is not None
    assert described.version is listed.version is MarketVersion.V2
    assert described.token_ids == listed.token_ids
    assert set(listed.token_ids.values()) == {market.up_token_id, market.down_token_id}


class Ledger:
    """The two tables of the ledger that the venue looks at."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with closing(sqlite_module().connect(path)) as database, database:
            for table in ("intents", "orders"):
                database.execute(f"CREATE TABLE {table} (order_id TEXT, decision_key TEXT)")

    def write(self, order_id: str, decision_key: str, table: str = "intents") -> None:
        with closing(sqlite_module().connect(self.path)) as database, database:
            insert = f"INSERT INTO {table} VALUES (?, ?)"
            database.execute(insert, (order_id, decision_key))


def _id_of(trader: Trader, order: dict[str, object]) -> str:
    return typed_data.order_hash(SentOrder(**order), V1_EXCHANGE)  # type: ignore[arg-type]


def _kinds(watch: LedgerWatch) -> list[str]:
    return [one.kind for one in watch.violations]


def test_an_order_that_was_not_durable_first_is_a_violation(tmp_path: Path) -> None:
    """Whatever the answer: taken, refused, or sent before there is any ledger."""
    watch = LedgerWatch(tmp_path / "ledger.db")
    trader = Trader(PrivateGateway(open_exchange(), watch))
    trader.post(trader.limit("BUY", "0.02", "100"))
    assert _kinds(watch) == ["not-durable-first"]
    ledger = Ledger(tmp_path / "ledger.db")
    known = trader.limit("BUY", "0.02", "100")
    ledger.write(_id_of(trader, known), "trend:a")
    trader.post(known)
    trader.post(known)
    assert (watch.looked, _kinds(watch)) == (3, ["not-durable-first"])
    refused = trader.limit("BUY", "0.505", "100")
    trader.post(refused)
    assert _kinds(watch) == ["not-durable-first"] * 2
    assert watch.violations[1].order_id == _id_of(trader, refused)


def test_a_second_order_for_one_decision_is_a_violation(tmp_path: Path) -> None:
    watch = LedgerWatch(tmp_path / "ledger.db")
    trader = Trader(PrivateGateway(open_exchange(), watch))
    ledger = Ledger(tmp_path / "ledger.db")
    for table in ("orders", "intents"):
        order = trader.limit("BUY", "0.02", "100")
        ledger.write(_id_of(trader, order), "trend:a", table)
        trader.post(order)
    assert _kinds(watch) == ["second-order-for-decision"]


def test_an_order_that_is_not_committed_is_not_durable(tmp_path: Path) -> None:
    watch = LedgerWatch(tmp_path / "ledger.db")
    trader = Trader(PrivateGateway(open_exchange(), watch))
    Ledger(tmp_path / "ledger.db")
    order = trader.limit("BUY", "0.02", "100")
    with closing(sqlite_module().connect(tmp_path / "ledger.db")) as writer:
        writer.execute("INSERT INTO intents VALUES (?, ?)", (_id_of(trader, order), "trend:a"))
        trader.post(order)
        writer.rollback()
    assert _kinds(watch) == ["not-durable-first"]
