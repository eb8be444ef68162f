"""Whom we follow, by which policy, and what they held before."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import func, insert, select, update

from polybot.adapters.storage.books import Store
from polybot.adapters.storage.columns import (
    clean_text,
    instant_at,
    json_text,
    micros_at,
    micros_down,
)
from polybot.adapters.storage.copy_books import (
    LIVE,
    TokenOfMarket,
    last_event,
    load_holding,
    new_holding,
    store_holding,
)
from polybot.adapters.storage.copy_tables import LEADER_HOLDINGS, LEADERS
from polybot.adapters.storage.outbox import insert_alert
from polybot.adapters.storage.statements import (
    Statement,
    Transaction,
    Values,
    constant,
    parameter,
    parameters,
)
from polybot.domain.alerts import Alert
from polybot.domain.leaders import (
    CopyPolicy,
    Leader,
    LeaderAddress,
    LeaderPosition,
    LeaderState,
)

# The venue settles a market within hours of its end; what a leader never redeems is worth nothing.
_OVER_AFTER: Final = 2 * 86_400_000_000

_IS_FOLLOWED: Final = LEADERS.c.state != constant(LeaderState.REMOVED.value)
_BY_ADDRESS: Final = Statement(select(LEADERS).where(LEADERS.c.address == parameter("address")))
_FOLLOWED: Final = Statement(select(LEADERS).where(_IS_FOLLOWED).order_by(LEADERS.c.id))
_VERSION: Final = Statement(select(func.coalesce(func.max(LEADERS.c.version), 0).label("version")))
_INSERT: Final = Statement(
    insert(LEADERS).values(
        parameters(column.name for column in LEADERS.columns if column.name != "id")
    )
)
_TOLD: Final = ("name", "policy", "state", "state_reason", "added_at", "watermark", "version")
_REPLACE: Final = Statement(
    update(LEADERS).where(LEADERS.c.id == parameter("of_id")).values(parameters(_TOLD))
)
_WATERMARK: Final = Statement(
    update(LEADERS)
    .where(LEADERS.c.address == parameter("of_address"), LEADERS.c.watermark < parameter("to"))
    .values(watermark=parameter("to"))
)
_CLOSE_OVER: Final = Statement(
    update(LEADER_HOLDINGS)
    .where(
        LEADER_HOLDINGS.c.leader_id == parameter("of_leader"),
        LIVE,
        LEADER_HOLDINGS.c.ends_at < parameter("before"),
        LEADER_HOLDINGS.c.our_size <= 0,
        LEADER_HOLDINGS.c.in_flight == 0,
    )
    .values(live=0)
)


class LeaderStore(Store):
    """The ledger's leaders."""

    def add_leader(self, leader: Leader) -> bool:
        """Follow a wallet; ``False`` where it is followed already. A removed one comes back."""
        with self._database.writing_lean() as transaction:
            known = _known(transaction, leader.address)
            if known is None:
                transaction.change(
                    _INSERT,
                    {
                        **_columns_of(leader),
                        "address": leader.address,
                        "version": _next_version(transaction),
                        "open_spent": 0,
                        "day": 0,
                        "day_spent": 0,
                    },
                )
                return True
            if known["state"] != LeaderState.REMOVED:
                return False
            _replace(transaction, known, _columns_of(leader))
        return True

    def set_policy(self, address: LeaderAddress, policy: CopyPolicy, *, at: datetime) -> bool:
        """Replace a leader's policy; ``False`` where nobody such is followed."""
        micros_at(at)
        with self._database.writing_lean() as transaction:
            known = _known(transaction, address)
            if known is None or known["state"] == LeaderState.REMOVED:
                return False
            _replace(transaction, known, {"policy": _policy_text(policy)})
        return True

    def set_leader_state(
        self,
        address: LeaderAddress,
        state: LeaderState,
        *,
        reason: str,
        at: datetime,
        alert: Alert | None = None,
    ) -> bool:
        """Pause, resume, throttle or remove; ``False`` where nobody such is followed."""
        with self._database.writing_lean() as transaction:
            known = _known(transaction, address)
            if known is None or known["state"] == LeaderState.REMOVED:
                return False
            changes = {"state": state.value, "state_reason": clean_text(reason)}
            _replace(transaction, known, changes)
            if alert is not None:
                insert_alert(transaction, alert, at_micros=micros_at(at))
        return True

    def leaders(self) -> tuple[Leader, ...]:
        """Return everybody who is not removed, in the order in which they were added."""
        with self._database.reading_lean() as transaction:
            return tuple(_leader_of(row) for row in _FOLLOWED.named_rows(transaction))

    def leaders_version(self) -> int:
        """Return a number that grows with every change to a leader."""
        with self._database.reading_lean() as transaction:
            return _next_version(transaction) - 1

    def seed_holdings(
        self, address: LeaderAddress, positions: Iterable[LeaderPosition], *, at: datetime
    ) -> None:
        """Remember what a leader holds by the venue's word; tokens not named stay as they are."""
        with self._database.writing_lean() as transaction:
            leader = _known(transaction, address)
            if leader is None:
                return
            newest = last_event(transaction)
            for position in positions:
                known = load_holding(transaction, leader["id"], position.token_id)
                holding = known or new_holding(
                    leader["id"],
                    TokenOfMarket(
                        token_id=position.token_id,
                        condition_id=position.condition_id,
                        slug=position.slug,
                        seen_at=micros_at(at),
                    ),
                    after=newest,
                )
                size = micros_down(position.size)
                holding.update(leader_size=size, seed=size, seeded_after=newest)
                store_holding(transaction, holding)

    def advance_watermarks(self, until: Mapping[LeaderAddress, datetime]) -> None:
        """Note that everything of leaders up to an instant is recorded; none goes back."""
        with self._database.writing_lean() as transaction:
            for address, instant in until.items():
                _advance(transaction, address, micros_at(instant))


def _advance(transaction: Transaction, address: LeaderAddress, micros: int) -> None:
    if not transaction.change(_WATERMARK, {"of_address": address, "to": micros}):
        return
    leader = _known(transaction, address)
    if leader is not None:
        over = {"of_leader": leader["id"], "before": micros - _OVER_AFTER}
        transaction.change(_CLOSE_OVER, over)


def _known(transaction: Transaction, address: LeaderAddress) -> dict[str, Any] | None:
    found = transaction.rows(_BY_ADDRESS, {"address": address})
    return _BY_ADDRESS.named(found[0]) if found else None


def _replace(transaction: Transaction, known: Values, changes: Values) -> None:
    version = _next_version(transaction)
    values = {**known, **changes, "version": version, "of_id": known["id"]}
    transaction.change(_REPLACE, values)


def _next_version(transaction: Transaction) -> int:
    ((newest,),) = transaction.rows(_VERSION)
    return int(newest) + 1


def _columns_of(leader: Leader) -> dict[str, Any]:
    return {
        "name": clean_text(leader.name),
        "policy": _policy_text(leader.policy),
        "state": leader.state.value,
        "state_reason": clean_text(leader.state_reason),
        "added_at": micros_at(leader.added_at),
        "watermark": micros_at(leader.watermark),
    }


def _policy_text(policy: CopyPolicy) -> str:
    return json_text(msgspec.to_builtins(policy, str_keys=True))


def _leader_of(row: Values) -> Leader:
    return Leader(
        address=LeaderAddress(row["address"]),
        name=row["name"],
        policy=msgspec.json.decode(row["policy"], type=CopyPolicy),
        state=LeaderState(row["state"]),
        state_reason=row["state_reason"],
        added_at=instant_at(row["added_at"]),
        watermark=instant_at(row["watermark"]),
    )
