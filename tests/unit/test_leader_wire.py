"""Leaders' trades as the venue writes them: frames, pages, and everything they must not be."""

import asyncio
import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from polybot.adapters.polymarket.leader_feed.frames import FrameReader
from polybot.adapters.polymarket.leader_feed.pages import (
    read_leader_page,
    read_position_page,
)
from polybot.adapters.polymarket.leader_feed.rows import NotTaken, read_row, wallet_of
from polybot.adapters.polymarket.wire.strict import decode_text
from polybot.domain.leaders import (
    ConversionKind,
    FeedSource,
    LeaderAddress,
    LeaderConversion,
    LeaderEvent,
    LeaderTrade,
)
from polybot.domain.orders import Side
from polybot.errors import DataError
from tests.leader_bad_rows import BAD_FRAMES, BAD_PAGES, BAD_ROWS
from tests.leader_rows import (
    CONDITION,
    NOW,
    STRANGER,
    TOKEN,
    TRADED_S,
    WALLET,
    WALLET_AS_SENT,
    activity_row,
    api_row,
    compact,
    envelope,
    frame,
    page,
    stream_row,
    transaction,
)
from tests.shared_data import SHARED, require

LEADER = LeaderAddress(WALLET)
TODAY = datetime(2026, 11, 22, tzinfo=UTC)


def reader(*wallets: str) -> FrameReader:
    found = FrameReader()
    found.follow([LeaderAddress(wallet) for wallet in wallets or (WALLET,)])
    return found


def read(data: bytes, *wallets: str) -> tuple[LeaderEvent | NotTaken, ...]:
    return reader(*wallets).read(data, lambda: NOW)


def only_trade(data: bytes) -> LeaderTrade:
    (found,) = read(data)
    assert isinstance(found, LeaderTrade)
    return found


def only_reason(data: bytes) -> str:
    (found,) = read(data)
    assert isinstance(found, NotTaken)
    return found.reason


def test_frame_of_a_followed_wallet_is_a_trade() -> None:
    """Whatever the case of the address, and with every field where it belongs."""
    assert only_trade(frame(stream_row())) == LeaderTrade(
        leader=LEADER,
        transaction_hash=transaction(1),
        token_id=TOKEN,
        condition_id=CONDITION,
        slug="btc-updown-5m-1785027300",
        side=Side.BUY,
        price=Decimal("0.45"),
        size=Decimal("4.33"),
        traded_at=datetime.fromtimestamp(TRADED_S, UTC),
        received_at=NOW,
        source=FeedSource.STREAM,
    )


def test_frame_of_a_stranger_tells_nothing_and_asks_no_clock() -> None:
    def never() -> datetime:
        raise AssertionError("the clock was asked for noise")

    assert reader().read(frame(stream_row(proxyWallet=STRANGER)), never) == ()


SPELLINGS = {
    "spaces": json.dumps(envelope(stream_row())).encode(),
    "indented": json.dumps(envelope(stream_row()), indent=1).encode(),
    "space before colon": frame(stream_row()).replace(b'"proxyWallet":', b'"proxyWallet" :'),
    "space after colon": frame(stream_row()).replace(b'"proxyWallet":', b'"proxyWallet": '),
    "keys backwards": compact(dict(reversed(list(envelope(stream_row()).items())))),
    "escaped key": frame(stream_row()).replace(b'"proxyWallet"', b'"proxy\\u0057allet"'),
    "escaped value": frame(stream_row()).replace(b'"0x1015', b'"0x\\u0031015'),
    "list of rows": frame([stream_row(2, proxyWallet=STRANGER), stream_row()]),
    "list of frames": compact(
        [envelope(stream_row(2, proxyWallet=STRANGER)), envelope(stream_row())]
    ),
    "new spelling": frame(api_row()),
    "named after the field": frame(stream_row(name='"proxyWallet":"', bio="proxyWallet")),
    "escapes elsewhere": frame(stream_row(title="A&B")).replace(b"A&B", b"A\\u0026B\\n\\u00e9"),
    "upper case": frame(stream_row(proxyWallet="0x" + WALLET[2:].upper())),
    "blanks around": b" \r\n" + frame(stream_row()) + b"\n",
    "one per transaction": frame(stream_row(), type="orders_matched"),
    "time as text": frame(stream_row(timestamp=str(TRADED_S))),
    "numbers as text": frame(stream_row(price="0.45", size="4.33")),
    "with a fee": frame(stream_row(fee=0.01, newField={"proxyWallet": 1})),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_followed_trade_is_found_however_the_frame_is_spelled(spelling: str) -> None:
    """Speed is for frames as the venue writes them; the others are read too."""
    assert only_trade(SPELLINGS[spelling]).key == only_trade(frame(stream_row())).key


def test_text_that_looks_like_the_field_hides_nobody() -> None:
    """A trader may be called what they like."""
    name = f'","proxyWallet":"{STRANGER}","x":"'
    assert only_trade(frame(stream_row(name=name))).leader == WALLET
    stranger = frame(stream_row(proxyWallet=STRANGER, name=f'","proxyWallet":"{WALLET}","x":"'))
    assert read(stranger) == ()


def test_several_followed_rows_of_one_frame_are_several_trades() -> None:
    rows = [stream_row(), stream_row(2, proxyWallet=STRANGER), stream_row(3, size=1)]
    found = read(frame(rows), WALLET, STRANGER)
    assert [one.leader for one in found if isinstance(one, LeaderTrade)] == [
        WALLET,
        STRANGER,
        WALLET,
    ]


@pytest.mark.parametrize("data", [b"", b"PONG", b" \n", b"pong"])
def test_small_talk_is_nothing_at_all(data: bytes) -> None:
    assert read(data) == ()


BAD_VALUES = [
    pytest.param(reason, field, value, id=f"{reason}-{index}")
    for reason, (field, values) in BAD_ROWS.items()
    for index, value in enumerate(values)
]


@pytest.mark.parametrize(("reason", "field", "value"), BAD_VALUES)
def test_bad_value_of_a_followed_wallet_is_named_and_not_taken(
    reason: str, field: str, value: object
) -> None:
    """Rows 7 to 16 of the catalogue of bad inputs."""
    assert only_reason(frame(stream_row(**{field: value}))) == reason


@pytest.mark.parametrize("field", ["asset", "conditionId", "price", "size", "timestamp", "side"])
def test_missing_field_is_not_taken(field: str) -> None:
    row = stream_row()
    del row[field]
    assert isinstance(read(frame(row))[0], NotTaken)


@pytest.mark.parametrize("name", BAD_FRAMES)
def test_bad_frame_is_named_and_not_taken(name: str) -> None:
    """Rows 1, 4, 5, 6, 8 and 20 of the catalogue of bad inputs."""
    data, reason = BAD_FRAMES[name]
    assert only_reason(data) == reason


@pytest.mark.parametrize(
    "wallet",
    [
        WALLET[:-1],
        WALLET + "0",
        WALLET.replace("0x", ""),
        WALLET.replace("1015bb", "1015ЬЬ"),
        "0x" + "0" * 40,
        "vitalik.eth",
        f"{WALLET} ",
        None,
        7,
        [WALLET],
    ],
)
def test_near_miss_of_an_address_is_nobody_we_follow(wallet: object) -> None:
    """39 and 41 digits, look-alikes, names: never the leader."""
    found = read(frame(stream_row(proxyWallet=wallet)))
    assert not any(isinstance(one, LeaderTrade) for one in found)


def test_details_carry_no_more_than_a_short_escaped_piece() -> None:
    (found,) = read(frame(stream_row(side="\x1b[31m\n# <script>" * 50)))
    assert isinstance(found, NotTaken)
    assert len(found.detail) < 200
    assert found.detail.isprintable()


def test_average_price_is_kept_to_six_decimals_and_float_noise_leaves_sizes_alone() -> None:
    """Averages have all the digits of a float; sizes are counts of 10⁻⁶."""
    found = only_trade(frame(stream_row(price=0.5333333333333333, size=4.140000000000001)))
    assert (found.price, found.size) == (Decimal("0.533333"), Decimal("4.14"))


def test_second_is_read_as_it_is_up_to_a_minute_ahead() -> None:
    ahead = only_trade(frame(stream_row(timestamp=TRADED_S + 62)))
    assert ahead.traded_at == NOW + timedelta(seconds=60)


# Pages ------------------------------------------------------------------------------------------


def leader_page(value: Any) -> Any:
    return asyncio.run(read_leader_page(compact(value), LEADER, received_at=NOW))


def test_page_gives_trades_conversions_and_counts() -> None:
    """Of the rows asked for; one bad row hides none of the others."""
    found = leader_page(
        page(
            [
                api_row(1),
                activity_row("MERGE", 2),
                activity_row("SPLIT", 3),
                activity_row("REDEEM", 4, size=0),
                activity_row("REDEEM", 5, size=0, usdc_size=0),
                activity_row("CONVERSION", 6),
                activity_row("REWARD", 7),
                activity_row("MYSTERY", 8),
                api_row(9, price=2),
                api_row(10, proxy_wallet=STRANGER),
                api_row(11, is_combo=True),
                "row",
            ],
            next_cursor="next",
        )
    )
    assert [one.transaction_hash for one in found.trades] == [transaction(1)]
    assert found.trades[0].source is FeedSource.DATA_API
    assert [(one.kind, one.size) for one in found.conversions] == [
        (ConversionKind.MERGE, Decimal("20.54")),
        (ConversionKind.SPLIT, Decimal("20.54")),
        (ConversionKind.REDEEM, Decimal("20.54")),
        (ConversionKind.CONVERSION, Decimal("20.54")),
    ]
    assert found.not_taken == Counter(
        {
            "conversion-of-nothing": 1,
            "no-trade": 1,
            "type-unknown": 1,
            "price-out-of-range": 1,
            "wallet-not-asked": 1,
            "combo": 1,
            "row-malformed": 1,
        }
    )
    assert found.next_cursor == "next"


def test_page_is_read_while_frames_are_heard() -> None:
    """Five hundred rows take as long as ten copies."""
    rows = [api_row(number) for number in range(500)]
    heard: list[str] = []

    async def hear_frames() -> None:
        while True:
            heard.append("frame")
            await asyncio.sleep(0)

    async def read_both() -> int:
        listening = asyncio.create_task(hear_frames())
        found = await read_leader_page(compact(page(rows)), LEADER, received_at=NOW)
        listening.cancel()
        return len(found.trades)

    assert asyncio.run(read_both()) == 500
    assert len(heard) >= 10


@pytest.mark.parametrize("name", BAD_PAGES)
def test_bad_page_is_refused_with_its_reason(name: str) -> None:
    body, reason = BAD_PAGES[name]
    with pytest.raises(DataError) as caught:
        asyncio.run(read_leader_page(body, LEADER, received_at=NOW))
    assert caught.value.reason == reason


def test_positions_are_typed_and_bad_ones_counted() -> None:
    row = {
        "proxy_wallet": WALLET,
        "token_id": TOKEN,
        "condition_id": CONDITION,
        "current_size": 28.09,
        "avg_price": 0.6699,
        "current_value": 20.0843,
        "realized_pnl": -1.5,
        "status": "OPEN",
        "title": "# [x](javascript:alert(1))",
        "slug": "s",
        "outcome": "Up",
    }
    rows = [row, {**row, "status": "CLOSED"}, {**row, "current_size": -1}, {}]
    found = asyncio.run(read_position_page(compact(page(rows)), LEADER))
    first, second = found.positions
    assert (first.size, first.realised_pnl_usdc, first.is_open) == (
        Decimal("28.09"),
        Decimal("-1.5"),
        True,
    )
    assert not second.is_open
    assert found.not_taken == Counter({"position-malformed": 1, "wallet-missing": 1})


# Recorded data ----------------------------------------------------------------------------------


def lines_of(path: Path) -> Iterator[str]:
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        yield from file


def recorded_rows(path: Path) -> Iterator[LeaderEvent | NotTaken]:
    for line in lines_of(path):
        row = decode_text(line)
        assert isinstance(row, dict)
        row = row.get("trade", row)
        yield read_row(row, wallet=wallet_of(row), received_at=TODAY, source=FeedSource.DATA_API)


def kinds_of(outcomes: Iterator[LeaderEvent | NotTaken]) -> Counter[str]:
    counted: Counter[str] = Counter()
    for one in outcomes:
        match one:
            case LeaderTrade():
                counted["trade"] += 1
            case LeaderConversion():
                counted[one.kind] += 1
            case NotTaken():
                counted[one.reason] += 1
    return counted


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("detected_trades_0xdb27bf.jsonl", {"trade": 7}),
        ("gabagool22_trades_2026-01-08.jsonl", {"trade": 129}),
        ("wallet_0xe00740_trades_2026-01-08.jsonl", {"trade": 41}),
        (
            "easypredict_activity_page2.jsonl.gz",
            {"trade": 19, "merge": 3, "conversion-of-nothing": 478},
        ),
    ],
)
def test_every_recorded_row_is_a_trade_or_has_a_name(name: str, expected: dict[str, int]) -> None:
    assert kinds_of(recorded_rows(require("wallets", name))) == expected


def test_recorded_v2_answers_are_read_whole() -> None:
    samples = json.loads(require("wallets", "data_api_v2_samples_2026-09.json").read_text())
    wallet = LeaderAddress(samples["activity"]["data"][0]["proxy_wallet"])
    body = compact(samples["activity"])
    activity = asyncio.run(read_leader_page(body, wallet, received_at=TODAY))
    assert (len(activity.trades), activity.not_taken) == (2, Counter())
    assert activity.next_cursor
    positions = asyncio.run(read_position_page(compact(samples["positions"]), wallet))
    assert [one.size for one in positions.positions] == [Decimal("28.09")]
    assert positions.not_taken == Counter()


def recorded_frames() -> Iterator[tuple[str, bytes]]:
    require("ws", "rtds_frames_2026-09-05.jsonl")
    for path in sorted((SHARED / "ws").glob("*.jsonl*")):
        for line in lines_of(path):
            row = json.loads(line)
            frames = row.get("frame", row.get("payload"))
            yield path.name, frames.encode() if isinstance(frames, str) else line.encode()


def test_every_recorded_frame_is_counted_by_name() -> None:
    """None of them is about a wallet, and none is mistaken for one that is: named, each one."""
    counted: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for name, data in recorded_frames():
        outcomes = read(data)
        assert all(isinstance(one, NotTaken) for one in outcomes)
        counted[name].update(one.reason for one in outcomes if isinstance(one, NotTaken))
    assert counted == {
        "clob_rtds_binance_raw_2026-04-28.jsonl.gz": {"other-topic": 514},
        "clob_rtds_current_window_2026-04-29T0312.jsonl.gz": {"other-topic": 30},
        "markets_2026-04-28.jsonl.gz": {"other-topic": 3},
        "markets_2026-04-29T0312.jsonl.gz": {"other-topic": 3},
        "rtds_frames_2026-09-05.jsonl": {"other-topic": 5},
    }


def test_recorded_windows_give_the_net_positions_of_the_file() -> None:
    """Four windows of one wallet, through frames: exactly what adding up the file gives."""
    path = require("wallets", "gabagool22_trades_2026-01-08.jsonl")
    summed: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    read_back: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for line in lines_of(path):
        row = json.loads(line, parse_float=Decimal)
        sign = 1 if row["side"] == "BUY" else -1
        summed[row["slug"], row["asset"]] += sign * Decimal(row["size"])
        raw = b'{"topic":"activity","type":"trades","payload":' + line.strip().encode() + b"}"
        (trade,) = reader(row["proxyWallet"]).read(raw, lambda: TODAY)
        assert isinstance(trade, LeaderTrade)
        sign = 1 if trade.side is Side.BUY else -1
        read_back[trade.slug, trade.token_id] += sign * trade.size
    assert read_back == summed
    assert len({slug for slug, _ in summed}) == 4


def test_address_as_sent_is_the_address_in_lower_case() -> None:
    assert WALLET_AS_SENT.lower() == WALLET
