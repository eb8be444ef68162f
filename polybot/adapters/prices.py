"""Reference prices: closed candles from the first healthy exchange of a list.

For signals only, never for settlements. Nothing here retries: an exchange that fails passes the
turn to the next one, and the caller decides whether to ask all of them again.
"""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Self

from polybot.adapters.candles import CandleCache, checked_candles
from polybot.adapters.exchanges import TIMEFRAMES, VENUES, CcxtExchange
from polybot.domain.candles import CandleSeries
from polybot.errors import (
    ConfigurationError,
    DataError,
    PermanentError,
    PolybotError,
    TransientError,
)
from polybot.ports import Clock

# An exchange publishes a candle within seconds of its close; after this it is not coming.
_PUBLICATION_DELAY: Final = timedelta(seconds=10)
_LARGEST_COUNT: Final = 1000


class CcxtPrices:
    """Candles from an ordered list of exchanges; one that fails passes the turn to the next."""

    def __init__(
        self,
        *,
        exchanges: tuple[str, ...],
        timeout_s: float,
        clock: Clock,
        base_url: str | None = None,
        cache_dir: Path | None = None,
    ) -> None:
        """Keep whom to ask; nothing is opened yet.

        Args:
            exchanges: Names among ``VENUES``, in the order in which they are asked.
            timeout_s: Total time of one request [s].
            clock: Tells whether a candle can be expected yet.
            base_url: Send every request here instead (sandbox, tests).
            cache_dir: Where fetched windows are kept; ``None`` keeps nothing.

        Raises:
            ConfigurationError: No exchange, or one that we do not know.
        """
        unknown = [name for name in exchanges if name not in VENUES]
        if unknown or not exchanges:
            raise ConfigurationError(
                f"prices.exchanges must name some of {', '.join(VENUES)}, "
                f"was {', '.join(exchanges) or 'empty'}"
            )
        self._names = exchanges
        self._clock = clock
        self._base_url = base_url.rstrip("/") if base_url else None
        self._exchanges = tuple(
            CcxtExchange(name, timeout_s=timeout_s, base_url=self._base_url) for name in exchanges
        )
        self._cache = None if cache_dir is None else CandleCache(cache_dir)

    async def __aenter__(self) -> Self:
        """Return the feed itself."""
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Close every exchange's connections."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close every exchange's connections."""
        for exchange in self._exchanges:
            await exchange.aclose()

    async def closed_candles(
        self, asset: str, *, timeframe_s: int, end: datetime, count: int
    ) -> CandleSeries:
        """Return the ``count`` closed candles whose last one closes exactly at ``end``.

        Args:
            asset: ``btc``, ``eth``, ``sol`` or ``xrp``.
            timeframe_s: Length of a candle: 60, 300, 900 or 3600 s.
            end: When the last candle closes; on the timeframe's grid.
            count: 1 to 1000.

        Raises:
            TransientError: No exchange answered, or the last candle is not published yet.
            DataError: All that answered gave bad candles; ``reason`` is the first one's.
        """
        self._check(timeframe_s, end, count)
        key = (asset, timeframe_s, int(end.timestamp()), count, self._names, self._base_url)
        if self._cache is not None and (cached := self._cache.load(key)) is not None:
            return cached
        now = await self._clock.now()
        if now < end:
            raise TransientError(f"candles that close at {end:%FT%TZ} are not there at {now:%TZ}")
        failures: dict[str, PolybotError] = {}
        for exchange in self._exchanges:
            try:
                series = await self._ask(exchange, asset, timeframe_s, end, count)
            except PolybotError as error:
                failures[exchange.name] = error
                continue
            if self._cache is not None:
                self._cache.store(key, series)
            return series
        raise _verdict(failures)

    def _check(self, timeframe_s: int, end: datetime, count: int) -> None:
        if timeframe_s not in TIMEFRAMES:
            raise PermanentError(
                f"timeframe must be one of {list(TIMEFRAMES)} s, was {timeframe_s}"
            )
        if not 1 <= count <= _LARGEST_COUNT:
            raise PermanentError(f"count must be 1 to {_LARGEST_COUNT}, was {count}")
        if end.timestamp() % timeframe_s:
            raise PermanentError(
                f"end must be on the grid of {timeframe_s} s, was {end.isoformat()}"
            )

    async def _ask(
        self, exchange: CcxtExchange, asset: str, timeframe_s: int, end: datetime, count: int
    ) -> CandleSeries:
        end_s = int(end.timestamp())
        rows = await exchange.rows(asset, timeframe_s=timeframe_s, end_s=end_s, count=count)
        candles = checked_candles(rows, timeframe_s=timeframe_s, end_s=end_s, count=count)
        if len(candles) == count:
            return CandleSeries(
                symbol=exchange.venue.symbol_of(asset),
                timeframe_s=timeframe_s,
                source=exchange.name,
                candles=candles,
            )
        if await self._clock.now() < end + _PUBLICATION_DELAY:
            raise TransientError("the last candle is not published yet")
        raise DataError(
            f"{count - len(candles)} candles before {end:%FT%TZ} are missing",
            reason="candles-stale",
        )


def _verdict(failures: dict[str, PolybotError]) -> PolybotError:
    """Return what all the exchanges' failures mean together."""
    story = "no usable candles: " + "; ".join(
        f"{name}: {str(error)[:120]}" for name, error in failures.items()
    )
    if not any(isinstance(error, TransientError) for error in failures.values()):
        for error in failures.values():
            if isinstance(error, DataError):
                return DataError(story, reason=error.reason)
    return TransientError(story)
