"""``OrderFilled`` logs of wallets' trades, and which of them a node has at an instant.

Here a block is a second: its number is the epoch second. The event's hash and its fields follow
the exchange contracts as public studies of 2026 describe them (read 2026-11-22).
"""

from typing import Final

from polybot.sandbox.exchange.rules import MICRO
from polybot.sandbox.leaders.events import Entry, WalletTrade
from polybot.sandbox.leaders.stage import REORG_GAP_MS
from polybot.sandbox.leaders.wording import Json
from polybot.sandbox.seeds import digest

ORDER_FILLED: Final = "0xd543adfd945773f1a62f74f0ee55a5e3b9b1a28262980ba90b1a89f2ea84d8ee"


def log_of(entry: Entry, trade: WalletTrade, *, is_restored: bool, is_removed: bool) -> Json:
    """Return one trade's log.

    Args:
        entry: Where it stands in the order of everything.
        trade: The trade.
        is_restored: Whether its block is the one after a reorganisation.
        is_removed: Whether the chain takes the log back.
    """
    shares, cash = int(trade.size * MICRO), int(trade.usdc * MICRO)
    given, taken = (cash, shares) if trade.side == "BUY" else (shares, cash)
    order_hash = digest("order-hash", trade.transaction_hash, trade.wallet, entry.log_index)
    # A taker's own order is filled by the exchange itself.
    other = trade.token.contract if trade.is_taker else trade.counterparty
    words = (
        0 if trade.side == "BUY" else 1,
        int(trade.token.token_id),
        given,
        taken,
        int(trade.fee * MICRO),
        0,
        0,
    )
    return {
        "address": trade.token.contract.lower(),
        "topics": [ORDER_FILLED, "0x" + order_hash.hex(), _padded(trade.wallet), _padded(other)],
        "data": "0x" + "".join(f"{word:064x}" for word in words),
        "blockNumber": hex(trade.timestamp),
        "blockTimestamp": hex(trade.timestamp),
        "blockHash": block_hash(trade.timestamp, is_restored=is_restored),
        "transactionHash": trade.transaction_hash,
        "transactionIndex": "0x0",
        "logIndex": hex(entry.log_index),
        "removed": is_removed,
    }


def block_hash(second: int, *, is_restored: bool = False) -> str:
    """Return a block's hash; a second of a reorganised chain has another one."""
    return "0x" + digest("block", second, is_restored).hex()


def is_restored(entry: Entry, now_ms: int) -> bool:
    """Whether a trade stands in the block that took the place of a dropped one."""
    return entry.reorged_ms is not None and now_ms >= entry.reorged_ms + REORG_GAP_MS


def is_on_chain(entry: Entry, now_ms: int) -> bool:
    """Whether a node has a trade's log at an instant."""
    if entry.chain_ms > now_ms or entry.is_failed(now_ms):
        return False
    gone_ms = entry.reorged_ms
    return gone_ms is None or not gone_ms <= now_ms < gone_ms + REORG_GAP_MS


def _padded(address: str) -> str:
    return "0x" + address.removeprefix("0x").lower().rjust(64, "0")
