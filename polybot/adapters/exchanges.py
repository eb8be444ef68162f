"""Candles from one exchange through ccxt, with everything that ccxt does by itself turned off.

ccxt is imported by the first request and not with this module: it takes about a second. Its
retries, its market loading, its limiter and its proxies stay off; answers are read through our
capped session. What it returns is raw: it makes rows of ``None`` out of an HTML page.
"""

from dataclasses import dataclass
from typing import Any, Final

from polybot.adapters.web import open_session
from polybot.errors import (
    DataError,
    PermanentError,
    PolybotError,
    RateLimitedError,
    TransientError,
)

TIMEFRAMES: Final = {60: "1m", 300: "5m", 900: "15m", 3600: "1h"}
_ASSETS: Final = ("btc", "eth", "sol", "xrp")
# ccxt gives no Retry-After; exchanges count requests by the minute or by the second.
_RATE_LIMIT_REST_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Venue:
    """How one exchange names markets and how many candles it gives at once."""

    quote: str
    market_id: str
    """With ``{}`` for the coin."""
    page: int
    """Most candles in one answer."""
    reach: int | None = None
    """It gives no more than the newest so many candles."""
    bitcoin: str = "BTC"
    takes_end: bool = True

    def id_of(self, asset: str) -> str:
        """Return the exchange's own name of an asset's market."""
        return self.market_id.format(self.bitcoin if asset == "btc" else asset.upper())

    def symbol_of(self, asset: str) -> str:
        """Return ccxt's name of an asset's market."""
        return f"{asset.upper()}/{self.quote}"


# Source: ccxt 4.5.90, whose page limits were measured on 2026-11-22. Kraken's pairs with USDT
# have one name, where those with USD are asked for by one name and answered under another.
VENUES: Final = {
    "binance": Venue(quote="USDT", market_id="{}USDT", page=1000),
    "coinbase": Venue(quote="USD", market_id="{}-USD", page=300),
    "kraken": Venue(
        quote="USDT", market_id="{}USDT", page=720, reach=720, bitcoin="XBT", takes_end=False
    ),
}


class CcxtExchange:
    """One exchange of ``VENUES``, opened by its first request."""

    def __init__(self, name: str, *, timeout_s: float, base_url: str | None) -> None:
        """Keep whom to ask.

        Args:
            name: A key of ``VENUES``.
            timeout_s: Total time of one request [s].
            base_url: Send requests here instead of to the exchange's hosts.
        """
        self.name = name
        self.venue = VENUES[name]
        self._timeout_s = timeout_s
        self._base_url = base_url
        self._open: Any = None
        self._status: int | None = None

    async def aclose(self) -> None:
        """Close its connections."""
        if self._open is not None:
            await self._open.session.close()
            await self._open.close()
            self._open = None

    async def rows(self, asset: str, *, timeframe_s: int, end_s: int, count: int) -> list[Any]:
        """Return raw candles that open in the ``count`` timeframes before ``end_s``.

        Raises:
            TransientError: Not reached, too slow, 5xx; ``RateLimitedError`` for 429.
            PermanentError: It refuses us, or cannot give so many.
            DataError: ``candles-malformed`` or an ``answer-…`` reason.
        """
        reach = self.venue.reach
        if reach is not None and count > reach:
            raise PermanentError(f"it gives at most {reach} candles, {count} are needed")
        rows: list[Any] = []
        since_s = end_s - count * timeframe_s
        while since_s < end_s:
            size = min(self.venue.page, (end_s - since_s) // timeframe_s)
            rows += await self._page(asset, timeframe_s=timeframe_s, since_s=since_s, size=size)
            since_s += size * timeframe_s
        return rows

    async def _page(self, asset: str, *, timeframe_s: int, since_s: int, size: int) -> list[Any]:
        import ccxt  # noqa: PLC0415 - see the module's docstring

        until_ms = (since_s + size * timeframe_s) * 1000 - 1
        self._status = None
        try:
            page = await self._exchange().fetch_ohlcv(
                self.venue.symbol_of(asset),
                TIMEFRAMES[timeframe_s],
                since=since_s * 1000,
                limit=size,
                params={"until": until_ms} if self.venue.takes_end else {},
            )
        except PolybotError:
            raise
        except (ccxt.NetworkError, TimeoutError, OSError) as error:
            raise _network_error(error, self._status) from error
        except ccxt.BaseError as error:
            raise PermanentError(f"it refused ({type(error).__name__})") from error
        # ccxt computes with whatever a broken answer holds.
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise DataError("its answer makes no sense", reason="candles-malformed") from error
        if not isinstance(page, list):
            raise DataError("its answer is no list", reason="candles-malformed")
        return page

    def _exchange(self) -> Any:
        if self._open is None:
            import ccxt.async_support  # noqa: PLC0415 - see the module's docstring

            exchange = getattr(ccxt.async_support, self.name)(
                {
                    "session": open_session(timeout_s=self._timeout_s),
                    "timeout": int(self._timeout_s * 1000),
                    # A run asks once; the limiter would only delay it.
                    "enableRateLimit": False,
                    # The session is ours: ccxt need not wait for it to close.
                    "timeout_on_exit": 0,
                }
            )
            exchange.set_markets([_market(exchange, self.venue, asset) for asset in _ASSETS])
            exchange.on_rest_response = self._keep_status
            if self._base_url is not None:
                exchange.urls["api"] = _rebased(exchange.urls["api"], self._base_url)
            self._open = exchange
        return self._open

    def _keep_status(self, status: int, *answer: Any) -> str:
        """Note an answer's status: ccxt's own errors do not tell 451 from 503."""
        self._status = status
        body: str = answer[4]
        return body.strip()


def _market(exchange: Any, venue: Venue, asset: str) -> Any:
    """Return the least that ccxt needs to ask for candles without loading all markets."""
    return exchange.safe_market_structure(
        {
            "id": venue.id_of(asset),
            "lowercaseId": venue.id_of(asset).lower(),
            "symbol": venue.symbol_of(asset),
            "base": asset.upper(),
            "quote": venue.quote,
            "type": "spot",
            "spot": True,
            "contract": False,
            "option": False,
            "linear": False,
            "inverse": False,
            "precision": {"amount": 1e-8, "price": 1e-8},
        }
    )


def _rebased(value: Any, base_url: str) -> Any:
    """Return ccxt's table of addresses with every host replaced."""
    if isinstance(value, dict):
        return {key: _rebased(inner, base_url) for key, inner in value.items()}
    _, _, rest = str(value).partition("://")
    return base_url + rest.removeprefix(rest.partition("/")[0])


def _network_error(error: Exception, status: int | None) -> PolybotError:
    if status == 429:
        return RateLimitedError("it asks us to slow down", retry_after=_RATE_LIMIT_REST_S)
    if status is not None and 400 <= status < 500:
        # 451 and 403 are how exchanges refuse whole countries.
        return PermanentError(f"it refused (HTTP {status})")
    if status is not None and status >= 500:
        return TransientError(f"it answered {status}")
    return TransientError(f"it could not be reached ({type(error).__name__})")
