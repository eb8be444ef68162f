"""The doctor's questions to endpoints that are more than an address: sockets, prices, a node."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from polybot.cli.findings import Examination, Finding, failure, ok
from polybot.errors import PolybotError

if TYPE_CHECKING:
    from polybot.adapters.web import WebClient
    from polybot.ports import Clock

    ClockOf = Callable[[Examination], AbstractAsyncContextManager[Clock]]

_POLYGON: Final = 137


def unreachable(name: str, problem: str) -> Finding:
    """Return the finding that an endpoint did not answer."""
    mend = "check the connection, or trade on this machine: `polybot up --sandbox`"
    return failure(name, problem, mend)


async def ask_socket(name: str, url: str, timeout_s: float) -> Finding:
    """Shake hands with a WebSocket, and part."""
    from polybot.adapters.sockets import shake_hands

    try:
        await shake_hands(url, timeout_s=timeout_s)
    except PolybotError as error:
        return unreachable(name, str(error))
    return ok(name, f"{url} answers")


async def ask_node(web: "WebClient", url: str) -> Finding:
    """Ask the configured node for its chain; the address may hold a key and is not shown."""
    name = "Polygon node"
    question = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
    try:
        told = json.loads(await web.post(url, question))["result"]
        chain_id = int(told, 16)
    except PolybotError as error:
        return unreachable(name, f"venue.rpc_url: {type(error).__name__}")
    except (ValueError, KeyError, TypeError, RecursionError):
        return failure(name, "venue.rpc_url answers no chain", "set it to a Polygon node")
    if chain_id != _POLYGON:
        return failure(name, f"it is of chain {chain_id}", f"set it to one of chain {_POLYGON}")
    return ok(name, f"answers, chain {chain_id}")


async def ask_prices(examination: Examination, clock_of: "ClockOf") -> Finding:
    """Ask for the newest closed candle, of whichever exchange of the list answers."""
    from polybot.adapters.prices import CcxtPrices
    from polybot.domain.markets import MarketSeries

    settings, name = examination.session.settings, "reference prices"
    timeframe_s = settings.strategy.timeframe_s
    async with (
        clock_of(examination) as clock,
        CcxtPrices(
            exchanges=settings.prices.exchanges,
            base_url=settings.hosts.prices_base_url,
            timeout_s=settings.prices.timeout_s,
            clock=clock,
        ) as prices,
    ):
        now_s = int((await clock.now()).timestamp())
        # The last one may be a moment late; the one before is not.
        end_s = now_s - now_s % timeframe_s - timeframe_s
        try:
            found = await prices.closed_candles(
                MarketSeries.parse(settings.series[0]).asset,
                timeframe_s=timeframe_s,
                end=datetime.fromtimestamp(end_s, UTC),
                count=1,
            )
        except PolybotError as error:
            mend = "name exchanges that answer from here in prices.exchanges"
            return failure(name, str(error), mend)
    return ok(name, f"{found.source} answers")
