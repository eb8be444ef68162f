"""The limits of the account: trading state, positions, cash, the day's losses, exposures.

They are looked at twice, by the same functions: when an order is assessed, and again inside the
ledger's transaction that records its intent, because other processes trade at the same moment.

Boundaries: a limit may be reached but not passed. "At most" and "at least" include the limit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from polybot.domain.accounts import AccountTotals, MarketExposure
from polybot.domain.markets import ConditionId, Outcome
from polybot.domain.modes import TradingState
from polybot.domain.money import text_of
from polybot.domain.orders import Order, RiskCheck, Side
from polybot.ports import LimitChecks


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskLimits:
    """The operator's limits; every amount in USDC, every price distance in USDC/share."""

    stake_usdc: Decimal
    """Spent on one trade, before the fee."""
    max_stake_usdc: Decimal
    """Most that one order may spend, before the fee."""
    min_cash_usdc: Decimal
    """Cash that must remain after an order."""
    max_trades_per_day: int
    """Orders per UTC day."""
    max_daily_loss_usdc: Decimal
    """No new order that could take the UTC day's loss beyond this."""
    max_window_exposure_usdc: Decimal
    """At risk in one market."""
    max_exposure_usdc: Decimal
    """At risk in all markets."""
    max_spread: Decimal
    """Widest spread that is traded."""
    max_slippage: Decimal
    """Furthest limit price from the midpoint."""
    min_time_left_s: int
    """Least time to the window's end [s]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What an order claims from the account; known even where no order could be sized."""

    condition_id: ConditionId
    outcome: Outcome | None
    side: Side
    size: Decimal
    outlay_usdc: Decimal


def demand_of(order: Order) -> Demand:
    """Return what an order claims."""
    return Demand(
        condition_id=order.market.condition_id,
        outcome=order.outcome,
        side=order.side,
        size=order.size,
        outlay_usdc=order.max_outlay_usdc,
    )


def ledger_checks(order: Order, limits: RiskLimits, *, now: datetime) -> LimitChecks:
    """Return the limits that depend on the ledger, for the transaction that records the intent.

    Other processes trade at the same moment: what ``assess`` saw may be gone. A SELL takes no new
    risk, so no limit on cash, loss, count or exposure stops one; it must be of shares we hold.
    The answer is the failed checks alone: the order waits for it, and sentences take time.
    """
    demand = demand_of(order)

    def look_again(totals: AccountTotals, exposure: MarketExposure) -> Sequence[RiskCheck]:
        looks = _look_at_all(demand, limits, totals, exposure, now=now)
        return [_told(look) for look in looks if not look[1]]

    return look_again


def check_account(
    demand: Demand,
    limits: RiskLimits,
    totals: AccountTotals,
    exposure: MarketExposure,
    *,
    now: datetime,
) -> tuple[RiskCheck, ...]:
    """Return every limit's result; ``now`` tells which UTC day the counters must be of."""
    looks = _look_at_all(demand, limits, totals, exposure, now=now)
    return tuple(_told(look) for look in looks)


_Look = tuple[str, bool, Callable[[], str]]
"""One limit, looked at: its name, whether it holds, and what puts the sentence together where
somebody reads it. An order waits for nine of them; a class would take twice as long."""


def _told(look: _Look) -> RiskCheck:
    name, passed, detail = look
    return RiskCheck(name=name, passed=passed, detail=detail())


def _look_at_all(
    demand: Demand,
    limits: RiskLimits,
    totals: AccountTotals,
    exposure: MarketExposure,
    *,
    now: datetime,
) -> tuple[_Look, ...]:
    is_unknown = demand.condition_id in totals.unknown_condition_ids
    return (
        _trading_state(demand, totals),
        _position(demand, exposure),
        (
            "unknown-order",
            not is_unknown,
            lambda: f"market has {'an' if is_unknown else 'no'} order whose fate is unknown",
        ),
        *_cash_checks(demand, limits, totals),
        *_day_checks(demand, limits, now, totals),
        _at_most(
            "window-exposure", demand, exposure.exposure_usdc, limits.max_window_exposure_usdc
        ),
        _at_most("total-exposure", demand, totals.exposure_usdc, limits.max_exposure_usdc),
    )


def _trading_state(demand: Demand, totals: AccountTotals) -> _Look:
    # A state that is not named here allows nothing.
    state, is_sale = totals.trading_state, demand.side is Side.SELL
    is_allowed = state is TradingState.ACTIVE or (state is TradingState.REDUCING and is_sale)
    verb = "allows" if is_allowed else "forbids"
    return ("trading-state", is_allowed, lambda: f"trading state {state} {verb} a {demand.side}")


def _position(demand: Demand, exposure: MarketExposure) -> _Look:
    if demand.side is Side.BUY or demand.outcome is None:
        return ("position", True, lambda: "a BUY needs no position")
    held = exposure.held.get(demand.outcome, Decimal(0))
    free = held - exposure.selling.get(demand.outcome, Decimal(0))
    return (
        "position",
        demand.size <= free,
        lambda: f"sells {text_of(demand.size)} of {text_of(free)} shares held and not promised",
    )


def _cash_checks(demand: Demand, limits: RiskLimits, totals: AccountTotals) -> tuple[_Look, ...]:
    available, outlay = totals.available_usdc, demand.outlay_usdc
    remains = available - outlay
    is_sale = demand.side is Side.SELL
    return (
        (
            "cash",
            is_sale or outlay <= available,
            lambda: f"spends up to {text_of(outlay)} of {text_of(available)} USDC available",
        ),
        (
            "cash-threshold",
            is_sale or remains >= limits.min_cash_usdc,
            lambda: f"leaves {text_of(remains)} of at least {text_of(limits.min_cash_usdc)} USDC",
        ),
    )


def _day_checks(
    demand: Demand, limits: RiskLimits, now: datetime, totals: AccountTotals
) -> tuple[_Look, ...]:
    is_sale = demand.side is Side.SELL
    today = now.astimezone(UTC).date()
    # A later day is fine: another process opened it a moment ago.
    if totals.day < today and not is_sale:

        def detail() -> str:
            return f"the day's counters are of {totals.day}, today is {today}"

        return (("trades-per-day", False, detail), ("daily-loss", False, detail))
    count = totals.day_trade_count + 1
    # Whatever is in flight, and this order too, may lose all it can cost.
    could_lose = totals.day_loss_usdc + totals.reserved_usdc + demand.outlay_usdc
    return (
        (
            "trades-per-day",
            is_sale or count <= limits.max_trades_per_day,
            lambda: f"order {count} of at most {limits.max_trades_per_day} today",
        ),
        (
            "daily-loss",
            is_sale or could_lose <= limits.max_daily_loss_usdc,
            lambda: (
                f"lost {text_of(totals.day_loss_usdc)} today, could become {text_of(could_lose)} "
                f"of at most {text_of(limits.max_daily_loss_usdc)} USDC"
            ),
        ),
    )


def _at_most(name: str, demand: Demand, at_risk: Decimal, limit: Decimal) -> _Look:
    total = at_risk + demand.outlay_usdc
    return (
        name,
        demand.side is Side.SELL or total <= limit,
        lambda: (
            f"{text_of(at_risk)} + {text_of(demand.outlay_usdc)} of at most {text_of(limit)} USDC"
        ),
    )
