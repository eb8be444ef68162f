"""Frames and pages that nobody would write: never an error, never a trade that is not in them."""

import json
from datetime import UTC, datetime
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from polybot.adapters.polymarket.leader_feed.frames import FrameReader
from polybot.adapters.polymarket.leader_feed.logs import read_log
from polybot.adapters.polymarket.leader_feed.pages import read_leader_page, read_position_page
from polybot.adapters.polymarket.leader_feed.rows import NotTaken
from polybot.domain.leaders import LeaderAddress, LeaderTrade
from polybot.domain.markets import ConditionId
from polybot.errors import DataError
from tests.leader_rows import (
    CONDITION,
    NOW,
    STRANGER,
    TOKEN,
    WALLET,
    activity_row,
    api_row,
    compact,
    envelope,
    frame,
    page,
    stream_row,
)
from tests.leader_venue import filled_log

LEADER = LeaderAddress(WALLET)
ROUNDS = 20_000
_PIECES = (b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\x00", b"\xff", b"NaN", b"1e999")
_PIECES += (b'"proxyWallet":"', WALLET.encode(), STRANGER.encode(), b"\\u0030", b"null", b" ")


def mutated(random: Random, data: bytes) -> bytes:
    """Return the bytes with a few pieces put in, taken out, doubled or swapped."""
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(data) + 1)
        end = min(len(data), at + random.choice([0, 1, 2, 8, 40]))
        piece = random.choice([*_PIECES, data[at:end] * 2, bytes([random.randrange(256)])])
        data = data[:at] + piece + data[end:]
    return data


def reader() -> FrameReader:
    found = FrameReader()
    found.follow([LEADER])
    return found


def rows_of(value: Any) -> list[Any]:
    """Return every object inside a decoded value."""
    if isinstance(value, dict):
        return [value, *(row for inner in value.values() for row in rows_of(inner))]
    if isinstance(value, list):
        return [row for inner in value for row in rows_of(inner)]
    return []


def test_mutated_frames_never_raise_and_tell_nothing_that_is_not_in_them() -> None:
    """What is told is in a row of the followed wallet, as any JSON reader sees it."""
    random, one, told = Random(7), reader(), 0
    seeds = [
        frame(stream_row()),
        frame(stream_row(proxyWallet=STRANGER)),
        frame([stream_row(1), stream_row(2, proxyWallet=STRANGER)]),
        json.dumps(envelope(stream_row()), indent=1).encode(),
    ]
    for _ in range(ROUNDS):
        data = mutated(random, random.choice(seeds))
        for found in one.read(data, lambda: NOW):
            if not isinstance(found, LeaderTrade):
                assert isinstance(found, NotTaken)
                assert len(found.detail) < 300
                continue
            told += 1
            rows = rows_of(json.loads(data))
            assert any(
                str(row.get("proxyWallet", row.get("proxy_wallet"))).lower() == WALLET
                and row.get("side") == found.side
                and abs(float(row["price"]) - float(found.price)) < 1e-6
                and abs(float(row["size"]) - float(found.size)) < 1e-6
                for row in rows
                if {"price", "size"} <= row.keys()
            )
    assert told > ROUNDS // 50


async def test_mutated_pages_never_raise_anything_else_than_data_errors() -> None:
    random, read = Random(8), 0
    rows = [api_row(1), activity_row("MERGE", 2), api_row(3, proxy_wallet=STRANGER)]
    seed = compact(page(rows, next_cursor="x"))
    for _ in range(ROUNDS // 4):
        data = mutated(random, seed)
        try:
            found = await read_leader_page(data, LEADER, received_at=NOW)
            await read_position_page(data, LEADER)
        except DataError:
            continue
        read += 1
        assert all(one.leader == WALLET for one in (*found.trades, *found.conversions))
        told = len(found.trades) + len(found.conversions) + found.not_taken.total()
        assert told == found.row_count
    assert read > 100


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(WALLET),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
FIELDS = sorted({*stream_row(), *api_row(), "type", "is_combo"})


@settings(max_examples=500, deadline=None)
@given(changed=st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4))
def test_any_value_in_any_field_is_a_trade_or_has_a_name(changed: dict[str, Any]) -> None:
    data = frame({**stream_row(), **changed})
    for found in reader().read(data, lambda: NOW):
        if isinstance(found, LeaderTrade):
            assert 0 < found.price < 1
            assert found.size > 0
            assert found.leader == WALLET
            assert found.traded_at > datetime(2020, 1, 1, tzinfo=UTC)


@settings(max_examples=300, deadline=None)
@given(
    row_spaces=st.sampled_from([None, 1, 4]),
    order=st.permutations(sorted(stream_row())),
    name=st.text(max_size=40),
    is_ascii=st.booleans(),
    in_list=st.booleans(),
)
def test_followed_trade_is_found_in_any_layout(
    row_spaces: int | None, order: list[str], name: str, is_ascii: bool, in_list: bool
) -> None:
    """Spaces, order, escapes, lists, names of any kind."""
    row = {key: stream_row(name=name)[key] for key in order}
    payload = [stream_row(9, proxyWallet=STRANGER), row] if in_list else row
    text = json.dumps(envelope(payload), indent=row_spaces, ensure_ascii=is_ascii)
    (found,) = reader().read(text.encode(), lambda: NOW)
    assert isinstance(found, LeaderTrade)
    assert found.transaction_hash == stream_row()["transactionHash"]


@settings(max_examples=300, deadline=None)
@given(
    changed=st.dictionaries(
        st.sampled_from(sorted({*filled_log(WALLET, TOKEN), "blockTimestamp"})), JSON, max_size=3
    )
)
def test_any_log_is_a_fill_or_has_a_name(changed: dict[str, Any]) -> None:
    try:
        found = read_log(
            filled_log(WALLET, TOKEN, **changed),
            wallets=frozenset({LEADER}),
            market_of=lambda _: (ConditionId(CONDITION), ""),
            block_time=None,
            received_at=NOW,
        )
    except DataError:
        return
    assert found.trade.leader == WALLET
