"""The venue's public side over REST: markets, books, resolutions, trades.

Reads only, without credentials and without retries: the caller decides how often to ask again.
"""

from datetime import datetime, timedelta
from typing import Final, Self
from urllib.parse import quote
from uuid import uuid4

from polybot.adapters.polymarket import wire
from polybot.adapters.web import WebClient
from polybot.domain.books import OrderBook
from polybot.domain.markets import (
    ConditionId,
    Market,
    MarketTrade,
    MarketWindow,
    OutcomeTokenId,
    Resolution,
)
from polybot.errors import DataError, PermanentError, TransientError
from polybot.ports import Clock

DEFAULT_MAX_BOOK_AGE: Final = timedelta(seconds=120)
# A row is about 1 kB with the texts that traders choose; a page stays well below 1 MiB.
_TRADES_PER_PAGE: Final = 500
# 20,000 trades: several times what a busy window sees.
_MAX_TRADE_PAGES: Final = 40


class PolymarketData:
    """Reads Gamma, the CLOB and the Data API."""

    def __init__(
        self,
        *,
        gamma_url: str,
        clob_url: str,
        data_url: str,
        timeout_s: float,
        clock: Clock,
        max_book_age: timedelta = DEFAULT_MAX_BOOK_AGE,
    ) -> None:
        """Keep where the venue is; nothing is opened yet.

        Args:
            gamma_url: Market discovery.
            clob_url: Order books.
            data_url: Trades and resolutions.
            timeout_s: Total time of one request [s].
            clock: Tells how old an answer is.
            max_book_age: A book whose own time stamp is older is refused.
        """
        self._gamma_url = gamma_url.rstrip("/")
        self._clob_url = clob_url.rstrip("/")
        self._data_url = data_url.rstrip("/")
        self._clock = clock
        self._max_book_age = max_book_age
        self._web = WebClient(timeout_s=timeout_s)

    async def __aenter__(self) -> Self:
        """Return the reader itself."""
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Close its connections."""
        await self._web.aclose()

    async def find_market(self, window: MarketWindow) -> Market:
        """Return the market of a window, as Gamma and the CLOB agree on it.

        Raises:
            TransientError: Not listed yet, or not reached.
            DataError: ``market-version``, ``fee-schedule``, ``market-mismatch``,
                ``market-malformed`` or an ``answer-…`` reason.
        """
        gamma = wire.parse_gamma_market(await self._event(window), window)
        body = await self._web.get(f"{self._clob_url}/clob-markets/{gamma.condition_id}")
        clob = None if body is None else wire.parse_clob_market(body)
        if clob is None and not gamma.is_closed:
            # Gamma lists a new market minutes before the CLOB knows its tokens.
            raise TransientError(f"{window.slug} has no order book yet")
        return wire.build_market(gamma, clob, fetched_at=await self._clock.now())

    async def order_book(self, token_id: OutcomeTokenId) -> OrderBook:
        """Return a token's book, best level first.

        Raises:
            DataError: ``book-missing`` (the market is closed), ``book-stale``, ``book-crossed``,
                ``book-off-tick``, ``book-mismatch``, ``book-malformed`` or ``answer-…``.
        """
        body = await self._web.get(f"{self._clob_url}/book", {"token_id": token_id})
        if body is None:
            raise DataError(f"token {token_id[:20]} has no book", reason="book-missing")
        return wire.parse_book(
            body, token_id, as_of=await self._clock.now(), max_age=self._max_book_age
        )

    async def resolution(self, window: MarketWindow) -> Resolution | None:
        """Return the outcome that Gamma and the Data API stand for, ``None`` while undecided.

        Raises:
            DataError: ``resolution-conflict`` or ``resolution-malformed``.
        """
        gamma = wire.parse_gamma_resolution(await self._event(window), window)
        body = await self._web.get(
            f"{self._data_url}/v2/resolutions", {"condition_id": gamma.condition_id}
        )
        data = None if body is None else wire.parse_data_resolution(body, gamma.condition_id)
        return wire.agree_on_resolution(gamma, data, window, as_of=await self._clock.now())

    async def trades_since(
        self, condition_id: ConditionId, since: datetime
    ) -> tuple[MarketTrade, ...]:
        """Return everybody's executions in a market from ``since`` on, oldest first.

        Takers and makers both have a row, so one match shows at least twice: as what the taker
        did on average, and as what each maker did at its own price and in its own token. The
        venue counts in whole seconds, so trades of the second of ``since`` are included.

        Raises:
            DataError: ``trades-malformed``, or ``trades-endless`` where pages repeat or do not
                end.
        """
        query = {
            "condition_id": condition_id,
            "taker_only": "false",
            "start": str(int(since.timestamp())),
            "limit": str(_TRADES_PER_PAGE),
        }
        earliest = since.replace(microsecond=0)
        found: list[MarketTrade] = []
        seen: set[str] = set()
        for _ in range(_MAX_TRADE_PAGES):
            page = await self._trade_page(condition_id, query)
            recent = [trade for trade in page.trades if trade.traded_at >= earliest]
            found += recent
            # Newest first: a page with nothing recent ends the search, whatever follows.
            if page.next_cursor is None or (page.trades and not recent):
                found.reverse()
                return tuple(sorted(found, key=lambda trade: trade.traded_at))
            if page.next_cursor in seen:
                break
            seen.add(page.next_cursor)
            query["cursor"] = page.next_cursor
        raise DataError(
            f"trades of {condition_id[:20]} did not end after {len(seen) + 1} pages",
            reason="trades-endless",
        )

    async def server_time(self) -> datetime:
        """Return the CLOB's clock, in whole seconds."""
        body = await self._web.get(f"{self._clob_url}/time")
        if body is None:
            raise PermanentError("the CLOB tells no time")
        return wire.parse_server_time(body)

    async def _event(self, window: MarketWindow) -> bytes:
        body = await self._web.get(f"{self._gamma_url}/events/slug/{quote(window.slug)}")
        if body is None:
            raise TransientError(f"{window.slug} is not listed yet")
        return body

    async def _trade_page(self, condition_id: ConditionId, query: dict[str, str]) -> wire.TradePage:
        # The edge caches an address for up to five minutes; a value of its own makes each unique.
        body = await self._web.get(f"{self._data_url}/v2/trades", {**query, "_": uuid4().hex})
        if body is None:
            raise PermanentError("the Data API has no trades endpoint")
        return wire.parse_trade_page(body, condition_id, as_of=await self._clock.now())
