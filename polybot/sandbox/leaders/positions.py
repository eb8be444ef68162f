"""What a wallet holds, from what the Data API has indexed of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from polybot.domain.markets import Outcome
from polybot.sandbox.leaders.events import (
    ActivityType,
    Entry,
    TradedToken,
    WalletConversion,
    WalletTrade,
)
from polybot.sandbox.leaders.markets import window_token
from polybot.sandbox.leaders.wording import Json, shown
from polybot.sandbox.listing import VenueMarket
from polybot.sandbox.venue import SandboxVenue

DUST: Final = Decimal("0.1")
"""Smaller holdings are not shown [shares]."""


@dataclass(slots=True)
class Position:
    """One token of one wallet."""

    token: TradedToken
    first_s: int
    last_s: int = 0
    size: Decimal = Decimal(0)
    bought: Decimal = Decimal(0)
    """Everything that ever came in [shares]."""
    cost: Decimal = Decimal(0)
    """Of what is held, at average cost [USDC]."""
    fees: Decimal = Decimal(0)
    realised: Decimal = Decimal(0)

    @property
    def average(self) -> Decimal:
        """Average cost [USDC/share]."""
        return self.cost / self.size if self.size else Decimal(0)

    def put_in(self, size: Decimal, usdc: Decimal) -> None:
        """Take shares in."""
        self.size += size
        self.bought += size
        self.cost += usdc

    def take_out(self, size: Decimal, usdc: Decimal) -> None:
        """Give shares out, as many as there are."""
        size = min(size, self.size)
        spent = self.average * size
        self.size -= size
        self.cost -= spent
        self.realised += usdc - spent


def positions_of(venue: SandboxVenue, entries: Iterable[Entry]) -> list[Position]:
    """Return a wallet's tokens, the one touched last first."""
    found: dict[str, Position] = {}

    def position(token: TradedToken, at_s: int) -> Position:
        known = found.setdefault(token.token_id, Position(token, at_s))
        known.last_s = at_s
        return known

    for entry in entries:
        event = entry.event
        if isinstance(event, WalletTrade):
            one = position(event.token, event.timestamp)
            one.fees += event.fee
            if event.side == "BUY":
                one.put_in(event.size, event.usdc)
            else:
                one.take_out(event.size, event.usdc)
            continue
        market = venue.listing.by_slug(event.slug)
        if market is None:
            continue
        tokens = [window_token(market, is_up=is_up) for is_up in (True, False)]
        _convert(venue, market, event, [position(one, event.timestamp) for one in tokens])
    return sorted(found.values(), key=lambda one: (-one.last_s, one.token.token_id))


def _convert(
    venue: SandboxVenue, market: VenueMarket, event: WalletConversion, pair: list[Position]
) -> None:
    if event.kind is ActivityType.REDEEM:
        winner = venue.winner(market, event.timestamp)
        for one in pair:
            value = one.size if one.token.outcome == winner else Decimal(0)
            one.take_out(one.size, value)
        return
    for one in pair:
        if event.kind is ActivityType.SPLIT:
            one.put_in(event.size, event.usdc / 2)
        elif event.kind is ActivityType.MERGE:
            one.take_out(event.size, event.usdc / 2)


def value_of(venue: SandboxVenue, position: Position, at_s: int) -> Decimal:
    """Return what one share of a position is worth [USDC]."""
    market = venue.listing.by_token(position.token.token_id)
    if market is None:
        return position.average
    winner = venue.winner(market, at_s)
    if winner is not None:
        return Decimal(position.token.outcome == winner)
    fair = Decimal(str(round(venue.fair_up(market, min(at_s, market.end_s - 1)), 4)))
    return fair if position.token.outcome == Outcome.UP else 1 - fair


def position_row(venue: SandboxVenue, wallet: str, one: Position, at_s: int, opposite: str) -> Json:
    """Return a row of ``GET /v2/positions``.

    Args:
        venue: Whose prices value it.
        wallet: Whose position.
        one: The position.
        at_s: When [epoch s].
        opposite: The other outcome's token, where one is known.
    """
    token, price = one.token, value_of(venue, one, at_s)
    market = venue.listing.by_token(token.token_id)
    is_open = one.size >= DUST
    is_decided = market is not None and venue.winner(market, at_s) is not None
    unrealised = one.size * price - one.cost
    end = None if market is None else datetime.fromtimestamp(market.end_s, UTC).date().isoformat()
    status = "OPEN" if is_open else "CLOSED"
    if is_open and is_decided:
        status = "REDEEMABLE" if price else "REDEEMABLE_LOST"
    other = "" if market is None else Outcome(token.outcome).opposite.value
    return {
        "proxy_wallet": wallet,
        "token_id": token.token_id,
        "condition_id": token.condition_id,
        "current_size": float(one.size),
        "avg_price": shown(one.average),
        "entry_cost_usdc": shown(one.cost),
        "entry_fees_usdc": shown(one.fees),
        "total_cost_usdc": shown(one.cost + one.fees),
        "current_price": shown(price),
        "current_value": shown(one.size * price),
        "total_size": float(one.bought),
        "realized_pnl": shown(one.realised),
        "unrealized_pnl": shown(unrealised),
        "total_pnl": shown(one.realised + unrealised),
        "percent_pnl": shown(100 * unrealised / one.cost if one.cost else Decimal(0)),
        "percent_realized_pnl": shown(100 * one.realised / one.cost if one.cost else Decimal(0)),
        "status": status,
        "redeemable": is_open and is_decided,
        "mergeable": False,
        "negative_risk": market is not None and market.is_negative_risk,
        "archived": False,
        "title": token.title,
        "slug": token.slug,
        "icon": "",
        "event_id": "",
        "event_slug": token.event_slug,
        "outcome": token.outcome,
        "outcome_index": token.outcome_index,
        "opposite_outcome": other,
        "opposite_token_id": opposite,
        "end_date": end,
        "last_event_at": one.last_s,
        "first_entry_at": one.first_s,
        "name": "",
        "profile_image": "",
        "verified": False,
    }
