"""Orders as they arrive: strict parsing of ``POST /order``.

Source: docs.polymarket.com/api-reference/trade/post-a-new-order; a body produced by the official
client (both 2026-11-22).
"""

import re
from typing import Any, Final, Literal

import msgspec

from polybot.sandbox.exchange import refusals
from polybot.sandbox.exchange.auth import is_address
from polybot.sandbox.exchange.refusals import VenueRefusalError

_BYTES32: Final = re.compile(r"0x[0-9a-fA-F]{64}", re.ASCII)
_SIGNATURE: Final = re.compile(r"0x(?:[0-9a-fA-F]{2}){65,1024}", re.ASCII)
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,77}", re.ASCII)
_UINT256: Final = 1 << 256
MAX_BATCH: Final = 15


class SentOrder(msgspec.Struct, frozen=True):
    """The signed order of a submission, texts as they came."""

    salt: int
    maker: str
    signer: str
    tokenId: str  # noqa: N815 - the venue's spelling
    makerAmount: str  # noqa: N815
    takerAmount: str  # noqa: N815
    side: Literal["BUY", "SELL"]
    signatureType: int  # noqa: N815
    timestamp: str
    signature: str
    expiration: str = "0"
    metadata: str = "0x" + 64 * "0"
    builder: str = "0x" + 64 * "0"

    @property
    def maker_amount(self) -> int:
        """What the order gives at most [base units]."""
        return int(self.makerAmount)

    @property
    def taker_amount(self) -> int:
        """What it wants for that [base units]."""
        return int(self.takerAmount)

    @property
    def is_buy(self) -> bool:
        """Whether it gives pUSD."""
        return self.side == "BUY"

    @property
    def message(self) -> dict[str, Any]:
        """The EIP-712 struct."""
        return {
            "salt": self.salt,
            "maker": self.maker,
            "signer": self.signer,
            "tokenId": int(self.tokenId),
            "makerAmount": self.maker_amount,
            "takerAmount": self.taker_amount,
            "side": 0 if self.is_buy else 1,
            "signatureType": self.signatureType,
            "timestamp": int(self.timestamp),
            "metadata": bytes.fromhex(self.metadata[2:]),
            "builder": bytes.fromhex(self.builder[2:]),
        }


class Submission(msgspec.Struct, frozen=True):
    """One order and how it is to be worked."""

    order: SentOrder
    owner: str
    orderType: Literal["GTC", "GTD", "FOK", "FAK"]  # noqa: N815
    postOnly: bool = False  # noqa: N815
    deferExec: bool = False  # noqa: N815

    @property
    def rests(self) -> bool:
        """Whether an unfilled rest stays in the book."""
        return self.orderType in ("GTC", "GTD")


def parse_submission(body: bytes) -> Submission:
    """Return the order of a body.

    Raises:
        VenueRefusalError: It is malformed.
    """
    return _checked(_decode(body, Submission))


def parse_submissions(body: bytes) -> list[Submission]:
    """Return the orders of a batch.

    Raises:
        VenueRefusalError: It is malformed or too long.
    """
    found = _decode(body, list[Submission])
    if not 1 <= len(found) <= MAX_BATCH:
        raise VenueRefusalError(f"a batch has 1 to {MAX_BATCH} orders, was {len(found)}")
    return [_checked(each) for each in found]


def _decode(body: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise VenueRefusalError(refusals.INVALID_PAYLOAD) from error


def _checked(found: Submission) -> Submission:
    order = found.order
    numbers = (
        order.tokenId,
        order.makerAmount,
        order.takerAmount,
        order.timestamp,
        order.expiration,
    )
    is_sound = (
        all(_NUMBER.fullmatch(number) and int(number) < _UINT256 for number in numbers)
        and 0 <= order.salt < _UINT256
        and 0 <= order.signatureType <= 3
        and order.maker_amount > 0
        and order.taker_amount > 0
        and is_address(order.maker)
        and is_address(order.signer)
        and _BYTES32.fullmatch(order.metadata)
        and _BYTES32.fullmatch(order.builder)
        and _SIGNATURE.fullmatch(order.signature)
    )
    if not is_sound:
        raise VenueRefusalError(refusals.INVALID_PAYLOAD)
    return found
