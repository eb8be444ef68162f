"""The live adapter on the strict sandbox: wallets, exchanges, the account, lives of fills."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from polybot.adapters.polymarket.contracts import (
    KNOWN_DOMAINS,
    V1_NEGATIVE_RISK,
    V2,
    ExchangeDomain,
)
from polybot.adapters.polymarket.order_fields import SignatureType
from polybot.adapters.polymarket.user_stream import Reconnected, TradesSeen, UserEvent, UserStream
from polybot.domain.markets import Market, MarketVersion, Outcome, OutcomeTokenId
from polybot.domain.money import shares
from polybot.domain.orders import (
    Accepted,
    FillStatus,
    Liquidity,
    Order,
    OrderStatus,
    SubmitResult,
    Unknown,
)
from polybot.execution import report_of
from polybot.sandbox.exchange.rules import VenueRules
from tests.builders import (
    NOW,
    build_approved,
    build_book,
    build_market,
    build_order,
    build_record,
    build_resting_order,
)
from tests.live_sandbox import LiveSandbox, live_sandbox

# Bits 40 to 103 are not zero: the form of v1 tokens.
V1_TOKENS = {Outcome.UP: OutcomeTokenId(str(3 << 60)), Outcome.DOWN: OutcomeTokenId(str(5 << 60))}


def market_on(domain: ExchangeDomain) -> Market:
    if domain is V2:
        return build_market()
    return build_market(
        version=MarketVersion.V1,
        token_ids=V1_TOKENS,
        is_negative_risk=domain is V1_NEGATIVE_RISK,
    )


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[LiveSandbox]:
    async with live_sandbox(tmp_path, VenueRules(shows_terminal_orders=True)) as opened:
        yield opened


async def submit(desk: LiveSandbox, order: Order) -> SubmitResult:
    prepared = desk.exchange.prepare(build_approved(order), created_at=desk.clock.instant)
    return await desk.exchange.submit(prepared)


def record(order: Order, result: SubmitResult, **changes: Any) -> Any:
    status = report_of(result).status
    return build_record(order, order_id=result.order_id, status=status, **changes)


@pytest.mark.parametrize("kind", list(SignatureType))
@pytest.mark.parametrize("domain", KNOWN_DOMAINS, ids=["v1", "negative-risk", "v2"])
async def test_every_wallet_trades_on_every_exchange(
    tmp_path: Path, kind: SignatureType, domain: ExchangeDomain
) -> None:
    """The strict venue checks the signature, the amounts and the owner of each."""
    market = market_on(domain)
    rules = VenueRules(shows_terminal_orders=True)
    async with live_sandbox(tmp_path, rules, market=market, kind=kind) as desk:
        bought = build_order(market=market)
        result = await submit(desk, bought)
        assert isinstance(result, Accepted), result
        report = await desk.exchange.look_up(record(bought, result))
        assert report.status is OrderStatus.FILLED
        assert [fill.size for fill in report.fills] == [shares("9.803921")]
        waiting = build_resting_order(limit_price="0.49", market=market)
        result = await submit(desk, waiting)
        assert isinstance(result, Accepted), result
        (listed,) = await desk.account.open_orders()
        assert (listed.order_id, listed.token_id) == (result.order_id, waiting.token_id)
        report = await desk.exchange.cancel(record(waiting, result))
        assert report.status is OrderStatus.UNFILLED
        assert await desk.account.open_orders() == ()


async def test_account_shows_what_trading_changed(desk: LiveSandbox) -> None:
    """Cash less cost and fee once it is mined; shares; allowances; the venue's clock."""
    assert await desk.account.cash_usdc() == 1000
    order = build_order()
    result = await submit(desk, order)
    report = await desk.exchange.look_up(record(order, result))
    (fill,) = report.fills
    desk.later(10)
    cost = fill.price * fill.size + fill.fee_usdc
    assert abs(1000 - await desk.account.cash_usdc() - cost) <= Decimal("0.00002")
    tokens = list(desk.market.token_ids.values())
    held = await desk.account.holdings(tokens)
    assert held == {tokens[0]: shares(100) + fill.size, tokens[1]: 0}
    assert V2.contract.lower() in await desk.account.allowances()
    assert await desk.account.server_time() == desk.clock.instant.replace(microsecond=0)


async def test_fill_lives_from_match_to_confirmation(desk: LiveSandbox) -> None:
    """The same fill, further each time; the order's fate is known from the start."""
    order = build_order()
    result = await submit(desk, order)
    seen = []
    for seconds in (0, 3, 10):
        desk.later(seconds)
        report = await desk.exchange.look_up(record(order, result))
        assert report.status is OrderStatus.FILLED
        (fill,) = report.fills
        seen.append((fill.trade_id, fill.leg, fill.status))
    assert [one[2] for one in seen] == [
        FillStatus.MATCHED,
        FillStatus.MINED,
        FillStatus.CONFIRMED,
    ]
    assert len({one[:2] for one in seen}) == 1


async def test_fill_that_fails_is_told_as_failed(desk: LiveSandbox) -> None:
    """It keeps its identity, so that exactly it can be voided."""
    desk.gateway.exchange.fate_of = lambda _: "fail"
    order = build_order()
    result = await submit(desk, order)
    (before,) = (await desk.exchange.look_up(record(order, result))).fills
    desk.later(120)
    report = await desk.exchange.look_up(record(order, result))
    (after,) = report.fills
    assert replace(before, status=FillStatus.FAILED) == after
    assert report.status is OrderStatus.UNFILLED


async def test_resting_order_fills_as_maker_without_a_fee(desk: LiveSandbox) -> None:
    """At its own price, told inside somebody else's trade."""
    order = build_resting_order(limit_price="0.49")
    result = await submit(desk, order)
    desk.show(build_book([("0.40", "5")], [("0.48", "4"), ("0.6", "9")]))
    desk.later(2)
    report = await desk.exchange.look_up(record(order, result))
    assert report.status is OrderStatus.RESTING
    (fill,) = report.fills
    assert fill.liquidity is Liquidity.MAKER
    assert (str(fill.price), str(fill.size)) == ("0.49", "4.000000")
    assert fill.fee_usdc == 0


async def test_order_that_was_sent_twice_is_found_by_its_id(desk: LiveSandbox) -> None:
    """A copy is answered "Duplicated": it exists, so nothing is concluded before a look."""
    order = build_order()
    prepared = desk.exchange.prepare(build_approved(order), created_at=NOW)
    assert isinstance(await desk.exchange.submit(prepared), Accepted)
    again = await desk.exchange.submit(prepared)
    assert isinstance(again, Unknown)
    report = await desk.exchange.look_up(record(order, again))
    assert report.status is OrderStatus.FILLED
    assert len(report.fills) == 1


async def test_cancel_all_takes_every_order(desk: LiveSandbox) -> None:
    """Also those that no ledger knows."""
    results = [await submit(desk, build_resting_order(limit_price=text)) for text in ("0.4", "0.3")]
    found = await desk.account.cancel_all()
    assert set(found.cancelled) == {one.order_id for one in results}
    assert await desk.account.open_orders() == ()


async def test_many_trades_come_over_several_pages(desk: LiveSandbox) -> None:
    """All of them, once, oldest first."""
    desk.show(build_book(asks=[("0.51", "100000")]))
    ids = set()
    for _ in range(105):
        ids.add((await submit(desk, build_order())).order_id)
        desk.later(1)
    found = await desk.account.trades(after=NOW)
    assert {trade.order_id for trade in found.trades} == ids
    times = [trade.matched_at for trade in found.trades]
    assert times == sorted(times)


async def test_user_socket_tells_of_a_fill(desk: LiveSandbox) -> None:
    """Early; what it says is what reading says."""
    url = desk.client._url.replace("http", "ws") + "/ws/user"
    events = UserStream(url, desk.client, funder=desk.account._account.funder).events()
    first: UserEvent = await anext(events)
    assert first == Reconnected(is_first=True)
    order = build_order()
    result = await submit(desk, order)
    told = [event.found.trades async for event in one_match(events)]
    read = await desk.account.trades(after=NOW)
    assert told == [read.trades]
    assert {trade.order_id for trade in read.trades} == {result.order_id}


async def one_match(events: AsyncGenerator[UserEvent, None]) -> AsyncIterator[TradesSeen]:
    """Yield the first match that is told, and hang up."""
    async with aclosing(events):
        async for event in events:
            if isinstance(event, TradesSeen):
                yield event
                return
