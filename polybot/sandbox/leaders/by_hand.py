"""Trades and conversions that a test asks for, at the present instant."""

from dataclasses import replace
from decimal import Decimal
from typing import Final, Literal

import msgspec

from polybot.domain.markets import Outcome
from polybot.sandbox.leaders import markets
from polybot.sandbox.leaders.events import (
    ActivityType,
    Entry,
    TradedToken,
    WalletConversion,
)
from polybot.sandbox.leaders.playing import Fill, build_trades
from polybot.sandbox.leaders.stage import LeaderStage
from polybot.sandbox.leaders.wallets import Behaviour, Wallet
from polybot.sandbox.seeds import digest

_MOST: Final = 100_000


class FillRequest(msgspec.Struct, forbid_unknown_fields=True):
    """One row of a transaction."""

    size: Decimal
    price: Decimal | None = None
    """[USDC/share]; none: at the sandbox's quotes."""


class ActRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What a wallet shall do now."""

    leader: str
    """A wallet's name or address; an address that nobody has yet is a new leader."""
    kind: Literal["BUY", "SELL", "SPLIT", "MERGE", "REDEEM"] = "BUY"
    slug: str = ""
    """A window's market."""
    token_id: str = ""
    """Instead of slug and outcome; one that the venue does not know is a foreign market's."""
    outcome: Outcome = Outcome.UP
    fills: list[FillRequest] = []
    size: Decimal = Decimal(10)
    """Where there are no fills: one of this size [shares]."""
    is_maker: bool = False
    is_complement: bool = False
    """As maker: whether the taker traded the other outcome."""
    count: int = 1
    """So many transactions, each with all the fills."""
    transaction_hash: str | None = None
    """A transaction to join, as one that settles several orders."""

    def __post_init__(self) -> None:
        """Refuse what the chain would not carry."""
        sizes = [self.size, *(one.size for one in self.fills)]
        if not all(0 < one <= 10**9 for one in sizes):
            raise ValueError("sizes must be above 0 and at most 10⁹ shares")
        if not all(one.price is None or 0 < one.price < 1 for one in self.fills):
            raise ValueError("prices must be inside (0, 1)")
        if not 1 <= self.count * max(1, len(self.fills)) <= _MOST:
            raise ValueError(f"at most {_MOST} fills at once")
        if bool(self.slug) is bool(self.token_id):
            raise ValueError("give a slug or a token_id")


def act(stage: LeaderStage, wanted: ActRequest) -> list[Entry]:
    """Do it now and return the wallet's own entries; the stranger's are made as well.

    Raises:
        ValueError: Nobody has that name, or there is no such market.
    """
    wallet = _wallet(stage, wanted.leader)
    now_ms = stage.advance()
    made: list[Entry] = []
    token, other = _tokens(stage, wanted)
    fills = _fills(stage, wanted, token, now_ms)
    for number in range(wanted.count):
        name = ("by-hand", len(stage.entries), number)
        if wanted.kind not in ("BUY", "SELL"):
            made += stage.add([_conversion(stage, wallet, wanted, token, at_ms=now_ms, name=name)])
            continue
        trades = build_trades(
            stage.venue.seed,
            wallet,
            token,
            side=wanted.kind,
            fills=fills,
            at_ms=now_ms,
            name=name,
            is_maker=wanted.is_maker,
            other=other if wanted.is_complement else None,
            transaction_hash=wanted.transaction_hash,
        )
        made += stage.add(trades)
    return [one for one in made if one.event.wallet == wallet.address]


def _wallet(stage: LeaderStage, text: str) -> Wallet:
    for one in stage.wallets:
        if text.lower() in (one.address, one.name):
            return one
    if not (text.lower().startswith("0x") and len(text) == 42):
        raise ValueError(f"no wallet is called {text[:80]!r}")
    new = Wallet(
        address=text.lower(),
        name=text[:10].lower(),
        pseudonym="",
        is_leader=True,
        behaviour=Behaviour(rate=0),
    )
    stage.set_wallets([*stage.wallets, new])
    return new


def _fills(stage: LeaderStage, wanted: ActRequest, token: TradedToken, now_ms: int) -> list[Fill]:
    """Return prices and sizes, at the quotes where no price is given."""
    rows = wanted.fills or [FillRequest(wanted.size)]
    quoted = [Decimal("0.5")] * len(rows)
    market = stage.venue.listing.by_token(token.token_id)
    if market is not None:
        quoted = markets.prices_at_book(
            stage.venue,
            market,
            now_ms // 1000,
            is_up=token.outcome == Outcome.UP,
            side=wanted.kind,
            is_maker=wanted.is_maker,
            count=len(rows),
        )
    return [
        (quoted[at] if one.price is None else one.price, one.size) for at, one in enumerate(rows)
    ]


def _tokens(stage: LeaderStage, wanted: ActRequest) -> tuple[TradedToken, TradedToken | None]:
    venue = stage.venue
    if wanted.token_id:
        market = venue.listing.by_token(wanted.token_id)
        is_up = market is None or wanted.token_id == market.up_token_id
    else:
        market = venue.listing.by_slug(wanted.slug)
        is_up = wanted.outcome is Outcome.UP
        if market is None:
            raise ValueError(f"there is no market {wanted.slug[:80]!r}")
    if market is None:
        number = int.from_bytes(digest("by-hand-foreign", wanted.token_id, size=2))
        known = markets.foreign_token(venue.seed, number, is_up=True)
        return replace(known, token_id=wanted.token_id), None
    own, other = (markets.window_token(market, is_up=one) for one in (is_up, not is_up))
    return own, other


def _conversion(
    stage: LeaderStage,
    wallet: Wallet,
    wanted: ActRequest,
    token: TradedToken,
    *,
    at_ms: int,
    name: tuple[object, ...],
) -> WalletConversion:
    return WalletConversion(
        wallet=wallet.address,
        name=wallet.name,
        kind=ActivityType(wanted.kind),
        slug=token.slug,
        event_slug=token.event_slug,
        title=token.title,
        condition_id=token.condition_id,
        size=wanted.size,
        usdc=wanted.size,
        at_ms=at_ms,
        transaction_hash=wanted.transaction_hash
        or "0x" + digest("by-hand-conversion", stage.venue.seed, *name).hex(),
    )
