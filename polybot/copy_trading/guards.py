"""What stops a copy whatever its size: the leader's state, age, market, policy, bait, the book.

Each guard answers ``None`` or the reason with one sentence that names the value and the limit.
Guards that keep us out of a position never keep us in one: an exit meets only the owner's own word
about the leader, and the guards of time and of the market; its price is bounded instead of refused.

Boundaries: a limit may be reached but not passed.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Final

from polybot.copy_trading.reasons import ReasonCode
from polybot.copy_trading.situation import CopySituation
from polybot.domain.books import OrderBook
from polybot.domain.leaders import LeaderState, LeaderTrade
from polybot.domain.markets import Market, MarketWindow
from polybot.domain.money import Price, text_of
from polybot.domain.orders import Side
from polybot.market_orders import highest_limit, lowest_limit

Refusal = tuple[ReasonCode, str]
"""The reason's name and its sentence."""

# Blocks are stamped in whole seconds, and clocks differ; beyond a minute it is no clock error.
MAX_AHEAD: Final = timedelta(seconds=60)
_STATES: Final = {
    LeaderState.PAUSED: ReasonCode.LEADER_PAUSED,
    LeaderState.THROTTLED: ReasonCode.LEADER_THROTTLED,
    LeaderState.REMOVED: ReasonCode.LEADER_REMOVED,
}


# Every copy ------------------------------------------------------------------------------------


def refuse_leader(side: Side, situation: CopySituation) -> Refusal | None:
    """Refuse a leader who is not copied now; a throttle stops his entries alone."""
    leader = situation.leader
    if leader.state is LeaderState.ACTIVE:
        return None
    if side is Side.SELL and leader.state is LeaderState.THROTTLED:
        return None
    return _STATES[leader.state], f"leader is {leader.state}: {leader.state_reason or 'no reason'}"


def refuse_time(
    happened_at: datetime, situation: CopySituation, *, max_age_s: float
) -> Refusal | None:
    """Refuse what happened before we followed, longer ago than ``max_age_s``, or in the future."""
    age = situation.now - happened_at
    if age > timedelta(seconds=max_age_s):
        return (
            ReasonCode.TOO_OLD,
            f"{age.total_seconds():.3f} s since the leader's fill, of at most {max_age_s:g} s",
        )
    if age < -MAX_AHEAD:
        return (
            ReasonCode.FROM_THE_FUTURE,
            f"the leader's fill is {-age.total_seconds():.0f} s in the future, of at most "
            f"{MAX_AHEAD.total_seconds():.0f} s",
        )
    if happened_at < situation.leader.added_at:
        return (
            ReasonCode.BEFORE_FOLLOWING,
            f"the leader's fill at {happened_at:%H:%M:%S} is older than following it, since "
            f"{situation.leader.added_at:%Y-%m-%d %H:%M:%S}",
        )
    return None


def refuse_unknown_market(slug: str) -> Refusal:
    """Refuse a trade whose token the catalog does not know."""
    try:
        window = MarketWindow.parse_slug(slug)
    except ValueError:
        return ReasonCode.MARKET_NOT_SUPPORTED, "not a market of the crypto Up/Down family"
    return ReasonCode.MARKET_UNKNOWN, f"market {window.slug} is not in the catalog"


def refuse_market(situation: CopySituation, market: Market) -> Refusal | None:
    """Refuse markets that take no orders, or other orders than ours."""
    if market.is_negative_risk:
        return ReasonCode.NEGATIVE_RISK, "negative-risk markets are not copied"
    if market.is_closed or not market.is_accepting_orders:
        return ReasonCode.MARKET_CLOSED, "market is closed or not accepting orders"
    if situation.now >= market.window.end:
        return ReasonCode.MARKET_CLOSED, f"the window ended at {market.window.end:%H:%M:%S}"
    return None


def refuse_mismatch(trade: LeaderTrade, market: Market) -> Refusal | None:
    """Refuse a trade whose token and condition are not of one market."""
    if trade.condition_id == market.condition_id and trade.token_id in market.token_ids.values():
        return None
    return (
        ReasonCode.MARKET_MISMATCH,
        f"the trade's token and condition are not both of market {market.slug}",
    )


def refuse_side(side: Side, situation: CopySituation) -> Refusal | None:
    """Refuse the sides that the leader's policy leaves out."""
    sides = situation.leader.policy.sides
    if side in sides:
        return None
    return ReasonCode.SIDE, f"a {side} is not among {'|'.join(sorted(sides)) or 'no sides'}"


# Entries ---------------------------------------------------------------------------------------


def refuse_policy(trade: LeaderTrade, situation: CopySituation, market: Market) -> Refusal | None:
    """Refuse what the leader's policy leaves out: markets, prices, small stakes, late ones."""
    policy = situation.leader.policy
    series = market.window.series
    if policy.series and str(series) not in policy.series:
        return ReasonCode.SERIES, f"series {series} is not among {', '.join(policy.series)}"
    if policy.tags and series.asset not in policy.tags and series.duration not in policy.tags:
        return (
            ReasonCode.TAG,
            f"neither {series.asset} nor {series.duration} is among {', '.join(policy.tags)}",
        )
    if policy.slugs and not any(fnmatchcase(market.slug, pattern) for pattern in policy.slugs):
        return ReasonCode.SLUG, f"{market.slug} matches none of {', '.join(policy.slugs)}"
    if not policy.min_price <= trade.price <= policy.max_price:
        return (
            ReasonCode.PRICE_BAND,
            f"the leader's price {text_of(trade.price)} is outside {text_of(policy.min_price)} to "
            f"{text_of(policy.max_price)} USDC/share",
        )
    if trade.stake_usdc < policy.min_leader_stake_usdc:
        return (
            ReasonCode.LEADER_STAKE,
            f"the leader staked {text_of(trade.stake_usdc)} of at least "
            f"{text_of(policy.min_leader_stake_usdc)} USDC",
        )
    return _refuse_closing(situation, market)


def _refuse_closing(situation: CopySituation, market: Market) -> Refusal | None:
    least_s = max(situation.leader.policy.min_time_left_s, situation.limits.min_time_left_s)
    left = market.window.end - situation.now
    if left >= timedelta(seconds=least_s):
        return None
    return ReasonCode.TIME_LEFT, f"{left.total_seconds():.3f} s left of at least {least_s} s"


def refuse_flip(trade: LeaderTrade, situation: CopySituation) -> Refusal | None:
    """Refuse a BUY of what the leader sells within seconds, before or after."""
    flip_s = situation.leader.policy.flip_s
    sold_at = situation.recent.last_traded_at(trade.leader, trade.token_id, Side.SELL)
    if sold_at is None or flip_s <= 0:
        return None
    apart = abs(trade.traded_at - sold_at)
    if apart > timedelta(seconds=flip_s):
        return None
    return (
        ReasonCode.FLIP,
        f"the leader sold the same token {apart.total_seconds():.3f} s apart, not more than "
        f"{flip_s:g} s",
    )


def refuse_repeats(trade: LeaderTrade, situation: CopySituation) -> Refusal | None:
    """Refuse the copy that is one too many; from there on, a person must lift the throttle."""
    policy = situation.leader.policy
    since = situation.now - timedelta(seconds=policy.repeat_window_s)
    count = situation.recent.copies_since(trade.leader, since) + 1
    if count <= policy.max_repeats:
        return None
    return (
        ReasonCode.THROTTLED,
        f"copy {count} within {policy.repeat_window_s:g} s, of at most {policy.max_repeats}",
    )


def refuse_book(trade: LeaderTrade, situation: CopySituation, book: OrderBook) -> Refusal | None:
    """Refuse books that are stale, one-sided or wide, and leader's prices far from them."""
    age_s = abs((situation.now - book.as_of).total_seconds())
    if age_s > situation.max_book_age_s:
        return (
            ReasonCode.BOOK_STALE,
            f"the book is {age_s:.3f} s old, of at most {situation.max_book_age_s:g} s",
        )
    bid, ask = book.best_bid, book.best_ask
    if bid is None or ask is None:
        return (
            ReasonCode.BOOK_ONE_SIDED,
            f"book has {len(book.bids)} bid and {len(book.asks)} ask levels, wanted at least 1 "
            f"of each",
        )
    if ask - bid > situation.limits.max_spread:
        return (
            ReasonCode.SPREAD,
            f"spread {text_of(ask - bid)} of at most {text_of(situation.limits.max_spread)} "
            f"USDC/share",
        )
    distance = distance_from_touch(trade.price, bid, ask)
    if distance > situation.leader.policy.max_from_book:
        return (
            ReasonCode.FAR_FROM_BOOK,
            f"the leader's price {text_of(trade.price)} is {text_of(distance)} from our book's "
            f"{text_of(bid)} to {text_of(ask)}, of at most "
            f"{text_of(situation.leader.policy.max_from_book)} USDC/share",
        )
    return None


def distance_from_touch(price: Decimal, bid: Decimal, ask: Decimal) -> Decimal:
    """Return how far a price is outside the spread, 0 inside it [USDC/share]."""
    if price > ask:
        return price - ask
    if price < bid:
        return bid - price
    return Decimal(0)


# Prices ----------------------------------------------------------------------------------------


def allowed_distance(price: Decimal, situation: CopySituation) -> Decimal:
    """Return how much worse than a price we may trade: the tighter of the policy's two guards."""
    policy = situation.leader.policy
    return min(policy.max_price_above, price * policy.max_price_fraction)


def highest_bid(
    trade: LeaderTrade, situation: CopySituation, market: Market, book: OrderBook
) -> Price | Refusal:
    """Return the most that a copy may pay per share, or why it may pay nothing.

    Never above the leader's price with its guards, our midpoint with the greatest slippage, or
    the policy's band; rounded down to the grid. The book must be two-sided.
    """
    guarded = trade.price + allowed_distance(trade.price, situation)
    ask, midpoint = book.best_ask, book.midpoint
    if ask is None or midpoint is None:
        return ReasonCode.BOOK_ONE_SIDED, "the book has no midpoint"
    bound = min(
        guarded, midpoint + situation.limits.max_slippage, situation.leader.policy.max_price
    )
    limit = highest_limit(bound, market, book)
    if limit is None:
        return (
            ReasonCode.PRICE_GRID,
            f"no price on the tick {market.tick_size} is at most {text_of(bound)}",
        )
    if ask > limit:
        return (
            ReasonCode.PRICE_MOVED,
            f"best ask {text_of(ask)} is above {text_of(limit)}, the most that the leader's "
            f"{text_of(trade.price)}, our midpoint {text_of(midpoint)} and the price band allow",
        )
    return limit


def lowest_offer(
    price: Decimal, situation: CopySituation, market: Market, book: OrderBook | None
) -> Price | Refusal:
    """Return the least that an exit may take per share, rounded up to the grid.

    Args:
        price: What the leader got; after a merge, our best bid.
        situation: Whose guards count.
        market: The market.
        book: Its book, where one is known.
    """
    bound = price - allowed_distance(price, situation)
    limit = lowest_limit(bound, market, book)
    if limit is None:
        return (
            ReasonCode.PRICE_GRID,
            f"no price on the tick {market.tick_size} is at least {text_of(bound)}",
        )
    return limit
