"""The venue's public side over a real connection: what is asked, and what each answer becomes."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from polybot.adapters.polymarket.market_data import PolymarketData
from polybot.domain.markets import Outcome
from polybot.errors import DataError, PermanentError, RateLimitedError, TransientError
from polybot.ports import MarketData
from tests import payloads
from tests.fakes import FixedClock
from tests.payloads import CONDITION, NOW, UP, WINDOW
from tests.scripted_server import Answer, ScriptedServer, body, cut_off, hang_up, silence

EVENT = f"/events/slug/{WINDOW.slug}"
CLOB = f"/clob-markets/{CONDITION}"
BOOK = "/book"
RESOLUTIONS = "/v2/resolutions"
TRADES = "/v2/trades"


@pytest.fixture
async def data(server: ScriptedServer) -> AsyncIterator[PolymarketData]:
    async with open_data(server) as reader:
        yield reader


def open_data(server: ScriptedServer, *, timeout_s: float = 2, **more: Any) -> PolymarketData:
    """Return a reader whose three hosts are the scripted server; the clock stands still."""
    clock = FixedClock(more.pop("at", NOW))
    url = server.url + "/"
    return PolymarketData(
        gamma_url=url, clob_url=url, data_url=url, timeout_s=timeout_s, clock=clock, **more
    )


async def test_market_is_found_by_slug_and_checked_with_the_clob(
    server: ScriptedServer, data: PolymarketData
) -> None:
    """Two requests, and both must agree."""
    server.on(EVENT, payloads.gamma_event(beat="77665.5"))
    server.on(CLOB, payloads.clob_market(mts=0.001))
    market = await data.find_market(WINDOW)
    assert market.condition_id == CONDITION
    assert market.tick_size == Decimal("0.001")
    assert market.price_to_beat == Decimal("77665.5")
    assert [one.path for one in server.requests] == [EVENT, CLOB]


async def test_v2_market_is_asked_for_with_a_padded_id(
    server: ScriptedServer, data: PolymarketData
) -> None:
    """62 digits would be answered with 404."""
    server.on(
        EVENT,
        payloads.gamma_event(
            version="v2", conditionId=payloads.V2_CONDITION_62, positionIds=["651100", "651101"]
        ),
    )
    server.on(
        f"/clob-markets/{payloads.V2_CONDITION}",
        payloads.clob_market(
            v="v2",
            c=payloads.V2_CONDITION,
            t=[{"t": "651100", "o": "Up"}, {"t": "651101", "o": "Down"}],
        ),
    )
    assert (await data.find_market(WINDOW)).condition_id == payloads.V2_CONDITION


async def test_market_that_is_not_listed_yet_may_come(data: PolymarketData) -> None:
    """404 from Gamma is a matter of time."""
    with pytest.raises(TransientError, match="not listed yet"):
        await data.find_market(WINDOW)


@pytest.mark.parametrize("is_empty", [False, True], ids=["404", "no-tokens"])
async def test_market_without_clob_entry_may_come(
    server: ScriptedServer, data: PolymarketData, is_empty: bool
) -> None:
    """Gamma lists a market minutes before the CLOB takes orders for it."""
    server.on(EVENT, payloads.gamma_event())
    if is_empty:
        server.on(CLOB, payloads.clob_market(t=[]))
    with pytest.raises(TransientError, match="no order book yet"):
        await data.find_market(WINDOW)


async def test_closed_market_is_found_without_the_clob(
    server: ScriptedServer, data: PolymarketData
) -> None:
    """A settled window can still be looked up."""
    server.on(EVENT, payloads.gamma_event(closed=True))
    assert (await data.find_market(WINDOW)).is_closed


async def test_book_is_asked_for_by_token(server: ScriptedServer, data: PolymarketData) -> None:
    """The token goes as ``token_id``; the book comes best first."""
    server.on(BOOK, payloads.book())
    book = await data.order_book(UP)
    assert (book.best_bid, book.best_ask) == (Decimal("0.50"), Decimal("0.52"))
    assert server.asked(BOOK) == [{"token_id": UP}]


async def test_missing_book_is_bad_data(data: PolymarketData) -> None:
    """The book of a closed market does not come back."""
    with pytest.raises(DataError) as caught:
        await data.order_book(UP)
    assert caught.value.reason == "book-missing"


async def test_age_of_a_book_is_a_setting(server: ScriptedServer) -> None:
    """The limit holds to the millisecond."""
    server.on(BOOK, payloads.book())
    limit = timedelta(seconds=10)
    async with open_data(server, at=NOW + limit, max_book_age=limit) as data:
        assert (await data.order_book(UP)).as_of == NOW
    late = NOW + limit + timedelta(milliseconds=1)
    async with open_data(server, at=late, max_book_age=limit) as data:
        with pytest.raises(DataError) as caught:
            await data.order_book(UP)
    assert caught.value.reason == "book-stale"


async def test_resolution_takes_both_sources(server: ScriptedServer) -> None:
    """Gamma names the market, the Data API confirms its payouts."""
    server.on(EVENT, payloads.gamma_event(**payloads.RESOLVED_GAMMA))
    server.on(RESOLUTIONS, payloads.resolution())
    async with open_data(server, at=payloads.after_the_end()) as data:
        found = await data.resolution(WINDOW)
    assert found is not None
    assert found.winner is Outcome.DOWN
    assert found.condition_id == CONDITION
    assert server.asked(RESOLUTIONS) == [{"condition_id": CONDITION}]


async def test_open_market_has_no_resolution(server: ScriptedServer, data: PolymarketData) -> None:
    """Undecided is no error."""
    server.on(EVENT, payloads.gamma_event())
    server.on(RESOLUTIONS, {"data": []})
    assert await data.resolution(WINDOW) is None


async def test_resolution_needs_the_data_api_to_answer(server: ScriptedServer) -> None:
    """A source that is down may disagree once it is up."""
    server.on(EVENT, payloads.gamma_event(**payloads.RESOLVED_GAMMA))
    server.on(RESOLUTIONS, body(b"", status=503))
    async with open_data(server, at=payloads.after_the_end()) as data:
        with pytest.raises(TransientError):
            await data.resolution(WINDOW)


async def test_trades_are_read_page_by_page_oldest_first(
    server: ScriptedServer, data: PolymarketData
) -> None:
    """Filters are sent again with each cursor, and no address is asked for twice."""
    at = int(NOW.timestamp())
    server.on(
        TRADES,
        payloads.trade_page(
            payloads.trade(timestamp=at - 1, price=0.5),
            payloads.trade(timestamp=at - 2, price=0.4),
            has_more=True,
            next_cursor="c1",
        ),
        payloads.trade_page(payloads.trade(timestamp=at - 2, price=0.3)),
    )
    since = NOW - timedelta(seconds=2, milliseconds=-400)
    trades = await data.trades_since(CONDITION, since)
    assert [trade.price for trade in trades] == [Decimal("0.3"), Decimal("0.4"), Decimal("0.5")]
    first, second = server.asked(TRADES)
    assert first.pop("_") != second.pop("_")
    assert second.pop("cursor") == "c1"
    assert first == second
    assert first == {
        "condition_id": CONDITION,
        "taker_only": "false",
        "start": str(at - 2),
        "limit": "500",
    }


async def test_equal_trades_are_kept(server: ScriptedServer, data: PolymarketData) -> None:
    """One transaction can hold the same fill twice; the API gives no id to tell them apart."""
    server.on(TRADES, payloads.trade_page(payloads.trade(), payloads.trade()))
    assert len(await data.trades_since(CONDITION, WINDOW.start)) == 2


async def test_old_trades_end_the_search(server: ScriptedServer, data: PolymarketData) -> None:
    """Also where the server ignores ``start`` and would go on for ever."""
    old = payloads.trade(timestamp=int(WINDOW.start_s) - 60)
    server.on(
        TRADES,
        payloads.trade_page(payloads.trade(), has_more=True, next_cursor="c1"),
        payloads.trade_page(old, has_more=True, next_cursor="c2"),
    )
    assert len(await data.trades_since(CONDITION, WINDOW.start)) == 1
    assert len(server.requests) == 2


async def test_cursor_loop_is_noticed(server: ScriptedServer, data: PolymarketData) -> None:
    """The same cursor twice is a loop, after two pages and not after forty."""
    server.on(TRADES, payloads.trade_page(payloads.trade(), has_more=True, next_cursor="again"))
    with pytest.raises(DataError) as caught:
        await data.trades_since(CONDITION, WINDOW.start)
    assert caught.value.reason == "trades-endless"
    assert len(server.requests) == 2


async def test_endless_pages_are_bounded(server: ScriptedServer, data: PolymarketData) -> None:
    """A million pages are not followed, even if each is new and empty."""
    server.on(
        TRADES,
        *(payloads.trade_page(has_more=True, next_cursor=f"c{number}") for number in range(1000)),
    )
    with pytest.raises(DataError) as caught:
        await data.trades_since(CONDITION, WINDOW.start)
    assert caught.value.reason == "trades-endless"
    assert len(server.requests) == 40


async def test_server_time_is_told(server: ScriptedServer, data: PolymarketData) -> None:
    """A bare integer of seconds."""
    server.on("/time", b"1791241200")
    assert await data.server_time() == WINDOW.start


Call = Callable[[MarketData], Awaitable[object]]
CALLS: dict[str, tuple[str, Call]] = {
    "market": (EVENT, lambda data: data.find_market(WINDOW)),
    "book": (BOOK, lambda data: data.order_book(UP)),
    "resolution": (EVENT, lambda data: data.resolution(WINDOW)),
    "trades": (TRADES, lambda data: data.trades_since(CONDITION, WINDOW.start)),
}


@pytest.mark.parametrize("name", list(CALLS))
@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (body(b"", status=500), TransientError),
        (body(b"", status=503, headers={"Retry-After": "9"}), TransientError),
        (body(b"", status=425), TransientError),
        (body(b"", status=429), RateLimitedError),
        (body(b"", status=403), PermanentError),
        (body(b"", status=422), PermanentError),
        (body(b"", status=302, headers={"Location": "http://127.0.0.1:1/"}), PermanentError),
        (body(b"<html><title>Attention Required!</title>"), DataError),
        (body(b'{"slug": "btc-updown-15m-17912412'), DataError),
        (body(b""), DataError),
        (body(b"null"), DataError),
        (body(b'{"error": "busy", "retryable": true}'), DataError),
        (body(b" " * (1 << 20) + b"{}"), DataError),
        (cut_off(b'{"data": ['), TransientError),
        (hang_up(), TransientError),
    ],
    ids=[
        "500",
        "503",
        "425",
        "429",
        "403",
        "422",
        "redirect",
        "html",
        "truncated",
        "empty",
        "null",
        "error-with-200",
        "oversize",
        "cut-off",
        "hang-up",
    ],
)
async def test_every_read_tells_the_three_kinds_of_failure_apart(
    server: ScriptedServer, data: PolymarketData, name: str, answer: Answer, kind: type[Exception]
) -> None:
    """Try again, do not, or do not decide: nothing else ever leaves a read."""
    path, call = CALLS[name]
    server.on(path, answer)
    with pytest.raises(kind) as caught:
        await call(data)
    assert type(caught.value) is kind
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", list(CALLS))
async def test_silent_venue_costs_the_time_out(server: ScriptedServer, name: str) -> None:
    """No read hangs."""
    path, call = CALLS[name]
    server.on(path, silence(server))
    async with open_data(server, timeout_s=0.05) as data:
        with pytest.raises(TransientError):
            await call(data)
