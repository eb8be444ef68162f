"""The small parts of the copy loop keep their promises, and their memory is bounded."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from polybot.copy_trading.background import Troubles, keep_running, repeat
from polybot.copy_trading.drift import QUIET, compare_holdings, needs_seeding, seeds_of
from polybot.copy_trading.notices import copied_fill_alert, throttled_alert, voided_alert
from polybot.copy_trading.seen import SeenKeys
from polybot.copy_trading.status import summarise_latency
from polybot.copy_trading.tally import MOST_REASONS, NEWEST, OTHER, Latencies, Tallies
from polybot.copy_trading.turns import MarketTurns, happened_at
from polybot.domain.alerts import AlertKind
from polybot.domain.leaders import LeaderAddress, LeaderTradeKey
from polybot.domain.markets import ConditionId, OutcomeTokenId
from polybot.domain.modes import Mode
from polybot.domain.money import price, shares, usdc
from polybot.domain.orders import Fill, FillStatus, Liquidity, OrderId, Side, TradeId
from polybot.errors import TransientError
from tests.builders import DOWN_TOKEN, NOW, UP_TOKEN, build_order
from tests.copy_builders import (
    LEADER,
    MARKET,
    build_conversion,
    build_holding,
    build_leader,
    build_position,
    build_trade,
)

OTHER_MARKET = ConditionId("0x" + "0f" * 32)


# Keys -------------------------------------------------------------------------------------------


def test_key_is_new_once() -> None:
    """What was heard is not heard again."""
    seen = SeenKeys()
    assert seen.is_new(LeaderTradeKey("a"))
    assert not seen.is_new(LeaderTradeKey("a"))


def test_keys_of_the_ledger_are_not_new() -> None:
    """A restart hears the last minutes again."""
    seen = SeenKeys()
    seen.learn([LeaderTradeKey("a"), LeaderTradeKey("b")])
    assert not seen.is_new(LeaderTradeKey("b"))


def test_memory_of_keys_is_bounded_and_loses_the_oldest() -> None:
    """The newest are what feeds repeat."""
    seen = SeenKeys(most=3)
    for name in "abcd":
        seen.is_new(LeaderTradeKey(name))
    assert len(seen) == 3
    assert not seen.is_new(LeaderTradeKey("d"))
    assert seen.is_new(LeaderTradeKey("a"))


# Counts -----------------------------------------------------------------------------------------


def test_percentiles_are_nearest_rank_of_the_newest() -> None:
    """The count is of all, the percentiles of the newest thousand."""
    latencies = Latencies()
    for number in range(NEWEST + 500):
        latencies.add(number / 1000)
    found = latencies.summary()
    assert found.count == NEWEST + 500
    assert (found.p50_s, found.p95_s, found.p99_s) == (0.999, 1.449, 1.489)
    assert found.max_s == 1.499


def test_no_measurement_gives_zeros() -> None:
    """A loop that has just begun shows something."""
    assert summarise_latency([]).count == 0


def test_clocks_that_disagree_give_no_negative_latency() -> None:
    """Blocks are dated in whole seconds, and may seem to be of the future."""
    latencies = Latencies()
    latencies.add(-0.4)
    assert latencies.summary().max_s == 0.0


def test_total_keeps_the_counts_of_leaders_who_left() -> None:
    """And forgets the leaders themselves."""
    tallies = Tallies()
    tallies.of(LEADER).copied = 3
    tallies.of(LEADER).skip("too-old")
    gone = LeaderAddress("0x" + "99" * 20)
    tallies.of(gone).skip("too-old")
    tallies.of(gone).refuse("cash")
    tallies.keep_only({LEADER: None})
    total = tallies.total()
    assert total.copied == 3
    assert total.skipped == {"too-old": 2}
    assert (total.refused_count, total.skipped_count) == (1, 2)
    assert tallies.of(gone).refused == {}


def test_reasons_are_a_bounded_number() -> None:
    """A defect that invents names does not eat the memory."""
    tally = Tallies().of(LEADER)
    for number in range(2 * MOST_REASONS):
        tally.skip(f"reason-{number}")
    assert len(tally.skipped) == MOST_REASONS + 1
    assert tally.skipped[OTHER] == MOST_REASONS


# Turns ------------------------------------------------------------------------------------------


def test_trade_waits_for_the_order_in_its_market() -> None:
    """Others do not."""
    turns = MarketTurns()
    turns.begin(MARKET.condition_id)
    assert turns.must_wait(MARKET.condition_id)
    assert not turns.must_wait(OTHER_MARKET)
    trade = build_trade()
    turns.wait(trade)
    assert turns.next(MARKET.condition_id) is None
    turns.end(MARKET.condition_id)
    assert turns.next(MARKET.condition_id) is trade
    assert not turns.must_wait(MARKET.condition_id)


def test_trades_of_a_market_keep_their_order() -> None:
    """A sale must not overtake the purchase before it, even once the market is free."""
    turns = MarketTurns()
    turns.begin(MARKET.condition_id)
    first, second = build_trade(), build_trade(Side.SELL)
    turns.wait(first)
    turns.wait(second)
    turns.end(MARKET.condition_id)
    assert turns.must_wait(MARKET.condition_id)
    assert turns.next(MARKET.condition_id) is first
    assert turns.next(MARKET.condition_id) is second
    assert len(turns) == 0


def test_unfinished_event_goes_before_the_others() -> None:
    """A merge with two exits takes two turns."""
    turns = MarketTurns()
    turns.begin(MARKET.condition_id)
    trade, conversion = build_trade(), build_conversion()
    turns.wait(trade)
    turns.wait_first(conversion)
    turns.end(MARKET.condition_id)
    assert turns.next(MARKET.condition_id) is conversion


def test_overdue_event_leaves_its_queue() -> None:
    """And the oldest that waits is known, for the watermark."""
    turns = MarketTurns()
    turns.begin(MARKET.condition_id)
    old = build_trade(traded_at=NOW - timedelta(seconds=30))
    new = build_trade(size="7")
    turns.wait(old)
    turns.wait(new)
    assert turns.oldest(LEADER) == old.traded_at
    turns.take(old)
    assert list(turns.waiting()) == [new]
    assert turns.oldest(LEADER) == happened_at(new)
    assert turns.free_markets() == ()


# Background -------------------------------------------------------------------------------------


async def _until(is_true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_true():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)


async def _cancelled(work: Awaitable[None], when: Callable[[], bool]) -> None:
    task = asyncio.ensure_future(work)
    await _until(when)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_failing_part_is_started_again_and_shown() -> None:
    """Neither a known error nor a defect ends it silently, nor does ending by itself."""
    troubles = Troubles(lambda: NOW)
    starts: list[int] = []

    async def part() -> None:
        starts.append(1)
        if len(starts) == 1:
            raise TransientError("the stream broke")
        if len(starts) == 2:
            await asyncio.Event().wait()

    await _cancelled(keep_running("feed", part, troubles), lambda: len(starts) == 2)
    (trouble,) = troubles.listed()
    assert (trouble.part, trouble.problem, trouble.failures) == ("feed", "the stream broke", 1)
    assert trouble.since == NOW


async def test_failing_chore_has_its_turn_again_and_recovers() -> None:
    """Its trouble stays on the page, as over."""
    troubles = Troubles(lambda: NOW)
    turns: list[int] = []

    async def chore() -> None:
        turns.append(1)
        if len(turns) == 1:
            raise ValueError("a defect")

    await _cancelled(repeat("drift", 0.01, chore, troubles), lambda: len(turns) >= 3)
    (trouble,) = troubles.listed()
    assert trouble.is_over
    assert trouble.problem == "a defect"
    assert troubles.since("drift") is None


# Drift ------------------------------------------------------------------------------------------


def test_drift_is_ours_minus_the_leaders_share() -> None:
    """In every token that either of us holds."""
    leader = build_leader(scale=Decimal("0.1"))
    found = compare_holdings(
        leader,
        [
            build_position("200"),
            build_position("50", slug="will-it-rain", token_id=OutcomeTokenId("9")),
        ],
        [build_holding("180", "25"), replace(build_holding("40", "4"), token_id=DOWN_TOKEN)],
    )
    assert [(one.token_id, one.expected_size, one.difference) for one in found] == [
        (UP_TOKEN, Decimal("20.0"), Decimal("5.0")),
        (DOWN_TOKEN, Decimal(0), Decimal(4)),
    ]
    assert found[0].recorded_leader_size == 180


def test_what_a_leader_holds_is_mended_only_while_he_is_quiet() -> None:
    """A trade may be in one of the two and not yet in the other."""
    drifts = compare_holdings(build_leader(), [build_position("200")], [build_holding("180", "0")])
    quiet = NOW - QUIET
    assert needs_seeding(drifts, last_trade_at=quiet, now=NOW)
    assert not needs_seeding(drifts, last_trade_at=quiet + timedelta(seconds=1), now=NOW)
    same = compare_holdings(build_leader(), [build_position("180")], [build_holding("180", "0")])
    assert not needs_seeding(same, last_trade_at=quiet, now=NOW)


def test_what_the_venue_shows_no_more_is_believed_to_be_gone() -> None:
    """A merge that no source told of, for one."""
    held = replace(build_holding("40", "4"), token_id=DOWN_TOKEN)
    seeds = seeds_of([build_position("200")], [build_holding("180"), held])
    assert {seed.token_id: int(seed.size) for seed in seeds} == {UP_TOKEN: 200, DOWN_TOKEN: 0}


# Notices ----------------------------------------------------------------------------------------


def test_copied_fill_names_the_leader_harmlessly() -> None:
    """The owner's own name for him may be anything."""
    fill = Fill(
        trade_id=TradeId("t"),
        order_id=OrderId("0x1"),
        leg=0,
        price=price("0.51"),
        size=shares("9"),
        fee_usdc=usdc("0.1"),
        liquidity=Liquidity.TAKER,
        status=FillStatus.MATCHED,
        filled_at=NOW,
    )
    alert = copied_fill_alert(fill, build_order(), "whale @everyone\n\x1b[31m", mode=Mode.PAPER)
    assert alert.kind is AlertKind.FILL
    assert alert.title.startswith("paper: bought Up")
    assert "copying whale @ everyone" in alert.title


def test_throttle_and_failed_trade_are_told_once_each() -> None:
    """By their keys."""
    trade = build_trade()
    first = throttled_alert(build_leader(), "21 copies", at=NOW, mode=Mode.LIVE)
    again = throttled_alert(build_leader(), "22 copies", at=NOW, mode=Mode.LIVE)
    assert first.dedupe_key == again.dedupe_key
    failed = voided_alert(trade.key, trade.slug, "whale", at=NOW, mode=Mode.LIVE)
    assert trade.transaction_hash in failed.body
    assert failed.kind is AlertKind.COPYING
