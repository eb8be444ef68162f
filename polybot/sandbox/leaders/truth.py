"""What has really happened, for tests and proofs: no bot can read this anywhere else."""

from collections import Counter
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from polybot.domain.money import text_of
from polybot.sandbox.leaders.events import ActivityType, Entry, WalletTrade
from polybot.sandbox.leaders.wording import Json

_GRID: Final = Decimal("0.000001")


def truth_rows(entries: list[Entry], now_ms: int) -> list[Json]:
    """Return every event in order; ``key`` is what each is known by, once and for ever.

    Trades have ``<wallet>:<transaction>:<token>:<side>:<price>:<size>:<n>``, conversions
    ``<wallet>:<transaction>:<condition>:<kind>:<size>:<n>``; prices are on the grid of 10⁻⁶.
    """
    seen: Counter[str] = Counter()
    return [_row(entry, seen, now_ms) for entry in entries]


def _row(entry: Entry, seen: Counter[str], now_ms: int) -> Json:
    event = entry.event
    row: Json = {
        "number": entry.number,
        "type": ActivityType.TRADE.value,
        "wallet": event.wallet,
        "name": event.name,
        "is_leader": entry.is_leaders,
        "transaction_hash": event.transaction_hash,
        "at_ms": event.at_ms,
        "timestamp": event.timestamp,
        "size": text_of(event.size),
        "usdc": text_of(event.usdc),
        "stream_ms": None if entry.is_unheard else entry.stream_ms,
        "index_ms": entry.index_ms,
        "chain_ms": entry.chain_ms,
        "failed_ms": entry.failed_ms,
        "is_failed": entry.is_failed(now_ms),
    }
    start = f"{event.wallet}:{event.transaction_hash}"
    if isinstance(event, WalletTrade):
        price = text_of(event.price.quantize(_GRID, ROUND_HALF_EVEN))
        key = f"{start}:{event.token.token_id}:{event.side}:{price}:{text_of(event.size)}"
        row |= {
            "slug": event.token.slug,
            "condition_id": event.token.condition_id,
            "token_id": event.token.token_id,
            "outcome": event.token.outcome,
            "side": event.side,
            "price": price,
            "is_taker": event.is_taker,
            "is_bait": event.is_bait,
        }
    else:
        key = f"{start}:{event.condition_id}:{event.kind.lower()}:{text_of(event.size)}"
        row |= {
            "type": event.kind.value,
            "slug": event.slug,
            "condition_id": event.condition_id,
            "stream_ms": None,
            "chain_ms": None,
        }
    occurrence = seen[key]
    seen[key] += 1
    return row | {"occurrence": occurrence, "key": f"{key}:{occurrence}"}
