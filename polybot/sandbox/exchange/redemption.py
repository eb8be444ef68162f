"""Turns outcome tokens of a resolved market into pUSD, once."""

from polybot.sandbox.exchange.accounts import Account
from polybot.sandbox.exchange.matching import MatchingExchange
from polybot.sandbox.exchange.refusals import VenueRefusalError
from polybot.sandbox.listing import VenueMarket


def redeem(exchange: MatchingExchange, account: Account, market: VenueMarket) -> int:
    """Pay an account for what it holds of a resolved market.

    Returns:
        What was paid [base units]; 0 where nothing was held, so a second call changes nothing.

    Raises:
        VenueRefusalError: The market is not resolved.
    """
    at_s = exchange.advance() // 1000
    winner = exchange.venue.winner(market, at_s)
    if winner is None:
        raise VenueRefusalError("result for condition not received yet")
    paid = 0
    for token_id, outcome in (
        (market.up_token_id, "Up"),
        (market.down_token_id, "Down"),
    ):
        held = account.tokens.pop(token_id, 0)
        if outcome == winner.value:
            paid = held
    account.cash += paid
    exchange.accounts.collateral -= paid
    return paid
