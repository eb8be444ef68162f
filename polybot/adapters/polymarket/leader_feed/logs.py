"""``OrderFilled`` logs of the exchange contracts: one for every side of every match.

The filter asks for logs whose *maker* is a followed wallet. That hears both roles, because a
taker's own order is logged too, with the exchange as its counterparty. A log names the token and
the amounts; which market the token belongs to has to be known already.

Source: the contracts named in docs.polymarket.com/migrate/polymarket-v2/contract-integrations
(2026-11-22); ethereum.org/en/developers/docs/apis/json-rpc for the shape of a log.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from polybot.adapters.polymarket.contracts import KNOWN_DOMAINS
from polybot.adapters.polymarket.wire.strict import quote
from polybot.domain.leaders import FeedSource, LeaderAddress, LeaderTrade
from polybot.domain.markets import ConditionId, OutcomeTokenId
from polybot.domain.money import MICRO, Shares, from_micro
from polybot.domain.orders import Side
from polybot.errors import DataError

MarketOfToken = Callable[[OutcomeTokenId], tuple[ConditionId, str] | None]
"""Returns a token's market and slug, ``None`` where it is not known."""

EXCHANGES: Final = tuple(domain.contract.lower() for domain in KNOWN_DOMAINS)
ORDER_FILLED: Final = "0xd543adfd945773f1a62f74f0ee55a5e3b9b1a28262980ba90b1a89f2ea84d8ee"
# side, token, maker amount, taker amount, fee, builder, metadata: 32 bytes each.
_DATA: Final = re.compile(r"0x[0-9a-fA-F]{448}", re.ASCII)
_WORD: Final = re.compile(r"0x[0-9a-fA-F]{64}", re.ASCII)
_QUANTITY: Final = re.compile(r"0x[0-9a-fA-F]{1,16}", re.ASCII)
_LARGEST_MICRO: Final = 10**15
_MAX_CLOCK_LEAD: Final = timedelta(seconds=60)
_EARLIEST_S: Final = 1_577_836_800


@dataclass(frozen=True, slots=True, kw_only=True)
class FilledLog:
    """One log, read."""

    trade: LeaderTrade
    log_index: int
    is_removed: bool
    """The chain took its block back."""


def log_filter(wallets: Iterable[LeaderAddress]) -> dict[str, object]:
    """Return the filter for ``eth_subscribe`` that hears of the wallets' fills."""
    makers = ["0x" + wallet[2:].rjust(64, "0") for wallet in wallets]
    return {"address": list(EXCHANGES), "topics": [ORDER_FILLED, None, makers]}


def read_log(
    log: object,
    *,
    wallets: frozenset[LeaderAddress],
    market_of: MarketOfToken,
    block_time: datetime | None,
    received_at: datetime,
) -> FilledLog:
    """Return the fill that a log tells of.

    Args:
        log: The decoded JSON of one log.
        wallets: Who is followed.
        market_of: Finds a token's market in memory.
        block_time: The block's second, where its header is known.
        received_at: When the log came.

    Raises:
        DataError: ``log-malformed``, ``log-not-asked`` (another contract, event or wallet) or
            ``token-unknown``.
    """
    if not isinstance(log, dict):
        raise DataError("a log is no object", reason="log-malformed")
    topics = log.get("topics")
    if not isinstance(topics, list) or len(topics) != 4:
        raise DataError("a log has no four topics", reason="log-malformed")
    maker = _word(topics[2])
    wallet = LeaderAddress(f"0x{maker:040x}")
    contract = str(log.get("address"))[:64].lower()
    if contract not in EXCHANGES or topics[0] != ORDER_FILLED or wallet not in wallets:
        raise DataError("a log is not one that was asked for", reason="log-not-asked")
    side, token, price, size = _fill(log.get("data"))
    market = market_of(token)
    if market is None:
        raise DataError(f"token belongs to no known market: {quote(token)}", reason="token-unknown")
    trade = LeaderTrade(
        leader=wallet,
        transaction_hash=f"0x{_word(log.get('transactionHash')):064x}",
        token_id=token,
        condition_id=market[0],
        slug=market[1],
        side=side,
        price=price,
        size=size,
        traded_at=_traded_at(log.get("blockTimestamp"), block_time, received_at),
        received_at=received_at,
        source=FeedSource.CHAIN,
    )
    return FilledLog(
        trade=trade,
        log_index=quantity(log.get("logIndex")),
        is_removed=log.get("removed") is True,
    )


def quantity(value: object) -> int:
    """Return a hexadecimal quantity of JSON-RPC, below 2⁶⁴."""
    if not isinstance(value, str) or not _QUANTITY.fullmatch(value):
        raise DataError(f"quantity is malformed: {quote(value)}", reason="log-malformed")
    return int(value, 16)


def _fill(data: object) -> tuple[Side, OutcomeTokenId, Decimal, Shares]:
    if not isinstance(data, str) or not _DATA.fullmatch(data):
        raise DataError("a log's data is malformed", reason="log-malformed")
    words = [int(data[at : at + 64], 16) for at in range(2, 2 + 4 * 64, 64)]
    side_code, token, maker_amount, taker_amount = words
    if side_code not in (0, 1) or token == 0:
        raise DataError("a log's side or token is impossible", reason="log-malformed")
    # Who buys gives USDC and takes shares; who sells gives shares.
    paid, got = (maker_amount, taker_amount) if side_code == 0 else (taker_amount, maker_amount)
    if not 0 < paid < got <= _LARGEST_MICRO:
        raise DataError("a log's amounts give no price inside (0, 1)", reason="log-malformed")
    price = (Decimal(paid) / Decimal(got)).quantize(MICRO, ROUND_HALF_EVEN)
    if not 0 < price < 1:
        raise DataError("a log's amounts give no price inside (0, 1)", reason="log-malformed")
    side = Side.BUY if side_code == 0 else Side.SELL
    return side, OutcomeTokenId(str(token)), price, Shares(from_micro(got))


def _traded_at(value: object, block_time: datetime | None, received_at: datetime) -> datetime:
    """Return the block's second; where nobody told it, the log itself is a block or two old."""
    if value is None:
        return block_time or received_at.replace(microsecond=0)
    seconds = quantity(value)
    if not _EARLIEST_S <= seconds <= (received_at + _MAX_CLOCK_LEAD).timestamp():
        raise DataError(f"a block's time is impossible: {seconds}", reason="log-malformed")
    return datetime.fromtimestamp(seconds, UTC)


def _word(value: object) -> int:
    if not isinstance(value, str) or not _WORD.fullmatch(value):
        raise DataError(f"a word is malformed: {quote(value)}", reason="log-malformed")
    return int(value, 16)
