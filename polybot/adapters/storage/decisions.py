"""Decisions: one per key, claimed once, finished once."""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import RowMapping, insert, select, update

from polybot.adapters.storage.books import Store
from polybot.adapters.storage.columns import (
    clean_text,
    decimal_of,
    decimal_text,
    instant_at,
    json_of,
    json_text,
    micros_at,
)
from polybot.adapters.storage.outbox import insert_alert
from polybot.adapters.storage.statements import (
    Statement,
    Transaction,
    Values,
    constant,
    parameter,
    parameters,
)
from polybot.adapters.storage.tables import DECISIONS, MARKETS
from polybot.domain.alerts import Alert
from polybot.domain.decisions import BookSummary, Decision, Verdict
from polybot.domain.markets import ConditionId, Market, MarketWindow, Outcome
from polybot.domain.orders import DecisionKey, OrderId, RiskCheck
from polybot.domain.signals import Direction

IS_PENDING: Final = DECISIONS.c.verdict == constant(Verdict.PENDING.value)
"""Whether a decision is PENDING; in the words of the index over such decisions."""

_BY_KEY: Final = Statement(select(DECISIONS).where(DECISIONS.c.key == parameter("key")))
# Not by id alone: SQLite would rather read all decisions than sort the few of the index.
_PENDING: Final = Statement(
    select(DECISIONS).where(IS_PENDING).order_by(DECISIONS.c.decided_at, DECISIONS.c.id)
)
_INSERT: Final = Statement(
    insert(DECISIONS).values(
        parameters(column.name for column in DECISIONS.columns if column.name != "id")
    )
)
# The key tells strategy and window: they stay, and so do the indexes over them.
_REPLACE_PENDING: Final = Statement(
    update(DECISIONS)
    .where(DECISIONS.c.key == parameter("of_key"), IS_PENDING)
    .values(
        parameters(
            column.name
            for column in DECISIONS.columns
            if column.name not in ("id", "key", "strategy", "slug", "window_start_s")
        )
    )
)
_MARKET_FACTS: Final = ("question", "up_token_id", "down_token_id", "fee_rate", "fee_exponent")
_MARKET: Final = Statement(
    select(*(MARKETS.c[name] for name in _MARKET_FACTS)).where(
        MARKETS.c.condition_id == parameter("condition_id")
    )
)
_INSERT_MARKET: Final = Statement(
    insert(MARKETS).values(parameters(column.name for column in MARKETS.columns))
)
# A market never changes its window.
_RENEW_MARKET: Final = Statement(
    update(MARKETS)
    .where(MARKETS.c.condition_id == parameter("of_condition_id"))
    .values(parameters(_MARKET_FACTS))
)


class DecisionStore(Store):
    """The ledger's decisions."""

    def claim_decision(self, decision: Decision) -> Decision | None:
        """Record a PENDING decision, or return the one that already has its key."""
        if decision.verdict is not Verdict.PENDING:
            raise ValueError(f"only a pending decision can be claimed, was {decision.verdict}")
        with self._database.writing_lean() as transaction:
            existing = load_decision(transaction, decision.key)
            if existing is not None:
                return existing
            transaction.change(_INSERT, _columns_of(decision))
            _remember_window(transaction, decision)
        return None

    def finish_decision(self, decision: Decision, *, alert: Alert | None = None) -> bool:
        """Replace a PENDING decision by its final form; ``False`` where it was final already.

        A decision that nobody claimed is recorded as it is. The alert goes into the outbox in
        the same transaction, and only when the decision was replaced.
        """
        if decision.verdict is Verdict.PENDING:
            raise ValueError(f"decision {decision.key} has no final verdict")
        with self._database.writing_lean() as transaction:
            if not replace_pending(transaction, decision):
                if load_decision(transaction, decision.key) is not None:
                    return False
                transaction.change(_INSERT, _columns_of(decision))
            _remember_window(transaction, decision)
            if alert is not None:
                insert_alert(transaction, alert, at_micros=micros_at(decision.decided_at))
        return True

    def decision(self, key: DecisionKey) -> Decision | None:
        """Return the decision with a key."""
        with self._database.reading_lean() as transaction:
            return load_decision(transaction, key)

    def pending_decisions(self) -> tuple[Decision, ...]:
        """Return decisions that a run claimed and has not finished, oldest first."""
        with self._database.reading_lean() as transaction:
            return tuple(decision_of(row) for row in _PENDING.named_rows(transaction))

    def decisions_between(self, start: datetime, end: datetime) -> tuple[Decision, ...]:
        """Return decisions for windows that start in ``[start, end)``, oldest first."""
        first, last = (-(-micros_at(at) // 1_000_000) for at in (start, end))
        with self._database.reading() as connection:
            rows = connection.execute(
                select(DECISIONS)
                .where(
                    DECISIONS.c.window_start_s >= first,
                    DECISIONS.c.window_start_s < last,
                )
                .order_by(DECISIONS.c.window_start_s, DECISIONS.c.id)
            ).mappings()
            return tuple(decision_of(row) for row in rows)


def load_decision(transaction: Transaction, key: str) -> Decision | None:
    """Return the decision with a key, inside a transaction."""
    found = transaction.rows(_BY_KEY, {"key": key})
    return decision_of(_BY_KEY.named(found[0])) if found else None


def replace_pending(transaction: Transaction, decision: Decision) -> bool:
    """Replace a PENDING decision; ``False`` where none is pending under the key."""
    values = _changing_columns(decision)
    values["of_key"] = decision.key
    return transaction.change(_REPLACE_PENDING, values) == 1


def place_decision(transaction: Transaction, decision: Decision, order_id: OrderId) -> bool:
    """Finish a PENDING decision as PLACED with its order."""
    values = _changing_columns(decision)
    values["of_key"] = decision.key
    values["verdict"] = Verdict.PLACED.value
    values["order_id"] = order_id
    return transaction.change(_REPLACE_PENDING, values) == 1


def insert_decision(
    transaction: Transaction,
    decision: Decision,
    *,
    verdict: Verdict,
    order_id: OrderId | None,
) -> None:
    """Record a decision that nobody claimed, with what came of it."""
    values = _columns_of(decision)
    values["verdict"] = verdict.value
    values["order_id"] = order_id
    transaction.change(_INSERT, values)


def remember_market(transaction: Transaction, market: Market) -> None:
    """Keep what settling and explaining needs once the venue has delisted the market.

    Args:
        transaction: The one that books an order.
        market: As the venue told it when the order was made.
    """
    found = transaction.rows(_MARKET, {"condition_id": market.condition_id})
    facts = {
        "question": clean_text(market.question),
        "up_token_id": market.token_ids[Outcome.UP],
        "down_token_id": market.token_ids[Outcome.DOWN],
        "fee_rate": decimal_text(market.fees.rate),
        "fee_exponent": market.fees.exponent,
    }
    if not found:
        _insert_market(transaction, market.condition_id, market.window, facts)
    elif found[0] != tuple(facts.values()):
        transaction.change(_RENEW_MARKET, {**facts, "of_condition_id": market.condition_id})


def _remember_window(transaction: Transaction, decision: Decision) -> None:
    condition_id = decision.condition_id
    if condition_id is None or transaction.rows(_MARKET, {"condition_id": condition_id}):
        return
    facts = {**dict.fromkeys(_MARKET_FACTS), "question": clean_text(decision.question)}
    _insert_market(transaction, condition_id, decision.window, facts)


def _insert_market(
    transaction: Transaction, condition_id: str, window: MarketWindow, facts: Values
) -> None:
    transaction.change(
        _INSERT_MARKET,
        {
            **facts,
            "condition_id": condition_id,
            "slug": window.slug,
            "window_start_s": window.start_s,
        },
    )


def _columns_of(decision: Decision) -> dict[str, Any]:
    return {
        "key": decision.key,
        "strategy": decision.strategy,
        "slug": decision.window.slug,
        "window_start_s": decision.window.start_s,
        **_changing_columns(decision),
    }


def _changing_columns(decision: Decision) -> dict[str, Any]:
    return {
        "verdict": decision.verdict.value,
        "reason": clean_text(decision.reason),
        "decided_at": micros_at(decision.decided_at),
        "run_name": clean_text(decision.run_name),
        "direction": None if decision.direction is None else decision.direction.value,
        "signal_reason": clean_text(decision.signal_reason),
        "condition_id": decision.condition_id,
        "question": clean_text(decision.question),
        "order_id": decision.order_id,
        "indicators": json_text(decision.indicators),
        "checks": json_text([[c.name, c.passed, c.detail] for c in decision.checks]),
        "book": json_text(_summary_of(decision.book)),
        "price_to_beat": decimal_text(decision.price_to_beat),
    }


def _summary_of(book: BookSummary | None) -> dict[str, str | None] | None:
    if book is None:
        return None
    return {
        "best_bid": decimal_text(book.best_bid),
        "best_ask": decimal_text(book.best_ask),
        "spread": decimal_text(book.spread),
        "ask_depth_usdc": decimal_text(book.ask_depth_usdc),
    }


def decision_of(row: RowMapping | Values) -> Decision:
    """Return the decision of a row."""
    return Decision(
        key=DecisionKey(row["key"]),
        strategy=row["strategy"],
        window=MarketWindow.parse_slug(row["slug"]),
        verdict=Verdict(row["verdict"]),
        reason=row["reason"],
        decided_at=instant_at(row["decided_at"]),
        run_name=row["run_name"],
        direction=None if row["direction"] is None else Direction(row["direction"]),
        signal_reason=row["signal_reason"],
        condition_id=None if row["condition_id"] is None else ConditionId(row["condition_id"]),
        question=row["question"],
        order_id=None if row["order_id"] is None else OrderId(row["order_id"]),
        indicators=json_of(row["indicators"]),
        checks=tuple(
            RiskCheck(name=name, passed=passed, detail=detail)
            for name, passed, detail in json_of(row["checks"])
        ),
        book=_book_of(json_of(row["book"])),
        price_to_beat=decimal_of(row["price_to_beat"]),
    )


def _book_of(stored: dict[str, str | None] | None) -> BookSummary | None:
    if stored is None:
        return None
    depth = decimal_of(stored["ask_depth_usdc"])
    if depth is None:
        raise ValueError("a stored book summary must have its depth")
    return BookSummary(
        best_bid=decimal_of(stored["best_bid"]),
        best_ask=decimal_of(stored["best_ask"]),
        spread=decimal_of(stored["spread"]),
        ask_depth_usdc=depth,
    )
