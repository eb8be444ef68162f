"""What the venue says of our account is believed whole or not at all."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from polybot.adapters.polymarket import wire
from polybot.adapters.polymarket.order_wire import Undecided, read_order_answer
from polybot.adapters.polymarket.user_stream import OrderSeen, TradesSeen, Unreadable, UserStream
from polybot.domain.orders import TimeInForce
from polybot.errors import DataError
from tests.builders import NOW
from tests.live_desk import FUNDER
from tests.payloads import encoded
from tests.unit.bad_account_answers import CASES, FRAMES, GOOD, ORDER_ID
from tests.unit.bad_answers import not_json, shapeless

PARSERS: dict[str, Callable[[bytes], object]] = {
    "order": lambda body: wire.parse_order(body, ORDER_ID),
    "orders": wire.parse_order_page,
    "own-trades": lambda body: wire.parse_own_trade_page(body, funder=FUNDER),
    "balance": wire.parse_balance,
    "closed-only": wire.parse_closed_only,
    "cancel": wire.parse_cancellation,
    "redeemable": wire.parse_redeemable_page,
}
ACCEPTED = {"success": True, "errorMsg": "", "orderID": ORDER_ID, "status": "matched"}
UNREAD = [*not_json("answer", encoded(ACCEPTED)), *shapeless("answer", "")]


def read_frame(text: str) -> list[Any]:
    """Return the events of one text frame; no socket is opened."""
    stream = UserStream("ws://127.0.0.1:9", None, funder=FUNDER)  # type: ignore[arg-type]
    return stream._read(text)


@pytest.mark.parametrize(
    ("parser", "body", "reason"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_bad_account_answer_is_refused_with_its_reason(
    parser: str, body: bytes, reason: str
) -> None:
    """By a stable slug, and with one short printable line."""
    with pytest.raises(DataError) as caught:
        PARSERS[parser](body)
    assert caught.value.reason == reason
    assert str(caught.value).isprintable()
    assert str(caught.value).isascii()
    assert len(str(caught.value)) <= 200


@pytest.mark.parametrize("frame", [each[1] for each in FRAMES], ids=[each[0] for each in FRAMES])
def test_bad_frame_tells_nothing_but_to_read_again(frame: str) -> None:
    """No order and no trade is seen in it, not even in part."""
    (event,) = read_frame(frame)
    assert isinstance(event, Unreadable)
    assert event.reason.isprintable()
    assert len(event.reason) <= 200


@pytest.mark.parametrize("status", [200, 201, 400, 500])
@pytest.mark.parametrize("body", [case[2] for case in UNREAD], ids=[case[0] for case in UNREAD])
def test_order_answer_that_cannot_be_read_leaves_the_order_unknown(
    status: int, body: bytes
) -> None:
    """Whatever its HTTP status claims."""
    answer = read_order_answer(
        ORDER_ID, TimeInForce.FAK, status=status, headers={}, body=body, now=NOW
    )
    assert isinstance(answer, Undecided)
    assert answer.result.order_id == ORDER_ID
    assert answer.result.reason.isprintable()
    assert len(answer.result.reason) <= 400


def test_account_corpus_is_large_and_its_names_are_unique() -> None:
    names = [name for name, *_ in (*CASES, *FRAMES)]
    assert len(names) == len(set(names))
    assert len(CASES) >= 300
    assert len(FRAMES) >= 150


def test_account_corpus_differs_from_what_is_accepted() -> None:
    """The payloads that the cases break are sound themselves, as answers and as frames."""
    for name, payload in GOOD.items():
        assert PARSERS[name](encoded(payload)) is not None
    (order,) = read_frame(json.dumps({"event_type": "order", **GOOD["order"]}))
    (trade,) = read_frame(json.dumps({"event_type": "trade", **GOOD["own-trades"]["data"][0]}))
    assert isinstance(order, OrderSeen)
    assert isinstance(trade, TradesSeen)
