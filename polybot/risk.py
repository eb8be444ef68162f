"""Sizing and limits: what may be traded, and the sentence that says why not.

Pure functions of what they are given. Every check runs and every result is kept; data that is
missing fails its check, so nothing is ever approved for want of a reason to refuse.

Boundaries: a limit may be reached but not passed. "At most" and "at least" include the limit.
"""

from datetime import datetime
from decimal import Decimal

from polybot.domain.accounts import AccountTotals, MarketExposure
from polybot.domain.books import OrderBook
from polybot.domain.markets import Market
from polybot.domain.money import Price, text_of
from polybot.domain.orders import (
    ApprovedOrder,
    DecisionKey,
    ExpectedFill,
    Order,
    RefusedOrder,
    RiskCheck,
    Side,
    max_buy_fee,
)
from polybot.domain.signals import Signal
from polybot.limits import Demand, RiskLimits, check_account, demand_of, ledger_checks
from polybot.market_orders import (
    MIN_NOTIONAL_USDC,
    budget_of,
    build_market_buy,
    expect_fill,
    highest_limit,
    least_size,
)

__all__ = ["RiskLimits", "assess", "ledger_checks"]


def assess(
    signal: Signal,
    market: Market,
    book: OrderBook,
    *,
    totals: AccountTotals,
    exposure: MarketExposure,
    limits: RiskLimits,
    now: datetime,
    decision_key: DecisionKey,
) -> ApprovedOrder | RefusedOrder:
    """Size the order that a signal asks for and look at every limit.

    The order is a market BUY (FAK) of the forecast outcome: it spends the stake, in whole cents,
    at a limit price of the midpoint plus the greatest slippage, rounded down to the tick.

    Args:
        signal: The forecast.
        market: The market of the window that the forecast is about.
        book: The book of the outcome token to buy, as it was last seen.
        totals: The ledger's running totals of the UTC day of ``now``.
        exposure: What is at risk in this market already.
        limits: The operator's limits.
        now: The current instant.
        decision_key: The decision that the order carries out.

    Returns:
        The order with its expected fill, or the refusal; both with the result of every check.
    """
    order = _size_order(signal, market, book, limits, decision_key)
    expected = expect_fill(order, book) if order else None
    demand = demand_of(order) if order else _demand_of_stake(signal, market, limits)
    checks = (
        *_market_checks(signal, market, book, limits, now),
        *_order_checks(order, expected, market, book, limits),
        *check_account(demand, limits, totals, exposure, now=now),
    )
    failed = [check.detail for check in checks if not check.passed]
    if failed or order is None or expected is None:
        # One cause can fail several checks; it is told once.
        reason = "; ".join(dict.fromkeys(failed))
        return RefusedOrder(reason=reason, checks=checks, order=order, expected=expected)
    return ApprovedOrder(order=order, checks=checks, expected=expected)


# Sizing ---------------------------------------------------------------------------------------


def _size_order(
    signal: Signal, market: Market, book: OrderBook, limits: RiskLimits, key: DecisionKey
) -> Order | None:
    outcome = signal.direction.outcome
    limit_price = _limit_price(market, book, limits)
    budget = budget_of(limits.stake_usdc)
    if outcome is None or limit_price is None or budget <= 0:
        return None
    return build_market_buy(
        decision_key=key,
        market=market,
        outcome=outcome,
        limit_price=limit_price,
        budget_usdc=budget,
    )


def _limit_price(market: Market, book: OrderBook, limits: RiskLimits) -> Price | None:
    if book.midpoint is None:
        return None
    return highest_limit(book.midpoint + limits.max_slippage, market, book)


# Checks of the market and its book ------------------------------------------------------------


def _market_checks(
    signal: Signal, market: Market, book: OrderBook, limits: RiskLimits, now: datetime
) -> tuple[RiskCheck, ...]:
    outcome = signal.direction.outcome
    is_ours = outcome is not None and market.token_ids[outcome] == book.token_id
    is_open = market.is_accepting_orders and not market.is_closed
    left_s = (market.window.end - now).total_seconds()
    bids, asks = len(book.bids), len(book.asks)
    return (
        _check(
            "direction",
            outcome is not None,
            f"signal says {signal.direction}, which is {outcome or 'nothing'} to buy",
        ),
        _check(
            "book-token",
            is_ours,
            f"book is of token {book.token_id[:20]}, wanted the one of {outcome or 'no outcome'}",
        ),
        _check(
            "two-sided-book",
            bool(bids and asks),
            f"book has {bids} bid and {asks} ask levels, wanted at least 1 of each",
        ),
        _check(
            "accepting-orders",
            is_open,
            f"market is {'open' if is_open else 'closed or not accepting orders'}",
        ),
        _check(
            "time-left",
            left_s >= limits.min_time_left_s,
            f"{left_s:.3f} s left of at least {limits.min_time_left_s} s",
        ),
        *_price_checks(book, limits),
    )


def _price_checks(book: OrderBook, limits: RiskLimits) -> tuple[RiskCheck, ...]:
    spread, midpoint, ask = book.spread, book.midpoint, book.best_ask
    if spread is None or midpoint is None or ask is None:
        return (
            _check("spread", False, "spread is unknown: the book is one-sided"),
            _check("slippage", False, "midpoint is unknown: the book is one-sided"),
        )
    slippage = ask - midpoint
    return (
        _check(
            "spread",
            spread <= limits.max_spread,
            f"spread {text_of(spread)} of at most {text_of(limits.max_spread)} USDC/share",
        ),
        _check(
            "slippage",
            slippage <= limits.max_slippage,
            f"best ask {text_of(ask)} is {text_of(slippage)} above the midpoint, of at most "
            f"{text_of(limits.max_slippage)} USDC/share",
        ),
    )


# Checks of the order itself -------------------------------------------------------------------


def _order_checks(
    order: Order | None,
    expected: ExpectedFill | None,
    market: Market,
    book: OrderBook,
    limits: RiskLimits,
) -> tuple[RiskCheck, ...]:
    budget = budget_of(limits.stake_usdc)
    least = least_size(market, book)
    if order is None:
        size_check = _check("min-size", False, "no order could be sized")
    else:
        size_check = _check(
            "min-size",
            order.size >= least,
            f"size {text_of(order.size)} of at least {text_of(least)} shares",
        )
    if order is None or expected is None:
        limit = f" up to {text_of(order.limit_price)}" if order else ""
        depth_check = _check("depth", False, f"no ask{limit} that the order could take")
    else:
        depth_check = _check(
            "depth",
            True,
            f"asks up to {text_of(order.limit_price)} give {text_of(expected.size)} shares for "
            f"{text_of(expected.cost_usdc)} of {text_of(order.budget_usdc)} USDC",
        )
    return (
        _check(
            "stake",
            0 < budget <= limits.max_stake_usdc,
            f"stake {text_of(budget)} of at most {text_of(limits.max_stake_usdc)} USDC",
        ),
        _check(
            "min-notional",
            budget >= MIN_NOTIONAL_USDC,
            f"stake {text_of(budget)} of at least {text_of(MIN_NOTIONAL_USDC)} USDC",
        ),
        size_check,
        depth_check,
    )


def _demand_of_stake(signal: Signal, market: Market, limits: RiskLimits) -> Demand:
    budget = budget_of(limits.stake_usdc)
    return Demand(
        condition_id=market.condition_id,
        outcome=signal.direction.outcome,
        side=Side.BUY,
        size=Decimal(0),
        outlay_usdc=budget + max_buy_fee(budget, market.fees),
    )


def _check(name: str, passed: bool, detail: str) -> RiskCheck:
    return RiskCheck(name=name, passed=passed, detail=detail)
