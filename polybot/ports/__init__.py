"""The sockets: what the steps need from the outside world, and nothing about how it is done.

Errors: every method that leaves the process raises ``TransientError`` where another try may
help, ``PermanentError`` where it cannot, and ``DataError`` where an answer arrived that no
decision may be based on. ``Exchange.submit`` is the exception: it returns what is known.
"""

from polybot.ports.copy_ledger import CapChecks, CopyLedger
from polybot.ports.leaders import LAG_BUCKETS_S, BookFeed, LeaderFeed, LeaderHistory
from polybot.ports.ledger import Ledger, LimitChecks
from polybot.ports.venue import (
    AccountExchange,
    Clock,
    Exchange,
    InstantClock,
    MarketData,
    Notifier,
    PriceFeed,
    VenueAccount,
)

__all__ = [
    "LAG_BUCKETS_S",
    "AccountExchange",
    "BookFeed",
    "CapChecks",
    "Clock",
    "CopyLedger",
    "Exchange",
    "InstantClock",
    "LeaderFeed",
    "LeaderHistory",
    "Ledger",
    "LimitChecks",
    "MarketData",
    "Notifier",
    "PriceFeed",
    "VenueAccount",
]
