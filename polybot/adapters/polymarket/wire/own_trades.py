"""Our executions: pages of ``GET /data/trades``, and the user socket's trade events.

A row tells of one match. Its taker's part is the row itself, in the taker's token; each maker's
part is inside ``maker_orders``, in the maker's own token, which may be the other outcome's (two
buyers of opposite outcomes mint a pair). What a taker paid follows from its makers: the row's own
price is documented as the limit in one place and as the price of the trade in another.

Sources: docs.polymarket.com/api-reference/trade/get-trades and /market-data/websocket/user-channel
(2026-11-22); frames recorded by the nautilus_trader project (July 2026).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any, Final

import msgspec

from polybot.adapters.polymarket.wire.orders import (
    moment,
    on_grid,
    order_id,
    page_of,
    side,
    trade_id,
)
from polybot.adapters.polymarket.wire.strict import condition_id, number, quote, shaped, token_id
from polybot.domain.markets import ConditionId, OutcomeTokenId
from polybot.domain.money import MICRO, Price
from polybot.domain.orders import Liquidity, OrderId, Side, TradeId
from polybot.domain.venue_account import VenueTrade, VenueTrades, VenueTradeStatus
from polybot.errors import DataError

MALFORMED: Final = "own-trades-malformed"
_LARGEST_SIZE: Final = 10**9
_LONGEST_HASH: Final = 66
_NOT_BROADCAST: Final = "MATCHED_NOT_BROADCASTED"
_PROGRESS: Final = {
    VenueTradeStatus.MATCHED: 0,
    VenueTradeStatus.MINED: 1,
    VenueTradeStatus.RETRYING: 2,
    VenueTradeStatus.CONFIRMED: 3,
    VenueTradeStatus.FAILED: 3,
}


class _MakerWire(msgspec.Struct):
    order_id: str
    asset_id: str
    matched_amount: Any
    price: Any
    maker_address: str = ""
    owner: str = ""
    side: str | None = None


class _TradeWire(msgspec.Struct):
    id: str
    taker_order_id: str
    market: str
    asset_id: str
    side: str
    size: Any
    price: Any
    status: str
    match_time: Any
    trader_side: str
    maker_orders: list[Any] | None = None
    transaction_hash: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Maker:
    order_id: OrderId
    token_id: OutcomeTokenId
    side: Side
    price: Decimal
    size: Decimal
    is_ours: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One match, with what every part of it shares."""

    trade_id: TradeId
    taker_order_id: OrderId
    condition_id: ConditionId
    token_id: OutcomeTokenId
    side: Side
    price: Decimal
    size: Decimal
    status: VenueTradeStatus
    matched_at: datetime
    transaction_hash: str
    is_taker_ours: bool
    makers: tuple[_Maker, ...]

    @property
    def has_all_makers(self) -> bool:
        """Whether the makers' parts add up to the taker's."""
        return sum((maker.size for maker in self.makers), Decimal()) == self.size


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnTradePage:
    """One page of our trades, and where the next one begins."""

    found: VenueTrades
    next_cursor: str | None


def parse_own_trade_page(body: bytes, *, funder: str) -> OwnTradePage:
    """Read a page of the account's trades.

    Args:
        body: The answer.
        funder: The account's wallet, by which our maker orders are recognised.

    Raises:
        DataError: ``own-trades-malformed``. One bad row refuses the page: a fill would go unseen.
    """
    rows, cursor = page_of(body, reason=MALFORMED)
    return OwnTradePage(
        found=joined(own_trades(row, funder=funder) for row in rows), next_cursor=cursor
    )


def own_trades(value: object, *, funder: str) -> VenueTrades:
    """Return our executions in one match, from its decoded row; errors as for a page."""
    row = _row(shaped(value, _TradeWire, reason=MALFORMED), funder)
    trades = [*_maker_legs(row)]
    incomplete: frozenset[OrderId] = frozenset()
    if row.is_taker_ours:
        is_final = row.status in (VenueTradeStatus.CONFIRMED, VenueTradeStatus.FAILED)
        if row.has_all_makers or is_final:
            trades += _taker_legs(row)
        else:
            # Its price is not known for sure; a fill, once recorded, never changes.
            incomplete = frozenset({row.taker_order_id})
    return VenueTrades(trades=tuple(trades), incomplete=incomplete)


def joined(parts: Iterator[VenueTrades]) -> VenueTrades:
    """Return all parts as one, oldest first, each execution once with its furthest status."""
    trades: dict[tuple[TradeId, OrderId, int], VenueTrade] = {}
    incomplete: set[OrderId] = set()
    for part in parts:
        incomplete |= part.incomplete
        for trade in part.trades:
            key = (trade.trade_id, trade.order_id, trade.leg)
            # Pages move while they are read: one match may show twice, in two states.
            if key not in trades or _PROGRESS[trade.status] >= _PROGRESS[trades[key].status]:
                trades[key] = trade
    oldest_first = sorted(trades.values(), key=lambda trade: (trade.matched_at, trade.trade_id))
    return VenueTrades(trades=tuple(oldest_first), incomplete=frozenset(incomplete))


def _row(wire: _TradeWire, funder: str) -> _Row:
    if wire.trader_side not in ("TAKER", "MAKER"):
        raise DataError(f"trader side is unknown: {quote(wire.trader_side)}", reason=MALFORMED)
    matched_at = moment(wire.match_time, "match time", reason=MALFORMED)
    if matched_at is None:
        raise DataError("trade has no match time", reason=MALFORMED)
    token = token_id(wire.asset_id, reason=MALFORMED)
    taker_side = side(wire.side, reason=MALFORMED)
    makers = (shaped(one, _MakerWire, reason=MALFORMED) for one in wire.maker_orders or ())
    return _Row(
        trade_id=trade_id(wire.id, reason=MALFORMED),
        taker_order_id=order_id(wire.taker_order_id, reason=MALFORMED),
        condition_id=condition_id(wire.market, reason=MALFORMED),
        token_id=token,
        side=taker_side,
        price=_price(wire.price),
        size=_size(wire.size),
        status=_status(wire.status),
        matched_at=matched_at,
        transaction_hash=_transaction_hash(wire.transaction_hash),
        is_taker_ours=wire.trader_side == "TAKER",
        makers=tuple(_maker(one, token, taker_side, funder) for one in makers),
    )


def _maker(wire: _MakerWire, taker_token: str, taker_side: Side, funder: str) -> _Maker:
    token = token_id(wire.asset_id, reason=MALFORMED)
    # In the same token a maker does the opposite; in the other outcome's token, the same.
    opposite = Side.SELL if taker_side is Side.BUY else Side.BUY
    implied = opposite if token == taker_token else taker_side
    if wire.side and side(wire.side, reason=MALFORMED) is not implied:
        raise DataError(
            f"maker order {quote(wire.order_id)} cannot {quote(wire.side)} against this taker",
            reason=MALFORMED,
        )
    return _Maker(
        order_id=order_id(wire.order_id, reason=MALFORMED),
        token_id=token,
        side=implied,
        price=_price(wire.price),
        size=_size(wire.matched_amount),
        is_ours=wire.maker_address.lower() == funder.lower(),
    )


def _maker_legs(row: _Row) -> Iterator[VenueTrade]:
    seen: dict[OrderId, int] = {}
    for maker in row.makers:
        if maker.is_ours:
            leg = seen.get(maker.order_id, 0)
            seen[maker.order_id] = leg + 1
            yield _trade(
                row,
                order=maker.order_id,
                leg=leg,
                token=maker.token_id,
                side=maker.side,
                price=maker.price,
                size=maker.size,
                liquidity=Liquidity.MAKER,
            )


def _taker_legs(row: _Row) -> Iterator[VenueTrade]:
    """Yield one leg a price, the best price first, so that a leg's number never changes."""
    sizes: dict[Decimal, Decimal] = {}
    if row.has_all_makers:
        for maker in row.makers:
            price = maker.price if maker.token_id == row.token_id else 1 - maker.price
            sizes[price] = sizes.get(price, Decimal()) + maker.size
    else:
        # An average or a limit: rounded against us.
        mode = ROUND_CEILING if row.side is Side.BUY else ROUND_FLOOR
        sizes[row.price.quantize(MICRO, mode)] = row.size
    for leg, price in enumerate(sorted(sizes, reverse=row.side is Side.SELL)):
        yield _trade(
            row,
            order=row.taker_order_id,
            leg=leg,
            token=row.token_id,
            side=row.side,
            price=price,
            size=sizes[price],
            liquidity=Liquidity.TAKER,
        )


def _trade(
    row: _Row,
    *,
    order: OrderId,
    leg: int,
    token: OutcomeTokenId,
    side: Side,
    price: Decimal,
    size: Decimal,
    liquidity: Liquidity,
) -> VenueTrade:
    if price != price.quantize(MICRO):
        raise DataError(f"trade price is off the grid: {quote(price)}", reason=MALFORMED)
    return VenueTrade(
        trade_id=row.trade_id,
        order_id=order,
        leg=leg,
        condition_id=row.condition_id,
        token_id=token,
        side=side,
        price=Price(price),
        size=on_grid(size, "trade size", reason=MALFORMED),
        liquidity=liquidity,
        status=row.status,
        matched_at=row.matched_at,
        transaction_hash=row.transaction_hash,
    )


def _price(value: object) -> Decimal:
    price = number(value, "trade price", reason=MALFORMED, above=0, at_most=1)
    if price == 1:
        raise DataError("trade price must be below 1", reason=MALFORMED)
    return price


def _size(value: object) -> Decimal:
    return number(value, "trade size", reason=MALFORMED, above=0, at_most=_LARGEST_SIZE)


def _status(text: str) -> VenueTradeStatus:
    plain = text.removeprefix("TRADE_STATUS_")
    if plain == _NOT_BROADCAST:
        return VenueTradeStatus.MATCHED
    if plain not in set(VenueTradeStatus):
        raise DataError(f"trade status is unknown: {quote(text)}", reason=MALFORMED)
    return VenueTradeStatus(plain)


def _transaction_hash(text: str | None) -> str:
    found = text or ""
    if len(found) > _LONGEST_HASH or not (found == "" or (found.isalnum() and found.isascii())):
        raise DataError(f"transaction hash is malformed: {quote(found)}", reason=MALFORMED)
    return found
