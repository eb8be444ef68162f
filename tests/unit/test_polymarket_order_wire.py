"""Every answer of the venue's tables has one meaning, and nothing unproved is a refusal."""

import json
from datetime import UTC, datetime, timedelta
from random import Random, SystemRandom
from typing import Any

import pytest

from polybot.adapters.polymarket.answers import RefusalCause, Restriction
from polybot.adapters.polymarket.order_wire import (
    OtherOrder,
    Placed,
    PlacedState,
    Refused,
    Restricted,
    Undecided,
    VenueAnswer,
    build_order_body,
    read_order_answer,
    unanswered,
)
from polybot.adapters.polymarket.signing import OrderSigner
from polybot.domain.orders import Accepted, OrderId, Rejected, Side, TimeInForce, Unknown
from tests.order_cases import TEST_KEY, Secret, combinations, random_fields

OURS = OrderId("0x" + "ab" * 32)
OTHER = "0x" + "cd" * 32
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ACCEPTED: dict[str, Any] = {
    "success": True,
    "errorMsg": "",
    "orderID": OURS,
    "status": "live",
    "makingAmount": "0",
    "takingAmount": "0",
    "transactionsHashes": [],
    "tradeIDs": [],
}
POST_ONLY = "post-only mode: only post-only orders and cancels are allowed"
FAK_KILLED = (
    "no orders found to match with FAK order. FAK orders are partially filled or killed if no "
    "match is found."
)


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


# Refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "text", "cause"),
    [
        (400, "not enough balance / allowance", RefusalCause.BALANCE),
        (
            400,
            "not enough balance / allowance: the balance is not enough -> balance: 0, order "
            "amount: 5000000",
            RefusalCause.BALANCE,
        ),
        (
            400,
            f"order {OURS} is invalid. Price (0.505) breaks minimum tick size rule: 0.01",
            RefusalCause.TICK,
        ),
        (
            400,
            f"order {OURS} is invalid. Size (1.73) lower than the minimum: 5",
            RefusalCause.MINIMUM,
        ),
        (
            400,
            "invalid amount for a marketable BUY order ($0.17), min size: $1",
            RefusalCause.MINIMUM,
        ),
        (
            400,
            "invalid amounts, the market buy orders maker amount supports a max accuracy of 2 "
            "decimals, taker amount a max of 4 decimals",
            RefusalCause.PRECISION,
        ),
        (
            400,
            "order couldn't be fully filled. FOK orders are fully filled or killed.",
            RefusalCause.NOT_FILLED,
        ),
        (400, FAK_KILLED, RefusalCause.NOT_FILLED),
        (400, "invalid post-only order: order crosses book", RefusalCause.CROSSES_BOOK),
        (400, f"order {OURS} crosses the book", RefusalCause.CROSSES_BOOK),
        (400, "order_version_mismatch", RefusalCause.VERSION),
        (
            400,
            "maker address not allowed, please use the deposit wallet flow",
            RefusalCause.CONFIGURATION,
        ),
        (
            400,
            "the order signer address has to be the address of the API KEY",
            RefusalCause.CONFIGURATION,
        ),
        (
            400,
            "the order owner has to be the owner of the API KEY",
            RefusalCause.CONFIGURATION,
        ),
        (400, "invalid expiration", RefusalCause.EXPIRATION),
        (400, "invalid nonce", RefusalCause.NONCE),
        (400, "the market is not yet ready to process new orders", RefusalCause.NOT_READY),
        (400, "words that nobody has seen", RefusalCause.OTHER),
        (401, "Unauthorized/Invalid api key", RefusalCause.UNAUTHORIZED),
        (401, "", RefusalCause.UNAUTHORIZED),
        (403, "Trading restricted in your region", RefusalCause.FORBIDDEN),
        (403, "", RefusalCause.FORBIDDEN),
        (404, "No orderbook exists for the requested token id", RefusalCause.MARKET_CLOSED),
        (404, "market not found", RefusalCause.MARKET_CLOSED),
    ],
)
@pytest.mark.parametrize("key", ["error", "error_msg", "errorMsg"])
def test_refusals_name_their_cause(status: int, text: str, cause: RefusalCause, key: str) -> None:
    """Row by row of the table of errors, under each name that the error was seen under."""
    answer = read(status, {key: text} if text else {})
    assert isinstance(answer, Refused), answer
    assert answer.cause is cause
    assert answer.result.order_id == OURS
    assert answer.result.reason.startswith(f"HTTP {status}")


@pytest.mark.parametrize("success", [True, False])
def test_success_without_id_is_a_refusal_with_its_reason(success: bool) -> None:
    """Some refusals come with 200 and the words alone."""
    answer = read(200, {**ACCEPTED, "success": success, "orderID": "", "errorMsg": FAK_KILLED})
    assert isinstance(answer, Refused)
    assert answer.cause is RefusalCause.NOT_FILLED


@pytest.mark.parametrize("status", [401, 403])
def test_refusal_at_the_door_needs_no_body(status: int) -> None:
    """The edge answers with HTML; the engine has not seen the order."""
    answer = read_order_answer(
        OURS, TimeInForce.FAK, status=status, headers={}, body=b"<html>1010</html>", now=NOW
    )
    assert isinstance(answer, Refused)


def test_only_a_person_mends_what_halts() -> None:
    """Region, wallet, exchange version and our own decimals; nothing that passes by itself."""
    assert {cause for cause in RefusalCause if cause.must_halt} == {
        RefusalCause.FORBIDDEN,
        RefusalCause.CONFIGURATION,
        RefusalCause.VERSION,
        RefusalCause.PRECISION,
    }


# Restricted -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "restriction", "retry_after_s"),
    [
        (
            425,
            {"error": "matching engine is restarting", "retry_after_seconds": 79},
            Restriction.RESTARTING,
            79,
        ),
        (425, {"error_msg": "matching engine is restarting"}, Restriction.RESTARTING, 90),
        (425, {}, Restriction.RESTARTING, 90),
        (503, {"error": "The Matching Engine is restarting"}, Restriction.RESTARTING, 90),
        (
            503,
            {"error": POST_ONLY, "code": "post_only_mode", "retry_after_seconds": 41},
            Restriction.POST_ONLY,
            41,
        ),
        (503, {"error": POST_ONLY}, Restriction.POST_ONLY, 120),
        (503, {"error_msg": POST_ONLY}, Restriction.POST_ONLY, 120),
        (503, {"error": "x", "code": "post_only_mode"}, Restriction.POST_ONLY, 120),
        (400, {"error": POST_ONLY}, Restriction.POST_ONLY, 120),
        (
            200,
            {**ACCEPTED, "success": False, "orderID": "", "errorMsg": POST_ONLY},
            Restriction.POST_ONLY,
            120,
        ),
        (
            503,
            {"error": "Trading is currently cancel-only. New orders are not accepted."},
            Restriction.CANCEL_ONLY,
            60,
        ),
        (503, {"error": "Trading is currently disabled."}, Restriction.DISABLED, 60),
        (429, {"error": "Too Many Requests"}, Restriction.RATE_LIMITED, 1),
        (429, {}, Restriction.RATE_LIMITED, 1),
    ],
)
def test_restrictions_have_their_kind_and_time(
    status: int, body: dict[str, object], restriction: Restriction, retry_after_s: float
) -> None:
    """The order was refused, and none like it should be sent for a while."""
    answer = read(status, body)
    assert isinstance(answer, Restricted), answer
    assert (answer.restriction, answer.retry_after_s) == (restriction, retry_after_s)
    assert isinstance(answer.result, Rejected)


def test_restrictions_stop_takers_not_cancels() -> None:
    """Only a restarting or disabled engine takes no cancels."""
    stopped = {each for each in Restriction if not each.allows_cancels}
    assert stopped == {Restriction.RESTARTING, Restriction.DISABLED}


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("0.25", 0.25),
        ("-1", 0.0),
        ("1000000000", 60.0),
        ("99999999999999999999", 1.0),
        ("NaN", 1.0),
        ("inf", 1.0),
        ("1e9", 1.0),
        ("７", 1.0),
        ("", 1.0),
        ("soon", 1.0),
        ("Sun, 22 Nov 2026 12:00:09 GMT", 9.0),
        ("Sun, 22 Nov 2026 11:00:00 GMT", 0.0),
        ("Tue, 22 Nov 2050 12:00:00 GMT", 60.0),
        ("Sun, 99 Nov 2026 12:00:00 GMT", 1.0),
        ("Sun, 22 Nov 99999999999 12:00:00 GMT", 1.0),
    ],
)
@pytest.mark.parametrize("name", ["Retry-After", "retry-after"])
def test_retry_after_is_honoured_and_clamped(header: str, seconds: float, name: str) -> None:
    """Seconds or a date, between 0 and a minute; nonsense means the usual wait."""
    answer = read_order_answer(
        OURS, TimeInForce.FAK, status=429, headers={name: header}, body=b"", now=NOW
    )
    assert isinstance(answer, Restricted)
    assert answer.retry_after_s == seconds


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(79, 79.0), (-5, 0.0), (10**9, 600.0), (10**400, 90.0), (True, 90.0), ("79", 90.0)],
)
def test_waiting_time_of_the_body_is_clamped(value: object, seconds: float) -> None:
    """A restart takes minutes at most."""
    answer = read(425, {"error": "restarting", "retry_after_seconds": value})
    assert isinstance(answer, Restricted)
    assert answer.retry_after_s == seconds


def test_header_wins_over_body() -> None:
    """Both are sent; they should agree."""
    body = json.dumps({"error": "x", "retry_after_seconds": 79}).encode()
    answer = read_order_answer(
        OURS, TimeInForce.FAK, status=425, headers={"Retry-After": "30"}, body=body, now=NOW
    )
    assert isinstance(answer, Restricted)
    assert answer.retry_after_s == 30


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


def read(
    status: int, body: dict[str, object], time_in_force: TimeInForce = TimeInForce.FAK
) -> VenueAnswer:
    return read_order_answer(
        OURS, time_in_force, status=status, headers={}, body=json.dumps(body).encode(), now=NOW
    )


def without(body: dict[str, object], key: str) -> dict[str, object]:
    return {name: value for name, value in body.items() if name != key}
