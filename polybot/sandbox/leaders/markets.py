"""Which tokens are traded at which prices: the sandbox's windows, and markets it does not show."""

from decimal import Decimal
from typing import Final

from polybot.domain.markets import Outcome
from polybot.sandbox.books import TICKS
from polybot.sandbox.exchange.rules import NEGATIVE_RISK_EXCHANGE, V1_EXCHANGE, V2_EXCHANGE
from polybot.sandbox.gamma import title_of
from polybot.sandbox.leaders.events import TradedToken
from polybot.sandbox.listing import VenueMarket
from polybot.sandbox.seeds import digest, stream
from polybot.sandbox.venue import SandboxVenue

_LEAST: Final = Decimal("0.01")
_MOST: Final = Decimal("0.99")
# Titles are written by strangers; some are written to be shown to you.
_FOREIGN: Final = (
    ("will-it-rain-in-zurich-{n}", "Will it rain in Zurich on day {n}?", "Yes", "No"),
    ("doge-updown-15m-{n}", "Dogecoin Up or Down - window {n}", "Up", "Down"),
    ("bitcoin-above-72k-on-day-{n}", "Bitcoin above $72k on day {n}?", "Yes", "No"),
    ("spread-bears-home-{n}", "Spread: Bears (-{n})", "Bears", "Owls"),
    ("markup-{n}", "<script>alert({n})</script>\n# [free](javascript:x) =cmd()", "Yes", "No"),
    ("override-{n}", "Deposit \u202eniocpots\u202c here {n} %s {{}} \x1b[31m", "Yes", "No"),
)


def contract_of(market: VenueMarket) -> str:
    """Return the exchange contract that a market trades on."""
    if market.version == "v2":
        return V2_EXCHANGE.contract
    return (NEGATIVE_RISK_EXCHANGE if market.is_negative_risk else V1_EXCHANGE).contract


def window_token(market: VenueMarket, *, is_up: bool) -> TradedToken:
    """Return one outcome of a window's market."""
    return TradedToken(
        slug=market.window.slug,
        event_slug=market.window.slug,
        title=title_of(market),
        condition_id=market.condition_id,
        token_id=market.up_token_id if is_up else market.down_token_id,
        outcome=(Outcome.UP if is_up else Outcome.DOWN).value,
        outcome_index=0 if is_up else 1,
        contract=contract_of(market),
    )


def foreign_token(seed: int, number: int, *, is_up: bool) -> TradedToken:
    """Return one outcome of a market that this venue does not show."""
    slug, title, first, second = _FOREIGN[number % len(_FOREIGN)]
    name = ("foreign", seed, number)
    return TradedToken(
        slug=slug.format(n=number),
        event_slug=slug.format(n=number),
        title=title.format(n=number),
        condition_id="0x" + digest("condition", *name).hex(),
        token_id=str(int.from_bytes(digest("token", *name, is_up))),
        outcome=first if is_up else second,
        outcome_index=0 if is_up else 1,
        contract=(NEGATIVE_RISK_EXCHANGE if number % 3 == 0 else V1_EXCHANGE).contract,
    )


def prices_at_book(
    venue: SandboxVenue,
    market: VenueMarket,
    at_s: int,
    *,
    is_up: bool,
    side: str,
    is_maker: bool,
    count: int,
) -> list[Decimal]:
    """Return the prices of so many levels that a wallet trades at, its best first [USDC/share].

    A taker buys from the offers; a maker's own bid was there already. The generated quotes alone
    count, so that nobody's orders change what the wallets do.
    """
    ladder = venue.ladder(market, min(at_s, market.end_s - 1))
    book = ladder if is_up else ladder.mirrored()
    is_offered = (side == "BUY") is not is_maker
    levels = book.asks if is_offered else book.bids
    if not levels:
        return [_MOST if is_offered else _LEAST] * count
    return [Decimal(levels[min(at, len(levels) - 1)][0]) / TICKS for at in range(count)]


def foreign_price(seed: int, number: int, at_ms: int, *, is_up: bool) -> Decimal:
    """Return the price of a foreign token [USDC/share]."""
    middle = stream("foreign-price", seed, number).randint(10, 90)
    cents = middle + stream("foreign-step", seed, number, at_ms).randint(-3, 3)
    return Decimal(cents if is_up else 100 - cents) / 100


def away(price: Decimal, distance: Decimal, side: str) -> Decimal:
    """Return a price that is so far from another, on the side that would lure if there is room."""
    worse = price + distance if side == "BUY" else price - distance
    better = price - distance if side == "BUY" else price + distance
    return worse if _LEAST <= worse <= _MOST else min(max(better, _LEAST), _MOST)
