"""An order that was signed before it is sent is the same order."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from polybot.domain.orders import Accepted, OrderId
from polybot.errors import PermanentError
from tests.live_desk import LiveDesk, accepts, live_desk


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[LiveDesk]:
    async with live_desk(tmp_path) as opened:
        yield opened


async def sent(desk: LiveDesk) -> list[bytes]:
    orders = [one for one in desk.server.requests if (one.method, one.path) == ("POST", "/order")]
    return [await one.read() for one in orders]


@pytest.mark.parametrize("is_logged_in", [False, True])
async def test_signing_ahead_changes_no_byte(desk: LiveDesk, *, is_logged_in: bool) -> None:
    """Also before the login, when the owner of the API key is not known yet."""
    if is_logged_in:
        await desk.exchange.warm()
    prepared = desk.prepare()
    desk.on_order(accepts())
    desk.exchange.sign(prepared)
    assert isinstance(await desk.exchange.submit(prepared), Accepted)
    assert isinstance(await desk.exchange.submit(prepared), Accepted)
    ahead, plain = await sent(desk)
    assert ahead == plain


async def test_other_order_than_the_one_signed_ahead_is_signed_anew(desk: LiveDesk) -> None:
    first, second = desk.prepare(), desk.prepare()
    desk.on_order(accepts())
    desk.exchange.sign(first)
    result = await desk.exchange.submit(second)
    assert isinstance(result, Accepted)
    assert result.order_id == second.order_id
    (only,) = await sent(desk)
    assert str(second.wire["salt"]).encode() in only


async def test_order_whose_record_is_not_its_own_is_not_signed(desk: LiveDesk) -> None:
    """What was made durable decides, not what was prepared last."""
    prepared = desk.prepare()
    other = replace(prepared, order_id=OrderId("0x" + 64 * "1"))
    with pytest.raises(PermanentError, match="give another id"):
        desk.exchange.sign(other)
    assert desk.posts == 0
