"""Malformed, missing or absurd answers are refused by name, quickly, and never echoed raw."""

import json
import random
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polybot.adapters.polymarket import wire
from polybot.domain.markets import FeeSchedule
from polybot.errors import DataError
from tests import payloads
from tests.payloads import CONDITION, NOW, UP, WINDOW, encoded
from tests.unit.bad_answers import CASES

PARSERS: dict[str, Callable[[bytes], object]] = {
    "gamma": lambda body: wire.parse_gamma_market(body, WINDOW),
    "clob": wire.parse_clob_market,
    "book": lambda body: wire.parse_book(body, UP, as_of=NOW, max_age=timedelta(seconds=120)),
    "trades": lambda body: wire.parse_trade_page(body, CONDITION, as_of=NOW),
    "data": lambda body: wire.parse_data_resolution(body, CONDITION),
    "end": lambda body: wire.parse_gamma_resolution(body, WINDOW),
    "time": wire.parse_server_time,
}
GOOD: dict[str, Any] = {
    "gamma": payloads.gamma_event(beat=77665.5),
    "clob": payloads.clob_market(),
    "book": payloads.book(),
    "trades": payloads.trade_page(payloads.trade(), payloads.trade(size=3.5)),
    "data": payloads.resolution(),
    "end": payloads.gamma_event(**payloads.RESOLVED_GAMMA),
}


@pytest.mark.parametrize(
    ("parser", "body", "reason"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_bad_answer_is_refused_with_its_reason(parser: str, body: bytes, reason: str) -> None:
    """The reason is a stable slug and the message one short printable line."""
    with pytest.raises(DataError) as caught:
        PARSERS[parser](body)
    assert caught.value.reason == reason
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) <= 200


def test_corpus_is_large_and_its_names_are_unique() -> None:
    """A case that replaces another one by its name would go unseen."""
    names = [case[0] for case in CASES]
    assert len(names) == len(set(names)) >= 300


def test_corpus_differs_from_what_is_accepted() -> None:
    """The payloads that the cases break are sound themselves."""
    for name, payload in GOOD.items():
        assert PARSERS[name](encoded(payload)) is not None


@pytest.mark.parametrize(
    ("clob", "reason"),
    [
        ({"c": "0x" + "ab" * 32}, "market-mismatch"),
        ({"v": "v2"}, "market-version"),
        ({"fd": {"r": 0.08, "e": 1, "to": True}}, "fee-schedule"),
        ({"fd": {"r": 0.07, "e": 2, "to": True}}, "fee-schedule"),
        ({"fd": None}, "fee-schedule"),
        ({"nr": True}, "market-mismatch"),
        ({"t.0.o": "Down", "t.1.o": "Up"}, "market-mismatch"),
        ({"t.0.t": "5"}, "market-mismatch"),
    ],
    ids=["condition", "version", "rate", "exponent", "no-fee", "neg-risk", "swapped", "token"],
)
def test_gamma_and_clob_must_not_contradict_each_other(clob: dict[str, Any], reason: str) -> None:
    """Each half is sound by itself; together they describe no market."""
    gamma = wire.parse_gamma_market(encoded(payloads.gamma_event()), WINDOW)
    other = wire.parse_clob_market(encoded(payloads.clob_market(**clob)))
    with pytest.raises(DataError) as caught:
        wire.build_market(gamma, other, fetched_at=NOW)
    assert caught.value.reason == reason


def test_gamma_without_fees_contradicts_a_clob_with_them() -> None:
    """The cheaper word is not simply believed."""
    event = payloads.gamma_event(feesEnabled=False)
    gamma = wire.parse_gamma_market(encoded(event), WINDOW)
    assert gamma.fees == FeeSchedule(rate=gamma.fees.rate * 0, exponent=1)
    clob = wire.parse_clob_market(encoded(payloads.clob_market()))
    with pytest.raises(DataError, match="fee rate 0"):
        wire.build_market(gamma, clob, fetched_at=NOW)


@pytest.mark.parametrize(
    ("gamma", "data"),
    [
        ({"outcomePrices": '["1", "0"]'}, {}),
        ({"outcomePrices": '["0.5", "0.5"]'}, {}),
        ({}, {"resolved_at": "2026-10-05T23:14:59Z"}),
        ({}, {"resolved_at": "2026-10-06T23:16:00Z"}),
        ({"closedTime": "2026-10-05T20:00:00Z"}, {"resolved_at": None}),
    ],
    ids=["other-winner", "void-or-not", "before-the-end", "in-the-future", "closed-before-end"],
)
def test_contradicting_resolutions_settle_nothing(
    gamma: dict[str, Any], data: dict[str, Any]
) -> None:
    """Two sources that differ, or a time that cannot be, stop the settlement."""
    event = payloads.gamma_event(**{**payloads.RESOLVED_GAMMA, **gamma})
    first = wire.parse_gamma_resolution(encoded(event), WINDOW)
    second = wire.parse_data_resolution(encoded(payloads.resolution(**data)), CONDITION)
    with pytest.raises(DataError) as caught:
        wire.agree_on_resolution(first, second, WINDOW, as_of=payloads.after_the_end())
    assert caught.value.reason == "resolution-conflict"


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 1_000_000,
        b'{"a":' * 200_000,
        b'{"data":[' + b"0," * 500_000 + b"0]}",
        b'{"x":"' + b"a" * 1_000_000 + b'"}',
        b'{"x":' + b"9" * 1_000_000 + b"}",
        b'"' + b"\\ud800" * 150_000 + b'"',
        json.dumps({"slug": WINDOW.slug, "markets": [{"slug": i} for i in range(60_000)]}).encode(),
        json.dumps({str(i): i for i in range(60_000)}).encode(),
    ],
    ids=["brackets", "objects", "long-array", "long-text", "digits", "surrogates", "rows", "keys"],
)
@pytest.mark.parametrize("parser", list(PARSERS))
def test_a_megabyte_of_nonsense_is_refused_at_once(parser: str, body: bytes) -> None:
    """The size cap bounds the work: no answer may hold up a run that has a window to meet."""
    started = time.process_time()
    with pytest.raises(DataError):
        PARSERS[parser](body)
    # Measured 1 to 80 ms; the bound leaves room for a busy machine and none for bad algorithms.
    assert time.process_time() - started < 2


def test_hostile_text_is_never_echoed_raw() -> None:
    """Escapes, markup and line breaks of the input come out escaped, and little of them."""
    hostile = "\x1b[31m\n# heading\u202e[x](javascript:alert(1))@everyone" * 50
    for event in (
        payloads.gamma_event(version=hostile),
        payloads.gamma_event(conditionId=hostile),
        payloads.gamma_event(eventStartTime=hostile),
        payloads.gamma_event(orderMinSize=hostile),
        payloads.gamma_event(outcomes=json.dumps([hostile, "Down"])),
        payloads.gamma_event(feeType=hostile),
        {**payloads.gamma_event(), "slug": hostile},
    ):
        with pytest.raises(DataError) as caught:
            wire.parse_gamma_market(encoded(event), WINDOW)
        message = str(caught.value)
        assert message.isascii()
        assert message.isprintable()
        assert len(message) <= 200


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["NaN", "0x1", "1_0", "-0", "1e400", "Up", "v1", "", "0.5", "٣"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@settings(max_examples=400, deadline=None)
@given(
    name=st.sampled_from(sorted(GOOD)),
    seed=st.integers(0, 2**32),
    value=_JSON,
    is_dropped=st.booleans(),
)
def test_mutated_answers_raise_nothing_but_data_errors(
    name: str, seed: int, value: Any, is_dropped: bool
) -> None:
    """Any value in any place of a sound answer is either accepted or refused by name."""
    payload = json.loads(json.dumps(GOOD[name]))
    _mutate(payload, random.Random(seed), value, is_dropped=is_dropped)
    _parse_or_refuse(name, json.dumps(payload).encode())


@settings(max_examples=400, deadline=None)
@given(name=st.sampled_from(sorted(GOOD)), data=st.data())
def test_damaged_bytes_raise_nothing_but_data_errors(name: str, data: st.DataObject) -> None:
    """The same for answers whose bytes were cut, doubled or overwritten."""
    body = bytearray(encoded(GOOD[name]))
    start = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(start, min(len(body), start + 40)))
    body[start:end] = data.draw(st.binary(max_size=12))
    _parse_or_refuse(name, bytes(body))


@given(body=st.binary(max_size=200))
def test_random_bytes_raise_nothing_but_data_errors(body: bytes) -> None:
    """Nor do bytes that were never an answer."""
    for name in GOOD:
        _parse_or_refuse(name, body)


@given(text=st.text(max_size=80))
def test_any_other_text_is_no_condition_id(text: str) -> None:
    """Nothing but hex of two lengths names a market."""
    event = payloads.gamma_event(conditionId=text)
    refusal = _refusal("gamma", encoded(event))
    assert refusal is not None
    assert refusal.reason == "market-malformed"


@given(
    digits=st.text("0123456789abcdefABCDEF", min_size=62, max_size=64).filter(
        lambda t: len(t) != 63
    )
)
def test_every_condition_id_leaves_with_64_digits(digits: str) -> None:
    """Short and long ids, in any case, become one form that can be compared."""
    event = payloads.gamma_event(conditionId="0x" + digits)
    market = wire.parse_gamma_market(encoded(event), WINDOW)
    assert market.condition_id == "0x" + digits.lower().ljust(64, "0")


def _refusal(name: str, body: bytes) -> DataError | None:
    """Return how a parser refuses a body; any other exception fails the test."""
    try:
        PARSERS[name](body)
    except DataError as error:
        return error
    return None


def _parse_or_refuse(name: str, body: bytes) -> None:
    refusal = _refusal(name, body)
    if refusal is not None:
        assert refusal.reason
        assert str(refusal).isprintable()


def _mutate(payload: Any, rng: random.Random, value: Any, *, is_dropped: bool) -> None:
    """Replace or drop one randomly chosen place."""
    places: list[tuple[Any, Any]] = []

    def collect(node: Any) -> None:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        for key in keys:
            places.append((node, key))
            if isinstance(node[key], (dict, list)):
                collect(node[key])

    collect(payload)
    node, key = rng.choice(places)
    if is_dropped:
        del node[key]
    else:
        node[key] = value
