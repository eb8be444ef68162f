"""Makes events out of plans once their instant has come: prices, transactions, counterparties."""

from decimal import Decimal
from typing import Final

from polybot.domain.markets import Outcome
from polybot.sandbox.exchange.rules import MICRO
from polybot.sandbox.leaders import markets
from polybot.sandbox.leaders.events import (
    ActivityType,
    TradedToken,
    WalletConversion,
    WalletEvent,
    WalletTrade,
)
from polybot.sandbox.leaders.plans import Planned, PlannedConversion, PlannedTrade
from polybot.sandbox.leaders.wallets import Wallet, stranger
from polybot.sandbox.listing import VenueMarket
from polybot.sandbox.seeds import digest
from polybot.sandbox.venue import SandboxVenue

_STEP: Final = Decimal(1) / MICRO
Fill = tuple[Decimal, Decimal]
"""Price [USDC/share] and size [shares]."""


def play(venue: SandboxVenue, planned: Planned) -> list[WalletEvent]:
    """Return the events of one plan's transaction, in the order of their logs."""
    if isinstance(planned, PlannedConversion):
        return _convert(venue, planned)
    if planned.foreign is not None:
        return _trade_foreign(venue, planned, planned.foreign)
    market = venue.listing.by_slug(planned.slug)
    return [] if market is None else _trade_window(venue, planned, market)


def build_trades(
    seed: int,
    wallet: Wallet,
    token: TradedToken,
    *,
    side: str,
    fills: list[Fill],
    at_ms: int,
    name: tuple[object, ...],
    is_maker: bool = False,
    other: TradedToken | None = None,
    is_bait: bool = False,
    transaction_hash: str | None = None,
) -> list[WalletTrade]:
    """Return a wallet's rows of one transaction, and the stranger's on the other side.

    Args:
        seed: The venue's.
        wallet: Whose trade it is.
        token: What it trades.
        side: BUY or SELL.
        fills: A row each.
        at_ms: When [epoch ms].
        name: What the transaction is known by.
        is_maker: Whether the wallet's order rested.
        other: The complement, where the other side traded that one.
        is_bait: Whether the price is meant to lure.
        transaction_hash: A hash that exists already.
    """
    raw = digest("leader-tx", seed, wallet.address, *name)
    hashed = transaction_hash or "0x" + raw.hex()
    opposite = stranger(seed, int.from_bytes(raw[:4]))
    own = [
        WalletTrade(
            wallet=wallet.address,
            name=wallet.name,
            token=token,
            side=side,
            size=size,
            usdc=(price * size).quantize(_STEP),
            at_ms=at_ms,
            transaction_hash=hashed,
            counterparty=opposite,
            is_taker=not is_maker,
            is_bait=is_bait,
        )
        for price, size in fills
    ]
    theirs = _other_side(own, opposite, other)
    # The exchange settles the makers first and the taker's whole order last.
    return [*own, theirs] if is_maker else [theirs, *own]


def _other_side(own: list[WalletTrade], wallet: str, other: TradedToken | None) -> WalletTrade:
    """Return the one row of whoever stood on the other side of all of a wallet's."""
    first = own[0]
    total = sum((one.size for one in own), Decimal(0))
    usdc = sum((one.usdc for one in own), Decimal(0))
    flipped = "SELL" if first.side == "BUY" else "BUY"
    return WalletTrade(
        wallet=wallet,
        name="",
        token=other or first.token,
        # Two buyers of both outcomes mint a pair; two sellers merge one.
        side=first.side if other is not None else flipped,
        size=total,
        usdc=total - usdc if other is not None else usdc,
        at_ms=first.at_ms,
        transaction_hash=first.transaction_hash,
        counterparty=first.wallet,
        is_taker=not first.is_taker,
    )


def _trade_window(
    venue: SandboxVenue, planned: PlannedTrade, market: VenueMarket
) -> list[WalletEvent]:
    prices = markets.prices_at_book(
        venue,
        market,
        planned.at_ms // 1000,
        is_up=planned.is_up,
        side=planned.side,
        is_maker=planned.is_maker,
        count=len(planned.sizes),
    )
    if planned.telling == "repeat":
        prices = [prices[0]] * len(planned.sizes)
    if planned.bait is not None:
        prices = [markets.away(prices[0], planned.bait, planned.side)] * len(planned.sizes)
    fills = list(zip(prices, planned.sizes, strict=True))
    if planned.telling == "average":
        size = sum(planned.sizes, Decimal(0))
        fills = [(sum((price * part for price, part in fills), Decimal(0)) / size, size)]
    return list(
        build_trades(
            venue.seed,
            planned.wallet,
            markets.window_token(market, is_up=planned.is_up),
            side=planned.side,
            fills=fills,
            at_ms=planned.at_ms,
            name=(planned.slug, planned.number),
            is_maker=planned.is_maker,
            other=(
                markets.window_token(market, is_up=not planned.is_up)
                if planned.is_complement
                else None
            ),
            is_bait=planned.bait is not None,
        )
    )


def _trade_foreign(venue: SandboxVenue, planned: PlannedTrade, number: int) -> list[WalletEvent]:
    price = markets.foreign_price(venue.seed, number, planned.at_ms, is_up=planned.is_up)
    return list(
        build_trades(
            venue.seed,
            planned.wallet,
            markets.foreign_token(venue.seed, number, is_up=planned.is_up),
            side=planned.side,
            fills=[(price, size) for size in planned.sizes],
            at_ms=planned.at_ms,
            name=(planned.slug, planned.number),
            is_maker=planned.is_maker,
        )
    )


def _convert(venue: SandboxVenue, planned: PlannedConversion) -> list[WalletEvent]:
    market = venue.listing.by_slug(planned.slug) if planned.slug else None
    if market is None and planned.kind is not ActivityType.MAKER_REBATE:
        return []
    size, usdc = planned.up, planned.up
    if market is not None and planned.kind is ActivityType.REDEEM:
        winner = venue.winner(market, planned.at_ms // 1000)
        size = usdc = planned.up if winner is Outcome.UP else planned.down
    name = (planned.wallet.address, planned.slug, planned.number, planned.at_ms)
    token = None if market is None else markets.window_token(market, is_up=True)
    return [
        WalletConversion(
            wallet=planned.wallet.address,
            name=planned.wallet.name,
            kind=planned.kind,
            slug="" if token is None else token.slug,
            event_slug="" if token is None else token.event_slug,
            title="" if token is None else token.title,
            condition_id="" if token is None else token.condition_id,
            size=size,
            usdc=usdc,
            at_ms=planned.at_ms,
            transaction_hash="0x" + digest("leader-conversion", venue.seed, *name).hex(),
        )
    ]
