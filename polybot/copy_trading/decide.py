"""Whether and how one leader trade is copied: a pure function of what is in memory.

Nothing here waits, reads a clock or remembers. A BUY is an entry and meets every guard; a SELL
is an exit, which is tried whenever we hold something and only bounded in price. The token that
a trade names is the one whose holding changed: a maker's fill that the venue matched with the
complement is told in the maker's own token already, and nothing is turned round a second time.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from polybot.copy_trading import guards
from polybot.copy_trading.activity import RecentActivity
from polybot.copy_trading.answers import age_check, passed, place, skip, wait_for_more
from polybot.copy_trading.caps import caps_of, room_for
from polybot.copy_trading.guards import Refusal
from polybot.copy_trading.reasons import ReasonCode
from polybot.copy_trading.situation import CopyDecision, CopyOrder, CopySituation, CopySkip
from polybot.copy_trading.sizing import (
    exit_size,
    free_size,
    pending_stake,
    wanted_exit,
    wanted_stake,
)
from polybot.domain.books import OrderBook
from polybot.domain.leaders import (
    ConversionKind,
    FeedSource,
    LeaderConversion,
    LeaderHolding,
    LeaderTrade,
)
from polybot.domain.markets import Market
from polybot.domain.money import Price, Usdc, text_of
from polybot.domain.orders import DecisionKey, Side
from polybot.market_orders import (
    MIN_NOTIONAL_USDC,
    bought_for,
    budget_of,
    build_market_buy,
    build_market_sell,
    least_size,
)

__all__ = [
    "CopyDecision",
    "CopyOrder",
    "CopySituation",
    "CopySkip",
    "ReasonCode",
    "RecentActivity",
    "caps_of",
    "decide_copy",
    "decide_exit",
    "decide_rest",
]

ZERO: Final = Decimal(0)
# A conversion has no price; the record of the exit that follows it says half of what a pair is
# worth, always the same, because the price is part of the key.
_CONVERSION_PRICE: Final = Decimal("0.5")


def decide_copy(trade: LeaderTrade, situation: CopySituation) -> CopyDecision:
    """Return the order that copies a leader's trade, or why there is none.

    Args:
        trade: What the leader did; its key must be new.
        situation: What is known, as it was before the trade.

    Returns:
        An order within every guard and cap that is known here, to be recorded with ``caps_of``
        and ``ledger_checks``; or the skip, with a stable reason code and one sentence.
    """
    market = _fit_market(trade, situation, max_age_s=situation.leader.policy.max_age_s)
    if isinstance(market, tuple):
        return skip(trade, situation, market)
    if trade.side is Side.BUY:
        return _enter(trade, situation, market)
    return _leave(trade, situation, market, price=trade.price)


def decide_rest(trade: LeaderTrade, situation: CopySituation, *, max_age_s: float) -> CopyDecision:
    """Return the order that sells what an exit has left over, or why it is given up.

    Args:
        trade: The exit's sale, under a key of its own.
        situation: With a holding of what is left.
        max_age_s: Of what the exit followed: a sale, or a merge that is told later [s].
    """
    market = _fit_market(trade, situation, max_age_s=max_age_s)
    if isinstance(market, tuple):
        return skip(trade, situation, market, follows_conversion=True)
    return _leave(trade, situation, market, price=trade.price, follows_conversion=True)


def decide_exit(
    conversion: LeaderConversion, situations: Sequence[CopySituation]
) -> tuple[CopyDecision, ...]:
    """Return the orders that follow a leader's merge or redemption out of a market.

    Record the orders (``record_copy``, each under a key of its own) before the conversion
    itself: after a crash in between, the conversion is heard again and nothing is lost or twice.
    Their records are of a SELL that the leader did not make (``follows_conversion``).

    Args:
        conversion: What the leader did. Splits and negative-risk conversions close nothing.
        situations: One for each token of the market that we hold through the leader, as things
            were before the conversion. One without a holding of ours is passed over.
    """
    if conversion.kind not in (ConversionKind.MERGE, ConversionKind.REDEEM):
        return ()
    return tuple(
        _follow(conversion, situation, situation.holding)
        for situation in situations
        if situation.holding is not None and situation.holding.our_size > 0
    )


def _follow(
    conversion: LeaderConversion, situation: CopySituation, holding: LeaderHolding
) -> CopyDecision:
    trade = LeaderTrade(
        leader=conversion.leader,
        transaction_hash=conversion.transaction_hash,
        token_id=holding.token_id,
        condition_id=conversion.condition_id,
        slug=conversion.slug,
        side=Side.SELL,
        price=_CONVERSION_PRICE,
        size=conversion.size,
        occurrence=conversion.occurrence,
        traded_at=conversion.happened_at,
        received_at=conversion.received_at,
        source=FeedSource.DATA_API,
    )
    max_age_s = situation.leader.policy.max_conversion_age_s
    market = _fit_market(trade, situation, max_age_s=max_age_s)
    if isinstance(market, tuple):
        return skip(trade, situation, market, follows_conversion=True)
    bid = None if situation.book is None else situation.book.best_bid
    if bid is None:
        code = ReasonCode.BOOK_UNKNOWN if situation.book is None else ReasonCode.BOOK_ONE_SIDED
        refusal = code, f"a {conversion.kind} has no price, and no bid is known to go by"
        return skip(trade, situation, refusal, follows_conversion=True)
    return _leave(trade, situation, market, price=bid, follows_conversion=True)


def _fit_market(
    trade: LeaderTrade, situation: CopySituation, *, max_age_s: float
) -> Market | Refusal:
    """Return the trade's market where an entry and an exit are possible alike."""
    refusal = guards.refuse_leader(trade.side, situation) or guards.refuse_time(
        trade.traded_at, situation, max_age_s=max_age_s
    )
    if refusal is not None:
        return refusal
    market = situation.market
    if market is None:
        return guards.refuse_unknown_market(trade.slug)
    return (
        guards.refuse_mismatch(trade, market)
        or guards.refuse_market(situation, market)
        or guards.refuse_side(trade.side, situation)
        or market
    )


# Entries ---------------------------------------------------------------------------------------


def _enter(trade: LeaderTrade, situation: CopySituation, market: Market) -> CopyDecision:
    book = situation.book
    refusal = guards.refuse_policy(trade, situation, market) or guards.refuse_flip(trade, situation)
    if refusal is not None:
        return skip(trade, situation, refusal)
    if book is None:
        return skip(trade, situation, (ReasonCode.BOOK_UNKNOWN, "no book of the token is known"))
    refusal = guards.refuse_book(trade, situation, book)
    if refusal is not None:
        return skip(trade, situation, refusal)
    limit = guards.highest_bid(trade, situation, market, book)
    if isinstance(limit, tuple):
        return skip(trade, situation, limit)
    stake = wanted_stake(trade, situation)
    if isinstance(stake, tuple):
        return skip(trade, situation, stake)
    return _buy(trade, situation, market, book, limit=limit, stake=stake)


def _buy(
    trade: LeaderTrade,
    situation: CopySituation,
    market: Market,
    book: OrderBook,
    *,
    limit: Price,
    stake: Usdc,
) -> CopyDecision:
    total = stake + pending_stake(situation)
    room, cap_code, cap = room_for(
        market, situation.leader.policy, situation.limits, situation.spending
    )
    budget = budget_of(min(total, room))
    least = least_size(market, book)
    size = bought_for(budget, limit)
    if budget < MIN_NOTIONAL_USDC or size < least:
        whole = budget_of(total)
        if whole >= MIN_NOTIONAL_USDC and bought_for(whole, limit) >= least:
            left = f"{text_of(max(room, ZERO))} of {text_of(total)} USDC"
            sentence = f"{cap_code} of {text_of(cap)} USDC leaves {left}, below the venue's minimum"
            return skip(trade, situation, (cap_code, sentence))
        sentence = (
            f"{text_of(total)} USDC up to {text_of(limit)} buy {text_of(size)} of at least "
            f"{text_of(least)} shares and {text_of(MIN_NOTIONAL_USDC)} USDC"
        )
        return wait_for_more(trade, situation, sentence, stake=stake)
    refusal = guards.refuse_repeats(trade, situation)
    if refusal is not None:
        return skip(trade, situation, refusal)
    key = trade.key
    order = build_market_buy(
        decision_key=DecisionKey(f"copy:{key}"),
        market=market,
        outcome=market.outcome_of(trade.token_id),
        limit_price=limit,
        budget_usdc=budget,
        size=size,
    )
    checks = (
        age_check(trade, situation),
        passed("price", f"pays at most {limit!s} for the leader's {trade.price!s} USDC/share"),
        passed("book", f"best ask {book.best_ask!s}, best bid {book.best_bid!s}"),
        passed("stake", f"{budget!s} of {total!s} USDC wanted, {cap_code} leaves {room!s}"),
        passed("min-size", f"size {size!s} of at least {least!s} shares"),
    )
    return place(trade, situation, order, checks)


# Exits -----------------------------------------------------------------------------------------


def _leave(
    trade: LeaderTrade,
    situation: CopySituation,
    market: Market,
    *,
    price: Decimal,
    follows_conversion: bool = False,
) -> CopyDecision:
    free = free_size(situation)
    if free <= 0:
        promised = f", {situation.selling_size} promised" if situation.selling_size else ""
        nothing = ReasonCode.NOTHING_HELD, f"we hold nothing through the leader{promised}"
        return skip(trade, situation, nothing, follows_conversion=follows_conversion)
    limit = guards.lowest_offer(price, situation, market, situation.book)
    if isinstance(limit, tuple):
        return skip(trade, situation, limit, follows_conversion=follows_conversion)
    wanted = wanted_exit(trade.size, situation)
    size = exit_size(wanted, situation)
    least = least_size(market, situation.book)
    if size < least:
        sentence = f"the exit comes to {text_of(size)} of at least {text_of(least)} shares"
        return wait_for_more(
            trade, situation, sentence, size=wanted, follows_conversion=follows_conversion
        )
    order = build_market_sell(
        decision_key=DecisionKey(f"copy:{trade.key}"),
        market=market,
        outcome=market.outcome_of(trade.token_id),
        limit_price=limit,
        size=size,
    )
    checks = (
        age_check(trade, situation),
        passed("price", f"takes at least {limit!s} by the price {price!s} USDC/share"),
        passed("held", f"sells {size!s} of {free!s} shares held through the leader, not promised"),
        passed("min-size", f"size {size!s} of at least {least!s} shares"),
    )
    return place(trade, situation, order, checks, follows_conversion=follows_conversion)
