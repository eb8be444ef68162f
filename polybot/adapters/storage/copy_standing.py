"""Everything that decides about a copy, read by one statement.

An order waits for each statement about as long as for ten look-ups inside of one.
"""

from typing import Any, Final, NamedTuple

from sqlalchemy import and_, exists, select

from polybot.accounting import AccountBooks, DayBooks
from polybot.adapters.storage.copy_tables import (
    LEADER_EVENTS,
    LEADER_HOLDINGS,
    LEADERS,
    LEASES,
)
from polybot.adapters.storage.intents import IS_WAITING, IntentBacklog
from polybot.adapters.storage.statements import Row, Statement, Transaction, parameter
from polybot.adapters.storage.totals import (
    ACCOUNT_AND_DAY,
    HAS_ANY,
    WITH_DAY,
    HasAny,
    account_in,
)
from polybot.domain.leaders import LeaderAddress, LeaderTrade, Lease
from polybot.domain.markets import Market
from polybot.domain.modes import TradingState

_UP: Final = LEADER_HOLDINGS.alias("up")
_DOWN: Final = LEADER_HOLDINGS.alias("down")
_LEADER: Final = ("id", "state", "state_reason", "open_spent", "day", "day_spent")
_OURS: Final = ("token_id", "our_size", "our_cost", "in_flight")
_LOOK: Final = Statement(
    select(
        *ACCOUNT_AND_DAY,
        *HAS_ANY,
        *(LEADERS.c[name].label(f"leader_{name}") for name in _LEADER),
        *(_UP.c[name].label(f"up_{name}") for name in _OURS),
        *(_DOWN.c[name].label(f"down_{name}") for name in _OURS),
        IS_WAITING,
        LEASES.c.epoch,
        LEASES.c.holder,
        exists().where(LEADER_EVENTS.c.key == parameter("key")).label("is_known"),
    ).select_from(
        WITH_DAY.outerjoin(LEADERS, LEADERS.c.address == parameter("address"))
        .outerjoin(_UP, and_(_UP.c.token_id == parameter("up"), _UP.c.leader_id == LEADERS.c.id))
        .outerjoin(
            _DOWN, and_(_DOWN.c.token_id == parameter("down"), _DOWN.c.leader_id == LEADERS.c.id)
        )
        .outerjoin(LEASES, LEASES.c.name == parameter("lease_name"))
    )
)
_HAS_AT: Final = len(ACCOUNT_AND_DAY)
_LEADER_AT: Final = _HAS_AT + len(HAS_ANY)
_UP_AT: Final = _LEADER_AT + len(_LEADER)
_DOWN_AT: Final = _UP_AT + len(_OURS)
_REST_AT: Final = _DOWN_AT + len(_OURS)


class Ours(NamedTuple):
    """What we hold of a token through a leader, and hold back for more [10⁻⁶]."""

    token_id: str
    our_size: int
    our_cost: int
    in_flight: int


class CopyStanding(NamedTuple):
    """What the ledger knows about a leader's trade and the order that would copy it."""

    address: LeaderAddress
    account: tuple[AccountBooks, DayBooks | None, TradingState]
    has: HasAny
    leader: dict[str, Any] | None
    """His row; ``None`` for a stranger."""
    ours: tuple[Ours, ...]
    """What we hold through him of the market's tokens."""
    is_lease_ours: bool
    is_known: bool
    """Whether the trade was recorded before."""


def look_before_copy(
    transaction: Transaction, trade: LeaderTrade, market: Market, lease: Lease
) -> CopyStanding:
    """Return what is known, inside the transaction that records the copy."""
    up, down = market.token_ids.values()
    values = {
        "condition_id": market.condition_id,
        "key": trade.key,
        "address": trade.leader,
        "up": up,
        "down": down,
        "lease_name": lease.name,
    }
    (row,) = transaction.rows(_LOOK, values)
    if row[_REST_AT]:
        IntentBacklog().clear(transaction)
        (row,) = transaction.rows(_LOOK, values)
    _, epoch, holder, is_known = row[_REST_AT:]
    held = (row[_UP_AT:_DOWN_AT], row[_DOWN_AT:_REST_AT])
    return CopyStanding(
        address=trade.leader,
        account=account_in(row[:_HAS_AT]),
        has=HasAny._make(row[_HAS_AT:_LEADER_AT]),
        leader=_named(_LEADER, row[_LEADER_AT:_UP_AT]),
        ours=tuple([Ours._make(one) for one in held if one[0]]),
        is_lease_ours=(epoch, holder) == (lease.epoch, lease.holder),
        is_known=bool(is_known),
    )


def _named(names: tuple[str, ...], row: Row) -> dict[str, Any] | None:
    return None if row[0] is None else dict(zip(names, row, strict=True))
