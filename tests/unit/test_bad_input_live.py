"""A hostile or broken venue on the live path: bounded work, no second order, no crash."""

import gzip
import json
import signal
import subprocess
import sys
import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from polybot.adapters.polymarket.user_stream import OrderSeen, Reconnected
from polybot.adapters.storage.ledger import open_ledger
from polybot.domain.markets import MarketSeries
from polybot.domain.modes import Mode
from polybot.domain.orders import OrderStatus, Unknown
from polybot.errors import DataError, PermanentError, PolybotError
from polybot.trend import refuse_late, windows_due
from tests.builders import NOW, WINDOW
from tests.ledgers import new_live_ledger
from tests.live_desk import LiveDesk, live_desk, order_row, trade_row
from tests.scripted_server import Answer, body
from tests.unit.test_shutdown import PLACING, ROOT
from tests.unit.test_user_stream import first, listen, tells


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[LiveDesk]:
    async with live_desk(tmp_path) as opened:
        yield opened


def bomb(mebibytes: int) -> bytes:
    """Return a gzip body that unfolds to so much."""
    packer = zlib.compressobj(9, wbits=31)
    block = bytes(1 << 20)
    return b"".join(packer.compress(block) for _ in range(mebibytes)) + packer.flush()


def pages(*cursors: str) -> list[Answer | dict[str, Any] | bytes]:
    return [{"data": [], "next_cursor": cursor} for cursor in cursors]


def endless() -> Answer:
    """Name a new next page with every page."""
    numbers = count()

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response({"data": [], "next_cursor": f"page{next(numbers)}"})

    return answer


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_order_that_is_redirected_goes_nowhere_else(desk: LiveDesk, status: int) -> None:
    """The key's signature is for one host; whether that host took the order is not known."""
    elsewhere = f"{desk.server.url}/elsewhere"
    desk.on_order(body(b"", status=status, headers={"Location": elsewhere}))
    assert isinstance(await desk.submit(), Unknown)
    assert desk.posts == 1
    assert not desk.server.asked("/elsewhere")


@pytest.mark.parametrize("status", [301, 302, 307])
async def test_private_read_that_is_redirected_goes_nowhere_else(
    desk: LiveDesk, status: int
) -> None:
    """Its headers would show our API key to somebody else."""
    elsewhere = f"{desk.server.url}/elsewhere"
    desk.server.on("/data/orders", body(b"", status=status, headers={"Location": elsewhere}))
    with pytest.raises(PolybotError):
        await desk.account.open_orders()
    assert not desk.server.asked("/elsewhere")


@pytest.mark.parametrize("content", [bomb(64), gzip.compress(b'"', mtime=0) + b"rubbish"])
async def test_compressed_rubbish_instead_of_an_answer_leaves_the_order_unknown(
    desk: LiveDesk, content: bytes
) -> None:
    """The order was sent; what came back proves nothing and is not unfolded without bound."""
    desk.on_order(body(content, headers={"Content-Encoding": "gzip"}))
    assert isinstance(await desk.submit(), Unknown)
    assert desk.posts == 1


async def test_compressed_trades_are_bounded(desk: LiveDesk) -> None:
    desk.server.on("/data/trades", body(bomb(64), headers={"Content-Encoding": "gzip"}))
    with pytest.raises(DataError):
        await desk.account.trades(after=NOW)


@pytest.mark.parametrize("path", ["/data/orders", "/data/trades"])
@pytest.mark.parametrize("cursors", [("a", "a"), ("a", "b", "a"), ("a", "b", "b")])
async def test_cursor_that_comes_again_ends_the_reading(
    desk: LiveDesk, path: str, cursors: tuple[str, ...]
) -> None:
    """Half a list of trades must not be taken for all of it."""
    desk.server.on(path, *pages(*cursors))
    with pytest.raises(DataError) as caught:
        await read(desk, path)
    assert caught.value.reason == "pages-endless"
    assert len(desk.server.asked(path)) == len(cursors)


@pytest.mark.parametrize("path", ["/data/orders", "/data/trades"])
async def test_endless_pages_of_the_account_are_bounded(desk: LiveDesk, path: str) -> None:
    desk.server.on(path, endless())
    with pytest.raises(DataError) as caught:
        await read(desk, path)
    assert caught.value.reason == "pages-endless"
    assert len(desk.server.asked(path)) <= 41


async def read(desk: LiveDesk, path: str) -> object:
    if path == "/data/orders":
        return await desk.account.open_orders()
    return await desk.account.trades(after=NOW)


async def test_flood_of_noise_hides_no_order_of_ours(tmp_path: Path) -> None:
    """A slow reader slows the socket down; what is ours is not shed."""
    async with live_desk(tmp_path) as desk:
        order = {"event_type": "order", **order_row(desk.prepare())}
        noise = [json.dumps({"event_type": "price_change", "n": n}) for n in range(20_000)]
        desk.server.on("/ws/user", tells(*noise, order))
        _, seen = await first(listen(desk), 2)
    assert isinstance(seen, OrderSeen)


async def test_frames_are_not_taken_compressed(tmp_path: Path) -> None:
    """Without the extension, a small frame cannot unfold into a large one."""
    offered: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        offered.append(request.headers.get("Sec-WebSocket-Extensions", ""))
        return await tells()(request)

    async with live_desk(tmp_path) as desk:
        desk.server.on("/ws/user", answer)
        assert await first(listen(desk), 1) == [Reconnected(is_first=True)]
    assert offered == [""]


@pytest.mark.parametrize(
    "rows",
    [
        [{"size": "6"}, {"size": "7"}],
        [{"price": "0.53"}, {"price": "0.52"}],
        [{"side": "BUY"}, {"side": "SELL"}],
        [{"status": "CONFIRMED"}, {"status": "FAILED"}],
    ],
    ids=["size", "price", "side", "confirmed-and-failed"],
)
async def test_one_trade_with_two_contents_is_never_two_trades(
    desk: LiveDesk, rows: list[dict[str, Any]]
) -> None:
    """Refused as a whole, or counted once: the same name cannot mean more shares."""
    prepared = desk.prepare()
    found = [trade_row(prepared, ("0.51", "6"), **changes) for changes in rows]
    desk.server.on("/data/trades", {"data": found, "next_cursor": "LTE="})
    try:
        trades = (await desk.account.trades(after=NOW - timedelta(minutes=1))).trades
    except DataError:
        return
    keys = [(one.trade_id, one.order_id, one.leg) for one in trades]
    assert len(keys) == len(set(keys)) <= 1


@pytest.mark.parametrize(
    "text",
    ["", "btc", "btc-", "-15m", "btc-15M", "BTC-15m", "btc-16m", "btc-15m ", "btc_15m", "../x-15m",
     "btc-15m\n", "doge;rm-15m", "ｂｔｃ-15m", "btc-15m-1791241200", "btc--15m",
     "a" * 5000 + "-15m"],
)  # fmt: skip
def test_forged_series_is_no_series(text: str) -> None:
    """Parameters of a run come from whoever reaches the API."""
    with pytest.raises(ValueError, match=r"."):
        MarketSeries.parse(text)


@pytest.mark.parametrize("late_s", [-86_400, -900, -1, 301, 900, 86_400, 10**9])
def test_forged_time_trades_no_window(late_s: int) -> None:
    """A run for a window that is over, or has not begun, ends before anything is looked at."""
    longest = timedelta(seconds=300)
    with pytest.raises(DataError):
        refuse_late(WINDOW, now=WINDOW.start + timedelta(seconds=late_s), max_lateness=longest)


@pytest.mark.parametrize("due_s", [900, 1_700_000_100, 253_402_300_799])
def test_absurd_due_time_names_a_window_that_is_refused(due_s: int) -> None:
    """1970, 2023 and the year 9999."""
    due = datetime.fromtimestamp(due_s, UTC)
    for window in windows_due((WINDOW.series,), due, max_lateness=timedelta(seconds=300)):
        with pytest.raises(DataError):
            refuse_late(window, now=NOW, max_lateness=timedelta(seconds=300))


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM, signal.SIGKILL])
def test_signal_that_ends_the_process_leaves_the_order_on_record(
    tmp_path: Path, number: signal.Signals
) -> None:
    """Nothing runs after these: what was recorded before the request has to be enough."""
    path = tmp_path / "live.db"
    new_live_ledger(path, Decimal(1000), at=NOW).close()
    with subprocess.Popen(
        [sys.executable, "-c", PLACING, path, "killed"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        order_id = process.stdout.readline().strip()
        process.send_signal(number)
        process.wait(timeout=60)
    with open_ledger(path, mode=Mode.LIVE) as ledger:
        (record,) = ledger.open_orders()
        assert (record.order_id, record.status) == (order_id, OrderStatus.SENDING)
        assert ledger.violations() == ()


async def test_trade_of_another_wallet_is_not_ours(desk: LiveDesk) -> None:
    """A maker's part counts only under our own address."""
    prepared = desk.prepare()
    row = trade_row(prepared, ("0.51", "6"), trader_side="MAKER")
    desk.server.on("/data/trades", {"data": [row], "next_cursor": "LTE="})
    assert (await desk.account.trades(after=NOW - timedelta(minutes=1))).trades == ()


async def test_private_answer_that_is_missing_is_a_persons_to_mend(desk: LiveDesk) -> None:
    with pytest.raises(PermanentError, match="/data/trades"):
        await desk.account.trades(after=NOW)
