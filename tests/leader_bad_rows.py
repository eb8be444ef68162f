"""Rows, frames and pages about a followed wallet that must not be taken, by their reason."""

from typing import Any

from polybot.adapters.polymarket.leader_feed.frames import LONGEST_FRAME
from tests.leader_rows import (
    STRANGER,
    TRADED_S,
    api_row,
    compact,
    frame,
    page,
    stream_row,
    transaction,
)

BIG = "9" * 5000
BAD_ROWS: dict[str, tuple[str, Any]] = {
    "hash-malformed": (
        "transactionHash",
        [None, "", 1, "0x12", transaction(1) + "0", "0X" + "a" * 64, ["x"]],
    ),
    "token-malformed": (
        "asset",
        [None, "", "0", "-5", "0x12", str(1 << 256), 7, "１２", "1_0", "1" * 5000, "1.0", " 1", {}],
    ),
    "condition-malformed": ("conditionId", [None, "", "0x", "c0" * 32, 5, "0x" + "g" * 64]),
    "side-unknown": (
        "side",
        ["buy", "BUY ", " BUY", "ＢＵＹ", "ВUY", "", "HOLD", None, 0, ["BUY"], "BUY\x00"],
    ),
    "price-out-of-range": (
        "price",
        [0, 1, -0.1, 1.5, -1e-9, "0", "1", "1e-40", "１", "0x1", "+0.5", " 0.5", "", None, True,
         [], {}, "NaN", "Infinity", "0.5_5", BIG, 1e-7, 0.9999999, "-0.0", 1e30],
    ),
    "size-out-of-range": (
        "size",
        [0, -1, 1e30, 1_000_000_001, "NaN", "-Infinity", None, "1_000", "٣", "", False, "1e400",
         "-0", {"a": 1}],
    ),
    "size-off-grid": ("size", [4.3300001, "0.0000001", 1e-9, "12.3456789"]),
    "time-malformed": (
        "timestamp",
        [0, -1, TRADED_S * 1000, TRADED_S * 1_000_000, float(TRADED_S), "2026-07-26T00:55:08Z",
         None, True, "", 10**15, BIG, "１７８５０２７３０８", f"{TRADED_S} ", f"+{TRADED_S}", []],
    ),
    "time-in-future": ("timestamp", [TRADED_S + 63, str(TRADED_S + 3600), 4_000_000_000]),
    "slug-malformed": ("slug", [5, [], {}, "a\x00b"]),
    "type-unknown": ("type", ["trade", "", None, 7, ["TRADE"], "TRADE "]),
    "combo": ("isCombo", [True]),
}  # fmt: skip

RAW = frame(stream_row())
BAD_FRAMES: dict[str, tuple[bytes, str]] = {
    "not a number": (RAW.replace(b"0.45", b"NaN"), "answer-not-json"),
    "infinity": (RAW.replace(b"0.45", b"Infinity"), "answer-not-json"),
    "beyond float": (RAW.replace(b"0.45", b"1e400"), "answer-not-json"),
    "below float": (RAW.replace(b"0.45", b"1e-400"), "answer-not-json"),
    "negative zero": (RAW.replace(b"0.45", b"-0.0"), "price-out-of-range"),
    "endless digits": (RAW.replace(b"0.45", b"0." + b"4" * 5000), "answer-not-json"),
    "price twice": (RAW.replace(b'"price":', b'"price":0.1,"price":'), "answer-duplicate-keys"),
    "wallet twice": (
        RAW.replace(b'"proxyWallet":', f'"proxyWallet":"{STRANGER}","proxyWallet":'.encode()),
        "answer-duplicate-keys",
    ),
    "wallet twice, hidden": (
        RAW.replace(b'"pseudonym":', f'"proxyWallet":"{STRANGER}","pseudonym":'.encode()),
        "answer-duplicate-keys",
    ),
    "topic twice": (RAW.replace(b'"topic":', b'"topic":"x","topic":'), "answer-duplicate-keys"),
    "two wallets": (frame(stream_row(proxy_wallet=STRANGER)), "wallet-ambiguous"),
    "broken text": (RAW.replace(b"somebody", b"some\xffbody"), "answer-encoding"),
    "byte order mark": (b"\xef\xbb\xbf" + RAW, "answer-not-json"),
    "cut off": (RAW[:-20], "answer-not-json"),
    "two texts": (RAW + RAW.replace(b"proxyWallet", b"x"), "answer-not-json"),
    "half a pair": (frame(stream_row(slug="x")).replace(b'"x"', b'"\\ud800"'), "slug-malformed"),
    "0X": (RAW.replace(b'"0x1015', b'"0X1015'), "wallet-malformed"),
    "other topic": (frame({"symbol": "btcusdt"}, topic="crypto_prices"), "other-topic"),
    "other type": (frame(stream_row(), type="comment"), "other-topic"),
    "page of a proxy": (b"<html><body>502 Bad Gateway</body></html>", "frame-not-json"),
    "null": (b"null", "frame-malformed"),
    "number": (b"5", "frame-malformed"),
    "text": (b'"activity"', "frame-malformed"),
    "list of numbers": (b"[1,2]", "frame-malformed"),
    "text as payload": (frame("x"), "frame-malformed"),
    "nested too deeply": (b"[" * 60_000, "frame-malformed"),
    "too long": (frame(stream_row(bio="x" * LONGEST_FRAME)), "frame-too-long"),
    "too long, unusual": (b" " * (LONGEST_FRAME + 1), "frame-too-long"),
    "empty object": (b"{}", "other-topic"),
}

BAD_PAGES: dict[str, tuple[bytes, str]] = {
    "page of a proxy": (b"<html>", "answer-not-json"),
    "empty": (b"", "answer-not-json"),
    "cut off": (compact(page([api_row()]))[:-9], "answer-not-json"),
    "key twice": (b'{"data":[],"data":[]}', "answer-duplicate-keys"),
    "broken text": (b'{"data":["\xff"]}', "answer-encoding"),
    "error": (b'{"error":"no","code":"x","retryable":false}', "leader-page-malformed"),
    "object for list": (b'{"data":{}}', "leader-page-malformed"),
    "null": (b"null", "leader-page-malformed"),
    "more without cursor": (
        b'{"data":[],"pagination":{"has_more":true}}',
        "leader-page-malformed",
    ),
    "cursor without more": (
        b'{"data":[],"pagination":{"has_more":false,"next_cursor":"x"}}',
        "leader-page-malformed",
    ),
    "endless cursor": (compact(page([], next_cursor="x" * 5000)), "leader-page-malformed"),
    "cursor that is no ASCII": (compact(page([], next_cursor="ü")), "leader-page-malformed"),
}
