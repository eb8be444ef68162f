"""Pure parsing of what the venue sends: bytes in, domain types out, nothing fetched.

Every ``parse_*`` function either returns a value that holds or raises ``DataError``. Its message
never carries more of the input than a short escaped piece.
"""

from polybot.adapters.polymarket.wire.balances import Balance, parse_balance, parse_closed_only
from polybot.adapters.polymarket.wire.books import parse_book
from polybot.adapters.polymarket.wire.markets import (
    ClobMarket,
    GammaMarket,
    build_market,
    parse_clob_market,
    parse_gamma_market,
)
from polybot.adapters.polymarket.wire.orders import (
    OrderPage,
    parse_cancellation,
    parse_order,
    parse_order_page,
)
from polybot.adapters.polymarket.wire.own_trades import OwnTradePage, parse_own_trade_page
from polybot.adapters.polymarket.wire.redeemable import RedeemablePage, parse_redeemable_page
from polybot.adapters.polymarket.wire.resolutions import (
    DataResolution,
    GammaResolution,
    agree_on_resolution,
    parse_data_resolution,
    parse_gamma_resolution,
)
from polybot.adapters.polymarket.wire.strict import parse_server_time
from polybot.adapters.polymarket.wire.trades import TradePage, parse_trade_page

__all__ = [
    "Balance",
    "ClobMarket",
    "DataResolution",
    "GammaMarket",
    "GammaResolution",
    "OrderPage",
    "OwnTradePage",
    "RedeemablePage",
    "TradePage",
    "agree_on_resolution",
    "build_market",
    "parse_balance",
    "parse_book",
    "parse_cancellation",
    "parse_clob_market",
    "parse_closed_only",
    "parse_data_resolution",
    "parse_gamma_market",
    "parse_gamma_resolution",
    "parse_order",
    "parse_order_page",
    "parse_own_trade_page",
    "parse_redeemable_page",
    "parse_server_time",
    "parse_trade_page",
]
