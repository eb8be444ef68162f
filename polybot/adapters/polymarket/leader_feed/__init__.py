"""Leaders' trades from the venue's stream, its Data API and the chain, each told once."""

from polybot.adapters.polymarket.leader_feed.chain import ChainTiming
from polybot.adapters.polymarket.leader_feed.feed import (
    FeedSources,
    FeedTiming,
    PolymarketLeaderFeed,
)
from polybot.adapters.polymarket.leader_feed.history import PolymarketLeaderHistory
from polybot.adapters.polymarket.leader_feed.identity import Conflict
from polybot.adapters.polymarket.leader_feed.stream import StreamTiming

__all__ = [
    "ChainTiming",
    "Conflict",
    "FeedSources",
    "FeedTiming",
    "PolymarketLeaderFeed",
    "PolymarketLeaderHistory",
    "StreamTiming",
]
