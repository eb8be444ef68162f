"""Orders and trades as the venue words them, over REST and on the user socket.

Field names and kinds of values follow public captures of 2026 and the official clients' models.
"""

from datetime import UTC, datetime
from decimal import Decimal

from polybot.domain.money import text_of
from polybot.sandbox.exchange.orders import Match, OrderState, Trade, VenueOrder
from polybot.sandbox.exchange.rules import MICRO

Json = dict[str, object]


def units(amount: int) -> str:
    """Return base units as the decimal text of whole units."""
    return text_of(Decimal(amount) / MICRO)


def order_row(order: VenueOrder) -> Json:
    """Return an order as ``GET /data/orders`` lists it."""
    return {
        "id": order.order_id,
        "status": order.state.value,
        "owner": order.owner,
        "maker_address": order.account.funder,
        "market": order.market.condition_id,
        "asset_id": order.token_id,
        "side": order.side,
        "original_size": units(order.size),
        "size_matched": units(order.shown_matched),
        "price": units(order.price),
        "outcome": order.outcome.value,
        "expiration": str(order.expires_s),
        "order_type": order.order_type,
        "associate_trades": list(order.trade_ids),
        "created_at": order.created_ms // 1000,
    }


def order_event(order: VenueOrder, kind: str, now_ms: int, status: str) -> Json:
    """Return an order event of the user socket: PLACEMENT, UPDATE or CANCELLATION."""
    return {
        "event_type": "order",
        "type": kind,
        **order_row(order),
        "status": status,
        "order_owner": order.owner,
        "created_at": str(order.created_ms),
        "expiration": str(order.expires_s) if order.expires_s else None,
        "associate_trades": list(order.trade_ids) or None,
        "timestamp": str(now_ms),
    }


def trade_row(trade: Trade, owner: str) -> Json:
    """Return a trade as ``GET /data/trades`` lists it to one API key's owner."""
    return {
        **_trade_fields(trade, owner),
        "status": f"TRADE_STATUS_{trade.state.value}",
        "match_time": str(trade.matched_ms // 1000),
        "last_update": str(trade.updated_ms // 1000),
    }


def trade_event(trade: Trade, owner: str, now_ms: int) -> Json:
    """Return a trade event of the user socket; its times come as ISO text half of the time."""
    matched, updated = str(trade.matched_ms // 1000), str(trade.updated_ms // 1000)
    if int(trade.trade_id[:2], 16) % 2:
        matched, updated = _iso(trade.matched_ms), _iso(trade.updated_ms)
    return {
        "event_type": "trade",
        "type": "TRADE",
        **_trade_fields(trade, owner),
        "status": trade.state.value,
        "trade_owner": owner,
        "match_time": matched,
        "last_update": updated,
        "timestamp": str(now_ms),
    }


def placed_answer(
    order: VenueOrder, trades: list[Trade], *, in_decimals: bool, with_transactions: bool
) -> Json:
    """Return the answer to an order that was taken."""
    paid = sum(_taker_money(trade) for trade in trades)
    shares = sum(trade.size for trade in trades)
    making, taking = (paid, shares) if order.is_buy else (shares, paid)
    status = {OrderState.LIVE: "live", OrderState.DELAYED: "delayed"}.get(order.state, "matched")
    if trades:
        status = "matched"
    return {
        "success": True,
        "errorMsg": "",
        "orderID": order.order_id,
        "status": status,
        "makingAmount": units(making) if in_decimals else str(making),
        "takingAmount": units(taking) if in_decimals else str(taking),
        "transactionsHashes": sorted({trade.transaction_hash for trade in trades})
        if with_transactions
        else [],
        "tradeIDs": [trade.trade_id for trade in trades],
    }


def _taker_money(trade: Trade) -> int:
    transfers = trade.gives if trade.taker.is_buy else trade.gets
    money = sum(one.cash for one in transfers if one.account is trade.taker.account)
    return money - trade.fee if trade.taker.is_buy else money + trade.fee


def _trade_fields(trade: Trade, owner: str) -> Json:
    taker = trade.taker
    return {
        "id": trade.trade_id,
        "taker_order_id": taker.order_id,
        "market": taker.market.condition_id,
        "asset_id": taker.token_id,
        "side": taker.side,
        "size": units(trade.size),
        "fee_rate_bps": "0",
        "price": units(trade.price),
        "outcome": taker.outcome.value,
        "bucket_index": trade.bucket_index,
        "owner": taker.owner,
        "maker_address": taker.account.funder,
        "transaction_hash": trade.transaction_hash,
        "maker_orders": [_maker_row(match) for match in trade.makers],
        "trader_side": "TAKER" if taker.owner == owner else "MAKER",
    }


def _maker_row(match: Match) -> Json:
    maker = match.maker
    return {
        "order_id": maker.order_id,
        "owner": maker.owner,
        "maker_address": maker.account.funder,
        "matched_amount": units(match.size),
        "price": units(maker.price),
        "fee_rate_bps": "0",
        "asset_id": maker.token_id,
        "outcome": maker.outcome.value,
        "side": maker.side,
    }


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
