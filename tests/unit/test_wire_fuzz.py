"""Whatever arrives, a wire parser returns a value or raises ``DataError``: never anything else.

``make chaos`` tries more mutations than ``make test`` does, and ``make chaos CHAOS_FORM=long`` very
many; ``POLYBOT_TEST_FUZZ_EXAMPLES`` sets their number.
"""

import json
import os
import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polybot.adapters.polymarket import wire
from polybot.adapters.polymarket.order_wire import (
    OtherOrder,
    Placed,
    Refused,
    Restricted,
    Undecided,
    read_order_answer,
)
from polybot.adapters.polymarket.user_stream import UserStream
from polybot.domain.orders import TimeInForce
from polybot.errors import DataError
from tests import payloads
from tests.builders import NOW
from tests.chaos.forms import chosen_form
from tests.live_desk import FUNDER
from tests.payloads import encoded
from tests.unit.bad_account_answers import GOOD as ACCOUNT
from tests.unit.bad_account_answers import ORDER_ID

FORM = chosen_form()
# Examples do not end by the clock: a slice of the long form tries as many as CI does.
USUAL = {"short": 150, "ci": 2_000, "long": 2_000 if FORM.is_slice else 100_000}
EXAMPLES = int(os.environ.get("POLYBOT_TEST_FUZZ_EXAMPLES", USUAL[FORM.name]))
FUZZ = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
pytestmark = pytest.mark.timeout(300 if FORM.name == "short" else 4 * 3600)

STREAM = UserStream("ws://127.0.0.1:9", None, funder=FUNDER)  # type: ignore[arg-type]
ACCEPTED = {
    "success": True, "errorMsg": "", "orderID": ORDER_ID, "status": "matched",
    "tradeIDs": ["trade-1"], "retry_after_seconds": 3,
}  # fmt: skip
VERDICTS = (Placed, Refused, Restricted, Undecided, OtherOrder)


def read_answer(body: bytes, status: int = 200, wait: str = "5") -> None:
    """Read an order's answer: it never raises, and accepts nothing under another id."""
    answer = read_order_answer(
        ORDER_ID,
        TimeInForce.FAK,
        status=status,
        headers={"Retry-After": wait},
        body=body,
        now=NOW,
    )
    assert isinstance(answer, VERDICTS)
    if isinstance(answer, Placed):
        assert answer.result.order_id == ORDER_ID
        assert 200 <= status < 300
    if isinstance(answer, Restricted):
        assert 0 <= answer.retry_after_s <= 600


def read_frame(body: bytes) -> None:
    """Read a frame of the user socket: it never raises, it reports."""
    # The socket library has refused what is not UTF-8.
    for event in STREAM._read(body.decode("utf-8", "replace")):
        assert getattr(event, "reason", "").isprintable()


PARSERS: dict[str, Callable[[bytes], object]] = {
    "gamma": lambda body: wire.parse_gamma_market(body, payloads.WINDOW),
    "clob": wire.parse_clob_market,
    "book": lambda body: wire.parse_book(
        body, payloads.UP, as_of=payloads.NOW, max_age=timedelta(seconds=120)
    ),
    "trades": lambda body: wire.parse_trade_page(body, payloads.CONDITION, as_of=payloads.NOW),
    "data": lambda body: wire.parse_data_resolution(body, payloads.CONDITION),
    "end": lambda body: wire.parse_gamma_resolution(body, payloads.WINDOW),
    "time": wire.parse_server_time,
    "order": lambda body: wire.parse_order(body, ORDER_ID),
    "orders": wire.parse_order_page,
    "own-trades": lambda body: wire.parse_own_trade_page(body, funder=FUNDER),
    "balance": wire.parse_balance,
    "closed-only": wire.parse_closed_only,
    "cancel": wire.parse_cancellation,
    "redeemable": wire.parse_redeemable_page,
    "answer": read_answer,
    "order-frame": read_frame,
    "trade-frame": read_frame,
}
GOOD: dict[str, Any] = {
    **ACCOUNT,
    "gamma": payloads.gamma_event(beat=77665.5),
    "clob": payloads.clob_market(),
    "book": payloads.book(),
    "trades": payloads.trade_page(payloads.trade(), payloads.trade(size=3.5)),
    "data": payloads.resolution(),
    "end": payloads.gamma_event(**payloads.RESOLVED_GAMMA),
    "time": 1_791_241_560,
    "answer": ACCEPTED,
    "order-frame": [{"event_type": "order", **ACCOUNT["order"]}],
    "trade-frame": {"event_type": "trade", **ACCOUNT["own-trades"]["data"][0]},
}
_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        [
            "NaN", "sNaN", "0x1", "1_0", "-0", "1e400", "1e-400", "9" * 400, "Up", "v1", "", "0.5",
            "٣", "BUY", "MATCHED", "\ud800", "\x00", "LTE=", 10**40, -1, 0, "0", "1e99", 1 << 256,
            0.1, "2026-10-05T23:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z",
            4_102_444_799_999, "0x" + "ab" * 32, "0." + "0" * 39 + "1",
        ]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)  # fmt: skip


def test_every_public_parser_is_fuzzed() -> None:
    """A parser that is added must be added here, too."""
    parsers = {name for name in wire.__all__ if name.startswith("parse_")}
    named = {
        "parse_balance": "balance", "parse_book": "book", "parse_cancellation": "cancel",
        "parse_clob_market": "clob", "parse_closed_only": "closed-only",
        "parse_data_resolution": "data", "parse_gamma_market": "gamma",
        "parse_gamma_resolution": "end", "parse_order": "order", "parse_order_page": "orders",
        "parse_own_trade_page": "own-trades", "parse_redeemable_page": "redeemable",
        "parse_server_time": "time",
        "parse_trade_page": "trades",
    }  # fmt: skip
    assert parsers == set(named)
    assert {*named.values(), "answer", "order-frame", "trade-frame"} == set(PARSERS) == set(GOOD)


@pytest.mark.parametrize("name", sorted(PARSERS))
def test_sound_payloads_are_read(name: str) -> None:
    """What is mutated below is accepted as it is."""
    PARSERS[name](encoded(GOOD[name]))


@pytest.mark.parametrize("name", sorted(PARSERS))
@FUZZ
@given(data=st.data())
def test_any_value_in_any_place(name: str, data: st.DataObject) -> None:
    """Up to three places of a sound payload replaced or dropped."""
    payload = json.loads(json.dumps({"root": GOOD[name]}))
    rng = random.Random(data.draw(st.integers(0, 2**32)))
    for value in data.draw(st.lists(_VALUES, min_size=1, max_size=3)):
        _mutate(payload, rng, value)
    _read_or_refuse(name, json.dumps(payload.get("root")).encode())


@pytest.mark.parametrize("name", sorted(PARSERS))
@FUZZ
@given(data=st.data())
def test_any_damage_to_the_bytes(name: str, data: st.DataObject) -> None:
    """Cut, doubled or overwritten anywhere."""
    body = bytearray(encoded(GOOD[name]))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(body)))
        end = data.draw(st.integers(start, min(len(body), start + 40)))
        body[start:end] = data.draw(st.binary(max_size=12) | st.just(bytes(body[start:end] * 2)))
    _read_or_refuse(name, bytes(body))


@pytest.mark.parametrize("name", sorted(PARSERS))
@FUZZ
@given(body=st.binary(max_size=300) | st.text(max_size=200).map(lambda t: t.encode("utf-8")))
def test_any_bytes_at_all(name: str, body: bytes) -> None:
    """Nothing that was ever an answer."""
    _read_or_refuse(name, body)


@FUZZ
@given(
    status=st.integers(100, 599),
    wait=st.text(max_size=30) | st.sampled_from(["-1", "1e9", "NaN", "99999999999999999999"]),
    text=st.text(max_size=80),
    found=st.dictionaries(st.sampled_from([*ACCEPTED, "error", "code", "status"]), _VALUES),
)
def test_any_status_header_and_words(
    status: int, wait: str, text: str, found: dict[str, Any]
) -> None:
    """No combination raises, and only a sound 2xx answer accepts an order."""
    read_answer(json.dumps(found).encode(), status, wait)
    read_answer(json.dumps({"error": text, **found}).encode(), status, wait)


def _read_or_refuse(name: str, body: bytes) -> None:
    refusal: DataError | None = None
    try:
        PARSERS[name](body)
    except DataError as error:
        refusal = error
    if refusal is not None:
        assert refusal.reason
        assert str(refusal).isprintable()
        assert len(str(refusal)) <= 400


def _mutate(payload: Any, rng: random.Random, value: Any) -> None:
    """Replace one randomly chosen place, or drop it in one case of four."""
    places: list[tuple[Any, Any]] = []

    def collect(node: Any) -> None:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        for key in keys:
            places.append((node, key))
            if isinstance(node[key], (dict, list)):
                collect(node[key])

    collect(payload)
    if not places:
        return
    node, key = rng.choice(places)
    if rng.random() < 0.25:
        del node[key]
    else:
        node[key] = value
