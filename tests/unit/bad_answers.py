"""The corpus of answers that no decision may be based on, each with the reason it must name."""

import json
from typing import Any

from tests import payloads
from tests.payloads import CONDITION, DOWN, DROP, NOW, UP, encoded

NOW_MS = int(NOW.timestamp() * 1000)
NOW_S = NOW_MS // 1000
DEEP = b"[" * 100_000

Case = tuple[str, str, bytes, str]
"""Name, parser, answer, reason."""


def _raw(body: bytes, old: bytes, new: bytes) -> bytes:
    assert old in body, old
    return body.replace(old, new, 1)


def not_json(parser: str, good: bytes) -> list[Case]:
    """Answers that are broken before anybody asks what they are about."""
    head = good[:-1]
    return [
        (f"{parser}-{name}", parser, body, reason)
        for name, body, reason in [
            ("empty", b"", "answer-not-json"),
            ("blank", b" \n ", "answer-not-json"),
            ("html", b"<!DOCTYPE html><html><body>Just a moment", "answer-not-json"),
            ("truncated", good[: len(good) // 2], "answer-not-json"),
            ("last-byte-missing", head, "answer-not-json"),
            ("two-values", good + good, "answer-not-json"),
            ("nul-after", good + b"\x00", "answer-not-json"),
            ("bom", b"\xef\xbb\xbf" + good, "answer-not-json"),
            ("utf-16", good.decode().encode("utf-16"), "answer-encoding"),
            ("bad-utf8-in-skipped-field", head + b',"x":"\xff"}', "answer-encoding"),
            ("raw-control-character", head + b',"x":"\x01"}', "answer-not-json"),
            ("nested-too-deep", DEEP, "answer-not-json"),
            ("deep-in-skipped-field", head + b',"x":' + DEEP, "answer-not-json"),
            ("nan-in-skipped-field", head + b',"x":NaN}', "answer-not-json"),
            ("infinity-in-skipped-field", head + b',"x":-Infinity}', "answer-not-json"),
            ("1e400-in-skipped-field", head + b',"x":1e400}', "answer-not-json"),
            ("1e-400-in-skipped-field", head + b',"x":1e-400}', "answer-not-json"),
            ("exponent-overflow", head + b',"x":1e99999999999999999999}', "answer-not-json"),
            ("5000-digits", head + b',"x":' + b"9" * 5000 + b"}", "answer-not-json"),
            ("hex-number", head + b',"x":0x10}', "answer-not-json"),
            ("leading-zero", head + b',"x":01}', "answer-not-json"),
            ("duplicate-key", head + b',"x":1,"x":2}', "answer-duplicate-keys"),
            ("duplicate-key-inside", head + b',"x":{"y":1,"y":1}}', "answer-duplicate-keys"),
        ]
    ]


_SHAPELESS = [b"null", b"true", b"7", b'"text"', b"[]", b"[{}]", b"{}"]


def shapeless(parser: str, reason: str) -> list[Case]:
    return [(f"{parser}-is-{body.decode()}", parser, body, reason) for body in _SHAPELESS]


def _gamma(name: str, reason: str, **changes: Any) -> Case:
    return (f"gamma-{name}", "gamma", encoded(payloads.gamma_event(**changes)), reason)


def _clob(name: str, reason: str, **changes: Any) -> Case:
    return (f"clob-{name}", "clob", encoded(payloads.clob_market(**changes)), reason)


def _book(name: str, reason: str, **changes: Any) -> Case:
    return (f"book-{name}", "book", encoded(payloads.book(**changes)), reason)


def _trade(name: str, **changes: Any) -> Case:
    body = encoded(payloads.trade_page(payloads.trade(**changes)))
    return (f"trades-{name}", "trades", body, "trades-malformed")


def _data(name: str, reason: str, **changes: Any) -> Case:
    return (f"data-{name}", "data", encoded(payloads.resolution(**changes)), reason)


_M, _X, _V, _F = "market-malformed", "market-mismatch", "market-version", "fee-schedule"
_FEE = {"exponent": 1, "rate": 0.07, "takerOnly": True}
_TWAP = {"asset": "btc", "duration": "15m", "twapEnabled": True, "twapLookbackSeconds": 60}

GAMMA: list[Case] = [
    _gamma("version-missing", _V, version=DROP),
    _gamma("version-null", _V, version=None),
    _gamma("version-v3", _V, version="v3"),
    _gamma("version-upper-case", _V, version="V1"),
    _gamma("version-with-space", _V, version="v1 "),
    _gamma("version-number", _V, version=1),
    _gamma("version-list", _V, version=["v1"]),
    _gamma("fee-type-unknown", _F, feeType="crypto_fees_v3"),
    _gamma("fee-type-of-march", _F, feeType="crypto_fees"),
    _gamma("fee-type-missing", _F, feeType=DROP),
    _gamma("fee-type-number", _F, feeType=2),
    _gamma("fee-schedule-missing", _F, feeSchedule=DROP),
    _gamma("fee-schedule-text", _F, feeSchedule="0.07"),
    _gamma("fee-schedule-list", _F, feeSchedule=[0.07]),
    _gamma("fee-makers-pay-too", _F, feeSchedule={**_FEE, "takerOnly": False}),
    _gamma("fee-taker-only-missing", _F, feeSchedule={"exponent": 1, "rate": 0.07}),
    _gamma("fee-taker-only-text", _F, feeSchedule={**_FEE, "takerOnly": "true"}),
    _gamma("fee-rate-negative", _F, feeSchedule={**_FEE, "rate": -0.07}),
    _gamma("fee-rate-above-one", _F, feeSchedule={**_FEE, "rate": 7}),
    _gamma("fee-rate-nan-text", _F, feeSchedule={**_FEE, "rate": "NaN"}),
    _gamma("fee-rate-bool", _F, feeSchedule={**_FEE, "rate": True}),
    _gamma("fee-exponent-zero", _F, feeSchedule={**_FEE, "exponent": 0}),
    _gamma("fee-exponent-half", _F, feeSchedule={**_FEE, "exponent": 1.5}),
    _gamma("fee-exponent-five", _F, feeSchedule={**_FEE, "exponent": 5}),
    _gamma("fees-enabled-missing", _M, feesEnabled=DROP),
    _gamma("fees-enabled-text", _M, feesEnabled="true"),
    _gamma("slug-of-next-window", _X, slug="btc-updown-15m-1791242100"),
    _gamma("slug-of-other-asset", _X, slug="eth-updown-15m-1791241200"),
    _gamma("slug-number", _X, slug=1791241200),
    _gamma("starts-later", _X, eventStartTime="2026-10-05T23:15:00Z"),
    _gamma("ends-a-second-late", _X, endDate="2026-10-05T23:15:01Z"),
    _gamma("start-in-eastern-time", _M, eventStartTime="2026-10-05T19:00:00-04:00"),
    _gamma("start-without-zone", _M, eventStartTime="2026-10-05T23:00:00"),
    _gamma("start-impossible-date", _M, eventStartTime="2026-02-30T23:00:00Z"),
    _gamma("start-fullwidth-digits", _M, eventStartTime="２０26-10-05T23:00:00Z"),
    _gamma("start-epoch", _M, eventStartTime=1791241200),
    _gamma("start-missing", _M, eventStartTime=DROP),
    _gamma("start-in-year-10000", _M, eventStartTime="10000-10-05T23:00:00Z"),
    _gamma("condition-missing", _M, conditionId=DROP),
    _gamma("condition-63-digits", _M, conditionId=CONDITION[:-1]),
    _gamma("condition-66-digits", _M, conditionId=CONDITION + "00"),
    _gamma("condition-0X", _M, conditionId="0X" + CONDITION[2:]),
    _gamma("condition-without-0x", _M, conditionId=CONDITION[2:]),
    _gamma("condition-not-hex", _M, conditionId="0xg" + CONDITION[3:]),
    _gamma("condition-with-newline", _M, conditionId=CONDITION + "\n"),
    _gamma("outcomes-yes-no", _M, outcomes='["Yes", "No"]'),
    _gamma("outcomes-lower-case", _M, outcomes='["up", "down"]'),
    _gamma("outcomes-fullwidth", _M, outcomes='["Ｕｐ", "Down"]'),
    _gamma("outcomes-twice-up", _M, outcomes='["Up", "Up"]'),
    _gamma("outcomes-three", _M, outcomes='["Up", "Down", "Flat"]'),
    _gamma("outcomes-real-array", _M, outcomes=["Up", "Down"]),
    _gamma("outcomes-not-json", _M, outcomes="Up, Down"),
    _gamma("outcomes-deep", _M, outcomes="[" * 100_000),
    _gamma("tokens-missing", _M, clobTokenIds=DROP),
    _gamma("tokens-real-array", _M, clobTokenIds=[UP, DOWN]),
    _gamma("tokens-equal", _M, clobTokenIds=json.dumps([UP, UP])),
    _gamma("tokens-one", _M, clobTokenIds=json.dumps([UP])),
    _gamma("tokens-three", _M, clobTokenIds=json.dumps([UP, DOWN, "5"])),
    _gamma("tokens-numbers", _M, clobTokenIds=json.dumps([5, 6])),
    _gamma("token-2-to-the-256", _M, clobTokenIds=json.dumps([str(1 << 256), DOWN])),
    _gamma("token-79-digits", _M, clobTokenIds=json.dumps(["1" * 79, DOWN])),
    _gamma("token-negative", _M, clobTokenIds=json.dumps(["-" + UP, DOWN])),
    _gamma("token-zero", _M, clobTokenIds=json.dumps(["0", DOWN])),
    _gamma("token-leading-zero", _M, clobTokenIds=json.dumps(["0" + UP[:70], DOWN])),
    _gamma("token-hex", _M, clobTokenIds=json.dumps(["0xff", DOWN])),
    _gamma("token-underscore", _M, clobTokenIds=json.dumps(["1_000", DOWN])),
    _gamma("token-arabic-digits", _M, clobTokenIds=json.dumps(["٣٤٥", DOWN])),
    _gamma("token-with-newline", _M, clobTokenIds=json.dumps([UP + "\n", DOWN])),
    _gamma("v2-without-position-ids", _M, version="v2"),
    _gamma("v2-position-ids-in-text", _M, version="v2", positionIds='["1","2"]'),
    _gamma("tick-missing", _M, orderPriceMinTickSize=DROP),
    _gamma("tick-null", _M, orderPriceMinTickSize=None),
    _gamma("tick-zero", _M, orderPriceMinTickSize=0),
    _gamma("tick-minus-zero", _M, orderPriceMinTickSize=-0.0),
    _gamma("tick-negative", _M, orderPriceMinTickSize=-0.01),
    _gamma("tick-one", _M, orderPriceMinTickSize=1),
    _gamma("tick-unknown", _M, orderPriceMinTickSize=0.03),
    _gamma("tick-nan-text", _M, orderPriceMinTickSize="NaN"),
    _gamma("tick-object", _M, orderPriceMinTickSize={"a": [1]}),
    _gamma("minimum-zero", _M, orderMinSize=0),
    _gamma("minimum-negative", _M, orderMinSize=-5),
    _gamma("minimum-huge", _M, orderMinSize=1e30),
    _gamma("minimum-too-fine", _M, orderMinSize="5.0000001"),
    _gamma("minimum-bool", _M, orderMinSize=True),
    _gamma("closed-missing", _M, closed=DROP),
    _gamma("closed-zero", _M, closed=0),
    _gamma("accepting-null", _M, acceptingOrders=None),
    _gamma("negative-risk-text", _M, negRisk="false"),
    _gamma("question-null", _M, question=None),
    _gamma("question-with-nul", _M, question="Bitcoin\x00"),
    _gamma("question-half-surrogate", _M, question="Bitcoin\ud800"),
    _gamma("config-of-other-asset", _X, cryptoMarketConfig={**_TWAP, "asset": "eth"}),
    _gamma("config-of-other-duration", _X, cryptoMarketConfig={**_TWAP, "duration": "5m"}),
    _gamma("config-lookback-zero", _M, cryptoMarketConfig={**_TWAP, "twapLookbackSeconds": 0}),
    _gamma("config-lookback-day", _M, cryptoMarketConfig={**_TWAP, "twapLookbackSeconds": 86_400}),
    _gamma("config-lookback-missing", _M, **{"cryptoMarketConfig.twapLookbackSeconds": DROP}),
    _gamma("config-text", _M, cryptoMarketConfig="btc-15m-twap-60"),
    _gamma("beat-negative", _M, beat=-1),
    _gamma("beat-zero", _M, beat="0"),
    _gamma("beat-text", _M, beat="soon"),
    _gamma("beat-1e30", _M, beat=1e30),
    _gamma("beat-list", _M, beat=[77_665]),
    ("gamma-no-market", "gamma", b'{"slug":"btc-updown-15m-1791241200","markets":[]}', _X),
    ("gamma-markets-null", "gamma", b'{"slug":"btc-updown-15m-1791241200","markets":null}', _M),
    (
        "gamma-market-twice",
        "gamma",
        encoded({**(e := payloads.gamma_event()), "markets": e["markets"] * 2}),
        _X,
    ),
    (
        "gamma-event-of-other-slug",
        "gamma",
        encoded({**payloads.gamma_event(), "slug": "btc-updown-15m-1791242100"}),
        _X,
    ),
]
CLOB: list[Case] = [
    _clob("version-missing", _V, v=DROP),
    _clob("version-v0", _V, v="v0"),
    _clob("condition-short", _M, c="0x12"),
    _clob("condition-null", _M, c=None),
    _clob("tokens-null", _M, t=None),
    _clob("tokens-one", _M, t=[{"t": UP, "o": "Up"}]),
    _clob("tokens-equal", _M, t=[{"t": UP, "o": "Up"}, {"t": UP, "o": "Down"}]),
    _clob("tokens-both-up", _M, t=[{"t": UP, "o": "Up"}, {"t": DOWN, "o": "Up"}]),
    _clob("tokens-yes-no", _M, t=[{"t": UP, "o": "Yes"}, {"t": DOWN, "o": "No"}]),
    _clob("token-number", _M, t=[{"t": 5, "o": "Up"}, {"t": DOWN, "o": "Down"}]),
    _clob("tick-null", _M, mts=None),
    _clob("tick-coarse", _M, mts=0.5),
    _clob("tick-text-underscore", _M, mts="0.0_1"),
    _clob("minimum-null", _M, mos=None),
    _clob("minimum-negative", _M, mos=-1),
    _clob("accepting-text", _M, ao="yes"),
    _clob("fee-text", _F, fd="7%"),
    _clob("fee-rate-missing", _F, fd={"e": 1, "to": True}),
    _clob("fee-makers-pay-too", _F, fd={"r": 0.07, "e": 1, "to": False}),
    _clob("fee-taker-only-missing", _F, fd={"r": 0.07, "e": 1}),
    _clob("fee-rate-1e30", _F, fd={"r": 1e30, "e": 1, "to": True}),
]
_BM = "book-malformed"
_LEVEL = {"price": "0.40", "size": "10"}


def _bid(name: str, reason: str, **changes: Any) -> Case:
    return _book(f"bid-{name}", reason, bids=[{**_LEVEL, **changes}])


BOOK: list[Case] = [
    _book("of-other-token", "book-mismatch", asset_id=DOWN),
    _book("token-number", _BM, asset_id=5),
    _book("token-missing", _BM, asset_id=DROP),
    _book("time-missing", _BM, timestamp=DROP),
    _book("time-zero", _BM, timestamp=0),
    _book("time-negative", _BM, timestamp="-1"),
    _book("time-in-seconds", _BM, timestamp=str(NOW_S)),
    _book("time-in-microseconds", _BM, timestamp=str(NOW_MS * 1000)),
    _book("time-fraction", _BM, timestamp=NOW_MS + 0.5),
    _book("time-arabic-digits", _BM, timestamp="١٧٩١٢٤١٥٦٠٠٠٠"),
    _book("time-underscore", _BM, timestamp="1_791_241_560_000"),
    _book("time-iso", _BM, timestamp="2026-10-05T23:06:00Z"),
    _book("time-bool", _BM, timestamp=True),
    _book("three-minutes-old", "book-stale", timestamp=str(NOW_MS - 180_000)),
    _book("from-the-future", "book-stale", timestamp=str(NOW_MS + 61_000)),
    _book("bids-null", _BM, bids=None),
    _book("bids-object", _BM, bids={}),
    _book("bids-of-pairs", _BM, bids=[["0.40", "10"]]),
    _book("asks-missing", _BM, asks=DROP),
    _book("crossed", "book-crossed", bids=[{"price": "0.53", "size": "1"}]),
    _book("locked", "book-crossed", bids=[{"price": "0.52", "size": "1"}]),
    _book("bid-twice", _BM, bids=[_LEVEL, _LEVEL]),
    _book(
        "ask-twice-in-two-ways",
        _BM,
        asks=[
            {"price": "0.60", "size": "1"},
            {"price": "0.6", "size": "2"},
        ],
    ),
    _book("too-many-levels", _BM, bids=[_LEVEL] * 10_001),
    _book("tick-missing", _BM, tick_size=DROP),
    _book("tick-zero", _BM, tick_size="0"),
    _book("tick-tiny", _BM, tick_size="0.0000000000000000000000000000000000000001"),
    _book("tick-one", _BM, tick_size="1"),
    _book("minimum-missing", _BM, min_order_size=DROP),
    _book("minimum-negative", _BM, min_order_size="-5"),
    _book("minimum-too-fine", _BM, min_order_size="0.0000001"),
    _bid("off-tick", "book-off-tick", price="0.405"),
    _bid("after-tick-change", "book-off-tick", price="0.001"),
    _bid("price-one", "book-off-tick", price="1"),
    _bid("price-zero", _BM, price="0"),
    _bid("price-minus-zero", _BM, price="-0.0"),
    _bid("price-negative", _BM, price="-0.40"),
    _bid("price-above-one", _BM, price="1.01"),
    _bid("price-nan", _BM, price="NaN"),
    _bid("price-infinity", _BM, price="Infinity"),
    _bid("price-underscore", _BM, price="0.4_0"),
    _bid("price-fullwidth", _BM, price="０.４"),
    _bid("price-arabic", _BM, price="٠.٤"),
    _bid("price-plus", _BM, price="+0.40"),
    _bid("price-space", _BM, price=" 0.40"),
    _bid("price-newline", _BM, price="0.40\n"),
    _bid("price-comma", _BM, price="0,40"),
    _bid("price-hex", _BM, price="0x1"),
    _bid("price-point-only", _BM, price=".4"),
    _bid("price-5000-digits", _BM, price="0." + "4" * 5000),
    _bid("price-huge-exponent", _BM, price="1e999999999"),
    _bid("price-null", _BM, price=None),
    _bid("price-bool", _BM, price=True),
    _bid("price-list", _BM, price=["0.40"]),
    _bid("price-missing-level", _BM, price={}),
    _bid("size-zero", _BM, size="0"),
    _bid("size-negative", _BM, size="-1"),
    _bid("size-1e30", _BM, size="1e30"),
    _bid("size-above-a-billion", _BM, size="1000000001"),
    _bid("size-too-fine", _BM, size="1.0000001"),
    _bid("size-nan", _BM, size="nan"),
    _bid("size-empty", _BM, size=""),
    _bid("size-null", _BM, size=None),
]
_GOOD_PAGE = encoded(payloads.trade_page(payloads.trade()))
TRADES: list[Case] = [
    _trade("of-other-market", condition_id="0x" + "ab" * 32),
    _trade("condition-missing", condition_id=DROP),
    _trade("token-negative", token_id="-5"),
    _trade("token-number", token_id=5),
    _trade("price-zero", price=0),
    _trade("price-negative", price=-0.5),
    _trade("price-two", price=2),
    _trade("price-nan-text", price="NaN"),
    _trade("price-null", price=None),
    _trade("size-zero", size=0),
    _trade("size-negative", size=-10),
    _trade("size-1e30", size=1e30),
    _trade("size-bool", size=True),
    _trade("time-zero", timestamp=0),
    _trade("time-in-ms", timestamp=NOW_MS),
    _trade("time-future", timestamp=NOW_S + 61),
    _trade("time-iso", timestamp="2026-10-05T23:06:00Z"),
    _trade("time-fraction", timestamp=NOW_S - 0.5),
    _trade("hash-missing", transaction_hash=DROP),
    _trade("hash-long", transaction_hash="0x" + "1" * 65),
    _trade("hash-markup", transaction_hash="<script>"),
    _trade("hash-empty", transaction_hash=""),
    *(
        (f"trades-{name}", "trades", body, "trades-malformed")
        for name, body in [
            ("bare-array", b"[" + encoded(payloads.trade()) + b"]"),
            ("pagination-missing", b'{"data":[]}'),
            ("data-null", _raw(_GOOD_PAGE, b'"data": [', b'"data": null, "old": [')),
            ("more-without-cursor", encoded(payloads.trade_page(has_more=True))),
            ("cursor-without-more", encoded(payloads.trade_page(next_cursor="abc"))),
            (
                "cursor-not-ascii",
                encoded(payloads.trade_page(has_more=True, next_cursor="ａｂｃ")),
            ),
            (
                "cursor-of-5000",
                encoded(payloads.trade_page(has_more=True, next_cursor="a" * 5000)),
            ),
            ("cursor-number", _raw(_GOOD_PAGE, b'"next_cursor": null', b'"next_cursor": 5')),
        ]
    ),
]
_RM, _RC = "resolution-malformed", "resolution-conflict"


def _end(name: str, reason: str, **changes: Any) -> Case:
    event = payloads.gamma_event(**{**payloads.RESOLVED_GAMMA, **changes})
    return (f"end-{name}", "end", encoded(event), reason)


RESOLUTIONS: list[Case] = [
    _data("of-other-market", _RC, condition_id="0x" + "ab" * 32),
    _data("status-null", _RM, status=None),
    _data("status-missing", _RM, status=DROP),
    _data("payouts-null", _RM, payouts=None),
    _data("payouts-missing", _RM, payouts=DROP),
    _data("payouts-text", _RM, payouts="0,1"),
    _data("payouts-one", _RM, payouts=[1_000_000]),
    _data("payouts-three", _RM, payouts=[0, 1_000_000, 0]),
    _data("payouts-both-zero", _RM, payouts=[0, 0]),
    _data("payouts-unclear", _RM, payouts=[300_000, 700_000]),
    _data("payouts-nearly-clear", _RM, payouts=[1, 999_999]),
    _data("payouts-negative", _RM, payouts=[-1, 1_000_001]),
    _data("payouts-bool", _RM, payouts=[False, True]),
    _data("payouts-nan", _RM, payouts=["NaN", "1"]),
    _data("payouts-huge", _RM, payouts=[0, 10**30]),
    _data("time-epoch", _RM, resolved_at=1791241560),
    _data("time-no-zone", _RM, resolved_at="2026-10-05T23:16:00"),
    (
        "data-two-rows",
        "data",
        encoded({"data": payloads.resolution()["data"] * 2}),
        _RC,
    ),
    ("data-rows-null", "data", b'{"data":null}', _RM),
    _end("prices-missing", _RM, outcomePrices=DROP),
    _end("prices-real-array", _RM, outcomePrices=["0", "1"]),
    _end("prices-both-zero", _RM, outcomePrices='["0", "0"]'),
    _end("prices-unclear", _RM, outcomePrices='["0.3", "0.7"]'),
    _end("prices-nearly-clear", _RM, outcomePrices='["0.0005", "0.9995"]'),
    _end("prices-three", _RM, outcomePrices='["0", "1", "0"]'),
    _end("prices-numbers", _RM, outcomePrices="[0, 1]"),
    _end("prices-nan", _RM, outcomePrices='["NaN", "1"]'),
    _end("outcomes-yes-no", _RM, outcomes='["Yes", "No"]'),
    _end("closed-time-text", _RM, closedTime="yesterday"),
    _end("closed-missing", _RM, closed=DROP),
    _end("condition-missing", _RM, conditionId=DROP),
    _end("of-other-window", _X, slug="btc-updown-15m-1791242100"),
]
TIMES: list[Case] = [
    (f"time-{name}", "time", body, "time-malformed")
    for name, body in [
        ("text", b'"soon"'),
        ("zero", b"0"),
        ("negative", b"-1791241200"),
        ("milliseconds", b"1791241200000"),
        ("fraction", b"1791241200.5"),
        ("object", b'{"time":1791241200}'),
        ("null", b"null"),
    ]
]
CASES: list[Case] = [
    *not_json("gamma", encoded(payloads.gamma_event())),
    *not_json("clob", encoded(payloads.clob_market())),
    *not_json("book", encoded(payloads.book())),
    *not_json("trades", _GOOD_PAGE),
    *not_json("data", encoded(payloads.resolution())),
    *shapeless("gamma", _M),
    *shapeless("clob", _M),
    *shapeless("book", _BM),
    *shapeless("trades", "trades-malformed"),
    *shapeless("data", _RM),
    *GAMMA,
    *CLOB,
    *BOOK,
    *TRADES,
    *RESOLUTIONS,
    *TIMES,
]
