"""The real-time stream over the wire."""

import json
from collections import Counter
from typing import Any

import aiohttp
import pytest

from polybot.sandbox.clock import RunningClock
from polybot.sandbox.leaders import rtds
from polybot.sandbox.leaders.events import WalletTrade
from polybot.sandbox.leaders.stage import LeaderStage
from polybot.sandbox.leaders.wallets import Behaviour, LeaderOptions
from polybot.sandbox.venue import SandboxVenue
from tests.sandbox.conftest import SLUG, START_S
from tests.sandbox.leader_wire import (
    QUIET,
    StreamClient,
    Wire,
    name_of,
    open_stage,
    serve_stage,
    stream,
)

QUIET_OPTIONS = LeaderOptions(leaders=1, crowd=0, noise=0, behaviour=QUIET)
PROMPT = LeaderOptions(leaders=1, crowd=0, noise=0, behaviour=QUIET, stream_lag_ms=0)


def _due(wire: Wire) -> Counter[tuple[object, ...]]:
    """Return what the stream should have told of since the window's start."""
    now_ms = wire.stage.advance()
    return Counter(
        name_of(row)
        for row in wire.truth(everybody="true")
        if row["type"] == "TRADE" and (START_S - 10) * 1000 < row["stream_ms"] <= now_ms
    )


async def test_stepping_over_a_quarter_tells_everything_once_and_in_order() -> None:
    """Repeats within a transaction included; ordered by when the stream hears of it."""
    stage = open_stage(LeaderOptions(noise=0, rate=10))
    with serve_stage(stage) as wire:
        async with stream(wire.url) as client:
            wire.advance(900)
            heard = await client.heard()
        due = _due(wire)

    assert Counter(name_of(one) for one in heard) == due
    assert len(heard) > 300
    sent = [one["timestamp"] for one in heard]
    assert sent == sorted(sent)


async def test_small_steps_tell_the_same_as_one_large_one() -> None:
    told = []
    for steps in ([120.0], [0.5] * 240):
        stage = open_stage(LeaderOptions(noise=0, rate=30))
        with serve_stage(stage) as wire:
            async with stream(wire.url) as client:
                for step in steps:
                    wire.advance(step)
                told.append(await client.heard())
    assert told[0] == told[1]
    assert len(told[0]) > 100


async def test_frames_are_worded_as_the_venue_words_them() -> None:
    """Both kinds of seconds, with and without a fee, addresses with capitals."""
    stage = open_stage(LeaderOptions(noise=0, rate=30))
    with serve_stage(stage) as wire:
        async with stream(wire.url) as client:
            wire.advance(300)
            heard = await client.heard()
    payloads = [one["payload"] for one in heard]
    assert {(one["topic"], one["type"]) for one in heard} == {("activity", "trades")}
    assert {type(one["timestamp"]) for one in payloads} == {int, str}
    assert {"fee" in one for one in payloads} == {True, False}
    leader = next(one for one in payloads if one["proxyWallet"].lower() == stage.leaders[0].address)
    assert leader["proxyWallet"] not in (leader["proxyWallet"].lower(), stage.leaders[0].address)
    assert leader.keys() - {"fee"} == {
        "asset",
        "bio",
        "conditionId",
        "eventSlug",
        "icon",
        "name",
        "outcome",
        "outcomeIndex",
        "price",
        "profileImage",
        "proxyWallet",
        "pseudonym",
        "side",
        "size",
        "slug",
        "timestamp",
        "title",
        "transactionHash",
    }


async def test_matched_orders_are_told_once_a_transaction_and_of_takers_alone() -> None:
    """The leader as maker is in ``trades`` and not in ``orders_matched``."""
    stage = open_stage(PROMPT)
    both = [{"topic": "activity", "type": kind} for kind in ("trades", "orders_matched")]
    with serve_stage(stage) as wire:
        async with stream(wire.url) as client:
            await client.subscribe({"action": "subscribe", "subscriptions": both})
            made = wire.act(slug=SLUG, is_maker=True, fills=[{"size": 7}, {"size": 7}])
            heard = await client.heard()
    kinds = Counter((one["type"], one["payload"]["proxyWallet"].lower()) for one in heard)
    taker = next(
        one for one in stage.entries if isinstance(one.event, WalletTrade) and one.event.is_taker
    )
    assert len(made) == 2
    assert kinds == {
        ("trades", wire.leader): 2,
        ("trades", taker.event.wallet): 1,
        ("orders_matched", taker.event.wallet): 1,
    }


async def test_filters_and_unsubscribing_are_obeyed() -> None:
    stage = open_stage(PROMPT)
    other = SLUG.replace("btc", "eth")
    wanted = {"topic": "activity", "type": "trades", "filters": json.dumps({"event_slug": other})}
    with serve_stage(stage) as wire:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{wire.url}/rtds") as socket,
        ):
            client = StreamClient(socket)
            assert await client.heard() == []
            await client.subscribe({"action": "subscribe", "subscriptions": [wanted]})
            wire.act(slug=SLUG)
            wire.act(slug=other)
            slugs = {one["payload"]["eventSlug"] for one in await client.heard()}
            assert slugs == {other}
            await socket.send_json({"action": "unsubscribe", "subscriptions": [wanted]})
            wire.act(slug=other)
            assert await client.heard() == []
            await socket.send_str('{"action": "subscribe"')
            refusal = json.loads(await socket.receive_str(timeout=5))
            assert refusal["message"] == "Invalid request body"


async def test_nothing_is_replayed_to_whoever_was_away() -> None:
    """But what had happened and was not due yet is told."""
    stage = open_stage(QUIET_OPTIONS)
    with serve_stage(stage) as wire:
        wire.act(slug=SLUG)
        wire.advance(5)
        late = wire.act(slug=SLUG)
        async with stream(wire.url) as client:
            assert await client.heard() == []
            wire.advance(2)
            heard = await client.heard()
    assert {one["payload"]["transactionHash"] for one in heard} == {late[0]["transaction_hash"]}


async def test_two_connections_hear_the_same() -> None:
    stage = open_stage(LeaderOptions(noise=0, rate=30))
    with serve_stage(stage) as wire:
        async with stream(wire.url) as first, stream(wire.url) as second:
            wire.advance(60)
            told = [[name_of(one) for one in await client.heard()] for client in (first, second)]
    assert told[0] == told[1]
    assert told[0]


async def test_a_running_clock_tells_trades_as_time_passes() -> None:
    """Without a step: at thirty times real time, in the order of what happened."""
    clock = RunningClock(START_S * 1000, speed=30)
    options = LeaderOptions(noise=0, behaviour=Behaviour(rate=120))
    stage = LeaderStage(SandboxVenue(seed=7, clock=clock), options)
    with serve_stage(stage) as wire:
        async with stream(wire.url) as client:
            heard: list[dict[str, Any]] = []
            while len(heard) < 50:
                heard.append(json.loads(await client.socket.receive_str(timeout=20)))
    sent = [one["timestamp"] for one in heard]
    assert sent == sorted(sent)
    assert sent[0] >= START_S * 1000


@pytest.mark.parametrize("rate", [50.0, 50_000.0])
async def test_noise_comes_at_its_rate_and_is_well_formed(rate: float) -> None:
    """One virtual second: so many messages, nearly all of them JSON and none of a leader."""
    stage = open_stage(LeaderOptions(leaders=2, crowd=0, noise=rate, behaviour=QUIET))
    with serve_stage(stage) as wire:
        async with stream(wire.url) as client:
            wire.advance(1)
            await client.socket.send_str("PING")
            texts = []
            while (text := await client.socket.receive_str(timeout=20)) != "PONG":
                texts.append(text)
        summary = wire.get("/sandbox/leaders")["stream"]
    assert len(texts) == rate
    assert summary["noise_sent"] == rate
    messages = [json.loads(text) for text in texts if text]
    assert len(texts) - len(messages) == rate // 512
    assert {int(one["payload"]["timestamp"]) for one in messages} == {START_S - 9}
    wallets = {one["payload"]["proxyWallet"] for one in messages}
    assert not wallets & {one.address for one in stage.leaders}
    known = wire.leader
    assert any(one[:8] == known[:8] and one[-6:] == known[-6:] for one in wallets)


async def test_a_client_that_sends_bytes_is_left_and_nothing_breaks() -> None:
    stage = open_stage(PROMPT)
    with serve_stage(stage) as wire:
        async with stream(wire.url) as client:
            await client.socket.send_bytes(b"\x00")
            async with stream(wire.url) as other:
                wire.act(slug=SLUG)
                assert len(await other.heard()) == 2


async def test_a_slow_reader_loses_noise_and_never_a_leaders_trade() -> None:
    """The first second fills its connection, the second one's noise is shed."""
    stage = open_stage(
        LeaderOptions(leaders=1, crowd=0, noise=50_000, behaviour=QUIET, stream_lag_ms=0)
    )
    with serve_stage(stage) as wire:
        async with stream(wire.url) as client:
            for _ in range(2):
                wire.advance(1)
                made = wire.act(slug=SLUG)
            summary = wire.get("/sandbox/leaders")["stream"]
            await client.socket.send_str("PING")
            count, found = 0, 0
            while (text := await client.socket.receive_str(timeout=30)) != "PONG":
                count += 1
                found += made[0]["transaction_hash"] in text
    assert summary["noise_sent"] == summary["noise_shed"] == 50_000
    assert count == 50_000 + 4
    assert found == 2


async def test_whoever_never_pings_hears_nothing_after_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The connection stays, and a new subscription is heard again; here the while is over."""
    stage = open_stage(PROMPT)
    with serve_stage(stage) as wire:
        async with stream(wire.url) as client:
            monkeypatch.setattr(rtds, "_MUTE_AFTER_S", -60)
            wire.act(slug=SLUG)
            assert await client.heard() == []
            monkeypatch.setattr(rtds, "_MUTE_AFTER_S", 360)
            await client.subscribe()
            wire.act(slug=SLUG)
            assert len(await client.heard()) == 2
