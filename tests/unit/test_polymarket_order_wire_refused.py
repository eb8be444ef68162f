"""Refusals of the venue's tables name their cause, and restrictions how long they last."""

import json

import pytest

from polybot.adapters.polymarket.answers import RefusalCause, Restriction
from polybot.adapters.polymarket.order_wire import Refused, Restricted, read_order_answer
from polybot.domain.orders import Rejected, TimeInForce
from tests.order_answers import ACCEPTED, FAK_KILLED, NOW, OURS, POST_ONLY, read

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
