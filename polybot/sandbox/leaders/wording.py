"""Rows and frames about wallets as the venue words them.

The stream kept the names of the Data API v1; the Data API v2 has its own. Source: frames and
answers recorded from January to September 2026.
"""

from decimal import Decimal
from typing import Final

import msgspec

from polybot.sandbox.leaders.events import ActivityType, WalletConversion, WalletEvent, WalletTrade
from polybot.sandbox.leaders.wallets import checksummed
from polybot.sandbox.seeds import digest

Json = dict[str, object]
_ICON: Final = "https://polymarket-upload.s3.us-east-2.amazonaws.com/BTC+fullsize.png"
_NO_OUTCOME: Final = 999
_TEXT: Final = 0x81


def trade_row(trade: WalletTrade) -> Json:
    """Return a row of ``GET /v2/trades``."""
    token = trade.token
    return {
        "proxy_wallet": trade.wallet,
        "side": trade.side,
        "token_id": token.token_id,
        "condition_id": token.condition_id,
        "size": float(trade.size),
        "price": float(trade.price),
        "timestamp": trade.timestamp,
        "title": token.title,
        "slug": token.slug,
        "icon": _ICON,
        "event_slug": token.event_slug,
        "outcome": token.outcome,
        "outcome_index": token.outcome_index,
        "name": trade.name,
        "pseudonym": "",
        "bio": "",
        "profile_image": "",
        "profile_image_optimized": "",
        "transaction_hash": trade.transaction_hash,
    }


def activity_row(event: WalletEvent) -> Json:
    """Return a row of ``GET /v2/activity``."""
    if isinstance(event, WalletTrade):
        row = trade_row(event)
        return row | {
            "type": ActivityType.TRADE.value,
            "usdc_size": float(event.usdc),
            "is_combo": False,
        }
    return _conversion_row(event)


def _conversion_row(event: WalletConversion) -> Json:
    return {
        "proxy_wallet": event.wallet,
        "timestamp": event.timestamp,
        "condition_id": event.condition_id,
        "type": event.kind.value,
        "size": float(event.size),
        "usdc_size": float(event.usdc),
        "transaction_hash": event.transaction_hash,
        "price": 0,
        "token_id": "",
        "side": "",
        "outcome_index": _NO_OUTCOME,
        "title": event.title,
        "slug": event.slug,
        "icon": _ICON,
        "event_slug": event.event_slug,
        "outcome": "",
        "name": event.name,
        "pseudonym": "",
        "bio": "",
        "profile_image": "",
        "profile_image_optimized": "",
        "is_combo": False,
    }


def stream_message(trade: WalletTrade, *, kind: str, connection_id: str, sent_ms: int) -> Json:
    """Return a message of the stream's topic ``activity``.

    Whether the second is text and whether there is a fee differs from trade to trade, and is the
    same for every telling of one.
    """
    token = trade.token
    draw = digest("wording", trade.transaction_hash, trade.wallet, trade.size, size=2)
    payload: Json = {
        "asset": token.token_id,
        "bio": "",
        "conditionId": token.condition_id,
        "eventSlug": token.event_slug,
        "icon": _ICON,
        "name": trade.name,
        "outcome": token.outcome,
        "outcomeIndex": token.outcome_index,
        "price": float(trade.price),
        "profileImage": "",
        "proxyWallet": checksummed(trade.wallet),
        "pseudonym": "",
        "side": trade.side,
        "size": float(trade.size),
        "slug": token.slug,
        "timestamp": str(trade.timestamp) if draw[0] % 8 == 0 else trade.timestamp,
        "title": token.title,
        "transactionHash": trade.transaction_hash,
    }
    if draw[1] % 2:
        payload["fee"] = float(trade.fee)
    return {
        "connection_id": connection_id,
        "payload": payload,
        "timestamp": sent_ms,
        "topic": "activity",
        "type": kind,
    }


def text_frame(text: bytes) -> bytes:
    """Return a whole WebSocket text frame as a server sends it.

    Source: RFC 6455, section 5.2.
    """
    length = len(text)
    if length < 126:
        return bytes((_TEXT, length)) + text
    if length < 1 << 16:
        return bytes((_TEXT, 126)) + length.to_bytes(2) + text
    return bytes((_TEXT, 127)) + length.to_bytes(8) + text


def json_frame(message: object) -> bytes:
    """Return a message as a WebSocket text frame."""
    return text_frame(msgspec.json.encode(message))


def shown(value: Decimal) -> float:
    """Return an amount as the Data API rounds it [four places]."""
    return round(float(value), 4)
