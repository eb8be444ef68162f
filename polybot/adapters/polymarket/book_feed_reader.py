"""``GET /book`` for the book feed: also of books in which nothing has changed for hours."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, Self

from polybot.adapters.polymarket import wire
from polybot.adapters.web import WebClient
from polybot.domain.books import OrderBook
from polybot.domain.markets import OutcomeTokenId
from polybot.errors import DataError

# The venue stamps a book with its last change, which says nothing about the answer's age.
_OLDEST: Final = timedelta(days=30)


class BookReader:
    """Asks the CLOB for one token's book at a time, on a session of its own."""

    def __init__(self, clob_url: str, *, timeout_s: float, now: Callable[[], datetime]) -> None:
        """Keep where the CLOB is; nothing is opened yet.

        Args:
            clob_url: ``https://…``
            timeout_s: Total time of one request [s].
            now: The clock; it must answer without waiting.
        """
        self._clob_url = clob_url.rstrip("/")
        self._now = now
        self._web = WebClient(timeout_s=timeout_s)

    async def __aenter__(self) -> Self:
        """Return the reader itself."""
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Close its connections."""
        await self._web.aclose()

    async def __call__(self, token_id: OutcomeTokenId) -> OrderBook:
        """Return a token's book; ``as_of`` is the venue's stamp, of its last change.

        Raises:
            TransientError: Not reached.
            DataError: ``book-missing``, ``book-crossed``, ``book-off-tick``, ``book-mismatch``,
                ``book-malformed`` or ``answer-…``.
        """
        body = await self._web.get(f"{self._clob_url}/book", {"token_id": token_id})
        if body is None:
            raise DataError(f"token {token_id[:20]} has no book", reason="book-missing")
        return wire.parse_book(body, token_id, as_of=self._now(), max_age=_OLDEST)
