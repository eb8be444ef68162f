"""What the venue writes about one wallet: stream frames and Data API rows, right until changed."""

import json
from datetime import UTC, datetime
from typing import Any

WALLET = "0x1015bb260154f51e5f432cb0a3227c1619fcbac8"
WALLET_AS_SENT = "0x1015bb260154F51E5F432cB0a3227C1619FCBac8"
STRANGER = "0x6031b6eed1c97e853c6e0f03ad3ce3529351f96d"
TOKEN = "13687783239639744987362675919585503088049878290896612006651717056363702870032"
OTHER_TOKEN = "40808064286967431311029972087585757370058281441356109128134740338366023234626"
CONDITION = "0x" + "6c05" * 15 + "a71a"
TRADED_S = 1_785_027_308
NOW = datetime.fromtimestamp(TRADED_S + 2, UTC)
SLUG = "btc-updown-5m-1785027300"


def transaction(number: int) -> str:
    """Return a transaction's hash."""
    return f"0x{number:064x}"


def stream_row(number: int = 1, **changed: Any) -> dict[str, Any]:
    """Return the payload of a frame, in the order and with the texts of a real one."""
    return {
        "asset": TOKEN,
        "bio": "",
        "conditionId": CONDITION,
        "eventSlug": SLUG,
        "icon": "https://example.com/BTC.png",
        "name": "somebody",
        "outcome": "Up",
        "outcomeIndex": 0,
        "price": 0.45,
        "profileImage": "",
        "proxyWallet": WALLET_AS_SENT,
        "pseudonym": "Grown-Cantaloupe",
        "side": "BUY",
        "size": 4.33,
        "slug": SLUG,
        "timestamp": TRADED_S,
        "title": "Bitcoin Up or Down - July 25, 8:55PM-9:00PM ET",
        "transactionHash": transaction(number),
        **changed,
    }


def envelope(payload: Any, **changed: Any) -> dict[str, Any]:
    """Return a frame around a payload."""
    return {
        "connection_id": "gZexFa6cUWeIKEiTDA==",
        "payload": payload,
        "timestamp": TRADED_S * 1000 + 241,
        "topic": "activity",
        "type": "trades",
        **changed,
    }


def frame(payload: Any, **changed: Any) -> bytes:
    """Return a frame's bytes, without spaces as the venue writes them."""
    return compact(envelope(payload, **changed))


def compact(value: Any) -> bytes:
    """Return JSON as the venue writes it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def api_row(number: int = 1, **changed: Any) -> dict[str, Any]:
    """Return a row of ``/v2/trades``."""
    return {
        "proxy_wallet": WALLET,
        "side": "BUY",
        "token_id": TOKEN,
        "condition_id": CONDITION,
        "size": 4.33,
        "price": 0.45,
        "timestamp": TRADED_S,
        "title": "Bitcoin Up or Down - July 25, 8:55PM-9:00PM ET",
        "slug": SLUG,
        "event_slug": SLUG,
        "outcome": "Up",
        "outcome_index": 0,
        "name": "somebody",
        "pseudonym": "Grown-Cantaloupe",
        "bio": "",
        "transaction_hash": transaction(number),
        **changed,
    }


def activity_row(kind: str, number: int = 1, **changed: Any) -> dict[str, Any]:
    """Return a row of ``/v2/activity`` that is no trade."""
    row = {
        "type": kind,
        "usdc_size": 20.54,
        "side": "",
        "token_id": "",
        "price": 0,
        "size": 20.54,
        "outcome_index": 999,
    }
    return {**api_row(number), **row, **changed}


def page(rows: list[dict[str, Any]], *, next_cursor: str | None = None) -> dict[str, Any]:
    """Return a page of the Data API."""
    return {
        "data": rows,
        "pagination": {
            "limit": 500,
            "offset": 0,
            "has_more": next_cursor is not None,
            "next_cursor": next_cursor,
        },
    }
