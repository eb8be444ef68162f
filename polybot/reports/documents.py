"""A reconciliation as JSON: what the ledger keeps of it and what ``--json`` prints."""

from decimal import Decimal
from typing import Any

from polybot.domain.money import text_of
from polybot.domain.reconciliation import Reconciliation


def reconciliation_document(found: Reconciliation) -> dict[str, Any]:
    """Return a reconciliation as JSON shows it: amounts as decimal text, instants in ISO 8601."""
    return {
        "verdict": found.verdict.value,
        "allows_trading": found.verdict.allows_trading,
        "started_at": found.started_at.isoformat(),
        "passes": found.passes,
        "asked_count": found.asked_count,
        "new_fills": [_key_of(fill.trade_id, fill.order_id, fill.leg) for fill in found.new_fills],
        "voided_fills": [
            _key_of(fill.trade_id, fill.order_id, fill.leg) for fill in found.voided_fills
        ],
        "closed": list(found.closed),
        "foreign_orders": [
            {
                "order_id": order.order_id,
                "condition_id": order.condition_id,
                "token_id": order.token_id,
                "side": order.side.value,
                "price": text_of(order.price),
                "size": text_of(order.size),
            }
            for order in found.foreign_orders
        ],
        "foreign_trades": [
            _key_of(trade.trade_id, trade.order_id, trade.leg) for trade in found.foreign_trades
        ],
        "fee_adjustment_usdc": text_of(found.fee_adjustment_usdc),
        "transferred_usdc": text_of(found.transferred_usdc),
        "accepted_shares": list(found.accepted_shares),
        "expected_cash_usdc": _maybe_text(found.expected_cash_usdc),
        "venue_cash_usdc": _maybe_text(found.venue_cash_usdc),
        "waiting": list(found.waiting),
        "problems": list(found.problems),
        "differences": list(found.differences),
    }


def _key_of(trade_id: str, order_id: str, leg: int) -> dict[str, str | int]:
    return {"trade_id": trade_id, "order_id": order_id, "leg": leg}


def _maybe_text(value: Decimal | None) -> str | None:
    return None if value is None else text_of(value)
