"""What the venue sends, as captured live on 2026-10-05; a test changes only what it is about."""

import copy
import json
from datetime import datetime, timedelta
from typing import Any

from polybot.domain.markets import ConditionId, MarketWindow, OutcomeTokenId

WINDOW = MarketWindow.parse_slug("btc-updown-15m-1791241200")
NOW = WINDOW.start + timedelta(minutes=6)
CONDITION = ConditionId("0xcd5f9f505e0c0182746aa65963f72f01e7463259e5ea9f56672c0fe3a37f348a")
UP = OutcomeTokenId("25070934348813416902477876984955073880416401960631253331845590271167412497744")
DOWN = OutcomeTokenId(
    "111614563957165270026378011809694313565736745512637881727398424401624030147043"
)
V2_CONDITION_62 = "0x156b" + "a7" * 29
V2_CONDITION = ConditionId(V2_CONDITION_62 + "00")

_MARKET: dict[str, Any] = {
    "id": "5308512",
    "question": "Bitcoin Up or Down - October 5, 7:00PM-7:15PM ET",
    "conditionId": CONDITION,
    "slug": WINDOW.slug,
    "resolutionSource": "https://data.chain.link/streams/btc-usd-twap-60s-streams",
    "endDate": "2026-10-05T23:15:00Z",
    "startDate": "2026-10-04T23:08:46.486981Z",
    "eventStartTime": "2026-10-05T23:00:00Z",
    "liquidity": "18191.2606",
    "outcomes": '["Up", "Down"]',
    "outcomePrices": '["0.905", "0.095"]',
    "active": True,
    "closed": False,
    "marketMakerAddress": "",
    "enableOrderBook": True,
    "orderPriceMinTickSize": 0.01,
    "orderMinSize": 5,
    "liquidityNum": 18191.2606,
    "clobTokenIds": json.dumps([UP, DOWN]),
    "makerBaseFee": 1000,
    "takerBaseFee": 1000,
    "acceptingOrders": True,
    "negRisk": False,
    "competitive": 0.8990986535997662,
    "rewardsMaxSpread": 4.5,
    "lastTradePrice": 0.85,
    "umaResolutionStatuses": "[]",
    "feesEnabled": True,
    "feeType": "crypto_fees_v2",
    "feeSchedule": {"exponent": 1, "rate": 0.07, "takerOnly": True, "rebateRate": 0.2},
    "cryptoMarketConfigId": "btc-15m-twap-60",
    "cryptoMarketConfig": {
        "id": "btc-15m-twap-60",
        "asset": "btc",
        "duration": "15m",
        "twapEnabled": True,
        "twapLookbackSeconds": 60,
    },
    "version": "v1",
}
_CLOB: dict[str, Any] = {
    "r": {"mi": 50, "ma": 4.5, "moas": 30},
    "t": [{"t": UP, "o": "Up"}, {"t": DOWN, "o": "Down"}],
    "c": CONDITION,
    "mos": 5,
    "mts": 0.01,
    "mbf": 1000,
    "tbf": 1000,
    "ao": True,
    "aot": "2026-10-04T23:07:16Z",
    "itode": True,
    "fd": {"r": 0.07, "e": 1, "to": True},
    "v": "v1",
}
RESOLVED_GAMMA: dict[str, Any] = {
    "closed": True,
    "acceptingOrders": False,
    "outcomePrices": '["0", "1"]',
    "umaResolutionStatus": "resolved",
    "closedTime": "2026-10-05 23:16:02+00",
}
DROP = object()
"""As the value of a change: the key goes away."""


def changed(payload: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return a deep copy with changed keys; a dotted key reaches inside (``data.0.price``)."""
    result = copy.deepcopy(payload)
    for path, value in changes.items():
        *parents, last = path.split(".")
        place: Any = result
        for key in parents:
            place = place[int(key) if isinstance(place, list) else key]
        if value is DROP:
            del place[last]
        else:
            place[int(last) if isinstance(place, list) else last] = value
    return result


def gamma_event(*, beat: Any = None, **changes: Any) -> dict[str, Any]:
    """Return ``GET /events/slug/{slug}``."""
    market = changed(_MARKET, changes)
    event: dict[str, Any] = {"id": "1133988", "slug": WINDOW.slug, "markets": [market]}
    if beat is not None:
        event["eventMetadata"] = {"priceToBeat": beat}
    return event


def clob_market(**changes: Any) -> dict[str, Any]:
    """Return ``GET /clob-markets/{conditionId}``."""
    return changed(_CLOB, changes)


def book(**changes: Any) -> dict[str, Any]:
    """Return ``GET /book`` of the Up token: best bid 0.50, best ask 0.52, best last."""
    payload: dict[str, Any] = {
        "market": CONDITION,
        "asset_id": UP,
        "timestamp": str(int(NOW.timestamp() * 1000)),
        "hash": "fc38",
        "bids": [{"price": "0.48", "size": "120"}, {"price": "0.50", "size": "15.25"}],
        "asks": [{"price": "0.55", "size": "30"}, {"price": "0.52", "size": "7.5"}],
        "min_order_size": "5",
        "tick_size": "0.01",
        "neg_risk": False,
        "last_trade_price": "0.51",
    }
    return changed(payload, changes)


def trade(**changes: Any) -> dict[str, Any]:
    """Return one row of ``GET /v2/trades``."""
    payload: dict[str, Any] = {
        "proxy_wallet": "0x1015bb260154f51e5f432cb0a3227c1619fcbac8",
        "side": "BUY",
        "token_id": UP,
        "condition_id": CONDITION,
        "size": 10,
        "price": 0.95,
        "timestamp": int(NOW.timestamp()) - 30,
        "title": "Bitcoin Up or Down - October 5, 7:00PM-7:15PM ET",
        "slug": WINDOW.slug,
        "outcome": "Up",
        "outcome_index": 0,
        "name": "somebody",
        "bio": "",
        "transaction_hash": "0x0a8e" + "11" * 30,
    }
    return changed(payload, changes)


def trade_page(
    *rows: dict[str, Any], has_more: bool = False, next_cursor: str | None = None
) -> dict[str, Any]:
    """Return one page of ``GET /v2/trades``."""
    pagination = {"limit": 500, "offset": 0, "has_more": has_more, "next_cursor": next_cursor}
    return {"data": list(rows), "pagination": pagination}


def resolution(**changes: Any) -> dict[str, Any]:
    """Return ``GET /v2/resolutions``: Down won."""
    row: dict[str, Any] = {
        "condition_id": CONDITION,
        "status": "resolved",
        "was_disputed": False,
        "payouts": [0, 1_000_000],
        "resolution_source": "reported",
        "resolved_block": 95_024_068,
        "resolved_at": "2026-10-05T23:16:00Z",
    }
    return {"data": [changed(row, changes)]}


def encoded(payload: object) -> bytes:
    """Return a payload as the bytes of an answer."""
    return json.dumps(payload).encode()


def after_the_end(**more: Any) -> datetime:
    """Return an instant after the window's end, five minutes by default."""
    return WINDOW.end + timedelta(**(more or {"minutes": 5}))
