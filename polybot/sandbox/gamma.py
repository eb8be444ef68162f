"""Market discovery as the venue words it: arrays inside strings, Eastern Time in titles.

Field names and shapes follow a public capture of a BTC 15-minute market of 2026-10-05.
"""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from polybot.domain.markets import DURATIONS_S, Outcome
from polybot.sandbox.books import TICKS, Ladder
from polybot.sandbox.listing import VenueMarket
from polybot.sandbox.seeds import digest
from polybot.sandbox.venue import SandboxVenue

Json = dict[str, object]

_NAMES: Final = {"btc": "Bitcoin", "eth": "Ethereum", "sol": "Solana", "xrp": "XRP"}
_SERIES_IDS: Final = {
    "btc-5m": "10684",
    "btc-15m": "10192",
    "eth-5m": "10683",
    "eth-15m": "10191",
}
_EASTERN: Final = ZoneInfo("America/New_York")
# Gamma's copies of book figures lag behind the book.
_GAMMA_LAG_S: Final = 30


def build_market(venue: SandboxVenue, market: VenueMarket, at_s: int) -> Json:
    """Return a market as ``GET /markets/slug/{slug}`` gives it at ``at_s``."""
    window = market.window
    asset, duration = window.series.asset, window.series.duration
    config_id = f"{asset}-{duration}-twap-60"
    payload: Json = {
        "id": numeric_id(market),
        "question": title_of(market),
        "conditionId": shown_condition(market),
        "slug": window.slug,
        "resolutionSource": f"https://data.chain.link/streams/{asset}-usd-twap-60s-streams",
        "endDate": iso(market.end_s),
        "startDate": iso(market.listed_s + 100),
        "eventStartTime": iso(market.start_s),
        "description": (
            'Resolves to "Up" if the 60-second average price at the end of the window is greater '
            "than or equal to the one at its beginning, otherwise to Down."
        ),
        "outcomes": json.dumps([Outcome.UP.value, Outcome.DOWN.value]),
        "active": True,
        "marketMakerAddress": "",
        "createdAt": iso(market.listed_s),
        "updatedAt": iso(at_s - at_s % _GAMMA_LAG_S),
        "archived": False,
        "restricted": True,
        "questionID": "0x" + digest("question", market.condition_id).hex(),
        "enableOrderBook": True,
        "orderPriceMinTickSize": float(venue.tick_size(market)),
        "orderMinSize": 5,
        "endDateIso": iso(market.end_s)[:10],
        "startDateIso": iso(market.listed_s)[:10],
        **_token_fields(market),
        "makerBaseFee": 1000,
        "takerBaseFee": 1000,
        "acceptingOrders": market.is_trading(at_s),
        "negRisk": market.is_negative_risk,
        "ready": False,
        "funded": False,
        "acceptingOrdersTimestamp": iso(market.listed_s),
        "approved": True,
        "rewardsMinSize": 50,
        "rewardsMaxSpread": 4.5,
        "automaticallyActive": True,
        "negRiskOther": False,
        "feesEnabled": True,
        "feeType": "crypto_fees_v2",
        "feeSchedule": {"exponent": 1, "rate": 0.07, "takerOnly": True, "rebateRate": 0.2},
        "cryptoMarketConfigId": config_id,
        "cryptoMarketConfig": {
            "id": config_id,
            "asset": asset,
            "duration": duration,
            "twapEnabled": True,
            "twapLookbackSeconds": 60,
        },
        "version": market.version,
    }
    winner = venue.winner(market, at_s - venue.gamma_late_s)
    if winner is not None:
        return payload | _resolved_fields(market, winner)
    return payload | _open_fields(venue, market, at_s)


def build_event(venue: SandboxVenue, market: VenueMarket, at_s: int) -> Json:
    """Return a market's event as ``GET /events/slug/{slug}`` gives it at ``at_s``."""
    series = market.window.series
    ticker = f"{series.asset}-up-or-down-{series.duration}"
    is_closed = market.is_resolved(at_s - venue.gamma_late_s)
    payload: Json = {
        "id": str(int(numeric_id(market)) % 10_000_000 + 1_000_000),
        "ticker": market.window.slug,
        "slug": market.window.slug,
        "title": title_of(market),
        "resolutionSource": f"https://data.chain.link/streams/{series.asset}-usd-twap-60s-streams",
        "startDate": iso(market.listed_s + 100),
        "creationDate": iso(market.listed_s + 100),
        "endDate": iso(market.end_s),
        "startTime": iso(market.start_s),
        "active": True,
        "closed": is_closed,
        "archived": False,
        "restricted": True,
        "enableOrderBook": True,
        "negRisk": market.is_negative_risk,
        "markets": [build_market(venue, market, at_s)],
        "series": [
            {
                "id": _series_id(series.asset, series.duration),
                "ticker": ticker,
                "slug": ticker,
                "title": f"{series.asset.upper()} Up or Down {series.duration}",
                "seriesType": "single",
                "recurrence": series.duration,
                "active": True,
                "closed": False,
            }
        ],
        "tags": [
            {"slug": slug}
            for slug in (
                "up-or-down",
                "crypto-prices",
                "recurring",
                "crypto",
                _NAMES[series.asset].lower(),
                series.duration.upper(),
            )
        ],
        "seriesSlug": ticker,
        "version": market.version,
    }
    beat = venue.price_to_beat(market, at_s)
    if beat is not None:
        metadata = {"priceToBeat": beat}
        decided = venue.reference_prices(market) if is_closed else None
        if decided is not None:
            metadata["finalPrice"] = decided.final_price
        payload["eventMetadata"] = metadata
    return payload


def shown_condition(market: VenueMarket) -> str:
    """Return the condition id as Gamma shows it: 31 bytes for v2, where the CLOB pads to 32."""
    return market.condition_id[:64] if market.version == "v2" else market.condition_id


def title_of(market: VenueMarket) -> str:
    """Return the venue's title, in Eastern Time as it writes it."""
    start, end = (datetime.fromtimestamp(at, _EASTERN) for at in (market.start_s, market.end_s))
    hours = [f"{at.strftime('%I:%M%p').lstrip('0')}" for at in (start, end)]
    name = _NAMES[market.window.series.asset]
    return f"{name} Up or Down - {start:%B} {start.day}, {hours[0]}-{hours[1]} ET"


def iso(at_s: int) -> str:
    """Return ``2026-10-05T23:00:00Z``."""
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def numeric_id(market: VenueMarket) -> str:
    """Return the market's number in Gamma."""
    return str(5_000_000 + int.from_bytes(digest("gamma", market.condition_id, size=4)))


def shown_prices(ladder: Ladder) -> tuple[Decimal, Decimal]:
    """Return best bid and best ask of Up, 0 and 1 where a side is empty [USDC/share]."""
    bid = Decimal(ladder.bids[0][0]) / TICKS if ladder.bids else Decimal(0)
    ask = Decimal(ladder.asks[0][0]) / TICKS if ladder.asks else Decimal(1)
    return bid, ask


def _token_fields(market: VenueMarket) -> Json:
    tokens = [market.up_token_id, market.down_token_id]
    if market.version == "v2":
        return {"clobTokenIds": None, "positionIds": tokens, "resolutionStatus": "active"}
    return {"clobTokenIds": json.dumps(tokens), "umaResolutionStatuses": "[]"}


def _open_fields(venue: SandboxVenue, market: VenueMarket, at_s: int) -> Json:
    lagged_s = max(market.listed_s, at_s - at_s % _GAMMA_LAG_S)
    ladder = venue.ladder(market, lagged_s)
    bid, ask = shown_prices(ladder)
    middle = (bid + ask) / 2
    liquidity = sum(size for _, size in ladder.bids + ladder.asks) / 200
    fields: Json = {
        "closed": False,
        "outcomePrices": json.dumps([str(middle), str(1 - middle)]),
        "bestBid": float(bid),
        "bestAsk": float(ask),
        "spread": float(ask - bid),
        "liquidity": f"{liquidity:.4f}",
        "liquidityNum": liquidity,
        "liquidityClob": liquidity,
    }
    last = venue.last_trade(market, lagged_s)
    if last is not None:
        up = last.price if last.outcome is Outcome.UP else 1 - last.price
        fields["lastTradePrice"] = float(up)
    return fields


def _resolved_fields(market: VenueMarket, winner: Outcome) -> Json:
    closed_at = datetime.fromtimestamp(market.resolved_s, UTC)
    return {
        "closed": True,
        "outcomePrices": json.dumps(["1", "0"] if winner is Outcome.UP else ["0", "1"]),
        **(
            {"resolutionStatus": "resolved"}
            if market.version == "v2"
            else {"umaResolutionStatus": "resolved"}
        ),
        "automaticallyResolved": True,
        "closedTime": closed_at.strftime("%Y-%m-%d %H:%M:%S+00"),
        "umaEndDate": iso(market.resolved_s),
        "liquidity": "0",
        "liquidityNum": 0,
        "liquidityClob": 0,
    }


def _series_id(asset: str, duration: str) -> str:
    known = _SERIES_IDS.get(f"{asset}-{duration}")
    return known or str(20_000 + 10 * list(_NAMES).index(asset) + list(DURATIONS_S).index(duration))
