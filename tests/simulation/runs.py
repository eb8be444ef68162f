"""What the flows do, without Prefect: the product's own steps in the flows' own order."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta
from random import Random
from typing import Any

from polybot import execution, reconciliation, redemption, risk, settlement
from polybot.account_follow import follow_account
from polybot.adapters.polymarket.user_stream import UserStream
from polybot.domain.decisions import Verdict
from polybot.domain.markets import MarketWindow
from polybot.domain.modes import Mode
from polybot.domain.orders import ApprovedOrder, OrderReport, RefusedOrder
from polybot.domain.signals import Direction, Signal
from polybot.errors import DataError, TransientError
from polybot.trend import DecisionDraft, open_decision, refuse_late
from tests.simulation.hour import Bot, Hour
from tests.simulation.model import DECIDING
from tests.simulation.wire import SOCKET_URL
from tests.simulation.wishes import approved_order, other_order


async def reconcile(hour: Hour, bot: Bot, *, accept: str = "") -> bool:
    found = await reconciliation.reconcile_account(
        hour.ledger,
        bot.exchange,
        bot.account,
        hour.clock,
        mode=Mode.LIVE,
        accepted_difference=accept,
    )
    hour.counts[f"reconciled {found.verdict}"] += 1
    hour.counts["fills voided"] += len(found.voided_fills)
    if found.verdict.allows_trading and hour.check:
        hour.model.after_reconciling(hour.now_us())
        hour.stop_if_broken()
    return found.verdict.allows_trading


async def settle(hour: Hour, bot: Bot) -> None:
    """The settle flow, without Prefect."""
    await reconcile(hour, bot)
    now = hour.time.now()
    settlement.close_abandoned_decisions(hour.ledger, at=now, max_lateness_s=60)
    await settlement.mark_open_positions(hour.ledger, bot.data, at=now)
    found = await settlement.settle_ended_windows(hour.ledger, bot.data, at=hour.time.now())
    hour.counts["windows settled"] += len(found.settled)
    await redemption.redeem_settled(hour.ledger, bot.account, at=hour.time.now(), mode=Mode.LIVE)


async def trend(hour: Hour, bot: Bot, window: MarketWindow, random: Random, name: str) -> None:
    """The trend flow of one window, without Prefect; the forecast is a coin's."""
    await reconcile(hour, bot)
    await decide(hour, bot, window, random, name)


async def decide(hour: Hour, bot: Bot, window: MarketWindow, random: Random, name: str) -> None:
    DECIDING.set(f"{name} {window.slug}")
    draft = open_decision(name, window, run_name=name, at=hour.time.now())
    earlier = hour.ledger.claim_decision(draft.decision)
    if earlier is not None and earlier.verdict is not Verdict.PENDING:
        return
    try:
        await _walk(hour, bot, window, random, draft)
    except (DataError, TransientError, TimeoutError) as problem:
        draft.note_skip(problem)
    if draft.decision.verdict is not Verdict.PENDING:
        # Placing an order has finished its decision already.
        hour.ledger.finish_decision(draft.decision)


async def _walk(
    hour: Hour, bot: Bot, window: MarketWindow, random: Random, draft: DecisionDraft
) -> None:
    refuse_late(window, now=hour.time.now(), max_lateness=timedelta(seconds=280))
    market = await bot.data.find_market(window)
    direction = random.choice((Direction.UP, Direction.DOWN))
    outcome = direction.outcome
    assert outcome is not None
    book = await bot.data.order_book(market.token_ids[outcome])
    draft.note_market(market)
    forecast = Signal(direction=direction, reason="a coin fell")
    draft.note_signal(forecast)
    now = hour.time.now()
    totals = hour.ledger.totals(at=now)
    exposure = hour.ledger.market_exposure(market.condition_id)
    kind = random.random()
    key = draft.decision.key
    answer: ApprovedOrder | RefusedOrder | None
    held = exposure.held[outcome] - exposure.selling[outcome]
    if kind < 0.5 or not (book.bids and book.asks):
        answer = risk.assess(
            forecast,
            market,
            book,
            totals=totals,
            exposure=exposure,
            limits=hour.limits,
            now=now,
            decision_key=key,
        )
    else:
        price = book.bids[0].price if kind < 0.75 else book.asks[0].price
        order = other_order(random, market, outcome, near=price, held=held, key=key)
        answer = approved_order(order, hour.limits, totals, exposure, now) if order else None
    if not isinstance(answer, ApprovedOrder):
        hour.counts["refused by risk"] += 1
        draft.note(verdict=Verdict.REFUSED, reason="risk said no")
        return
    placed = await execution.place(
        answer,
        draft.decision,
        exchange=bot.exchange,
        ledger=hour.ledger,
        clock=hour.clock,
        limits=hour.limits,
    )
    if isinstance(placed, RefusedOrder):
        hour.counts["refused at the intent"] += 1
        draft.note(verdict=Verdict.REFUSED, reason=placed.reason)
        return
    hour.counts[f"placed {placed.order.status}"] += 1


async def cancel_something(hour: Hour, bot: Bot, random: Random) -> None:
    """Take one resting order out of the book, as its maker might."""
    resting = [one for one in hour.ledger.open_orders() if one.time_in_force.rests]
    if not resting:
        return
    record = random.choice(resting)
    report: OrderReport = await bot.exchange.cancel(record)
    hour.ledger.record_report(record.order_id, report, at=hour.time.now())
    hour.counts["cancels"] += 1


async def follow(hour: Hour, bot: Bot, random: Random) -> None:
    """Listen to the user socket until somebody stops it."""
    socket = UserStream(SOCKET_URL, bot.client, funder=bot.funder, random=random)
    async with aclosing(socket.events()) as events:
        await follow_account(
            _counted(hour, events),
            hour.ledger,
            bot.exchange,
            bot.account,
            hour.clock,
            mode=Mode.LIVE,
        )


async def _counted(hour: Hour, events: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for event in events:
        hour.counts["socket events"] += 1
        yield event
