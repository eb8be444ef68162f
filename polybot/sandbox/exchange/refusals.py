"""The venue's words for no, literally as live answers gave them.

Source: public logs of live bots and docs.polymarket.com/resources/error-codes (2026-11-22).
"""

from typing import Final

NO_BALANCE: Final = "not enough balance / allowance"
INVALID_PAYLOAD: Final = "Invalid order payload"
INVALID_SIGNATURE: Final = "invalid signature"
VERSION_MISMATCH: Final = "order_version_mismatch"
WRONG_OWNER: Final = "the order owner has to be the owner of the API KEY"
WRONG_SIGNER: Final = "the order signer address has to be the address of the API KEY"
WRONG_MAKER: Final = "maker address not allowed, please use the deposit wallet flow"
INVALID_EXPIRATION: Final = "invalid expiration"
NOT_READY: Final = "the market is not yet ready to process new orders"
FOK_KILLED: Final = "order couldn't be fully filled. FOK orders are fully filled or killed."
FAK_KILLED: Final = (
    "no orders found to match with FAK order. "
    "FAK orders are partially filled or killed if no match is found."
)
CROSSES: Final = "invalid post-only order: order crosses book"
POST_ONLY_TYPE: Final = "invalid post-only order: only GTC and GTD orders can be post-only"
NO_BOOK: Final = "No orderbook exists for the requested token id"
UNAUTHORIZED: Final = "Unauthorized/Invalid api key"
INVALID_L1: Final = "Invalid L1 Request headers"
NO_SUCH_KEY: Final = "Could not derive api key!"
RESTARTING: Final = "matching engine is restarting"
POST_ONLY_MODE: Final = "post-only mode: only post-only orders and cancels are allowed"
CANCEL_ONLY: Final = "Trading is currently cancel-only. New orders are not accepted."
DISABLED: Final = "Trading is currently disabled"
BUY_ACCURACY: Final = (
    "invalid amounts, the market buy orders maker amount supports a max accuracy of 2 decimals, "
    "taker amount a max of {taker} decimals"
)
SELL_ACCURACY: Final = (
    "invalid amounts, the market sell orders maker amount supports a max accuracy of 2 decimals, "
    "taker amount a max of {taker} decimals"
)
NOT_CANCELLABLE: Final = "order can't be found - already canceled or matched"
HELD: Final = "order is delayed and cannot be canceled"


class VenueRefusalError(Exception):
    """Report what the venue answers instead of doing what was asked."""

    def __init__(self, message: str, status: int = 400, **fields: object) -> None:
        """Take the error text, the HTTP status and further fields of the body."""
        super().__init__(message)
        self.status = status
        self.body: dict[str, object] = {"error": message, **fields}


def invalid_order(order_id: str, why: str) -> VenueRefusalError:
    """Return the refusal that names the order: ``order 0x… is invalid. …``."""
    return VenueRefusalError(f"order {order_id} is invalid. {why}")
