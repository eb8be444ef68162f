"""Bad input about a followed wallet, from the socket to the ledger: nothing is traded on it.

The whole corpus goes through one connection into a loop that copies whatever it can; then one good
frame does, so that it is the input that was refused and nothing else.
"""

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, cast

from polybot.adapters.polymarket.leader_feed import FeedSources, FeedTiming, PolymarketLeaderFeed
from polybot.domain.leaders import CopyVerdict, LeaderAddress
from polybot.domain.markets import ConditionId, MarketWindow, Outcome, OutcomeTokenId
from tests.builders import build_book, build_market
from tests.copy_builders import build_leader
from tests.copy_desk import WIDE, World
from tests.fakes import ScriptedMarketData
from tests.fakes_copying import ScriptedBooks, SetClock
from tests.leader_bad_rows import BAD_FRAMES, BAD_ROWS
from tests.leader_listening import STEADY
from tests.leader_rows import CONDITION, NOW, OTHER_TOKEN, SLUG, TOKEN, WALLET, frame, stream_row
from tests.leader_venue import leader_venue

UP, DOWN = OutcomeTokenId(TOKEN), OutcomeTokenId(OTHER_TOKEN)


class SocketFeed(PolymarketLeaderFeed):
    """The real feed, in place of the scripted one."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.running = asyncio.Event()
        self.running.set()


def world_of(path: Path, feed: SocketFeed) -> World:
    """Return a world in which the corpus's market runs and its wallet is followed."""
    window = MarketWindow.parse_slug(SLUG)
    market = build_market(
        window=window,
        condition_id=ConditionId(CONDITION),
        token_ids={Outcome.UP: UP, Outcome.DOWN: DOWN},
    )
    books = [replace(build_book(), token_id=one, as_of=NOW) for one in (UP, DOWN)]
    world = World(
        path=path,
        clock=SetClock(NOW),
        feed=cast("Any", feed),
        books=ScriptedBooks(*books),
        market_data=ScriptedMarketData(market, books[0]),
        limits={**WIDE, "min_time_left_s": 60},
    )
    followed_at = NOW - timedelta(days=1)
    world.follow(
        replace(
            # Whatever could be copied is: no throttle, no smallest stake.
            build_leader(
                max_repeats=1000, min_leader_stake_usdc=Decimal(0), max_from_book=Decimal(1)
            ),
            address=LeaderAddress(WALLET),
            added_at=followed_at,
            watermark=followed_at,
        )
    )
    return world


async def test_nothing_is_traded_on_any_bad_frame(tmp_path: Path) -> None:
    async with leader_venue() as venue:
        feed = SocketFeed(
            FeedSources(stream_url=venue.stream_url, data_url=None, stream_connections=1),
            now=lambda: NOW,
            timing=FeedTiming(stream=STEADY),
            random=Random(7),
        )
        world = world_of(tmp_path / "paper.db", feed)
        async with world.looping() as running:
            await running.trading()
            await venue.signals.count("subscribed", 1)
            before = running.ledger.totals(at=NOW)
            sent = 0
            for field, values in BAD_ROWS.values():
                for value in values:
                    row = stream_row(1000 + sent, price=0.5, size=200)
                    await venue.send(frame({**row, field: value}))
                    sent += 1
            for data, _ in BAD_FRAMES.values():
                await venue.send(data)
                sent += 1
            await running.until(lambda: sum(running.status.sources[0].rejected.values()) >= sent)
            await running.settled()
            assert running.log() == ()
            assert running.ledger.open_orders() == ()
            assert running.ledger.totals(at=NOW) == before
            await venue.send(frame(stream_row(1, price=0.5, size=200)))
            await running.until(lambda: len(running.log()) == 1)
            await running.settled()
            (good,) = running.log()
            assert good.verdict is CopyVerdict.PLACED, good.reason
            assert running.status.sources[0].reconnects == 0
            assert running.ledger.violations() == ()
    assert sent > 130
