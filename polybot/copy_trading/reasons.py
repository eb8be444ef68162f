"""The names by which copies that were not made are counted; they never change their meaning."""

from enum import StrEnum


class ReasonCode(StrEnum):
    """Why a leader's trade was not copied; the record's sentence gives the value and the limit."""

    # Of the leader
    LEADER_PAUSED = "leader-paused"
    LEADER_THROTTLED = "leader-throttled"
    LEADER_REMOVED = "leader-removed"
    THROTTLED = "throttled"
    """This very trade was one too many; the leader is throttled from here on."""
    FLIP = "flip"
    """Bought and sold within seconds."""

    # Of the trade's time
    BEFORE_FOLLOWING = "before-following"
    TOO_OLD = "too-old"
    FROM_THE_FUTURE = "from-the-future"

    # Of the market
    MARKET_NOT_SUPPORTED = "market-not-supported"
    MARKET_UNKNOWN = "market-unknown"
    MARKET_MISMATCH = "market-mismatch"
    """The trade names a token of one market and the condition of another."""
    MARKET_CLOSED = "market-closed"
    NEGATIVE_RISK = "negative-risk"
    TIME_LEFT = "time-left"

    # Of the leader's policy
    SIDE = "side"
    SERIES = "series"
    TAG = "tag"
    SLUG = "slug"
    PRICE_BAND = "price-band"
    LEADER_STAKE = "leader-stake"
    LEADER_EQUITY = "leader-equity"
    """The sizing needs the leader's equity and the policy has none."""

    # Of our book
    BOOK_UNKNOWN = "book-unknown"
    BOOK_STALE = "book-stale"
    BOOK_ONE_SIDED = "book-one-sided"
    SPREAD = "spread"
    FAR_FROM_BOOK = "far-from-book"
    PRICE_MOVED = "price-moved"
    """Our book asks for more than the leader's price allows."""
    PRICE_GRID = "price-grid"
    """No price on the tick grid is inside the guards."""

    # Of the size
    ACCUMULATED = "accumulated"
    BELOW_MINIMUM = "below-minimum"
    TARGET_REACHED = "target-reached"
    NOTHING_HELD = "nothing-held"
    CAP_TRADE = "cap-trade"
    CAP_MARKET = "cap-market"
    CAP_LEADER = "cap-leader"
    CAP_DAY = "cap-day"
    CAP_STAKE = "cap-stake"
    """The risk limit on one order's stake."""
