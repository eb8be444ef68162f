"""Does the live venue answer from here? Asked before a stack starts that could only fail."""

import asyncio
from collections.abc import Mapping

import httpx

from polybot.config import Settings

# Cheap public addresses that answer without parameters.
_EXCHANGE_URLS: Mapping[str, str] = {
    "binance": "https://api.binance.com/api/v3/time",
    "binanceus": "https://api.binance.us/api/v3/time",
    "bybit": "https://api.bybit.com/v5/market/time",
    "coinbase": "https://api.coinbase.com/v2/time",
    "kraken": "https://api.kraken.com/0/public/Time",
    "okx": "https://www.okx.com/api/v5/public/time",
}


async def unreachable(settings: Settings) -> list[str]:
    """Return one sentence for each endpoint without which paper trading cannot work.

    Any answer below 500 counts: it proves the way there. One exchange that answers is enough;
    where none does, each is named.
    """
    hosts = settings.hosts
    venue = {
        "Polymarket's market discovery (Gamma)": f"{hosts.gamma_url}/markets?limit=1",
        "Polymarket's order books (CLOB)": f"{hosts.clob_url}/time",
        "Polymarket's trades (Data API)": f"{hosts.data_url}/trades?limit=1",
    }
    exchanges = {
        f"the exchange {name}": _EXCHANGE_URLS[name]
        for name in settings.prices.exchanges
        if name in _EXCHANGE_URLS
    }
    if hosts.prices_base_url is not None:
        exchanges = {"the price source": hosts.prices_base_url}
    async with httpx.AsyncClient(timeout=settings.venue.timeout_s) as http:
        missing = await _ask(http, venue)
        missing_prices = await _ask(http, exchanges)
    if len(missing_prices) == len(exchanges):
        missing += missing_prices
    return missing


async def _ask(http: httpx.AsyncClient, addresses: Mapping[str, str]) -> list[str]:
    problems = await asyncio.gather(*(_problem(http, url) for url in addresses.values()))
    return [
        f"{name} cannot be reached: {problem} ({url.partition('?')[0]})"
        for (name, url), problem in zip(addresses.items(), problems, strict=True)
        if problem
    ]


async def _problem(http: httpx.AsyncClient, url: str) -> str:
    try:
        answer = await http.get(url)
    except httpx.TimeoutException:
        return "no answer in time"
    except httpx.HTTPError as error:
        return str(error) or type(error).__name__
    return f"it answered {answer.status_code}" if answer.is_server_error else ""
