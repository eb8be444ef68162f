"""Asking an exchange for many orders one by one, where it has no list to look in."""

from collections.abc import Sequence

from polybot.domain.accounts import OrderRecord
from polybot.domain.orders import OrderReport
from polybot.errors import DataError, TransientError
from polybot.ports import Exchange


async def look_up_each(
    exchange: Exchange, records: Sequence[OrderRecord]
) -> tuple[OrderReport | TransientError | DataError, ...]:
    """Ask for orders one by one; as ``AccountExchange.look_up_many``."""
    found: list[OrderReport | TransientError | DataError] = []
    for record in records:
        try:
            found.append(await exchange.look_up(record))
        except (TransientError, DataError) as problem:
            found.append(problem)
    return tuple(found)
