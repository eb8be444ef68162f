"""Looking back at leaders: what they hold, what was spent through them, what became of it all."""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import Select, func, or_, select

from polybot.adapters.storage.books import Store
from polybot.adapters.storage.columns import (
    day_number,
    instant_at,
    micros_at,
    shares_of,
    usdc_of,
    utc_day,
)
from polybot.adapters.storage.copy_books import LIVE
from polybot.adapters.storage.copy_events import TRADE, record_of
from polybot.adapters.storage.copy_tables import LEADER_EVENTS, LEADER_HOLDINGS, LEADERS
from polybot.adapters.storage.statements import Statement, Values, constant, parameter
from polybot.adapters.storage.tables import ORDERS
from polybot.domain.leaders import (
    CopyRecord,
    LeaderAddress,
    LeaderHolding,
    LeaderSpending,
    LeaderTradeKey,
)
from polybot.domain.markets import ConditionId, OutcomeTokenId
from polybot.domain.money import ZERO_USDC, Usdc
from polybot.domain.orders import Side

_SEEN: Final = Statement(
    select(LEADER_EVENTS.c.key)
    .join(LEADERS, LEADERS.c.id == LEADER_EVENTS.c.leader_id)
    .where(
        LEADERS.c.address == parameter("address"),
        LEADER_EVENTS.c.happened_at >= parameter("since"),
    )
)
_HELD: Final = ("leader_size", "our_size", "our_cost", "in_flight", "pending", "pending_size")
_WITH_ADDRESS: Final = (
    select(LEADER_HOLDINGS, LEADERS.c.address)
    .join(LEADERS, LEADERS.c.id == LEADER_HOLDINGS.c.leader_id)
    .where(LIVE, or_(*(LEADER_HOLDINGS.c[name] > 0 for name in _HELD)))
    .order_by(LEADER_HOLDINGS.c.id)
)
_ALL_HOLDINGS: Final = Statement(_WITH_ADDRESS)
_HOLDINGS_OF: Final = Statement(_WITH_ADDRESS.where(LEADERS.c.address == parameter("address")))
_LEADER: Final = Statement(
    select(LEADERS.c.id, LEADERS.c.open_spent, LEADERS.c.day, LEADERS.c.day_spent).where(
        LEADERS.c.address == parameter("address")
    )
)
# Only for a day that is over: today's is a running total.
_SPENT_ON: Final = Statement(
    select(
        func.coalesce(func.sum(ORDERS.c.reserved + ORDERS.c.filled_cost + ORDERS.c.fee), 0).label(
            "spent"
        )
    ).where(
        ORDERS.c.leader_id == parameter("leader_id"),
        ORDERS.c.day == parameter("day"),
        ORDERS.c.side == constant(Side.BUY.value),
    )
)


class CopyHistoryStore(Store):
    """The ledger's view of leaders."""

    def seen_keys(self, address: LeaderAddress, *, since: datetime) -> frozenset[LeaderTradeKey]:
        """Return the keys of trades and conversions that happened since an instant."""
        key = {"address": address, "since": micros_at(since)}
        with self._database.reading_lean() as transaction:
            return frozenset(LeaderTradeKey(found) for (found,) in transaction.rows(_SEEN, key))

    def holdings(self, address: LeaderAddress | None = None) -> tuple[LeaderHolding, ...]:
        """Return what leaders hold and we through them, in markets that are not over.

        A market is over once we have settled it, or two days after its window where nothing of
        ours is left in it.
        """
        with self._database.reading_lean() as transaction:
            if address is None:
                rows = _ALL_HOLDINGS.named_rows(transaction)
            else:
                rows = _HOLDINGS_OF.named_rows(transaction, {"address": address})
        return tuple(_holding_of(row) for row in rows)

    def spending(self, address: LeaderAddress, *, at: datetime) -> LeaderSpending:
        """Return a leader's running totals; zeros for a stranger."""
        day = day_number(utc_day(at))
        with self._database.reading_lean() as transaction:
            found = transaction.rows(_LEADER, {"address": address})
            if not found:
                return LeaderSpending(leader=address, day_usdc=ZERO_USDC, open_usdc=ZERO_USDC)
            ((leader_id, open_spent, stored_day, day_spent),) = found
            if day != stored_day:
                ((day_spent,),) = (
                    transaction.rows(_SPENT_ON, {"leader_id": leader_id, "day": day})
                    if day < stored_day
                    else [(0,)]
                )
            held = _HOLDINGS_OF.named_rows(transaction, {"address": address})
        markets: dict[ConditionId, int] = {}
        for row in held:
            condition_id = ConditionId(row["condition_id"])
            markets[condition_id] = (
                markets.get(condition_id, 0) + row["our_cost"] + row["in_flight"]
            )
        return LeaderSpending(
            leader=address,
            day_usdc=usdc_of(int(day_spent)),
            open_usdc=usdc_of(open_spent),
            market_usdc={key: usdc_of(spent) for key, spent in markets.items() if spent},
        )

    def copy_log(
        self,
        *,
        address: LeaderAddress | None = None,
        since: datetime | None = None,
        limit: int | None = None,
    ) -> tuple[CopyRecord, ...]:
        """Return recorded leader trades, newest first: by when they were recorded.

        Args:
            address: Only this leader's.
            since: Only trades that happened at or after this instant.
            limit: Only the newest so many.
        """
        query = (
            select(LEADER_EVENTS, LEADERS.c.address)
            .join(LEADERS, LEADERS.c.id == LEADER_EVENTS.c.leader_id)
            .where(LEADER_EVENTS.c.kind == TRADE)
            .order_by(LEADER_EVENTS.c.id.desc())
        )
        query = _limited(query, address=address, since=since)
        if limit is not None:
            query = query.limit(limit)
        with self._database.reading() as connection:
            return tuple(record_of(row) for row in connection.execute(query).mappings())

    def copy_counts(self, *, since: datetime | None = None) -> dict[tuple[str, str, str], int]:
        """Return how many trades were recorded by (leader, verdict, reason code).

        Args:
            since: Only trades that happened at or after this instant; without it, all of the
                history is counted, which takes as long as it is.
        """
        columns = (LEADERS.c.address, LEADER_EVENTS.c.verdict, LEADER_EVENTS.c.reason_code)
        query = (
            select(*columns, func.count())
            .join(LEADERS, LEADERS.c.id == LEADER_EVENTS.c.leader_id)
            .where(LEADER_EVENTS.c.kind == TRADE)
            .group_by(*columns)
        )
        query = _limited(query, address=None, since=since)
        with self._database.reading() as connection:
            rows = connection.execute(query).tuples()
            return {(address, verdict, code): int(count) for address, verdict, code, count in rows}


def _limited(
    query: Select[Any], *, address: LeaderAddress | None, since: datetime | None
) -> Select[Any]:
    if address is not None:
        query = query.where(LEADERS.c.address == address)
    if since is not None:
        query = query.where(LEADER_EVENTS.c.happened_at >= micros_at(since))
    return query


def _holding_of(row: Values) -> LeaderHolding:
    since = row["pending_since"]
    return LeaderHolding(
        leader=LeaderAddress(row["address"]),
        token_id=OutcomeTokenId(row["token_id"]),
        condition_id=ConditionId(row["condition_id"]),
        slug=row["slug"],
        leader_size=shares_of(max(row["leader_size"], 0)),
        our_size=shares_of(max(row["our_size"], 0)),
        our_cost_usdc=usdc_of(row["our_cost"]),
        in_flight_usdc=usdc_of(row["in_flight"]),
        pending_usdc=Usdc(usdc_of(row["pending"])),
        pending_size=shares_of(row["pending_size"]),
        pending_since=None if since is None else instant_at(since),
    )
