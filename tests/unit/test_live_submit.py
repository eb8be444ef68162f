"""Submitting live orders: at most one POST in every case, and every answer has its meaning."""

import json
import traceback
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from polybot.adapters.polymarket.answers import Restriction
from polybot.domain.money import usdc
from polybot.domain.orders import (
    Accepted,
    OrderStatus,
    Rejected,
    TimeInForce,
    Unknown,
)
from polybot.errors import DataError, PolybotError
from tests.builders import NOW, build_order, build_resting_order
from tests.live_desk import CREDENTIALS, LiveDesk, accepts, live_desk, record_of
from tests.scripted_server import Answer, body, cut_off, hang_up, silence


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[LiveDesk]:
    async with live_desk(tmp_path) as opened:
        yield opened


def says(status: int, text: str, **more: Any) -> Answer:
    return body({"error": text, **more}, status=status)


# Every row of the venue's error tables, what it means, and whether it ends trading.
REFUSED = [
    (400, "not enough balance / allowance", False),
    (400, "the balance is not enough -> balance: 0, order amount: 5000000", False),
    (400, "order {id} is invalid. Price (0.531) breaks minimum tick size rule: 0.01", False),
    (400, "order {id} is invalid. Size (1.73) lower than the minimum: 5", False),
    (400, "invalid amount for a marketable BUY order ($0.17), min size: $1", False),
    (400, "invalid amounts, the market buy orders maker amount supports 2 decimals", True),
    (400, "order couldn't be fully filled. FOK orders are fully filled or killed.", False),
    (400, "no orders found to match with FAK order. FAK orders are killed.", False),
    (400, "invalid post-only order: order crosses book", False),
    (400, "order_version_mismatch", True),
    (400, "maker address not allowed, please use the deposit wallet flow", True),
    (400, "the order signer address has to be the address of the API KEY", True),
    (400, "the order owner has to be the owner of the API KEY", True),
    (400, "invalid expiration", False),
    (400, "invalid nonce", False),
    (400, "the market is not yet ready to process new orders", False),
    (400, "something nobody has seen", False),
    (403, "Trading restricted in your region", True),
    (404, "No orderbook exists for the requested token id", False),
    (404, "market not found", False),
]


@pytest.mark.parametrize(("status", "text", "is_lasting"), REFUSED)
async def test_refusal_is_final_and_sent_once(
    desk: LiveDesk, status: int, text: str, is_lasting: bool
) -> None:
    """The order does not exist; only what every order would meet again halts."""
    prepared = desk.prepare()
    desk.on_order(says(status, text.format(id=prepared.order_id)))
    result = await desk.exchange.submit(prepared)
    assert isinstance(result, Rejected), result
    assert result.order_id == prepared.order_id
    assert result.must_halt is is_lasting
    assert desk.posts == 1


UNDECIDED: list[Answer] = [
    says(400, "order {id} is invalid. Duplicated."),
    says(400, "order match delayed due to market conditions"),
    says(500, "order timed out"),
    says(500, "could not run the execution"),
    says(500, "Internal server error"),
    says(502, ""),
    says(503, ""),
    says(504, "upstream"),
    body(b"<html><h1>502 Bad Gateway</h1></html>", status=502),
    body(b"<html>just a moment...</html>", status=200),
    body(b"", status=200),
    body({"success": True, "errorMsg": "", "orderID": "", "status": "live"}),
    body({"success": True}),
    body({}, status=301, headers={"Location": "/order"}),
    body(b"x" * 2_000_000, status=200),
    accepts("unmatched"),
    cut_off(b'{"success":true,'),
    hang_up(),
]


@pytest.mark.parametrize("answer", UNDECIDED, ids=range(len(UNDECIDED)))
async def test_what_proves_nothing_is_unknown_and_sent_once(desk: LiveDesk, answer: Answer) -> None:
    """5xx, HTML, cut connections, redirects, duplicates: looked up, never resent."""
    desk.on_order(answer)
    prepared = desk.prepare()
    result = await desk.exchange.submit(prepared)
    assert isinstance(result, Unknown), result
    assert result.order_id == prepared.order_id
    assert desk.posts == 1


async def test_connection_that_breaks_while_it_is_warm_sends_once(desk: LiveDesk) -> None:
    """HTTP libraries like to repeat a request on a kept connection that was closed."""
    desk.server.on("/time", b"1795348800")
    await desk.account.server_time()
    desk.on_order(hang_up())
    assert isinstance(await desk.submit(), Unknown)
    assert desk.posts == 1


async def test_time_out_is_unknown_and_sent_once(tmp_path: Path) -> None:
    """The order may be there although nobody said so."""
    async with live_desk(tmp_path, order_timeout_s=0.2) as desk:
        await desk.exchange.warm()
        desk.on_order(silence(desk.server))
        assert isinstance(await desk.submit(), Unknown)
        assert desk.posts == 1


async def test_no_connection_is_proof_that_nothing_left(tmp_path: Path) -> None:
    """The venue is gone between login and order: not one byte of it can have arrived."""
    async with live_desk(tmp_path) as desk:
        await desk.exchange.warm()
        await desk.client.aclose()
        desk.client._url = "http://127.0.0.1:1"
        result = await desk.submit()
        assert isinstance(result, Rejected)
        assert result.reason.startswith("not sent: no connection")
        assert desk.posts == 0
        desk.client._url = desk.server.url
        desk.on_order(accepts())
        assert isinstance(await desk.submit(), Accepted)


@pytest.mark.parametrize(
    ("state", "time_in_force", "is_resting"),
    [
        ("live", TimeInForce.GTC, True),
        ("matched", TimeInForce.GTC, True),
        ("matched", TimeInForce.FAK, False),
        ("delayed", TimeInForce.FAK, False),
        ("delayed", TimeInForce.FOK, False),
    ],
)
async def test_accepted_order_has_the_id_that_was_computed(
    desk: LiveDesk, state: str, time_in_force: TimeInForce, is_resting: bool
) -> None:
    """The venue's id is the EIP-712 hash; no fill is believed before a trade shows it."""
    desk.on_order(accepts(state))
    order = (
        build_resting_order() if time_in_force.rests else build_order(time_in_force=time_in_force)
    )
    prepared = desk.prepare(order)
    result = await desk.exchange.submit(prepared)
    assert result == Accepted(order_id=prepared.order_id, is_resting=is_resting)
    assert desk.posts == 1


async def test_post_carries_the_bytes_that_are_authenticated(desk: LiveDesk) -> None:
    """Header, HMAC, owner and type, as the official client sends them."""
    desk.on_order(accepts())
    prepared = desk.prepare(
        build_resting_order(
            time_in_force=TimeInForce.GTD, expires_at=NOW + timedelta(hours=1), is_post_only=True
        )
    )
    await desk.exchange.submit(prepared)
    request = desk.server.requests[-1]
    raw = await request.read()
    sent = json.loads(raw)
    assert (sent["orderType"], sent["postOnly"]) == ("GTD", True)
    assert sent["owner"] == CREDENTIALS["apiKey"]
    assert sent["order"]["expiration"] == str(int((NOW + timedelta(hours=1)).timestamp()))
    credentials = await desk.client.credentials()
    timestamp_s = int(NOW.timestamp())
    assert request.headers["POLY_TIMESTAMP"] == str(timestamp_s)
    assert request.headers["POLY_SIGNATURE"] == credentials.signature(
        timestamp_s, "POST", "/order", raw
    )
    assert request.headers["Content-Type"] == "application/json"


async def test_order_that_the_venue_cannot_express_is_not_even_prepared(desk: LiveDesk) -> None:
    """Its decimals leave nothing: no id, no intent, no request."""
    with pytest.raises(DataError, match="cannot express"):
        desk.prepare(build_order(budget_usdc=usdc("0.001")))
    assert desk.posts == 0


# Restrictions -----------------------------------------------------------------------------------

RESTRICTED = [
    (says(425, "matching engine is restarting", retry_after_seconds=79), "restarting", 79),
    (body(b"", status=425), "restarting", 90),
    (
        body(
            {"error_msg": "post-only mode: only post-only orders and cancels are allowed",
             "code": "post_only_mode", "retry_after_seconds": 120},
            status=503,
        ),
        "post-only",
        120,
    ),
    (says(503, "Trading is currently cancel-only. New orders are not accepted"), "cancel-only", 60),
    (says(503, "Trading is currently disabled."), "disabled", 60),
    (body(b"", status=429, headers={"Retry-After": "7"}), "rate-limited", 7),
    (body(b"", status=429, headers={"Retry-After": "86400"}), "rate-limited", 60),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "name", "wait_s"), RESTRICTED, ids=range(len(RESTRICTED)))
async def test_restriction_stops_takers_until_its_time_has_passed(
    desk: LiveDesk, tmp_path: Path, answer: Answer, name: str, wait_s: int
) -> None:
    """Also those of other processes of the same home; then orders go again."""
    desk.on_order(answer, accepts())
    first = await desk.submit()
    assert isinstance(first, Rejected)
    assert not first.must_halt
    active = desk.memory.restriction(at=NOW)
    assert active is not None
    assert (active.restriction, active.until) == (name, NOW + timedelta(seconds=wait_s))
    async with live_desk(tmp_path, server=desk.server) as other:
        other.later(wait_s - 1)
        stopped = await other.submit()
        assert isinstance(stopped, Rejected)
        assert stopped.reason.startswith("not sent: restricted until")
        assert desk.posts == 1
        other.later(1)
        assert isinstance(await other.submit(), Accepted)
    assert desk.posts == 2


async def test_post_only_mode_takes_post_only_orders(desk: LiveDesk) -> None:
    """Makers go on, takers wait."""
    desk.memory.restrict(Restriction.POST_ONLY, until=NOW + timedelta(minutes=2))
    desk.on_order(accepts("live"))
    assert isinstance(await desk.submit(build_resting_order()), Rejected)
    assert isinstance(await desk.submit(build_resting_order(is_post_only=True)), Accepted)
    assert desk.posts == 1


async def test_cancels_go_on_while_takers_are_stopped(desk: LiveDesk) -> None:
    """A cancel-only venue is asked to cancel."""
    desk.memory.restrict(Restriction.CANCEL_ONLY, until=NOW + timedelta(minutes=1))
    prepared = desk.prepare(build_resting_order())
    desk.on_order({"canceled": [prepared.order_id], "not_canceled": {}})
    desk.show(prepared, status="CANCELED")
    report = await desk.exchange.cancel(record_of(prepared, OrderStatus.RESTING))
    assert report.status is OrderStatus.UNFILLED
    (cancel,) = (one for one in desk.server.requests if one.method == "DELETE")
    assert json.loads(await cancel.read()) == {"orderID": prepared.order_id}


# Credentials ------------------------------------------------------------------------------------


async def test_login_happens_once_for_many_orders(desk: LiveDesk) -> None:
    """Each later order is one round trip."""
    desk.on_order(accepts())
    for _ in range(3):
        assert isinstance(await desk.submit(), Accepted)
    assert len(desk.server.asked("/auth/api-key")) == 1


async def test_credentials_that_exist_are_derived(desk: LiveDesk) -> None:
    """The venue may refuse to make them a second time."""
    desk.server.on("/auth/api-key", says(400, "Could not create api key"))
    desk.server.on("/auth/derive-api-key", CREDENTIALS)
    desk.on_order(accepts())
    assert isinstance(await desk.submit(), Accepted)


async def test_refused_credentials_are_derived_again_once_and_no_order_is_resent(
    desk: LiveDesk,
) -> None:
    """A second refusal in a row is a person's to mend."""
    desk.on_order(says(401, "Unauthorized/Invalid api key"))
    first = await desk.submit()
    assert isinstance(first, Rejected)
    assert not first.must_halt
    assert desk.posts == 1
    second = await desk.submit()
    assert isinstance(second, Rejected)
    assert second.must_halt
    assert desk.posts == 2
    assert len(desk.server.asked("/auth/api-key")) == 2


async def test_refusal_after_success_starts_over(desk: LiveDesk) -> None:
    """Credentials that work for hours and lapse again are derived again."""
    refuse = says(401, "Unauthorized/Invalid api key")
    desk.on_order(refuse, accepts(), refuse, accepts())
    results = [await desk.submit() for _ in range(4)]
    assert [type(one) for one in results] == [Rejected, Accepted, Rejected, Accepted]
    assert not any(isinstance(one, Rejected) and one.must_halt for one in results)


@pytest.mark.parametrize(
    "answer",
    [hang_up(), says(401, "Invalid L1 Request headers"), body(b"[]"), body(b"", status=500)],
)
async def test_order_without_login_does_not_leave(desk: LiveDesk, answer: Answer) -> None:
    """Rejected, with proof: nothing was sent."""
    desk.server.on("/auth/api-key", answer)
    result = await desk.submit()
    assert isinstance(result, Rejected)
    assert result.reason.startswith("not sent: ")
    assert desk.posts == 0


async def test_malformed_login_shows_no_secret(desk: LiveDesk) -> None:
    """Its answer holds credentials, whatever its shape."""
    desk.server.on("/auth/api-key", {"apiKey": "x", "secret": "hunter2", "passphrase": 7})
    result = await desk.submit()
    assert isinstance(result, Rejected)
    assert "hunter2" not in result.reason


# The first order --------------------------------------------------------------------------------


async def test_first_order_goes_alone_until_the_venue_showed_its_id(
    desk: LiveDesk, tmp_path: Path
) -> None:
    """Its answer was lost: nobody sends a second one, in any process, until it is found."""
    desk.on_order(hang_up(), accepts())
    first = desk.prepare()
    assert isinstance(await desk.exchange.submit(first), Unknown)
    async with live_desk(tmp_path, server=desk.server) as other:
        stopped = await other.submit()
        assert isinstance(stopped, Rejected)
        assert first.order_id in stopped.reason
        assert desk.posts == 1
        desk.show(first, status="LIVE")
        await other.exchange.look_up(record_of(first))
        assert isinstance(await other.submit(), Accepted)
    assert isinstance(await desk.submit(), Accepted)


async def test_first_order_under_another_id_stops_everything(desk: LiveDesk) -> None:
    """Our ids cannot be relied on: the result names the other one, and no second order leaves."""
    other = "0x" + "ee" * 32
    desk.on_order(accepts(orderID=other))
    result = await desk.submit()
    assert isinstance(result, Unknown)
    assert result.order_id == other
    assert isinstance(await desk.submit(), Rejected)
    assert desk.posts == 1


async def test_refused_first_order_lets_the_next_one_be_the_first(desk: LiveDesk) -> None:
    """It showed nothing about ids, and it does not exist."""
    desk.on_order(says(400, "not enough balance / allowance"), hang_up(), accepts())
    assert isinstance(await desk.submit(), Rejected)
    assert isinstance(await desk.submit(), Unknown)
    assert isinstance(await desk.submit(), Rejected)
    assert desk.posts == 2


async def test_first_order_that_never_arrived_is_forgotten(desk: LiveDesk) -> None:
    """Once that is proved, the next one is checked instead."""
    desk.on_order(hang_up(), accepts())
    first = desk.prepare()
    await desk.exchange.submit(first)
    desk.later(600)
    desk.show(first)
    report = await desk.exchange.look_up(record_of(first))
    assert report.status is OrderStatus.NEVER_ARRIVED
    assert isinstance(await desk.submit(), Accepted)


async def test_each_kind_of_wallet_and_exchange_is_checked(desk: LiveDesk) -> None:
    """An id that is right for one exchange proves nothing for another."""
    desk.on_order(accepts())
    await desk.submit()
    names = [path.name for path in (desk.home / "venue").glob("canary*")]
    assert names == ["canary-0-3.json"]


async def test_home_that_cannot_be_written_sends_nothing(tmp_path: Path) -> None:
    """The first order could not be checked."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    async with live_desk(blocked) as desk:
        desk.on_order(accepts())
        result = await desk.submit()
        assert isinstance(result, Rejected)
        assert "cannot be written" in result.reason
        assert desk.posts == 0


@pytest.mark.parametrize("answer", [hang_up(), cut_off(b"{"), body(b"", status=500), says(401, "")])
async def test_no_traceback_shows_credentials(desk: LiveDesk, answer: Answer) -> None:
    """With the local variables of every frame, as error pages print them."""
    await desk.exchange.warm()
    desk.server.on("/data/orders", answer)
    with pytest.raises(PolybotError) as failed:
        await desk.account.open_orders()
    shown = "".join(
        traceback.TracebackException.from_exception(failed.value, capture_locals=True).format()
    )
    assert CREDENTIALS["secret"] not in shown
    assert CREDENTIALS["passphrase"] not in shown
