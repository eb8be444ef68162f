"""Order books and market facts as the CLOB words them: strings, and the best level last."""

from polybot.domain.markets import Outcome
from polybot.domain.money import text_of
from polybot.sandbox.gamma import Json, iso
from polybot.sandbox.listing import VenueMarket
from polybot.sandbox.seeds import digest
from polybot.sandbox.venue import SandboxVenue

NO_BOOK = "No orderbook exists for the requested token id"


def build_book(venue: SandboxVenue, token_id: str, at_s: int) -> Json | None:
    """Return a token's book as ``GET /book`` gives it, ``None`` where none exists."""
    market = venue.market_of_token(token_id, at_s)
    if market is None or market.is_resolved(at_s):
        return None
    is_up = token_id == market.up_token_id
    bids, asks = (
        [
            {"price": text_of(price), "size": text_of(size)}
            for price, size in reversed(venue.levels(market, at_s, are_bids=are_bids, of_up=is_up))
        ]
        for are_bids in (True, False)
    )
    last = venue.last_trade(market, at_s)
    last_price = ""
    if last is not None:
        is_same = last.outcome is (Outcome.UP if is_up else Outcome.DOWN)
        last_price = text_of(last.price if is_same else 1 - last.price)
    return {
        "market": market.condition_id,
        "asset_id": token_id,
        "timestamp": str(at_s * 1000),
        "hash": digest("book", token_id, bids, asks, size=20).hex(),
        "bids": bids,
        "asks": asks,
        "min_order_size": "5",
        "tick_size": text_of(venue.tick_size(market)),
        "neg_risk": market.is_negative_risk,
        "last_trade_price": last_price,
    }


def build_clob_market(venue: SandboxVenue, market: VenueMarket, at_s: int) -> Json:
    """Return a market as ``GET /clob-markets/{condition_id}`` gives it."""
    return {
        "r": {"mi": 50, "ma": 4.5, "moas": 30},
        "t": [
            {"t": market.up_token_id, "o": Outcome.UP.value},
            {"t": market.down_token_id, "o": Outcome.DOWN.value},
        ],
        "c": market.condition_id,
        "mos": 5,
        "mts": float(venue.tick_size(market)),
        "mbf": 1000,
        "tbf": 1000,
        "ao": market.is_trading(at_s),
        **({"nr": True} if market.is_negative_risk else {}),
        "aot": iso(market.listed_s),
        "itode": True,
        "fd": {"r": 0.07, "e": 1, "to": True},
        "v": market.version,
    }


def build_market_by_token(market: VenueMarket) -> Json:
    """Return a market as ``GET /markets-by-token/{token_id}`` gives it."""
    tokens = sorted((market.up_token_id, market.down_token_id), key=int)
    return {
        "condition_id": market.condition_id,
        "primary_token_id": tokens[0],
        "secondary_token_id": tokens[1],
    }


def best_prices(book: Json) -> tuple[str | None, str | None]:
    """Return best bid and best ask of a built book; the best level is its last."""
    sides = []
    for name in ("bids", "asks"):
        levels = book[name]
        sides.append(levels[-1]["price"] if isinstance(levels, list) and levels else None)
    return sides[0], sides[1]
