"""What leaders do without trading, and trades of theirs that never came to be."""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import select, update

from polybot.adapters.storage.books import Store
from polybot.adapters.storage.columns import micros_at, micros_down
from polybot.adapters.storage.copy_books import (
    LIVE,
    TokenOfMarket,
    begin_holding,
    load_holding,
    store_holding,
    tokens_of_market,
)
from polybot.adapters.storage.copy_events import (
    TRADE,
    holds_lease,
    insert_conversion,
    look_at_leader,
)
from polybot.adapters.storage.copy_tables import LEADER_EVENTS, LEADER_HOLDINGS
from polybot.adapters.storage.outbox import insert_alert
from polybot.adapters.storage.statements import (
    Statement,
    Transaction,
    Values,
    constant,
    parameter,
)
from polybot.domain.alerts import Alert
from polybot.domain.leaders import (
    ConversionKind,
    CopyAnswer,
    CopyRecorded,
    LeaderConversion,
    LeaderTradeKey,
    Lease,
)
from polybot.domain.orders import RiskCheck, Side

_HELD_IN: Final = Statement(
    select(LEADER_HOLDINGS.c.token_id)
    .where(
        LEADER_HOLDINGS.c.leader_id == parameter("leader_id"),
        LEADER_HOLDINGS.c.condition_id == parameter("condition_id"),
        LIVE,
    )
    .order_by(LEADER_HOLDINGS.c.token_id)
)
_BY_KEY: Final = Statement(select(LEADER_EVENTS).where(LEADER_EVENTS.c.key == parameter("key")))
_VOID: Final = Statement(
    update(LEADER_EVENTS).where(LEADER_EVENTS.c.id == parameter("of_id")).values(is_voided=1)
)
_REDEEMED_SINCE: Final = Statement(
    select(LEADER_EVENTS.c.token_id).where(
        LEADER_EVENTS.c.leader_id == parameter("leader_id"),
        LEADER_EVENTS.c.condition_id == parameter("condition_id"),
        LEADER_EVENTS.c.kind != constant(TRADE),
        LEADER_EVENTS.c.kind == constant(ConversionKind.REDEEM.value),
        LEADER_EVENTS.c.id > parameter("event_id"),
    )
)


class ConversionStore(Store):
    """The ledger's conversions and voided trades."""

    def record_conversion(
        self, conversion: LeaderConversion, *, reason: str, lease: Lease
    ) -> CopyRecorded:
        """Record a conversion and change the leader's holdings by it.

        A merge takes of every token of the market that he is known to hold, a redemption all of
        them; a split gives to both tokens, where the ledger knows the market.
        """
        with self._database.writing_lean() as transaction:
            if not holds_lease(transaction, lease):
                return CopyRecorded(answer=CopyAnswer.LEASE_LOST)
            leader = look_at_leader(transaction, conversion.leader, conversion.key)
            if leader is None:
                detail = f"wallet {conversion.leader} is not followed"
                check = RiskCheck(name="leader-state", passed=False, detail=detail)
                return CopyRecorded(answer=CopyAnswer.REFUSED, failed=(check,))
            if leader["is_known"]:
                return CopyRecorded(answer=CopyAnswer.ALREADY_SEEN)
            tokens = _tokens_changed(transaction, leader["id"], conversion)
            insert_conversion(transaction, leader["id"], conversion, tokens=tokens, reason=reason)
            size = micros_down(conversion.size)
            for token_id in tokens:
                holding = _holding(transaction, leader["id"], conversion, token_id)
                holding["leader_size"] = converted(conversion.kind, holding["leader_size"], size)
                store_holding(transaction, holding)
        return CopyRecorded(answer=CopyAnswer.RECORDED)

    def void_leader_trade(self, key: LeaderTradeKey, *, at: datetime, alert: Alert) -> bool:
        """Flag a trade that FAILED after it was recorded; ``False`` where that is known.

        What the leader holds is as if it had never been; what we bought stays.
        """
        with self._database.writing_lean() as transaction:
            found = _BY_KEY.named_rows(transaction, {"key": key})
            if not found or found[0]["is_voided"] or found[0]["kind"] != TRADE:
                return False
            (event,) = found
            transaction.change(_VOID, {"of_id": event["id"]})
            if not event["follows_conversion"]:
                _take_back(transaction, event)
            insert_alert(transaction, alert, at_micros=micros_at(at))
        return True


def converted(kind: str, held: int, size: int) -> int:
    """Return what a leader holds of a token after a conversion of so many shares."""
    match kind:
        case ConversionKind.SPLIT:
            return held + size
        case ConversionKind.MERGE:
            return held - size
        case ConversionKind.REDEEM:
            return 0
        case _:
            return held


def _tokens_changed(
    transaction: Transaction, leader_id: int, conversion: LeaderConversion
) -> tuple[str, ...]:
    if conversion.kind is ConversionKind.CONVERSION:
        return ()
    key = {"leader_id": leader_id, "condition_id": conversion.condition_id}
    held = tuple(token_id for (token_id,) in transaction.rows(_HELD_IN, key))
    if conversion.kind is not ConversionKind.SPLIT:
        return held
    known = tokens_of_market(transaction, conversion.condition_id)
    return tuple(dict.fromkeys((*held, *known)))


def _holding(
    transaction: Transaction, leader_id: int, conversion: LeaderConversion, token_id: str
) -> dict[str, Any]:
    token = TokenOfMarket(
        token_id=token_id,
        condition_id=conversion.condition_id,
        slug=conversion.slug,
        seen_at=micros_at(conversion.happened_at),
    )
    return load_holding(transaction, leader_id, token_id) or begin_holding(
        transaction, leader_id, token
    )


def _take_back(transaction: Transaction, event: Values) -> None:
    leader_id, token_id = event["leader_id"], event["token_id"]
    holding = load_holding(transaction, leader_id, token_id)
    redeemed = transaction.rows(
        _REDEEMED_SINCE,
        {
            "leader_id": leader_id,
            "condition_id": event["condition_id"],
            "event_id": event["id"],
        },
    )
    # Whatever the venue said afterwards, or a redemption left, has the failure in it already.
    if (
        holding is None
        or event["id"] <= holding["seeded_after"]
        or any(token_id in tokens.split() for (tokens,) in redeemed)
    ):
        return
    sign = -1 if event["side"] == Side.BUY else 1
    holding["leader_size"] += sign * event["size"]
    store_holding(transaction, holding)
