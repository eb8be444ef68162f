"""Every answer to an order has one meaning, and nothing unproved is a refusal; and what is sent."""

import json
from datetime import timedelta
from random import Random, SystemRandom
from typing import Any

import pytest

from polybot.adapters.polymarket.order_wire import (
    OtherOrder,
    Placed,
    PlacedState,
    Undecided,
    build_order_body,
    read_order_answer,
    unanswered,
)
from polybot.adapters.polymarket.signing import OrderSigner
from polybot.domain.orders import Accepted, Side, TimeInForce, Unknown
from tests.order_answers import ACCEPTED, FAK_KILLED, NOW, OURS, POST_ONLY, read, without
from tests.order_cases import TEST_KEY, Secret, combinations, random_fields

OTHER = "0x" + "cd" * 32


# Accepted ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", list(PlacedState))
@pytest.mark.parametrize("time_in_force", list(TimeInForce))
def test_accepted_orders_rest_only_where_they_may(
    state: PlacedState, time_in_force: TimeInForce
) -> None:
    """A killed rest is never taken for one that waits in the book."""
    answer = read(200, {**ACCEPTED, "status": state.value}, time_in_force)
    result = Accepted(order_id=OURS, is_resting=time_in_force.rests)
    assert answer == Placed(result=result, state=state, trade_ids=())


@pytest.mark.parametrize(
    ("making", "taking"), [("3200000", "40000000"), ("3.2", "40"), ("", ""), (None, 7)]
)
def test_amounts_of_any_unit_change_nothing(making: object, taking: object) -> None:
    """Base units and decimals were both seen; fills come from trades."""
    body = {**ACCEPTED, "status": "matched", "makingAmount": making, "takingAmount": taking}
    assert isinstance(read(200, {**body, "tradeIDs": ["6f6b-1"]}), Placed)
    assert isinstance(read(200, without(without(body, "makingAmount"), "takingAmount")), Placed)


def test_trades_of_the_answer_are_named() -> None:
    """Malformed ones are left out: they come again through the trades."""
    answer = read(200, {**ACCEPTED, "status": "matched", "tradeIDs": ["a-1", 7, "b 2", "c-3"]})
    assert isinstance(answer, Placed)
    assert answer.trade_ids == ("a-1", "c-3")


@pytest.mark.parametrize("value", [None, "a-1", {"a": 1}])
def test_trade_ids_of_another_type_are_none(value: object) -> None:
    """They decide nothing."""
    answer = read(200, {**ACCEPTED, "status": "matched", "tradeIDs": value})
    assert isinstance(answer, Placed)
    assert answer.trade_ids == ()


def test_our_id_in_capitals_is_our_id() -> None:
    """Hexadecimal has no case."""
    assert isinstance(read(200, {**ACCEPTED, "orderID": "0x" + "AB" * 32}), Placed)


# Unknown ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, {**ACCEPTED, "status": "unmatched"}),
        (200, {**ACCEPTED, "status": "LIVE"}),
        (200, {**ACCEPTED, "status": "surprise"}),
        (200, {**ACCEPTED, "status": ["live"]}),
        (200, {**ACCEPTED, "success": False}),
        (200, {**ACCEPTED, "success": "true"}),
        (200, {**ACCEPTED, "success": 1}),
        (200, {**ACCEPTED, "errorMsg": "something odd"}),
        (200, {**ACCEPTED, "errorMsg": None}),
        (200, {**ACCEPTED, "orderID": ""}),
        (200, {**ACCEPTED, "orderID": 12}),
        (200, {**ACCEPTED, "orderID": "", "success": False}),
        (200, {**ACCEPTED, "orderID": "", "errorMsg": f"order {OURS} is invalid. Duplicated."}),
        (200, {**ACCEPTED, "error": "not enough balance / allowance"}),
        (200, {"success": "no", "orderID": "", "errorMsg": "not enough balance / allowance"}),
        (300, {**ACCEPTED}),
        (400, {"success": True, "error": "not enough balance / allowance"}),
        (401, {"success": True}),
        (403, {"orderID": OURS}),
        (400, {"error": f"order {OURS} is invalid. Duplicated."}),
        (400, {"error": "Duplicated"}),
        (400, {"error": "order match delayed due to market conditions"}),
        (400, {"error": "order timed out"}),
        (400, {}),
        (400, {"error": ""}),
        (400, {"error": {"text": "nested"}}),
        (400, {"error": "not enough balance / allowance", "orderID": OURS}),
        (400, {**ACCEPTED}),
        (401, {**ACCEPTED}),
        (404, {}),
        (408, {"error": "not enough balance / allowance"}),
        (409, {"error": "conflict"}),
        (500, {"error": "order timed out"}),
        (500, {"error": "could not run the execution"}),
        (500, {"error": "not enough balance / allowance"}),
        (500, {"error": POST_ONLY, "code": "post_only_mode"}),
        (502, {}),
        (503, {}),
        (503, {"error": "service unavailable"}),
        (504, {}),
        (302, {}),
        (100, {}),
    ],
)
def test_what_proves_nothing_is_unknown(status: int, body: dict[str, object]) -> None:
    """The order may exist: it keeps its reservation and is looked up."""
    answer = read(status, body)
    assert isinstance(answer, Undecided), answer
    assert isinstance(answer.result, Unknown)
    assert answer.result.order_id == OURS
    assert answer.result.reason


@pytest.mark.parametrize("key", ["success", "errorMsg", "orderID", "status"])
def test_missing_field_is_unknown(key: str) -> None:
    """Half an acceptance is none."""
    assert isinstance(read(200, without(ACCEPTED, key)), Undecided)


@pytest.mark.parametrize("status", [200, 400, 404, 500, 502, 503])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><h1>502 Bad Gateway</h1></html>",
        json.dumps(ACCEPTED).encode()[:-10],
        b'{"error":"not enough bal',
        b'["live"]',
        b'"order"',
        b"null",
        b"NaN",
        b'{"error":"x","retry_after_seconds":NaN}',
        b'{"error":"not enough balance","error":"other"}',
        b"\xff\xfe",
        b"\xef\xbb\xbf" + json.dumps(ACCEPTED).encode(),
        json.dumps(ACCEPTED).encode("utf-16"),
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"error":"' + b"x" * 70_000 + b'"}',
        b'{"n":' + b"9" * 5_000 + b"}",
    ],
)
def test_body_that_cannot_be_read_is_unknown(status: int, body: bytes) -> None:
    """HTML, nothing, cut off, repeated keys, not UTF-8, nested or long beyond reason."""
    answer = read_order_answer(OURS, TimeInForce.FAK, status=status, headers={}, body=body, now=NOW)
    assert isinstance(answer, Undecided), answer


def test_acceptance_cut_at_any_byte_is_unknown() -> None:
    """The connection broke while the answer came."""
    whole = json.dumps(ACCEPTED).encode()
    for length in range(len(whole)):
        answer = read_order_answer(
            OURS, TimeInForce.FAK, status=200, headers={}, body=whole[:length], now=NOW
        )
        assert isinstance(answer, Undecided)


def test_no_answer_is_unknown() -> None:
    """Time-outs and broken connections."""
    answer = unanswered(OURS, "time-out after 10 s")
    assert answer.result == Unknown(order_id=OURS, reason="time-out after 10 s")


# Another order ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, {**ACCEPTED, "orderID": OTHER}),
        (200, {**ACCEPTED, "orderID": "0xdead"}),
        (200, {**ACCEPTED, "orderID": OURS + "\n"}),
        (200, {**ACCEPTED, "orderID": OTHER, "status": "unmatched"}),
        (400, {"error": f"order {OTHER} is invalid. Duplicated."}),
        (400, {"error": f"order {OTHER} is invalid. Price (0.5) breaks minimum tick size rule"}),
        (500, {"orderID": OTHER}),
    ],
)
def test_answer_about_another_order_is_told_apart(status: int, body: dict[str, object]) -> None:
    """The venue computes another id than we do: nothing may be sent until that is understood."""
    answer = read(status, body)
    assert isinstance(answer, OtherOrder), answer
    assert answer.expected_id == OURS
    assert answer.result.order_id != OURS


# Hostile ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["a\nlevel=error forged", "\x1b[31mred", "\u202egnp", "\ud800", "x" * 60_000, "\x00", "{0}%s"],
)
@pytest.mark.parametrize("status", [200, 400, 401, 500, 503])
def test_reasons_are_short_printable_lines(text: str, status: int) -> None:
    """The reason goes to the ledger, the log and the phone."""
    body = json.dumps({**ACCEPTED, "orderID": "", "errorMsg": text}).encode()
    answer = read_order_answer(OURS, TimeInForce.FAK, status=status, headers={}, body=body, now=NOW)
    assert not isinstance(answer, Placed)
    reason = answer.result.reason
    assert len(reason) <= 220
    assert reason.isascii()
    assert reason.isprintable()


def test_mutated_answers_never_raise_and_never_accept_another_order() -> None:
    """Random bytes changed, removed and doubled in real answers."""
    seed = SystemRandom().getrandbits(32)
    random = Random(seed)
    bodies = [ACCEPTED, {"error": FAK_KILLED}, {"error": POST_ONLY, "retry_after_seconds": 9}]
    for _ in range(20_000):
        body = bytearray(json.dumps(random.choice(bodies)).encode())
        for _ in range(random.randrange(1, 6)):
            at = random.randrange(len(body))
            body[at : at + random.randrange(3)] = random.randbytes(random.randrange(3))
        status = random.choice((200, 201, 400, 401, 404, 425, 429, 500, 503))
        answer = read_order_answer(
            OURS,
            random.choice(list(TimeInForce)),
            status=status,
            headers={"Retry-After": random.choice(("", "1", "x"))},
            body=bytes(body),
            now=NOW + timedelta(seconds=random.random()),
        )
        if isinstance(answer, Placed):
            assert answer.result.order_id == OURS, f"seed {seed}: {body!r}"
            assert json.loads(body)["orderID"].lower() == OURS, f"seed {seed}: {body!r}"


# The request ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("domain", "side", "kind"), combinations()[:3])
def test_body_is_compact_json_in_the_clients_order(domain: Any, side: Side, kind: Any) -> None:
    """The HMAC covers these very bytes."""
    signer = OrderSigner(Secret(TEST_KEY))
    random = SystemRandom()
    for _ in range(50):
        signed = signer.sign(random_fields(random, domain, side, kind))
        body = build_order_body(signed, owner="00000000-0000-0000-0000-000000000001")
        found = json.loads(body)
        assert json.dumps(found, separators=(",", ":")).encode() == body
        assert list(found["order"]) == sorted(found["order"])
        assert type(found["order"]["salt"]) is int
        assert ("postOnly" in found) is signed.fields.is_post_only


@pytest.mark.parametrize("owner", ["", 'a"', "a b", "a" * 65, "a\n", "é"])
def test_owner_that_would_need_escaping_is_refused(owner: str) -> None:
    """It is the only text that comes from settings."""
    signed = OrderSigner(Secret(TEST_KEY)).sign(random_fields(SystemRandom(), *combinations()[0]))
    with pytest.raises(ValueError, match="owner"):
        build_order_body(signed, owner=owner)
