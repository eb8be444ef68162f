"""Leaders through the stream over real sockets: heard, missed, filled in, and told once."""

import asyncio

from aiohttp import web

from polybot.domain.leaders import FeedSource, LeaderAddress
from tests.leader_listening import NERVOUS, WATERMARK, listening
from tests.leader_rows import (
    STRANGER,
    TRADED_S,
    WALLET,
    api_row,
    frame,
    page,
    stream_row,
    transaction,
)
from tests.leader_venue import leader_venue
from tests.scripted_server import body


async def test_followed_trade_is_told_from_the_frame_and_strangers_are_not() -> None:
    async with leader_venue() as venue, listening(venue, data=False) as ear:
        for number in range(100):
            await venue.send(frame(stream_row(number, proxyWallet=STRANGER)))
        await venue.send(frame(stream_row(1)))
        await ear.count(1)
        (told,) = ear.trades
        health = ear.health("stream-1")
    assert (told.leader, told.source) == (WALLET, FeedSource.STREAM)
    assert (health.followed, health.first, health.rejected) == (1, 1, {})
    assert health.messages >= 101
    assert health.is_connected


async def test_two_connections_tell_once_and_count_who_was_first() -> None:
    async with leader_venue() as venue, listening(venue, data=False, connections=2) as ear:
        for number in range(1, 11):
            await venue.send(frame(stream_row(number)), to=number % 2)
            await ear.count(number)
            await venue.send(frame(stream_row(number)), to=1 - number % 2)
        await venue.send(frame(stream_row(99)))
        await ear.count(11)
        firsts = [one.first for one in ear.feed.health()]
        await ear.looked(lambda: sum(one.followed for one in ear.feed.health()) == 22)
    assert len(ear.told) == 11
    assert sum(firsts) == 11
    assert min(firsts) >= 5


async def test_connection_that_ends_is_opened_again_and_the_gap_is_filled() -> None:
    """Whatever happened in between comes from the Data API, at once."""
    async with leader_venue() as venue, listening(venue) as ear:
        await venue.send(frame(stream_row(1)))
        await ear.count(1)
        venue.trades += [api_row(1), api_row(2)]
        await venue.hang_up()
        await ear.count(2)
        await venue.signals.count("subscribed", 2)
        await ear.looked(lambda: ear.health("stream-1").reconnects == 1)
    assert [one.source for one in ear.trades] == [FeedSource.STREAM, FeedSource.DATA_API]


async def test_gap_while_a_read_is_under_way_is_read_again() -> None:
    """What the read has seen by then may be older than the gap."""
    released = asyncio.Event()

    async def slowly(request: web.Request) -> web.StreamResponse:
        await released.wait()
        return await body(page([]))(request)

    async with leader_venue() as venue:
        venue.answers["trades"] = [slowly]
        async with listening(venue) as ear:
            await venue.signals.count("trades", 1)
            await venue.hang_up()
            await venue.signals.count("subscribed", 2)
            await ear.looked(lambda: ear.health("stream-1").reconnects == 1)
            venue.trades.append(api_row(1))
            released.set()
            await ear.count(1)


async def test_venue_that_is_away_is_tried_until_it_is_back() -> None:
    async with leader_venue() as venue:
        venue.answers["rtds"] = [body(b"<html>", status=code) for code in (502, 403, 200)]
        async with listening(venue, data=False) as ear:
            await venue.send(frame(stream_row(1)))
            await ear.count(1)
            assert ear.health("stream-1").rejected == {"connection-failed": 3}


async def test_redirect_of_the_stream_leads_nowhere() -> None:
    async with leader_venue() as venue:
        away = body(b"", status=302, headers={"Location": "http://127.0.0.1:1/rtds"})
        venue.answers["rtds"] = [away]
        async with listening(venue, data=False) as ear:
            assert ear.health("stream-1").rejected == {"connection-failed": 1}


async def test_silence_is_noticed_subscribed_again_and_its_gap_filled() -> None:
    """The socket still answers pings, which says nothing."""
    async with leader_venue() as venue, listening(venue, stream_timing=NERVOUS) as ear:
        venue.is_mute = True
        venue.trades.append(api_row(5))
        await venue.signals.count("subscribed", 2)
        await ear.count(1)
        assert ear.health("stream-1").freezes >= 1
        assert venue.signals.counts["ping"] > 1
        venue.is_mute = False
        await ear.looked(lambda: len(venue.sockets) == 1)
        await venue.send(frame(stream_row(6)))
        await ear.count(2)


async def test_silence_after_subscribing_again_opens_the_connection_anew() -> None:
    async with leader_venue() as venue, listening(venue, data=False, stream_timing=NERVOUS) as ear:
        await venue.signals.count("connected", 2)
        await venue.signals.count("subscribed", 3)
        assert ear.health("stream-1").freezes >= 2


async def test_frames_that_cannot_be_read_are_no_sign_of_life() -> None:
    """A subscription that lapsed may still send other things."""
    async with leader_venue() as venue, listening(venue, data=False, stream_timing=NERVOUS) as ear:

        async def chatter() -> None:
            while True:
                await venue.send(frame({"symbol": "btcusdt"}, topic="crypto_prices"))
                await asyncio.sleep(0.01)

        talking = asyncio.create_task(chatter())
        await venue.signals.count("subscribed", 2)
        talking.cancel()
        assert ear.health("stream-1").rejected["other-topic"] > 0


async def test_frames_late_twice_and_in_any_order_are_each_told_once() -> None:
    async with leader_venue() as venue, listening(venue) as ear:
        venue.trades += [api_row(number) for number in range(1, 6)]
        for number in (3, 1, 3, 2, 9, 1, 9):
            await venue.send(frame(stream_row(number)))
        await venue.hang_up()
        await venue.signals.count("subscribed", 2)
        for number in (5, 4, 3, 2, 1, 10):
            await venue.send(frame(stream_row(number)))
        await ear.looked(lambda: len(ear.told) >= 7)
        await venue.send(frame(stream_row(11)))
        await ear.looked(lambda: any(one.transaction_hash == transaction(11) for one in ear.trades))
    assert sorted(int(one.transaction_hash, 16) for one in ear.trades) == [1, 2, 3, 4, 5, 9, 10, 11]


async def test_frame_from_before_anything_is_remembered_is_left_to_the_data_api() -> None:
    """It cannot be compared any more with what was told of it."""
    old = stream_row(1, timestamp=TRADED_S - 3 * 3600)
    async with leader_venue() as venue, listening(venue) as ear:
        await venue.send(frame(old))
        await venue.send(frame(stream_row(2)))
        await ear.count(1)
        assert ear.health("stream-1").rejected == {"older-than-memory": 1}
    async with leader_venue() as venue, listening(venue, data=False) as alone:
        await venue.send(frame(old))
        await alone.count(1)
    assert [one.transaction_hash for one in ear.trades] == [transaction(2)]


async def test_who_is_followed_can_change_while_it_listens() -> None:
    other = LeaderAddress(STRANGER)
    async with leader_venue() as venue, listening(venue) as ear:
        venue.trades.append(api_row(7, proxy_wallet=STRANGER))
        ear.feed.follow({other: WATERMARK})
        await ear.count(1)
        await venue.send(frame(stream_row(8)))
        await venue.send(frame(stream_row(9, proxyWallet=STRANGER)))
        await ear.count(2)
    assert {one.leader for one in ear.trades} == {STRANGER}
    assert list(ear.feed.read_until()) == [other]
