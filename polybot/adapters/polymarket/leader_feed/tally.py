"""What one source counts about itself, and when it may ask (again)."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from polybot.domain.leaders import FeedSource, SourceHealth


@dataclass(slots=True, kw_only=True)
class SourceTally:
    """Running counts of one connection."""

    source: FeedSource
    name: str
    is_connected: bool = False
    last_heard_at: datetime | None = None
    connects: int = 0
    freezes: int = 0
    messages: int = 0
    followed: int = 0
    shed: int = 0
    rejected: Counter[str] = field(default_factory=Counter)

    def health(self, *, first: int) -> SourceHealth:
        """Return the counts, with how many trades this source was the first to tell."""
        return SourceHealth(
            source=self.source,
            name=self.name,
            is_connected=self.is_connected,
            last_heard_at=self.last_heard_at,
            reconnects=max(0, self.connects - 1),
            freezes=self.freezes,
            messages=self.messages,
            followed=self.followed,
            first=first,
            rejected=dict(self.rejected),
            shed=self.shed,
        )


class Pace:
    """At most so many requests in any while, all leaders together."""

    def __init__(self, *, per_second: float) -> None:
        """Keep the pace [requests/s]."""
        self._gap_s = 1 / per_second
        self._next = 0.0

    async def wait(self) -> None:
        """Wait for the next turn."""
        loop = asyncio.get_running_loop()
        due = max(self._next, loop.time())
        self._next = due + self._gap_s
        await asyncio.sleep(max(0.0, due - loop.time()))

    def rest(self, seconds: float) -> None:
        """Let nobody ask for a while [s]."""
        self._next = max(self._next, asyncio.get_running_loop().time() + seconds)
