"""Lets SQL of the tests' own see orders that are durable and not booked yet.

The product books an intent with the next transaction; whoever reads the file in between sees one
row of ``intents``. These views shadow the tables that booking it would change, for one connection
and in memory, by what the row itself says and without any of the product's code.
"""

from typing import Any, Final

_MICRO = "CAST(round(json_extract(body, '$.prepared.order.{}') * 1000000) AS INTEGER)"
_VIEWS: Final = f"""
CREATE TEMP VIEW orders AS
SELECT id, order_id, decision_key, condition_id, token_id, outcome, side, limit_price, size,
       budget, max_outlay, reserved, filled_size, filled_cost, fee, status, reason, created_at,
       updated_at, day, is_counted, leader_id
  FROM main.orders
UNION ALL
SELECT id + 1000000000, order_id, decision_key, condition_id,
       json_extract(body, '$.prepared.wire.token_id'),
       json_extract(body, '$.prepared.order.outcome'),
       json_extract(body, '$.prepared.order.side'), {_MICRO.format("limit_price")},
       {_MICRO.format("size")}, {_MICRO.format("budget_usdc")}, outlay, outlay, 0, 0, 0, 'sending',
       '', created_at, created_at, created_at / 86400000000, 1, NULL
  FROM main.intents;
CREATE TEMP VIEW account AS
SELECT id, mode, cash, reserved + (SELECT coalesce(sum(outlay), 0) FROM main.intents) AS reserved,
       position_cost, position_value, realised, fees, deposits, high_water, day, trading_state
  FROM main.account;
CREATE TEMP VIEW days AS
SELECT day, opening_equity, trade_count + (
         SELECT count(*) FROM main.intents WHERE created_at / 86400000000 = main.days.day
       ) AS trade_count, realised, fees
  FROM main.days;
"""


def show_unbooked(connection: Any) -> None:
    """Show a ledger's connection what its unbooked intents mean."""
    connection.executescript(_VIEWS)
