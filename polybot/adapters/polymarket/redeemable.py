"""What resolved markets owe a wallet, as the venue's public pages show it."""

from collections import defaultdict
from decimal import Decimal
from typing import Final

from polybot.adapters.polymarket import wire
from polybot.adapters.polymarket.wire.redeemable import REDEEMABLE
from polybot.adapters.web import WebClient
from polybot.domain.markets import ConditionId
from polybot.errors import DataError, PermanentError

_ROWS_PER_PAGE: Final = 500
_MOST_PAGES: Final = 20


async def redeemable_payouts(
    web: WebClient, data_url: str, wallet: str
) -> dict[ConditionId, Decimal]:
    """Return what each resolved market owes a wallet [USDC].

    Args:
        web: Asks.
        data_url: Of the Data API.
        wallet: Whose positions; they are public.

    Raises:
        TransientError: No answer.
        PermanentError: The Data API refuses, or has no positions.
        DataError: A page cannot be read, or pages do not end.
    """
    owed: dict[ConditionId, Decimal] = defaultdict(Decimal)
    query = {"user": wallet, "status": REDEEMABLE, "limit": str(_ROWS_PER_PAGE)}
    for _ in range(_MOST_PAGES):
        body = await web.get(f"{data_url}/v2/positions", query)
        if body is None:
            raise PermanentError("the Data API has no positions")
        page = wire.parse_redeemable_page(body)
        for condition_id, payout in page.payouts:
            owed[condition_id] += payout
        if page.next_cursor is None:
            return dict(owed)
        query["cursor"] = page.next_cursor
    raise DataError(f"positions did not end after {_MOST_PAGES} pages", reason="pages-endless")
