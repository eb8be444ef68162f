"""Faults put into our own code, to see that the simulation finds them.

Each one edits the source of a function of the product in memory: where that source has changed so
that the edit does not fit any more, it says so instead of passing.
"""

import inspect
import textwrap
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final
from unittest import mock

from polybot import execution, going_live, limits, reconciliation
from polybot.adapters.polymarket import exchange, order_wire, user_stream, verdicts
from polybot.adapters.polymarket.exchange import PolymarketExchange
from polybot.adapters.polymarket.market_data import PolymarketData
from polybot.adapters.polymarket.wire import own_trades
from polybot.adapters.storage import intents, orders
from polybot.adapters.storage import ledger as ledger_module
from polybot.domain.accounts import AccountTotals, MarketExposure
from polybot.domain.venue_account import VenueTrade, VenueTradeStatus
from tests.simulation import runs

Patch = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnFault:
    """One fault: its name, and how to put it in."""

    name: str
    patches: tuple[Patch, ...]
    is_race: bool = False
    """Whether it shows soonest between runs at the same moment."""

    @contextmanager
    def put_in(self) -> Iterator[None]:
        with ExitStack() as stack:
            for patch in self.patches:
                stack.enter_context(patch())
            yield


def edit(owner: Any, name: str, *changes: tuple[str, str]) -> Patch:
    """Return a patch of a function, a method or a property: its source with words replaced."""

    def patch() -> AbstractContextManager[Any]:
        found = inspect.getattr_static(owner, name)
        function = found.fget if isinstance(found, property) else found
        source = textwrap.dedent(inspect.getsource(function))
        for old, new in changes:
            if source.count(old) != 1:
                raise LookupError(f"{name} has {source.count(old)} times {old!r}: mend this edit")
            source = source.replace(old, new)
        made: dict[str, Any] = {}
        exec(compile(source, inspect.getfile(function), "exec"), function.__globals__, made)
        return mock.patch.object(owner, name, made[function.__name__])

    return patch


def instead(owner: Any, name: str, value: Any) -> Patch:
    """Return a patch of a whole attribute."""
    return lambda: mock.patch.object(owner, name, value)


_RECORD: Final = "    failed = ledger.record_intent(prepared, decision, checks=checks)\n"
_SEND: Final = (
    "    return await send_recorded(prepared, exchange=exchange, ledger=ledger, "
    "alert_for=alert_for)\n"
)
_POST: Final = "    answer = await self._client.post_order(body, credentials, at=now)\n"
_RELEASE: Final = "    if not status.is_open:\n        books.reserve("


def _open_and_forget_the_day(*args: Any, **named: Any) -> Any:
    opened = _OPEN_LEDGER(*args, **named)
    with opened._database.writing_unlocked() as connection:
        connection.exec_driver_sql("UPDATE days SET trade_count = 0")
    return opened


def _key_with_time(name: str, window: Any, *, run_name: str, at: Any) -> Any:
    draft = _OPEN_DECISION(name, window, run_name=run_name, at=at)
    draft.note(key=f"{draft.decision.key}@{at.timestamp()}")
    return draft


_OPEN_LEDGER = ledger_module.open_ledger
_OPEN_DECISION = runs.open_decision

OWN_FAULTS: Final = (
    OwnFault(
        name="the intent is committed after the POST",
        patches=(
            edit(
                execution,
                "place",
                (
                    _RECORD,
                    "    result = await exchange.submit(prepared)\n"
                    "    async def answered(_):\n        return result\n" + _RECORD,
                ),
                (
                    _SEND,
                    "    said = type('Said', (), {'submit': staticmethod(answered)})()\n"
                    + _SEND.replace("exchange=exchange", "exchange=said"),
                ),
            ),
        ),
    ),
    OwnFault(
        name="an unanswered order is sent again with a new salt",
        patches=(
            edit(
                execution,
                "place",
                (
                    _SEND,
                    _SEND.replace("return", "placed =")
                    + "    if placed.order.status.value == 'unknown':\n"
                    "        await exchange.submit(exchange.prepare(approved, created_at=now))\n"
                    "    return placed\n",
                ),
            ),
        ),
    ),
    OwnFault(
        name="an unanswered POST is repeated",
        patches=(
            edit(
                PolymarketExchange,
                "submit",
                (_POST, f"{_POST}    if isinstance(answer, NoAnswer):\n    {_POST}"),
            ),
        ),
    ),
    OwnFault(
        name="not found means it never arrived",
        patches=(edit(verdicts, "_not_shown", ("if now < proved_at:", "if False:")),),
    ),
    OwnFault(
        name="a time-out means refused",
        patches=(
            edit(
                PolymarketExchange,
                "submit",
                (
                    "unanswered(signed.order_id, reason).result",
                    "_not_sent(signed.order_id, reason)",
                ),
            ),
        ),
    ),
    OwnFault(
        name="a server error means refused",
        patches=(
            edit(
                order_wire,
                "_read_failure",
                (
                    'return unanswered(answer.order_id, f"HTTP {answer.status}: {answer.text!r}")',
                    "return _refusal(answer)",
                ),
            ),
        ),
    ),
    OwnFault(
        name="the limits on exposure ignore orders in flight",
        patches=(
            instead(AccountTotals, "exposure_usdc", property(lambda own: own.position_cost_usdc)),
            instead(MarketExposure, "exposure_usdc", property(lambda own: own.position_cost_usdc)),
        ),
    ),
    OwnFault(
        name="cash that an order has a claim on is spent again",
        patches=(instead(AccountTotals, "available_usdc", property(lambda own: own.cash_usdc)),),
        is_race=True,
    ),
    OwnFault(
        name="the day's loss forgets orders in flight",
        patches=(edit(limits, "_day_checks", (" + totals.reserved_usdc", "")),),
        is_race=True,
    ),
    OwnFault(
        name="limits are not looked at again where the intent is recorded",
        patches=(
            edit(
                orders,
                "_failed",
                ("[check for check in checks(totals, exposure) if not check.passed]", "()"),
            ),
        ),
        is_race=True,
    ),
    OwnFault(
        name="an order is durable and never booked",
        patches=(
            edit(
                intents.IntentBacklog, "clear", ("_book(transaction, _read(row_id, body))", "pass")
            ),
        ),
    ),
    OwnFault(
        name="a new order does not see the one that is not booked",
        patches=(edit(orders, "_look", ("if row[_HAS_END]:", "if False:")),),
        is_race=True,
    ),
    OwnFault(
        name="a halt does not stop orders",
        patches=(
            edit(
                orders,
                "_failed",
                ("state is TradingState.HALTED", "False"),
            ),
            edit(limits, "_trading_state", ("state is TradingState.ACTIVE or", "True or")),
        ),
        is_race=True,
    ),
    OwnFault(
        name="an order may go beside one of unknown fate",
        patches=(edit(limits, "_look_at_all", ("not is_unknown,", "True,")),),
    ),
    OwnFault(
        name="orders go out on books that were not reconciled",
        patches=(instead(going_live, "unreconciled", lambda *_args, **_named: None),),
    ),
    OwnFault(
        name="a decision's key has the time in it",
        patches=(instead(runs, "open_decision", _key_with_time),),
    ),
    OwnFault(
        name="a FAILED trade counts as confirmed",
        patches=(
            edit(
                VenueTradeStatus,
                "as_fill",
                (
                    "return FillStatus(self.value)",
                    'return FillStatus(self.value.replace("FAILED", "CONFIRMED"))',
                ),
            ),
        ),
    ),
    OwnFault(
        name="a voided fill keeps its money",
        patches=(
            edit(
                orders,
                "update_known_fill",
                (
                    "if status is not FillStatus.FAILED:\n        books",
                    "if status is not None:\n        books",
                ),
            ),
        ),
    ),
    OwnFault(
        name="fills are keyed by their transaction",
        patches=(
            edit(VenueTrade, "fill", ("trade_id=self.trade_id", "trade_id=self.transaction_hash")),
        ),
    ),
    OwnFault(
        name="fills are keyed by their status as well",
        patches=(
            edit(
                VenueTrade,
                "fill",
                ("trade_id=self.trade_id", 'trade_id=f"{self.trade_id}-{self.status}"'),
            ),
        ),
    ),
    OwnFault(
        name="fees are forgotten",
        patches=(edit(VenueTrade, "fill", ("if is_taker else", "if False else")),),
    ),
    OwnFault(
        name="fills as a maker are overlooked",
        patches=(
            lambda: _both(
                own_trades,
                user_stream,
                "own_trades",
                ("trades = [*_maker_legs(row)]", "trades = []"),
            ),
        ),
    ),
    OwnFault(
        name="the reservation goes when the fate is unknown",
        patches=(
            edit(
                orders,
                "_apply_status",
                (
                    _RELEASE,
                    _RELEASE.replace(":", " or status is OrderStatus.UNKNOWN:", 1),
                ),
            ),
        ),
    ),
    OwnFault(
        name="a refused order keeps its reservation",
        patches=(
            edit(
                orders,
                "_apply_status",
                (_RELEASE, _RELEASE.replace("not status.is_open", "order['filled_size']")),
            ),
        ),
    ),
    OwnFault(
        name="an order that rests counts as over",
        patches=(
            edit(
                execution,
                "report_of",
                (
                    "OrderReport(status=OrderStatus.RESTING,",
                    "OrderReport(status=OrderStatus.UNFILLED,",
                ),
            ),
        ),
    ),
    OwnFault(
        name="the day's counter starts anew with the process",
        patches=(instead(ledger_module, "open_ledger", _open_and_forget_the_day),),
    ),
    OwnFault(
        name="the loser is paid",
        patches=(
            edit(
                PolymarketData,
                "resolution",
                (
                    "return wire.agree_on_resolution(gamma, data, window, "
                    "as_of=await self._clock.now())",
                    "from dataclasses import replace\n"
                    "    found = wire.agree_on_resolution(gamma, data, window, "
                    "as_of=await self._clock.now())\n"
                    "    return found and replace(found, payouts={one: 1 - paid for one, paid "
                    "in found.payouts.items()})",
                ),
            ),
        ),
    ),
    OwnFault(
        name="trades are never read again",
        patches=(
            instead(
                reconciliation._Run, "_trades_after", lambda own, _number: own.result.started_at
            ),
        ),
    ),
    OwnFault(
        name="more is signed than was approved",
        patches=(
            edit(
                exchange,
                "fields_of",
                (
                    "amounts=amounts_of(order)",
                    "amounts=OrderAmounts(maker=amounts_of(order).maker + 10_000, "
                    "taker=amounts_of(order).taker)",
                ),
            ),
        ),
    ),
)
"""Every one of these must be caught."""


@contextmanager
def _both(first: Any, second: Any, name: str, change: tuple[str, str]) -> Iterator[None]:
    """Edit a function where it is defined and where it was imported by name."""
    with edit(first, name, change)() as made, mock.patch.object(second, name, made):
        yield
